/* cli/cmd_dlq_import.c: dlq import: an export comes back, chunk by chunk.
 *
 * What is here already is skipped, so an import that was interrupted is begun again with the same
 * file; a bad line is told with its number and keeps no other out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/out.h"
#include "cli/progress.h"

/* What the daemon takes in one request; it writes them slice by slice. */
#define CHUNK_LINES 1000
#define CHUNK_BYTES ((size_t)1 << 20)
#define LINE_MAX_BYTES ((size_t)32 << 20)
#define ERRORS_SHOWN 20

struct import {
    struct cli *cli;
    struct progress bar;
    const char *path;
    bool dry;
    struct buf chunk;
    size_t lines;    /* in chunk */
    long long first; /* number of its first line */
    long long imported, skipped, unbound, errors;
    int64_t bytes, whole; /* of the file: sent, and all of it (0: not known) */
    char audit[64];       /* its entry, which every chunk adds to; "": none yet */
};

static void import_errors(struct import *im, const json_t *errors, long long refused)
{
    size_t i;
    json_t *e;

    json_array_foreach(errors, i, e)
    {
        const char *message = out_string(e, "message");

        if (im->errors + (long long)i == 0)
            progress_clear(&im->bar);
        if (im->errors + (long long)i < ERRORS_SHOWN)
            out_fail(im->cli, CLI_DATA, "invalid", "line %lld: %s",
                     im->first + (long long)out_integer(e, "line") - 1, message ? message : "");
    }
    im->errors += refused;
}

static void import_show(struct import *im)
{
    char text[96];

    snprintf(text, sizeof text, "%s %lld, %lld here already, %lld errors",
             im->dry ? "would import" : "imported", im->imported, im->skipped, im->errors);
    progress_show(&im->bar, im->whole > 0 ? im->bytes * 1000 / im->whole : im->first - 1,
                  im->whole > 0 ? 1000 : 0, text);
}

/* Of the file the name only: where it lies is nobody's business. */
static void import_query(const struct import *im, struct buf *query)
{
    const char *file = cli_flag(im->cli, FLAG_FILE);
    const char *slash = file ? strrchr(file, '/') : NULL;

    if (file != NULL && strcmp(file, "-") != 0)
        client_query(query, "file", slash ? slash + 1 : file);
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
    im->bytes += (int64_t)im->chunk.len;
    im->lines = 0;
    buf_clear(&im->chunk);
    import_show(im);
    return rc;
}

static int import_lines(struct import *im, FILE *from)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n = 0;
    int rc = 0;

    while (rc == 0 && !progress_interrupted() && (n = getline(&line, &room, from)) > 0) {
        if (im->chunk.len + (size_t)n > CHUNK_BYTES || im->lines == CHUNK_LINES)
            rc = import_flush(im);
        buf_add(&im->chunk, line, (size_t)n);
        if (line[n - 1] != '\n')
            buf_addc(&im->chunk, '\n');
        im->lines++;
        if (im->chunk.failed)
            rc = out_fail(im->cli, CLI_DATA, "invalid", "line %lld is too long",
                          im->first + (long long)im->lines - 1);
    }
    free(line);
    if (rc == 0 && !progress_interrupted() && ferror(from) != 0)
        rc = out_fail(im->cli, CLI_IO, "io", "%s: %s", im->path, errno_text(errno));
    if (rc == 0)
        rc = import_flush(im);
    return rc == 0 && progress_interrupted() ? CLI_INTERRUPTED : rc;
}

static void import_report(const struct import *im, bool whole)
{
    if (out_is_json(im->cli))
        printf("{\"imported\":%lld,\"skipped\":%lld,\"unbound\":%lld,\"errors\":%lld,"
               "\"dry_run\":%s}\n",
               im->imported, im->skipped, im->unbound, im->errors, im->dry ? "true" : "false");
    if (im->errors > ERRORS_SHOWN)
        out_note("and %lld more such lines", im->errors - ERRORS_SHOWN);
    if (im->dry)
        out_note("Would import %lld, skip %lld that are here already; %lld errors. Nothing was "
                 "changed.",
                 im->imported, im->skipped, im->errors);
    else
        out_note("imported %lld, skipped %lld that were here already, %lld errors.%s", im->imported,
                 im->skipped, im->errors, whole ? " Next: webhookctl dlq summary" : "");
    if (im->errors > 0)
        out_note(
            "What is wrong is said line by line above: correct those lines and import the same "
            "file again; what is here already is skipped");
    if (im->unbound > 0)
        out_note("%lld of them are for subscriptions that are not here: add those, then import the "
                 "same file again to bind them",
                 im->unbound);
    if (!whole && !im->dry)
        out_note("Not the whole file was read: import it again, what is here is skipped");
}

static int import_open(struct import *im, const char *file, FILE **from)
{
    bool standard = file == NULL || strcmp(file, "-") == 0;
    struct stat st;

    im->path = standard ? "standard input" : file;
    *from = standard ? stdin : fopen(file, "re");
    if (*from == NULL)
        return out_fail(im->cli, errno == ENOENT ? CLI_NO_INPUT : CLI_IO, "io", "%s: %s", file,
                        errno_text(errno));
    if (fstat(fileno(*from), &st) == 0 && S_ISREG(st.st_mode))
        im->whole = st.st_size;
    return 0;
}

int cmd_dlq_import(struct cli *cli)
{
    struct import im = {.cli = cli, .first = 1, .dry = cli_flag(cli, FLAG_DRY_RUN) != NULL};
    FILE *from;
    int rc = import_open(&im, cli_flag(cli, FLAG_FILE), &from);

    if (rc != 0)
        return rc;
    buf_init(&im.chunk, LINE_MAX_BYTES);
    progress_begin(&im.bar, cli);
    im.bar.share = im.whole > 0;
    rc = import_lines(&im, from);
    progress_end(&im.bar);
    if (from != stdin)
        fclose(from);
    buf_fini(&im.chunk);
    import_report(&im, rc == 0);
    return rc == 0 && im.errors > 0 ? CLI_DATA : rc;
}
