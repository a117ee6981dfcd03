/* cli/doctor_machine.c: the daemon itself, and what it needs of the machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "base/url.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/out.h"

enum { FILES_OTHER = 400 /* databases, operators' connections, logs */, STORE_OPENS = 3 };

/* ---- socket and daemon ---- */
static int socket_try(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), why = 0;

    if (fd < 0)
        return errno;
    text_copy(to.sun_path, sizeof to.sun_path, path);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        why = errno;
    close(fd);
    return why;
}

static void socket_look(struct doctor *d)
{
    const char *path = d->cli->conf->listen_socket;
    struct stat st;

    if (lstat(path, &st) != 0) {
        doctor_say(d, "daemon", errno == ENOENT ? DOCTOR_FAIL : DOCTOR_UNSEEN,
                   "systemctl start webhookd, or webhookd -c FILE; journalctl -u webhookd says why "
                   "it ended",
                   "not running: nothing at %s (%s)", path, errno_text(errno));
        return;
    }
    int why = socket_try(path);

    if (why == 0) {
        d->listens = true;
        d->user = st.st_uid;
        doctor_say(d, "socket", (st.st_mode & S_IWOTH) != 0 ? DOCTOR_WARN : DOCTOR_OK,
                   (st.st_mode & S_IWOTH) != 0 ? "its folder decides then: chmod 750 FOLDER" : NULL,
                   "%s, uid %u, mode %04o%s", path, (unsigned)st.st_uid,
                   (unsigned)st.st_mode & 07777,
                   (st.st_mode & S_IWOTH) != 0 ? ": everybody may ask" : "");
    } else if (why == ECONNREFUSED) {
        doctor_say(d, "daemon", DOCTOR_FAIL, "systemctl start webhookd: it replaces the socket",
                   "not running: %s was left behind by one that is gone", path);
    } else {
        doctor_say(d, "socket", why == EACCES || why == EPERM ? DOCTOR_UNSEEN : DOCTOR_FAIL,
                   "run this as root or as a member of the socket's group", "%s: %s", path,
                   errno_text(why));
    }
}

static void version_say(struct doctor *d)
{
    const char *version = out_string(d->status, "version");
    bool ready = json_is_true(json_object_get(d->status, "ready"));

    if (version == NULL || strcmp(version, WEBHOOKD_VERSION) != 0)
        doctor_say(d, "daemon", DOCTOR_WARN, "restart webhookd: systemctl restart webhookd",
                   "it is version %s, this webhookctl is %s", version ? version : "?",
                   WEBHOOKD_VERSION);
    else
        doctor_say(d, "daemon", ready ? DOCTOR_OK : DOCTOR_FAIL,
                   ready ? NULL : "webhookctl status; journalctl -u webhookd",
                   "version %s, pid %lld, %s", version, (long long)out_integer(d->status, "pid"),
                   ready ? "ready" : "not ready");
}

/* Soft limit of a process; -1: it cannot be seen. */
static long files_of(long pid)
{
    static const char label[] = "Max open files";
    char name[64], line[256];
    long limit = -1;

    snprintf(name, sizeof name, "/proc/%ld/limits", pid);
    FILE *f = fopen(name, "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, label, sizeof label - 1) == 0)
            limit = strtol(line + sizeof label - 1, NULL, 10);
    if (f != NULL)
        fclose(f);
    return limit;
}

static void descriptors(struct doctor *d)
{
    const struct conf *conf = d->cli->conf;
    long want = 2L * conf->max_in_flight + FILES_OTHER + STORE_OPENS * (long)conf->outbox_n;
    long pid = (long)out_integer(d->status, "pid"), has = pid > 0 ? files_of(pid) : -1;
    struct rlimit mine;

    if (pid > 0 && has < 0) {
        doctor_say(d, "descriptors", DOCTOR_UNSEEN, DOCTOR_AS_WHOM,
                   "the limits of process %ld cannot be seen", pid);
        return;
    }
    if (has < 0 && getrlimit(RLIMIT_NOFILE, &mine) == 0) /* webhookd takes all that it may have */
        has = mine.rlim_max > 65536 ? 65536 : (long)mine.rlim_max;
    doctor_say(d, "descriptors", has < want ? DOCTOR_FAIL : DOCTOR_OK,
               has < want ? "LimitNOFILE=65536 in the unit, or a smaller delivery.max_in_flight"
                          : NULL,
               "%ld allowed, max_in_flight %d may want %ld", has, conf->max_in_flight, want);
}

static void egress(struct doctor *d)
{
    const json_t *e = json_object_get(d->status, "egress");
    const char *since = out_string(e, "since"), *who = out_string(e, "actor");

    if (json_is_true(json_object_get(e, "paused")))
        doctor_say(d, "egress", DOCTOR_FAIL, "webhookctl egress resume",
                   "paused since %s by %s: nothing is sent to anybody", since ? since : "?",
                   who ? who : "?");
}

/* Where none runs, it will run as whom the store belongs to. */
static void store_owner(struct doctor *d)
{
    const char *path = url_sqlite_path(d->cli->conf->store_url);
    struct stat st;

    if (d->user == (uid_t)-1 && path != NULL && stat(path, &st) == 0)
        d->user = st.st_uid;
}

void doctor_daemon(struct doctor *d)
{
    struct answer a;

    socket_look(d);
    if (d->listens && client_ask_daemon(d->cli, "/api/v1/status", NULL, &a) == 0) {
        if (a.status == 200)
            d->status = json_incref(a.json);
        answer_fini(&a);
    }
    if (d->status != NULL)
        version_say(d);
    else if (d->listens)
        doctor_say(d, "daemon", DOCTOR_FAIL, "webhookctl status; journalctl -u webhookd",
                   "it listens, but gave no answer");
    descriptors(d);
    egress(d);
    store_owner(d);
}

/* ---- machine ---- */
static void clock_state(struct doctor *d)
{
    struct timex now = {.modes = 0};
    int state = adjtimex(&now);

    if (state < 0)
        return;
    if (state == TIME_ERROR || (now.status & STA_UNSYNC) != 0)
        doctor_say(d, "clock", DOCTOR_WARN, "timedatectl set-ntp true",
                   "not kept in time by anybody: receivers refuse signatures that are minutes off");
    else
        doctor_say(d, "clock", DOCTOR_OK, NULL, "synchronised, within %ld ms",
                   (long)(now.maxerror / 1000));
}

static void name_servers(struct doctor *d)
{
    char line[256], first[64] = "";
    int n = 0;
    FILE *f = fopen("/etc/resolv.conf", "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "nameserver", 10) == 0 && n++ == 0)
            (void)sscanf(line, "nameserver %63s", first);
    if (f != NULL)
        fclose(f);
    if (n == 0)
        doctor_say(d, "name servers", DOCTOR_WARN,
                   "a line 'nameserver ADDRESS' in /etc/resolv.conf",
                   "none in /etc/resolv.conf: 127.0.0.1 is asked");
    else
        doctor_say(d, "name servers", DOCTOR_OK, NULL, "%s%s", first, n > 1 ? " and others" : "");
}

static void authorities(struct doctor *d)
{
    static const char system_file[] = "/etc/ssl/certs/ca-certificates.crt";
    const char *file = d->cli->conf->ca_file ? d->cli->conf->ca_file : system_file;
    struct stat st;

    if (stat(file, &st) != 0 || st.st_size == 0)
        doctor_say(d, "authorities", DOCTOR_FAIL,
                   d->cli->conf->ca_file ? "correct delivery.ca_file"
                                         : "apt install ca-certificates",
                   "%s: %s: no certificate can be verified", file,
                   errno != 0 ? errno_text(errno) : "empty");
    else
        doctor_say(d, "authorities", DOCTOR_OK, NULL, "%s", file);
}

void doctor_machine(struct doctor *d)
{
    clock_state(d);
    name_servers(d);
    authorities(d);
}
