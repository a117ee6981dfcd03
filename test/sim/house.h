/* test/sim/house.h: the daemon without its doors, built in the simulated world: the real scheduler,
 * lanes, settle, sweep, intake and memory backend, and what scenarios do to them. */
#ifndef TEST_SIM_HOUSE_H
#define TEST_SIM_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/intake.h"
#include "engine/scheduler.h"
#include "engine/sweep.h"
#include "store/seal.h"
#include "test/sim/world.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define START INT64_C(1800000000000)

struct house {
    struct conf *conf;
    struct keyring *keys;
    struct loop *loop;
    struct store *store;
    struct intake *intake;
    struct transport *transport;
    struct metrics *metrics;
    struct traffic_log *traffic;
    struct quota quota;
    struct owners owners;
    struct scheduler *scheduler;
    struct sweep *sweep;
    int64_t attempts, down_from_ms, down_to_ms; /* of "bad" */
    int64_t attempt_ms[64];
    int64_t good_attempts;
};

/* The endpoints: one whose URL has "good" in it answers 200 in 20 ms, "slow" in nine seconds; any
 * other is down between two points in time. */
void house_open(struct house *h, const char *conf_text);
void house_close(struct house *h);

struct request { /* one write by hand */
    struct house *h;
    int64_t sub;
    const char *name, *url, *type, *key;
    const char *patterns; /* NULL: everything */
    const char *payload;  /* NULL: a small one */
    bool ordered, keyless, paused;
    int64_t expires_ms;
    struct changes changes;
};

/* Runs add_sub or add_event on the store and tells the scheduler; returns the subscription. */
int64_t write_now(struct house *h, store_work_fn *work, struct request *r);
store_work_fn add_sub, add_event;
void post(struct house *h, int n, const char *type); /* n events */

struct tally {
    int64_t states[DELIVERY_STATES], rejects;
};
struct tally tally(struct house *h); /* deliveries by state */
store_done_fn counted;               /* of a look into the store: it went well */

#endif
