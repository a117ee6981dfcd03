/* cli/cmd_dlq_import.c: dlq import: an export comes back, chunk by chunk.
 *
 * What is here already is skipped, so an import that was interrupted is begun again with the same
 * file; a bad line is told with its number and keeps no other out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "engine/api.h"

/* What the daemon takes in one request; it writes them slice by slice. */
#define CHUNK_LINES 1000
#define CHUNK_BYTES ((size_t)1 << 20)
#define PIECE_BYTES 65536
#define ERRORS_SHOWN 20

struct import {
    struct cli *cli;
    struct progress bar;
    const char *path;
    bool dry;
    int fd;
    char piece[PIECE_BYTES]; /* what was read and not yet looked at */
    size_t at, read;
    struct buf line; /* failed: longer than may be; its rest is read and forgotten */
    struct buf chunk;
    size_t lines;    /* in chunk */
    long long first; /* number of its first line */
    long long imported, skipped, unbound, errors;
    int64_t bytes, whole; /* of the file: read, and all of it (0: not known) */
    char audit[64];       /* its entry, which every chunk adds to; "": none yet */
};

static void line_refused(struct import *im, long long number, const char *why)
{
    if (im->errors == 0)
        progress_clear(&im->bar);
    if (im->errors < ERRORS_SHOWN)
        out_fail(im->cli, CLI_DATA, "invalid", "line %lld: %s", number, why);
    im->errors++;
}

/* The daemon names the first of those that it refuses. */
static void import_errors(struct import *im, const json_t *errors, long long refused)
{
    long long all = im->errors + refused;
    size_t i;
    json_t *e;

    json_array_foreach(errors, i, e)
    {
        const char *message = out_string(e, "message");

        line_refused(im, im->first + (long long)out_integer(e, "line") - 1, message ? message : "");
    }
    im->errors = all;
}

static void import_show(struct import *im)
{
    char text[96];

    snprintf(text, sizeof text, "%s %s, %s here already, %s error%s",
             im->dry ? "would import" : "imported", TEXT_COUNTED(im->imported),
             TEXT_COUNTED(im->skipped), TEXT_COUNTED(im->errors), im->errors == 1 ? "" : "s");
    progress_show(&im->bar, im->whole > 0 ? im->bytes * 1000 / im->whole : im->first - 1,
                  im->whole > 0 ? 1000 : 0, text);
}

/* Of the file the name only: where it lies is nobody's business. */
static void import_query(const struct import *im, struct buf *query)
{
    const char *file = cli_flag(im->cli, FLAG_FILE);
    const char *slash = file ? strrchr(file, '/') : NULL;
    struct buf name;

    buf_init(&name, 4096);
    if (file != NULL && strcmp(file, "-") != 0) {
        file = slash ? slash + 1 : file;
        text_escape_terminal(&name, file, strlen(file), false); /* it may be any bytes */
        client_query(query, "file", name.data ? name.data : "");
    }
    buf_fini(&name);
    if (im->audit[0])
        client_query(query, "audit", im->audit);
}

static int import_flush(struct import *im)
{
    struct buf query;
    struct client_request r = {.method = "POST",
                               .path = "/api/v1/dead-letters/import",
                               .body = im->chunk.data,
                               .body_bytes = im->chunk.len,
                               .content_type = "application/x-ndjson"};
    struct answer a;

    if (im->lines == 0)
        return 0;
    buf_init(&query, 4096);
    import_query(im, &query);
    r.query = query.data;
    int rc = client_send(im->cli, &r, &a);

    buf_fini(&query);
    if (rc != 0)
        return rc;
    rc = client_judge(im->cli, &a, CLI_DATA);
    if (rc == 0) {
        im->imported += out_integer(a.json, "imported");
        im->skipped += out_integer(a.json, "skipped");
        im->unbound += out_integer(a.json, "unbound");
        if (out_string(a.json, "audit") != NULL)
            text_copy(im->audit, sizeof im->audit, out_string(a.json, "audit"));
        import_errors(im, json_object_get(a.json, "errors"), out_integer(a.json, "refused"));
    } else if (rc == CLI_DATA) {
        out_note("in lines %lld to %lld", im->first, im->first + (long long)im->lines - 1);
    }
    answer_fini(&a);
    im->first += (long long)im->lines;
    im->lines = 0;
    buf_clear(&im->chunk);
    import_show(im);
    return rc;
}

/* More of the file into im->piece; 0 is its end, -1 an error. */
static ssize_t piece_read(struct import *im)
{
    ssize_t n;

    do
        n = read(im->fd, im->piece, sizeof im->piece);
    while (n < 0 && errno == EINTR && !progress_interrupted());
    im->at = 0;
    im->read = n > 0 ? (size_t)n : 0;
    return n;
}

/* The next line with its line feed into im->line; *end: there is none, or somebody interrupts. What is
 * too long is read to its end all the same, for those behind it. */
static int line_next(struct import *im, bool *end)
{
    bool some = false, whole = false;
    ssize_t n = 1;

    buf_clear(&im->line);
    while (!whole && !progress_interrupted()) {
        if (im->at == im->read && (n = piece_read(im)) <= 0)
            break;
        const char *from = im->piece + im->at;
        const char *feed = memchr(from, '\n', im->read - im->at);
        size_t len = feed != NULL ? (size_t)(feed - from) + 1 : im->read - im->at;

        buf_add(&im->line, from, len);
        im->at += len;
        im->bytes += (int64_t)len;
        some = true;
        whole = feed != NULL;
    }
    *end = progress_interrupted() || !some;
    if (n < 0 && !progress_interrupted())
        return out_fail(im->cli, CLI_IO, "io", "%s: %s", im->path, errno_text(errno));
    if (some && !whole)
        buf_addc(&im->line, '\n');
    return 0;
}

static int line_take(struct import *im)
{
    char why[80], most[32];
    int rc = 0;

    if (im->line.failed || im->chunk.len + im->line.len > CHUNK_BYTES || im->lines == CHUNK_LINES)
        rc = import_flush(im);
    if (rc == 0 && im->line.failed) {
        text_size(most, sizeof most, API_BODY_MAX_BYTES);
        snprintf(why, sizeof why, "longer than %s, as no dead letter is", most);
        line_refused(im, im->first++, why);
        buf_fini(&im->line); /* so much is not needed again */
        buf_init(&im->line, API_BODY_MAX_BYTES);
    } else if (rc == 0) {
        buf_add(&im->chunk, im->line.data, im->line.len);
        im->lines++;
    }
    return rc == 0 && im->chunk.failed
               ? out_fail(im->cli, CLI_INTERNAL, "internal", "out of memory")
               : rc;
}

static int import_lines(struct import *im)
{
    bool end = false;
    int rc = line_next(im, &end);

    while (rc == 0 && !end) {
        rc = line_take(im);
        if (rc == 0)
            rc = line_next(im, &end);
    }
    if (rc == 0)
        rc = import_flush(im);
    return rc == 0 && progress_interrupted() ? CLI_INTERRUPTED : rc;
}

static void import_report(const struct import *im, bool whole)
{
    const char *s = im->errors == 1 ? "" : "s";

    if (out_is_json(im->cli))
        printf("{\"imported\":%lld,\"skipped\":%lld,\"unbound\":%lld,\"errors\":%lld,"
               "\"dry_run\":%s}\n",
               im->imported, im->skipped, im->unbound, im->errors, im->dry ? "true" : "false");
    if (im->errors > ERRORS_SHOWN)
        out_note("and %s more such lines", TEXT_COUNTED(im->errors - ERRORS_SHOWN));
    if (im->dry)
        out_note("Would import %s, skip %s that are here already; %s error%s. Nothing was "
                 "changed.",
                 TEXT_COUNTED(im->imported), TEXT_COUNTED(im->skipped), TEXT_COUNTED(im->errors),
                 s);
    else
        out_note("imported %s, skipped %s that were here already, %s error%s.%s",
                 TEXT_COUNTED(im->imported), TEXT_COUNTED(im->skipped), TEXT_COUNTED(im->errors), s,
                 whole ? " Next: webhookctl dlq summary" : "");
    if (im->errors > 0)
        out_note(
            "What is wrong is said line by line above: correct those lines and import the same "
            "file again; what is here already is skipped");
    if (im->unbound > 0)
        out_note("%s of them are for subscriptions that are not here: add those, then import the "
                 "same file again to bind them",
                 TEXT_COUNTED(im->unbound));
    if (!whole && !im->dry)
        out_note("Not the whole file was read: import it again, what is here is skipped");
}

static int import_open(struct import *im, const char *file)
{
    bool standard = file == NULL || strcmp(file, "-") == 0;
    struct stat st;

    im->path = standard ? "standard input" : file;
    im->fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (im->fd < 0)
        return out_fail(im->cli, errno == ENOENT ? CLI_NO_INPUT : CLI_IO, "io", "%s: %s", file,
                        errno_text(errno));
    if (standard)
        cli_reads_stdin();
    if (fstat(im->fd, &st) == 0 && S_ISREG(st.st_mode))
        im->whole = st.st_size;
    return 0;
}

int cmd_dlq_import(struct cli *cli)
{
    struct import im = {.cli = cli, .first = 1, .dry = cli_flag(cli, FLAG_DRY_RUN) != NULL};
    int rc = import_open(&im, cli_flag(cli, FLAG_FILE));

    if (rc != 0)
        return rc;
    buf_init(&im.line, API_BODY_MAX_BYTES);
    buf_init(&im.chunk, API_BODY_MAX_BYTES);
    progress_begin(&im.bar, cli);
    im.bar.share = im.whole > 0;
    rc = import_lines(&im);
    progress_end(&im.bar);
    if (im.fd != STDIN_FILENO)
        close(im.fd);
    buf_fini(&im.line);
    buf_fini(&im.chunk);
    import_report(&im, rc == 0);
    return rc == 0 && im.errors > 0 ? CLI_DATA : rc;
}
