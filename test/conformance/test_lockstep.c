/* test/conformance/test_lockstep.c: both backends are asked the same 2,000 random things, side by
 * side: every answer is compared at once, and everything they show after every few steps.
 *
 * The dice are seeded: a failure names the step and comes again. */
#include "test/conformance/dump.h"

enum { SUBS = 4, STEPS = 2000, LOOK_EVERY = 20, LETTERS = 16, PAIR = 2 };

struct letter { /* exported, to be imported again */
    bool used;
    struct arena a;
    struct dead_letter l;
    struct attempt *attempts;
    size_t attempts_n;
};

struct walk {
    struct bed pair[PAIR];
    uint64_t dice;
    int64_t now, subs[SUBS], job;
    int64_t first, last_delivery; /* range in which deliveries' numbers lie */
    int step, events;
    bool marked;
    struct claimed *seen; /* one that was claimed, perhaps long ago */
    struct letter letters[LETTERS];
    struct buf text[PAIR];
};

static uint32_t roll(struct walk *w, uint32_t sides)
{
    w->dice += 0x9e3779b97f4a7c15U;
    uint64_t z = w->dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % sides;
}

static int64_t roll_sub(struct walk *w)
{
    return w->subs[roll(w, SUBS)];
}

/* ---- comparing ---- */
static void same(const struct walk *w, const char *what, int64_t x, int64_t y)
{
    if (x == y)
        return;
    print_error("step %d: %s: memory %" PRId64 ", sqlite %" PRId64 "\n", w->step, what, x, y);
    assert_int_equal(x, y);
}

/* Both said the same; true where it was OK. Anything but a domain answer is a failure. */
static bool agreed(const struct walk *w, const char *what, const enum err_code code[PAIR])
{
    if (code[0] != code[1])
        print_error("memory: %s; sqlite: %s\n", w->pair[0].err.text, w->pair[1].err.text);
    same(w, what, code[0], code[1]);
    assert_true(code[0] == OK || code[0] == ERR_STALE || code[0] == ERR_EXISTS ||
                code[0] == ERR_INVALID || code[0] == ERR_NOT_FOUND);
    return code[0] == OK;
}

static void look(struct walk *w)
{
    for (int i = 0; i < PAIR; i++)
        dump_all(&w->pair[i], w->subs, SUBS, &w->text[i]);
    const char *x = w->text[0].data, *y = w->text[1].data;
    if (strcmp(x, y) == 0)
        return;
    while (strcspn(x, "\n") == strcspn(y, "\n") && strncmp(x, y, strcspn(x, "\n")) == 0) {
        x += strcspn(x, "\n") + 1;
        y += strcspn(y, "\n") + 1;
    }
    print_error("step %d:\nmemory: %.*s\nsqlite: %.*s\n", w->step, (int)strcspn(x, "\n"), x,
                (int)strcspn(y, "\n"), y);
    fail();
}

/* ---- the steps ---- */
static void step_emit(struct walk *w)
{
    static const char *const KEYS[] = {NULL, "a", "b", "c"};
    static const char *const PAYLOADS[] = {"{}", "{\"n\":1}", "[1e400,\"\\u0000\"]"};
    char id[32];
    int64_t subs[SUBS], num = w->last_delivery + 1, first = w->last_delivery + 2;
    size_t n = 0;
    struct event_put_result out[PAIR];
    enum err_code code[PAIR];
    bool again = w->events > 0 && roll(w, 8) == 0;
    snprintf(id, sizeof(id), "evt%u", again ? roll(w, (uint32_t)w->events) : (unsigned)w->events++);
    struct event_rec e = {.num = num,
                          .id = id,
                          .partner = roll(w, 4) != 0,
                          .type = roll(w, 2) != 0 ? "order.new" : "trade.settled",
                          .payload = PAYLOADS[roll(w, 3)],
                          .ordering_key = KEYS[roll(w, 4)],
                          .correlation_id = roll(w, 2) != 0 ? "corr" : NULL,
                          .source = "walk",
                          .created_ms = w->now - 1,
                          .accepted_ms = w->now,
                          .outbox = "trades",
                          .seq = w->step};
    e.payload_bytes = strlen(e.payload);
    e.deliver_after_ms = roll(w, 6) == 0 ? w->now + roll(w, 3000) : 0;
    e.expires_ms = roll(w, 4) == 0 ? w->now + roll(w, 6000) : 0;
    for (int i = 0; i < SUBS; i++)
        if (roll(w, 3) == 0)
            subs[n++] = w->subs[i];
    bool ordered[SUBS];
    for (size_t i = 0; i < n; i++)
        ordered[i] = roll(w, 4) != 0;
    uint8_t digest[32];
    bed_digest(id, e.type, e.payload, e.payload_bytes, digest);
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->event_put(bed->b, &e, subs, ordered, n, first, digest, w->now + 20000,
                                      &out[i], &bed->err);
    }
    if (agreed(w, "event_put", code)) {
        same(w, "event_put kind", out[0].kind, out[1].kind);
        same(w, "event_put num", out[0].num, out[1].num);
    }
    w->last_delivery = first + (int64_t)n;
}

static void settle(struct walk *w, int64_t delivery)
{
    struct settled out[PAIR];
    enum err_code code[PAIR];
    uint32_t way = roll(w, 5);
    enum settle_to to = way < 2 ? SETTLE_DELIVERED : way < 4 ? SETTLE_DEAD : SETTLE_RETRY;
    struct settlement s = bed_settlement(delivery, to, w->now);
    s.has_attempt = to != SETTLE_DEAD || roll(w, 3) != 0;
    s.attempt.job = roll(w, 2) != 0 ? w->job : 0;
    s.seen = w->seen != NULL && w->seen->delivery.num == delivery ? w->seen : NULL;
    if (to == SETTLE_DEAD)
        s.cause = (enum cause)(1 + roll(w, CAUSES - 1));
    if (to == SETTLE_RETRY)
        s.due_ms = w->now + roll(w, 2000);
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->settle(bed->b, &s, w->now + roll(w, 1) + 9000, &out[i], &bed->err);
    }
    if (agreed(w, "settle", code)) {
        same(w, "settle next", out[0].next_due_ms, out[1].next_due_ms);
        same(w, "settle job", out[0].job, out[1].job);
    }
}

static void step_claim_and_settle(struct walk *w)
{
    struct claimed *list[PAIR][8];
    struct claim_got got[PAIR];
    size_t max = 1 + roll(w, 8), max_bytes = 1 + roll(w, 4000);
    int64_t sub = roll_sub(w), pick = 0;
    int64_t skip[2] = {w->first + roll(w, 50), w->first + 60 + roll(w, 500)};
    int64_t from = roll(w, 3) != 0 ? 0 : w->now - roll(w, 3000);
    struct claim_ask ask = {from, max, 1 + roll(w, 2000), max_bytes, skip, roll(w, 3)};
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, w->now, &ask, list[i], &got[i], &bed->err));
    }
    same(w, "claim n", (int64_t)got[0].n, (int64_t)got[1].n);
    same(w, "claim next", got[0].next_due_ms, got[1].next_due_ms);
    same(w, "claim next bytes", (int64_t)got[0].next_bytes, (int64_t)got[1].next_bytes);
    uint32_t chosen = got[0].n > 0 ? roll(w, (uint32_t)got[0].n) : 0;
    for (size_t k = 0; k < got[0].n; k++) {
        same(w, "claim num", list[0][k]->delivery.num, list[1][k]->delivery.num);
        if (k == chosen)
            pick = list[0][k]->delivery.num;
        claimed_free(list[0][k]);
        if (k != chosen || (w->seen != NULL && roll(w, 4) != 0)) {
            claimed_free(list[1][k]);
            continue;
        }
        claimed_free(w->seen);
        w->seen = list[1][k];
    }
    if (w->seen != NULL && (pick == 0 || roll(w, 2) != 0))
        pick = w->seen->delivery.num;
    if (pick != 0)
        settle(w, pick);
}

static int64_t roll_dead(struct walk *w)
{
    struct bed *bed = &w->pair[0];
    struct filter f = {.limit = 50, .with_expired = true};
    struct dead_letter *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->dead_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    return n > 0 && roll(w, 10) != 0
               ? list[roll(w, (uint32_t)n)].delivery.num
               : w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1));
}

static void step_dead(struct walk *w)
{
    int64_t num = roll_dead(w), job = roll(w, 2) != 0 ? w->job : 0;
    struct settled out[PAIR] = {{0}};
    enum err_code code[PAIR];
    uint32_t what = roll(w, 4);
    int64_t until = roll(w, 3) != 0 ? w->now + 5000 : 0;
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        if (what == 0)
            code[i] = bed->ops->dead_purge(bed->b, num, DUMP_PURGE_JOB, until, w->now, &out[i],
                                           &bed->err);
        else if (what == 1)
            code[i] = bed->ops->dead_note(bed->b, num, "looked at", &bed->err);
        else
            code[i] = bed->ops->dead_replay(
                bed->b, num, &(struct reopening){job, w->now + (int)what, w->now, (int)what % 3},
                &bed->err);
    }
    struct deed deed = {num,
                        w->now,
                        (enum deed_kind)what,
                        job,
                        what == 1 ? "ana" : NULL,
                        (enum cause)(num % 3),
                        num % 2 ? w->now - 1 : 0};
    for (int i = 0; i < PAIR; i++)
        OK_OR_DIE(&w->pair[i], w->pair[i].ops->deed_put(w->pair[i].b, &deed, &w->pair[i].err));
    if (agreed(w, "dead", code) && what == 0)
        same(w, "purge next", out[0].next_due_ms, out[1].next_due_ms);
}

/* What is over goes out again, or is said not to be over. */
static void step_over(struct walk *w)
{
    int64_t num = w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1));
    struct reopening r = {roll(w, 2) != 0 ? w->job : 0, w->now + 1, w->now, (int)roll(w, 3)};
    enum err_code code[PAIR];
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->over_resend(bed->b, num, &r, &bed->err);
    }
    (void)agreed(w, "resend", code);
}

/* A copy of what is over, for any subscription. */
static void step_copy(struct walk *w)
{
    int64_t num = roll(w, 2) != 0 ? roll_dead(w)
                                  : w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1));
    int64_t copy = ++w->last_delivery, sub = roll(w, 9) != 0 ? roll_sub(w) : 4242;
    struct reopening r = {w->job, w->now + (int)roll(w, 20), w->now, (int)roll(w, 3)};
    unsigned states = roll(w, 2) != 0 ? FILTER_BIT(DELIVERY_DEAD) : roll(w, 128);
    enum err_code code[PAIR];
    states &= ~(FILTER_BIT(DELIVERY_PENDING) | FILTER_BIT(DELIVERY_RETRYING));
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->delivery_copy(bed->b, num, states, copy, sub, &r, &bed->err);
    }
    (void)agreed(w, "copy", code);
}

/* Of what the two show as purged, or any number at all. */
static void step_restore(struct walk *w)
{
    struct bed *bed = &w->pair[0];
    struct purged *list;
    enum err_code code[PAIR];
    size_t n;
    OK_OR_DIE(bed, bed->ops->purged_list(bed->b, DUMP_PURGE_JOB, w->now, 0, 50, &bed->a, &list, &n,
                                         &bed->err));
    int64_t num = n > 0 && roll(w, 10) != 0
                      ? list[roll(w, (uint32_t)n)].num
                      : w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1));
    for (int i = 0; i < PAIR; i++)
        code[i] = w->pair[i].ops->dead_restore(w->pair[i].b, num, w->now, &w->pair[i].err);
    (void)agreed(w, "restore", code);
}

static void step_export(struct walk *w)
{
    struct letter *x = &w->letters[roll(w, LETTERS)];
    struct bed *bed = &w->pair[roll(w, PAIR)]; /* whoever exports, both must be able to import */
    int64_t num = roll_dead(w);
    if (x->used)
        arena_fini(&x->a);
    arena_init(&x->a);
    x->used = bed->ops->dead_get(bed->b, num, &x->a, &x->l, &bed->err) == OK;
    if (!x->used)
        return;
    OK_OR_DIE(bed,
              bed->ops->attempt_list(bed->b, num, &x->a, &x->attempts, &x->attempts_n, &bed->err));
}

static void step_import(struct walk *w)
{
    struct letter *x = &w->letters[roll(w, LETTERS)];
    enum err_code code[PAIR];
    if (!x->used)
        return;
    struct dead_letter l = x->l;
    uint32_t how = roll(w, 4);
    l.expires_ms = w->now + 9000;
    if (how < 2)
        l.sub_num = 0;
    if (how == 1)
        l.sub_name = "nobody";
    if (how == 3)
        l.event.payload = NULL;
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->dead_import(bed->b, &l, x->attempts, x->attempts_n, &bed->err);
    }
    (void)agreed(w, "import", code);
}

static void step_discard(struct walk *w)
{
    int64_t num = w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1)), end[PAIR];
    struct filter f = {.limit = 1 + roll(w, 5), .after_num = num, .states = 1U << roll(w, 7)};
    int64_t sub = roll_sub(w);
    size_t looks = 1 + roll(w, 20), n[PAIR];
    struct settled out[PAIR] = {{0}};
    struct delivery_key *keys[PAIR];
    enum err_code code[PAIR];
    if (roll(w, 2) == 0) {
        f.subs = &sub;
        f.subs_n = 1;
    }
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->discard(bed->b, num, w->now, &out[i], &bed->err);
        OK_OR_DIE(bed, bed->ops->delivery_walk(bed->b, &f, looks, &bed->a, &keys[i], &n[i], &end[i],
                                               &bed->err));
    }
    if (agreed(w, "discard", code)) {
        same(w, "discard next", out[0].next_due_ms, out[1].next_due_ms);
        same(w, "discard job", out[0].job, out[1].job);
    }
    same(w, "walked", (int64_t)n[0], (int64_t)n[1]);
    same(w, "walk's end", end[0], end[1]);
    for (size_t i = 0; i < n[0]; i++) {
        same(w, "walked num", keys[0][i].num, keys[1][i].num);
        same(w, "walked sub", keys[0][i].sub, keys[1][i].sub);
    }
}

static void step_kill(struct walk *w)
{
    int64_t sub = roll_sub(w), before = roll(w, 12) == 0 ? INT64_MAX : w->now - 2500;
    int64_t all[PAIR] = {0}, next[PAIR];
    bool expired = roll(w, 2) != 0, everyone = roll(w, 4) == 0;
    if (roll(w, 4) == 0) {
        step_discard(w);
        return;
    }
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        size_t n;
        do {
            OK_OR_DIE(bed, expired ? bed->ops->kill_expired(bed->b, everyone, 3, w->now,
                                                            w->now + 9000, &n, &bed->err)
                                   : bed->ops->kill(bed->b, sub, before, CAUSE_ENDPOINT_DOWN, 3,
                                                    w->now, w->now + 9000, &n, &bed->err));
            all[i] += (int64_t)n;
        } while (n > 0);
        OK_OR_DIE(bed, bed->ops->next_expiry(bed->b, w->now, &next[i], &bed->err));
    }
    if (expired) /* else the walk may stand somewhere */
        same(w, "next_expiry", next[0], next[1]);
    same(w, expired ? "kill_expired" : "kill", all[0], all[1]);
}

static void step_clock(struct walk *w)
{
    int64_t sub = roll_sub(w), now = w->now - (int64_t)roll(w, 4000);
    size_t limit = 1 + roll(w, 4), all[PAIR] = {0};
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        struct ready_at at = READY_LAST;
        while (at.due_ms != 0) {
            size_t n;
            OK_OR_DIE(
                bed, bed->ops->bring_back(bed->b, sub, now, now + 3000, limit, &at, &n, &bed->err));
            all[i] += n;
        }
    }
    same(w, "bring_back", (int64_t)all[0], (int64_t)all[1]);
}

static void step_retain(struct walk *w)
{
    enum retain_what what = (enum retain_what)roll(w, RETAINS);
    int64_t before = what == RETAIN_DELIVERED || what == RETAIN_ATTEMPTS ? w->now - 4000 : w->now;
    int64_t all[PAIR] = {0};
    struct retain_look looks[PAIR];
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        size_t n;
        OK_OR_DIE(bed, bed->ops->retain_look(bed->b, what, before, 10000000, &looks[i], &bed->err));
        do {
            OK_OR_DIE(bed, bed->ops->retain(bed->b, what, before, 5, &n, &bed->err));
            all[i] += (int64_t)n;
        } while (n > 0);
    }
    same(w, "retain", all[0], all[1]);
    same(w, "retain_look rows", looks[0].rows, looks[1].rows);
    same(w, "retain_look due", looks[0].due, looks[1].due);
}

static void step_sub(struct walk *w)
{
    int64_t num = roll_sub(w);
    uint32_t what = roll(w, 5);
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        struct subscription s = bed_sub_get(bed, num);
        if (what < 2)
            s.state = what == 0 ? SUB_ACTIVE : SUB_PAUSED;
        else if (what == 2)
            s.broken_since_ms = s.broken_since_ms != 0 ? 0 : w->now;
        else
            s.on_dead_block = what == 3;
        OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    }
}

static void step_small(struct walk *w)
{
    uint32_t what = roll(w, 7), x = roll(w, 100);
    struct reject r = {.num = ++w->last_delivery,
                       .outbox = "trades",
                       .seq = x,
                       .reason = "no",
                       .row = "{}",
                       .created_ms = w->now};
    struct audit_entry e = {.num = r.num, .actor = "me", .action = "walk", .created_ms = w->now};
    struct job j = {.num = r.num, .kind = JOB_REPLAY, .sub = 0, .created_ms = w->now};
    struct taken t = {.seq = 1 + x / 10, .digest = {0, 0, 0, (uint8_t)(x % 3)}};
    bool fresh[PAIR] = {false};
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        if (what == 0)
            OK_OR_DIE(bed, bed->ops->reject_put(bed->b, &r, &bed->err));
        else if (what == 1)
            OK_OR_DIE(bed, bed->ops->audit_put(bed->b, &e, &bed->err));
        else if (what == 6) /* of a number that may be an entry's */
            (void)bed->ops->audit_update(bed->b, r.num - 1 - x % 20, "{\"walk\":1}", &bed->err);
        else if (what == 2)
            OK_OR_DIE(bed, bed->ops->job_put(bed->b, &j, &bed->err));
        else if (what == 3)
            OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &t, &fresh[i], &bed->err));
        else if (what == 4)
            OK_OR_DIE(bed, bed->ops->taken_delete(bed->b, "trades", &t, 1, &bed->err));
        else
            OK_OR_DIE(bed, bed->ops->outbox_set_mark(bed->b, "trades", x, &bed->err));
    }
    same(w, "taken fresh", fresh[0], fresh[1]);
    if (what == 2)
        w->job = j.num;
}

static void step_traffic(struct walk *w)
{
    struct traffic_delta list[3] = {0};
    size_t n = 1 + roll(w, 3);
    for (size_t i = 0; i < n; i++) {
        list[i].traffic.sub = w->subs[i];
        list[i].traffic.minute_ms = traffic_minute(w->now);
        list[i].traffic.dead = roll(w, 2);
        for (uint32_t k = roll(w, 4); k > 0; k--) {
            struct attempt a = {.n = (int)roll(w, 3), .duration_us = 1 << roll(w, 28)};
            a.outcome = roll(w, 2) == 0 ? OUTCOME_SUCCESS : OUTCOME_HTTP_5XX;
            a.status = a.outcome == OUTCOME_SUCCESS ? 200 : 500 + (int)roll(w, 4);
            traffic_count(&list[i].traffic, &a);
            health_count(&list[i].health, &a, w->now);
        }
    }
    bool clear = roll(w, 5) == 0;
    int64_t sub = roll_sub(w);
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        OK_OR_DIE(bed, clear ? bed->ops->health_clear(bed->b, sub, &bed->err)
                             : bed->ops->traffic_add(bed->b, list, n, &bed->err));
    }
}

/* Parts of the last job, so that settlements find something to count in. */
static void step_part(struct walk *w)
{
    uint32_t what = roll(w, 4), sub = roll(w, SUBS);
    enum job_state from = (enum job_state)roll(w, JOB_STATES), to = (enum job_state)roll(w, 5);
    struct job_part p = {.job = w->job,
                         .sub = w->subs[sub],
                         .state = from,
                         .mark_num = w->now,
                         .canary_tried = -1,
                         .counts = {.selected = w->now % 7, .queued = sub}};
    int64_t active[PAIR];
    enum err_code code[PAIR];
    if (w->job == 0) /* none yet, and none is what part_active says of nobody's */
        return;
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        code[i] = bed->ops->part_update(bed->b, &p, &bed->err);
        if (code[i] == ERR_NOT_FOUND)
            OK_OR_DIE(bed, bed->ops->part_put(bed->b, &p, &bed->err));
        if (what == 0)
            OK_OR_DIE(bed, bed->ops->part_move(bed->b, w->job, from, to, &bed->err));
        OK_OR_DIE(bed, bed->ops->part_active(bed->b, p.sub, &active[i], &bed->err));
    }
    (void)agreed(w, "part", code);
    same(w, "active part", active[0] != 0, active[1] != 0);
}

static void step_transaction(struct walk *w)
{
    uint32_t what = roll(w, 6);
    for (int i = 0; i < PAIR; i++) {
        struct bed *bed = &w->pair[i];
        if (w->marked)
            OK_OR_DIE(bed, what % 2 == 0 ? bed->ops->undo(bed->b, &bed->err)
                                         : bed->ops->keep(bed->b, &bed->err));
        else if (what < 3)
            OK_OR_DIE(bed, bed->ops->mark(bed->b, &bed->err));
        else if (what == 3)
            bed->ops->rollback(bed->b);
        else
            OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
        if (!w->marked && what >= 3)
            OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    }
    w->marked = !w->marked && what < 3;
}

/* ---- the walk ---- */
static void step(struct walk *w)
{
    uint32_t x = roll(w, 100);
    w->now += roll(w, 120);
    if (x < 22)
        step_emit(w);
    else if (x < 58)
        step_claim_and_settle(w);
    else if (x < 61)
        settle(w, w->first + roll(w, (uint32_t)(w->last_delivery - w->first + 1)));
    else if (x < 70)
        step_dead(w);
    else if (x < 72)
        step_copy(w);
    else if (x < 74)
        step_over(w);
    else if (x < 75)
        step_restore(w);
    else if (x < 77)
        step_export(w);
    else if (x < 80)
        step_import(w);
    else if (x < 82)
        step_kill(w);
    else if (x < 85)
        step_retain(w);
    else if (x < 89)
        step_sub(w);
    else if (x < 92)
        step_small(w);
    else if (x < 93)
        step_part(w);
    else if (x < 94)
        step_clock(w);
    else if (x < 96)
        step_traffic(w);
    else
        step_transaction(w);
}

static void walk(void **state)
{
    struct walk *w = calloc(1, sizeof(*w));
    static const char *const NAMES[SUBS] = {"plain", "ordered", "blocking", "other"};
    static const int FLAGS[SUBS] = {0, ORDERED, ORDERED | BLOCK, 0};
    assert_non_null(w);
    memcpy(&w->dice, *state, 1);
    for (int i = 0; i < PAIR; i++) {
        bed_open(&w->pair[i], i == 0 ? "memory" : "sqlite");
        buf_init(&w->text[i], 64 * 1024 * 1024);
        for (int s = 0; s < SUBS; s++)
            w->subs[s] = bed_sub(&w->pair[i], NAMES[s], FLAGS[s]);
        bed_commit(&w->pair[i]);
    }
    w->first = w->last_delivery = 1000;
    w->now = T0;
    for (w->step = 0; w->step < STEPS; w->step++) {
        step(w);
        if (w->step % LOOK_EVERY == 0)
            look(w);
    }
    look(w);
    assert_true(w->events > 100);
    for (int i = 0; i < LETTERS; i++)
        if (w->letters[i].used)
            arena_fini(&w->letters[i].a);
    claimed_free(w->seen);
    for (int i = 0; i < PAIR; i++) {
        bed_close(&w->pair[i]);
        buf_fini(&w->text[i]);
    }
    free(w);
}

int main(void)
{
    static char seeds[] = {1, 2, 3};
    const struct CMUnitTest tests[] = {
        {"walk 1", walk, NULL, NULL, &seeds[0]},
        {"walk 2", walk, NULL, NULL, &seeds[1]},
        {"walk 3", walk, NULL, NULL, &seeds[2]},
    };
    return cmocka_run_group_tests_name("conformance: lock-step", tests, NULL, NULL);
}
