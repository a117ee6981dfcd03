/* engine/delivery.c: one attempt: render (message.c), send (transport.h), hand the facts to
 * settle.c. */
#include "base/clock.h"
#include "base/dice.h"
#include "base/log.h"
#include "engine/message.h"
#include "engine/scheduler_impl.h"

static void delivery_done(void *arg, const struct transport_facts *facts)
{
    struct task *t = arg;

    settle_attempt(t->lane->scheduler, t, facts);
}

/* What an envelope adds to the strings of a row, about. */
enum { ENVELOPE_BYTES = 1024 };

/* headers: those of one request; transport_send() copies them. */
static enum err_code render(struct task *t, struct buf *headers, int64_t now_wall_ms,
                            struct err *err)
{
    const struct lane *l = t->lane;
    struct message_attempt attempt = {.n = t->row->delivery.attempts + 1, .sent_ms = now_wall_ms};

    dice_bytes(attempt.random, sizeof attempt.random);
    buf_clear(headers);
    buf_reserve(&t->body, t->row->bytes + ENVELOPE_BYTES);
    return message_render(l->profile, &t->row->event, &l->row, &attempt, &t->body, headers, err);
}

static void sending(struct scheduler *s, struct task *t)
{
    struct lane *l = t->lane;

    task_move(t, TASK_SENDING);
    t->probe = l->probing && !task_is_first(t);
    t->moves = l->moves;
    task_list_remove(&l->queue, t);
    task_list_add(&l->busy, t);
    l->in_flight++;
    s->in_flight++;
    s->in_flight_retrying += t->row->delivery.attempts > 0;
}

static bool shed(struct scheduler *s, struct task *t, const struct err *why)
{
    log_warn("overload_shed", "sub=%s error=%s", t->lane->row.name, why->text);
    task_give_body(&s->tasks, t);
    return false;
}

bool delivery_start(struct scheduler *s, struct task *t)
{
    struct lane *l = t->lane;
    int64_t now_wall_ms = clock_wall_ms();
    struct err err;

    task_take_body(&s->tasks, t);
    enum err_code rc = render(t, &s->headers, now_wall_ms, &err);
    if (rc == ERR_INVALID) {
        const struct transport_facts unsendable = {.outcome = OUTCOME_INTERNAL,
                                                   .started_ms = now_wall_ms,
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
    if (rc != OK)
        return shed(s, t, &err);
    struct transport_request r = {
        .lane = l->sub,
        .url = l->row.url,
        .headers = s->headers.data,
        .body = t->body.data,
        .body_bytes = t->body.len,
        .started_ms = now_wall_ms,
        .timeout_ms = l->timeout_ms,
        .connect_timeout_ms = s->conf->connect_timeout_ms,
    };
    rc = transport_send(s->parts.transport, &r, delivery_done, t, &err);
    if (rc != OK)
        return shed(s, t, &err);
    claimed_drop_payload(t->row); /* the body has it; a retry claims the row again */
    task_weigh(&s->tasks, t);
    sending(s, t);
    if (t->row->delivery.attempts == 0 && !t->row->delivery.trial)
        metrics_pickup(s->parts.metrics, now_wall_ms - t->row->event.created_ms);
    return true;
}
