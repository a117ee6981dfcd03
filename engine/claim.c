/* engine/claim.c: asks the claim reader for what is due, as much as there is room for in memory.
 *
 *   lane wants rows ─▶ room? ─▶ set aside ─▶ claim (some lanes, one snapshot) ─▶ tasks in its queue
 *                        │ no: in a moment
 *
 * Small rows are bounded by their number, eight times what may be in flight: with less, each of many
 * lanes has none in hand when its last one is settled, and a claim brings it one. Large ones have a
 * budget of bytes besides, one for all loops, which counts all that they hold (row, body, answer) and
 * all that claims under way may bring; libcurl's buffers, 32 KiB for each exchange, come to it. A claim never brings more than was
 * set aside for it: where the next row is larger, it says how large, and more is set aside. The
 * budget is exceeded by one row at most, so that none is too large for ever.
 *
 * Nobody's large payloads hold up another: the last eighth is for lanes that have nothing in
 * memory, and while one of those waits, the others take one row at a time, and after it. */
#include <stdlib.h>

#include "base/log.h"
#include "engine/scheduler_impl.h"

enum {
    LANES_MAX = 64, /* of one claim */
    ROWS_MAX = 256, /* of one lane */
    HUNGRY_MS = 20
};
#define BUDGET_BYTES ((size_t)48 << 20)
#define SHARE_BYTES (BUDGET_BYTES / 16) /* of one claim */

/* Some lanes, one snapshot. */
struct want {
    int64_t sub;
    int64_t due_ms; /* no later than that: now, or a trial's */
    struct claim_ask ask;
    int64_t *skip;
    struct claimed **rows;
    struct claim_got got;
};
struct claim {
    struct scheduler *scheduler;
    int64_t now_ms;
    unsigned pauses; /* of egress, as of its beginning */
    size_t n;
    struct want want[LANES_MAX];
};

/* ---- room ---- */
static size_t rows_max(const struct scheduler *s)
{
    return 8 * (size_t)share_size(&s->share);
}

bool claim_has_room(const struct scheduler *s)
{
    return s->tasks.n + s->asked_n < rows_max(s) + rows_max(s) / 4;
}

bool claim_waits(const struct scheduler *s)
{
    return 2 * (size_t)s->settling >= rows_max(s);
}

/* Each lane that has something in memory has no more than its share of it, and of what nobody uses a
 * sixteenth: were it filled by a few in turn, each would send in bursts, over connections that were
 * closed since its last one to make room for those of the others (measured: every other delivery
 * to 32 endpoints opened one, 128 in flight). */
static size_t rows_left(const struct scheduler *s, const struct lane *l)
{
    size_t max = rows_max(s), n = s->tasks.n + s->asked_n, mine = l->queue.n + l->busy.n;
    size_t left = n < max ? max - n : 0, share = max / (s->holders_n + (mine == 0));

    if (left + mine > share) {
        size_t fair = share > mine ? share - mine : 0, spare = left < max / 4 ? 0 : left / 16;

        left = fair > spare ? fair : spare;
    }
    if (left == 0) /* nobody starves because others filled the memory */
        return mine == 0 && claim_has_room(s) ? 1 : 0;
    return left < ROWS_MAX ? left : ROWS_MAX;
}

static size_t bytes_left(const struct scheduler *s, const struct lane *l)
{
    size_t budget = lane_is_empty(l) ? BUDGET_BYTES : BUDGET_BYTES - BUDGET_BYTES / 8;
    size_t held = atomic_load_explicit(&s->share.quota->bytes, memory_order_relaxed);

    return held < budget ? budget - held : 0;
}

static bool somebody_waits(const struct scheduler *s, int64_t now_ms)
{
    return atomic_load_explicit(&s->share.quota->hungry_until_ms, memory_order_relaxed) > now_ms;
}

/* Who has waited comes before who has just had something: else those whose deliveries end would
 * take what they gave back, again and again. */
static size_t bytes_now(const struct scheduler *s, const struct lane *l, int64_t now_ms)
{
    return somebody_waits(s, now_ms) && !l->hungry ? 0 : bytes_left(s, l);
}

/* Sets how many bytes the lane may ask for; false: none. */
static bool room_for(const struct scheduler *s, const struct lane *l, int64_t now_ms,
                     struct claim_ask *ask)
{
    size_t row = l->row_avg > (double)l->next_bytes ? (size_t)l->row_avg : l->next_bytes;
    size_t left = row > TASK_SMALL_BYTES ? bytes_now(s, l, now_ms) : 0;

    if (left == 0) { /* small rows come in any case */
        ask->max_row_bytes = TASK_SMALL_BYTES;
        ask->max_bytes = SIZE_MAX;
        return l->next_bytes <= TASK_SMALL_BYTES;
    }
    ask->max_bytes = somebody_waits(s, now_ms) ? row : ask->max * row;
    if (ask->max_bytes > SHARE_BYTES)
        ask->max_bytes = SHARE_BYTES;
    if (ask->max_bytes > left)
        ask->max_bytes = left;
    if (ask->max_bytes < l->next_bytes && (lane_is_empty(l) || l->next_bytes <= left))
        ask->max_bytes = l->next_bytes;
    ask->max_row_bytes = ask->max_bytes;
    return ask->max_bytes >= l->next_bytes;
}

bool claim_accepts(const struct scheduler *s, const struct lane *l, size_t bytes, int64_t now_ms)
{
    return rows_left(s, l) > 0 && (bytes <= TASK_SMALL_BYTES || bytes <= bytes_now(s, l, now_ms));
}

static size_t reserve(const struct claim_ask *ask)
{
    return ask->max_row_bytes > TASK_SMALL_BYTES ? ask->max_bytes : 0;
}

static void set_aside(struct scheduler *s, const struct claim_ask *ask)
{
    s->asked_n += ask->max;
    if (reserve(ask) > 0)
        atomic_fetch_add(&s->share.quota->bytes, reserve(ask));
}

static void give_back(struct scheduler *s, const struct claim_ask *ask)
{
    s->asked_n -= ask->max;
    if (reserve(ask) > 0)
        atomic_fetch_sub(&s->share.quota->bytes, reserve(ask));
}

/* ---- the claim reader's part ---- */
static enum err_code claim_work(struct backend *b, void *arg, struct err *err)
{
    struct claim *c = arg;

    for (size_t i = 0; i < c->n; i++) {
        struct want *w = &c->want[i];

        w->rows = calloc(w->ask.max, sizeof(struct claimed *));
        if (w->rows == NULL)
            return fail(err, ERR_NOMEM, "claim: out of memory");
        enum err_code rc = b->ops->claim(b, w->sub, w->due_ms, &w->ask, w->rows, &w->got, err);
        if (rc != OK)
            return rc;
    }
    return OK;
}

/* ---- the loop's part ---- */
/* paused: egress was, since the claim began; its rows may be dead by now. */
static void claim_arrived(struct scheduler *s, struct lane *l, struct want *w, bool ok, bool paused,
                          int64_t now_ms, int64_t generation)
{
    int64_t woken = l->woken_ms;

    l->claiming = false;
    l->woken_ms = 0;
    l->next_bytes = 0;
    if (!ok) {
        lane_ghosts_forget(l);
        /* Reading failed: look again in a second, not at once. */
        l->next_due_ms = now_ms + 1000;
        return;
    }
    l->next_due_ms = l->from_ms = w->got.next_due_ms;
    l->next_bytes = w->got.next_bytes;
    lane_saw_due(l, woken);
    for (size_t i = 0; i < w->got.n; i++) {
        if (lane_is_ghost(l, w->rows[i]->delivery.num, generation))
            continue; /* the snapshot is older than its settlement; freed by claim_done */
        struct task *t = task_new(&s->tasks, w->rows[i]);

        if (t == NULL) {
            lane_saw_due(l, w->rows[i]->delivery.due_ms);
            continue; /* the row is freed by claim_done */
        }
        w->rows[i] = NULL;
        scheduler_queue(s, l, t);
    }
    lane_ghosts_forget(l);
    if (paused || l->row.state == SUB_DELETED)
        lanes_drop_queue(s, l);
    else if (l->row.state != SUB_ACTIVE)
        lanes_hold_queue(s, l);
}

static void claim_done(void *arg, const struct err *err, int64_t generation)
{
    struct claim *c = arg;
    struct scheduler *s = c->scheduler;

    if (err->code != OK)
        log_error("store_error", "op=claim code=%s error=%s", err_code_name(err->code), err->text);
    for (size_t i = 0; i < c->n; i++) {
        struct want *w = &c->want[i];
        struct lane *l = lanes_find(s, w->sub);

        give_back(s, &w->ask);
        if (l != NULL) {
            claim_arrived(s, l, w, err->code == OK, s->pauses != c->pauses, c->now_ms, generation);
            if (l->row.state == SUB_DELETED && l->busy.n == 0)
                lanes_reload(s, l->sub); /* it was kept for this answer only */
            else
                scheduler_touch(s, l);
        }
        for (size_t r = 0; r < w->got.n; r++)
            claimed_free(w->rows[r]);
        free(w->rows);
        free(w->skip);
    }
    free(c);
    scheduler_kick(s);
}

void claim_submit(struct scheduler *s, struct claim *c)
{
    if (c == NULL)
        return;
    if (c->n > 0 && store_submit(s->parts.store, STORE_CLAIM, 0, claim_work, claim_done, c) == OK)
        return;
    for (size_t i = 0; i < c->n; i++) { /* queue full: in a moment */
        struct lane *l = lanes_find(s, c->want[i].sub);

        give_back(s, &c->want[i].ask);
        if (l != NULL) {
            l->claiming = false;
            l->next_due_ms = c->now_ms + 10;
            scheduler_touch(s, l);
        }
        free(c->want[i].skip);
    }
    free(c);
}

static struct claim *claim_open(struct scheduler *s, struct claim *c, int64_t now_ms)
{
    if (c != NULL && c->n < LANES_MAX)
        return c;
    claim_submit(s, c);
    c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->scheduler = s;
        c->now_ms = now_ms;
        c->pauses = s->pauses;
    }
    return c;
}

struct claim *claim_add(struct scheduler *s, struct claim *c, struct lane *l, int64_t now_ms)
{
    bool trial = lane_wants_trial(l, now_ms);
    size_t appetite = trial ? 1 : lane_appetite(l, now_ms),
           rows = appetite > 0 ? rows_left(s, l) : 0;
    struct claim_ask ask = {.from_ms = l->from_ms, .max = appetite < rows ? appetite : rows};
    int64_t *skip;

    /* Half-full is the moment, be it with less than it would like. */
    if (ask.max == 0 || (!trial && ask.max < l->queue.n))
        return c;
    if (!room_for(s, l, now_ms, &ask)) {
        l->hungry = lane_is_empty(l);
        if (l->hungry)
            atomic_store(&s->share.quota->hungry_until_ms, now_ms + HUNGRY_MS);
        return c;
    }
    c = claim_open(s, c, now_ms);
    skip = lane_known(l, s->held, s->held_n, &ask.skip_n);
    if (c == NULL || ask.skip_n == SIZE_MAX) {
        free(skip);
        return c;
    }
    ask.skip = skip;
    c->want[c->n++] = (struct want){
        .sub = l->sub, .due_ms = trial ? TRIAL_DUE_MS : now_ms, .ask = ask, .skip = skip};
    set_aside(s, &ask);
    l->claiming = true;
    l->hungry = false;
    l->woken_ms = 0;
    return c;
}
