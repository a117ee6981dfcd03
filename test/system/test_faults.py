"""Faults that are no crash: what makes a delivery ready must wake its lane; disks that fill up or fail; producers that misbehave."""
import contextlib
import os
import signal
import sqlite3
import time
import unittest

from harness import CONF, Daemon, Receiver, wait_for


def store(d):
    return contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db", isolation_level=None))


class Wakes(unittest.TestCase):
    def test_on_dead_skip_lets_blocked_keys_go_on(self):
        with Daemon() as d, Receiver(lambda r, n: 400 if r.id == "first" else 200) as r:
            sub = d.subscribe(r.url, "--ordering", "key", "--on-dead", "block", "--name", "s")
            d.insert(*[dict(type="a.b", event_id=e, ordering_key="K") for e in ("first", "second", "third")])
            wait_for(lambda: d.counts()["dead"] == 1)
            self.assertEqual(d.api("PATCH", f"/subscriptions/{sub['id']}", {"on_dead": "skip"})[0], 200)
            wait_for(lambda: r.ids() == ["first", "second", "third"], 5)

    def test_a_pause_that_ends_by_itself(self):
        with Daemon() as d, Receiver() as r:
            sub = d.subscribe(r.url, "--name", "s")
            self.assertEqual(d.api("POST", f"/subscriptions/{sub['id']}/pause", {"for_seconds": 0.5})[0], 200)
            d.emit("a.b")
            wait_for(lambda: d.counts()["held"] == 1)
            wait_for(lambda: r.requests, 10)

    def test_who_resumes_vouches_for_the_endpoint(self):
        """The breaker opened long before the pause: what waited since must not be buried by max_hold after the resume."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            d.ctl("subscription", "pause", "s")
            d.emit("a.b")
            wait_for(lambda: d.counts()["held"] == 1)
            self.assertEqual(d.stop(), 0)
            long_ago = int(time.time() * 1000) - 3 * 3600 * 1000
            with store(d) as db:
                db.execute("UPDATE subscription SET broken_since_ms = ?", (long_ago,))
            d.start()
            d.ctl("subscription", "resume", "s")
            self.assertIsNone(d.json("subscription", "show", "s")["broken_since"])
            wait_for(lambda: r.requests)

    def test_a_pause_holds_at_once(self):
        """Thousands are ready and in flight: after the pause was answered nothing new begins."""
        with Daemon() as d, Receiver(lambda r, n: time.sleep(0.01) or 200) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b") for _ in range(2000)])
            wait_for(lambda: len(r.requests) > 100)
            d.ctl("subscription", "pause", "s")
            wait_for(lambda: d.counts()["in_flight"] == 0)
            began = len(r.requests)
            d.emit("a.b")
            wait_for(lambda: sum(d.counts().values()) == 2001)
            self.assertEqual(len(r.requests), began)
            d.ctl("subscription", "resume", "s")
            wait_for(lambda: d.counts()["delivered"] == 2001)
            self.assertEqual(len(set(r.ids())), len(r.ids()))

    def test_deleted_while_thousands_are_in_flight(self):
        with Daemon() as d, Receiver(lambda r, n: time.sleep(0.1) or 200) as r, Receiver() as other:
            d.subscribe(r.url, "--name", "s")
            d.subscribe(other.url, "--name", "other")
            d.insert(*[dict(type="a.b") for _ in range(2000)])
            # What is taken in after the deletion would not be for s any more.
            wait_for(lambda: 'ingested_total{source="outbox"} 2000' in d.metrics() and len(r.requests) > 50)
            d.ctl("subscription", "delete", "s", "--yes")
            wait_for(lambda: d.unsettled() == 0)
            counts = d.counts()
            self.assertEqual(counts["delivered"] + counts["dead"], 4000)
            self.assertEqual(len(set(other.ids())), 2000)
            self.assertEqual(len(set(r.ids())), len(r.ids()))
            with store(d) as db:
                self.assertEqual(db.execute("SELECT count(*) FROM ready").fetchone()[0], 0)

    def test_a_breaker_stays_open_across_a_crash(self):
        conf = "breaker: {min_failures: 20, min_period: 100ms, probe_interval: 1s}\nretry: {default: {initial_delay: 100ms, max_retries: 1000}}\n"
        with Daemon(conf) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b") for _ in range(200)])
            wait_for(lambda: d.json("subscription", "show", "s")["broken_since"])
            d.kill()
            d.start()
            before, start = len(r.requests), time.monotonic()
            d.insert(*[dict(type="a.b") for _ in range(200)])
            wait_for(lambda: len(r.requests) >= before + 3)
            # One probe a second, no flood at the start; one may have been on its way at `before`.
            self.assertLessEqual(len(r.requests) - before, 2 + time.monotonic() - start)
            r.answer = 200
            wait_for(lambda: d.counts()["delivered"] == 400)
            self.assertIsNone(d.json("subscription", "show", "s")["broken_since"])

    def test_gone_while_many_are_in_flight(self):
        with Daemon() as d, Receiver(lambda r, n: 410 if n > 100 else 200) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b") for _ in range(1000)])
            wait_for(lambda: d.json("subscription", "show", "s")["state"] == "disabled")
            wait_for(lambda: d.counts()["in_flight"] == 0)
            tried = len(r.requests)
            self.assertLess(tried, 100 + 3 * 32)
            # Answered comes before settled, and the last rows may be taken in after all that.
            wait_for(lambda: (c := d.counts())["delivered"] + c["dead"] == tried and c["held"] == 1000 - tried)
            self.assertEqual((d.counts()["delivered"], d.counts()["dead"]), (100, tried - 100))
            r.answer = 200
            d.ctl("subscription", "enable", "s")
            wait_for(lambda: d.counts()["delivered"] == 1000 - (tried - 100))


def took(db, sql):
    try:
        db.execute(sql)
        return True
    except sqlite3.OperationalError:
        return False


def corrupt(path):
    with open(path, "r+b") as f:
        f.seek(0)
        f.write(b"not a database at all" * 300)


class Outboxes(unittest.TestCase):
    """Two outboxes; whatever happens to the second, the first is served and the second recovers by itself."""

    def setUp(self):
        self.d = Daemon("", start=False)
        self.d.write_conf(CONF.replace("outbox/outbox.db\n", "outbox/outbox.db\n  - url: sqlite://{dir}/outbox/other.db\n"))
        self.d.start()
        self.r = Receiver()
        self.d.subscribe(self.r.url)
        self.path = f"{self.d.dir}/outbox/other.db"
        self.addCleanup(self.d.close)
        self.addCleanup(self.r.close)

    def other(self, *ids):
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=20)) as db:
            for id in ids:
                db.execute("INSERT INTO outbox(type, payload, event_id) VALUES ('a.b', '{}', ?)", (id,))

    def first_is_served(self, id):
        self.d.emit("a.b", event_id=id)
        wait_for(lambda: id in self.r.ids(), 3)

    def test_locked_for_seconds(self):
        self.assertEqual(self.d.stop(), 0)
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            self.assertEqual(db.execute("PRAGMA journal_mode = DELETE").fetchone()[0], "delete")
            self.d.start()
            self.other("before")
            wait_for(lambda: "before" in self.r.ids())
            wait_for(lambda: took(db, "BEGIN EXCLUSIVE"))  # nobody may even read
            db.execute("INSERT INTO outbox(type, payload, event_id) VALUES ('a.b', '{}', 'after')")
            for n in range(30):
                self.first_is_served(f"meanwhile{n}")
                time.sleep(0.1)
            self.assertNotIn("after", self.r.ids())
            db.execute("COMMIT")
        wait_for(lambda: "after" in self.r.ids())

    def test_deleted_and_made_again(self):
        self.other("before")
        wait_for(lambda: "before" in self.r.ids())
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        self.first_is_served("meanwhile")
        self.d.ctl("outbox", "init", self.path)
        self.other("after")
        wait_for(lambda: "after" in self.r.ids())

    def test_replaced_by_a_backup(self):
        """The numbers of the backup begin again: each row is an event of its own all the same."""
        self.d.ctl("outbox", "init", self.path + ".backup")
        self.other(*[f"a{n}" for n in range(50)])
        wait_for(lambda: len(self.r.ids()) == 50)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        os.rename(self.path + ".backup", self.path)
        self.other(*[f"b{n}" for n in range(50)])
        wait_for(lambda: len(set(self.r.ids())) == 100)
        self.assertEqual(len(self.r.ids()), 100)

    def test_corrupted(self):
        self.other("before")
        wait_for(lambda: "before" in self.r.ids())
        self.assertEqual(self.d.stop(), 0)
        corrupt(self.path)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        self.d.start()
        wait_for(lambda: "event=outbox_failed" in self.d.log())
        self.first_is_served("meanwhile")
        os.unlink(self.path)
        self.d.ctl("outbox", "init", self.path)
        self.other("after")
        wait_for(lambda: "after" in self.r.ids())


class Reload(unittest.TestCase):
    def test_under_load(self):
        """SIGHUP again and again, some of them with a broken file, while thousands are delivered."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--ordering", "key")
            d.insert(*[dict(type="a.b", event_id=f"e{n}", ordering_key=f"k{n % 50}") for n in range(3000)])
            for n in range(20):
                d.write_conf(CONF + ("retry: {default: {max_retries: nonsense}}\n" if n % 3 == 2 else f"dead_letter: {{retention: {n + 1}d}}\n"))
                d.process.send_signal(signal.SIGHUP)
                loaded = "event=config_loaded" if n % 3 != 2 else "event=config_reload_failed file="
                want = n + 1 - (n + 1) // 3 if n % 3 != 2 else (n + 1) // 3
                wait_for(lambda: d.log().count(loaded) >= want)
            wait_for(lambda: d.counts()["delivered"] == 3000)
            self.assertEqual(len(r.ids()), 3000)
            for key in range(50):
                mine = [int(id[1:]) for id in r.ids() if int(id[1:]) % 50 == key]
                self.assertEqual(mine, sorted(mine))


if __name__ == "__main__":
    unittest.main()
