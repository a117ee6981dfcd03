/* engine/quota.h: what all delivery loops together may have: attempts in flight (max_in_flight) and bytes
 * of large rows in memory.
 *
 *   pool ──borrow──▶ a loop's share ──▶ one more in flight
 *     ▲                   │ settled: more than it uses, or another one waits for its part
 *     └─────give back─────┘
 *
 * A busy loop may have what the others leave unused; one that has less than its part and wants more
 * gets it as soon as those above theirs settle something. With one loop all is its own, and nothing
 * is ever borrowed. A share is its loop's; the quota is anybody's (atomic). */
#ifndef ENGINE_QUOTA_H
#define ENGINE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* There is something to borrow again for this one. From any loop's thread. */
typedef void quota_wake_fn(void *arg, int share);

struct quota {
    int shares;
    quota_wake_fn *wake;
    void *arg;
    atomic_int max, left;            /* left: in no share; below 0 after max became less */
    _Atomic uint64_t waiting;        /* a bit for each share below its part that wants more */
    atomic_size_t bytes;             /* what large rows hold, and claims under way may bring */
    _Atomic int64_t hungry_until_ms; /* a lane without anything waits for memory */
};
struct share {
    struct quota *quota;
    int n, held;
    bool waits, wants; /* its bit is set; it found nothing in this run */
};

enum { QUOTA_SHARES_MAX = 64 };
/* max: at least one for each share. wake may be NULL where there is one. */
void quota_init(struct quota *q, int max, int shares, quota_wake_fn *wake, void *arg);
void quota_set_max(struct quota *q, int max);
void share_init(struct share *s, struct quota *q, int n);

/* May one more start beside in_flight? The last eighth is for lanes that have nothing in flight (first):
 * slow endpoints, however many, leave the others a way. Borrows what it takes. */
bool share_lets(struct share *s, int in_flight, bool first);
/* The same for a first one, without borrowing. */
bool share_is_open(const struct share *s, int in_flight);
/* Something was settled: what is not needed goes back. */
void share_trim(struct share *s, int in_flight);
/* The end of a run, in which all was started that may be. */
void share_rest(struct share *s, int in_flight);
/* How many this loop may have in flight, about: its part, or more where it has borrowed. */
int share_size(const struct share *s);
/* The same after it has borrowed once more. */
int share_reach(const struct share *s);

#endif
