/* engine/api_dead.c: one dead letter with all that is known. (Lists, counts, groups: api_look.c. Purge,
 * restore, notes: api_purge.c. Replay: api_jobs.c. Export and import: api_transfer.c.) */
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

enum err_code letter_of_ref(struct api_call *c, struct dead_letter *l)
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
