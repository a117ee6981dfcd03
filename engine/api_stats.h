/* engine/api_stats.h: what /stats and /status share: the numbers of one subscription, and a walk over
 * all of them. For api_*.c alone. */
#ifndef ENGINE_API_STATS_H
#define ENGINE_API_STATS_H

#include "engine/api_impl.h"

/* Due deliveries are counted one by one, up to that many of all subscriptions together. */
#define STATS_DUE_MAX INT64_C(100000)

struct stats_window {
    int64_t window_ms; /* as it was asked for */
    int64_t since_ms;  /* the beginning of the minute in which it begins */
    int64_t over_ms;   /* from there to now */
};
/* ?window=, from 1m to 1h; refuses others. */
enum err_code stats_window(struct api_call *c, const char *standard, struct stats_window *w);
/* Makes it as short as webhookd is up, where it was started in it and nothing was sent before that.
 * rows[n]: the traffic of all subscriptions in it; NULL: it is asked for. */
enum err_code stats_begun(struct api_call *c, const struct traffic *rows, size_t n,
                          struct stats_window *w);

#define LATER_UNKNOWN (-1)

struct sub_stats {
    const struct traffic *traffic;
    int in_flight;
    int64_t backlog;     /* open and not in flight: each is one of the three below */
    int64_t due;         /* can go now. Counted up to due_left */
    int64_t held;        /* by held_by */
    int64_t later;       /* planned for later (a retry, deliver_after), or behind another one of its
                      * key; LATER_UNKNOWN where due was not counted to the end */
    const char *held_by; /* in the words of a trace's entry (engine/api_wait.c); NULL: nobody */
    int64_t oldest_due_ms; /* when the first of due or held became due; 0: none did */
    int64_t dead;
    int64_t failing_since_ms;
};
int stats_in_flight(const struct api_live *live, int64_t sub);
int64_t stats_probe_ms(const struct api_live *live, int64_t sub); /* see struct api_lane */
int64_t stats_backlog(const struct api_call *c, const struct subscription *s);
/* What one look at many subscriptions shares. */
struct stats_now {
    bool egress_paused;
    int64_t due_left; /* so many due ones more are counted, one by one */
};
enum err_code stats_now_read(struct api_call *c, int64_t due_max, struct stats_now *out);
/* t: what passed in the window, NULL: nothing. */
enum err_code stats_of_sub(struct api_call *c, const struct subscription *s,
                           const struct traffic *t, struct stats_now *now, struct sub_stats *out);
bool sub_failing(const struct subscription *s); /* active, and its endpoint fails */

/* *more: false ends the walk. */
typedef enum err_code stats_visit_fn(struct api_call *c, const struct subscription *s, void *arg,
                                     bool *more);
/* Every subscription behind `after` that is not deleted, in order of num. */
enum err_code stats_visit_subs(struct api_call *c, int64_t after, bool secrets,
                               stats_visit_fn *visit, void *arg);

/* ok … p99_seconds; rates where over_ms is not 0. */
void put_traffic(struct buf *b, const struct traffic *t, int64_t over_ms);
void put_later(struct buf *b, int64_t later);
/* backlog … oldest_due_at */
void put_waiting(struct buf *b, const struct sub_stats *x);
void put_sub_stats(struct buf *b, const struct subscription *s, const struct sub_stats *x,
                   int64_t over_ms);
/* The row of sub among rows[n] in order of sub; NULL: none. */
const struct traffic *stats_find(const struct traffic *rows, size_t n, int64_t sub);

#endif
