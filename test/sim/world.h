/* test/sim/world.h: a world in which time moves only when we say so.
 *
 * Linked in place of base/clock.c, base/dice.c, engine/loop_libevent.c, engine/transport_curl.c and
 * store/store.c; the scheduler, lanes, settle, jobs, sweep, intake, policy and the memory backend
 * are the real ones. One thread. */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/loop.h"
#include "engine/transport.h"
#include "store/store.h"

void world_reset(uint64_t seed, int64_t wall_ms);
int64_t world_now_ms(void);
/* Lets time pass: runs what is due, in order, jumping from one timer to the next. */
void world_run(struct loop *l, struct store *s, int64_t for_ms);

/* An endpoint is a function of the request: what it answers, after how long. */
struct world_answer {
    enum outcome outcome;
    int status;
    int64_t after_ms, retry_after_ms; /* retry_after_ms -1: none */
};
typedef struct world_answer world_endpoint_fn(void *arg, const char *url, int64_t now_ms);
void world_endpoint(world_endpoint_fn *fn, void *arg);
int world_most_in_flight(void);
int world_claims(void); /* questions to the claim reader */

/* Until then every request of this lane fails with ERR_FULL. */
void world_store_fails(enum store_thread lane, int64_t until_ms);

bool loop_sim_step(struct loop *l, int64_t until_ms); /* false: nothing is due until then */
bool store_sim_pending(const struct store *s);

#endif
