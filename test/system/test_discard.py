"""delivery discard: what is open is given up, beside a busy lane; the receivers get none of it but what was in flight."""
import contextlib
import json
import sqlite3
import time
import unittest

from harness import Daemon, Receiver, wait_for

CONF = "retry: {default: {initial_delay: 1h, max_retries: 5}}\nbreaker: {min_failures: 1000000}\n"


def fill(d, n, **more):
    for start in range(0, n, 2000):
        d.insert(*[dict(type="trade.settled", event_id=f"E-{i}", payload={"n": i}, **more) for i in range(start, min(start + 2000, n))])


def rows(d, sql):
    with contextlib.closing(sqlite3.connect(f"file:{d.dir}/store/webhookd.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


class Discard(unittest.TestCase):
    def test_counted_asked_done(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme")
            d.subscribe(r.url, "--name", "paused")
            d.ctl("subscription", "pause", "paused")
            fill(d, 300)
            wait_for(lambda: (d.counts()["retrying"], d.counts()["held"]) == (300, 300))
            seen = len(r.requests)
            for args, status, word in (([], 64, "--all"), (["--all"], 64, "--yes"), (["--all", "--state", "dead"], 64, "pending, retrying or held"),
                                       (["--all", "--state", "frob"], 64, "not one of"), (["E-none", "--yes"], 4, "no delivery or event 'E-none'")):
                self.assertIn(word, d.ctl("delivery", "discard", *args, check=status, raw=True).stderr)
            self.assertEqual(d.json("delivery", "discard", "--all", "--dry-run"),
                             dict(matched=600, in_flight=0, discarded=0, job=None, dry_run=True))
            status, shown = d.terminal("delivery", "discard", "-s", "paused", keys="n\n")
            self.assertEqual(status, 64)
            self.assertIn("Discard 300 open deliveries? They are not sent, and cannot be brought back.", shown)
            got = d.json("delivery", "discard", "-s", "paused", "E-1", "E-2", "--yes", "--note", "INC-9")
            self.assertEqual((got["matched"], got["discarded"], got["dry_run"]), (2, 2, False))
            self.assertEqual((d.counts()["discarded"], d.counts()["held"]), (2, 298))
            entry = json.loads(d.ctl("audit", "list", "--limit", "1", "-o", "json"))["items"][0]
            self.assertEqual((entry["action"], entry["target"]), ("delivery.discard", got["job"]))
            trace = d.ctl("event", "trace", "E-1")
            self.assertIn("discarded", trace)
            self.assertIn("INC-9", d.ctl("job", "show", got["job"]))
            done = d.ctl("delivery", "discard", "--state", "retrying", "--yes", raw=True)
            self.assertIn("discarded 300 deliveries", done.stderr)
            self.assertIn('webhookd_deliveries_completed_total{result="discarded"', d.metrics())
            d.ctl("delivery", "discard", "--all", "--yes")
            self.assertEqual((d.counts()["discarded"], d.unsettled()), (600, 0))
            self.assertIn("No open deliveries match", d.ctl("delivery", "discard", "--all", "--yes", raw=True).stderr)
            d.ctl("subscription", "resume", "paused")
            r.answer = 200
            d.emit("trade.settled", event_id="last")
            wait_for(lambda: d.counts()["delivered"] == 2)
            self.assertEqual(r.ids()[seen:], ["last", "last"])
            self.assertNotIn("problem", d.ctl("db", "check"))

    def test_beside_a_busy_lane(self):
        """Discards race with claims, queues and settlements."""
        with Daemon(CONF) as d, Receiver(lambda request, n: time.sleep(0.005) or 200) as r:
            d.subscribe(r.url, "--name", "acme", "--concurrency", "32")
            d.ctl("subscription", "pause", "acme")
            fill(d, 20000)
            wait_for(lambda: d.counts()["held"] == 20000)
            d.ctl("subscription", "resume", "acme")
            wait_for(lambda: len(r.requests) > 500)
            got = d.json("delivery", "discard", "-s", "acme", "--yes", check=None)
            ended = time.time()
            wait_for(lambda: d.unsettled() == 0)
            self.assertGreater(got["discarded"], 5000)
            counts = d.counts()
            self.assertEqual((counts["discarded"], counts["delivered"]), (got["discarded"], 20000 - got["discarded"]))
            given_up = dict(rows(d, "SELECT e.id, d.num FROM delivery d JOIN event e ON e.num = d.event WHERE d.state = 6"))
            late = [x for x in r.requests if x.id in given_up]
            # what the receiver got all the same was in flight: its attempt is recorded (G4), and began before the delivery's end (G3)
            tried = dict(rows(d, "SELECT a.delivery, a.started_ms - d.finished_ms FROM attempt a JOIN delivery d ON d.num = a.delivery WHERE d.state = 6"))
            self.assertEqual({given_up[x.id] for x in late}, set(tried))
            self.assertEqual([x for x in tried.values() if x > 0], [])
            self.assertLess(len(late), 32 * 80)
            self.assertTrue(all(x.at <= ended for x in r.requests))
            self.assertEqual(len(set(r.ids())), len(r.ids()))

    def test_two_at_once_take_turns(self):
        with Daemon(CONF) as d, Receiver() as r:
            for name in ("one", "two"):
                d.subscribe(r.url, "--name", name)
                d.ctl("subscription", "pause", name)
            fill(d, 4000)
            wait_for(lambda: d.counts()["held"] == 8000, 60)
            jobs = [d.json("delivery", "discard", "-s", name, "--yes", "--detach")["job"] for name in ("one", "two")]
            seen = []

            def over():
                now = [d.json("job", "show", job) for job in jobs]
                seen.append(tuple(x["counts"]["done"] for x in now))
                return all(x["state"] == "done" for x in now)
            wait_for(over, 60)
            self.assertEqual(seen[-1], (4000, 4000))
            self.assertEqual(d.counts()["discarded"], 8000)
            self.assertTrue(any(0 < one < 4000 and two > 0 for one, two in seen) or len(seen) < 5, seen)

    def test_the_next_of_a_key_goes_on(self):
        with Daemon(CONF) as d, Receiver(lambda request, n: 503 if request.id == "E-0" else 200) as r:
            d.subscribe(r.url, "--name", "acme", "--ordering", "key")
            fill(d, 10, ordering_key="k")
            wait_for(lambda: d.counts()["retrying"] == 1)
            d.ctl("delivery", "discard", "E-0", "E-1", "E-3", "--yes")
            wait_for(lambda: d.counts()["delivered"] == 7)
            self.assertEqual(r.ids(), ["E-0", "E-2"] + [f"E-{i}" for i in range(4, 10)])

    def test_killed_and_stopped(self):
        with Daemon(CONF) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            d.ctl("subscription", "pause", "acme")
            fill(d, 9000)
            wait_for(lambda: d.counts()["held"] == 9000)
            job = d.json("delivery", "discard", "-s", "acme", "--yes", "--detach")["job"]
            d.kill()
            d.start()
            wait_for(lambda: d.json("job", "show", job)["state"] == "done")
            self.assertEqual((d.json("job", "show", job)["counts"]["done"], d.counts()["discarded"]), (9000, 9000))
            fill(d, 700)
            d.insert(*[dict(type="trade.settled", event_id=f"F-{i}") for i in range(700)])
            wait_for(lambda: d.counts()["held"] == 700)
            self.assertEqual(d.stop(), 0)
            self.assertEqual(d.json("delivery", "discard", "--type", "trade.*", "--yes")["discarded"], 700)
            d.start()
            d.ctl("subscription", "resume", "acme")
            d.emit("trade.settled", event_id="last")
            wait_for(lambda: r.ids() == ["last"])


if __name__ == "__main__":
    unittest.main()
