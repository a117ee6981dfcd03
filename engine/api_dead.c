/* engine/api_dead.c: one dead letter with all that is known. (Lists, counts, groups: api_look.c. Purge,
 * restore, notes: api_purge.c. Replay: api_jobs.c. Export and import: api_transfer.c.) */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/api_request.h"

/* ---- one letter ---- */

/* By whom, when, and how it comes back, as far as that is known. */
static enum err_code purged(struct api_call *c, const char *ref, const struct delivery *d)
{
    char id[ID_TEXT_MAX], job[ID_TEXT_MAX], at[TEXT_TIME_MAX], until[TEXT_TIME_MAX];
    const struct deed *last = NULL;
    struct deed *deeds = NULL;
    struct job j = {0};
    size_t n = 0;
    enum err_code rc = c->ops->deed_list(c->b, d->num, c->mem, &deeds, &n, c->err);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (deeds[i].kind == DEED_PURGED)
            last = &deeds[i];
    id_text(id, "dlv", d->num);
    if (!last)
        return api_refuse(c, 404, "not_found", NULL,
                          "no dead letter '%.140s': delivery %s is discarded", ref, id);
    text_time(at, last->at_ms);
    if (last->job)
        rc = c->ops->job_get(c->b, last->job, c->mem, &j, c->err);
    if (rc != OK && rc != ERR_NOT_FOUND)
        return rc;
    if (!last->job || rc == ERR_NOT_FOUND)
        return api_refuse(c, 404, "not_found", NULL,
                          "no dead letter '%.140s': delivery %s was purged %s by %s", ref, id, at,
                          last->actor ? last->actor : "a job that is forgotten");
    id_text(job, "job", j.num);
    if (j.until_ms <= c->now_ms)
        return api_refuse(c, 404, "not_found", NULL,
                          "no dead letter '%.140s': delivery %s was purged %s by %s and is erased",
                          ref, id, at, job);
    return api_refuse(
        c, 404, "not_found", NULL,
        "no dead letter '%.140s': delivery %s was purged %s by %s; until %s all that it "
        "purged comes back with: webhookctl dlq restore %s",
        ref, id, at, job, text_time(until, j.until_ms), job);
}

/* Whoever looks for a letter that was replayed wants to know what became of it. */
enum err_code letter_not_dead(struct api_call *c, const char *ref, int64_t num)
{
    struct filter f = {.event_ids = &ref, .event_ids_n = 1, .limit = 1};
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
        return api_refuse(c, 404, "not_found", NULL, "%s",
                          api_nobody(c->b, API_KIND_LETTER, ref, c->mem));
    if (d.state == DELIVERY_DISCARDED)
        return purged(c, ref, &d);
    id_text(id, "dlv", d.num);
    if (d.state == DELIVERY_DEAD) {
        struct dead_letter l;
        rc = c->ops->dead_get(c->b, d.num, c->mem, &l, c->err);
        return rc != OK ? rc
                        : api_refuse(c, 404, "not_found", NULL,
                                     "%s is a dead letter of %s, type %s: the rest of the filter "
                                     "leaves it out",
                                     id, l.sub_name ? l.sub_name : "-", l.event.type);
    }
    return api_refuse(
        c, 404, "not_found", NULL,
        "no dead letter '%.140s': delivery %s is %s; look: webhookctl delivery show %s", ref, id,
        delivery_state_name(d.state), id);
}

enum err_code letter_of_ref(struct api_call *c, struct dead_letter *l)
{
    int64_t num;
    if (!id_parse(c->ref, "dlv", &num)) {
        struct filter f = {
            .event_ids = &c->ref, .event_ids_n = 1, .limit = 2, .with_expired = true};
        const char *sub = json_string_value(json_object_get(c->query, "subscription"));
        struct subscription s;
        struct dead_letter *rows = NULL;
        char a[ID_TEXT_MAX], b[ID_TEXT_MAX];
        size_t n = 0;
        enum err_code rc = sub ? c->ops->sub_get(c->b, sub, c->mem, &s, c->err) : OK;
        if (rc == ERR_NOT_FOUND)
            return api_refuse(c, 404, "not_found", "subscription", "%s",
                              api_nobody(c->b, API_KIND_SUBSCRIPTION, sub, c->mem));
        f.subs = &s.num;
        f.subs_n = sub ? 1 : 0;
        if (rc == OK)
            rc = c->ops->dead_list(c->b, &f, c->mem, &rows, &n, c->err);
        if (rc != OK)
            return rc;
        if (n > 1)
            return api_refuse(c, 409, "ambiguous", NULL,
                              "event %.140s has several dead letters, for instance %s and %s: name "
                              "one of them, or its subscription",
                              c->ref, id_text(a, "dlv", rows[0].delivery.num),
                              id_text(b, "dlv", rows[1].delivery.num));
        num = n ? rows[0].delivery.num : 0;
    }
    enum err_code rc = num ? c->ops->dead_get(c->b, num, c->mem, l, c->err) : ERR_NOT_FOUND;
    const char *sub = json_string_value(json_object_get(c->query, "subscription"));
    struct subscription s;
    char id[ID_TEXT_MAX];
    if (rc == OK && sub &&
        (c->ops->sub_get(c->b, sub, c->mem, &s, c->err) != OK || s.num != l->sub_num))
        return api_refuse(c, 404, "not_found", "subscription",
                          "%s is a dead letter of %s, type %s, not of '%.140s'",
                          id_text(id, "dlv", num), l->sub_name ? l->sub_name : "-", l->event.type,
                          sub);
    return rc == ERR_NOT_FOUND || rc == ERR_STALE ? letter_not_dead(c, c->ref, num) : rc;
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
    put_sha256(b, "payload_sha256", l.event.payload, l.event.payload_bytes);
    int last = l.delivery.attempts > 0 ? l.delivery.attempts : 1;
    put_request_sent(c, &l.event, l.sub_url, known ? &s : NULL, last,
                     n ? log[n - 1].started_ms : l.died_ms);
    if (api_param_true(c, "curl"))
        put_request_now(c, &l.event, known ? &s : NULL, l.delivery.attempts + 1);
    put_open(b, "attempt_log", '[');
    for (size_t i = 0; i < n; i++)
        render_attempt(b, &log[i]);
    buf_addc(b, ']');
    render_subscription_now(b, known ? &s : NULL);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}
