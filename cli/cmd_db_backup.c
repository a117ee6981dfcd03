/* cli/cmd_db_backup.c: db backup: a copy of the store beside live traffic, whole or not at all.
 *
 *   store ─pages─▶ FILE.PID.partial ─verify─▶ fsync ─▶ rename to FILE ─▶ fsync of the folder */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "cli/client.h"
#include "cli/cmd_db.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "policy/sign.h"

enum { COUNT_BUDGET_MS = 3000 };

struct backup {
    struct cli *cli;
    const char *file;
    char partial[PATH_MAX];
    struct progress progress;
    int64_t bytes, began_ms, percent;
    char sha256[65];
    struct care_info info; /* of the copy */
};

/* ---- before ---- */
static int target_check(struct cli *cli, const char *file)
{
    const char *store = url_sqlite_path(cli->conf->store_url);
    struct stat there, ours;

    if (strcmp(file, "-") == 0)
        return out_fail(cli, CLI_USAGE, "usage",
                        "a backup is a file, not standard output: name one, as in "
                        "/backup/webhookd.db");
    if (lstat(file, &there) != 0)
        return errno == ENOENT
                   ? 0
                   : out_fail(cli, CLI_CANNOT_CREATE, "io", "%s: %s", file, errno_text(errno));
    if (store != NULL && stat(store, &ours) == 0 && there.st_dev == ours.st_dev &&
        there.st_ino == ours.st_ino)
        return out_fail(cli, CLI_USAGE, "usage", "%s is the store itself", file);
    if (!S_ISREG(there.st_mode))
        return out_fail(cli, CLI_CANNOT_CREATE, "io", "%s is no ordinary file", file);
    if (cli_flag(cli, FLAG_FORCE) == NULL)
        return out_fail(cli, CLI_CANNOT_CREATE, "exists", "%s is there; --force replaces it", file);
    return 0;
}

static int space_check(struct backup *b, const struct care_info *info)
{
    char folder[PATH_MAX], needs[32], has[32];
    struct statvfs fs;
    int64_t bytes = info->pages * info->page_bytes;

    text_folder(folder, sizeof folder, b->file);
    if (statvfs(folder, &fs) != 0)
        return out_fail(b->cli, CLI_CANNOT_CREATE, "io", "%s: %s", folder, errno_text(errno));
    int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;

    if (room >= bytes)
        return 0;
    return out_fail(b->cli, CLI_CANNOT_CREATE, "disk_full", "%s: the backup needs %s, free are %s",
                    folder, (text_size(needs, sizeof needs, bytes), needs),
                    (text_size(has, sizeof has, room), has));
}

/* ---- the copy ---- */
static bool copied(void *arg, int64_t done, int64_t total)
{
    struct backup *b = arg;

    int64_t percent = total > 0 ? done * 100 / total : 0;

    if (percent != b->percent)
        progress_show(&b->progress, done, total, "pages");
    b->percent = percent;
    return !progress_interrupted();
}

static int copy_made(struct backup *b, struct care *c)
{
    struct err err = {OK, ""};

    progress_begin(&b->progress, b->cli);
    enum err_code code = care_backup(c, b->partial, copied, b, &err);

    progress_end(&b->progress);
    if (code == OK)
        return 0;
    if (progress_interrupted()) {
        out_note("interrupted; no backup was made");
        return CLI_INTERRUPTED;
    }
    return err.code == ERR_IO ? out_fail(b->cli, CLI_IO, "io", "%s", err.text)
                              : out_fail_err(b->cli, &err);
}

/* ---- after ---- */
static int copy_looked_at(struct backup *b)
{
    char real[PATH_MAX], url[PATH_MAX + 16];
    struct err err = {OK, ""};
    struct care *c;
    int bad = 0;

    if (realpath(b->partial, real) == NULL)
        return out_fail(b->cli, CLI_IO, "io", "%s: %s", b->partial, errno_text(errno));
    snprintf(url, sizeof url, "sqlite://%s", real);
    int rc = db_open(b->cli, url, &c);

    if (rc != 0)
        return rc;
    if (care_info(c, COUNT_BUDGET_MS, &b->info, &err) != OK)
        rc = out_fail_err(b->cli, &err);
    if (rc == 0 && cli_flag(b->cli, FLAG_VERIFY) != NULL)
        rc = db_check(b->cli, c, false, false, &bad);
    care_close(c);
    if (rc == 0 && bad > 0)
        rc = out_fail(b->cli, CLI_NO, "not_sound",
                      "the copy is not sound, and so is the store; nothing was written. See "
                      "webhookctl db check");
    return rc;
}

static int io_fail(const struct backup *b, const char *what, int why)
{
    return out_fail(b->cli, why == ENOSPC || why == EDQUOT ? CLI_CANNOT_CREATE : CLI_IO,
                    why == ENOSPC || why == EDQUOT ? "disk_full" : "io", "%s: %s: %s", b->file,
                    what, errno_text(why));
}

/* On disk, with its digest. */
static int copy_sealed(struct backup *b)
{
    int fd = open(b->partial, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    uint8_t digest[32];

    if (fd < 0)
        return io_fail(b, "open", errno);
    if (fsync(fd) != 0 || fstat(fd, &st) != 0) {
        int why = errno;

        close(fd);
        return io_fail(b, "fsync", why);
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    close(fd);
    if (bytes == MAP_FAILED)
        return io_fail(b, "read", errno);
    (void)madvise(bytes, (size_t)st.st_size, MADV_SEQUENTIAL);
    sign_sha256(bytes, (size_t)st.st_size, digest);
    munmap(bytes, (size_t)st.st_size);
    text_hex(b->sha256, digest, sizeof digest);
    b->bytes = st.st_size;
    return 0;
}

static int copy_named(struct backup *b)
{
    char folder[PATH_MAX];

    if (rename(b->partial, b->file) != 0)
        return io_fail(b, "rename", errno);
    text_folder(folder, sizeof folder, b->file);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : io_fail(b, "fsync of its folder", errno);

    if (fd >= 0)
        close(fd);
    return rc;
}

static int64_t rows(const struct backup *b, const char *table)
{
    for (size_t i = 0; i < b->info.tables_n; i++)
        if (strcmp(b->info.tables[i].name, table) == 0)
            return b->info.tables[i].rows;
    return 0;
}

static json_t *report_json(const struct backup *b, bool made)
{
    const struct cli *cli = b->cli;

    return json_pack(
        "{s:s,s:I,s:f,s:s?,s:b,s:{s:I,s:I,s:I,s:I},s:s,s:b}", "path", b->file, "bytes",
        (json_int_t)b->bytes, "elapsed_seconds", (double)(clock_mono_ms() - b->began_ms) / 1000.0,
        "sha256", made ? b->sha256 : NULL, "verified", made && cli_flag(cli, FLAG_VERIFY) != NULL,
        "counts", "subscriptions", (json_int_t)rows(b, "subscription"), "events",
        (json_int_t)rows(b, "event"), "deliveries", (json_int_t)rows(b, "delivery"), "dead_letters",
        (json_int_t)rows(b, "dead"), "key_file", cli->conf->encryption_key_file, "dry_run", !made);
}

static void report(const struct backup *b, bool made)
{
    static const struct out_column fields[] = {{"Backup", "path", OUT_TEXT},
                                               {"Size", "bytes", OUT_BYTES},
                                               {"Took", "elapsed_seconds", OUT_SECONDS},
                                               {"SHA-256", "sha256", OUT_TEXT},
                                               {"Verified", "verified", OUT_TEXT},
                                               {"Subscriptions", "counts.subscriptions", OUT_COUNT},
                                               {"Events", "counts.events", OUT_COUNT},
                                               {"Deliveries", "counts.deliveries", OUT_COUNT},
                                               {"Dead letters", "counts.dead_letters", OUT_COUNT},
                                               OUT_COLUMNS_END};
    const struct cli *cli = b->cli;
    json_t *json = report_json(b, made);
    char size[32];

    if (cli->format == OUT_ID)
        puts(b->file);
    else if (cli->format != OUT_TABLE)
        out_json(json, cli->format == OUT_JSONL);
    else if (made)
        out_fields(cli, json, fields);
    json_decref(json);
    text_size(size, sizeof size, b->bytes);
    if (made)
        out_note(
            "Keep %s too, and apart from it: without the key nothing that is sealed opens.\n"
            "A store that is restored from it sends again what was open now. How: webhookctl help "
            "backup",
            cli->conf->encryption_key_file);
    else
        out_done(cli, "the store, about %s, is copied to %s", size, b->file);
}

int cmd_db_backup(struct cli *cli)
{
    struct backup b = {.cli = cli, .file = cli->args->words[0]};
    struct care_info info;
    struct err err = {OK, ""};
    struct care *c;
    int rc = db_open(cli, NULL, &c);

    if (rc != 0)
        return rc;
    b.began_ms = clock_mono_ms();
    rc = target_check(cli, b.file);
    if (rc == 0 && care_info(c, 0, &info, &err) != OK)
        rc = out_fail_err(cli, &err);
    if (rc == 0)
        rc = space_check(&b, &info);
    if (rc == 0 && (size_t)snprintf(b.partial, sizeof b.partial, "%s.%ld.partial", b.file,
                                    (long)getpid()) >= sizeof b.partial)
        rc = out_fail(cli, CLI_USAGE, "usage", "the path is too long");
    if (rc == 0 && cli_flag(cli, FLAG_DRY_RUN) != NULL) {
        b.info = info;
        b.bytes = info.pages * info.page_bytes;
        report(&b, false);
        care_close(c);
        return 0;
    }
    if (rc == 0) {
        rc = copy_made(&b, c);
        if (rc == 0)
            rc = copy_looked_at(&b);
        if (rc == 0)
            rc = copy_sealed(&b);
        if (rc == 0)
            rc = copy_named(&b);
        if (rc == 0)
            report(&b, true);
        else
            (void)unlink(b.partial);
    }
    care_close(c);
    if (rc == 0) /* a daemon or this process needs the store */
        client_tell_audit(cli, "/api/v1/backups",
                          json_pack("{s:s,s:I,s:s}", "path", b.file, "bytes", (json_int_t)b.bytes,
                                    "sha256", b.sha256));
    return rc;
}
