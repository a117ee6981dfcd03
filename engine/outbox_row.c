/* engine/outbox_row.c: one row of a producer's table, as plain data in an arena.
 *
 * Text is read as UTF-8 whatever the database's encoding; a payload is passed on as it stands. What
 * cannot be an event is still read: as a row with a problem, which becomes a reject. The digest
 * names a row with its content, so that a seq which is issued again for something else is seen. */
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/outbox_parts.h"
#include "policy/sign.h"

const char *const outbox_columns[] = {
    "seq",           "type",           "payload",    "event_id", "partner",
    "ordering_key",  "correlation_id", "source",     "version",  "attributes",
    "deliver_after", "expires_at",     "created_at", NULL};

enum err_code outbox_sql_fail(struct err *err, struct sqlite3 *handle, int rc, const char *doing,
                              const char *path)
{
    enum err_code code = ERR_IO;
    int kind = rc & 0xff;
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
        code = ERR_BUSY;
    else if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)
        code = ERR_CORRUPT;
    else if (kind == SQLITE_FULL)
        code = ERR_FULL;
    else if (kind == SQLITE_NOMEM)
        code = ERR_NOMEM;
    else if (kind == SQLITE_PERM || kind == SQLITE_READONLY || kind == SQLITE_AUTH)
        code = ERR_DENIED;
    return fail(err, code, "%s %s: %s", doing, path, handle ? sqlite3_errmsg(handle) : "no memory");
}

static const char *problem(struct arena *mem, const char *column, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "%s: %s", column, what);
    const char *copy = arena_copy(mem, text);
    return copy ? copy : "no memory";
}

static const char *read_text(struct sqlite3_stmt *st, int col, struct arena *mem,
                             struct outbox_row *row, bool *oom)
{
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return NULL;
    const char *text = (const char *)sqlite3_column_text(st, col);
    size_t n = (size_t)sqlite3_column_bytes(st, col);
    if (!text) {
        *oom = n != 0;
        return n ? NULL : "";
    }
    if (memchr(text, 0, n) && !row->problem)
        row->problem = problem(mem, outbox_columns[col], "contains a NUL byte: remove it");
    char *copy = arena_bytes(mem, text, n);
    *oom |= !copy;
    return copy;
}

static int64_t read_time(struct sqlite3_stmt *st, int col, struct arena *mem,
                         struct outbox_row *row)
{
    int type = sqlite3_column_type(st, col);
    if (type == SQLITE_NULL || type == SQLITE_INTEGER)
        return type == SQLITE_NULL ? 0 : sqlite3_column_int64(st, col);
    if (type == SQLITE_FLOAT) {
        double value = sqlite3_column_double(st, col);
        if (fabs(value) < 9e15 && (double)(int64_t)value == value)
            return (int64_t)value;
    }
    if (type == SQLITE_TEXT) {
        const char *text = (const char *)sqlite3_column_text(st, col);
        if (text && *text && strlen(text) < 18 && !text[strspn(text, "0123456789")])
            return strtoll(text, NULL, 10);
    }
    /* created_at is only told to the partner: a foreign table may have it as text. */
    if (col != COL_CREATED_AT && !row->problem)
        row->problem = problem(mem, outbox_columns[col],
                               "not an integer: give milliseconds since 1970, or NULL");
    return 0;
}

static void read_payload(struct sqlite3_stmt *st, struct arena *mem, struct outbox_row *row,
                         bool *oom)
{
    int type = sqlite3_column_type(st, COL_PAYLOAD);
    if (type == SQLITE_NULL) {
        row->huge = sqlite3_column_type(st, COLS) != SQLITE_NULL;
        row->payload_bytes = (size_t)sqlite3_column_int64(st, COLS);
        row->problem = row->huge
                           ? problem(mem, "payload",
                                     "more than 16 MiB: it stays in the producer's table; send "
                                     "a reference instead")
                           : problem(mem, "payload", "NULL: give JSON, for instance {}");
        return;
    }
    const void *bytes = type == SQLITE_BLOB ? sqlite3_column_blob(st, COL_PAYLOAD)
                                            : (const void *)sqlite3_column_text(st, COL_PAYLOAD);
    size_t n = (size_t)sqlite3_column_bytes(st, COL_PAYLOAD);
    row->payload_bytes = n;
    row->payload = arena_bytes(mem, n ? bytes : "", n);
    *oom |= !row->payload || (n && !bytes);
}

/* NULL adds nothing, so that a column which the producer adds to its table later leaves the
 * digests of old rows as they were. */
static void digest_add(struct buf *b, unsigned col, const void *bytes, size_t n)
{
    if (!bytes)
        return;
    buf_addf(b, "%u:%zu:", col, n);
    buf_add(b, bytes, n);
}

static bool digest_row(struct outbox_db *d, struct outbox_row *row)
{
    struct buf *b = &d->scratch;
    const char *texts[COLS] = {[COL_TYPE] = row->type,
                               [COL_EVENT_ID] = row->event_id,
                               [COL_PARTNER] = row->partner,
                               [COL_ORDERING_KEY] = row->ordering_key,
                               [COL_CORRELATION_ID] = row->correlation_id,
                               [COL_SOURCE] = row->source,
                               [COL_VERSION] = row->version,
                               [COL_ATTRIBUTES] = row->attributes};
    buf_clear(b);
    buf_addf(b, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%zu,", row->seq,
             row->deliver_after_ms, row->expires_ms, row->created_ms, row->payload_bytes);
    for (unsigned i = 0; i < COLS; i++)
        digest_add(b, i, texts[i], texts[i] ? strlen(texts[i]) : 0);
    digest_add(b, COL_PAYLOAD, row->payload, row->payload_bytes);
    if (b->failed)
        return false;
    uint8_t whole[32];
    sign_sha256(b->data, b->len, whole);
    memcpy(row->digest, whole, sizeof row->digest);
    if (b->room > ((size_t)1 << 20)) {
        buf_fini(b);
        buf_init(b, OUTBOX_SCRATCH_MAX);
    }
    return true;
}

static enum err_code read_row(struct outbox_db *d, struct sqlite3_stmt *st, struct arena *mem,
                              struct outbox_row *row, struct err *err)
{
    bool oom = false;
    *row = (struct outbox_row){.seq = sqlite3_column_int64(st, COL_SEQ)};
    row->type = read_text(st, COL_TYPE, mem, row, &oom);
    row->event_id = read_text(st, COL_EVENT_ID, mem, row, &oom);
    row->partner = read_text(st, COL_PARTNER, mem, row, &oom);
    row->ordering_key = read_text(st, COL_ORDERING_KEY, mem, row, &oom);
    row->correlation_id = read_text(st, COL_CORRELATION_ID, mem, row, &oom);
    row->source = read_text(st, COL_SOURCE, mem, row, &oom);
    row->version = read_text(st, COL_VERSION, mem, row, &oom);
    row->attributes = read_text(st, COL_ATTRIBUTES, mem, row, &oom);
    row->deliver_after_ms = read_time(st, COL_DELIVER_AFTER, mem, row);
    row->expires_ms = read_time(st, COL_EXPIRES_AT, mem, row);
    row->created_ms = read_time(st, COL_CREATED_AT, mem, row);
    read_payload(st, mem, row, &oom);
    if (oom || !digest_row(d, row))
        return fail(err, ERR_NOMEM, "no memory for row %" PRId64 " of %s", row->seq, d->path);
    return OK;
}

enum err_code outbox_db_read(struct outbox_db *d, int64_t after, int64_t upto, size_t limit,
                             struct arena *mem, struct outbox_row *rows, size_t *n, struct err *err)
{
    struct sqlite3_stmt *st = d->after;
    size_t got = 0, bytes = 0;
    enum err_code code = OK;
    sqlite3_bind_int64(st, 1, after);
    sqlite3_bind_int64(st, 2, upto);
    sqlite3_bind_int64(st, 3, (int64_t)limit);
    int rc = SQLITE_DONE;
    while (code == OK && got < limit && bytes < OUTBOX_BATCH_BYTES &&
           (rc = sqlite3_step(st)) == SQLITE_ROW) {
        code = read_row(d, st, mem, &rows[got], err);
        bytes += rows[got].payload ? rows[got].payload_bytes : 0;
        got++;
    }
    int again = sqlite3_reset(st);
    if (code == OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = outbox_sql_fail(err, d->handle, again, "read outbox", d->path);
    d->more = rc != SQLITE_DONE;
    if (code == OK)
        *n = got;
    return code;
}

enum err_code outbox_db_row(struct outbox_db *d, int64_t seq, struct arena *mem,
                            struct outbox_row *row, bool *found, struct err *err)
{
    enum err_code code = OK;
    sqlite3_bind_int64(d->one, 1, seq);
    int rc = sqlite3_step(d->one);
    if (rc == SQLITE_ROW)
        code = read_row(d, d->one, mem, row, err);
    int again = sqlite3_reset(d->one);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = outbox_sql_fail(err, d->handle, again, "read outbox", d->path);
    if (code == OK)
        *found = rc == SQLITE_ROW;
    return code;
}
