/* store/backend_sqlite_event.c: events come in, are looked up and listed; deliveries are
 * read.
 *
 * What of an id is remembered stands in the event's own row; only of an event whose row is gone it
 * stands in `seen` (retention moves it there). So an accepted event costs one index by id, which
 * looking it up needs anyway. */
#include "store/backend_sqlite.h"

#include <string.h>

/* ---- put ---- */
/* OK: kind and num tell. A row of the same id whose memory has expired says nothing. */
static enum err_code look_seen(struct sq *q, const char *id, const uint8_t digest[32],
                               struct event_put_result *out, struct err *err)
{
    sqlite3_stmt *st;
    out->kind = EVENT_NEW;
    out->num = 0;
    enum err_code code =
        sq_row(q, SQ_EVENT_SEEN, &st, err,
               "SELECT num, substr(digest, 17) FROM event WHERE id = ?1 AND digest IS NOT NULL"
               " AND substr(digest, 1, 16) = ?2 ORDER BY num DESC LIMIT 1",
               "tb", id, (const void *)digest, (size_t)16);
    bool gone = code == ERR_NOT_FOUND;
    if (gone)
        code =
            sq_row(q, SQ_SEEN, &st, err, "SELECT 0, content_digest FROM seen WHERE id_digest = ?1",
                   "b", (const void *)digest, (size_t)16);
    if (code == ERR_NOT_FOUND)
        return OK;
    if (code != OK)
        return code;
    bool same = sqlite3_column_bytes(st, 1) == 16 &&
                memcmp(sqlite3_column_blob(st, 1), digest + 16, 16) == 0;
    out->num = sqlite3_column_int64(st, 0);
    out->kind = same ? EVENT_DUPLICATE : EVENT_CONFLICT;
    sq_done(st);
    return OK;
}

/* Is somebody in this line already? */
static enum err_code line_taken(struct sq *q, int64_t sub, const char *key, bool *taken,
                                struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_LINE_HEAD, &st, err,
                                "SELECT num FROM lineup WHERE sub = ?1 AND key = ?2"
                                " ORDER BY num LIMIT 1",
                                "lt", sub, key);
    *taken = code == OK;
    if (code == OK)
        sq_done(st);
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code put_delivery(struct sq *q, const struct event_rec *e, int64_t sub,
                                  bool in_line, int64_t num, struct err *err)
{
    int64_t due = e->deliver_after_ms > e->accepted_ms ? e->deliver_after_ms : e->accepted_ms;
    bool waits = false;
    enum err_code code =
        sq_run(q, SQ_DELIVERY_PUT, err,
               "INSERT INTO delivery(num, event, sub, state, budget_since_ms, due_ms, created_ms,"
               " expires_ms, line) VALUES(?1, ?2, ?3, 0, ?4, ?5, ?4, ?6, ?7)",
               "llllllt", num, e->num, sub, e->accepted_ms, due, e->expires_ms,
               in_line ? e->ordering_key : NULL);
    if (code == OK && in_line)
        code = line_taken(q, sub, e->ordering_key, &waits, err);
    if (code == OK && in_line)
        code = sq_run(q, SQ_LINE_PUT, err, "INSERT INTO lineup VALUES(?1, ?2, ?3, ?4)", "ltll", sub,
                      e->ordering_key, num, e->accepted_ms);
    if (code == OK && !waits)
        code = sq_ready_put(q, sub, due, num, e->accepted_ms, err);
    if (code == OK && e->expires_ms != 0)
        code = sq_expiring_put(q, e->expires_ms, num, err);
    return code == OK ? sq_count(q, sub, DELIVERY_PENDING, 1, err) : code;
}

enum err_code sq_event_put(struct backend *b, const struct event_rec *e, const int64_t *subs,
                           const bool *ordered, size_t n, int64_t first_delivery,
                           const uint8_t digest[32], int64_t seen_until_ms,
                           struct event_put_result *out, struct err *err)
{
    struct sq *q = sq_of(b);
    struct event_put_result r;
    enum err_code code = look_seen(q, e->id, digest, &r, err);
    if (code != OK || r.kind != EVENT_NEW) {
        if (code == OK)
            *out = r;
        return code;
    }
    r.num = e->num;
    const void *payload = e->payload != NULL ? e->payload : "";
    code =
        sq_run(q, SQ_EVENT_PUT, err,
               "INSERT INTO event VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
               " ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
               "ltltltttttlllltlblb", e->num, e->id, e->partner, e->type, (int64_t)e->payload_bytes,
               e->ordering_key, e->correlation_id, e->source, e->version, e->attributes,
               e->deliver_after_ms, e->expires_ms, e->created_ms, e->accepted_ms, e->outbox, e->seq,
               (const void *)digest, (size_t)32, seen_until_ms, payload, e->payload_bytes);
    bool can_line = e->ordering_key != NULL && e->deliver_after_ms <= e->accepted_ms;
    for (size_t i = 0; code == OK && i < n; i++)
        code = put_delivery(q, e, subs[i], can_line && ordered != NULL && ordered[i],
                            first_delivery + (int64_t)i, err);
    if (code == OK)
        *out = r;
    return code;
}

/* ---- read ---- */
#define EVENT_COLS                                                                                 \
    "e.num, e.id, e.partner, p.name, e.type, e.payload_bytes, e.ordering_key, e.correlation_id,"   \
    " e.source, e.version, e.attributes, e.deliver_after_ms, e.expires_ms, e.created_ms,"          \
    " e.accepted_ms, e.outbox, e.seq"
#define EVENT_FROM " FROM event e LEFT JOIN partner p ON p.num = e.partner"

static void read_event(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct event_rec *e = row;
    memset(e, 0, sizeof(*e));
    e->num = sqlite3_column_int64(st, 0);
    e->id = sq_text(st, 1, a, bad);
    e->partner = sqlite3_column_int64(st, 2);
    e->partner_name = sq_text(st, 3, a, bad);
    e->type = sq_text(st, 4, a, bad);
    e->payload_bytes = (size_t)sqlite3_column_int64(st, 5);
    e->ordering_key = sq_text(st, 6, a, bad);
    e->correlation_id = sq_text(st, 7, a, bad);
    e->source = sq_text(st, 8, a, bad);
    e->version = sq_text(st, 9, a, bad);
    e->attributes = sq_text(st, 10, a, bad);
    e->deliver_after_ms = sqlite3_column_int64(st, 11);
    e->expires_ms = sqlite3_column_int64(st, 12);
    e->created_ms = sqlite3_column_int64(st, 13);
    e->accepted_ms = sqlite3_column_int64(st, 14);
    e->outbox = sq_text(st, 15, a, bad);
    e->seq = sqlite3_column_int64(st, 16);
}

enum err_code sq_event_get(struct backend *b, const char *id, bool with_payload, struct arena *a,
                           struct event_rec *out, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    struct event_rec e;
    bool bad = false;
    enum err_code code = sq_row(q, SQ_EVENT_GET, &st, err,
                                "SELECT " EVENT_COLS ", CASE WHEN ?2 THEN e.payload END" EVENT_FROM
                                " WHERE e.id = ?1 ORDER BY e.num DESC LIMIT 1",
                                "ti", id, with_payload);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no event %.130s", id);
    if (code != OK)
        return code;
    size_t n;
    read_event(st, a, &e, &bad);
    e.payload = sq_bytes(st, 17, a, &n, &bad);
    sq_done(st);
    if (bad)
        return fail(err, ERR_NOMEM, "no memory for an event");
    *out = e;
    return OK;
}

/* since, until, the cursor and the order of a list that sorts by num. */
static void and_range(struct sq_query *s, const char *t, const struct filter *f)
{
    if (f->since_ms != 0)
        sq_and(s, "%s.created_ms >= %lld", t, (long long)f->since_ms);
    if (f->until_ms != 0)
        sq_and(s, "%s.created_ms < %lld", t, (long long)f->until_ms);
    if (f->after_num != 0) {
        sq_and(s, "%s.num %c ?", t, f->newest_first ? '<' : '>');
        sq_param_num(s, f->after_num);
    }
}

static void order_by(struct sq_query *s, const char *t, const struct filter *f)
{
    buf_addf(&s->sql, " ORDER BY %s.num %s LIMIT %zu", t, f->newest_first ? "DESC" : "ASC",
             f->limit);
}

enum err_code sq_event_list(struct backend *b, const struct filter *f, struct arena *a,
                            struct event_rec **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    void *rows;
    sq_query_init(&s, "SELECT " EVENT_COLS EVENT_FROM);
    sq_and_texts(&s, "e.id", f->event_ids, f->event_ids_n, "");
    sq_and_types(&s, "e.type", f);
    and_range(&s, "e", f);
    order_by(&s, "e", f);
    enum err_code code = sq_query_all(q, &s, read_event, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_event_states(struct backend *b, const int64_t *events, size_t n,
                              int64_t (*out)[DELIVERY_STATES], struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code = OK;
    memset(out, 0, n * sizeof(*out));
    for (size_t i = 0; code == OK && i < n; i++) {
        sqlite3_stmt *st;
        code = sq_open(q, SQ_EVENT_STATES, &st, err,
                       "SELECT CASE WHEN d.state IN (0, 2) AND " SQ_HELD " THEN 3 ELSE d.state END,"
                       " count(*) FROM delivery d LEFT JOIN subscription s ON s.num = d.sub"
                       " WHERE d.event = ?1 AND d.original = 0 GROUP BY 1",
                       "l", events[i]);
        while (code == OK && (code = sq_next(q, st, err)) == OK) {
            int state = sqlite3_column_int(st, 0);
            if (state >= 0 && state < DELIVERY_STATES)
                out[i][state] = sqlite3_column_int64(st, 1);
        }
        code = code == ERR_NOT_FOUND ? OK : code;
    }
    return code;
}

static void read_type(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct type_count *t = row;
    t->type = sq_text(st, 0, a, bad);
    t->n = sqlite3_column_int64(st, 1);
    t->first_ms = sqlite3_column_int64(st, 2);
    t->last_ms = sqlite3_column_int64(st, 3);
}

enum err_code sq_event_types(struct backend *b, size_t looks, struct arena *a,
                             struct type_count **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_EVENT_TYPES, &st, err,
                                 "SELECT type, count(*), min(created_ms), max(created_ms) FROM"
                                 " (SELECT type, created_ms FROM event ORDER BY num DESC LIMIT ?1)"
                                 " GROUP BY type ORDER BY count(*) DESC, type",
                                 "l", (int64_t)looks);
    if (code == OK)
        code = sq_take_all(q, st, read_type, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

static void read_id(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    const char **id = row;
    *id = sq_text(st, 0, a, bad);
}

/* A '~' stands behind every character that an id may have. */
enum err_code sq_event_ids(struct backend *b, const char *begin, size_t limit, struct arena *a,
                           const char ***out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_EVENT_IDS, &st, err,
                                 "SELECT DISTINCT id FROM event WHERE id >= ?1 AND id < ?1 || '~'"
                                 " ORDER BY id LIMIT ?2",
                                 "tl", begin, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_id, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_line_head(struct backend *b, int64_t num, int64_t *head, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(sq_of(b), SQ_LINE_HEAD_OF, &st, err,
               "SELECT (SELECT l.num FROM lineup l WHERE l.sub = d.sub AND l.key = d.line"
               " ORDER BY l.num LIMIT 1) FROM delivery d WHERE d.num = ?1 AND d.line IS NOT NULL",
               "l", num);
    *head = 0;
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    *head = sqlite3_column_int64(st, 0);
    sq_done(st);
    return OK;
}

/* ---- deliveries ---- */
void sq_delivery_numbers(sqlite3_stmt *st, struct delivery *d)
{
    d->num = sqlite3_column_int64(st, 0);
    d->event = sqlite3_column_int64(st, 1);
    d->sub = sqlite3_column_int64(st, 2);
    d->state = (enum delivery_state)sqlite3_column_int(st, 6);
    d->cause = (enum cause)sqlite3_column_int(st, 7);
    d->attempts = sqlite3_column_int(st, 8);
    d->budget_start = sqlite3_column_int(st, 9);
    d->budget_since_ms = sqlite3_column_int64(st, 10);
    d->due_ms = sqlite3_column_int64(st, 11);
    d->last_status = sqlite3_column_int(st, 12);
    d->last_outcome = (enum outcome)sqlite3_column_int(st, 13);
    d->created_ms = sqlite3_column_int64(st, 14);
    d->finished_ms = sqlite3_column_int64(st, 15);
    d->job = sqlite3_column_int64(st, 16);
}

static void read_delivery(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct delivery *d = row;
    memset(d, 0, sizeof(*d));
    sq_delivery_numbers(st, d);
    d->event_id = sq_text(st, 3, a, bad);
    d->type = sq_text(st, 4, a, bad);
    d->sub_name = sq_text(st, 5, a, bad);
    d->ordering_key = sq_text(st, 17, a, bad);
    d->budget_max = sqlite3_column_int(st, 18);
    d->trial = sqlite3_column_int(st, 19) != 0;
    d->original = sqlite3_column_int64(st, 20);
}

static void and_states(struct sq_query *s, unsigned states)
{
    if (states == 0)
        return;
    sq_and(s, "(1 << (CASE WHEN d.state IN (0, 2) AND " SQ_HELD " THEN 3 ELSE d.state END)) & %u",
           states);
}

void sq_delivery_where(struct sq_query *s, const struct filter *f)
{
    /* One subscription: its index gives the order; of several the table's own order is walked. */
    sq_and_in(s, f->subs_n == 1 ? "d.sub" : "+d.sub", f->subs, f->subs_n);
    sq_and_in(s, "d.num", f->ids, f->ids_n);
    sq_and_texts(s, "d.event IN (SELECT num FROM event WHERE id", f->event_ids, f->event_ids_n,
                 ")");
    sq_and_types(s, "e.type", f);
    sq_and_ends(s, "d", f);
    and_states(s, f->states);
    if (f->job != 0)
        sq_and(s, "d.job = %lld AND d.job <> 0", (long long)f->job);
    if (f->ended_before_ms != 0)
        sq_and(s, "d.finished_ms < %lld AND d.finished_ms <> 0", (long long)f->ended_before_ms);
    and_range(s, "d", f);
}

enum err_code sq_delivery_list(struct backend *b, const struct filter *f, struct arena *a,
                               struct delivery **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    void *rows;
    sq_query_init(&s, "SELECT " SQ_DELIVERY_COLS SQ_DELIVERY_FROM);
    sq_delivery_where(&s, f);
    order_by(&s, "d", f);
    enum err_code code = sq_query_all(q, &s, read_delivery, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* The last of the next `looks` deliveries; 0: there are fewer. */
static enum err_code walk_end(struct sq *q, const struct filter *f, size_t looks, int64_t *end,
                              struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    sq_query_init(&s, "SELECT d.num FROM delivery d");
    if (f->subs_n == 1)
        sq_and_in(&s, "d.sub", f->subs, 1);
    sq_and(&s, "d.num > %lld", (long long)f->after_num);
    buf_addf(&s.sql, " ORDER BY d.num LIMIT 1 OFFSET %zu", looks - 1);
    enum err_code code = sq_query_open(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    *end = code == OK ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return code == ERR_NOT_FOUND ? OK : code;
}

static void read_key(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    (void)a;
    (void)bad;
    *(struct delivery_key *)row = (struct delivery_key){.num = sqlite3_column_int64(st, 0),
                                                        .sub = sqlite3_column_int64(st, 1)};
}

static enum err_code walk_some(struct sq *q, const struct filter *f, size_t looks, struct arena *a,
                               struct delivery_key **out, size_t *n, int64_t *end, struct err *err)
{
    struct sq_query s;
    int64_t last = 0;
    void *rows;
    enum err_code code = OK;
    if (f->ids_n == 0 && f->event_ids_n == 0)
        code = walk_end(q, f, looks, &last, err);
    if (code != OK)
        return code;
    sq_query_init(&s, "SELECT d.num, d.sub" SQ_DELIVERY_FROM);
    sq_delivery_where(&s, f);
    if (last != 0)
        sq_and(&s, "d.num <= %lld", (long long)last);
    order_by(&s, "d", f);
    code = sq_query_all(q, &s, read_key, sizeof(**out), a, &rows, n, err);
    if (code != OK)
        return code;
    *out = rows;
    *end = *n == f->limit && *n > 0 ? (*out)[*n - 1].num : last;
    return OK;
}

enum err_code sq_delivery_walk(struct backend *b, const struct filter *f, size_t looks,
                               struct arena *a, struct delivery_key **out, size_t *n, int64_t *end,
                               struct err *err)
{
    size_t near = sq_walk_near(f);
    if (near < looks) {
        enum err_code code = walk_some(sq_of(b), f, near, a, out, n, end, err);
        if (code != OK || *n == f->limit || *end == 0)
            return code;
    }
    return walk_some(sq_of(b), f, looks, a, out, n, end, err);
}

enum err_code sq_delivery_get(struct backend *b, int64_t num, struct arena *a, struct delivery *out,
                              struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    struct delivery d;
    enum err_code code =
        sq_row(q, SQ_DELIVERY_GET, &st, err,
               "SELECT " SQ_DELIVERY_COLS SQ_DELIVERY_FROM " WHERE d.num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such delivery");
    if (code == OK)
        code = sq_take(st, read_delivery, a, &d, err);
    if (code == OK)
        *out = d;
    return code;
}
