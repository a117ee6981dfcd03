/* cli/doctor_store.c: the store's file: sound, lost, or another one than webhookd has open.
 *
 * A file that is not there is no fault before the first start. What a start leaves beside it (lock, log,
 * key), or a webhookd that runs, tells that there was one. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "cli/out.h"

enum { LOG_LARGE_BYTES = 256 << 20, LOG_NOTED_BYTES = 16 << 20 };

/* ---- what webhookd has open ---- */
struct held {
    long pid;
    bool seen;              /* that process is the store's */
    bool has;               /* the very file that lies there */
    char file[32], log[32]; /* its descriptors of FILE and FILE-wal by their names; "" */
};

/* As the kernel names it: the folder without links. */
static void name_of(char *out, size_t room, const char *path)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    const char *slash = strrchr(path, '/');

    text_folder(folder, sizeof folder, path);
    if (realpath(folder, whole) == NULL || slash == NULL)
        text_copy(out, room, path);
    else
        snprintf(out, room, "%s%s", strcmp(whole, "/") == 0 ? "" : whole, slash);
}

static void descriptor_look(struct held *h, const char *name, const char *number,
                            const struct stat *there)
{
    static const char deleted[] = " (deleted)";
    char entry[64], link[PATH_MAX];
    struct stat st;

    snprintf(entry, sizeof entry, "/proc/%ld/fd/%.16s", h->pid, number);
    ssize_t n = readlink(entry, link, sizeof link - 1);

    if (n <= 0)
        return;
    link[n] = '\0';
    size_t len = strlen(name), tail = sizeof deleted - 1;

    h->has |= there != NULL && stat(entry, &st) == 0 && st.st_dev == there->st_dev &&
              st.st_ino == there->st_ino;
    if ((size_t)n > tail && strcmp(link + n - tail, deleted) == 0)
        link[(size_t)n - tail] = '\0';
    if (strncmp(link, name, len) != 0)
        return;
    h->seen = true;
    if (link[len] == '\0')
        text_copy(h->file, sizeof h->file, entry);
    else if (strcmp(link + len, "-wal") == 0)
        text_copy(h->log, sizeof h->log, entry);
}

static void held_look(struct held *h, const struct doctor *d, const char *path)
{
    char folder[64], name[PATH_MAX];
    struct stat st;
    const struct stat *there = stat(path, &st) == 0 ? &st : NULL;

    *h = (struct held){.pid = (long)out_integer(d->status, "pid")};
    snprintf(folder, sizeof folder, "/proc/%ld/fd", h->pid);
    DIR *dir = h->pid > 0 ? opendir(folder) : NULL;

    name_of(name, sizeof name, path);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        descriptor_look(h, name, e->d_name, there);
    if (dir != NULL)
        closedir(dir);
}

/* What it committed is in the file that it has open and in its log, and nowhere else: both are copied while
 * it stands still. Its end, whichever, would make them go. */
static void held_say(struct doctor *d, const struct held *h, const char *path)
{
    bool there = access(path, F_OK) == 0;
    char fix[4 * PATH_MAX];

    if (h->file[0] && h->log[0])
        snprintf(
            fix, sizeof fix,
            "do not stop it before the file is back; kill -STOP %ld; mkdir %s.rescued; cp -p %s "
            "%s.rescued/db; cp -p %s %s.rescued/wal; kill -KILL %ld; rm -f %s %s-wal %s-shm; "
            "mv %s.rescued/db %s; mv %s.rescued/wal %s-wal; systemctl start webhookd",
            h->pid, path, h->file, path, h->log, path, h->pid, path, path, path, path, path, path,
            path);
    else
        snprintf(fix, sizeof fix,
                 "do not stop it; ls -l /proc/%ld/fd shows the file: put it back there", h->pid);
    doctor_say(d, "store", DOCTOR_FAIL, fix,
               "%s %s: webhookd (pid %ld) works on a file that is lost at its end", path,
               there ? "is not the file that webhookd opened" : "is gone", h->pid);
}

/* ---- is there one, was there one ---- */
static bool stands(const char *path, const char *suffix, char *out, size_t room)
{
    snprintf(out, room, "%s%s", path, suffix);
    return access(out, F_OK) == 0;
}

static void missing_say(struct doctor *d, const char *path)
{
    const char *key = d->cli->conf->encryption_key_file;
    char trace[PATH_MAX];

    if (stands(path, ".lock", trace, sizeof trace) || stands(path, "-wal", trace, sizeof trace))
        doctor_say(d, "store", DOCTOR_FAIL,
                   "put it back before webhookd makes an empty one: a disk that is not mounted? a "
                   "backup: webhookctl help backup",
                   "%s is gone: there was one, of which %s is left", path, trace);
    else if (stands(key, "", trace, sizeof trace))
        doctor_say(d, "store", DOCTOR_FAIL,
                   "a disk that is not mounted? a backup: webhookctl help backup; if there never "
                   "was a store, start webhookd: it makes one",
                   "%s is not there, but its key %s is: the store is lost, or was never made", path,
                   key);
    else
        doctor_say(d, "store", DOCTOR_OK, NULL, "%s: made at the first start", path);
}

static void store_say(struct doctor *d, const char *path, const struct care_info *info)
{
    char size[32];

    if (info->schema > info->schema_known) {
        doctor_say(d, "store", DOCTOR_FAIL, "install the webhookd that wrote it",
                   "schema %lld, this version knows %lld", (long long)info->schema,
                   (long long)info->schema_known);
        return;
    }
    text_size(size, sizeof size, info->file_bytes);
    doctor_say(d, "store", DOCTOR_OK, NULL, "%s, %s, schema %lld", path, size,
               (long long)info->schema);
    text_size(size, sizeof size, info->log_bytes);
    doctor_say(d, "store log", info->log_bytes > LOG_LARGE_BYTES ? DOCTOR_WARN : DOCTOR_OK,
               info->log_bytes > LOG_LARGE_BYTES
                   ? "end what reads the store for long (db check, db backup, sqlite3)"
                   : NULL,
               "%s%s", size,
               info->log_bytes > LOG_NOTED_BYTES ? "; it keeps the size it once had" : "");
}

struct care *doctor_store(struct doctor *d, const char *path)
{
    struct care *c = NULL;
    struct care_info info;
    struct err err = {OK, ""};
    struct held held;

    held_look(&held, d, path);
    if (held.seen && !held.has) {
        held_say(d, &held, path);
        return NULL;
    }
    enum err_code rc = care_open(&c, d->cli->conf->store_url, &err);

    if (rc == OK)
        rc = care_info(c, 0, &info, &err);
    if (rc == ERR_NOT_FOUND)
        missing_say(d, path);
    else if (rc == ERR_DENIED)
        doctor_say(d, "store", DOCTOR_UNSEEN, DOCTOR_AS_WHOM, "%s", err.text);
    else if (rc != OK)
        doctor_say(d, "store", DOCTOR_FAIL, "webhookctl db check; webhookctl help backup", "%s",
                   err.text);
    else
        store_say(d, path, &info);
    return c;
}
