/* test/conformance/test_job.c: jobs, their parts, what settle counts in them, the walk over letters; and
 * a store of the first schema with jobs in it. */
#include <sqlite3.h>

#include "store/schema_sqlite.h"
#include "test/conformance/bed.h"

static void jobs(void **state)
{
    struct bed *bed = *state;
    struct job j = {.num = bed_num(bed),
                    .kind = JOB_REPLAY,
                    .filter = "{\"cause\":\"gone\"}",
                    .rate_per_s = 2.5,
                    .canary = 3,
                    .stop_at = 0.25,
                    .newest_first = true,
                    .attempts_max = 1,
                    .ignore_expiry = true,
                    .to_url = "https://test.example/",
                    .actor = "uid:1000",
                    .note = "after the outage",
                    .sub = 7,
                    .selected = 10,
                    .created_ms = T0};
    struct job got, *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->job_put(bed->b, &j, &bed->err));
    OK_OR_DIE(bed, bed->ops->job_get(bed->b, j.num, &bed->a, &got, &bed->err));
    assert_int_equal(got.kind, JOB_REPLAY);
    assert_string_equal(got.filter, j.filter);
    assert_true(got.rate_per_s > 2.49 && got.rate_per_s < 2.51);
    assert_int_equal(got.canary, 3);
    assert_true(got.stop_at > 0.249 && got.stop_at < 0.251);
    assert_true(got.newest_first);
    assert_int_equal(got.attempts_max, 1);
    assert_true(got.ignore_expiry);
    assert_string_equal(got.to_url, "https://test.example/");
    assert_string_equal(got.actor, "uid:1000");
    assert_string_equal(got.note, "after the outage");
    assert_int_equal(got.sub, 7);
    assert_int_equal(got.selected, 10);
    assert_int_equal(got.state, JOB_ACTIVE);
    struct job change = got;
    change.kind = JOB_SUBSCRIPTION_DELETE;
    change.created_ms = 1;
    change.state = JOB_STOPPED;
    change.rate_per_s = 0;
    change.mark_ms = T0 + 5;
    change.mark_num = 55;
    change.walked = true;
    change.excluded = 3;
    change.done = 4;
    change.started_ms = T0 + 1;
    change.finished_ms = T0 + 9;
    OK_OR_DIE(bed, bed->ops->job_update(bed->b, &change, &bed->err));
    OK_OR_DIE(bed, bed->ops->job_get(bed->b, j.num, &bed->a, &got, &bed->err));
    assert_int_equal(got.kind, JOB_REPLAY); /* what it is and when it came stay */
    assert_int_equal(got.created_ms, T0);
    assert_int_equal(got.state, JOB_STOPPED);
    assert_true(got.rate_per_s < 0.001);
    assert_int_equal(got.canary, 3);
    assert_string_equal(got.to_url, "https://test.example/");
    assert_int_equal(got.mark_ms, T0 + 5);
    assert_int_equal(got.mark_num, 55);
    assert_true(got.walked);
    assert_int_equal(got.excluded, 3);
    assert_int_equal(got.done, 4);
    assert_int_equal(got.started_ms, T0 + 1);
    assert_int_equal(got.finished_ms, T0 + 9);
    change.num = 4242;
    assert_int_equal(bed->ops->job_update(bed->b, &change, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->job_get(bed->b, 4242, &bed->a, &got, &bed->err), ERR_NOT_FOUND);
    for (int i = 0; i < JOB_STATES; i++) {
        struct job more = {
            .num = bed_num(bed), .kind = JOB_REPLAY, .state = (enum job_state)i, .created_ms = T0};
        OK_OR_DIE(bed, bed->ops->job_put(bed->b, &more, &bed->err));
    }
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &(struct job_filter){.limit = 3}, &bed->a, &list, &n,
                                      &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].num, bed->last); /* newest first */
    assert_int_equal(list[2].num, bed->last - 2);
    OK_OR_DIE(bed,
              bed->ops->job_list(bed->b, &(struct job_filter){.after_num = list[2].num, .limit = 9},
                                 &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[2].num, j.num);
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &(struct job_filter){.states = JOBS_OPEN, .limit = 9},
                                      &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].state, JOB_PAUSED);
    assert_int_equal(list[1].state, JOB_ACTIVE);
    struct job_filter stopped = {.states = FILTER_BIT(JOB_STOPPED), .limit = 9}, two = stopped;
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &stopped, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].num, bed->last);
    stopped.kinds = FILTER_BIT(JOB_PURGE) | FILTER_BIT(JOB_RESEND);
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &stopped, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 0);
    two.states |= FILTER_BIT(JOB_DONE);
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &two, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    two.limit = 1;
    two.after_num = list[0].num;
    OK_OR_DIE(bed, bed->ops->job_list(bed->b, &two, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].state, JOB_DONE);
}

/* ---- parts ---- */
static struct job_part part_of(int64_t job, int64_t sub)
{
    return (struct job_part){.job = job, .sub = sub, .canary_tried = -1};
}

static struct job_part part_get(struct bed *bed, int64_t job, int64_t sub)
{
    struct job_part *list;
    size_t n;
    OK_OR_DIE(bed,
              bed->ops->part_list(bed->b, job, false, sub - 1, 1, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].sub, sub);
    return list[0];
}

static void parts(void **state)
{
    struct bed *bed = *state;
    struct subscription s = bed_sub_of(bed, "a", 0);
    struct job_part p, *list;
    struct job_counts sums;
    int64_t job = 7, other;
    size_t n;
    s.concurrency = 5;
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    p = part_of(job, s.num);
    p.mark_ms = 1;
    p.mark_num = 2;
    p.base_tried = 3;
    p.base_failed = 4;
    p.recent = UINT64_C(1) << 63 | 5;
    p.counts = (struct job_counts){10, 11, 12, 13, 14, 15, 16, 17};
    OK_OR_DIE(bed, bed->ops->part_put(bed->b, &p, &bed->err));
    struct job_part out = part_of(job, 9999);
    out.state = JOB_STOPPED;
    out.reason = JOB_REASON_CANARY;
    out.counts.selected = 100;
    OK_OR_DIE(bed, bed->ops->part_put(bed->b, &out, &bed->err));
    struct job_part got = part_get(bed, job, s.num);
    assert_int_equal(got.mark_ms, 1);
    assert_int_equal(got.mark_num, 2);
    assert_int_equal(got.base_tried, 3);
    assert_int_equal(got.base_failed, 4);
    assert_int_equal(got.canary_tried, -1);
    assert_true(got.recent == p.recent);
    assert_memory_equal(&got.counts, &p.counts, sizeof p.counts);
    assert_string_equal(got.sub_name, "a");
    assert_string_equal(got.sub_url, s.url);
    assert_int_equal(got.sub_concurrency, 5);
    assert_int_equal(got.sub_state, SUB_ACTIVE);
    assert_int_equal(part_get(bed, job, 9999).sub_state, SUB_DELETED);
    OK_OR_DIE(bed, bed->ops->part_sums(bed->b, job, &sums, &bed->err));
    assert_int_equal(sums.selected, 110);
    assert_int_equal(sums.dead_again, 17);
    OK_OR_DIE(bed, bed->ops->part_sums(bed->b, 4242, &sums, &bed->err));
    assert_int_equal(sums.selected, 0);
    OK_OR_DIE(bed, bed->ops->part_list(bed->b, job, true, -1, 9, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed,
              bed->ops->part_list(bed->b, job, false, s.num, 9, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed, bed->ops->part_active(bed->b, s.num, &other, &bed->err));
    assert_int_equal(other, job);
    OK_OR_DIE(bed, bed->ops->part_active(bed->b, 9999, &other, &bed->err));
    assert_int_equal(other, 0);
    /* what settle counts is not the runner's to write */
    p.walked = true;
    p.state = JOB_DONE;
    p.canary_tried = 9;
    p.recent = 0;
    p.counts = (struct job_counts){20, 21, 22, 23, 0, 0, 0, 0};
    OK_OR_DIE(bed, bed->ops->part_update(bed->b, &p, &bed->err));
    got = part_get(bed, job, s.num);
    assert_true(got.walked && got.state == JOB_DONE && got.canary_tried == 9);
    assert_int_equal(got.counts.queued, 22);
    assert_int_equal(got.counts.tried, 14);
    assert_int_equal(got.counts.dead_again, 17);
    assert_true(got.recent != 0);
    p.sub = 4242;
    assert_int_equal(bed->ops->part_update(bed->b, &p, &bed->err), ERR_NOT_FOUND);
    /* resumed: what was stopped begins its canary anew */
    OK_OR_DIE(bed, bed->ops->part_move(bed->b, job, JOB_STOPPED, JOB_ACTIVE, &bed->err));
    OK_OR_DIE(bed, bed->ops->part_move(bed->b, job, JOB_DONE, JOB_ACTIVE, &bed->err));
    got = part_get(bed, job, s.num);
    assert_int_equal(got.base_tried, 14);
    assert_int_equal(got.base_failed, 15);
    assert_int_equal(got.canary_tried, -1);
    assert_int_equal(part_get(bed, job, 9999).reason, JOB_REASON_NONE);
    OK_OR_DIE(bed, bed->ops->part_active(bed->b, 9999, &other, &bed->err));
    assert_int_equal(other, job);
}

/* What an operator gives up on its way neither came nor died again, and says nothing about the endpoint. */
static void discarded_on_its_way(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[2], job = 7;
    struct settled out;
    struct job_counts sums;
    struct job_part p = part_of(job, sub);
    OK_OR_DIE(bed, bed->ops->part_put(bed->b, &p, &bed->err));
    for (int i = 0; i < 2; i++) {
        d[i] = bed_emit(bed, sub, i ? "e1" : "e0", NULL, T0);
        bed_settle(bed, d[i], SETTLE_DEAD, T0 + 1);
        bed_replay(bed, d[i], job, T0 + 2);
    }
    bed_settle(bed, d[0], SETTLE_RETRY, T0 + 3);
    for (int i = 0; i < 2; i++) {
        OK_OR_DIE(bed, bed->ops->discard(bed->b, d[i], T0 + 4, &out, &bed->err));
        assert_int_equal(out.job, job);
    }
    p = part_get(bed, job, sub);
    assert_int_equal(p.counts.discarded, 2);
    assert_int_equal(p.counts.dead_again, 0);
    assert_int_equal(p.counts.delivered, 0);
    assert_int_equal(p.counts.tried, 2);
    assert_int_equal(p.counts.failed, 2);
    assert_int_equal(p.recent, 1); /* the one attempt */
    p.counts.discarded = 9;        /* settle's, like the rest of them */
    OK_OR_DIE(bed, bed->ops->part_update(bed->b, &p, &bed->err));
    OK_OR_DIE(bed, bed->ops->part_sums(bed->b, job, &sums, &bed->err));
    assert_int_equal(sums.discarded, 2);
}

static void settle_counts(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[4], job = 7;
    struct filter f = {.limit = 10, .job = job};
    struct delivery *list;
    size_t n;
    struct job_part p = part_of(job, sub);
    OK_OR_DIE(bed, bed->ops->part_put(bed->b, &p, &bed->err));
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        d[i] = bed_emit(bed, sub, id, NULL, T0);
        bed_settle(bed, d[i], SETTLE_DEAD, T0 + 1);
        bed_replay(bed, d[i], job, T0 + 2);
    }
    assert_int_equal(part_get(bed, job, sub).counts.dead_again, 0); /* died before */
    struct settled out = bed_settle(bed, d[0], SETTLE_RETRY, T0 + 3);
    assert_int_equal(out.job, job);
    p = part_get(bed, job, sub);
    assert_int_equal(p.counts.tried, 1);
    assert_int_equal(p.counts.failed, 1);
    assert_int_equal(p.recent, 1);
    out = bed_settle(bed, d[0], SETTLE_DELIVERED, T0 + 3); /* its second attempt */
    assert_int_equal(out.job, job);
    bed_settle(bed, d[1], SETTLE_DELIVERED, T0 + 3);
    p = part_get(bed, job, sub);
    assert_int_equal(p.counts.tried, 2);
    assert_int_equal(p.counts.failed, 1);
    assert_int_equal(p.counts.delivered, 2);
    assert_int_equal(p.recent, 2);
    bed_settle(bed, d[2], SETTLE_DEAD, T0 + 3);
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_OPERATOR, 9, T0 + 4, T0 + 9, &n,
                                  &bed->err));
    assert_int_equal(n, 1); /* d[3], which nobody tried */
    p = part_get(bed, job, sub);
    assert_int_equal(p.counts.tried, 4);
    assert_int_equal(p.counts.failed, 3);
    assert_int_equal(p.counts.delivered, 2);
    assert_int_equal(p.counts.dead_again, 2);
    assert_int_equal(p.recent, 11);
    OK_OR_DIE(bed, bed->ops->delivery_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 4);
    /* a later replay without a job is none of its business */
    bed_replay(bed, d[2], 0, T0 + 5);
    bed_settle(bed, d[2], SETTLE_DELIVERED, T0 + 6);
    assert_int_equal(part_get(bed, job, sub).counts.delivered, 2);
}

static void a_budget_of_its_own(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct claimed *out;
    struct claim_got got;
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    struct reopening once = {.due_ms = T0 + 2, .now_ms = T0 + 2, .budget_max = 1};
    OK_OR_DIE(bed, bed->ops->dead_replay(bed->b, d, &once, &bed->err));
    assert_int_equal(bed_delivery(bed, d).budget_max, 1);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 3, &CLAIM_UPTO(1), &out, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(out->delivery.budget_max, 1);
    claimed_free(out);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 4);
    bed_replay(bed, d, 0, T0 + 5);
    assert_int_equal(bed_delivery(bed, d).budget_max, 0);
}

/* ---- the walk ---- */
/* Whatever the slices' size, every letter that matches comes once, in order. */
static void walk_with(struct bed *bed, int64_t sub, size_t looks, size_t limit, bool down,
                      size_t expected)
{
    struct filter f = {.subs = &sub,
                       .subs_n = sub != 0,
                       .causes = 1u << CAUSE_GONE,
                       .limit = limit,
                       .newest_first = down,
                       .with_expired = true};
    struct dead_key *keys, end = {0}, last = {0};
    size_t n, all = 0, turns = 0;
    do {
        OK_OR_DIE(bed, bed->ops->dead_walk(bed->b, &f, looks, &bed->a, &keys, &n, &end, &bed->err));
        assert_true(n <= limit && n <= looks);
        for (size_t i = 0; i < n; i++, all++) {
            bool later = keys[i].died_ms != last.died_ms ? keys[i].died_ms > last.died_ms
                                                         : keys[i].num > last.num;
            assert_true(last.num == 0 || later != down);
            assert_true(sub == 0 || keys[i].sub == sub);
            last = keys[i];
        }
        f.after_ms = end.died_ms;
        f.after_num = end.num;
        assert_true(++turns < 1000);
    } while (end.num != 0);
    assert_int_equal(all, expected);
}

static void walks(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], all[BED_MANY], some[10];
    struct dead_key *keys, end;
    size_t n, some_n = 0;
    bed_many(bed, subs, all);
    for (int i = 0; i < BED_MANY; i++) {
        struct settlement s = bed_settlement(all[i], SETTLE_DEAD, T0 + i * 7 % 5);
        s.cause = i % 3 == 0 ? CAUSE_GONE : CAUSE_OPERATOR;
        bed_settle_as(bed, &s);
        if (i % 12 == 0)
            some[some_n++] = all[i];
    }
    bed_walk_all(bed, walk_with, subs[0], 20);
    bed_walk_all(bed, walk_with, 0, 40);
    /* named by number they are not looked for */
    struct filter f = {.ids = some, .ids_n = some_n, .limit = 10000, .with_expired = true};
    OK_OR_DIE(bed, bed->ops->dead_walk(bed->b, &f, 1, &bed->a, &keys, &n, &end, &bed->err));
    assert_int_equal(n, 10);
    assert_int_equal(end.num, 0);
}

/* ---- a store of an earlier schema ---- */
static void schema_of(const struct bed *bed, int version)
{
    const char *path = bed->target + strlen("sqlite://");
    sqlite3 *db;
    const char *const sql[] = {
        SCHEMA_1_CONFIGURED, SCHEMA_1_HOT, SCHEMA_1_COLD,
        "INSERT INTO partner VALUES(1, 'default', 1);"
        "INSERT INTO subscription VALUES(5, 'acme', 1, 'https://x/', '*', NULL, NULL, 0, 0, 0, 0, "
        "0,"
        " 0, NULL, 0, 0, 0, NULL, NULL, 1, 1, 1);"
        "INSERT INTO event(num, id, partner, type, payload_bytes, deliver_after_ms, expires_ms,"
        " created_ms, accepted_ms, seq, seen_until_ms) VALUES(10, 'e', 1, 't', 0, 0, 0, 1, 1, 1, "
        "1);"
        /* of job 20: one delivered, one tried and waiting, one not tried yet; of nobody: one */
        "INSERT INTO delivery(num, event, sub, state, attempts, budget_start, budget_since_ms,"
        " due_ms, created_ms, job, expires_ms) VALUES(11, 10, 5, 4, 3, 2, 1, 1, 1, 20, 0),"
        " (12, 10, 5, 2, 3, 2, 1, 1, 1, 20, 0), (13, 10, 5, 2, 2, 2, 1, 1, 1, 20, 0),"
        " (14, 10, 5, 2, 2, 2, 1, 1, 1, 0, 0);"
        "INSERT INTO attempt SELECT NULL, 11 + i % 3, 1 + i / 3, i, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0,"
        " 0, NULL, NULL, NULL, NULL FROM (SELECT 0 AS i UNION SELECT 1 UNION SELECT 2 UNION SELECT "
        "3"
        " UNION SELECT 4 UNION SELECT 6);"
        "INSERT INTO job VALUES(20, 'replay', 0, '{\"all\":true}', 2.5, 1, 'me', 'why', 0, 77, 78,"
        " 0, 10, 1, 4, 1, 1, 5, 6, 0), (21, 'replay', 2, '{}', 0, 0, 'me', NULL, 5, 0, 0, 1, 9, 0,"
        " 9, 7, 2, 5, 6, 7), (22, 'subscription_delete', 1, NULL, 0, 0, 'me', NULL, 5, 0, 0, 0, 0,"
        " 0, 64, 0, 0, 5, 6, 0);"
        "PRAGMA application_id = 0x77686b64; PRAGMA user_version = 1"};
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        char *why = NULL;
        if (sqlite3_exec(db, sql[i], NULL, NULL, &why) != SQLITE_OK)
            print_error("%s\n", why);
        assert_null(why);
    }
    for (int v = 1; v < version; v++) {
        for (const char *const *part = MIGRATIONS[v]; *part != NULL; part++)
            assert_int_equal(sqlite3_exec(db, *part, NULL, NULL, NULL), SQLITE_OK);
        char mark[64];
        snprintf(mark, sizeof mark, "PRAGMA user_version = %d", v + 1);
        assert_int_equal(sqlite3_exec(db, mark, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
}

/* Three attempts of one, two of another, one of the third, in turns. */
static void attempts_of_an_earlier_schema(struct bed *bed)
{
    struct attempt *list;
    size_t n;
    for (int i = 0; i < 3; i++) {
        OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, 11 + i, &bed->a, &list, &n, &bed->err));
        assert_int_equal(n, 3 - i);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(list[k].started_ms, i + 3 * (int)k);
    }
}

static void jobs_of(struct bed *bed, int version)
{
    struct job j;
    struct job_counts sums;
    int64_t active;
    bed->ops->rollback(bed->b);
    bed->ops->close(bed->b);
    snprintf(bed->target, sizeof bed->target, "sqlite://%s/first.db", bed->dir);
    schema_of(bed, version);
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    OK_OR_DIE(bed, bed->ops->job_get(bed->b, 20, &bed->a, &j, &bed->err));
    assert_int_equal(j.kind, JOB_REPLAY);
    assert_int_equal(j.state, JOB_ACTIVE);
    assert_int_equal(j.mark_ms, 77);
    assert_int_equal(j.mark_num, 78);
    assert_false(j.walked);
    assert_true(j.ignore_expiry && j.rate_per_s > 2.4);
    assert_string_equal(j.note, "why");
    assert_int_equal(j.canary, 0); /* it goes on as it began */
    assert_true(j.stop_at > 0.99);
    OK_OR_DIE(bed, bed->ops->part_sums(bed->b, 20, &sums, &bed->err));
    struct job_counts expected = {4, 1, 4, 0, 3, 2, 1, 1};
    assert_memory_equal(&sums, &expected, sizeof sums);
    struct job_part p = part_get(bed, 20, 5);
    assert_int_equal(p.state, JOB_ACTIVE);
    assert_int_equal(p.counts.queued, 2);
    assert_int_equal(p.counts.tried, 1);
    attempts_of_an_earlier_schema(bed);
    bed_settle(bed, 13, SETTLE_DELIVERED, T0);
    assert_int_equal(part_get(bed, 20, 5).counts.delivered, 1);
    assert_int_equal(part_get(bed, 20, 5).counts.tried, 2);
    OK_OR_DIE(bed, bed->ops->part_active(bed->b, 5, &active, &bed->err));
    assert_int_equal(active, 20);
    OK_OR_DIE(bed, bed->ops->job_get(bed->b, 21, &bed->a, &j, &bed->err));
    assert_int_equal(j.state, JOB_DONE);
    OK_OR_DIE(bed, bed->ops->part_sums(bed->b, 21, &sums, &bed->err));
    assert_int_equal(sums.selected, 9);
    assert_int_equal(sums.delivered, 7);
    assert_int_equal(sums.dead_again, 2);
    OK_OR_DIE(bed, bed->ops->job_get(bed->b, 22, &bed->a, &j, &bed->err));
    assert_int_equal(j.kind, JOB_SUBSCRIPTION_DELETE);
    assert_int_equal(j.state, JOB_PAUSED);
    assert_int_equal(j.done, 64);
    struct subscription s = bed_sub_get(bed, 5);
    assert_string_equal(s.name, "acme");
    assert_int_equal(s.job, 0);
    assert_int_equal(s.source, 0);
    assert_int_equal(bed_delivery(bed, 11).original, 0);
}

static void jobs_of_the_first_schema(void **state)
{
    jobs_of(*state, 1);
}

static void jobs_of_the_second_schema(void **state)
{
    jobs_of(*state, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(jobs),
        ON_BOTH(parts),
        ON_BOTH(settle_counts),
        ON_BOTH(discarded_on_its_way),
        ON_BOTH(a_budget_of_its_own),
        ON_BOTH(walks),
        {"sqlite jobs_of_the_first_schema", jobs_of_the_first_schema, bed_setup, bed_teardown,
         bed_sqlite},
        {"sqlite jobs_of_the_second_schema", jobs_of_the_second_schema, bed_setup, bed_teardown,
         bed_sqlite},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
