/* engine/engine_impl.h: what the engine's files share: engine.c builds it and takes it down,
 * engine_live.c is what it is told and asked while it runs. Not for others. */
#ifndef ENGINE_ENGINE_IMPL_H
#define ENGINE_ENGINE_IMPL_H

#include "engine/engine.h"
#include "engine/http.h"
#include "engine/intake.h"
#include "engine/jobs.h"
#include "engine/outbox.h"
#include "engine/reload.h"
#include "engine/shards.h"
#include "engine/sweep.h"
#include "store/seal.h"
#include "store/store.h"

enum { CONFS_MAX = 1024 };

struct engine {
    char *file; /* absolute: who asks may be elsewhere */
    struct conf *conf;
    struct conf *old_confs[CONFS_MAX]; /* handlers on the store thread may still read them: freed at
                                          the end */
    size_t old_confs_n;
    struct keyring *keys;
    struct loop *loop;
    struct store *store;
    struct loop_watch *store_watch, *on_term, *on_int, *on_hup;
    struct intake *intake;
    struct metrics *metrics;
    struct shards *shards;
    struct jobs *jobs;
    struct sweep *sweep;
    struct outbox_source *outbox;
    struct http *http;
    struct loop_timer *grace, *log_back;
    bool ready, draining, cut, egress_paused;
    int status;
    int64_t started_ms, config_loaded_ms;
    int64_t reloads, reload_failed_ms; /* 0: the last one was taken over */
    int64_t log_until_ms;              /* store clock; 0: the level stays */
};

/* ---- engine_live.c ---- */
/* All with the engine as arg: hooks of http and callbacks of its parts. */
void engine_changed(void *arg, const struct changes *ch);
void engine_outbox_changed(void *arg, const struct changes *ch);
/* heard runs once what they forbid is forbidden everywhere. */
void engine_jobs_changed(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg);
void engine_http_changed(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg);
void engine_look(void *arg, unsigned what, loop_fn *fn, void *fn_arg);
void engine_look_quiet(void *arg, loop_fn *fn, void *fn_arg);
bool engine_is_quiet(void *arg);
void engine_fill_live(void *arg, struct api_live *out);
void engine_fill_lanes(void *arg, struct api_live *out);
void engine_fill_metrics(void *arg, struct metrics_now *out);
void engine_write_metrics(void *arg, const struct metrics_now *now, struct buf *out);
int64_t *engine_sending(void *arg, size_t *n);
const struct conf *engine_conf(void *arg);
void engine_log_back(void *arg); /* the time of another log level is over */
void engine_egress(struct engine *e, const struct change_egress *ch);
/* What is read anew takes the place of what runs, or is told why not. *r is the caller's. */
void engine_reload(struct engine *e, struct reload *r);

#endif
