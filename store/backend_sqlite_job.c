/* store/backend_sqlite_job.c: jobs, and their parts by subscription. */
#include "store/backend_sqlite.h"

#include <string.h>

/* ---- jobs ---- */
#define JOB_COLS                                                                                   \
    "SELECT num, kind, state, filter, rate_per_s, canary, stop_at, newest_first, attempts_max,"    \
    " ignore_expiry, to_url, actor, note, sub, mark_ms, mark_num, walked, selected,"               \
    " excluded, done, created_ms, started_ms, finished_ms, until_ms FROM job "

enum err_code sq_job_put(struct backend *b, const struct job *j, struct err *err)
{
    return sq_run(sq_of(b), SQ_JOB_PUT, err,
                  "INSERT INTO job VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                  " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
                  "liitdidiiitttlllilllllll", j->num, (int)j->kind, (int)j->state, j->filter,
                  j->rate_per_s, j->canary, j->stop_at, (int)j->newest_first, j->attempts_max,
                  (int)j->ignore_expiry, j->to_url, j->actor, j->note, j->sub, j->mark_ms,
                  j->mark_num, (int)j->walked, j->selected, j->excluded, j->done, j->created_ms,
                  j->started_ms, j->finished_ms, j->until_ms);
}

enum err_code sq_job_update(struct backend *b, const struct job *j, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code =
        sq_run(q, SQ_JOB_UPDATE, err,
               "UPDATE job SET state = ?2, filter = ?3, rate_per_s = ?4, canary = ?5,"
               " stop_at = ?6, newest_first = ?7, attempts_max = ?8, ignore_expiry = ?9,"
               " to_url = ?10, actor = ?11, note = ?12, sub = ?13, mark_ms = ?14,"
               " mark_num = ?15, walked = ?16, selected = ?17, excluded = ?18, done = ?19,"
               " started_ms = ?20, finished_ms = ?21 WHERE num = ?1",
               "litdidiiitttlllilllll", j->num, (int)j->state, j->filter, j->rate_per_s, j->canary,
               j->stop_at, (int)j->newest_first, j->attempts_max, (int)j->ignore_expiry, j->to_url,
               j->actor, j->note, j->sub, j->mark_ms, j->mark_num, (int)j->walked, j->selected,
               j->excluded, j->done, j->started_ms, j->finished_ms);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such job");
    return code;
}

static void read_job(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct job *j = row;
    memset(j, 0, sizeof(*j));
    j->num = sqlite3_column_int64(st, 0);
    j->kind = (enum job_kind)sqlite3_column_int(st, 1);
    j->state = (enum job_state)sqlite3_column_int(st, 2);
    j->filter = sq_text(st, 3, a, bad);
    j->rate_per_s = sqlite3_column_double(st, 4);
    j->canary = sqlite3_column_int(st, 5);
    j->stop_at = sqlite3_column_double(st, 6);
    j->newest_first = sqlite3_column_int(st, 7) != 0;
    j->attempts_max = sqlite3_column_int(st, 8);
    j->ignore_expiry = sqlite3_column_int(st, 9) != 0;
    j->to_url = sq_text(st, 10, a, bad);
    j->actor = sq_text(st, 11, a, bad);
    j->note = sq_text(st, 12, a, bad);
    j->sub = sqlite3_column_int64(st, 13);
    j->mark_ms = sqlite3_column_int64(st, 14);
    j->mark_num = sqlite3_column_int64(st, 15);
    j->walked = sqlite3_column_int(st, 16) != 0;
    j->selected = sqlite3_column_int64(st, 17);
    j->excluded = sqlite3_column_int64(st, 18);
    j->done = sqlite3_column_int64(st, 19);
    j->created_ms = sqlite3_column_int64(st, 20);
    j->started_ms = sqlite3_column_int64(st, 21);
    j->finished_ms = sqlite3_column_int64(st, 22);
    j->until_ms = sqlite3_column_int64(st, 23);
}

enum err_code sq_job_get(struct backend *b, int64_t num, struct arena *a, struct job *out,
                         struct err *err)
{
    sqlite3_stmt *st;
    struct job j;
    enum err_code code =
        sq_row(sq_of(b), SQ_JOB_GET, &st, err, JOB_COLS "WHERE num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such job");
    if (code == OK)
        code = sq_take(st, read_job, a, &j, err);
    if (code == OK)
        *out = j;
    return code;
}

/* What runs, and what stopped, has an index of its own: jobs are many in the end, these are few. */
enum err_code sq_job_list(struct backend *b, const struct job_filter *f, struct arena *a,
                          struct job **out, size_t *n, struct err *err)
{
#define JOB_LIST(what)                                                                             \
    JOB_COLS "WHERE " what                                                                         \
             "num < ?1 AND (?3 = 0 OR (?3 >> kind & 1) = 1) ORDER BY num DESC LIMIT ?2"
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    int64_t below = f->after_num != 0 ? f->after_num : INT64_MAX, limit = (int64_t)f->limit;
    int kinds = (int)f->kinds;
    enum err_code code =
        f->states == JOBS_OPEN
            ? sq_open(q, SQ_JOB_LIST_ACTIVE, &st, err, JOB_LIST("state IN (0, 1) AND "), "lli",
                      below, limit, kinds)
        : f->states == FILTER_BIT(JOB_STOPPED)
            ? sq_open(q, SQ_JOB_LIST_STOPPED, &st, err, JOB_LIST("state = 4 AND "), "lli", below,
                      limit, kinds)
            : sq_open(q, SQ_JOB_LIST, &st, err, JOB_LIST("(?4 = 0 OR (?4 >> state & 1) = 1) AND "),
                      "llii", below, limit, kinds, (int)f->states);
    if (code == OK)
        code = sq_take_all(q, st, read_job, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* ---- parts ---- */
enum err_code sq_part_put(struct backend *b, const struct job_part *p, struct err *err)
{
    const struct job_counts *c = &p->counts;
    return sq_run(sq_of(b), SQ_PART_PUT, err,
                  "INSERT INTO job_part VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                  " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
                  "lliillilllllllllllll", p->job, p->sub, (int)p->state, (int)p->reason, p->mark_ms,
                  p->mark_num, (int)p->walked, p->base_tried, p->base_failed, p->canary_tried,
                  c->selected, c->excluded, c->queued, c->gone, c->tried, c->failed, c->delivered,
                  c->dead_again, (int64_t)p->recent, c->discarded);
}

enum err_code sq_part_update(struct backend *b, const struct job_part *p, struct err *err)
{
    struct sq *q = sq_of(b);
    const struct job_counts *c = &p->counts;
    enum err_code code =
        sq_run(q, SQ_PART_UPDATE, err,
               "UPDATE job_part SET state = ?3, reason = ?4, mark_ms = ?5, mark_num = ?6,"
               " walked = ?7, base_tried = ?8, base_failed = ?9, canary_tried = ?10,"
               " selected = ?11, excluded = ?12, queued = ?13, gone = ?14"
               " WHERE job = ?1 AND sub = ?2",
               "lliillilllllll", p->job, p->sub, (int)p->state, (int)p->reason, p->mark_ms,
               p->mark_num, (int)p->walked, p->base_tried, p->base_failed, p->canary_tried,
               c->selected, c->excluded, c->queued, c->gone);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such part of a job");
    return code;
}

static void read_part(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct job_part *p = row;
    struct job_counts *c = &p->counts;
    memset(p, 0, sizeof(*p));
    p->job = sqlite3_column_int64(st, 0);
    p->sub = sqlite3_column_int64(st, 1);
    p->state = (enum job_state)sqlite3_column_int(st, 2);
    p->reason = (enum job_reason)sqlite3_column_int(st, 3);
    p->mark_ms = sqlite3_column_int64(st, 4);
    p->mark_num = sqlite3_column_int64(st, 5);
    p->walked = sqlite3_column_int(st, 6) != 0;
    p->base_tried = sqlite3_column_int64(st, 7);
    p->base_failed = sqlite3_column_int64(st, 8);
    p->canary_tried = sqlite3_column_int64(st, 9);
    c->selected = sqlite3_column_int64(st, 10);
    c->excluded = sqlite3_column_int64(st, 11);
    c->queued = sqlite3_column_int64(st, 12);
    c->gone = sqlite3_column_int64(st, 13);
    c->tried = sqlite3_column_int64(st, 14);
    c->failed = sqlite3_column_int64(st, 15);
    c->delivered = sqlite3_column_int64(st, 16);
    c->dead_again = sqlite3_column_int64(st, 17);
    p->recent = (uint64_t)sqlite3_column_int64(st, 18);
    p->sub_name = sq_text(st, 19, a, bad);
    p->sub_url = sq_text(st, 20, a, bad);
    p->sub_cause = sq_text(st, 21, a, bad);
    bool known = sqlite3_column_type(st, 22) != SQLITE_NULL;
    p->sub_state = known ? (enum sub_state)sqlite3_column_int(st, 22) : SUB_DELETED;
    p->sub_concurrency = sqlite3_column_int(st, 23);
    p->sub_broken_since_ms = sqlite3_column_int64(st, 24);
    p->source = sqlite3_column_int64(st, 25);
    if (p->source == 0)
        p->source = p->sub;
    c->discarded = sqlite3_column_int64(st, 26);
    p->sub_rate_per_s = sqlite3_column_double(st, 27);
}

#define PART_COLS                                                                                  \
    "SELECT p.job, p.sub, p.state, p.reason, p.mark_ms, p.mark_num, p.walked, p.base_tried,"       \
    " p.base_failed, p.canary_tried, p.selected, p.excluded, p.queued, p.gone, p.tried, p.failed," \
    " p.delivered, p.dead_again, p.recent, ifnull(o.name, s.name), s.url, s.state_cause, s.state," \
    " s.concurrency, s.broken_since_ms, s.source, p.discarded, s.rate_per_s FROM job_part p"       \
    " LEFT JOIN subscription s ON s.num = p.sub LEFT JOIN subscription o ON o.num = s.source"      \
    " WHERE p.job = ?1 AND p.sub > ?2 "

enum err_code sq_part_list(struct backend *b, int64_t job, bool active_only, int64_t after_sub,
                           size_t limit, struct arena *a, struct job_part **out, size_t *n,
                           struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    /* +state: the index on active parts is for looks by subscription */
    enum err_code code =
        active_only ? sq_open(q, SQ_PART_LIST_ACTIVE, &st, err,
                              PART_COLS "AND +p.state = 0 ORDER BY p.sub LIMIT ?3", "lll", job,
                              after_sub, (int64_t)limit)
                    : sq_open(q, SQ_PART_LIST, &st, err, PART_COLS "ORDER BY p.sub LIMIT ?3", "lll",
                              job, after_sub, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_part, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_part_move(struct backend *b, int64_t job, enum job_state from, enum job_state to,
                           struct err *err)
{
    return sq_run(sq_of(b), SQ_PART_MOVE, err,
                  "UPDATE job_part SET state = ?3, reason = CASE ?3 WHEN 0 THEN 0 ELSE reason END,"
                  " base_tried = CASE ?3 WHEN 0 THEN tried ELSE base_tried END,"
                  " base_failed = CASE ?3 WHEN 0 THEN failed ELSE base_failed END,"
                  " canary_tried = CASE ?3 WHEN 0 THEN -1 ELSE canary_tried END"
                  " WHERE job = ?1 AND state = ?2",
                  "lii", job, (int)from, (int)to);
}

enum err_code sq_part_active(struct backend *b, int64_t sub, int64_t *job, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(sq_of(b), SQ_PART_ACTIVE, &st, err,
                                "SELECT job FROM job_part WHERE sub = ?1 AND state = 0", "l", sub);
    if (code != OK && code != ERR_NOT_FOUND)
        return code;
    *job = code == OK ? sqlite3_column_int64(st, 0) : 0;
    if (code == OK)
        sq_done(st);
    return OK;
}

enum err_code sq_part_sums(struct backend *b, int64_t job, struct job_counts *out, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(sq_of(b), SQ_PART_SUMS, &st, err,
               "SELECT ifnull(sum(selected), 0), ifnull(sum(excluded), 0), ifnull(sum(queued), 0),"
               " ifnull(sum(gone), 0), ifnull(sum(tried), 0), ifnull(sum(failed), 0),"
               " ifnull(sum(delivered), 0), ifnull(sum(dead_again), 0), ifnull(sum(discarded), 0)"
               " FROM job_part WHERE job = ?1",
               "l", job);
    if (code != OK)
        return code;
    *out = (struct job_counts){.selected = sqlite3_column_int64(st, 0),
                               .excluded = sqlite3_column_int64(st, 1),
                               .queued = sqlite3_column_int64(st, 2),
                               .gone = sqlite3_column_int64(st, 3),
                               .tried = sqlite3_column_int64(st, 4),
                               .failed = sqlite3_column_int64(st, 5),
                               .delivered = sqlite3_column_int64(st, 6),
                               .dead_again = sqlite3_column_int64(st, 7),
                               .discarded = sqlite3_column_int64(st, 8)};
    sq_done(st);
    return OK;
}

/* What was given up says nothing about the endpoint: it is none of the recent ones. */
enum err_code sq_part_count(struct sq *q, const struct sq_open_delivery *d, enum part_turn turn,
                            struct err *err)
{
    bool first = d->attempts == d->budget_start;
    if (d->job == 0 || (!first && turn == PART_GOES_ON))
        return OK;
    return sq_run(q, SQ_PART_COUNT, err,
                  "UPDATE job_part SET tried = tried + ?3, failed = failed + ?4,"
                  " recent = CASE ?5 WHEN 1 THEN recent << 1 | ?4 ELSE recent END,"
                  " delivered = delivered + ?6, dead_again = dead_again + ?7,"
                  " discarded = discarded + ?8 WHERE job = ?1 AND sub = ?2",
                  "lliiiiii", d->job, d->sub, (int)first, (int)(first && turn != PART_DELIVERED),
                  (int)(first && turn != PART_DISCARDED), (int)(turn == PART_DELIVERED),
                  (int)(turn == PART_DEAD), (int)(turn == PART_DISCARDED));
}
