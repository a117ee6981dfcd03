/* engine/engine.c: construction, signals, reload, drain. No decision about events or deliveries is
 * made here. */
#include "engine/engine.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/egress_pause.h"
#include "engine/http.h"
#include "engine/intake.h"
#include "engine/jobs.h"
#include "engine/notify.h"
#include "engine/outbox.h"
#include "engine/scheduler.h"
#include "engine/sweep.h"
#include "engine/transport.h"
#include "store/backend.h"
#include "store/seal.h"
#include "store/store.h"

enum {
    LOCK_WAIT_MS = 5000,
    CONFS_MAX = 1024,
    RATE_WINDOW_S = 10,
    CUT_SETTLE_MS = 1000,
    CA_FILE_MAX_BYTES = 16 << 20
};

struct engine {
    const char *file;
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
    struct traffic_log *traffic;
    struct transport *transport;
    struct scheduler *scheduler;
    struct jobs *jobs;
    struct sweep *sweep;
    struct outbox_source *outbox;
    struct http *http;
    struct loop_timer *grace, *second;
    bool ready, draining, cut, egress_paused;
    int status;
    int64_t started_ms, config_loaded_ms;
    int64_t delivered[RATE_WINDOW_S + 1]; /* a ring of the counter, one entry a second */
    unsigned seconds;
};

/* ---- what others tell us ---- */
static void egress_changed(struct engine *e, const struct change_egress *ch)
{
    char until[TEXT_TIME_MAX];

    if (ch->paused)
        log_warn("egress_paused", "resume_at=%s effect=%s",
                 ch->resume_at_ms != 0 ? text_time(until, ch->resume_at_ms) : NULL,
                 "nothing is sent to anybody; webhookctl egress resume ends it");
    else if (e->egress_paused)
        log_info("egress_resumed", "effect=%s", "what waited is sent");
    e->egress_paused = ch->paused;
    scheduler_pause(e->scheduler, ch->paused);
    sweep_wake_at(e->sweep, ch->resume_at_ms);
}

static void engine_changed(void *arg, const struct changes *ch)
{
    struct engine *e = arg;

    for (int c = 0; c < CAUSES; c++) {
        for (int64_t i = 0; i < ch->dead[c]; i++)
            metrics_completed(e->metrics, DELIVERY_DEAD, (enum cause)c, -1);
        traffic_died(e->traffic, ch->dead[c]);
    }
    for (int64_t i = 0; i < ch->discarded; i++)
        metrics_completed(e->metrics, DELIVERY_DISCARDED, CAUSE_NONE, -1);
    if (ch->egress.told)
        egress_changed(e, &ch->egress);
    scheduler_changed(e->scheduler, ch);
}

static void intake_metrics(struct engine *e, enum metrics_source source, const struct changes *ch)
{
    metrics_ingested(e->metrics, source, ch->accepted);
    metrics_duplicates(e->metrics, ch->duplicates);
    metrics_unrouted(e->metrics, ch->unrouted);
    metrics_rejected(e->metrics, ch->rejected);
}

static void outbox_changed(void *arg, const struct changes *ch)
{
    intake_metrics(arg, METRICS_OUTBOX, ch);
    engine_changed(arg, ch);
}

static void http_changed(void *arg, const struct changes *ch)
{
    intake_metrics(arg, ch->by_cli ? METRICS_CLI : METRICS_API, ch);
    engine_changed(arg, ch);
}

static void on_jobs_changed(void *arg)
{
    struct engine *e = arg;

    jobs_kick(e->jobs);
}

static void on_idle(void *arg)
{
    struct engine *e = arg;

    loop_stop(e->loop);
}

static void store_readable(void *arg)
{
    struct engine *e = arg;
    struct err why;

    store_drain(e->store);
    if (!store_failed(e->store, &why) || e->status == EX_IOERR)
        return;
    log_error(
        "store_failed", "error=%s next=%s", why.text,
        "nothing is acknowledged any more; webhookd exits, start it again to read from the disk");
    e->status = EX_IOERR;
    loop_stop(e->loop);
}

/* ---- what others ask us ---- */
static void fill_live(void *arg, struct api_live *out)
{
    struct engine *e = arg;
    struct scheduler_now now;
    int64_t newest = e->delivered[e->seconds % (RATE_WINDOW_S + 1)];
    int64_t oldest = e->delivered[(e->seconds + 1) % (RATE_WINDOW_S + 1)];

    scheduler_look(e->scheduler, &now);
    *out = (struct api_live){
        .pid = (long)getpid(),
        .started_ms = e->started_ms,
        .ready = e->ready && !e->draining,
        .draining = e->draining,
        .in_flight = now.in_flight,
        .in_flight_retrying = now.in_flight_retrying,
        .in_flight_limit = e->conf->max_in_flight,
        .breakers_open = now.breakers_open,
        .delivered_per_s = (double)(newest - oldest) / RATE_WINDOW_S,
        .config_loaded_ms = e->config_loaded_ms,
    };
}

static int64_t *sending(void *arg, size_t *n)
{
    const struct engine *e = arg;

    return scheduler_sending(e->scheduler, n);
}

static void fill_metrics(void *arg, struct metrics_now *out)
{
    struct engine *e = arg;
    struct scheduler_now now;
    struct transport_stats sent;
    struct statvfs fs;
    const char *path = url_sqlite_path(e->conf->store_url);

    scheduler_look(e->scheduler, &now);
    transport_stats(e->transport, &sent);
    out->in_flight = now.in_flight;
    out->in_flight_retrying = now.in_flight_retrying;
    out->in_flight_limit = e->conf->max_in_flight;
    out->breakers_open = now.breakers_open;
    out->egress_paused = e->egress_paused;
    out->oldest_due_ms = now.oldest_due_ms;
    for (int i = 0; i < SUB_STATES; i++)
        out->subscriptions[i] = now.lanes[i];
    out->jobs_active = jobs_active(e->jobs);
    out->connections_opened = sent.opened;
    out->connections_reused = sent.reused;
    out->request_bytes = sent.request_bytes;
    out->response_bytes = sent.response_bytes;
    if (path != NULL && statvfs(path, &fs) == 0)
        out->free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static const struct conf *current_conf(void *arg)
{
    struct engine *e = arg;

    return e->conf;
}

static void every_second(void *arg)
{
    struct engine *e = arg;
    struct scheduler_now now;

    scheduler_look(e->scheduler, &now);
    e->seconds++;
    e->delivered[e->seconds % (RATE_WINDOW_S + 1)] = now.delivered;
    loop_timer_at(e->second, clock_mono_ms() + 1000);
}

/* ---- signals ---- */
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

/* Reads what the configuration only names: with a wrong ca_file every attempt would fail at TLS. */
static enum err_code ca_file_check(const struct conf *conf, struct err *err)
{
    struct buf text;

    if (conf->ca_file == NULL)
        return OK;
    buf_init(&text, CA_FILE_MAX_BYTES);
    enum err_code rc = text_read_file(conf->ca_file, CA_FILE_MAX_BYTES, &text, err);

    if (rc != OK)
        rc = fail(err, ERR_CONFIG, "delivery.ca_file: %s", err->text);
    else if (text.data == NULL || strstr(text.data, "CERTIFICATE-----") == NULL)
        rc = fail(err, ERR_CONFIG, "delivery.ca_file: no certificate in %s: PEM is wanted",
                  conf->ca_file);
    buf_fini(&text);
    return rc;
}

static bool may_reload(const struct engine *e, const struct conf *next, struct buf *problems)
{
    struct err err;
    bool ok = conf_reload_check(e->conf, next, problems);

    if (ca_file_check(next, &err) != OK) {
        buf_addf(problems, "error: %s\n", err.text);
        ok = false;
    }
    if (ok && e->old_confs_n == CONFS_MAX) {
        buf_addf(problems, "error: reloaded %d times already: restart webhookd\n", CONFS_MAX);
        ok = false;
    }
    return ok;
}

static void on_hup(void *arg)
{
    struct engine *e = arg;
    struct conf *next = NULL;
    struct buf problems;
    char reloading[96];

    if (e->draining) {
        log_warn("config_reload_failed", "cause=%s", "webhookd is stopping");
        return;
    }
    (void)snprintf(reloading, sizeof reloading, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)clock_mono_us());
    notify_state(reloading);
    buf_init(&problems, 65536);
    bool ok = conf_load(&next, e->file, &problems) == OK && may_reload(e, next, &problems);
    if (ok) {
        e->old_confs[e->old_confs_n++] = e->conf;
        e->conf = next;
        log_setup((enum log_format)next->log_format, (enum log_level)next->log_level);
        transport_configure(e->transport, next);
        scheduler_configure(e->scheduler, next);
        jobs_configure(e->jobs, next->dead_retention_ms);
        sweep_configure(e->sweep, next);
        outbox_source_configure(e->outbox, next);
        e->config_loaded_ms = clock_wall_ms();
        log_info("config_loaded", "file=%s", e->file);
    } else {
        log_problems("config_reload_failed", &problems);
        log_error("config_reload_failed", "file=%s kept=%s", e->file,
                  "the configuration that runs");
        conf_free(next);
    }
    metrics_reload(e->metrics, ok, clock_wall_ms());
    buf_fini(&problems);
    if (e->ready) /* else it is said when it is so */
        notify_state("READY=1");
}

static void grace_over(void *arg)
{
    struct engine *e = arg;

    if (e->cut) { /* the store does not answer: what is unsettled is still ready in it */
        loop_stop(e->loop);
        return;
    }
    e->cut = true;
    log_warn("stopping", "cause=%s",
             "grace period over; what is in flight is recorded and sent again after the start");
    transport_cut(e->transport, "cut off: webhookd was stopping");
    loop_timer_at(e->grace, clock_mono_ms() + CUT_SETTLE_MS);
}

static void on_term(void *arg)
{
    struct engine *e = arg;

    if (e->draining) { /* asked twice: at once. Nothing is lost: what is unsettled is still ready in
                          the store */
        log_warn("stopped", "cause=%s", "second signal");
        _exit(0);
    }
    e->draining = true;
    notify_state("STOPPING=1");
    log_info("stopping", "grace_ms=%lld", (long long)e->conf->grace_ms);
    outbox_source_stop(e->outbox);
    if (e->http != NULL)
        http_drain(e->http);
    jobs_stop(e->jobs);
    sweep_stop(e->sweep);
    loop_timer_at(e->grace, clock_mono_ms() + e->conf->grace_ms);
    scheduler_drain(e->scheduler);
}

/* ---- construction ---- */
struct prime {
    struct intake *intake;
    struct egress_pause egress;
    bool done;
    struct err err;
};

static enum err_code prime_work(struct backend *b, void *arg, struct err *err)
{
    struct prime *p = arg;

    enum err_code rc = intake_prime(p->intake, b, err);
    return rc == OK ? egress_pause_read(b, &p->egress, err) : rc;
}

static void prime_done(void *arg, const struct err *err, int64_t generation)
{
    struct prime *p = arg;

    (void)generation;
    p->err = *err;
    p->done = true;
}

/* The store thread owns intake, so it is primed there; before the loop runs it is enough to wait.
 */
static enum err_code engine_prime(struct engine *e, struct change_egress *egress, struct err *err)
{
    struct prime p = {.intake = e->intake};

    if (store_submit(e->store, STORE_WRITE, 0, prime_work, prime_done, &p) != OK)
        return fail(err, ERR_INTERNAL, "store: the first request was refused");
    while (!p.done) {
        struct pollfd fd = {.fd = store_fd(e->store), .events = POLLIN};

        (void)poll(&fd, 1, -1);
        store_drain(e->store);
    }
    if (p.err.code != OK)
        *err = p.err;
    *egress =
        (struct change_egress){.paused = p.egress.paused, .resume_at_ms = p.egress.resume_at_ms};
    return p.err.code;
}

static void on_lanes_ready(void *arg)
{
    struct engine *e = arg;
    struct err err;
    struct http_hooks hooks = {e, http_changed, fill_live, sending, fill_metrics, current_conf};

    if (e->draining)
        return;
    enum err_code rc =
        outbox_source_new(&e->outbox, e->conf, e->store, e->intake, outbox_changed, e, &err);
    if (rc == OK)
        rc = http_new(&e->http, e->loop, e->conf, e->store, e->intake, e->metrics, &hooks, &err);
    if (rc != OK) {
        log_error("start_failed", "error=%s", err.text);
        e->status = rc == ERR_BUSY ? EX_TEMPFAIL : EX_CONFIG;
        loop_stop(e->loop);
        return;
    }
    outbox_source_start(e->outbox);
    e->ready = true;
    jobs_kick(e->jobs);
    log_info("ready", "version=%s pid=%ld socket=%s http=%s outboxes=%zu", WEBHOOKD_VERSION,
             (long)getpid(), e->conf->listen_socket, e->conf->listen_http, e->conf->outbox_n);
    notify_state("READY=1");
}

/* Descriptors: as many as we may have. */
static void limits_set(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    process_hide_memory();
    process_return_memory();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write, not a death */
}

/* A reload that is asked for before we listen for it waits; it would end the process. */
static void hup_wait(bool wait)
{
    sigset_t hup;

    (void)sigemptyset(&hup);
    (void)sigaddset(&hup, SIGHUP);
    (void)pthread_sigmask(wait ? SIG_BLOCK : SIG_UNBLOCK, &hup, NULL);
}

static enum err_code engine_build(struct engine *e, struct err *err)
{
    enum err_code rc = ca_file_check(e->conf, err);

    if (rc == OK)
        rc = keyring_load(&e->keys, e->conf->encryption_key_file,
                          backend_is_new(e->conf->store_url), err);
    if (rc != OK)
        return rc;
    rc = store_open(&e->store, e->conf->store_url, e->keys, LOCK_WAIT_MS, err);
    if (rc != OK)
        return rc;
    e->loop = loop_new();
    e->intake = intake_new(e->keys);
    e->metrics = metrics_new();
    e->traffic = e->loop != NULL ? traffic_new(e->loop, e->store) : NULL;
    if (e->loop == NULL || e->intake == NULL || e->metrics == NULL || e->traffic == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    struct change_egress egress;
    rc = engine_prime(e, &egress, err);
    if (rc != OK)
        return rc;
    e->transport = transport_new(e->loop, e->conf, err);
    if (e->transport == NULL)
        return err->code;
    struct scheduler_parts parts = {.loop = e->loop,
                                    .store = e->store,
                                    .transport = e->transport,
                                    .metrics = e->metrics,
                                    .traffic = e->traffic,
                                    .conf = e->conf,
                                    .intake = e->intake,
                                    .ready = on_lanes_ready,
                                    .idle = on_idle,
                                    .jobs_changed = on_jobs_changed,
                                    .arg = e};
    e->scheduler = scheduler_new(&parts);
    e->jobs = jobs_new(e->loop, e->store, e->conf->dead_retention_ms, engine_changed, e);
    e->sweep = sweep_new(e->loop, e->store, e->conf, e->scheduler, engine_changed, e);
    e->grace = loop_timer_new(e->loop, grace_over, e);
    e->second = loop_timer_new(e->loop, every_second, e);
    e->store_watch = loop_watch_new(e->loop, store_fd(e->store), store_readable, e);
    e->on_term = loop_signal_new(e->loop, SIGTERM, on_term, e);
    e->on_int = loop_signal_new(e->loop, SIGINT, on_term, e);
    e->on_hup = loop_signal_new(e->loop, SIGHUP, on_hup, e);
    if (e->scheduler == NULL || e->jobs == NULL || e->sweep == NULL || e->grace == NULL ||
        e->second == NULL || e->store_watch == NULL || e->on_term == NULL || e->on_int == NULL ||
        e->on_hup == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    egress_changed(e, &egress);
    hup_wait(false);
    return OK;
}

/* Reverse order. http first: held requests are answered; then the store, whose last callbacks need
 * the scheduler. */
static void engine_tear_down(struct engine *e)
{
    outbox_source_stop(e->outbox);
    if (e->scheduler != NULL)
        scheduler_drain(e->scheduler); /* nothing new, whatever brought us here */
    http_free(e->http);
    transport_free(e->transport);
    e->transport = NULL;
    loop_watch_free(e->store_watch);
    traffic_stop(e->traffic);
    store_close(e->store);
    outbox_source_free(e->outbox);
    sweep_free(e->sweep);
    jobs_free(e->jobs);
    scheduler_free(e->scheduler);
    traffic_free(e->traffic);
    loop_watch_free(e->on_term);
    loop_watch_free(e->on_int);
    loop_watch_free(e->on_hup);
    loop_timer_free(e->grace);
    loop_timer_free(e->second);
    metrics_free(e->metrics);
    intake_free(e->intake);
    loop_free(e->loop);
    keyring_free(e->keys);
    conf_free(e->conf);
    for (size_t i = 0; i < e->old_confs_n; i++)
        conf_free(e->old_confs[i]);
}

static int status_of(enum err_code rc)
{
    if (rc == ERR_BUSY)
        return EX_TEMPFAIL;
    if (rc == ERR_IO || rc == ERR_CORRUPT || rc == ERR_FULL)
        return EX_IOERR;
    if (rc == ERR_NOMEM)
        return EX_OSERR;
    return EX_CONFIG;
}

int engine_run(struct conf *conf, const char *file)
{
    struct engine *e = calloc(1, sizeof *e);
    struct err err;

    if (e == NULL) {
        conf_free(conf);
        return EX_OSERR;
    }
    limits_set();
    hup_wait(true);
    e->conf = conf;
    e->file = file;
    e->started_ms = e->config_loaded_ms = clock_wall_ms();
    log_info("starting", "version=%s config=%s store=%s", WEBHOOKD_VERSION, file, conf->store_url);
    enum err_code rc = engine_build(e, &err);
    if (rc != OK) {
        log_error("start_failed", "code=%s error=%s", err_code_name(rc), err.text);
        e->status = status_of(rc);
    } else {
        metrics_reload(e->metrics, true, e->config_loaded_ms);
        loop_timer_at(e->second, clock_mono_ms() + 1000);
        scheduler_start(e->scheduler);
        loop_run(e->loop);
    }
    int status = e->status;
    engine_tear_down(e);
    free(e);
    log_info("stopped", "status=%d", status);
    return status;
}
