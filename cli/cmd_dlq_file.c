/* cli/cmd_dlq_file.c: dlq export and import: JSON Lines, page by page and chunk by chunk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/out.h"

#define PAGE_LINES 256
#define CHUNK_LINES 256
#define CHUNK_BYTES ((size_t)1 << 20)

/* A file with dead letters is its owner's alone; one that holds something is not written over. */
static int export_open(struct cli *cli, const char *file, FILE **out)
{
    bool force = cli_flag(cli, FLAG_FORCE) != NULL;
    struct stat st;

    *out = stdout;
    if (file == NULL || strcmp(file, "-") == 0)
        return 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return out_fail(cli, CLI_CANNOT_CREATE, "io", "%s: %s", file, errno_text(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (st.st_size > 0 && !force) {
            close(fd);
            return out_fail(cli, CLI_CANNOT_CREATE, "exists",
                            "%s holds something; --force replaces it", file);
        }
        if (fchmod(fd, 0600) != 0 || ftruncate(fd, 0) != 0) {
            close(fd);
            return out_fail(cli, CLI_CANNOT_CREATE, "io", "%s: %s", file, errno_text(errno));
        }
    }
    FILE *opened = fdopen(fd, "w");
    if (opened != NULL) {
        *out = opened;
        return 0;
    }
    close(fd);
    return out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
}

/* Writes up to *left lines of a page. */
static void export_page(FILE *to, const struct buf *page, size_t *left, int64_t *n)
{
    const char *at = page->len > 0 ? page->data : "", *end = at + page->len;

    while (at<end && * left> 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);

        if (len > 1) {
            fwrite(at, 1, len, to);
            if (newline == NULL)
                fputc('\n', to);
            (*left)--;
            (*n)++;
        }
        at += len;
    }
}

static int export_query(struct cli *cli, const struct buf *base, FILE *to, size_t *left, int64_t *n)
{
    char cursor[128] = "", limit[24];
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && *left > 0 && ferror(to) == 0) {
        struct answer a;
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_adds(&query, base->data);
        snprintf(limit, sizeof limit, "%zu", *left < PAGE_LINES ? *left : (size_t)PAGE_LINES);
        client_query(&query, "limit", limit);
        if (cursor[0])
            client_query(&query, "cursor", cursor);
        rc = client_call(cli, "GET", "/api/v1/dead-letters/export", query.data, NULL, &a);
        buf_fini(&query);
        if (rc != 0)
            break;
        export_page(to, &a.raw, left, n);
        snprintf(cursor, sizeof cursor, "%s", a.next_cursor);
        more = cursor[0] != '\0';
        answer_fini(&a);
    }
    return rc;
}

static int export_all(struct cli *cli, const struct filter_flags *f, FILE *to, int64_t *n)
{
    size_t from = 0, left;
    bool more = true;
    int rc = filter_limit(cli, SIZE_MAX, &left);

    while (rc == 0 && more && left > 0) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f, &from, &query);
        if (more)
            rc = export_query(cli, &query, to, &left, n);
        buf_fini(&query);
    }
    return rc;
}

/* On the disk, where it is one: a pipe or a device has nothing to sync. */
static bool written(FILE *to)
{
    return fflush(to) == 0 && ferror(to) == 0 &&
           (to == stdout || fsync(fileno(to)) == 0 || errno == EINVAL || errno == EROFS);
}

int cmd_dlq_export(struct cli *cli)
{
    const char *file = cli_flag(cli, FLAG_FILE);
    struct filter_flags f;
    FILE *to = stdout;
    int64_t n = 0;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = export_open(cli, file, &to);
    if (rc == 0)
        rc = export_all(cli, &f, to, &n);
    if (rc == 0 && !written(to))
        rc = out_fail(cli, CLI_IO, "io", "%s: %s", to == stdout ? "standard output" : file,
                      errno_text(errno));
    if (to != stdout && fclose(to) != 0 && rc == 0)
        rc = out_fail(cli, CLI_IO, "io", "%s: %s", file, errno_text(errno));
    if (rc == 0 && n == 0)
        out_note("No dead letters match.");
    else if (rc == 0)
        out_note("exported %lld dead letter%s%s%s", (long long)n, n == 1 ? "" : "s",
                 to == stdout ? "" : " to ", to == stdout ? "" : file);
    filter_flags_fini(&f);
    return rc;
}

struct import {
    struct cli *cli;
    struct buf chunk;
    size_t lines;    /* in chunk */
    long long first; /* number of its first line */
    long long imported, skipped, unbound, errors;
};

static void import_errors(struct import *im, const json_t *errors)
{
    size_t i;
    json_t *e;

    json_array_foreach(errors, i, e)
    {
        const char *message = out_string(e, "message");

        out_fail(im->cli, CLI_DATA, "invalid", "line %lld: %s",
                 im->first + (long long)out_integer(e, "line") - 1, message ? message : "");
        im->errors++;
    }
}

static int import_flush(struct import *im)
{
    struct client_request r = {.method = "POST",
                               .path = "/api/v1/dead-letters/import",
                               .body = im->chunk.data,
                               .body_bytes = im->chunk.len,
                               .content_type = "application/x-ndjson"};
    struct answer a;

    if (im->lines == 0)
        return 0;
    int rc = client_send(im->cli, &r, &a);

    if (rc != 0)
        return rc;
    rc = client_judge(im->cli, &a, CLI_DATA);
    if (rc == 0) {
        im->imported += out_integer(a.json, "imported");
        im->skipped += out_integer(a.json, "skipped");
        im->unbound += out_integer(a.json, "unbound");
        import_errors(im, json_object_get(a.json, "errors"));
    } else if (rc == CLI_DATA) {
        out_note("in lines %lld to %lld", im->first, im->first + (long long)im->lines - 1);
    }
    answer_fini(&a);
    im->first += (long long)im->lines;
    im->lines = 0;
    buf_clear(&im->chunk);
    return rc;
}

static int import_lines(struct import *im, FILE *from)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = getline(&line, &room, from)) > 0) {
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
    return rc == 0 ? import_flush(im) : rc;
}

int cmd_dlq_import(struct cli *cli)
{
    const char *file = cli_flag(cli, FLAG_FILE);
    struct import im = {.cli = cli, .first = 1};
    bool standard = file == NULL || strcmp(file, "-") == 0;
    FILE *from = standard ? stdin : fopen(file, "re");

    if (from == NULL)
        return out_fail(cli, errno == ENOENT ? CLI_NO_INPUT : CLI_IO, "io", "%s: %s", file,
                        errno_text(errno));
    buf_init(&im.chunk, (size_t)32 << 20);
    int rc = import_lines(&im, from);

    if (rc == 0 && ferror(from) != 0)
        rc = out_fail(cli, CLI_IO, "io", "%s: %s", standard ? "standard input" : file,
                      errno_text(errno));
    if (!standard)
        fclose(from);
    buf_fini(&im.chunk);
    if (out_is_json(cli))
        printf("{\"imported\":%lld,\"skipped\":%lld,\"unbound\":%lld,\"errors\":%lld}\n",
               im.imported, im.skipped, im.unbound, im.errors);
    out_note(
        "imported %lld, skipped %lld that were here already, %lld errors. Next: webhookctl dlq "
        "summary",
        im.imported, im.skipped, im.errors);
    if (im.unbound > 0)
        out_note("%lld of them are for subscriptions that are not here: add those, then import the "
                 "same file again to bind them",
                 im.unbound);
    return rc == 0 && im.errors > 0 ? CLI_DATA : rc;
}
