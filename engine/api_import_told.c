/* engine/api_import_told.c: an import in the audit log: one entry, however many requests it takes. The
 * first slice writes it, each later one makes its totals anew, in the
 * transaction of what it brings in: so one that ends in the middle has told who began it, and how far
 * it came. The next request of the same import says which entry is its own. */
#include <string.h>

#include "engine/api_import.h"

#define ACTION "dead_letter.import"

static const char *actor_of(const struct api_call *c)
{
    return c->req->actor ? c->req->actor : "unknown";
}

static enum err_code not_its_own(struct api_call *c)
{
    return api_refuse(c, 422, "invalid_parameter", "audit",
                      "audit: not the entry of an import that you began");
}

void import_told_sub(struct import_told *t, int64_t sub)
{
    for (int i = 0; i < t->subs_n; i++)
        if (t->subs[i] == sub)
            return;
    if (t->subs_n == IMPORT_TOUCHED_MAX)
        t->subs_n = -1;
    else if (t->subs_n >= 0)
        t->subs[t->subs_n++] = sub;
}

static enum err_code totals_read(struct api_call *c, struct import_told *t, const char *detail)
{
    json_t *o = json_loads(detail ? detail : "", 0, NULL), *id;
    const char *file = json_string_value(json_object_get(o, "file"));
    int64_t sub;
    size_t i;
    t->imported = json_integer_value(json_object_get(o, "imported"));
    t->skipped = json_integer_value(json_object_get(o, "skipped"));
    t->refused = json_integer_value(json_object_get(o, "refused"));
    json_array_foreach(json_object_get(o, "subscriptions"), i, id)
    {
        if (id_parse(json_string_value(id), "sub", &sub))
            import_told_sub(t, sub);
        else
            t->subs_n = -1; /* "*" */
    }
    t->file = file ? arena_copy(c->mem, file) : NULL;
    enum err_code rc = file && !t->file ? fail(c->err, ERR_NOMEM, "no memory for an import") : OK;
    json_decref(o);
    return rc;
}

enum err_code import_told_read(struct api_call *c, struct import_told *t)
{
    const char *audit = json_string_value(json_object_get(c->query, "audit"));
    struct audit_filter f = {.action = ACTION, .limit = 1};
    struct audit_entry *e = NULL;
    size_t n = 0;
    *t = (struct import_told){.file = json_string_value(json_object_get(c->query, "file"))};
    if (t->file && strlen(t->file) > IMPORT_FILE_MAX)
        return api_refuse(c, 422, "invalid_parameter", "file", "file: too long");
    if (!audit)
        return OK;
    if (!id_parse(audit, "aud", &t->audit))
        return not_its_own(c);
    f.before_num = t->audit + 1; /* so it is the first one, or is none */
    enum err_code rc = c->ops->audit_list(c->b, &f, c->mem, &e, &n, c->err);
    if (rc != OK)
        return rc;
    if (n == 0 || e->num != t->audit || strcmp(e->actor, actor_of(c)) != 0)
        return not_its_own(c);
    return totals_read(c, t, e->detail);
}

enum err_code import_told_put(struct api_call *c, struct import_told *t, int64_t imported,
                              int64_t skipped, int64_t refused)
{
    struct buf detail;
    struct audit_entry e = {
        .num = t->audit, .actor = actor_of(c), .action = ACTION, .created_ms = c->now_ms};
    enum err_code rc;
    buf_init(&detail, 65536);
    put_open(&detail, NULL, '{');
    put_int(&detail, "imported", t->imported + imported);
    put_int(&detail, "skipped", t->skipped + skipped);
    put_int(&detail, "refused", t->refused + refused);
    if (t->file)
        put_str(&detail, "file", t->file);
    put_touched(&detail, t->subs, t->subs_n);
    buf_addc(&detail, '}');
    e.detail = detail.data;
    if (detail.failed) {
        rc = fail(c->err, ERR_NOMEM, "no memory for the audit log");
    } else if (t->audit != 0) {
        rc = c->ops->audit_update(c->b, t->audit, e.detail, c->err);
    } else {
        e.num = api_new_num(c);
        rc = c->ops->audit_put(c->b, &e, c->err);
        t->audit = rc == OK ? e.num : 0;
    }
    buf_fini(&detail);
    return rc;
}
