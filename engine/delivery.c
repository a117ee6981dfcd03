/* engine/delivery.c: one attempt: render (policy/profile signs), send (engine/transport), hand the
 * facts to settle. */
#include <string.h>

#include "base/clock.h"
#include "base/dice.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

enum { KEYS_MAX = 8 };

static void delivery_done(void *arg, const struct transport_facts *facts)
{
    struct task *t = arg;

    settle_attempt(t->lane->scheduler, t, facts);
}

static enum err_code render(struct task *t, struct err *err)
{
    const struct lane *l = t->lane;
    const struct event_rec *e = &t->row->event;
    struct profile_event event = {
        .id = e->id,
        .type = e->type,
        .payload = e->payload,
        .payload_bytes = e->payload_bytes,
        .correlation_id = e->correlation_id,
        .source = e->source,
        .version = e->version,
        .attributes = e->attributes,
        .created_ms = e->created_ms,
    };
    struct profile_key keys[KEYS_MAX];
    size_t keys_n = 0;
    int64_t now_ms = clock_wall_ms();
    uint8_t random[32];

    for (size_t i = 0; i < l->row.secrets_n && keys_n < KEYS_MAX; i++)
        if (l->row.secrets[i].expires_ms == 0 || l->row.secrets[i].expires_ms > now_ms)
            keys[keys_n++].value = l->row.secrets[i].value;
    dice_bytes(random, sizeof random);
    struct profile_input in = {
        .event = &event,
        .keys = keys,
        .keys_n = keys_n,
        .bearer = l->row.bearer,
        .headers = l->row.headers,
        .user_agent = "webhookd/" WEBHOOKD_VERSION,
        .attempt = t->row->delivery.attempts + 1,
        .now_wall_ms = now_ms,
        .random = random,
    };
    buf_clear(&t->body);
    buf_clear(&t->headers);
    return profile_render(l->profile, &in, &t->body, &t->headers, err);
}

static void sending(struct scheduler *s, struct task *t)
{
    struct lane *l = t->lane;

    task_move(t, TASK_SENDING);
    t->probe = l->probing;
    task_list_remove(&l->queue, t);
    task_list_add(&l->busy, t);
    l->in_flight++;
    s->in_flight++;
}

bool delivery_start(struct scheduler *s, struct task *t)
{
    struct lane *l = t->lane;
    struct err err;

    enum err_code rc = render(t, &err);
    if (rc == ERR_INVALID) {
        const struct transport_facts unsendable = {.outcome = OUTCOME_INTERNAL,
                                                   .started_ms = clock_wall_ms(),
                                                   .dns_us = -1,
                                                   .connect_us = -1,
                                                   .tls_us = -1,
                                                   .wait_us = -1,
                                                   .transfer_us = -1,
                                                   .retry_after_ms = -1,
                                                   .error = err.text};
        log_error("attempt_blocked", "sub=%s error=%s", l->row.name, err.text);
        sending(s, t);
        settle_attempt(s, t, &unsendable);
        return true;
    }
    if (rc != OK) {
        log_warn("overload_shed", "sub=%s error=%s", l->row.name, err.text);
        return false;
    }
    struct transport_request r = {
        .lane = l->sub,
        .url = l->row.url,
        .headers = t->headers.data,
        .body = t->body.data,
        .body_bytes = t->body.len,
        .timeout_ms = l->timeout_ms,
        .connect_timeout_ms = s->conf->connect_timeout_ms,
    };
    rc = transport_send(s->parts.transport, &r, delivery_done, t, &err);
    if (rc != OK) {
        log_warn("overload_shed", "sub=%s error=%s", l->row.name, err.text);
        return false;
    }
    sending(s, t);
    if (t->row->delivery.attempts == 0)
        metrics_pickup(s->parts.metrics, clock_wall_ms() - t->row->event.created_ms);
    return true;
}
