/* engine/outbox_source.c: the life of the outbox source: made, started, configured, stopped, freed.
 *
 * The source is counted: its owner holds it, and so does each request that is under way in the
 * store, whose answer may come after a stop (or, in store_close(), even after outbox_source_free).
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/outbox_parts.h"

static void outbox_fini(struct outbox *o)
{
    outbox_bell_close(o);
    outbox_db_close(&o->db);
    free(o->name);
    free(o->path);
    free(o->table);
    free(o->doorbell);
    free(o->partner);
    free(o->source);
    free(o->version);
}

static void source_destroy(struct outbox_source *s)
{
    for (size_t i = 0; i < s->n; i++)
        outbox_fini(&s->outboxes[i]);
    if (s->wake >= 0)
        close(s->wake);
    if (s->inotify >= 0)
        close(s->inotify);
    free(s->store_folder);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void outbox_source_unref(struct outbox_source *s)
{
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->mutex);
    if (last)
        source_destroy(s);
}

static char *copy(const char *text, const char *fallback)
{
    return strdup(text && *text ? text : fallback);
}

/* NULL stays NULL. */
static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

static enum err_code outbox_configure(struct outbox *o, const struct conf_outbox *conf,
                                      struct err *err)
{
    const char *path = url_sqlite_path(conf->url);
    if (!path)
        return fail(err, ERR_CONFIG, "outbox url %s: only sqlite:///absolute/path is known",
                    conf->url);
    o->path = strdup(path);
    o->name = copy(conf->name, path);
    o->table = copy(conf->table, "outbox");
    o->doorbell = conf->doorbell && *conf->doorbell ? strdup(conf->doorbell) : NULL;
    o->partner = copy(conf->partner, "default");
    o->source = copy_or_null(conf->source);
    o->version = copy_or_null(conf->version);
    o->trim = conf->trim;
    o->max_payload_bytes = conf->max_payload_bytes;
    if (!o->path || !o->name || !o->table || !o->partner || (conf->source && !o->source) ||
        (conf->version && !o->version) || (conf->doorbell && *conf->doorbell && !o->doorbell))
        return fail(err, ERR_NOMEM, "no memory for outbox %s", conf->url);
    return OK;
}

static enum err_code outbox_start(struct outbox *o, struct err *err)
{
    enum err_code code = outbox_prepare(o->path, o->table, err);
    /* What can be over in a minute must not keep the other outboxes from being served. */
    if (code == ERR_BUSY || code == ERR_CORRUPT || code == ERR_IO || code == ERR_FULL) {
        log_error("outbox_failed", "outbox=%s code=%s error=%s", o->name, err_code_name(code),
                  err->text);
        code = OK;
    }
    if (code == OK && o->doorbell)
        code = outbox_bell_open(o, err);
    return code;
}

/* Two names of one table (a link, another spelling) would deliver each of its rows twice. */
static enum err_code outbox_is_another(const struct outbox_source *s, const struct outbox *o,
                                       struct err *err)
{
    struct stat mine, other;
    if (stat(o->path, &mine) != 0)
        return OK;
    for (const struct outbox *p = s->outboxes; p < o; p++)
        if (stat(p->path, &other) == 0 && other.st_dev == mine.st_dev &&
            other.st_ino == mine.st_ino && strcasecmp(p->table, o->table) == 0)
            return fail(err, ERR_CONFIG, "outbox %s is the same table as outbox %s", o->name,
                        p->name);
    return OK;
}

static char *folder_of_store(const char *url)
{
    const char *path = url ? url_sqlite_path(url) : NULL;
    char folder[PATH_MAX];
    return path ? strdup(text_folder(folder, sizeof folder, path)) : NULL;
}

enum err_code outbox_source_new(struct outbox_source **out, const struct conf *conf,
                                struct store *store, struct intake *intake,
                                outbox_changes_fn *changed, void *arg, struct err *err)
{
    struct outbox_source *s = calloc(1, sizeof *s);
    if (!s)
        return fail(err, ERR_NOMEM, "no memory for the outbox source");
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->answered, NULL);
    s->refs = 1;
    s->store = store;
    s->intake = intake;
    s->changed = changed;
    s->arg = arg;
    s->low_disk_bytes = conf->low_disk_bytes;
    s->dedupe_ms = conf->retain_dedupe_ms;
    s->store_folder = folder_of_store(conf->store_url);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    enum err_code code = OK;
    if (s->wake < 0)
        code = fail(err, ERR_IO, "eventfd: %s", errno_text(errno));
    if (s->inotify < 0) /* the slow poll remains */
        log_warn("outbox_no_inotify", "error=%s", errno_text(errno));
    for (size_t i = 0; code == OK && i < conf->outbox_n; i++) {
        struct outbox *o = &s->outboxes[s->n++];
        o->watch_db = o->watch_wal = o->bell = -1;
        code = outbox_configure(o, &conf->outbox[i], err);
        if (code == OK)
            code = outbox_start(o, err);
        if (code == OK)
            code = outbox_is_another(s, o, err);
    }
    if (code != OK)
        source_destroy(s);
    else
        *out = s;
    return code;
}

void outbox_source_start(struct outbox_source *s)
{
    sigset_t all, before;
    if (s->running || !s->n)
        return;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&s->thread, NULL, outbox_thread, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = problem == 0;
    if (problem)
        log_error("outbox_thread_failed", "error=%s", errno_text(problem));
}

static void wake(struct outbox_source *s)
{
    eventfd_write(s->wake, 1);
}

void outbox_source_stop(struct outbox_source *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_broadcast(&s->answered);
    pthread_mutex_unlock(&s->mutex);
    wake(s);
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
    /* Before the store is given up: the next daemon binds these names as soon as it has it. */
    for (size_t i = 0; i < s->n; i++)
        outbox_bell_close(&s->outboxes[i]);
}

static void replace(char **text, char *next)
{
    if (!next)
        return;
    free(*text);
    *text = next;
}

static void reconfigure(struct outbox *o, const struct conf_outbox *conf)
{
    replace(&o->partner, copy(conf->partner, "default"));
    replace(&o->source, copy_or_null(conf->source));
    replace(&o->version, copy_or_null(conf->version));
    o->trim = conf->trim;
    o->max_payload_bytes = conf->max_payload_bytes;
}

void outbox_source_configure(struct outbox_source *s, const struct conf *conf)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->low_disk_bytes = conf->low_disk_bytes;
    s->dedupe_ms = conf->retain_dedupe_ms;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < conf->outbox_n; j++) {
            const char *path = url_sqlite_path(conf->outbox[j].url);
            const char *name =
                conf->outbox[j].name && *conf->outbox[j].name ? conf->outbox[j].name : path;
            if (name && !strcmp(name, s->outboxes[i].name))
                reconfigure(&s->outboxes[i], &conf->outbox[j]);
        }
    pthread_mutex_unlock(&s->mutex);
    wake(s);
}

struct outbox_state *outbox_source_look(struct outbox_source *s, size_t *n)
{
    struct outbox_state *out = s && s->n > 0 ? calloc(s->n, sizeof *out) : NULL;
    *n = out ? s->n : 0;
    if (!out)
        return NULL;
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++) {
        out[i] = s->outboxes[i].shown;
        text_copy(out[i].name, sizeof out[i].name, s->outboxes[i].name);
    }
    pthread_mutex_unlock(&s->mutex);
    return out;
}

void outbox_source_free(struct outbox_source *s)
{
    if (!s)
        return;
    outbox_source_stop(s);
    s->freed = true;
    pthread_mutex_lock(&s->mutex);
    outbox_source_unref(s);
}
