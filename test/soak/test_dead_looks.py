"""A store with a million dead letters: list, summary and count answer within a second, whatever the filter, and the daemon's memory
stays flat; so does a replay's preview, and while all are counted for a replay or a purge, live events are taken as ever. The letters are
made by SQL; such looks open no payload."""
import os
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
from harness import Daemon, Receiver, unix_request

LETTERS = 1_000_000
FLAT_KIB = 48 << 10  # two readers' page caches fill once, and stay
FILTERS = ("", "-s acme", "-s rare", "-s acme,globex", "--type trade.settled", "--type nothing.x", "--type 'trade.*'", "--cause gone", "--cause gone,expired --status 410",
           "--status 503", "--status 599", "--outcome dns", "--min-attempts 9", "--max-attempts 0", "--since 1h", "--until 20h", "--event E-77",
           "-s acme --type nothing.x", "-s globex --status 599 --since 3h")
LOOKS = tuple(f"dlq {verb} {f}" for f in FILTERS for verb in ("list", "list --order newest", "count", "summary")) + (
    "dlq summary --by type", "dlq summary --by subscription,cause,status,type", "dlq list --limit 1000", "dlq show E-77", "status",
    "dlq replay --all --dry-run", "dlq replay -s acme --dry-run", "dlq purge --all --dry-run")


def fill(path):
    db = sqlite3.connect(path, isolation_level=None)
    subs = dict(db.execute("SELECT name, num FROM subscription"))
    day, now = 86_400_000, int(time.time() * 1000)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -400000")
    db.execute("BEGIN")
    db.execute(f"CREATE TEMP TABLE k AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {LETTERS - 1}) SELECT i,"
               f" ({now - day} + i * {day} / {LETTERS} << 21) + i % 1000 * 2 AS num, {now - day} + i * {day} / {LETTERS} AS ms,"
               f" CASE WHEN i % 9999 = 7 THEN {subs['rare']} WHEN i % 2 THEN {subs['acme']} ELSE {subs['globex']} END AS sub,"
               " CASE i % 3 WHEN 0 THEN 'trade.settled' WHEN 1 THEN 'trade.cancelled' ELSE 'order.executed' END AS type,"
               " CASE i % 7 WHEN 0 THEN 2 WHEN 1 THEN 6 ELSE 1 END AS cause, CASE i % 7 WHEN 0 THEN 401 WHEN 1 THEN 0 ELSE 503 END AS status,"
               " CASE i % 7 WHEN 0 THEN 2 WHEN 1 THEN 5 ELSE 4 END AS outcome FROM c")
    db.execute("INSERT INTO event(num, id, partner, type, payload_bytes, deliver_after_ms, expires_ms, created_ms, accepted_ms, outbox, seq,"
               " seen_until_ms) SELECT num, 'E-' || i, 1, type, 100, 0, 0, ms, ms, 'api', i, 0 FROM k")
    db.execute("INSERT INTO delivery(num, event, sub, state, cause, budget_since_ms, due_ms, attempts, last_status, last_outcome, created_ms,"
               " finished_ms, expires_ms) SELECT num + 1, num, sub, 5, cause, ms, ms, 6, status, outcome, ms, ms + 1000, 0 FROM k")
    db.execute("INSERT INTO dead(num, sub, sub_name, sub_url, event_id, partner, partner_name, type, deliver_after_ms, event_expires_ms,"
               " created_ms, accepted_ms, outbox, seq, payload_bytes, cause, attempts, last_status, last_outcome, died_ms, expires_ms)"
               " SELECT num + 1, sub, (SELECT name FROM subscription s WHERE s.num = k.sub), 'https://hooks.acme.example/', 'E-' || i, 1, 'default',"
               f" type, 0, 0, ms, ms, 'api', i, 100, cause, 6, status, outcome, ms + 1000, ms + {30 * day} FROM k")
    db.execute("INSERT OR REPLACE INTO counts SELECT sub, state, count(*) FROM delivery GROUP BY sub, state")
    db.execute("COMMIT")
    db.close()


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def slowest_event(d, ask):
    """How long ask() took, and the slowest of the events that came meanwhile."""
    over, slowest = threading.Event(), []

    def events():
        while not over.is_set():
            begun = time.monotonic()
            unix_request(d, "POST", "/api/v1/events", {"type": "live.x", "data": 1})
            slowest.append(time.monotonic() - begun)

    live = threading.Thread(target=events)
    live.start()
    begun = time.monotonic()
    ask()
    took = time.monotonic() - begun
    over.set()
    live.join()
    return took, max(slowest)


class Million(unittest.TestCase):
    def test_live_events_while_a_million_are_counted(self):
        with Daemon() as d, Receiver() as r:
            for name in ("acme", "globex", "rare"):
                d.subscribe(r.url, "--name", name, events="none.x")
            d.subscribe(r.url, "--name", "live", events="live.*")
            d.stop()
            fill(f"{d.dir}/store/webhookd.db")
            d.start()
            d.ctl("dlq", "count")
            made = []
            for ask in (lambda: made.append(d.api("POST", "/replays", {"filter": {"all": True}, "rate_per_second": 1})),
                        lambda: made.append(d.api("POST", "/dead-letters/purge", {"filter": {"all": True}, "confirm": 3}))):
                took, slowest = slowest_event(d, ask)
                print(f"{took:.3f} s, slowest event {slowest:.3f} s", file=sys.stderr)
                self.assertLess(slowest, max(took / 2, 0.1))
            self.assertEqual([status for status, _ in made], [202, 409])

    def test_every_look_within_a_second_and_memory_flat(self):
        with Daemon() as d, Receiver() as r:
            for name in ("acme", "globex", "rare"):
                d.subscribe(r.url, "--name", name, events="none.x")
            d.stop()
            fill(f"{d.dir}/store/webhookd.db")
            d.start()
            d.ctl("dlq", "count")
            before, slowest = rss_kib(d.process.pid), (0, "")
            self.assertEqual(d.ctl("dlq", "count"), f"{LETTERS}\n")
            for look in LOOKS:
                took = []
                for _ in range(2):  # the first one reads what is not in the page cache yet
                    begun = time.monotonic()
                    d.ctl(*look.replace("'", "").split())
                    took.append(time.monotonic() - begun)
                self.assertLess(min(took), 1, look)
                slowest = max(slowest, (min(took), look))
            grown = rss_kib(d.process.pid) - before
            print(f"slowest: {slowest[0]:.3f} s, {slowest[1]}; memory grew by {grown} KiB", file=sys.stderr)
            self.assertLess(grown, FLAT_KIB)


if __name__ == "__main__":
    unittest.main()
