"""A store with a million attempts: every list and look at events, deliveries and attempts answers within a second. The rows are made
by SQL, as they would be after a day of half a million events."""
import os
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
from harness import Daemon, Receiver

EVENTS = 500_000
LOOKS = (
    "attempt list", "attempt list -s acme --limit 5", "attempt list -s rare", "attempt list -s old", "attempt list --outcome dns",
    "attempt list --status 404", "attempt list --type nothing.x", "attempt list --type order.new --since 1h", "attempt list --event E-5",
    "attempt list --until 20h", "attempt list -s acme --outcome timeout", "delivery list", "delivery list -s rare",
    "delivery list -s old --state dead", "delivery list --state dead", "delivery list --type nothing.x", "delivery list --since 1h",
    "delivery list --min-attempts 9", "delivery list --outcome dns", "event list", "event list --type nothing.x", "event list --since 2m",
    "event types", "event trace E-77", "event show E-77", "audit list")


def fill(path):
    db = sqlite3.connect(path, isolation_level=None)
    subs = dict(db.execute("SELECT name, num FROM subscription"))
    day, now = 86_400_000, int(time.time() * 1000)
    step = day // EVENTS
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -400000")
    db.execute("BEGIN")
    db.execute(f"CREATE TEMP TABLE k AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {EVENTS - 1})"
               f" SELECT i, ({now - day} + i * {step}) << 21 AS num, {now - day} + i * {step} AS ms FROM c")
    db.execute("INSERT INTO event(num, id, partner, type, payload_bytes, deliver_after_ms, expires_ms, created_ms, accepted_ms, outbox, seq,"
               " seen_until_ms, payload) SELECT num, 'E-' || i, 1, CASE WHEN i % 10 THEN 'trade.settled' ELSE 'order.new' END, 100, 0, 0, ms,"
               " ms, 'api', i, 0, zeroblob(100) FROM k")
    db.execute("INSERT INTO delivery(num, event, sub, state, budget_since_ms, due_ms, attempts, last_status, last_outcome, created_ms,"
               f" finished_ms, expires_ms) SELECT num + 1, num, CASE WHEN i < 60000 THEN {subs['old']} WHEN i % 5000 = 0 THEN {subs['rare']}"
               f" WHEN i % 2 THEN {subs['acme']} ELSE {subs['globex']} END, 4, ms, ms, 2, 200, 0, ms, ms + 1000, 0 FROM k")
    for n, outcome, status in ((1, 4, 503), (2, 0, 200)):
        db.execute("INSERT INTO attempt(delivery, n, started_ms, duration_us, dns_us, connect_us, tls_us, wait_us, transfer_us, outcome,"
                   " status, job, response_truncated, next_ms, address, error, response_head, response_body) SELECT num + 1, "
                   f"{n}, ms + {n}, 1000, -1, -1, -1, 900, 10, {outcome}, {status}, 0, 0, 0, '127.0.0.1:9', NULL, 'HTTP/1.1 200 OK', "
                   "zeroblob(100) FROM k")
    db.execute(f"UPDATE attempt SET prev = row - {EVENTS} WHERE n = 2")
    db.execute(f"UPDATE delivery SET last_attempt = {EVENTS} + 1 + (created_ms - {now - day}) / {step}")
    db.execute("INSERT OR REPLACE INTO counts SELECT sub, state, count(*) FROM delivery GROUP BY sub, state")
    db.execute("COMMIT")
    db.close()


class Looks(unittest.TestCase):
    def test_a_million_attempts(self):
        with Daemon() as d, Receiver() as r:
            for name in ("acme", "globex", "old", "rare"):
                d.subscribe(r.url, "--name", name, events="none.x")
            d.stop()
            fill(f"{d.dir}/store/webhookd.db")
            d.start()
            for look in LOOKS:
                took = []
                for _ in range(3):  # the first one reads what is not in the page cache yet
                    begun = time.monotonic()
                    d.ctl(*look.split())
                    took.append(time.monotonic() - begun)
                self.assertLess(min(took), 1.0, look)


if __name__ == "__main__":
    unittest.main()
