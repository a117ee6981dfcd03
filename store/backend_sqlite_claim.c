/* store/backend_sqlite_claim.c: what is due. One range of `ready` is walked per claim; only rows
 * that are taken cost a look at delivery and event.
 *
 * The payload of a row that is larger than what was asked for is never copied. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

#define CLAIM_SQL                                                                                  \
    "SELECT d.num, d.event, d.sub, e.id, e.type, NULL, d.state, d.cause, d.attempts,"              \
    " d.budget_start, d.budget_since_ms, d.due_ms, d.last_status, d.last_outcome, d.created_ms,"   \
    " d.finished_ms, d.job, e.ordering_key, e.partner, e.correlation_id, e.source, e.version,"     \
    " e.attributes, e.deliver_after_ms, d.expires_ms, e.created_ms, e.accepted_ms, e.outbox,"      \
    " e.seq, e.payload, d.budget_max, d.trial, d.original FROM delivery d"                         \
    " JOIN event e ON e.num = d.event WHERE d.num = ?1"

static const int TEXT_COLS[] = {3, 4, 17, 19, 20, 21, 22, 27};
enum { PAYLOAD_COL = 29 };

static char *put_text(sqlite3_stmt *st, int col, char **at)
{
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return NULL;
    size_t n = (size_t)sqlite3_column_bytes(st, col);
    char *text = *at;
    if (n > 0)
        memcpy(text, sqlite3_column_text(st, col), n);
    text[n] = '\0';
    *at += n + 1;
    return text;
}

static size_t text_bytes(sqlite3_stmt *st)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof(TEXT_COLS) / sizeof(TEXT_COLS[0]); i++)
        if (sqlite3_column_type(st, TEXT_COLS[i]) != SQLITE_NULL)
            n += (size_t)sqlite3_column_bytes(st, TEXT_COLS[i]) + 1;
    return n;
}

static void fill(sqlite3_stmt *st, struct claimed *c)
{
    struct delivery *d = &c->delivery;
    struct event_rec *e = &c->event;
    char *at = (char *)(c + 1);
    sq_delivery_numbers(st, d);
    e->num = d->event;
    d->event_id = e->id = put_text(st, 3, &at);
    d->type = e->type = put_text(st, 4, &at);
    d->ordering_key = e->ordering_key = put_text(st, 17, &at);
    e->partner = sqlite3_column_int64(st, 18);
    e->correlation_id = put_text(st, 19, &at);
    e->source = put_text(st, 20, &at);
    e->version = put_text(st, 21, &at);
    e->attributes = put_text(st, 22, &at);
    e->deliver_after_ms = sqlite3_column_int64(st, 23);
    e->expires_ms = sqlite3_column_int64(st, 24);
    e->created_ms = sqlite3_column_int64(st, 25);
    e->accepted_ms = sqlite3_column_int64(st, 26);
    e->outbox = put_text(st, 27, &at);
    e->seq = sqlite3_column_int64(st, 28);
    d->budget_max = sqlite3_column_int(st, 30);
    d->trial = sqlite3_column_int(st, 31) != 0;
    d->original = sqlite3_column_int64(st, 32);
    if (e->payload_bytes > 0)
        memcpy(c->payload, sqlite3_column_blob(st, PAYLOAD_COL), e->payload_bytes);
}

/* *out NULL: it has more than room bytes. */
static enum err_code take(struct sq *q, int64_t num, size_t room, struct claimed **out,
                          size_t *bytes, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_CLAIM_GET, &st, err, CLAIM_SQL, "l", num);
    if (code == ERR_NOT_FOUND ||
        (code == OK && sqlite3_column_type(st, PAYLOAD_COL) == SQLITE_NULL)) {
        if (code == OK)
            sq_done(st);
        return fail(err, ERR_CORRUPT, "store %s: delivery %lld is ready but has no event to send",
                    q->path, (long long)num);
    }
    if (code != OK)
        return code;
    size_t text_n = text_bytes(st), payload_n = (size_t)sqlite3_column_bytes(st, PAYLOAD_COL);
    bool fits = claimed_size(text_n, payload_n) <= room;
    struct claimed *c = fits ? claimed_alloc(text_n, payload_n) : NULL;
    if (c != NULL)
        fill(st, c);
    sq_done(st);
    if (fits && c == NULL)
        return fail(err, ERR_NOMEM, "no memory for a claimed delivery");
    *out = c;
    *bytes = claimed_size(text_n, payload_n);
    return OK;
}

static bool skipped(const int64_t *skip, size_t n, int64_t num)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (skip[mid] < num)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && skip[lo] == num;
}

enum err_code sq_claim(struct backend *b, int64_t sub, int64_t now_ms, const struct claim_ask *ask,
                       struct claimed **out, struct claim_got *got, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    size_t room = ask->max_bytes;
    struct claim_got g = {0};
    enum err_code code =
        sq_open(q, SQ_CLAIM_SCAN, &st, err,
                "SELECT due, num FROM ready WHERE sub = ?1 ORDER BY due, num", "l", sub);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        int64_t due = sqlite3_column_int64(st, 0), num = sqlite3_column_int64(st, 1);
        size_t bytes = 0;
        if (skipped(ask->skip, ask->skip_n, num))
            continue;
        if (due > now_ms || g.n == ask->max) {
            g.next_due_ms = due;
            break;
        }
        code = take(q, num, room < ask->max_row_bytes ? room : ask->max_row_bytes, &out[g.n],
                    &bytes, err);
        if (code != OK)
            break;
        if (out[g.n] == NULL) {
            g.next_due_ms = due;
            g.next_bytes = bytes;
            break;
        }
        room -= bytes;
        g.n++;
    }
    if (code != ERR_NOT_FOUND)
        sq_done(st);
    if (code != OK && code != ERR_NOT_FOUND) {
        while (g.n > 0)
            claimed_free(out[--g.n]);
        return code;
    }
    *got = g;
    return OK;
}

enum err_code sq_heads(struct backend *b, const int64_t *subs, size_t n, int64_t *due_ms,
                       struct err *err)
{
    struct sq *q = sq_of(b);
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *st;
        enum err_code code =
            sq_row(q, SQ_HEAD, &st, err,
                   "SELECT due FROM ready WHERE sub = ?1 ORDER BY due LIMIT 1", "l", subs[i]);
        due_ms[i] = code == OK ? sqlite3_column_int64(st, 0) : 0;
        if (code == OK)
            sq_done(st);
        else if (code != ERR_NOT_FOUND)
            return code;
    }
    return OK;
}
