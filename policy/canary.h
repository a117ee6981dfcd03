/* policy/canary.h: may the letters of a replay go on? By what became of their first attempts.
 *
 * A replay begins with its canary: one letter at a time, until so many were delivered at once. Where
 * CANARY_GIVE_UP in a row are not, it ends there. Later it ends where more than a ratio of the last
 * CANARY_WINDOW failed. */
#ifndef POLICY_CANARY_H
#define POLICY_CANARY_H

#include <stdbool.h>
#include <stdint.h>

enum { CANARY_GIVE_UP = 5, CANARY_WINDOW = 20 };

struct canary_facts {
    int wanted;            /* deliveries that the canary is; 0: none */
    double stop_at;        /* ratio; 1: never */
    int64_t tried, failed; /* since the canary began */
    int64_t since;         /* tried since it was through; -1: it is not through yet */
    uint64_t recent;       /* the last first attempts, newest in bit 0; 1: failed */
};
enum canary_verdict {
    CANARY_ONE,     /* one at a time */
    CANARY_THROUGH, /* as many as the rest of the rules allow */
    CANARY_FAILED,  /* give up: so many in a row failed */
    CANARY_STOP,    /* give up: too many of the last ones failed */
};
enum canary_verdict canary_judge(const struct canary_facts *f);

#endif
