"""Large backlogs: what waits costs disk, not memory, and one endpoint's million is nobody else's trouble (G5, G6)."""
import contextlib
import os
import sqlite3
import threading
import time
import unittest

from harness import CONF, Daemon, Receiver, wait_for

MILLION = int(os.environ.get("MILLION", "1000000"))


def rss_mib(d):
    with open(f"/proc/{d.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Live:
    """An event every few ms to an endpoint of its own; how long each took from the producer's commit to the receiver."""

    def __init__(self, d, name="live"):
        self.d, self.sent, self.came = d, {}, {}
        self.receiver = Receiver(self.answer)
        d.subscribe(self.receiver.url, "--name", name, events="live.*")
        self.stop = threading.Event()
        self.n = 0

    def answer(self, r, n):
        self.came.setdefault(r.id, time.monotonic())
        return 200

    def for_seconds(self, seconds, meanwhile=None):
        """(p50, p99, max) in ms of what was sent in that time, and while meanwhile() runs."""
        first = self.n
        helper = threading.Thread(target=meanwhile) if meanwhile else None
        if helper:
            helper.start()
        end = time.monotonic() + seconds
        with contextlib.closing(self.d.outbox()) as db:
            while time.monotonic() < end or (helper and helper.is_alive()):
                id = f"live{self.n}"
                self.n += 1
                db.execute("INSERT INTO outbox(type, payload, event_id) VALUES ('live.tick', '{}', ?)", (id,))
                self.sent[id] = time.monotonic()
                time.sleep(0.01)
        if helper:
            helper.join()
        mine = [f"live{i}" for i in range(first, self.n)]
        wait_for(lambda: all(id in self.came for id in mine), what="all live events came")
        took = sorted((self.came[id] - self.sent[id]) * 1000 for id in mine)
        return took[len(took) // 2], took[len(took) * 99 // 100], took[-1]


def show(what, figures):
    print("%s: p50 %.1f ms, p99 %.1f ms, max %.1f ms" % (what, *figures), flush=True)
    return figures


def open_of(d):
    return sum(d.counts()[s] for s in ("pending", "retrying", "in_flight", "held"))


class Load(unittest.TestCase):
    def flood(self, d, n, payload, type="bulk.row"):
        with contextlib.closing(sqlite3.connect(f"{d.dir}/outbox/bulk.db", isolation_level=None, timeout=20)) as db:
            for at in range(0, n, 1000):
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO outbox(type, payload) VALUES (?, ?)", [(type, payload)] * min(1000, n - at))
                db.execute("COMMIT")

    def test_a_million_on_one_dead_endpoint(self):
        with Daemon("delivery: {timeout: 2s}\n") as d:
            live = Live(d)
            with Receiver() as gone:
                dead_url = gone.url
            d.subscribe(dead_url, "--name", "dead", "--ordering", "key", events="bulk.*")
            alone = show("alone", live.for_seconds(3))
            d.ctl("subscription", "pause", "dead")
            d.emit("bulk.row", event_id="bulk")
            wait_for(lambda: d.counts()["held"] == 1)
            self.assertEqual(d.stop(), 0)
            with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db", isolation_level=None)) as db:
                sub, num, event = db.execute("SELECT sub, num, event FROM delivery WHERE state = 0").fetchone()
                columns = [r[1] for r in db.execute("PRAGMA table_info(delivery)") if r[1] != "num"]
                numbers = f"WITH RECURSIVE n(i) AS (SELECT {num} + 1 UNION ALL SELECT i + 1 FROM n LIMIT {MILLION})"
                db.execute("BEGIN")
                db.execute(f"{numbers} INSERT INTO delivery(num, {','.join(columns)})"
                           f" SELECT i, {','.join('d.' + c for c in columns)} FROM n, delivery d WHERE d.num = {num}")
                db.execute(f"{numbers} INSERT INTO ready(sub, due, num, since_ms)"
                           f" SELECT {sub}, r.due, i, r.since_ms FROM n, ready r WHERE r.num = {num} AND r.sub = {sub}")
                db.execute("UPDATE counts SET n = n + ? WHERE sub = ? AND state = 0", (MILLION, sub))
                db.execute("COMMIT")
            start = time.monotonic()
            d.start()
            started = time.monotonic() - start
            d.ctl("subscription", "resume", "dead")
            beside = show(f"beside {MILLION} ready on a dead endpoint", live.for_seconds(8))
            print(f"start-up {started * 1000:.0f} ms, RSS {rss_mib(d):.0f} MiB")
            self.assertLess(started, 3)
            self.assertLess(beside[1], 100 + 5 * alone[1])
            self.assertLess(rss_mib(d), 120)
            live.receiver.close()

    def test_memory_does_not_grow_with_the_backlog(self):
        """100,000 rows of 4 KiB in an outbox of their own, for a paused subscription; then they are sent, die, are purged."""
        with Daemon(replace=CONF.replace("outbox/outbox.db\n", "outbox/outbox.db\n  - url: sqlite://{dir}/outbox/bulk.db\n")) as d, \
                Receiver() as r:
            d.subscribe(r.url, "--name", "s", "--rate", "300/s", events="bulk.*")
            d.ctl("subscription", "pause", "s")
            live = Live(d)
            show("alone", live.for_seconds(2))
            start = time.monotonic()
            during = show("while 100,000 rows flood in", live.for_seconds(1, lambda: self.flood(d, 100000, '"' + "x" * 4000 + '"')))
            wait_for(lambda: d.counts()["held"] == 100000, 120)
            print(f"taken in {time.monotonic() - start:.1f} s; RSS {rss_mib(d):.0f} MiB")
            self.assertLess(rss_mib(d), 120)
            d.ctl("subscription", "resume", "s")
            show("while they are sent", live.for_seconds(5))
            print(f"sending: RSS {rss_mib(d):.0f} MiB")
            self.assertLess(rss_mib(d), 160)
            d.ctl("subscription", "delete", "s", "--yes")
            show("while 100,000 die", live.for_seconds(1, lambda: wait_for(lambda: open_of(d) < 100, 180)))
            wait_for(lambda: open_of(d) == 0)
            dead = d.counts()["dead"]
            purge = show(f"while {dead} are purged", live.for_seconds(1, lambda: d.ctl("dlq", "purge", "--all", f"--confirm={dead}")))
            self.assertEqual(d.counts()["dead"], 0)
            self.assertLess(purge[1], 1000)  # of a machine that others use too
            print(f"purged: RSS {rss_mib(d):.0f} MiB")
            self.assertLess(rss_mib(d), 200)
            live.receiver.close()

    def test_large_payloads_have_a_budget(self):
        """300 payloads of 1 MiB to three slow endpoints: at most the budget is in memory."""
        with Daemon("delivery: {timeout: 30s}\n") as d, contextlib.ExitStack() as stack:
            slow = [stack.enter_context(Receiver(lambda r, n: time.sleep(0.5) or 200)) for _ in range(3)]
            for n, r in enumerate(slow):
                d.subscribe(r.url, "--name", f"s{n}")
            payload = '"' + "x" * 1000000 + '"'
            most = 0
            with contextlib.closing(d.outbox()) as db:
                for n in range(100):
                    db.execute("INSERT INTO outbox(type, payload) VALUES ('a.b', ?)", (payload,))
                    most = max(most, rss_mib(d))

            def over():
                nonlocal most
                most = max(most, rss_mib(d))
                for r in slow:
                    with r.lock:
                        for q in r.requests:
                            q.body = b""
                return d.counts()["delivered"] == 300
            wait_for(over, 120)
            print(f"most: {most:.0f} MiB")
            self.assertLess(most, 160)


if __name__ == "__main__":
    unittest.main()
