/* test/conformance/dump.h: everything that a store shows, as text: two stores that were asked the
 * same must print the same. */
#ifndef TEST_CONFORMANCE_DUMP_H
#define TEST_CONFORMANCE_DUMP_H

#include "base/buf.h"
#include "test/conformance/bed.h"

enum { DUMP_PURGE_JOB = 77 }; /* whose purged letters are shown */
enum { DUMP_PAGE = 7 };       /* small, so that cursors are walked */

static inline void dump_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, " %s=%s", name, text != NULL ? text : "~");
}

static inline void dump_event(struct buf *out, const struct event_rec *e)
{
    buf_addf(out, " e%" PRId64, e->num);
    dump_text(out, "id", e->id);
    dump_text(out, "partner", e->partner_name);
    dump_text(out, "type", e->type);
    dump_text(out, "key", e->ordering_key);
    dump_text(out, "corr", e->correlation_id);
    dump_text(out, "source", e->source);
    dump_text(out, "version", e->version);
    dump_text(out, "attr", e->attributes);
    dump_text(out, "outbox", e->outbox);
    buf_addf(out, " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " seq%" PRId64,
             e->partner, e->deliver_after_ms, e->expires_ms, e->created_ms, e->accepted_ms, e->seq);
    buf_addf(out, " %zu bytes ", e->payload_bytes);
    if (e->payload != NULL)
        buf_add(out, e->payload, e->payload_bytes);
    else
        buf_adds(out, "~");
}

static inline void dump_delivery(struct buf *out, const struct delivery *d)
{
    buf_addf(out, " d%" PRId64 " e%" PRId64 " s%" PRId64 " state%d cause%d", d->num, d->event,
             d->sub, (int)d->state, (int)d->cause);
    dump_text(out, "id", d->event_id);
    dump_text(out, "type", d->type);
    dump_text(out, "sub", d->sub_name);
    dump_text(out, "key", d->ordering_key);
    buf_addf(out, " n%d-%d since%" PRId64 " due%" PRId64 " %d/%d %" PRId64 "-%" PRId64 " j%" PRId64,
             d->attempts, d->budget_start, d->budget_since_ms, d->due_ms, d->last_status,
             (int)d->last_outcome, d->created_ms, d->finished_ms, d->job);
    buf_addf(out, " max%d trial%d of%" PRId64, d->budget_max, (int)d->trial, d->original);
}

static inline void dump_attempts(struct bed *bed, int64_t delivery, struct buf *out)
{
    struct attempt *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, delivery, &bed->a, &list, &n, &bed->err));
    for (size_t i = 0; i < n; i++) {
        const struct attempt *x = &list[i];
        buf_addf(out, "  attempt d%" PRId64 " n%d %" PRId64 " %" PRId64 " %d %d %d %d %d o%d %d",
                 x->delivery, x->n, x->started_ms, x->duration_us, x->dns_us, x->connect_us,
                 x->tls_us, x->wait_us, x->transfer_us, (int)x->outcome, x->status);
        buf_addf(out, " j%" PRId64 " next%" PRId64 " cut%d", x->job, x->next_ms,
                 (int)x->response_truncated);
        dump_text(out, "addr", x->address);
        dump_text(out, "err", x->error);
        buf_addf(out, " body%zu ", x->response_body_bytes);
        if (x->response_body != NULL)
            buf_add(out, x->response_body, x->response_body_bytes);
        buf_addc(out, '\n');
    }
}

/* All attempts from either end, a few looks a page. */
static inline void dump_found(struct bed *bed, bool newest_first, struct buf *out)
{
    struct filter f = {.limit = DUMP_PAGE, .newest_first = newest_first};
    struct attempt_page page;
    do {
        OK_OR_DIE(bed, bed->ops->attempt_find(bed->b, &f, 5, &bed->a, &page, &bed->err));
        for (size_t i = 0; i < page.n; i++) {
            const struct attempt_found *x = &page.rows[i];
            buf_addf(out, "found d%" PRId64 " n%d o%d s%" PRId64, x->attempt.delivery, x->attempt.n,
                     (int)x->attempt.outcome, x->sub);
            dump_text(out, "event", x->event_id);
            dump_text(out, "type", x->type);
            dump_text(out, "sub", x->sub_name);
            buf_addc(out, '\n');
        }
        f.after_num = page.at;
    } while (page.more);
}

static inline void dump_deeds(struct bed *bed, int64_t delivery, struct buf *out)
{
    struct deed *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->deed_list(bed->b, delivery, &bed->a, &list, &n, &bed->err));
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "  deed d%" PRId64 " %" PRId64 " %s j%" PRId64 " c%d %" PRId64,
                 list[i].delivery, list[i].at_ms, deed_kind_name(list[i].kind), list[i].job,
                 (int)list[i].cause, list[i].died_ms);
        dump_text(out, "by", list[i].actor);
        buf_addc(out, '\n');
    }
}

static inline void dump_subs(struct bed *bed, struct buf *out)
{
    struct subscription *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->sub_list(bed->b, 0, 1000, true, &bed->a, &list, &n, &bed->err));
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "sub s%" PRId64 " state%d rev%" PRId64 " secrets%zu counts", list[i].num,
                 (int)list[i].state, list[i].revision, list[i].secrets_n);
        for (int s = 0; s < DELIVERY_STATES; s++)
            buf_addf(out, " %" PRId64, list[i].counts[s]);
        dump_text(out, "name", list[i].name);
        buf_addf(out, " j%" PRId64 " of%" PRId64, list[i].job, list[i].source);
        const struct health *h = &list[i].health;
        buf_addf(out, " ok%" PRId64 " failed%" PRId64 " %" PRId64 "/%" PRId64 " %d/%d row%" PRId64,
                 h->ok_total, h->failed_total, h->last_success_ms, h->last_failure_ms,
                 h->last_failure_status, (int)h->last_failure_outcome, h->in_row);
        buf_addf(out, " since%" PRId64 "\n", h->failing_since_ms);
    }
}

static inline void dump_minutes(struct buf *out, const struct traffic *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "traffic s%" PRId64 " %" PRId64 " ok%" PRId64 " failed%" PRId64, list[i].sub,
                 list[i].minute_ms, list[i].ok, list[i].failed);
        buf_addf(out, " retries%" PRId64 " dead%" PRId64, list[i].retries, list[i].dead);
        for (int k = 0; k < TRAFFIC_BUCKETS; k++)
            buf_addf(out, " %" PRId64, list[i].buckets[k]);
        buf_addc(out, '\n');
    }
}

static inline void dump_traffic(struct bed *bed, int64_t sub, struct buf *out)
{
    struct traffic *list;
    size_t n;
    int64_t due;
    OK_OR_DIE(bed, bed->ops->traffic_sum(bed->b, T0, &bed->a, &list, &n, &bed->err));
    dump_minutes(out, list, n);
    OK_OR_DIE(bed, bed->ops->traffic_minutes(bed->b, sub, T0, T0 + 10 * TRAFFIC_MINUTE_MS, &bed->a,
                                             &list, &n, &bed->err));
    dump_minutes(out, list, n);
    OK_OR_DIE(bed, bed->ops->due_count(bed->b, sub, T0 + 60000, 50, &due, &bed->err));
    buf_addf(out, "due s%" PRId64 " %" PRId64 "\n", sub, due);
}

static inline void dump_events(struct bed *bed, struct buf *out)
{
    struct filter f = {.limit = DUMP_PAGE};
    struct event_rec *list, one;
    size_t n;
    do {
        OK_OR_DIE(bed, bed->ops->event_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++) {
            OK_OR_DIE(bed, bed->ops->event_get(bed->b, list[i].id, true, &bed->a, &one, &bed->err));
            buf_adds(out, "event");
            dump_event(out, &list[i]);
            dump_event(out, &one);
            buf_addc(out, '\n');
            f.after_num = list[i].num;
        }
    } while (n == f.limit);
}

/* Also counts what it sees by state. */
static inline void dump_deliveries(struct bed *bed, struct buf *out, int64_t seen[DELIVERY_STATES])
{
    struct filter f = {.limit = DUMP_PAGE};
    struct delivery *list;
    size_t n;
    do {
        OK_OR_DIE(bed, bed->ops->delivery_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++) {
            buf_adds(out, "delivery");
            dump_delivery(out, &list[i]);
            buf_addc(out, '\n');
            dump_attempts(bed, list[i].num, out);
            dump_deeds(bed, list[i].num, out);
            seen[list[i].state]++;
            f.after_num = list[i].num;
        }
    } while (n == f.limit);
}

static inline void dump_dead(struct bed *bed, bool newest_first, struct buf *out)
{
    struct filter f = {.limit = DUMP_PAGE, .with_expired = true, .newest_first = newest_first};
    struct dead_letter *list, one;
    size_t n;
    do {
        OK_OR_DIE(bed, bed->ops->dead_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++) {
            const struct dead_letter *l = &list[i];
            OK_OR_DIE(bed, bed->ops->dead_get(bed->b, l->delivery.num, &bed->a, &one, &bed->err));
            buf_addf(out, "dead %" PRId64 " %" PRId64 " s%" PRId64, l->died_ms, l->expires_ms,
                     l->sub_num);
            dump_text(out, "name", l->sub_name);
            dump_text(out, "url", l->sub_url);
            dump_text(out, "note", l->note);
            dump_delivery(out, &l->delivery);
            dump_event(out, &l->event);
            dump_event(out, &one.event);
            buf_addc(out, '\n');
            f.after_ms = l->died_ms;
            f.after_num = l->delivery.num;
        }
    } while (n == f.limit);
}

static inline void dump_dead_groups(struct bed *bed, struct buf *out)
{
    struct filter f = {.with_expired = true};
    struct dead_group *g;
    size_t n;
    for (unsigned by = 0; by < 16; by++) {
        OK_OR_DIE(bed, bed->ops->dead_groups(bed->b, &f, by, &bed->a, &g, &n, &bed->err));
        for (size_t i = 0; i < n; i++) {
            buf_addf(out, "group %u: s%" PRId64 " c%d %d/%d t%d n%" PRId64 " b%" PRId64, by,
                     g[i].sub, (int)g[i].cause, g[i].last_status, (int)g[i].last_outcome,
                     g[i].tried, g[i].count, g[i].payload_bytes);
            buf_addf(out, " e%" PRId64 " b%" PRId64 " %" PRId64 "-%" PRId64 " x%" PRId64,
                     g[i].expired, g[i].expired_bytes, g[i].first_ms, g[i].last_ms, g[i].example);
            buf_addf(out, " live %" PRId64 "-%" PRId64, g[i].live_first_ms, g[i].live_last_ms);
            dump_text(out, "type", g[i].type);
            dump_text(out, "name", g[i].sub_name);
            buf_addc(out, '\n');
        }
    }
}

/* In slices of an odd size, up and down. */
static inline void dump_over(struct bed *bed, struct buf *out)
{
    for (int down = 0; down < 2; down++) {
        struct filter f = {.with_expired = true, .newest_first = down != 0, .limit = 5};
        struct dead_key *keys, at = {0};
        struct dead_group *g;
        size_t n;
        OK_OR_DIE(bed, bed->ops->over_groups(bed->b, &f, DEAD_BY_SUBSCRIPTION | DEAD_BY_TYPE,
                                             &bed->a, &g, &n, &bed->err));
        for (size_t i = 0; i < n; i++)
            buf_addf(out,
                     "over s%" PRId64 " %s n%" PRId64 " b%" PRId64 " e%" PRId64 " g%" PRId64 "\n",
                     g[i].sub, g[i].type, g[i].count, g[i].payload_bytes, g[i].expired, g[i].gone);
        do {
            OK_OR_DIE(bed, bed->ops->over_walk(bed->b, &f, 7, &bed->a, &keys, &n, &at, &bed->err));
            for (size_t i = 0; i < n; i++)
                buf_addf(out, "over d%" PRId64 " s%" PRId64 " e%" PRId64 " j%" PRId64 " g%d\n",
                         keys[i].num, keys[i].sub, keys[i].expires_ms, keys[i].job, keys[i].gone);
            f.after_num = at.num;
        } while (at.num != 0);
    }
}

static inline void dump_ready(struct bed *bed, int64_t sub, struct buf *out)
{
    struct claimed *list[256];
    struct claim_got got;
    int64_t head;
    OK_OR_DIE(bed, bed->ops->heads(bed->b, &sub, 1, &head, &bed->err));
    OK_OR_DIE(bed,
              bed->ops->claim(bed->b, sub, INT64_MAX, &CLAIM_UPTO(256), list, &got, &bed->err));
    buf_addf(out, "ready s%" PRId64 " head%" PRId64 " next%" PRId64 "\n", sub, head,
             got.next_due_ms);
    for (size_t i = 0; i < got.n; i++) {
        dump_delivery(out, &list[i]->delivery);
        dump_event(out, &list[i]->event);
        buf_addc(out, '\n');
        claimed_free(list[i]);
    }
}

static inline void dump_purged(struct bed *bed, struct buf *out)
{
    struct purged *list;
    size_t n;
    int64_t count, bytes;
    OK_OR_DIE(bed, bed->ops->purged_list(bed->b, DUMP_PURGE_JOB, 0, 0, 10000, &bed->a, &list, &n,
                                         &bed->err));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "purged d%" PRId64 " s%" PRId64 " until%" PRId64 "\n", list[i].num,
                 list[i].sub, list[i].until_ms);
    OK_OR_DIE(bed, bed->ops->purged_count(bed->b, DUMP_PURGE_JOB, 0, &count, &bytes, &bed->err));
    assert_int_equal(count, (int64_t)n);
    buf_addf(out, "purged bytes%" PRId64 "\n", bytes);
}

static inline void dump_part(struct buf *out, const struct job_part *p)
{
    const struct job_counts *c = &p->counts;
    buf_addf(out,
             "part %" PRId64 " of %" PRId64 " state%d reason%d mark %" PRId64 " %" PRId64 " %d",
             p->sub, p->job, (int)p->state, (int)p->reason, p->mark_ms, p->mark_num, p->walked);
    buf_addf(out, " base %" PRId64 " %" PRId64 " %" PRId64 " recent %" PRIx64, p->base_tried,
             p->base_failed, p->canary_tried, p->recent);
    buf_addf(out, " s%" PRId64 " x%" PRId64 " q%" PRId64 " g%" PRId64, c->selected, c->excluded,
             c->queued, c->gone);
    buf_addf(out, " t%" PRId64 " f%" PRId64 " d%" PRId64 " a%" PRId64 " o%" PRId64 " %s %d\n",
             c->tried, c->failed, c->delivered, c->dead_again, c->discarded,
             p->sub_name ? p->sub_name : "~", (int)p->sub_state);
}

static inline void dump_rest(struct bed *bed, struct buf *out)
{
    struct job *jobs;
    struct reject *rejects;
    struct audit_entry *audit;
    struct taken *taken;
    size_t n;
    int64_t mark, max;
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &(struct job_filter){.limit = 1000}, &bed->a, &jobs,
                                      &n, &bed->err));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "job %" PRId64 " state%d done%" PRId64 " %s\n", jobs[i].num,
                 (int)jobs[i].state, jobs[i].done, job_kind_name(jobs[i].kind));
    for (size_t i = 0, parts_n; i < n; i++) {
        struct job_part *parts;
        OK_OR_DIE(bed, bed->ops->part_list(bed->b, jobs[i].num, false, -1, 1000, &bed->a, &parts,
                                           &parts_n, &bed->err));
        for (size_t k = 0; k < parts_n; k++)
            dump_part(out, &parts[k]);
    }
    OK_OR_DIE(bed, bed->ops->reject_list(bed->b, 0, 1000, &bed->a, &rejects, &n, &bed->err));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "reject %" PRId64 " %s %s\n", rejects[i].num, rejects[i].reason,
                 rejects[i].row);
    OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &(struct audit_filter){.limit = 1000}, &bed->a,
                                        &audit, &n, &bed->err));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "audit %" PRId64 " %s %s\n", audit[i].num, audit[i].action,
                 audit[i].detail ? audit[i].detail : "~");
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", 0, 1000, &bed->a, &taken, &n, &bed->err));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "taken %" PRId64 " %d\n", taken[i].seq, taken[i].digest[3]);
    OK_OR_DIE(bed, bed->ops->outbox_mark(bed->b, "trades", &mark, &bed->err));
    OK_OR_DIE(bed, bed->ops->max_num(bed->b, &max, &bed->err));
    buf_addf(out, "mark %" PRId64 " max %" PRId64 "\n", mark, max);
}

/* All of it; and the counts are what one counts. */
static inline void dump_all(struct bed *bed, const int64_t *subs, size_t subs_n, struct buf *out)
{
    int64_t seen[DELIVERY_STATES] = {0}, counts[DELIVERY_STATES], rejects;
    buf_clear(out);
    dump_subs(bed, out);
    dump_events(bed, out);
    dump_deliveries(bed, out, seen);
    dump_found(bed, false, out);
    dump_found(bed, true, out);
    dump_dead(bed, false, out);
    dump_dead(bed, true, out);
    dump_purged(bed, out);
    dump_dead_groups(bed, out);
    dump_over(bed, out);
    for (size_t i = 0; i < subs_n; i++) {
        dump_ready(bed, subs[i], out);
        dump_traffic(bed, subs[i], out);
    }
    dump_rest(bed, out);
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &rejects, &bed->err));
    for (int s = 0; s < DELIVERY_STATES; s++) {
        buf_addf(out, "count %d %" PRId64 "\n", s, counts[s]);
        assert_int_equal(counts[s], seen[s]);
    }
    buf_addf(out, "rejects %" PRId64 "\n", rejects);
    assert_false(out->failed);
    arena_fini(&bed->a);
}

#endif
