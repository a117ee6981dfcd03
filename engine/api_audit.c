/* engine/api_audit.c: the audit log, looked at. It is written by api_audit() (api_answer.c). */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"

static const char *const MEMBERS[] = {"actor", "action", "target", "since",
                                      "until", "limit",  "cursor", NULL};

static const char *param(const struct api_call *c, const char *name)
{
    return json_string_value(json_object_get(c->query, name));
}

static enum err_code read_when(struct api_call *c, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(c->query, name);
    const char *text = json_string_value(v);
    if (!v || (text && (api_time_of(v, out) || text_parse_when(text, c->now_ms, out))))
        return OK;
    return api_refuse(c, 422, "invalid_filter", name,
                      "%s: not a time: RFC 3339, 18:55, or 2h, 3d (ago), today, yesterday, now",
                      name);
}

/* ---- whom it touched ---- */
#define ANY "\"subscriptions\":[\"*\"]"

void put_touched(struct buf *b, const int64_t *subs, int n)
{
    put_open(b, "subscriptions", '[');
    if (n < 0)
        put_str(b, NULL, "*");
    for (int i = 0; i < n; i++)
        put_id(b, NULL, "sub", subs[i]);
    buf_addc(b, ']');
}

enum { TOUCHED_MAX = 256 };
struct touched {
    int64_t subs[TOUCHED_MAX];
    int n; /* < 0: too many, or not known */
};

static void touched_add(struct touched *t, int64_t sub)
{
    for (int i = 0; i < t->n; i++)
        if (t->subs[i] == sub)
            return;
    if (t->n == TOUCHED_MAX || sub == 0)
        t->n = -1;
    else if (t->n >= 0)
        t->subs[t->n++] = sub;
}

/* An id of a filter: of a subscription, or of a delivery, whose subscription is read. */
static void touched_id(struct api_call *c, struct touched *t, const json_t *value)
{
    const char *text = json_string_value(value);
    struct delivery d;
    struct err ignored = {0};
    int64_t num = 0;
    if (text && id_parse(text, "sub", &num))
        touched_add(t, num);
    else if (text && id_parse(text, "dlv", &num) &&
             c->ops->delivery_get(c->b, num, c->mem, &d, &ignored) == OK)
        touched_add(t, d.sub);
    else
        touched_add(t, 0);
}

static void touched_ids(struct api_call *c, struct touched *t, const json_t *ids)
{
    size_t n = json_array_size(ids);
    if (n > TOUCHED_MAX)
        t->n = -1;
    else if (json_is_string(ids))
        touched_id(c, t, ids);
    for (size_t i = 0; i < n && t->n >= 0; i++)
        touched_id(c, t, json_array_get(ids, i));
}

void put_touched_by(struct api_call *c, struct buf *b, const char *filter)
{
    json_t *object = json_loads(filter ? filter : "{}", 0, NULL);
    const json_t *subs = json_object_get(object, "subscription");
    const json_t *ids = subs ? subs : json_object_get(object, "id");
    const char *job = json_string_value(json_object_get(object, "job"));
    struct touched t = {.n = 0};
    struct err ignored = {0};
    struct job j;
    int64_t num;
    if (ids) {
        touched_ids(c, &t, ids);
    } else if (job && id_parse(job, "job", &num) && /* a purge, which is taken back */
               c->ops->job_get(c->b, num, c->mem, &j, &ignored) == OK && j.kind == JOB_PURGE) {
        json_decref(object);
        put_touched_by(c, b, j.filter);
        return;
    } else {
        t.n = -1;
    }
    put_touched(b, t.subs, t.n);
    json_decref(object);
}

/* ---- the list ---- */

/* A subscription's name stands for its id, which is what entries hold: as their target, or in what they
 * say. */
static enum err_code read_target(struct api_call *c, struct audit_filter *f)
{
    struct subscription s;
    const char *text = param(c, "target");
    char id[ID_TEXT_MAX], quoted[ID_TEXT_MAX + 2];
    int64_t num;
    enum err_code rc = OK;
    f->target = text;
    if (text && id_is_name(text)) {
        rc = c->ops->sub_get(c->b, text, c->mem, &s, c->err);
        if (rc == OK)
            f->target = arena_copy(c->mem, id_text(id, "sub", s.num));
    }
    if (!f->target || !id_parse(f->target, "sub", &num))
        return rc == ERR_NOT_FOUND ? OK : rc;
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", f->target);
    const char **texts = arena_alloc(c->mem, 2 * sizeof *texts);
    if (!texts)
        return fail(c->err, ERR_NOMEM, "no memory for a filter");
    texts[0] = arena_copy(c->mem, quoted);
    texts[1] = ANY;
    f->mentioned = texts;
    f->mentioned_n = 2;
    return texts[0] ? OK : fail(c->err, ERR_NOMEM, "no memory for a filter");
}

static enum err_code read_filter(struct api_call *c, struct audit_filter *f)
{
    struct api_page page;
    enum err_code rc = api_members(c, c->query, MEMBERS);
    if (rc == OK)
        rc = api_page_read(c, &page);
    if (rc == OK)
        rc = read_when(c, "since", &f->since_ms);
    if (rc == OK)
        rc = read_when(c, "until", &f->until_ms);
    if (rc == OK)
        rc = read_target(c, f);
    if (rc != OK)
        return rc;
    f->actor = param(c, "actor");
    f->action = param(c, "action");
    f->before_num = page.after_num;
    f->limit = page.limit;
    return OK;
}

static const char *name_of(struct api_call *c, const char *target)
{
    struct subscription s;
    struct err ignored = {0};
    int64_t num;
    if (!target || !id_parse(target, "sub", &num) ||
        c->ops->sub_get_num(c->b, num, c->mem, &s, &ignored) != OK)
        return NULL;
    return s.name;
}

/* "subscriptions": the names of those in the detail, "*" for any; null: it says nothing of them. */
static void put_names(struct api_call *c, const char *detail)
{
    struct buf *b = &c->resp->body;
    json_t *object = detail ? json_loads(detail, 0, NULL) : NULL;
    const json_t *ids = json_object_get(object, "subscriptions"), *item;
    size_t i;
    if (!json_is_array(ids)) {
        put_null(b, "subscriptions");
        json_decref(object);
        return;
    }
    put_open(b, "subscriptions", '[');
    json_array_foreach(ids, i, item)
    {
        const char *id = json_string_value(item), *name = name_of(c, id);
        put_str(b, NULL, name ? name : id);
    }
    buf_addc(b, ']');
    json_decref(object);
}

enum err_code h_audit_list(struct api_call *c)
{
    struct audit_filter f = {0};
    struct audit_entry *rows = NULL;
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = read_filter(c, &f);
    if (rc == OK)
        rc = c->ops->audit_list(c->b, &f, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n; i++) {
        put_open(b, NULL, '{');
        put_id(b, "id", "aud", rows[i].num);
        put_time(b, "created_at", rows[i].created_ms);
        put_str(b, "actor", rows[i].actor);
        put_str(b, "action", rows[i].action);
        put_str(b, "target", rows[i].target);
        put_str(b, "target_name", name_of(c, rows[i].target));
        put_names(c, rows[i].detail);
        if (rows[i].detail)
            put_raw(b, "detail", rows[i].detail, strlen(rows[i].detail));
        else
            put_null(b, "detail");
        buf_addc(b, '}');
    }
    return put_list_end(c, n == f.limit, 0, n ? rows[n - 1].num : 0);
}

/* ---- what is done beside the store ---- */
enum err_code h_backup_told(struct api_call *c)
{
    static const char *const names[] = {"path", "bytes", "sha256", NULL};
    const char *path = NULL, *sha256 = NULL;
    struct buf detail;
    double bytes = 0;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_text(c, "path", &path);
    if (rc == OK)
        rc = api_member_text(c, "sha256", &sha256);
    if (rc == OK)
        rc = api_member_number(c, "bytes", 0, 1e18, &bytes);
    if (rc == OK && (!path || strlen(path) > 4096 || (sha256 && strlen(sha256) != 64)))
        rc =
            api_refuse(c, 422, "invalid_member", "path", "path, sha256: of a backup that was made");
    if (rc != OK)
        return rc;
    buf_init(&detail, 65536);
    put_open(&detail, NULL, '{');
    put_int(&detail, "bytes", (int64_t)bytes);
    put_str(&detail, "sha256", sha256);
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, "store.backup", path, detail.data);
    buf_fini(&detail);
    buf_adds(&c->resp->body, "{}");
    c->resp->status = 200;
    return rc;
}
