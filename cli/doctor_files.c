/* cli/doctor_files.c: the files that webhookd stands on, and the disk that they lie on. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "cli/doctor.h"
#include "cli/out.h"
#include "store/care.h"
#include "store/seal.h"

enum { INODES_FEW = 1000, GROUPS_MAX = 64 };

static bool in_group(uid_t user, gid_t group)
{
    const struct passwd *pw = getpwuid(user);
    gid_t groups[GROUPS_MAX];
    int n = GROUPS_MAX;

    if (pw == NULL || getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
        return pw != NULL && pw->pw_gid == group;
    for (int i = 0; i < n; i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool doctor_user_may(uid_t user, const char *path, bool folder)
{
    struct stat st;
    mode_t want = folder ? 3 : 6; /* write and enter; read and write */

    if (user == 0 || stat(path, &st) != 0)
        return true; /* root may; what cannot be seen is said elsewhere */
    mode_t has = st.st_uid == user           ? st.st_mode >> 6
                 : in_group(user, st.st_gid) ? st.st_mode >> 3
                                             : st.st_mode;
    return (has & want) == want;
}

/* ---- configuration ---- */
static void conf_file(struct doctor *d)
{
    const char *file = d->cli->config_file;
    char fix[300];
    struct stat st;

    if (stat(file, &st) != 0) {
        doctor_say(d, "configuration file", DOCTOR_UNSEEN, NULL, "%s: %s", file, errno_text(errno));
        return;
    }
    snprintf(fix, sizeof fix, "chmod o-w %.200s", file);
    if ((st.st_mode & S_IWOTH) != 0)
        doctor_say(d, "configuration file", DOCTOR_FAIL, fix, "everybody can write to %s", file);
    else if (st.st_uid != 0 && d->user != (uid_t)-1 && st.st_uid != d->user)
        doctor_say(d, "configuration file", DOCTOR_WARN, NULL,
                   "%s belongs to uid %u, neither root nor whom webhookd runs as", file,
                   (unsigned)st.st_uid);
    else
        doctor_say(d, "configuration file", DOCTOR_OK, NULL, "%s, mode %04o", file,
                   (unsigned)st.st_mode & 07777);
}

/* ---- key and store ---- */
static void key_file(struct doctor *d, struct care *c)
{
    const char *file = d->cli->conf->encryption_key_file;
    struct keyring *keys = NULL;
    struct err err = {OK, ""};
    enum err_code rc = keyring_load(&keys, file, false, &err);

    if (rc == ERR_NOT_FOUND || access(file, F_OK) != 0) {
        bool gone = errno == ENOENT || rc == ERR_NOT_FOUND;

        if (gone && c == NULL)
            doctor_say(d, "key file", DOCTOR_OK, NULL, "%s: made at the first start", file);
        else
            doctor_say(
                d, "key file", gone ? DOCTOR_FAIL : DOCTOR_UNSEEN,
                "put it back from where it was kept: without it nothing that is sealed opens", "%s",
                err.text);
        return;
    }
    if (rc != OK && access(file, R_OK) != 0) {
        doctor_say(d, "key file", DOCTOR_UNSEEN, DOCTOR_AS_WHOM, "%s", err.text);
        return;
    }
    if (rc == OK && c != NULL)
        rc = care_keys_fit(c, keys, &err);
    if (rc != OK)
        doctor_say(d, "key file", DOCTOR_FAIL,
                   c != NULL && keys != NULL ? "put the missing line back into the key file" : NULL,
                   "%s", err.text);
    else
        doctor_say(d, "key file", DOCTOR_OK, NULL, "%s, %zu key%s%s", file, keyring_size(keys),
                   keyring_size(keys) == 1 ? "" : "s", c != NULL ? ", fits the store" : "");
    keyring_free(keys);
}

static void store_folder(struct doctor *d, const char *path)
{
    char folder[4096], fix[400];
    struct stat st;

    text_folder(folder, sizeof folder, path);
    if (stat(folder, &st) != 0) {
        snprintf(fix, sizeof fix, "install -d -o webhookd -g webhookd -m 750 %.300s", folder);
        doctor_say(d, "store folder", errno == ENOENT ? DOCTOR_FAIL : DOCTOR_UNSEEN, fix, "%s: %s",
                   folder, errno_text(errno));
        return;
    }
    if (d->user != (uid_t)-1 && !doctor_user_may(d->user, folder, true)) {
        snprintf(fix, sizeof fix, "chown webhookd %.300s", folder);
        doctor_say(d, "store folder", DOCTOR_FAIL, fix,
                   "uid %u, whom webhookd runs as, cannot write to %s", (unsigned)d->user, folder);
    }
}

/* ---- disk ---- */
static void disk_kind(struct doctor *d, const char *folder)
{
    static const struct {
        unsigned long magic;
        const char *name, *why;
    } kinds[] = {
        {0x6969, "NFS", "a WAL needs memory that processes share: use a local disk"},
        {0x517B, "SMB", "a WAL needs memory that processes share: use a local disk"},
        {0xFF534D42, "CIFS", "a WAL needs memory that processes share: use a local disk"},
        {0xFE534D42, "SMB2", "a WAL needs memory that processes share: use a local disk"},
        {0x01021994, "tmpfs", "it forgets everything when the machine stops: use a disk"},
    };
    struct statfs fs;

    if (statfs(folder, &fs) != 0)
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (((unsigned long)fs.f_type & 0xffffffff) == kinds[i].magic)
            doctor_say(d, "file system", DOCTOR_WARN, kinds[i].why, "%s lies on %s", folder,
                       kinds[i].name);
}

/* A running webhookd's own limit, or its last look, may be another than ours. */
static bool intake_waits(const struct doctor *d)
{
    const json_t *outbox;
    size_t i;

    json_array_foreach(json_object_get(d->status, "outboxes"), i, outbox)
    {
        const char *state = out_string(outbox, "state");

        if (state != NULL && strcmp(state, "disk_low") == 0)
            return true;
    }
    return false;
}

static void disk_room(struct doctor *d, const char *path)
{
    char folder[4096], has[32], low[32];
    int64_t low_bytes = d->cli->conf->low_disk_bytes;
    struct statvfs fs;

    text_folder(folder, sizeof folder, path);
    if (statvfs(folder, &fs) != 0)
        return;
    int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;

    text_size(has, sizeof has, room);
    text_size(low, sizeof low, low_bytes);
    if (room < low_bytes)
        doctor_say(d, "disk", DOCTOR_FAIL, "make room: df -h; du -x FOLDER | sort -n | tail",
                   "%s free on %s: below store.low_disk (%s) nothing is taken in", has, folder,
                   low);
    else if (intake_waits(d))
        doctor_say(d, "disk", DOCTOR_FAIL, "webhookctl config diff; webhookctl config reload",
                   "%s free on %s, and webhookd takes nothing in: its store.low_disk is not that "
                   "of the file (%s)",
                   has, folder, low);
    else if (room < 4 * low_bytes)
        doctor_say(d, "disk", DOCTOR_WARN, "make room: df -h", "%s free on %s, at %s intake stops",
                   has, folder, low);
    else
        doctor_say(d, "disk", DOCTOR_OK, NULL, "%s free on %s", has, folder);
    if (fs.f_files > 0 && fs.f_favail < INODES_FEW)
        doctor_say(d, "inodes", DOCTOR_FAIL, "remove small files: df -i", "%lu free on %s",
                   (unsigned long)fs.f_favail, folder);
    disk_kind(d, folder);
}

/* ---- the clock, as far as the store can tell ---- */
static void clock_and_store(struct doctor *d, struct care *c)
{
    int64_t newest = 0, ahead;
    char span[32];

    if (c == NULL || care_newest(c, &newest, NULL) != OK)
        return;
    ahead = newest - clock_wall_ms();
    text_ago(span, sizeof span, ahead);
    if (ahead > 60000)
        doctor_say(
            d, "clock and store", DOCTOR_FAIL, "set the clock: timedatectl; then restart webhookd",
            "the newest event was accepted %s from now: the clock was ahead, or is behind", span);
}

void doctor_files(struct doctor *d)
{
    const char *path = url_sqlite_path(d->cli->conf->store_url);

    conf_file(d);
    if (path == NULL) {
        doctor_say(d, "store", DOCTOR_WARN, "store.url: sqlite:///var/lib/webhookd/webhookd.db",
                   "%s keeps nothing", d->cli->conf->store_url);
        return;
    }
    store_folder(d, path);
    struct care *c = doctor_store(d, path);

    key_file(d, c);
    clock_and_store(d, c);
    care_close(c);
    disk_room(d, path);
}
