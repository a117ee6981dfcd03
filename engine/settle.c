/* engine/settle.c: facts in, policy's verdict, one settlement out. The only writer of judgements
 * (house rule 1).
 *
 *   SENDING --facts--> verdict_judge --> SETTLING --commit--> task freed
 *                                            | store full or disk full
 *                                            v
 *                                        UNSETTLED --a moment later--> SETTLING
 *
 * A settlement that is lost (crash) costs a duplicate attempt, never the delivery: it is still
 * ready in the store. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dice.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"
#include "policy/verdict.h"

/* policy may not include store: the closed lists stand in both and must agree. */
#define SAME(a, b) _Static_assert((int)(a) == (int)(b), "lists differ")
SAME(FACT_SUCCESS, OUTCOME_SUCCESS);
SAME(FACT_HTTP_3XX, OUTCOME_HTTP_3XX);
SAME(FACT_HTTP_4XX, OUTCOME_HTTP_4XX);
SAME(FACT_HTTP_429, OUTCOME_HTTP_429);
SAME(FACT_HTTP_5XX, OUTCOME_HTTP_5XX);
SAME(FACT_TIMEOUT, OUTCOME_TIMEOUT);
SAME(FACT_DNS, OUTCOME_DNS);
SAME(FACT_CONNECT, OUTCOME_CONNECT);
SAME(FACT_TLS, OUTCOME_TLS);
SAME(FACT_RESET, OUTCOME_RESET);
SAME(FACT_BLOCKED, OUTCOME_BLOCKED);
SAME(FACT_INTERNAL, OUTCOME_INTERNAL);
SAME(FACT_INTERNAL, OUTCOMES - 1); /* none is missing above */
SAME(VERDICT_NONE, CAUSE_NONE);
SAME(VERDICT_RETRIES_EXHAUSTED, CAUSE_RETRIES_EXHAUSTED);
SAME(VERDICT_PERMANENT_FAILURE, CAUSE_PERMANENT_FAILURE);
SAME(VERDICT_GONE, CAUSE_GONE);
SAME(VERDICT_INVALID_ENDPOINT, CAUSE_INVALID_ENDPOINT);
SAME(VERDICT_ENDPOINT_DOWN, CAUSE_ENDPOINT_DOWN);
SAME(VERDICT_EXPIRED, CAUSE_EXPIRED);

enum { BODY_KEPT_OF_SUCCESS = 512 };

/* ---- a change of the subscription that an answer asked for: 410, or the breaker ---- */
struct sub_change {
    struct scheduler *scheduler;
    int64_t sub;
    bool disable;            /* else: whether its breaker is open */
    char *url;               /* disable: the one that is gone; owned */
    int64_t broken_since_ms; /* as of the submission */
    struct sub_change *next; /* in scheduler->unwritten */
};

static void sub_change_free(struct sub_change *c)
{
    free(c->url);
    free(c);
}

static enum err_code sub_change_work(struct backend *b, void *arg, struct err *err)
{
    struct sub_change *c = arg;
    struct arena arena;
    struct subscription row;

    arena_init(&arena);
    enum err_code rc = b->ops->sub_get_num(b, c->sub, &arena, &row, err);
    /* Who has moved it elsewhere meanwhile does not want the old place's word to count. */
    bool elsewhere = rc == OK && c->disable && strcmp(row.url, c->url) != 0;
    if (rc == OK && row.state != SUB_DELETED && !elsewhere) {
        if (c->disable) {
            row.state = SUB_DISABLED;
            row.state_cause = "gone";
            row.state_since_ms = row.updated_ms = clock_store_ms();
        } else {
            row.broken_since_ms = c->broken_since_ms;
        }
        rc = b->ops->sub_update(b, &row, err);
    }
    if (rc == OK && c->disable && !elsewhere) {
        char target[ID_TEXT_MAX];
        struct audit_entry entry = {
            .num = id_next(intake_ids(c->scheduler->parts.intake), row.updated_ms),
            .actor = "webhookd",
            .action = "subscription.disable",
            .target = id_text(target, "sub", c->sub),
            .detail = "{\"cause\":\"gone\",\"status\":410}",
            .created_ms = row.updated_ms};
        rc = b->ops->audit_put(b, &entry, err);
    }
    arena_fini(&arena);
    return rc;
}

/* A breaker that the store believes open although it closed would let the sweep bury what is on its
 * way; a 410 that is forgotten at a restart is asked for again. So a change is never given up. */
static void sub_change_keep(struct sub_change *c)
{
    c->next = c->scheduler->unwritten;
    c->scheduler->unwritten = c;
    scheduler_try_again(c->scheduler, 1000);
}

static void sub_change_done(void *arg, const struct err *err, int64_t generation)
{
    struct sub_change *c = arg;

    (void)generation;
    if (err->code != OK && err->code != ERR_NOT_FOUND) {
        log_error("store_error", "op=sub_change code=%s error=%s", err_code_name(err->code),
                  err->text);
        sub_change_keep(c);
        return;
    }
    lanes_reload(c->scheduler, c->sub);
    sub_change_free(c);
}

/* What is written is the breaker's state of now: of several changes under way, whichever order
 * they come through in, the last one is true. */
static void sub_change_submit(struct sub_change *c)
{
    const struct lane *l = lanes_find(c->scheduler, c->sub);

    if (l != NULL)
        c->broken_since_ms = l->breaker.state != BREAKER_CLOSED ? l->breaker.opened_ms : 0;
    if (store_submit(c->scheduler->parts.store, STORE_WRITE, STORE_GUARDED, sub_change_work,
                     sub_change_done, c) != OK)
        sub_change_keep(c);
}

/* gone: the URL that is; NULL: the breaker opened or closed. */
static void sub_change(struct scheduler *s, int64_t sub, const char *gone)
{
    struct sub_change *c = calloc(1, sizeof *c);
    char *url = gone != NULL ? strdup(gone) : NULL;

    if (c == NULL || (gone != NULL && url == NULL)) {
        log_error("out_of_memory", "at=settle");
        free(c);
        free(url);
        return;
    }
    *c = (struct sub_change){.scheduler = s, .sub = sub, .disable = gone != NULL, .url = url};
    sub_change_submit(c);
}

/* ---- what the lane learns ---- */
static void breaker_learn(struct lane *l, const struct breaker_policy *p, const struct verdict *v,
                          const struct task *t, int64_t now_ms)
{
    if (l->breaker.state != BREAKER_CLOSED && !t->probe)
        return; /* a straggler from before it opened proves nothing */
    if (v->endpoint_failure) {
        breaker_failed(&l->breaker, p, t->row->delivery.num, now_ms);
    } else if (v->endpoint_success) {
        breaker_succeeded(&l->breaker);
    } else if (t->probe) { /* a 429 says neither: ask again, but not at once */
        breaker_probe_returned(&l->breaker);
        if (l->wait_until_ms < now_ms + p->probe_interval_ms)
            l->wait_until_ms = now_ms + p->probe_interval_ms;
    }
    if (t->probe)
        l->probing = false;
}

static void lane_learn(struct scheduler *s, struct lane *l, const struct verdict *v,
                       const struct task *t, int64_t now_ms)
{
    enum breaker_state before = l->breaker.state;

    if (v->lane_wait_until_ms > l->wait_until_ms)
        l->wait_until_ms = v->lane_wait_until_ms;
    if (task_is_first(t))
        return; /* somebody looks: no traffic */
    if (v->endpoint_failure)
        window_failed(&l->window);
    else if (v->endpoint_success)
        window_succeeded(&l->window);
    if (l->row.job == 0) /* copies are tried once each: nothing is saved by holding them */
        breaker_learn(l, &s->conf->breaker, v, t, now_ms);
    if (before == BREAKER_CLOSED && l->breaker.state == BREAKER_OPEN) {
        log_warn("circuit_opened", "sub=%s failures=%d", l->row.name, l->breaker.failures);
        lanes_hold_queue(s, l);
        l->row.broken_since_ms = now_ms;
        sub_change(s, l->sub, NULL);
    } else if (before != BREAKER_CLOSED && l->breaker.state == BREAKER_CLOSED) {
        log_info("circuit_closed", "sub=%s", l->row.name);
        window_reopen(&l->window);
        l->row.broken_since_ms = 0;
        sub_change(s, l->sub, NULL);
    }
}

/* ---- the settlement ---- */
/* Where it stands in the task's text: an offset, because the text may still move. */
static size_t keep(struct task *t, const void *bytes, size_t n)
{
    size_t at = t->text.len;

    buf_add(&t->text, bytes, n);
    buf_addc(&t->text, '\0');
    return at;
}

static void attempt_fill(struct task *t, const struct transport_facts *f)
{
    struct attempt *a = &t->settlement.attempt;
    const struct delivery *d = &t->row->delivery;
    size_t body = f->body_bytes;

    if (f->outcome == OUTCOME_SUCCESS && body > BODY_KEPT_OF_SUCCESS)
        body = BODY_KEPT_OF_SUCCESS;
    *a = (struct attempt){
        .delivery = d->num,
        .n = d->attempts + 1,
        .started_ms = f->started_ms,
        .duration_us = f->duration_us,
        .dns_us = f->dns_us,
        .connect_us = f->connect_us,
        .tls_us = f->tls_us,
        .wait_us = f->wait_us,
        .transfer_us = f->transfer_us,
        .outcome = f->outcome,
        .status = f->status,
        .job = d->budget_start == d->attempts ? d->job : 0,
        .response_truncated = f->truncated || body < f->body_bytes,
        .response_body_bytes = body,
    };
    buf_clear(&t->text);
    size_t address = f->address != NULL ? keep(t, f->address, strlen(f->address)) : 0;
    size_t error = f->error != NULL ? keep(t, f->error, strlen(f->error)) : 0;
    size_t head = f->head_bytes > 0 ? keep(t, f->head, f->head_bytes) : 0;
    size_t rest = body > 0 ? keep(t, f->body, body) : 0;
    if (t->text.failed) { /* no memory for words: the facts must do */
        a->response_body_bytes = 0;
        return;
    }
    const char *text = t->text.data;
    a->address = f->address != NULL ? text + address : NULL;
    a->error = f->error != NULL ? text + error : NULL;
    a->response_head = f->head_bytes > 0 ? text + head : NULL;
    a->response_body = body > 0 ? text + rest : NULL;
}

static void attempt_log(const struct task *t)
{
    const struct settlement *st = &t->settlement;
    const struct attempt *a = &st->attempt;
    char id[ID_TEXT_MAX];

    if (st->has_attempt && a->outcome != OUTCOME_SUCCESS) {
        double retry_s = st->to == SETTLE_RETRY ? (double)(st->due_ms - st->now_ms) / 1000.0 : 0.0;

        log_warn(
            "attempt_failed",
            "delivery=%s evt=%s sub=%s n=%d outcome=%s status=%d dur=%.3f retry_in=%.3f error=%s",
            id_text(id, "dlv", st->delivery), t->row->event.id, t->lane->row.name, a->n,
            outcome_name(a->outcome), a->status, (double)a->duration_us / 1e6, retry_s, a->error);
    } else if (st->has_attempt) {
        log_debug("attempt_ok", "delivery=%s evt=%s sub=%s n=%d status=%d dur=%.3f",
                  id_text(id, "dlv", st->delivery), t->row->event.id, t->lane->row.name, a->n,
                  a->status, (double)a->duration_us / 1e6);
    }
    if (st->to == SETTLE_DEAD && !t->row->delivery.trial)
        log_warn("delivery_dead", "delivery=%s evt=%s sub=%s cause=%s attempts=%d",
                 id_text(id, "dlv", st->delivery), t->row->event.id, t->lane->row.name,
                 cause_name(st->cause), t->row->delivery.attempts + (st->has_attempt ? 1 : 0));
}

static enum err_code settle_work(struct backend *b, void *arg, struct err *err)
{
    struct task *t = arg;

    memset(&t->settled, 0, sizeof t->settled);
    t->late = false;
    enum err_code rc = b->ops->settle(b, &t->settlement, t->dead_expires_ms, &t->settled, err);
    if (rc != ERR_STALE || !t->settlement.has_attempt)
        return rc;
    /* Its end (a deletion, max_hold) overtook the attempt, which took place all the same (G4). */
    t->late = true;
    return b->ops->attempt_late(b, &t->settlement.attempt, err);
}

static void settled_metrics(struct scheduler *s, const struct task *t)
{
    const struct settlement *st = &t->settlement;

    if (t->row->delivery.trial) /* somebody tries an endpoint: no traffic */
        return;
    if (st->has_attempt)
        metrics_attempt(s->parts.metrics, &st->attempt,
                        t->row->delivery.attempts == 0 ? METRICS_FIRST
                        : st->attempt.job != 0         ? METRICS_REPLAY
                                                       : METRICS_RETRY);
    traffic_settled(s->parts.traffic, &t->lane->traffic, st->sub,
                    st->has_attempt ? &st->attempt : NULL, t->moves == t->lane->moves,
                    !t->late && st->to == SETTLE_DEAD, st->now_ms);
    if (t->late)
        return;
    if (st->to == SETTLE_DELIVERED) {
        pace_count(&s->pace, clock_mono_ms());
        int64_t answered_ms = st->attempt.started_ms + st->attempt.duration_us / 1000;

        metrics_completed(s->parts.metrics, DELIVERY_DELIVERED, CAUSE_NONE,
                          answered_ms - t->row->event.created_ms);
    } else if (st->to == SETTLE_DEAD) {
        metrics_completed(s->parts.metrics, DELIVERY_DEAD, st->cause, -1);
    }
}

static void settle_done(void *arg, const struct err *err, int64_t generation)
{
    struct task *t = arg;
    struct lane *l = t->lane;
    struct scheduler *s = l->scheduler;
    const struct settlement *st = &t->settlement;

    s->settling--;
    if (err->code != OK && err->code != ERR_STALE && err->code != ERR_NOT_FOUND) {
        if (s->unsettled_n++ == 0) {
            log_error("store_error", "op=settle code=%s error=%s", err_code_name(err->code),
                      err->text);
            scheduler_try_again(s, 1000);
        }
        task_move(t, TASK_UNSETTLED);
        return;
    }
    if (err->code == OK)
        settled_metrics(s, t);
    int64_t due_ms = err->code == OK && !t->late && st->to == SETTLE_RETRY ? st->due_ms : 0;
    if (l->claiming && !lane_ghost_add(l, st->delivery, generation))
        log_error("out_of_memory", "at=settle");
    lane_saw_due(l, due_ms);
    lane_saw_due(l, t->settled.next_due_ms);
    if (t->settled.job != 0 && s->parts.jobs_changed != NULL)
        s->parts.jobs_changed(s->parts.arg);
    scheduler_forget(s, l, &l->busy, t);
    if (l->row.state == SUB_DELETED && l->busy.n == 0)
        lanes_reload(s, l->sub); /* the lane goes when its last one is settled */
    else
        scheduler_touch(s, l);
    scheduler_maybe_idle(s);
}

/* Others wait for this settlement: the next one of its ordering key, all of a lane that may not have
 * more in doubt, or rows for which there is no room in memory. */
static bool is_waited_for(const struct task *t)
{
    const struct lane *l = t->lane;

    return t->row->event.ordering_key != NULL || l->busy.n >= (size_t)l->max_in_flight ||
           claim_waits(l->scheduler);
}

static void settle_submit(struct scheduler *s, struct task *t)
{
    unsigned flags = STORE_RECORD | (is_waited_for(t) ? 0 : STORE_LINGER);

    task_move(t, TASK_SETTLING);
    s->settling++;
    if (store_submit(s->parts.store, STORE_WRITE, flags, settle_work, settle_done, t) == OK)
        return;
    s->settling--;
    task_move(t, TASK_UNSETTLED);
    if (s->unsettled_n++ == 0)
        scheduler_try_again(s, 50);
}

void settle_forget(struct scheduler *s)
{
    while (s->unwritten != NULL) {
        struct sub_change *next = s->unwritten->next;

        sub_change_free(s->unwritten);
        s->unwritten = next;
    }
}

void settle_again(struct scheduler *s)
{
    struct sub_change *c = s->unwritten;

    s->unwritten = NULL;
    while (c != NULL) {
        struct sub_change *next = c->next;

        sub_change_submit(c);
        c = next;
    }
    s->unsettled_n = 0;
    for (size_t i = 0; i < s->lanes_n; i++)
        for (struct task *t = s->lanes[i]->busy.first; t != NULL; t = t->next)
            if (t->state == TASK_UNSETTLED)
                settle_submit(s, t);
}

static void settle_begin(struct scheduler *s, struct task *t, enum settle_to to, int64_t now_ms)
{
    struct settlement *st = &t->settlement;

    st->delivery = t->row->delivery.num;
    st->sub = t->lane->sub;
    st->seen = t->row;
    st->to = to;
    st->now_ms = now_ms;
    t->dead_expires_ms = now_ms + s->conf->dead_retention_ms;
}

void settle_attempt(struct scheduler *s, struct task *t, const struct transport_facts *f)
{
    struct lane *l = t->lane;
    const struct delivery *d = &t->row->delivery;
    int64_t now_ms = clock_store_ms();
    struct verdict v;
    struct verdict_facts facts = {
        .outcome = (enum fact_outcome)f->outcome,
        .status = f->status,
        .cut = f->cut,
        .literal_refused = f->literal_refused,
        .expires_ms = t->row->event.expires_ms,
        .retry = {.failed = d->attempts + 1 - d->budget_start,
                  .max = d->budget_max,
                  .since_ms = d->budget_since_ms,
                  .now_ms = now_ms,
                  .hint_ms = f->retry_after_ms,
                  .dice = dice_u32()},
    };

    verdict_judge(l->retry, &facts, &v);
    settle_begin(s, t,
                 v.kind == VERDICT_DELIVERED ? SETTLE_DELIVERED
                 : v.kind == VERDICT_RETRY   ? SETTLE_RETRY
                                             : SETTLE_DEAD,
                 now_ms);
    attempt_fill(t, f);
    task_give_body(&s->tasks, t);
    t->settlement.has_attempt = true;
    t->settlement.due_ms = v.kind == VERDICT_RETRY ? v.next_ms : 0;
    t->settlement.attempt.next_ms = t->settlement.due_ms;
    t->settlement.cause = (enum cause)v.cause;
    attempt_log(t);
    l->in_flight--;
    s->in_flight--;
    depth_ended(&s->depth);
    share_trim(&s->share, s->in_flight);
    s->in_flight_retrying -= t->row->delivery.attempts > 0;
    /* What an endpoint says that the subscription has left meanwhile is about nobody any more. */
    bool here = t->moves == l->moves;
    if (here)
        lane_learn(s, l, &v, t, now_ms);
    /* It was gone when somebody tried it, and is: no news. Of a test endpoint it is an answer. */
    bool known = (task_is_first(t) && l->row.state == SUB_DISABLED) || l->row.job != 0;
    if (here && v.disable && !known) {
        log_warn("sub_disabled", "sub=%s cause=gone status=%d", l->row.name, f->status);
        l->row.state = SUB_DISABLED;
        lanes_hold_queue(s, l);
        sub_change(s, l->sub, l->row.url);
    }
    settle_submit(s, t);
    scheduler_touch(s, l);
    scheduler_kick(s);
}

void settle_without_attempt(struct scheduler *s, struct task *t, enum cause cause)
{
    struct lane *l = t->lane;

    task_list_remove(&l->queue, t);
    task_list_add(&l->busy, t);
    memset(&t->settlement.attempt, 0, sizeof t->settlement.attempt);
    t->settlement.has_attempt = false;
    t->settlement.cause = cause;
    t->settlement.due_ms = 0;
    settle_begin(s, t, SETTLE_DEAD, clock_store_ms());
    attempt_log(t);
    settle_submit(s, t);
}
