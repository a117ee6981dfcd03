/* engine/engine_live.c: what the engine is told and asked while it runs: changes of the store, a new
 * configuration, another log level; its numbers. All on the loop. */
#include "engine/engine_impl.h"

#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/url.h"

/* ---- the configuration, and how much is logged ---- */
/* The level is another one than configured until then (store clock); 0: as long as nobody says. */
static void log_until(struct engine *e, int64_t until_ms)
{
    e->log_until_ms = until_ms;
    if (until_ms > 0)
        loop_timer_at(e->log_back, clock_mono_ms() + (until_ms - clock_store_ms()));
    else
        loop_timer_stop(e->log_back);
}

void engine_log_back(void *arg)
{
    struct engine *e = arg;
    enum log_level configured = (enum log_level)e->conf->log_level;

    e->log_until_ms = 0;
    log_set_level(configured);
    log_info("log_level", "level=%s cause=%s", log_level_name(configured), "its time is over");
}

static void log_changed(struct engine *e, const struct change_log *ch)
{
    enum log_level level = (enum log_level)ch->level;
    bool quieter = level > log_level_now();
    char until[TEXT_TIME_MAX];

    if (!quieter)
        log_set_level(level);
    log_info("log_level", "level=%s until=%s", log_level_name(level),
             ch->until_ms != 0 ? text_time(until, ch->until_ms) : NULL);
    log_set_level(level);
    log_until(e, ch->until_ms);
}

static void log_problems(const char *event, struct buf *problems)
{
    char *line = problems->data;

    while (line != NULL && *line != '\0') {
        char *end = strchr(line, '\n');

        if (end != NULL)
            *end = '\0';
        log_error(event, "problem=%s", line);
        line = end != NULL ? end + 1 : NULL;
    }
}

void engine_reload(struct engine *e, struct reload *r)
{
    bool ok = r->next != NULL && e->old_confs_n < CONFS_MAX;

    if (ok) {
        e->old_confs[e->old_confs_n++] = e->conf;
        e->conf = r->next;
        r->next = NULL;
        log_setup((enum log_format)e->conf->log_format, (enum log_level)e->conf->log_level);
        log_until(e, 0);
        shards_configure(e->shards, e->conf);
        jobs_configure(e->jobs, e->conf);
        sweep_configure(e->sweep, e->conf);
        outbox_source_configure(e->outbox, e->conf);
        e->config_loaded_ms = clock_wall_ms();
        log_info("config_loaded", "file=%s", e->file);
    } else {
        if (r->next != NULL)
            buf_addf(&r->problems, "error: reloaded %d times already: restart webhookd\n",
                     CONFS_MAX);
        log_problems("config_reload_failed", &r->problems);
        log_error("config_reload_failed", "file=%s kept=%s", e->file,
                  "the configuration that runs");
    }
    e->reloads += ok;
    e->reload_failed_ms = ok ? 0 : clock_wall_ms();
    metrics_reload(e->metrics, ok, clock_wall_ms());
}

/* ---- what others tell us ---- */
void engine_egress(struct engine *e, const struct change_egress *ch)
{
    char until[TEXT_TIME_MAX];

    if (ch->paused)
        log_warn("egress_paused", "resume_at=%s effect=%s",
                 ch->resume_at_ms != 0 ? text_time(until, ch->resume_at_ms) : NULL,
                 "nothing is sent to anybody; webhookctl egress resume ends it");
    else if (e->egress_paused)
        log_info("egress_resumed", "effect=%s", "what waited is sent");
    e->egress_paused = ch->paused;
    shards_pause(e->shards, ch->paused);
    sweep_wake_at(e->sweep, ch->resume_at_ms);
}

void engine_changed(void *arg, const struct changes *ch)
{
    struct engine *e = arg;

    for (int c = 0; c < CAUSES; c++) {
        for (int64_t i = 0; i < ch->dead[c]; i++)
            metrics_completed(e->metrics, DELIVERY_DEAD, (enum cause)c, -1);
        shards_died(e->shards, ch->dead[c]);
    }
    for (int64_t i = 0; i < ch->discarded; i++)
        metrics_completed(e->metrics, DELIVERY_DISCARDED, CAUSE_NONE, -1);
    if (ch->egress.told)
        engine_egress(e, &ch->egress);
    if (ch->log.told)
        log_changed(e, &ch->log);
    if (ch->reload != NULL)
        engine_reload(e, ch->reload);
    shards_changed(e->shards, ch);
    sweep_stir(e->sweep);
}

static void intake_metrics(struct engine *e, enum metrics_source source, const struct changes *ch)
{
    metrics_ingested(e->metrics, source, ch->accepted);
    metrics_duplicates(e->metrics, ch->duplicates);
    metrics_unrouted(e->metrics, ch->unrouted);
    metrics_rejected(e->metrics, ch->rejected);
}

void engine_outbox_changed(void *arg, const struct changes *ch)
{
    intake_metrics(arg, METRICS_OUTBOX, ch);
    engine_changed(arg, ch);
}

/* Who hears "done" of a pause, or goes on to bury what is held, must not see another attempt of it. */
void engine_jobs_changed(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg)
{
    struct engine *e = arg;
    bool certain = ch->egress.told || ch->held.told || ch->subs_n > 0 || ch->reload != NULL;

    engine_changed(e, ch);
    if (certain)
        shards_ask(e->shards, 0, heard, heard_arg);
    else
        heard(heard_arg);
}

void engine_http_changed(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg)
{
    intake_metrics(arg, ch->by_cli ? METRICS_CLI : METRICS_API, ch);
    engine_jobs_changed(arg, ch, heard, heard_arg);
}

/* ---- what others ask us ---- */
void engine_fill_live(void *arg, struct api_live *out)
{
    struct engine *e = arg;

    *out = (struct api_live){
        .pid = (long)getpid(),
        .started_ms = e->started_ms,
        .ready = e->ready && !e->draining,
        .draining = e->draining,
        .in_flight_limit = e->conf->max_in_flight,
        .delivered_per_s = (double)shards_delivered_lately(e->shards) / PACE_SECONDS,
        .config_loaded_ms = e->config_loaded_ms,
        .config_reloads = e->reloads,
        .config_failed_ms = e->reload_failed_ms,
        .config_file = e->file,
        .may_reload = e->old_confs_n < CONFS_MAX,
        .log_until_ms = e->log_until_ms,
    };
}

int64_t *engine_sending(void *arg, size_t *n)
{
    const struct engine *e = arg;

    return shards_sending(e->shards, n);
}

void engine_look(void *arg, unsigned what, loop_fn *fn, void *fn_arg)
{
    struct engine *e = arg;

    shards_ask(e->shards, what, fn, fn_arg);
}

/* While egress is on nobody needs to know: no loop is woken for it. */
void engine_look_quiet(void *arg, loop_fn *fn, void *fn_arg)
{
    struct engine *e = arg;

    if (e->egress_paused)
        shards_ask(e->shards, 0, fn, fn_arg);
    else
        fn(fn_arg);
}

bool engine_is_quiet(void *arg)
{
    const struct engine *e = arg;

    return e->egress_paused && shards_are_quiet(e->shards);
}

void engine_fill_metrics(void *arg, struct metrics_now *out)
{
    struct engine *e = arg;
    struct shards_now now;
    struct statvfs fs;
    const char *path = url_sqlite_path(e->conf->store_url);

    shards_look(e->shards, &now);
    out->in_flight = now.lanes.in_flight;
    out->in_flight_retrying = now.lanes.in_flight_retrying;
    out->in_flight_limit = e->conf->max_in_flight;
    out->breakers_open = now.lanes.breakers_open;
    out->egress_paused = e->egress_paused;
    out->oldest_due_ms = now.lanes.oldest_due_ms;
    for (int i = 0; i < SUB_STATES; i++)
        out->subscriptions[i] = now.lanes.lanes[i];
    out->jobs_active = jobs_active(e->jobs);
    out->connections_opened = now.sent.opened;
    out->connections_reused = now.sent.reused;
    out->request_bytes = now.sent.request_bytes;
    out->response_bytes = now.sent.response_bytes;
    if (path != NULL && statvfs(path, &fs) == 0)
        out->free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

void engine_write_metrics(void *arg, const struct metrics_now *now, struct buf *out)
{
    struct engine *e = arg;
    struct metrics *sum = shards_metrics(e->shards);

    metrics_write(sum != NULL ? sum : e->metrics, now, out);
    metrics_free(sum);
}

/* The rest of it, which not every request is worth: copies, for the store's thread. */
void engine_fill_lanes(void *arg, struct api_live *out)
{
    struct engine *e = arg;
    struct shards_now now;
    struct store_stats stats;

    shards_look(e->shards, &now);
    out->in_flight = now.lanes.in_flight;
    out->in_flight_retrying = now.lanes.in_flight_retrying;
    out->breakers_open = now.lanes.breakers_open;
    store_stats(e->store, &stats);
    out->log_bytes = stats.log_bytes;
    out->attempts = now.attempts;
    out->lanes = shards_lanes(e->shards, &out->lanes_n);
    out->outboxes = outbox_source_look(e->outbox, &out->outboxes_n);
}

const struct conf *engine_conf(void *arg)
{
    struct engine *e = arg;

    return e->conf;
}
