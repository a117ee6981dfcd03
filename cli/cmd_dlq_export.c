/* cli/cmd_dlq_export.c: dlq export: JSON Lines in a fixed order, page by page, into a file that is whole
 * or is not there.
 *
 * The set is fixed by the time of death when the export begins, so it ends however fast others die.
 * A file is written under another name beside the one that was asked for, FILE.partial.XXXXXX, and
 * takes its name when all of it is on the disk: what has the name is never half an export. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/out.h"
#include "cli/progress.h"

#define PAGE_LINES 256
#define BEHIND_BYTES ((off_t)1 << 20)

struct sink {
    struct cli *cli;
    const char *file;    /* as asked for; NULL: standard output */
    char temp[PATH_MAX]; /* "": the file is written itself (a device, a pipe) */
    FILE *to;
    struct progress bar;
    off_t behind;     /* bytes of the file that are on their way to the disk */
    int64_t n, whole; /* letters that are out of our hands; that there are */
    size_t left;      /* letters that --limit still allows */
};

static const char *sink_name(const struct sink *s)
{
    return s->file ? s->file : "standard output";
}

/* ---- the file ---- */

static int sink_denied(const struct sink *s)
{
    return out_fail(s->cli, CLI_CANNOT_CREATE, "io", "%s: %s", s->file, errno_text(errno));
}

/* A file with dead letters is its owner's alone; one that holds something is not replaced unasked. */
static int sink_open(struct sink *s)
{
    struct stat st;
    int fd;

    if (s->file == NULL || strcmp(s->file, "-") == 0) {
        s->file = NULL;
        s->to = stdout;
        return 0;
    }
    bool there = stat(s->file, &st) == 0;

    if (there && S_ISREG(st.st_mode) && st.st_size > 0 && cli_flag(s->cli, FLAG_FORCE) == NULL)
        return out_fail(s->cli, CLI_CANNOT_CREATE, "exists",
                        "%s holds something; --force replaces it", s->file);
    if (there && !S_ISREG(st.st_mode)) {
        fd = open(s->file, O_WRONLY | O_CLOEXEC);
    } else {
        if ((size_t)snprintf(s->temp, sizeof s->temp, "%s.partial.XXXXXX", s->file) >=
            sizeof s->temp)
            return out_fail(s->cli, CLI_CANNOT_CREATE, "io", "%s: the name is too long", s->file);
        fd = mkostemp(s->temp, O_CLOEXEC); /* 0600 */
    }
    if (fd < 0) {
        s->temp[0] = '\0';
        return sink_denied(s);
    }
    s->to = fdopen(fd, "w");
    if (s->to != NULL)
        return 0;
    close(fd);
    return out_fail(s->cli, CLI_INTERNAL, "internal", "out of memory");
}

/* Writing failed: with what error, after how many, and what is there now. */
static int sink_failed(struct sink *s, int error)
{
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;

    progress_clear(&s->bar);
    return out_fail(s->cli, full ? CLI_CANNOT_CREATE : CLI_IO, full ? "disk_full" : "io",
                    "%s: %s after %s of %s dead letters; %s", sink_name(s), errno_text(error),
                    TEXT_COUNTED(s->n), TEXT_COUNTED(s->whole),
                    s->temp[0]        ? "the part that was written is removed, nothing is exported"
                    : s->to == stdout ? "what was written is not the whole export"
                                      : "what was written there is not the whole export");
}

/* The new name is on the disk too. */
static bool folder_sync(const char *file)
{
    char folder[PATH_MAX];
    int fd = open(text_folder(folder, sizeof folder, file), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* A pipe or a device has nothing to sync. */
static bool sink_whole(struct sink *s)
{
    if (fflush(s->to) != 0 || ferror(s->to) != 0)
        return false;
    if (s->temp[0] == '\0')
        return true;
    return fsync(fileno(s->to)) == 0 && rename(s->temp, s->file) == 0 && folder_sync(s->file);
}

/* rc: how it went so far; how it went in all. */
static int sink_close(struct sink *s, int rc)
{
    errno = 0;
    if (rc == 0 && !sink_whole(s))
        rc = sink_failed(s, errno ? errno : EIO);
    if (s->to != NULL && s->to != stdout)
        fclose(s->to);
    if (rc != 0 && s->temp[0])
        (void)unlink(s->temp);
    return rc;
}

/* ---- the letters ---- */

/* The disk is webhookd's too, and a large file that is synced at its end keeps its commits waiting: it
 * goes there bit by bit. */
static void sink_write_behind(struct sink *s)
{
    off_t at = s->temp[0] ? lseek(fileno(s->to), 0, SEEK_CUR) : 0;

    if (at - s->behind < BEHIND_BYTES)
        return;
    (void)sync_file_range(fileno(s->to), s->behind, at - s->behind, SYNC_FILE_RANGE_WRITE);
    s->behind = at;
}

/* Writes up to `left` lines of a page, and out of our hands: what is counted is written. */
static int sink_page(struct sink *s, const struct buf *page)
{
    const char *at = page->len > 0 ? page->data : "", *end = at + page->len;
    int64_t n = 0;

    errno = 0;
    while (at < end && s->left > 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);

        if (len > 1) {
            fwrite(at, 1, len, s->to);
            if (newline == NULL)
                fputc('\n', s->to);
            s->left--;
            n++;
        }
        at += len;
    }
    if (fflush(s->to) != 0 || ferror(s->to) != 0)
        return sink_failed(s, errno ? errno : EIO);
    s->n += n;
    sink_write_behind(s);
    progress_show(&s->bar, s->n, s->whole, "exported");
    return 0;
}

static int export_query(struct sink *s, const struct buf *base)
{
    char cursor[128] = "", limit[24];
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && s->left > 0 && !progress_interrupted()) {
        struct answer a;
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_adds(&query, base->data);
        snprintf(limit, sizeof limit, "%zu", s->left < PAGE_LINES ? s->left : (size_t)PAGE_LINES);
        client_query(&query, "limit", limit);
        if (cursor[0])
            client_query(&query, "cursor", cursor);
        rc = client_call(s->cli, "GET", "/api/v1/dead-letters/export", query.data, NULL, &a);
        buf_fini(&query);
        if (rc != 0)
            break;
        rc = sink_page(s, &a.raw);
        text_copy(cursor, sizeof cursor, a.next_cursor);
        more = cursor[0] != '\0';
        answer_fini(&a);
    }
    return rc;
}

static int export_all(struct sink *s, const struct filter_flags *f)
{
    size_t from = 0;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && s->left > 0 && !progress_interrupted()) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f, &from, &query);
        if (more)
            rc = export_query(s, &query);
        buf_fini(&query);
    }
    if (rc == 0 && progress_interrupted()) {
        progress_clear(&s->bar);
        out_note("Interrupted after %s of %s dead letters; %s", TEXT_COUNTED(s->n),
                 TEXT_COUNTED(s->whole),
                 s->temp[0] ? "the part that was written is removed"
                            : "what was written is not the whole export");
        return CLI_INTERRUPTED;
    }
    return rc;
}

/* Of the file the name only: where it lies is nobody's business, and may change. */
static void export_tell(const struct sink *s, const struct filter_flags *f)
{
    const char *slash = s->file ? strrchr(s->file, '/') : NULL;
    const char *name = slash ? slash + 1 : s->file;

    if (s->whole > 0)
        client_tell_audit(s->cli, "/api/v1/dead-letters/export",
                          json_pack("{s:O,s:I,s:o*,s:s*}", "filter", f->json, "selected",
                                    (json_int_t)s->whole, "file", name ? out_path(name) : NULL,
                                    "note", cli_flag(s->cli, FLAG_NOTE)));
}

int dlq_export(struct cli *cli, const struct filter_flags *f, const char *file, int64_t whole,
               int64_t *n)
{
    struct sink s = {.cli = cli, .file = file, .whole = whole};
    int rc = filter_limit(cli, SIZE_MAX, &s.left);

    if (rc != 0)
        return rc;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    rc = sink_open(&s);
    if (rc != 0)
        return rc;
    if (s.left < (size_t)whole)
        s.whole = (int64_t)s.left;
    export_tell(&s, f);
    progress_begin(&s.bar, cli);
    rc = sink_close(&s, export_all(&s, f));
    progress_end(&s.bar);
    *n = s.n;
    return rc;
}

int cmd_dlq_export(struct cli *cli)
{
    const char *file = cli_flag(cli, FLAG_FILE);
    struct filter_flags f;
    int64_t n = 0, count = 0, bytes;
    bool to_file = file != NULL && strcmp(file, "-") != 0;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0 && f.ids_n > FILTER_QUERY_IDS) /* which of them are the first? */
        rc = dlq_limit(cli, &f);
    if (rc == 0)
        rc = dlq_fix(cli, &f, &count, &bytes);
    if (rc == 0)
        rc = dlq_export(cli, &f, file, count, &n);
    if (rc == 0 && n == 0)
        rc = filter_empty(cli, &f, "No dead letters match.");
    else if (rc == 0)
        out_note("exported %s dead letter%s%s%s", TEXT_COUNTED(n), n == 1 ? "" : "s",
                 to_file ? " to " : "", to_file ? file : "");
    if (rc == 0)
        rc = filter_unmatched(&f, API_KIND_LETTERS);
    filter_flags_fini(&f);
    return rc;
}
