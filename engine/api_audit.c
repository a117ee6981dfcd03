/* engine/api_audit.c: the audit log, looked at. It is written by api_audit() (api_answer.c). */
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
                      "%s: not a time: RFC 3339, or 2h, 3d (ago), today, now", name);
}

/* A subscription's name stands for its id, which is what entries hold. */
static enum err_code read_target(struct api_call *c, const char **out)
{
    struct subscription s;
    const char *text = param(c, "target");
    char id[ID_TEXT_MAX];
    *out = text;
    if (!text || !id_is_name(text))
        return OK;
    enum err_code rc = c->ops->sub_get(c->b, text, c->mem, &s, c->err);
    if (rc == OK)
        *out = arena_copy(c->mem, id_text(id, "sub", s.num));
    return rc == ERR_NOT_FOUND ? OK : rc;
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
        rc = read_target(c, &f->target);
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
        if (rows[i].detail)
            put_raw(b, "detail", rows[i].detail, strlen(rows[i].detail));
        else
            put_null(b, "detail");
        buf_addc(b, '}');
    }
    return put_list_end(c, n == f.limit, 0, n ? rows[n - 1].num : 0);
}
