/* engine/lane.c: one subscription at run time. Arithmetic over its policies; no I/O, no timers of
 * its own. */
#include "engine/lane.h"
#include "policy/sign.h"

#include <stdlib.h>
#include <string.h>

struct lane *lane_new(struct scheduler *s, int64_t sub)
{
    struct lane *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->scheduler = s;
    l->sub = sub;
    l->row_avg = 4096;
    breaker_init(&l->breaker);
    l->row.state = SUB_DISABLED; /* until the row is there */
    return l;
}

static void wipe(const char *text)
{
    if (text != NULL)
        sign_wipe((char *)(uintptr_t)text, strlen(text)); /* ours: the row is a copy */
}

void lane_wipe_secrets(const struct subscription *row)
{
    for (size_t i = 0; i < row->secrets_n; i++)
        wipe(row->secrets[i].value);
    wipe(row->bearer);
    wipe(row->headers);
}

void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    task_list_free(&l->queue);
    task_list_free(&l->busy);
    lane_wipe_secrets(&l->row);
    free(l->row_block);
    traffic_forget(l->traffic);
    free(l->ghosts);
    free(l);
}

void lane_configure(struct lane *l, const struct conf *conf, int64_t now_ms)
{
    const struct subscription *row = &l->row;
    const char *retry = row->retry;

    l->profile = profile_find(row->profile != NULL ? row->profile : conf->profile);
    if (l->profile == NULL)
        l->profile = profile_find("bondx");
    if (retry == NULL)
        retry = l->profile->retry;
    l->retry = conf_retry(conf, retry);
    if (l->retry == NULL) /* a policy that a reload took away: the default is better than none */
        l->retry = conf_retry(conf, "default");
    l->timeout_ms = row->timeout_ms > 0          ? row->timeout_ms
                    : l->profile->timeout_ms > 0 ? l->profile->timeout_ms
                                                 : conf->timeout_ms;
    l->max_in_flight =
        row->concurrency > 0 ? row->concurrency : conf->max_in_flight_per_subscription;
    if (l->window.max == 0)
        window_init(&l->window, l->max_in_flight);
    else
        window_set_max(&l->window, l->max_in_flight);
    if (l->rate.at_ms == 0)
        rate_init(&l->rate, row->rate_per_s, now_ms);
    else
        rate_set(&l->rate, row->rate_per_s, now_ms);
}

enum lane_news lane_load(struct lane *l, const struct conf *conf, const struct subscription *row,
                         int64_t now_ms)
{
    struct subscription own;
    void *block = subscription_copy(row, &own);

    if (block == NULL)
        return LANE_NO_MEMORY;
    bool first = l->row.url == NULL;
    bool moved = !first && strcmp(l->row.url, row->url) != 0;
    bool woken = !first && l->row.state != SUB_ACTIVE && row->state == SUB_ACTIVE;
    bool enabled = woken && l->row.state == SUB_DISABLED;

    lane_wipe_secrets(&l->row);
    free(l->row_block);
    l->row_block = block;
    l->row = own;
    lane_configure(l, conf, now_ms);
    if (first && row->broken_since_ms > 0)
        breaker_restore(&l->breaker, &conf->breaker, row->broken_since_ms, now_ms);
    l->moves += moved;
    if (moved || woken) {
        /* Another endpoint, or somebody resumed it: it is tried at once. */
        breaker_init(&l->breaker);
        l->probing = false;
        l->wait_until_ms = 0;
    }
    return moved ? LANE_MOVED : enabled ? LANE_ENABLED : LANE_SAME;
}

int64_t lane_open_ms(const struct lane *l, int64_t now_ms)
{
    int64_t at = now_ms;

    if (l->row.state != SUB_ACTIVE || l->loading)
        return INT64_MAX; /* loading: it may have been paused, deleted or moved elsewhere */
    if (l->wait_until_ms > at)
        at = l->wait_until_ms;
    if (l->again_ms > at)
        at = l->again_ms;
    int64_t breaker = breaker_next_ms(&l->breaker);
    if (breaker > at)
        at = breaker;
    if (at == INT64_MAX)
        return at;
    int64_t rate = rate_next_ms(&l->rate, now_ms);
    return rate > at ? rate : at;
}

/* All that is busy is in doubt, also what waits for a disk that is full (G2). */
static bool in_doubt_max(const struct lane *l)
{
    return l->busy.n >= 2 * (size_t)l->max_in_flight;
}

bool lane_has_window(const struct lane *l)
{
    return l->in_flight < window_size(&l->window) && !in_doubt_max(l);
}

bool lane_may_try(const struct lane *l, int64_t now_ms)
{
    bool known = l->row.url != NULL && !l->loading && l->row.state != SUB_DELETED;

    return known && l->again_ms <= now_ms && !in_doubt_max(l);
}

bool lane_wants_trial(const struct lane *l, int64_t now_ms)
{
    return l->next_due_ms == TRIAL_DUE_MS && !l->claiming && lane_may_try(l, now_ms);
}

bool lane_take(struct lane *l, int64_t now_ms)
{
    if (lane_open_ms(l, now_ms) > now_ms || !lane_has_window(l))
        return false;
    if (!rate_take(&l->rate, now_ms))
        return false;
    bool was_open = l->breaker.state == BREAKER_OPEN;
    if (!breaker_allows(&l->breaker, now_ms)) {
        rate_return(&l->rate);
        return false;
    }
    if (was_open)
        l->probing = true;
    l->rate_held = false;
    return true;
}

bool lane_rate_holds(struct lane *l, int64_t now_ms)
{
    if (l->rate.per_s <= 0 || l->rate_held || l->queue.n == 0 ||
        rate_next_ms(&l->rate, now_ms) <= now_ms || lane_open_ms(l, now_ms) == INT64_MAX)
        return false;
    l->rate_held = true;
    return true;
}

void lane_give_back(struct lane *l)
{
    rate_return(&l->rate);
    if (l->probing) {
        l->probing = false;
        breaker_probe_returned(&l->breaker);
    }
}

/* How many deliveries may be queued: enough to hide a claim's way to the reader and back. */
static size_t queue_max(const struct lane *l)
{
    size_t max = 2 * (size_t)window_size(&l->window);

    if (l->breaker.state != BREAKER_CLOSED)
        max = 1;
    if (l->rate.per_s > 0 && max > (size_t)l->rate.per_s + 1)
        max = (size_t)l->rate.per_s + 1;
    return max;
}

bool lane_is_empty(const struct lane *l)
{
    return l->queue.n + l->busy.n == 0;
}

void lane_queue(struct lane *l, struct task *t)
{
    t->lane = l;
    if (t->row->delivery.num > l->newest)
        l->newest = t->row->delivery.num;
    if (task_is_first(t)) {
        task_list_put_first(&l->queue, t);
        return;
    }
    l->row_avg += ((double)t->row->bytes - l->row_avg) / 16;
    task_list_add(&l->queue, t);
}

size_t lane_appetite(const struct lane *l, int64_t now_ms)
{
    size_t want = queue_max(l), have = l->queue.n;

    if (l->claiming || l->row.state != SUB_ACTIVE || l->next_due_ms == 0 ||
        l->next_due_ms > now_ms || lane_open_ms(l, now_ms) > now_ms)
        return 0;
    /* Half-full is the moment. */
    return have * 2 > want ? 0 : want - have;
}

bool lane_accepts(const struct lane *l, int64_t delivery, int64_t now_ms)
{
    return l->row.state == SUB_ACTIVE && !l->claiming && delivery > l->newest &&
           (l->next_due_ms == 0 || l->next_due_ms > now_ms) && l->queue.n < queue_max(l);
}

int64_t lane_wake_ms(const struct lane *l, int64_t now_ms)
{
    int64_t open = lane_open_ms(l, now_ms);
    bool trial = l->queue.first != NULL && task_is_first(l->queue.first);

    if (lane_wants_trial(l, now_ms) || (trial && lane_may_try(l, now_ms)))
        return now_ms;
    if (trial && l->again_ms > now_ms)
        return l->again_ms;
    if (open == INT64_MAX)
        return open;
    if (l->queue.n > 0)
        return lane_has_window(l) ? open : INT64_MAX; /* else the next settlement wakes it */
    if (l->claiming || l->next_due_ms == 0)
        return INT64_MAX;
    return l->next_due_ms > open ? l->next_due_ms : open;
}

void lane_saw_due(struct lane *l, int64_t due_ms)
{
    if (due_ms <= 0)
        return;
    if (l->next_due_ms == 0 || due_ms < l->next_due_ms)
        l->next_due_ms = due_ms;
    if (due_ms < l->from_ms)
        l->from_ms = due_ms;
    if (l->claiming && (l->woken_ms == 0 || due_ms < l->woken_ms))
        l->woken_ms = due_ms;
}

bool lane_ghost_add(struct lane *l, int64_t delivery, int64_t generation)
{
    if (l->ghosts_n == l->ghosts_room) {
        size_t room = l->ghosts_room == 0 ? 16 : l->ghosts_room * 2;
        struct ghost *more = realloc(l->ghosts, room * sizeof *more);

        if (more == NULL)
            return false;
        l->ghosts = more;
        l->ghosts_room = room;
    }
    l->ghosts[l->ghosts_n++] = (struct ghost){delivery, generation};
    return true;
}

bool lane_is_ghost(const struct lane *l, int64_t delivery, int64_t generation)
{
    for (size_t i = 0; i < l->ghosts_n; i++)
        if (l->ghosts[i].delivery == delivery && l->ghosts[i].generation > generation)
            return true;
    return false;
}

void lane_ghosts_forget(struct lane *l)
{
    l->ghosts_n = 0;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What was claimed from a backlog lies in the order of its numbers: mostly there is nothing to do. */
static void sort(int64_t *nums, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (nums[i] < nums[i - 1]) {
            qsort(nums, n, sizeof *nums, by_number);
            return;
        }
}

int64_t *lane_known(const struct lane *l, const struct delivery_key *held, size_t held_n, size_t *n)
{
    size_t all = l->queue.n + l->busy.n + held_n, i = 0;

    *n = 0;
    if (all == 0)
        return NULL;
    int64_t *out = malloc(all * sizeof *out);
    if (out == NULL) {
        *n = SIZE_MAX;
        return NULL;
    }
    for (const struct task *t = l->busy.first; t != NULL; t = t->next)
        out[i++] = t->row->delivery.num;
    for (const struct task *t = l->queue.first; t != NULL; t = t->next)
        out[i++] = t->row->delivery.num;
    for (size_t h = 0; h < held_n; h++)
        if (held[h].sub == l->sub)
            out[i++] = held[h].num;
    sort(out, i);
    *n = i;
    return out;
}
