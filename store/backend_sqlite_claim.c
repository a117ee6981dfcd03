/* store/backend_sqlite_claim.c: what is due. One statement walks one range of `ready` and takes what
 * sending needs of delivery and event along; rows that are in memory already cost it no look at
 * those.
 *
 * The payload of a row that is larger than what was asked for is never copied. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

/* Outer joins, so that a row without its event is seen and not passed over. */
#define CLAIM_SQL                                                                                  \
    "SELECT r.due, r.num, e.payload, e.id, e.type, e.ordering_key, e.correlation_id, e.source,"    \
    " e.version, e.attributes, e.created_ms, d.event, d.state, d.attempts, d.budget_start,"        \
    " d.budget_since_ms, d.job, d.expires_ms, d.budget_max, d.trial, d.original, d.last_attempt"   \
    " FROM ready r LEFT JOIN delivery d ON d.num = r.num LEFT JOIN event e ON e.num = d.event"     \
    " WHERE r.sub = ?1 AND r.due >= ?2 AND NOT in_memory(r.num) ORDER BY r.due, r.num"

enum { DUE, NUM, PAYLOAD, TEXTS, TEXTS_N = 7, NUMBERS = TEXTS + TEXTS_N };

static bool is_skipped(const struct claim_ask *ask, int64_t num)
{
    size_t lo = 0, hi = ask->skip_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ask->skip[mid] < num)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < ask->skip_n && ask->skip[lo] == num;
}

static void in_memory(sqlite3_context *c, int n, sqlite3_value **num)
{
    const struct sq *q = sqlite3_user_data(c);
    (void)n;
    sqlite3_result_int(c, is_skipped(q->asking, sqlite3_value_int64(num[0])));
}

enum err_code sq_claim_init(struct sq *q, struct err *err)
{
    int rc = sqlite3_create_function(q->db, "in_memory", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, q,
                                     in_memory, NULL, NULL);
    return rc == SQLITE_OK ? OK : sq_fail(q, "in_memory", err);
}

struct text {
    const void *bytes; /* NULL: none */
    size_t n;
};

static size_t read_texts(sqlite3_stmt *st, struct text out[TEXTS_N])
{
    size_t n = 0;
    for (int i = 0; i < TEXTS_N; i++) {
        out[i].bytes = sqlite3_column_text(st, TEXTS + i);
        if (out[i].bytes == NULL)
            continue;
        out[i].n = (size_t)sqlite3_column_bytes(st, TEXTS + i);
        n += out[i].n + 1;
    }
    return n;
}

static char *put_text(const struct text *text, char **at)
{
    char *to = *at;
    if (text->bytes == NULL)
        return NULL;
    memcpy(to, text->bytes, text->n);
    to[text->n] = '\0';
    *at += text->n + 1;
    return to;
}

static void fill(sqlite3_stmt *st, int64_t sub, const struct text texts[TEXTS_N], struct claimed *c)
{
    struct delivery *d = &c->delivery;
    struct event_rec *e = &c->event;
    char *at = (char *)(c + 1);
    int col = NUMBERS;
    d->num = sqlite3_column_int64(st, NUM);
    d->sub = sub;
    d->due_ms = sqlite3_column_int64(st, DUE);
    d->event_id = e->id = put_text(&texts[0], &at);
    d->type = e->type = put_text(&texts[1], &at);
    d->ordering_key = e->ordering_key = put_text(&texts[2], &at);
    e->correlation_id = put_text(&texts[3], &at);
    e->source = put_text(&texts[4], &at);
    e->version = put_text(&texts[5], &at);
    e->attributes = put_text(&texts[6], &at);
    e->created_ms = sqlite3_column_int64(st, col++);
    d->event = e->num = sqlite3_column_int64(st, col++);
    d->state = (enum delivery_state)sqlite3_column_int(st, col++);
    d->attempts = sqlite3_column_int(st, col++);
    d->budget_start = sqlite3_column_int(st, col++);
    d->budget_since_ms = sqlite3_column_int64(st, col++);
    d->job = sqlite3_column_int64(st, col++);
    e->expires_ms = sqlite3_column_int64(st, col++);
    d->budget_max = sqlite3_column_int(st, col++);
    d->trial = sqlite3_column_int(st, col++) != 0;
    d->original = sqlite3_column_int64(st, col++);
    d->last_attempt = sqlite3_column_int64(st, col);
    if (e->payload_bytes > 0)
        memcpy(claimed_payload(c), sqlite3_column_blob(st, PAYLOAD), e->payload_bytes);
}

/* The row where st stands. *out NULL: it has more than room bytes. */
static enum err_code take(struct sq *q, sqlite3_stmt *st, int64_t sub, size_t room,
                          struct claimed **out, size_t *bytes, struct err *err)
{
    struct text texts[TEXTS_N];
    if (sqlite3_column_type(st, PAYLOAD) == SQLITE_NULL)
        return fail(err, ERR_CORRUPT, "store %s: delivery %lld is ready but has no event to send",
                    q->path, (long long)sqlite3_column_int64(st, NUM));
    size_t text_n = read_texts(st, texts), payload_n = (size_t)sqlite3_column_bytes(st, PAYLOAD);
    bool fits = claimed_size(text_n, payload_n) <= room;
    struct claimed *c = fits ? claimed_alloc(text_n, payload_n) : NULL;
    if (c != NULL)
        fill(st, sub, texts, c);
    if (fits && c == NULL)
        return fail(err, ERR_NOMEM, "no memory for a claimed delivery");
    *out = c;
    *bytes = claimed_size(text_n, payload_n);
    return OK;
}

enum err_code sq_claim(struct backend *b, int64_t sub, int64_t now_ms, const struct claim_ask *ask,
                       struct claimed **out, struct claim_got *got, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    size_t room = ask->max_bytes;
    struct claim_got g = {0};
    q->asking = ask;
    enum err_code code = sq_open(q, SQ_CLAIM, &st, err, CLAIM_SQL, "ll", sub, ask->from_ms);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        int64_t due = sqlite3_column_int64(st, DUE);
        size_t bytes = 0;
        if (due > now_ms || g.n == ask->max) {
            g.next_due_ms = due;
            break;
        }
        code = take(q, st, sub, room < ask->max_row_bytes ? room : ask->max_row_bytes, &out[g.n],
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
    q->asking = NULL;
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
