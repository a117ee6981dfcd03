/* engine/outbox_watch.c: what wakes the outbox's thread.
 *
 * inotify on a database's -wal file (and on the file itself, to notice a restore) tells that
 * somebody writes. It fires before the commit can be seen: the commit's fsync and the step that
 * publishes it come later and are silent. So an event starts a re-check that backs off from 0.1 to
 * 50 ms. A doorbell is a datagram sent after the commit: one look is enough, and while it rings the
 * watch is not listened to, which would only make us look before the commit; re-checks, which begin
 * late and go on as long as that, are for who does not ring. Without WAL there is no watch: looking takes a lock
 * there, and would meet the producer just while it writes. Everything here is a hint; the slow poll
 * is what makes sure. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "engine/outbox_parts.h"

#define RECHECK_FIRST_US 100
#define RECHECK_RUNG_US 10000
#define RUNG_US 100000 /* so long after the last one the bell is expected to ring again */

enum err_code outbox_bell_open(struct outbox *o, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(o->doorbell) >= sizeof address.sun_path)
        return fail(err, ERR_CONFIG, "doorbell %s: path longer than %zu bytes", o->doorbell,
                    sizeof address.sun_path - 1);
    memcpy(address.sun_path, o->doorbell, strlen(o->doorbell));
    /* A socket of an earlier run; anything else is not ours to remove. */
    if (lstat(o->doorbell, &st) == 0 && S_ISSOCK(st.st_mode)) {
        if (!process_left_socket(&address, SOCK_DGRAM))
            return fail(err, ERR_BUSY, "doorbell %s: another process listens there", o->doorbell);
        unlink(o->doorbell);
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, ERR_IO, "doorbell %s: %s", o->doorbell, errno_text(errno));
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(o->doorbell, 0660) != 0) {
        enum err_code code =
            fail(err, ERR_DENIED, "doorbell %s: %s; fix: let webhookd's user write into its folder",
                 o->doorbell, errno_text(errno));
        close(fd);
        return code;
    }
    o->bell = fd;
    return OK;
}

void outbox_bell_close(struct outbox *o)
{
    if (o->bell < 0)
        return;
    unlink(o->doorbell);
    close(o->bell);
    o->bell = -1;
}

void outbox_watch_add(struct outbox_source *s, struct outbox *o)
{
    if (s->inotify < 0)
        return;
    o->watch_db = inotify_add_watch(s->inotify, o->path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
    if (o->db.wal)
        o->watch_wal = inotify_add_watch(s->inotify, o->db.wal_path,
                                         IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF);
}

/* Two outboxes in one file share the kernel's watch. */
static void drop(struct outbox_source *s, int *wd)
{
    int gone = *wd;
    *wd = -1;
    if (gone < 0)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (s->outboxes[i].watch_db == gone || s->outboxes[i].watch_wal == gone)
            return;
    inotify_rm_watch(s->inotify, gone);
}

void outbox_watch_drop(struct outbox_source *s, struct outbox *o)
{
    drop(s, &o->watch_db);
    drop(s, &o->watch_wal);
}

bool outbox_rings(const struct outbox *o, int64_t now_us)
{
    return o->rung_us && now_us - o->rung_us < RUNG_US;
}

static void stir(struct outbox *o)
{
    int64_t now_us = clock_mono_us();
    if (outbox_rings(o, now_us))
        return;
    int64_t next = now_us + RECHECK_FIRST_US;
    o->recheck_us = RECHECK_FIRST_US;
    if (next < o->next_us && !o->backoff_us)
        o->next_us = next;
}

static void handle_watch(struct outbox_source *s, const struct inotify_event *ev)
{
    for (size_t i = 0; i < s->n; i++) {
        struct outbox *o = &s->outboxes[i];
        if (ev->wd == o->watch_wal)
            stir(o);
        if (ev->wd == o->watch_db || ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
            o->slow_us = 0; /* look whether the file was replaced */
            if (!o->backoff_us)
                o->next_us = 0;
        }
        if (ev->mask & IN_IGNORED && ev->wd == o->watch_wal)
            o->watch_wal = -1;
        if (ev->mask & IN_IGNORED && ev->wd == o->watch_db)
            o->watch_db = -1;
    }
}

static void read_watches(struct outbox_source *s)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t n;
    while ((n = read(s->inotify, bytes, sizeof bytes)) > 0) {
        const char *at = bytes, *end = bytes + n;
        while (at < end) {
            struct inotify_event ev;
            memcpy(&ev, at, sizeof ev);
            handle_watch(s, &ev);
            at += sizeof ev + ev.len;
        }
    }
}

static void read_bell(struct outbox *o)
{
    char byte;
    /* Bounded: a sender that floods must not keep us here. */
    for (int i = 0; i < 1024 && recv(o->bell, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0; i++)
        continue;
    o->rung_us = clock_mono_us();
    o->recheck_us = RECHECK_RUNG_US;
    if (!o->backoff_us)
        o->next_us = 0;
}

void outbox_watch_wait(struct outbox_source *s, int64_t until_us)
{
    struct pollfd fds[CONF_OUTBOXES_MAX + 2];
    struct outbox *of[CONF_OUTBOXES_MAX + 2];
    nfds_t n = 0;
    int64_t now_us = clock_mono_us();
    bool all_ring = true;
    for (size_t i = 0; i < s->n; i++)
        all_ring = all_ring && outbox_rings(&s->outboxes[i], now_us);
    fds[n++] = (struct pollfd){.fd = s->wake, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = all_ring ? -1 : s->inotify, .events = POLLIN};
    for (size_t i = 0; i < s->n; i++)
        if (s->outboxes[i].bell >= 0) {
            of[n] = &s->outboxes[i];
            fds[n++] = (struct pollfd){.fd = s->outboxes[i].bell, .events = POLLIN};
        }
    int64_t left = until_us - now_us;
    if (left < 0)
        left = 0;
    struct timespec wait = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
    if (ppoll(fds, n, &wait, NULL) <= 0)
        return;
    if (fds[0].revents) {
        eventfd_t count;
        eventfd_read(s->wake, &count);
    }
    if (fds[1].revents)
        read_watches(s);
    for (nfds_t i = 2; i < n; i++)
        if (fds[i].revents)
            read_bell(of[i]);
}
