/* engine/api_dead.c: one dead letter with all that is known; purge. (Lists, counts, groups: api_look.c.
 * Replay: api_jobs.c. Export and import: api_transfer.c.) */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/message.h"

enum { RENDERED_MAX_BYTES = 64 << 20 };

/* ---- one letter ---- */

/* Whoever looks for a letter that was replayed wants to know what became of it. */
static enum err_code not_dead(struct api_call *c, int64_t num)
{
    struct filter f = {.event_ids = &c->ref, .event_ids_n = 1, .limit = 1};
    struct delivery *rows = NULL, d;
    char id[ID_TEXT_MAX];
    size_t n = 0;
    enum err_code rc = num ? c->ops->delivery_get(c->b, num, c->mem, &d, c->err)
                           : c->ops->delivery_list(c->b, &f, c->mem, &rows, &n, c->err);
    if (rc != OK && rc != ERR_NOT_FOUND)
        return rc;
    if (n > 0)
        d = rows[0];
    if (rc == ERR_NOT_FOUND || (num == 0 && n == 0))
        return api_refuse(c, 404, "not_found", NULL, "no dead letter '%.140s'", c->ref);
    return api_refuse(c, 404, "not_found", NULL, "no dead letter '%.140s': delivery %s is %s",
                      c->ref, id_text(id, "dlv", d.num), delivery_state_name(d.state));
}

static enum err_code letter_of_ref(struct api_call *c, struct dead_letter *l)
{
    int64_t num;
    if (!id_parse(c->ref, "dlv", &num)) {
        struct filter f = {
            .event_ids = &c->ref, .event_ids_n = 1, .limit = 2, .with_expired = true};
        struct dead_letter *rows = NULL;
        char a[ID_TEXT_MAX], b[ID_TEXT_MAX];
        size_t n = 0;
        enum err_code rc = c->ops->dead_list(c->b, &f, c->mem, &rows, &n, c->err);
        if (rc != OK)
            return rc;
        if (n > 1)
            return api_refuse(c, 409, "ambiguous", NULL,
                              "event %.140s has several dead letters, for instance %s and %s: name "
                              "one of them",
                              c->ref, id_text(a, "dlv", rows[0].delivery.num),
                              id_text(b, "dlv", rows[1].delivery.num));
        num = n ? rows[0].delivery.num : 0;
    }
    enum err_code rc = num ? c->ops->dead_get(c->b, num, c->mem, l, c->err) : ERR_NOT_FOUND;
    return rc == ERR_NOT_FOUND || rc == ERR_STALE ? not_dead(c, num) : rc;
}

static void put_headers(struct buf *b, const struct buf *lines)
{
    const char *at = lines->data ? lines->data : "";
    put_open(b, "headers", '[');
    while (*at) {
        size_t n = strcspn(at, "\n"), name_n = 0;
        char name[256], value[8192];
        while (name_n < n && at[name_n] != ':')
            name_n++;
        const char *v = at + name_n + (name_n < n);
        v += *v == ' ';
        size_t value_n = (size_t)(at + n - v);
        put_open(b, NULL, '[');
        put_str(b, NULL, text_copy(name, name_n < sizeof name ? name_n + 1 : sizeof name, at));
        put_str(b, NULL, text_copy(value, value_n < sizeof value ? value_n + 1 : sizeof value, v));
        buf_addc(b, ']');
        at += n + (at[n] == '\n');
    }
    buf_addc(b, ']');
}

/* The request as the last attempt sent it, signatures masked. false: it cannot be rendered any
 * more. */
static bool render(const struct dead_letter *l, const struct subscription *s, int64_t sent_ms,
                   struct buf *body, struct buf *headers)
{
    const struct profile *p = profile_find(s->profile);
    struct message_attempt attempt = {
        .n = l->delivery.attempts > 0 ? l->delivery.attempts : 1, .sent_ms = sent_ms, .mask = true};

    return p && l->event.payload &&
           message_render(p, &l->event, s, &attempt, body, headers, NULL) == OK;
}

static void put_request(struct api_call *c, const struct dead_letter *l,
                        const struct subscription *s, int64_t sent_ms)
{
    struct buf *b = &c->resp->body;
    struct buf body, headers;
    buf_init(&body, RENDERED_MAX_BYTES);
    buf_init(&headers, 1 << 20);
    if (render(l, s, sent_ms, &body, &headers)) {
        put_open(b, "request", '{');
        put_str(b, "method", "POST");
        put_str(b, "url", l->sub_url);
        put_headers(b, &headers);
        put_bytes(b, "body", body.data ? body.data : "", body.len);
        buf_addc(b, '}');
    } else {
        put_null(b, "request");
    }
    buf_fini(&body);
    buf_fini(&headers);
}

enum err_code h_dead_get(struct api_call *c)
{
    struct dead_letter l;
    struct attempt *log = NULL;
    struct subscription s = {0};
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = letter_of_ref(c, &l);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, l.delivery.num, c->mem, &log, &n, c->err);
    if (rc != OK)
        return rc;
    rc = c->ops->sub_get_num(c->b, l.sub_num, c->mem, &s, c->err);
    if (rc != OK && rc != ERR_NOT_FOUND)
        return rc;
    bool known = rc == OK;
    render_letter(b, &l);
    put_str(b, "url", l.sub_url);
    render_event(b, "event", &l.event);
    if (api_param_true(c, "payload"))
        render_payload(b, &l.event);
    buf_addc(b, '}');
    if (known)
        put_request(c, &l, &s, n ? log[n - 1].started_ms : l.died_ms);
    else
        put_null(b, "request");
    put_open(b, "attempt_log", '[');
    for (size_t i = 0; i < n; i++)
        render_attempt(b, &log[i]);
    buf_addc(b, ']');
    render_subscription_now(b, known ? &s : NULL);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}

/* ---- purge, a slice a call ---- */

struct purge {
    struct api_filter f;
    bool first;
    const char *note;
};

static enum err_code purge_read(struct api_call *c, struct purge *p)
{
    static const char *const names[] = {"filter", "confirm", "cursor", "until", "note", NULL};
    const char *cursor = NULL;
    const json_t *until = json_object_get(c->body, "until");
    json_t *filter = json_object_get(c->body, "filter");
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_text(c, "cursor", &cursor);
    if (rc == OK)
        rc = api_member_text(c, "note", &p->note);
    if (rc == OK)
        rc = api_filter_of_call(c, filter, API_FILTER_DEAD, &p->f);
    if (rc != OK)
        return rc;
    if (!p->f.narrows && !p->f.all)
        return api_refuse(c, 422, "filter_required", "filter",
                          "filter: empty: give ids or a filter, or \"all\": true");
    if (p->f.paged)
        return api_refuse(c, 422, "invalid_filter", "filter",
                          "filter: limit and cursor are for lists");
    p->first = json_object_get(c->body, "confirm") != NULL;
    if (!p->first && !cursor)
        return api_refuse(c, 422, "confirm_required", "confirm",
                          "confirm: give the number of letters that are to be purged");
    if (cursor && !api_cursor_read(cursor, &p->f.f.after_ms, &p->f.f.after_num))
        return api_refuse(c, 422, "invalid_member", "cursor", "cursor: not one that purge gave");
    if (until && !p->f.f.until_ms && !api_time_of(until, &p->f.f.until_ms))
        return api_refuse(c, 422, "invalid_member", "until", "until: not a time");
    if (!p->f.f.until_ms) /* the set is fixed now: later deaths are not in it */
        p->f.f.until_ms = c->now_ms + 1;
    p->f.f.newest_first = false;
    p->f.f.limit = API_SLICE;
    return OK;
}

static enum err_code purge_confirm(struct api_call *c, const struct purge *p)
{
    const json_t *confirm = json_object_get(c->body, "confirm");
    struct filter whole = p->f.f;
    int64_t count = 0, bytes = 0;
    struct buf detail;
    whole.after_ms = whole.after_num = 0;
    if (!json_is_integer(confirm))
        return api_refuse(c, 422, "invalid_member", "confirm", "confirm: not a number");
    enum err_code rc = c->ops->dead_count(c->b, &whole, &count, &bytes, c->err);
    if (rc != OK)
        return rc;
    if (count != json_integer_value(confirm))
        return api_refuse(c, 409, "count_differs", "confirm",
                          "%lld dead letters match, not %lld; nothing was changed",
                          (long long)count, (long long)json_integer_value(confirm));
    buf_init(&detail, 1 << 20);
    put_open(&detail, NULL, '{');
    put_int(&detail, "count", count);
    put_str(&detail, "note", p->note);
    api_filter_write(&p->f, "filter", &detail);
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, "dead_letter.purge", NULL, detail.data);
    buf_fini(&detail);
    return rc;
}

enum err_code h_dead_purge(struct api_call *c)
{
    struct purge p = {0};
    struct dead_letter *rows = NULL;
    struct buf *b = &c->resp->body;
    char cursor[64];
    size_t n = 0, purged = 0;
    enum err_code rc = purge_read(c, &p);
    if (rc == OK && p.first)
        rc = purge_confirm(c, &p);
    if (rc == OK)
        rc = c->ops->dead_list(c->b, &p.f.f, c->mem, &rows, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct settled out = {0};
        rc = c->ops->dead_purge(c->b, rows[i].delivery.num, 0, 0, c->now_ms, &out, c->err);
        if (rc == OK)
            rc = api_deed(c, rows[i].delivery.num, DEED_PURGED);
        purged += rc == OK;
        if (rc == OK && out.next_due_ms)
            changes_wake(&c->resp->changes, rows[i].sub_num, out.next_due_ms);
        if (rc == ERR_STALE || rc == ERR_NOT_FOUND)
            rc = OK;
    }
    if (rc != OK)
        return rc;
    c->resp->changes.discarded += (int64_t)purged;
    bool more = n == API_SLICE;
    if (more)
        api_cursor_write(cursor, rows[n - 1].died_ms, rows[n - 1].delivery.num);
    put_open(b, NULL, '{');
    put_int(b, "purged", (int64_t)purged);
    put_bool(b, "more", more);
    put_str(b, "cursor", more ? cursor : NULL);
    put_time(b, "until", p.f.f.until_ms);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}
