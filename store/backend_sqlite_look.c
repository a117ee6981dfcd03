/* store/backend_sqlite_look.c: looks at dead letters: list, count, groups, one of them.
 *
 * A million of them must be looked through within a second, whatever the filter: which letters match
 * is read from the index dead_facts alone, which holds all that a filter asks, and only those of the
 * page are then read as rows. Where few can match (ids, an event, one subscription and no other
 * fact) the planner has a shorter way. */
#include "store/backend_sqlite.h"

#include <string.h>

#include "base/clock.h"
#include "store/dead_groups.h"

#define DEAD_COLS                                                                                  \
    "SELECT x.num, d.event, x.sub, x.event_id, x.type, x.sub_name, x.cause, x.attempts,"           \
    " d.budget_start, d.budget_since_ms, d.due_ms, x.last_status, x.last_outcome, d.created_ms,"   \
    " d.finished_ms, d.job, x.ordering_key, x.partner, x.partner_name, x.correlation_id,"          \
    " x.source, x.version, x.attributes, x.deliver_after_ms, x.event_expires_ms, x.created_ms,"    \
    " x.accepted_ms, x.outbox, x.seq, x.payload_bytes, x.died_ms, x.expires_ms, x.sub_url, "       \
    "x.note,"                                                                                      \
    " d.budget_max, x.arrival"
#define DEAD_FROM " FROM dead x CROSS JOIN delivery d ON d.num = x.num"

static void read_dead(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct dead_letter *l = row;
    struct delivery *d = &l->delivery;
    struct event_rec *e = &l->event;
    memset(l, 0, sizeof(*l));
    d->num = sqlite3_column_int64(st, 0);
    d->event = e->num = sqlite3_column_int64(st, 1);
    d->sub = l->sub_num = sqlite3_column_int64(st, 2);
    d->event_id = e->id = sq_text(st, 3, a, bad);
    d->type = e->type = sq_text(st, 4, a, bad);
    d->sub_name = l->sub_name = sq_text(st, 5, a, bad);
    d->state = DELIVERY_DEAD;
    d->cause = (enum cause)sqlite3_column_int(st, 6);
    d->attempts = sqlite3_column_int(st, 7);
    d->budget_start = sqlite3_column_int(st, 8);
    d->budget_since_ms = sqlite3_column_int64(st, 9);
    d->due_ms = sqlite3_column_int64(st, 10);
    d->last_status = sqlite3_column_int(st, 11);
    d->last_outcome = (enum outcome)sqlite3_column_int(st, 12);
    d->created_ms = sqlite3_column_int64(st, 13);
    d->finished_ms = sqlite3_column_int64(st, 14);
    d->job = sqlite3_column_int64(st, 15);
    d->ordering_key = e->ordering_key = sq_text(st, 16, a, bad);
    e->partner = sqlite3_column_int64(st, 17);
    e->partner_name = sq_text(st, 18, a, bad);
    e->correlation_id = sq_text(st, 19, a, bad);
    e->source = sq_text(st, 20, a, bad);
    e->version = sq_text(st, 21, a, bad);
    e->attributes = sq_text(st, 22, a, bad);
    e->deliver_after_ms = sqlite3_column_int64(st, 23);
    e->expires_ms = sqlite3_column_int64(st, 24);
    e->created_ms = sqlite3_column_int64(st, 25);
    e->accepted_ms = sqlite3_column_int64(st, 26);
    e->outbox = sq_text(st, 27, a, bad);
    e->seq = sqlite3_column_int64(st, 28);
    e->payload_bytes = (size_t)sqlite3_column_int64(st, 29);
    l->died_ms = sqlite3_column_int64(st, 30);
    l->expires_ms = sqlite3_column_int64(st, 31);
    l->sub_url = sq_text(st, 32, a, bad);
    l->note = sq_text(st, 33, a, bad);
    d->budget_max = sqlite3_column_int(st, 34);
    l->arrival = sqlite3_column_int64(st, 35);
}

static void dead_where(struct sq_query *s, const struct filter *f)
{
    sq_and_in(s, f->subs_n == 1 ? "x.sub" : "+x.sub", f->subs, f->subs_n);
    sq_and_in(s, "x.num", f->ids, f->ids_n);
    sq_and_texts(s, "x.event_id", f->event_ids, f->event_ids_n, "");
    sq_and_types(s, "x.type", f);
    sq_and_ends(s, "x", f);
    if (f->job != 0)
        sq_and(s, "x.num IN (SELECT num FROM delivery WHERE job = %lld AND job <> 0)",
               (long long)f->job);
    if (f->since_ms != 0)
        sq_and(s, "x.died_ms >= %lld", (long long)f->since_ms);
    if (f->until_ms != 0)
        sq_and(s, "x.died_ms < %lld", (long long)f->until_ms);
    if (f->arrived_before != 0)
        sq_and(s, "x.arrival < %lld", (long long)f->arrived_before);
    if (!f->with_expired)
        sq_and(s, "(x.event_expires_ms = 0 OR x.event_expires_ms > %lld)",
               (long long)clock_store_ms());
    if (f->after_ms != 0 || f->after_num != 0) {
        sq_and(s, "(x.died_ms, x.num) %c (?, ?)", f->newest_first ? '<' : '>');
        sq_param_num(s, f->after_ms);
        sq_param_num(s, f->after_num);
    }
}

/* Which of the indexes: the planner knows nothing of how many letters a value has. */
static void from_dead(struct sq_query *s, const char *select, const struct filter *f, bool all)
{
    bool facts = f->causes != 0 || f->statuses_n > 0 || f->outcomes != 0 || f->types_n > 0 ||
                 f->min_attempts > 0 || f->max_attempts_set || f->subs_n > 1 || !f->with_expired ||
                 f->arrived_before != 0;
    bool few = f->ids_n > 0 || f->event_ids_n > 0 || f->job != 0;
    sq_query_init(s, select);
    buf_adds(&s->sql, " FROM dead x");
    if (!few && (all || facts || f->subs_n == 0))
        buf_adds(&s->sql, " INDEXED BY dead_facts");
    dead_where(s, f);
}

enum err_code sq_dead_list(struct backend *b, const struct filter *f, struct arena *a,
                           struct dead_letter **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    void *rows;
    const char *dir = f->newest_first ? "DESC" : "ASC";
    from_dead(&s, DEAD_COLS " FROM (SELECT x.num AS pick", f, false);
    buf_addf(&s.sql, " ORDER BY x.died_ms %s, x.num %s LIMIT %zu)", dir, dir, f->limit);
    buf_addf(&s.sql,
             " CROSS JOIN dead x ON x.num = pick CROSS JOIN delivery d ON d.num = pick"
             " ORDER BY x.died_ms %s, x.num %s",
             dir, dir);
    enum err_code code = sq_query_all(q, &s, read_dead, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_dead_count(struct backend *b, const struct filter *f, struct dead_sums *out,
                            struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    sqlite3_stmt *st;
    from_dead(&s, "SELECT count(*), ifnull(sum(x.payload_bytes), 0), ifnull(max(x.arrival), 0) + 1",
              f, true);
    enum err_code code = sq_query_open(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    if (code == OK) {
        out->count = sqlite3_column_int64(st, 0);
        out->payload_bytes = sqlite3_column_int64(st, 1);
        out->arrivals = sqlite3_column_int64(st, 2);
    }
    sqlite3_finalize(st);
    return code;
}

/* ---- the walk ---- */
/* The last of the next `looks` letters, whatever the filter asks: read from the index that is walked.
 * ERR_NOT_FOUND: there are fewer. */
static enum err_code walk_end(struct sq *q, const struct filter *f, const char *index, size_t looks,
                              struct dead_key *end, struct err *err)
{
    struct filter near = {.subs = f->subs,
                          .subs_n = f->subs_n == 1 ? 1 : 0,
                          .since_ms = f->since_ms,
                          .until_ms = f->until_ms,
                          .with_expired = true,
                          .newest_first = f->newest_first,
                          .after_ms = f->after_ms,
                          .after_num = f->after_num};
    struct sq_query s;
    sqlite3_stmt *st;
    const char *dir = f->newest_first ? "DESC" : "ASC";
    sq_query_init(&s, "SELECT x.died_ms, x.num FROM dead x INDEXED BY ");
    buf_adds(&s.sql, index);
    dead_where(&s, &near);
    buf_addf(&s.sql, " ORDER BY x.died_ms %s, x.num %s LIMIT 1 OFFSET ?", dir, dir);
    sq_param_num(&s, (int64_t)looks - 1);
    enum err_code code = sq_query_kept(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    if (code == OK) {
        end->died_ms = sqlite3_column_int64(st, 0);
        end->num = sqlite3_column_int64(st, 1);
    }
    sq_done(st);
    return code;
}

static void read_key(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    (void)a;
    (void)bad;
    *(struct dead_key *)row = (struct dead_key){.num = sqlite3_column_int64(st, 0),
                                                .sub = sqlite3_column_int64(st, 1),
                                                .died_ms = sqlite3_column_int64(st, 2),
                                                .expires_ms = sqlite3_column_int64(st, 3),
                                                .job = sqlite3_column_int64(st, 4),
                                                .cause = (enum cause)sqlite3_column_int(st, 5)};
}

static enum err_code walk_some(struct sq *q, const struct filter *f, size_t looks, struct arena *a,
                               struct dead_key **out, size_t *n, struct dead_key *end,
                               struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    struct dead_key last = {0};
    void *rows;
    const char *index = f->subs_n == 1 ? "dead_sub" : "dead_facts";
    const char *dir = f->newest_first ? "DESC" : "ASC";
    enum err_code code = OK;
    sq_query_init(&s,
                  "SELECT x.num, x.sub, x.died_ms, x.event_expires_ms, d.job, d.cause FROM dead x");
    struct filter rest = *f;
    rest.job = 0;
    if (f->ids_n == 0 && f->event_ids_n == 0) {
        code = walk_end(q, f, index, looks, &last, err);
        buf_addf(&s.sql, " INDEXED BY %s", index);
    }
    if (code != OK && code != ERR_NOT_FOUND) {
        buf_fini(&s.sql);
        return code;
    }
    buf_adds(&s.sql, " CROSS JOIN delivery d ON d.num = x.num");
    dead_where(&s, &rest);
    if (f->job != 0) /* not as a list of numbers: that would be made anew at each slice */
        sq_and(&s, "d.job = %lld AND d.job <> 0", (long long)f->job);
    if (last.num != 0) {
        sq_and(&s, "(x.died_ms, x.num) %s (?, ?)", f->newest_first ? ">=" : "<=");
        sq_param_num(&s, last.died_ms);
        sq_param_num(&s, last.num);
    }
    buf_addf(&s.sql, " ORDER BY x.died_ms %s, x.num %s LIMIT ?", dir, dir);
    sq_param_num(&s, (int64_t)f->limit);
    code = sq_query_kept(q, &s, &st, err);
    if (code == OK)
        code = sq_take_all(q, st, read_key, sizeof(**out), a, &rows, n, err);
    if (code != OK)
        return code;
    *out = rows;
    *end = *n == f->limit ? (*out)[*n - 1] : last;
    return OK;
}

enum err_code sq_dead_walk(struct backend *b, const struct filter *f, size_t looks, struct arena *a,
                           struct dead_key **out, size_t *n, struct dead_key *end, struct err *err)
{
    size_t near = sq_walk_near(f);
    if (near < looks) {
        enum err_code code = walk_some(sq_of(b), f, near, a, out, n, end, err);
        if (code != OK || *n == f->limit || end->num == 0)
            return code;
    }
    return walk_some(sq_of(b), f, looks, a, out, n, end, err);
}

/* ---- groups ---- */
/* An aggregate of ours: a step of SQLite's machine for each letter, instead of a row handed out. */
static void group_step(sqlite3_context *ctx, int argc, sqlite3_value **v)
{
    struct sq *q = sqlite3_user_data(ctx);
    struct dead_facts f = {.num = sqlite3_value_int64(v[0]),
                           .sub = sqlite3_value_int64(v[1]),
                           .died_ms = sqlite3_value_int64(v[2]),
                           .expires_ms = sqlite3_value_int64(v[3]),
                           .cause = (enum cause)sqlite3_value_int(v[4]),
                           .attempts = sqlite3_value_int(v[5]),
                           .last_status = sqlite3_value_int(v[6]),
                           .last_outcome = (enum outcome)sqlite3_value_int(v[7]),
                           .payload_bytes = sqlite3_value_int64(v[8]),
                           .arrival = sqlite3_value_int64(v[9])};
    if (argc > 10 && (f.type = (const char *)sqlite3_value_text(v[10])) != NULL)
        f.type_n = (size_t)sqlite3_value_bytes(v[10]);
    dead_grouping_add(q->grouping, &f);
}

static void group_end(sqlite3_context *ctx)
{
    sqlite3_result_int(ctx, 1);
}

enum err_code sq_look_init(struct sq *q, struct err *err)
{
    int rc = sqlite3_create_function(q->db, "dead_group", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, q,
                                     NULL, group_step, group_end);
    return rc == SQLITE_OK ? OK : sq_fail(q, "dead_group", err);
}

static enum err_code group_name(struct sq *q, struct dead_group *g, struct arena *a,
                                struct err *err)
{
    sqlite3_stmt *st;
    bool bad = false;
    enum err_code code = sq_row(q, SQ_DEAD_NAME, &st, err,
                                "SELECT sub_name FROM dead WHERE num = ?1", "l", g->example);
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    g->sub_name = sq_text(st, 0, a, &bad);
    sq_done(st);
    return bad ? fail(err, ERR_NOMEM, "no memory for groups of dead letters") : OK;
}

enum err_code sq_groups_take(struct sq *q, struct sq_query *s, unsigned by, struct arena *a,
                             struct dead_group **out, size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    struct dead_grouping g;
    enum err_code code = sq_query_open(q, s, &st, err);
    if (code != OK)
        return code;
    dead_grouping_init(&g, by, clock_store_ms(), a);
    q->grouping = &g;
    code = sq_next(q, st, err);
    sqlite3_finalize(st);
    q->grouping = NULL;
    if (code == OK)
        return dead_grouping_take(&g, out, n, err);
    (void)dead_grouping_take(&g, out, n, NULL);
    return code;
}

enum err_code sq_dead_groups(struct backend *b, const struct filter *f, unsigned by,
                             struct arena *a, struct dead_group **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    struct filter whole = *f;
    struct dead_group *groups = NULL;
    size_t groups_n = 0;
    whole.after_ms = whole.after_num = 0;
    from_dead(
        &s,
        by & DEAD_BY_TYPE
            ? "SELECT dead_group(x.num, x.sub, x.died_ms, x.event_expires_ms, x.cause,"
              " x.attempts, x.last_status, x.last_outcome, x.payload_bytes, x.arrival, x.type)"
            : "SELECT dead_group(x.num, x.sub, x.died_ms, x.event_expires_ms, x.cause,"
              " x.attempts, x.last_status, x.last_outcome, x.payload_bytes, x.arrival)",
        &whole, true);
    enum err_code code = sq_groups_take(q, &s, by, a, &groups, &groups_n, err);
    for (size_t i = 0; code == OK && (by & DEAD_BY_SUBSCRIPTION) && i < groups_n; i++)
        code = group_name(q, &groups[i], a, err);
    if (code == OK) {
        *out = groups;
        *n = groups_n;
    }
    return code;
}

/* ---- one ---- */
enum err_code sq_dead_payload(struct sq *q, int64_t num, struct arena *a, const void **out,
                              size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(q, SQ_DEAD_PAYLOAD, &st, err, "SELECT payload FROM dead WHERE num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    if (code != OK)
        return code;
    code = sq_unseal(q, "dead", num, st, 0, a, out, n, err);
    sq_done(st);
    return code;
}

/* Of a letter that was purged: sealed as it was while it was dead. */
enum err_code sq_purged_payload(struct sq *q, int64_t num, struct arena *a, const void **out,
                                size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_PURGED_PAYLOAD, &st, err,
                                "SELECT payload FROM purged WHERE num = ?1", "l", num);
    *out = NULL;
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    code = sq_unseal(q, "dead", num, st, 0, a, out, n, err);
    sq_done(st);
    return code;
}

enum err_code sq_dead_get(struct backend *b, int64_t num, struct arena *a, struct dead_letter *out,
                          struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    struct dead_letter l;
    size_t n;
    enum err_code code =
        sq_row(q, SQ_DEAD_GET, &st, err, DEAD_COLS DEAD_FROM " WHERE x.num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    if (code == OK)
        code = sq_take(st, read_dead, a, &l, err);
    if (code == OK)
        code = sq_dead_payload(q, num, a, &l.event.payload, &n, err);
    if (code == OK)
        *out = l;
    return code;
}
