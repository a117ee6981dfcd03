/* store/schema_sqlite.h: the tables of the SQLite store, as numbered migrations.
 *
 * MIGRATIONS[v] leads from user_version v to v + 1, in one transaction, and is never edited once
 * released. Columns are named like the JSON; times are ms since 1970, 0: none. Enums are the
 * numbers of store/model.h, which therefore may only grow at the end.
 *
 *   event ──< delivery ──< attempt          ready     what may be sent: (sub, due, num)
 *                 │                         lineup    what stands in line: (sub, key, num)
 *                 ├── dead (while dead)     expiring  open deliveries that can expire
 *                 └── purged (discarded, while it can be restored)
 *
 * delivery.last_attempt is the row of its latest attempt, attempt.prev that of the one before: both are
 * at hand when an attempt is put, so that it costs no index. A row that retention took ends the chain.
 *
 * delivery.line is the ordering key while the delivery stands in `lineup`, else NULL: the head of
 * (sub, line) is the only one that may be in `ready`. `seen` remembers the ids of events whose row
 * is gone already; of the others the event's own row is the memory. */
#ifndef STORE_SCHEMA_SQLITE_H
#define STORE_SCHEMA_SQLITE_H

#include <stddef.h>

#define SCHEMA_APPLICATION_ID 0x77686b64 /* "whkd" */
#define SCHEMA_VERSION 4

static const char SCHEMA_1_CONFIGURED[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE partner(num INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  created_ms INTEGER NOT NULL);"
    "CREATE TABLE subscription(num INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    "  partner INTEGER NOT NULL, url TEXT NOT NULL, patterns TEXT NOT NULL, profile TEXT,"
    "  retry TEXT, rate_per_s REAL NOT NULL, concurrency INTEGER NOT NULL,"
    "  timeout_ms INTEGER NOT NULL, ordered INTEGER NOT NULL, on_dead_block INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3), state_cause TEXT,"
    "  state_since_ms INTEGER NOT NULL, resume_at_ms INTEGER NOT NULL,"
    "  broken_since_ms INTEGER NOT NULL, bearer BLOB, headers BLOB,"
    "  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, revision INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX subscription_name ON subscription(name) WHERE state <> 3;"
    "CREATE TABLE secret(num INTEGER PRIMARY KEY, sub INTEGER NOT NULL, value BLOB NOT NULL,"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL);"
    "CREATE INDEX secret_sub ON secret(sub);"
    "CREATE TABLE counts(sub INTEGER, state INTEGER, n INTEGER NOT NULL,"
    "  PRIMARY KEY(sub, state)) WITHOUT ROWID;";

static const char SCHEMA_1_HOT[] =
    "CREATE TABLE event(num INTEGER PRIMARY KEY, id TEXT NOT NULL, partner INTEGER NOT NULL,"
    "  type TEXT NOT NULL, payload_bytes INTEGER NOT NULL, ordering_key TEXT,"
    "  correlation_id TEXT, source TEXT, version TEXT, attributes TEXT,"
    "  deliver_after_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, outbox TEXT,"
    "  seq INTEGER NOT NULL, digest BLOB, seen_until_ms INTEGER NOT NULL, payload BLOB);"
    "CREATE INDEX event_id ON event(id);"
    "CREATE INDEX event_seen ON event(seen_until_ms) WHERE digest IS NOT NULL;"
    "CREATE TABLE seen(id_digest BLOB PRIMARY KEY, content_digest BLOB NOT NULL,"
    "  until_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX seen_until ON seen(until_ms);"
    "CREATE TABLE delivery(num INTEGER PRIMARY KEY, event INTEGER NOT NULL, sub INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 6 AND state <> 1 AND state <> 3), cause "
    "INTEGER NOT NULL DEFAULT 0,"
    "  attempts INTEGER NOT NULL DEFAULT 0, budget_start INTEGER NOT NULL DEFAULT 0,"
    "  budget_since_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,"
    "  last_status INTEGER NOT NULL DEFAULT 0, last_outcome INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL DEFAULT 0,"
    "  job INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER NOT NULL, line TEXT,"
    "  owner INTEGER, lease_until INTEGER, fence INTEGER);"
    "CREATE INDEX delivery_event ON delivery(event);"
    "CREATE INDEX delivery_sub ON delivery(sub);"
    "CREATE INDEX delivery_job ON delivery(job) WHERE job <> 0;"
    "CREATE TABLE ready(sub INTEGER, due INTEGER, num INTEGER, since_ms INTEGER NOT NULL,"
    "  PRIMARY KEY(sub, due, num)) WITHOUT ROWID;"
    "CREATE TABLE lineup(sub INTEGER, key TEXT, num INTEGER, created_ms INTEGER NOT NULL,"
    "  PRIMARY KEY(sub, key, num)) WITHOUT ROWID;"
    "CREATE TABLE expiring(expires_ms INTEGER, num INTEGER,"
    "  PRIMARY KEY(expires_ms, num)) WITHOUT ROWID;"
    "CREATE TABLE attempt(row INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, n INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL, duration_us INTEGER NOT NULL, dns_us INTEGER NOT NULL,"
    "  connect_us INTEGER NOT NULL, tls_us INTEGER NOT NULL, wait_us INTEGER NOT NULL,"
    "  transfer_us INTEGER NOT NULL, outcome INTEGER NOT NULL, status INTEGER NOT NULL,"
    "  job INTEGER NOT NULL, response_truncated INTEGER NOT NULL, next_ms INTEGER NOT NULL,"
    "  address TEXT, error TEXT, response_head TEXT, response_body BLOB);"
    "CREATE INDEX attempt_delivery ON attempt(delivery);";

static const char SCHEMA_1_COLD[] =
    "CREATE TABLE dead(num INTEGER PRIMARY KEY, sub INTEGER NOT NULL, sub_name TEXT,"
    "  sub_url TEXT, event_id TEXT NOT NULL, partner INTEGER NOT NULL, partner_name TEXT,"
    "  type TEXT NOT NULL, ordering_key TEXT, correlation_id TEXT, source TEXT, version TEXT,"
    "  attributes TEXT, deliver_after_ms INTEGER NOT NULL, event_expires_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, outbox TEXT,"
    "  seq INTEGER NOT NULL, payload_bytes INTEGER NOT NULL, cause INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL, last_status INTEGER NOT NULL, last_outcome INTEGER NOT NULL,"
    "  died_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, note TEXT, payload BLOB);"
    "CREATE INDEX dead_died ON dead(died_ms);"
    "CREATE INDEX dead_sub ON dead(sub, died_ms);"
    "CREATE INDEX dead_event ON dead(event_id);"
    "CREATE INDEX dead_expires ON dead(expires_ms);"
    "CREATE TABLE job(num INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    "  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3), filter TEXT,"
    "  rate_per_s REAL NOT NULL, ignore_expiry INTEGER NOT NULL, actor TEXT, note TEXT,"
    "  sub INTEGER NOT NULL, mark_ms INTEGER NOT NULL, mark_num INTEGER NOT NULL,"
    "  walked INTEGER NOT NULL, selected INTEGER NOT NULL, excluded INTEGER NOT NULL,"
    "  queued INTEGER NOT NULL, delivered INTEGER NOT NULL, dead_again INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL);"
    "CREATE INDEX job_active ON job(num) WHERE state IN (0, 1);"
    "CREATE TABLE outbox(name TEXT PRIMARY KEY, mark INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE taken(outbox TEXT, seq INTEGER, digest BLOB,"
    "  PRIMARY KEY(outbox, seq, digest)) WITHOUT ROWID;"
    "CREATE TABLE reject(num INTEGER PRIMARY KEY, outbox TEXT, seq INTEGER NOT NULL,"
    "  reason TEXT, row TEXT, created_ms INTEGER NOT NULL);"
    "CREATE TABLE audit(num INTEGER PRIMARY KEY, actor TEXT, action TEXT, target TEXT,"
    "  detail TEXT, created_ms INTEGER NOT NULL);";

/* What a job may ask of a delivery: attempts of its budget (0: the policy's); whether it is a trial,
 * whose failure is discarded and no dead letter; whose copy it is (0: nobody's). */
static const char SCHEMA_2_DELIVERY[] =
    "ALTER TABLE delivery ADD COLUMN budget_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE delivery ADD COLUMN trial INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE delivery ADD COLUMN original INTEGER NOT NULL DEFAULT 0;";

/* Purged dead letters until their grace is over: the columns of `dead`, which job, how long. */
static const char SCHEMA_2_PURGED[] =
    "CREATE TABLE purged(num INTEGER PRIMARY KEY, sub INTEGER NOT NULL, sub_name TEXT,"
    "  sub_url TEXT, event_id TEXT NOT NULL, partner INTEGER NOT NULL, partner_name TEXT,"
    "  type TEXT NOT NULL, ordering_key TEXT, correlation_id TEXT, source TEXT, version TEXT,"
    "  attributes TEXT, deliver_after_ms INTEGER NOT NULL, event_expires_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, outbox TEXT,"
    "  seq INTEGER NOT NULL, payload_bytes INTEGER NOT NULL, cause INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL, last_status INTEGER NOT NULL, last_outcome INTEGER NOT NULL,"
    "  died_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, note TEXT, payload BLOB,"
    "  job INTEGER NOT NULL, until_ms INTEGER NOT NULL);"
    "CREATE INDEX purged_job ON purged(job, num, until_ms, payload_bytes);"
    "CREATE INDEX purged_until ON purged(until_ms);";

/* Everything that dead letters are listed, counted and grouped by, in the order of their deaths: one
 * look at a million letters reads this index alone, front to back. It takes the place of the one on
 * died_ms, so that a death writes no more entries than before, at the end of it. */
static const char SCHEMA_2_DEAD_FACTS[] =
    "DROP INDEX dead_died;"
    "CREATE INDEX dead_facts ON dead(died_ms, num, sub, cause, last_status, last_outcome, attempts,"
    "  event_expires_ms, payload_bytes, type);";

/* Traffic by minute, kept for two hours; b0… are the steps of store/traffic.h. health: what the
 * attempts so far say about the endpoint. */
static const char SCHEMA_2_TRAFFIC[] =
    "CREATE TABLE traffic(minute_ms INTEGER, sub INTEGER, ok INTEGER NOT NULL,"
    "  failed INTEGER NOT NULL, retries INTEGER NOT NULL, dead INTEGER NOT NULL,"
    "  b0 INTEGER NOT NULL, b1 INTEGER NOT NULL, b2 INTEGER NOT NULL, b3 INTEGER NOT NULL,"
    "  b4 INTEGER NOT NULL, b5 INTEGER NOT NULL, b6 INTEGER NOT NULL, b7 INTEGER NOT NULL,"
    "  b8 INTEGER NOT NULL, b9 INTEGER NOT NULL, b10 INTEGER NOT NULL, b11 INTEGER NOT NULL,"
    "  b12 INTEGER NOT NULL, b13 INTEGER NOT NULL, b14 INTEGER NOT NULL, b15 INTEGER NOT NULL,"
    "  b16 INTEGER NOT NULL, b17 INTEGER NOT NULL, b18 INTEGER NOT NULL, b19 INTEGER NOT NULL,"
    "  b20 INTEGER NOT NULL, b21 INTEGER NOT NULL, b22 INTEGER NOT NULL, b23 INTEGER NOT NULL,"
    "  PRIMARY KEY(minute_ms, sub)) WITHOUT ROWID;"
    "CREATE TABLE health(sub INTEGER PRIMARY KEY, ok_total INTEGER NOT NULL,"
    "  failed_total INTEGER NOT NULL, last_success_ms INTEGER NOT NULL,"
    "  last_failure_ms INTEGER NOT NULL, last_failure_status INTEGER NOT NULL,"
    "  last_failure_outcome INTEGER NOT NULL, in_row INTEGER NOT NULL,"
    "  failing_since_ms INTEGER NOT NULL);";

/* What somebody did to a delivery; few deliveries have any. */
static const char SCHEMA_2_DEEDS[] =
    "CREATE TABLE deed(delivery INTEGER, at_ms INTEGER, kind INTEGER, job INTEGER NOT NULL,"
    "  actor TEXT, PRIMARY KEY(delivery, at_ms, kind)) WITHOUT ROWID;";

/* A job's kind as a number, more states and options, and its parts by subscription. What runs already
 * goes on: letters on their way get parts of their own (their job makes the others as soon as it
 * runs), what was over is counted in a part of no subscription. */
static const char SCHEMA_2_JOB[] =
    "DROP INDEX job_active;"
    "ALTER TABLE job RENAME TO job_1;"
    "CREATE TABLE job(num INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 4), filter TEXT,"
    "  rate_per_s REAL NOT NULL, canary INTEGER NOT NULL, stop_at REAL NOT NULL,"
    "  newest_first INTEGER NOT NULL, attempts_max INTEGER NOT NULL,"
    "  ignore_expiry INTEGER NOT NULL, to_url TEXT, actor TEXT,"
    "  note TEXT, sub INTEGER NOT NULL, mark_ms INTEGER NOT NULL, mark_num INTEGER NOT NULL,"
    "  walked INTEGER NOT NULL, selected INTEGER NOT NULL, excluded INTEGER NOT NULL,"
    "  done INTEGER NOT NULL, created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    "  finished_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL);"
    "INSERT INTO job SELECT num, kind <> 'replay', state, filter, rate_per_s, 0, 1, 0, 0,"
    "  ignore_expiry, NULL, actor, note, sub, mark_ms, mark_num, walked,"
    "  CASE kind WHEN 'replay' THEN 0 ELSE selected END, 0,"
    "  CASE kind WHEN 'replay' THEN 0 ELSE queued END, created_ms, started_ms, finished_ms,"
    "  0 FROM job_1;"
    "CREATE INDEX job_active ON job(num) WHERE state IN (0, 1);";
static const char SCHEMA_2_JOB_PART[] =
    "CREATE TABLE job_part(job INTEGER, sub INTEGER, state INTEGER NOT NULL,"
    "  reason INTEGER NOT NULL, mark_ms INTEGER NOT NULL, mark_num INTEGER NOT NULL,"
    "  walked INTEGER NOT NULL, base_tried INTEGER NOT NULL, base_failed INTEGER NOT NULL,"
    "  canary_tried INTEGER NOT NULL, selected INTEGER NOT NULL, excluded INTEGER NOT NULL,"
    "  queued INTEGER NOT NULL, gone INTEGER NOT NULL, tried INTEGER NOT NULL,"
    "  failed INTEGER NOT NULL, delivered INTEGER NOT NULL, dead_again INTEGER NOT NULL,"
    "  recent INTEGER NOT NULL, PRIMARY KEY(job, sub)) WITHOUT ROWID;"
    "INSERT INTO job_part SELECT num, 0, CASE WHEN state IN (0, 1) THEN 2 ELSE state END, 0, 0, 0,"
    "  1, 0, 0, 0, CASE WHEN state IN (0, 1) THEN delivered + dead_again"
    "  ELSE max(selected, queued) END, excluded,"
    "  CASE WHEN state IN (0, 1) THEN delivered + dead_again ELSE queued END, 0,"
    "  delivered + dead_again, dead_again, delivered, dead_again, 0"
    "  FROM job_1 WHERE kind = 'replay';"
    "INSERT INTO job_part SELECT d.job, d.sub, 0, 0, 0, 0, 1, 0, 0, 0, count(*), 0, count(*), 0,"
    "  sum(d.attempts > d.budget_start), sum(d.attempts > d.budget_start), 0, 0, 0"
    "  FROM job_1 j JOIN delivery d ON d.job = j.num AND d.job <> 0 AND d.state IN (0, 2)"
    "  WHERE j.kind = 'replay' AND j.state IN (0, 1) GROUP BY d.job, d.sub;"
    "CREATE INDEX job_part_active ON job_part(sub) WHERE state = 0;"
    "DROP TABLE job_1;"
    "DROP INDEX delivery_job;"
    "CREATE INDEX delivery_job ON delivery(job, state) WHERE job <> 0;";

/* A subscription that a job made for its copies, and whose those are. */
static const char SCHEMA_3_COPIES[] =
    "ALTER TABLE subscription ADD COLUMN job INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE subscription ADD COLUMN source INTEGER NOT NULL DEFAULT 0;";

/* A number for each letter that comes in; those before version 3 came before all others. */
static const char SCHEMA_3_ARRIVAL[] =
    "ALTER TABLE dead ADD COLUMN arrival INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX dead_facts;"
    "CREATE INDEX dead_facts ON dead(died_ms, num, sub, cause, last_status, last_outcome, attempts,"
    "  event_expires_ms, payload_bytes, arrival, type);";

/* Letters of a replay that were given up on their way. */
static const char SCHEMA_3_DISCARDED[] =
    "ALTER TABLE job_part ADD COLUMN discarded INTEGER NOT NULL DEFAULT 0;";

/* Why a delivery was dead that somebody sent again, and since when. */
static const char SCHEMA_3_DEEDS[] =
    "ALTER TABLE deed ADD COLUMN cause INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE deed ADD COLUMN died_ms INTEGER NOT NULL DEFAULT 0;";

/* Jobs that stopped by themselves: status tells of them until somebody lets them go on or puts them away. */
static const char SCHEMA_3_STOPPED[] = "CREATE INDEX job_stopped ON job(num) WHERE state = 4;";

/* The attempts of a delivery are a chain instead of entries of an index. */
static const char SCHEMA_4_ATTEMPTS[] =
    "ALTER TABLE delivery ADD COLUMN last_attempt INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE attempt ADD COLUMN prev INTEGER NOT NULL DEFAULT 0;"
    "UPDATE attempt SET prev = ifnull((SELECT max(b.row) FROM attempt b"
    "  WHERE b.delivery = attempt.delivery AND b.row < attempt.row), 0) WHERE n > 1;"
    "UPDATE delivery SET last_attempt = ifnull((SELECT max(a.row) FROM attempt a"
    "  WHERE a.delivery = delivery.num), 0) WHERE attempts > 0;"
    "DROP INDEX attempt_delivery;";

/* Each migration: its parts, NULL-terminated. */
static const char *const MIGRATIONS[SCHEMA_VERSION][16] = {
    {SCHEMA_1_CONFIGURED, SCHEMA_1_HOT, SCHEMA_1_COLD, NULL},
    {SCHEMA_2_DELIVERY, SCHEMA_2_PURGED, SCHEMA_2_DEAD_FACTS, SCHEMA_2_TRAFFIC, SCHEMA_2_DEEDS,
     SCHEMA_2_JOB, SCHEMA_2_JOB_PART, NULL},
    {SCHEMA_3_COPIES, SCHEMA_3_ARRIVAL, SCHEMA_3_DISCARDED, SCHEMA_3_DEEDS, SCHEMA_3_STOPPED, NULL},
    {SCHEMA_4_ATTEMPTS, NULL},
};

#endif
