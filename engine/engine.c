/* engine/engine.c: construction, signals, drain. No decision about events or deliveries is made
 * here. */
#include "engine/engine_impl.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "engine/egress_pause.h"
#include "engine/notify.h"
#include "store/backend.h"

enum { LOCK_WAIT_MS = 5000, CUT_SETTLE_MS = 1000 };

/* ---- what its parts tell ---- */
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

/* ---- signals ---- */
static void on_hup(void *arg)
{
    struct engine *e = arg;
    char reloading[96];

    if (e->draining) {
        log_warn("config_reload_failed", "cause=%s", "webhookd is stopping");
        return;
    }
    (void)snprintf(reloading, sizeof reloading, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)clock_mono_us());
    notify_state(reloading);
    struct reload *r = reload_read(e->conf, e->file);
    if (r != NULL)
        engine_reload(e, r);
    else
        log_error("out_of_memory", "at=reload");
    reload_free(r);
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
    shards_cut(e->shards, "cut off: webhookd was stopping");
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
    shards_drain(e->shards);
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
    struct http_hooks hooks = {e,
                               engine_http_changed,
                               engine_look,
                               engine_fill_live,
                               engine_sending,
                               engine_fill_lanes,
                               engine_fill_metrics,
                               engine_write_metrics,
                               engine_conf};

    if (e->draining)
        return;
    enum err_code rc =
        outbox_source_new(&e->outbox, e->conf, e->store, e->intake, engine_outbox_changed, e, &err);
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
    enum err_code rc = reload_ca_file(e->conf, err);

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
    if (e->loop == NULL || e->intake == NULL || e->metrics == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    struct change_egress egress;
    rc = engine_prime(e, &egress, err);
    if (rc != OK)
        return rc;
    struct shards_parts parts = {.loop = e->loop,
                                 .store = e->store,
                                 .metrics = e->metrics,
                                 .conf = e->conf,
                                 .intake = e->intake,
                                 .ready = on_lanes_ready,
                                 .idle = on_idle,
                                 .jobs_changed = on_jobs_changed,
                                 .arg = e};
    rc = shards_new(&e->shards, &parts, err);
    if (rc != OK)
        return rc;
    struct sweep_hooks hooks = {e, engine_changed, engine_look_quiet, engine_is_quiet};
    e->jobs = jobs_new(e->loop, e->store, e->conf, intake_ids(e->intake), engine_jobs_changed, e);
    e->sweep = sweep_new(e->loop, e->store, e->conf, &hooks);
    e->grace = loop_timer_new(e->loop, grace_over, e);
    e->log_back = loop_timer_new(e->loop, engine_log_back, e);
    e->store_watch = loop_watch_new(e->loop, store_fd(e->store), store_readable, e);
    e->on_term = loop_signal_new(e->loop, SIGTERM, on_term, e);
    e->on_int = loop_signal_new(e->loop, SIGINT, on_term, e);
    e->on_hup = loop_signal_new(e->loop, SIGHUP, on_hup, e);
    if (e->jobs == NULL || e->sweep == NULL || e->grace == NULL || e->log_back == NULL ||
        e->store_watch == NULL || e->on_term == NULL || e->on_int == NULL || e->on_hup == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    engine_egress(e, &egress);
    hup_wait(false);
    return OK;
}

/* Reverse order. http first: held requests are answered; then the store, whose last callbacks need
 * the schedulers. */
static void engine_tear_down(struct engine *e)
{
    outbox_source_stop(e->outbox);
    http_free(e->http);
    shards_stop(e->shards);
    loop_watch_free(e->store_watch);
    store_close(e->store);
    outbox_source_free(e->outbox);
    sweep_free(e->sweep);
    jobs_free(e->jobs);
    shards_free(e->shards);
    loop_watch_free(e->on_term);
    loop_watch_free(e->on_int);
    loop_watch_free(e->on_hup);
    loop_timer_free(e->grace);
    loop_timer_free(e->log_back);
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

/* Not what links lead to: they may lead elsewhere at the next reload. */
static char *absolute(const char *file)
{
    char *folder = file[0] == '/' ? NULL : getcwd(NULL, 0), *out = NULL;

    if (folder == NULL || asprintf(&out, "%s/%s", folder, file) < 0)
        out = strdup(file);
    free(folder);
    return out;
}

int engine_run(struct conf *conf, const char *file)
{
    struct engine *e = calloc(1, sizeof *e);
    struct err err;

    if (e == NULL || (e->file = absolute(file)) == NULL) {
        free(e);
        conf_free(conf);
        return EX_OSERR;
    }
    limits_set();
    hup_wait(true);
    e->conf = conf;
    e->started_ms = e->config_loaded_ms = clock_wall_ms();
    log_info("starting", "version=%s config=%s store=%s", WEBHOOKD_VERSION, file, conf->store_url);
    enum err_code rc = engine_build(e, &err);
    if (rc == OK)
        rc = shards_start(e->shards, &err);
    if (rc != OK) {
        log_error("start_failed", "code=%s error=%s", err_code_name(rc), err.text);
        e->status = status_of(rc);
    } else {
        metrics_reload(e->metrics, true, e->config_loaded_ms);
        loop_run(e->loop);
    }
    int status = e->status;
    engine_tear_down(e);
    free(e->file);
    free(e);
    log_info("stopped", "status=%d", status);
    return status;
}
