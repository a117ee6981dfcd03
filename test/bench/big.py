"""Large stores for the bench, made by SQL in the file of a daemon that is stopped: many subscriptions, many deliveries that are due."""
import contextlib
import json
import sqlite3
import time

PAYLOAD_BYTES = 420


def payload(n):
    head = '{"order_id":"ORD-2024","instrument_id":"GOVT-2034","execution_price":100.5,"executed_quantity":1000,"pad":"'
    return head + "x" * max(0, n - len(head) - 2) + '"}'


@contextlib.contextmanager
def opened(d):
    """The store of a daemon that does not run."""
    with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -400000")
        db.execute("BEGIN")
        yield db
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def subscriptions(db, n, url="'{url}'", patterns="'*'", name="'s' || i"):
    """n of them, like the one that is there already, whose secret they use. url, patterns, name: SQL over i, from 1."""
    columns = [row[1] for row in db.execute("PRAGMA table_info(subscription)")]
    own = {"num": "s.num + i", "name": name, "url": url.replace("{url}", "' || s.url || '"), "patterns": patterns, "source": "s.num"}
    db.execute(f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {n}) INSERT INTO subscription({', '.join(columns)})"
               f" SELECT {', '.join(own.get(x, 's.' + x) for x in columns)} FROM c, (SELECT * FROM subscription ORDER BY num LIMIT 1) s")


def deliveries(db, n, sub, state=0, due="now", size=PAYLOAD_BYTES):
    """n events with one delivery each. sub, due: SQL over i (from 0), first (the number of the first subscription) and now (ms)."""
    now = int(time.time() * 1000)
    first = db.execute("SELECT min(num) FROM subscription").fetchone()[0]
    base = db.execute("SELECT max((SELECT ifnull(max(num), 0) FROM event), (SELECT ifnull(max(num), 0) FROM delivery),"
                      f" {now - 3_600_000} << 21)").fetchone()[0] + 1
    db.execute("CREATE TEMP TABLE k AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < ?)"
               f" SELECT i, {base} + i * 2 AS num, {sub} AS sub, {due} AS due FROM c, (SELECT {first} AS first, {now} AS now)", (n - 1,))
    db.execute("INSERT INTO event(num, id, partner, type, payload_bytes, deliver_after_ms, expires_ms, created_ms, accepted_ms, outbox, seq,"
               f" seen_until_ms, payload) SELECT num, 'E-' || num, 1, 'backlog.x', {size}, 0, 0, {now}, {now}, 'api', i, 0, CAST(? AS BLOB) FROM k",
               (payload(size),))
    db.execute("INSERT INTO delivery(num, event, sub, state, budget_since_ms, due_ms, attempts, last_status, last_outcome, created_ms, expires_ms)"
               f" SELECT num + 1, num, sub, {state}, {now}, due, {state} / 2, 0, 0, {now}, 0 FROM k")
    db.execute(f"INSERT INTO ready SELECT sub, due, num + 1, {now} FROM k")
    db.execute("INSERT OR REPLACE INTO counts SELECT sub, state, count(*) FROM delivery GROUP BY sub, state")
    db.execute("DROP TABLE k")
