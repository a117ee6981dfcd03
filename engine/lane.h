/* engine/lane.h: the run-time state of one subscription: window, rate, breaker, what is queued and
 * in flight.
 *
 * A lane belongs to one loop (engine/owners.h) and is touched by its thread only. It decides nothing about retries;
 * it answers "may one more start, and if not, when?" from the policies it holds.
 *
 *   store.ready --claim---> queue --start--> in flight --settle--> forgotten
 *   commit of intake --row--^                                (a ghost while a claim is out)
 *
 * A ghost is a delivery whose settlement was committed while a claim was out: the claim's snapshot
 * may be older and show it as ready. A claim that begins later cannot.
 */
#ifndef ENGINE_LANE_H
#define ENGINE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "engine/task.h"
#include "engine/traffic.h"
#include "policy/breaker.h"
#include "policy/conf.h"
#include "policy/profile.h"
#include "policy/rate.h"
#include "policy/window.h"
#include "store/model.h"

struct scheduler;

struct ghost {
    int64_t delivery, generation;
};

struct lane {
    struct heap_node wake; /* key: store clock ms */
    struct scheduler *scheduler;
    int64_t sub;

    struct subscription row;
    void *row_block; /* what row points to */
    const struct profile *profile;
    const struct retry_policy *retry;
    int64_t timeout_ms;
    int max_in_flight;
    unsigned moves; /* to another URL, so far */

    struct window window;
    struct rate rate;
    struct breaker breaker;
    int64_t wait_until_ms; /* Retry-After of a 429 or 503 */
    int64_t again_ms;      /* one could not start (no descriptor, no memory): not before */
    bool rate_held;        /* the next one waits for the rate, and was counted */
    bool probing;          /* taken for the breaker's probe: in flight, or about to start */

    int64_t next_due_ms; /* of the earliest ready delivery that is not in memory; 0: none known */
    int64_t from_ms;  /* where the next claim begins: nothing but what is in memory is ready and due
                            before that; 0: at the start */
    int64_t woken_ms; /* earliest due told while a claim was out; 0: none */
    int64_t newest;   /* highest number of a delivery that was ever queued here */
    bool claiming, loading, load_again;
    bool hungry;  /* it has nothing in memory and was told to wait for room */
    bool in_line; /* it stands in scheduler->line: */
    struct lane *ahead, *behind;
    double row_avg;    /* bytes of a claimed one: how many may a claim bring? */
    size_t next_bytes; /* of the one at next_due_ms, where a claim found it too large; else 0 */

    struct task_list queue; /* claimed, not started */
    struct task_list busy;  /* sending or settling */
    int64_t turns; /* it had: deliveries started; no less than the one with most, but for a few */
    int in_flight;
    struct traffic_lane *traffic; /* NULL: it had no attempt yet */
    struct ghost *ghosts;
    size_t ghosts_n, ghosts_room;
};

struct lane *lane_new(struct scheduler *s, int64_t sub); /* NULL: no memory */
void lane_free(struct lane *l); /* queued and busy tasks with it; secrets wiped */
/* Takes a copy of a freshly read row. Keeps window, rate and breaker where their settings did not change. */
enum lane_news {
    LANE_NO_MEMORY, /* it is as it was */
    LANE_SAME,
    LANE_ENABLED, /* after it was disabled: what was known of its endpoint is void */
    LANE_MOVED,   /* so it is, and connections must be forgotten: another URL */
};
enum lane_news lane_load(struct lane *l, const struct conf *conf, const struct subscription *row,
                         int64_t now_ms);
/* Of a row whose strings are the caller's: secrets, bearer token, custom headers. */
void lane_wipe_secrets(const struct subscription *row);
void lane_configure(struct lane *l, const struct conf *conf, int64_t now_ms);

/* When one more delivery may start as far as the lane itself is concerned: now or later, INT64_MAX:
 * only after another event. */
int64_t lane_open_ms(const struct lane *l, int64_t now_ms);
/* Room in the window, and not more in doubt than G2 allows. */
bool lane_has_window(const struct lane *l);
/* Takes what starting one costs (a token, the probe). False: not now. */
bool lane_take(struct lane *l, int64_t now_ms);
/* True once for each delivery that the rate alone holds up. */
bool lane_rate_holds(struct lane *l, int64_t now_ms);
/* It did not start after all. */
void lane_give_back(struct lane *l);
bool lane_is_empty(const struct lane *l); /* nothing of it is in memory */
/* One more is claimed; it waits for its turn. */
void lane_queue(struct lane *l, struct task *t);
/* How many deliveries a claim should bring; 0: none now. */
size_t lane_appetite(const struct lane *l, int64_t now_ms);
/* May a delivery that was just committed be queued without a claim? Only where a claim would bring
 * it next, and has not brought it already: what was claimed between the commit and its answer is
 * not newer than `newest`. */
bool lane_accepts(const struct lane *l, int64_t delivery, int64_t now_ms);
/* ---- trials ----
 * An operator's one question to the endpoint (store/backend.h): it stands before all others, and goes
 * out alone whatever the lane waits for: paused, disabled, broken, Retry-After, rate, window. What
 * becomes of it changes nothing of that. */
bool lane_may_try(const struct lane *l, int64_t now_ms);
/* One is ready that is not in memory: a claim should bring it, and what is due at TRIAL_DUE_MS only. */
bool lane_wants_trial(const struct lane *l, int64_t now_ms);

/* When the scheduler should look at the lane again; INT64_MAX: something else will wake it. */
int64_t lane_wake_ms(const struct lane *l, int64_t now_ms);
/* One that is not in memory became ready, or it is known now: due then, or not before. */
void lane_saw_due(struct lane *l, int64_t due_ms);

/* Only while a claim is out. False: no memory. */
bool lane_ghost_add(struct lane *l, int64_t delivery, int64_t generation);
/* Was this delivery settled after the snapshot of this generation, which shows it as ready? */
bool lane_is_ghost(const struct lane *l, int64_t delivery, int64_t generation);
void lane_ghosts_forget(struct lane *l); /* the claim is over */
/* Numbers of the deliveries in memory (queue, busy) and of those held, sorted, for a claim to skip; *n of them; NULL
 * where none or no memory (*n = SIZE_MAX). Ghosts are not among them: what was settled may be ready
 * again by a replay, and only the snapshot's generation tells. */
int64_t *lane_known(const struct lane *l, const struct delivery_key *held, size_t held_n,
                    size_t *n);

#endif
