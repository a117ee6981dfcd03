"""kill -9 at any instant, SIGTERM, a second daemon: nothing is lost, and what may be sent twice is bounded."""
import os
import random
import signal
import subprocess
import time
import threading
import unittest
import urllib.error
import urllib.request

from harness import Daemon, Receiver, WEBHOOKD, wait_for


class Crash(unittest.TestCase):
    def test_a_thousand_events_across_kills(self):
        rng = random.Random(7)
        flaky = lambda r, n: 503 if rng.random() < 0.05 else 200
        with Daemon("retry: {default: {initial_delay: 50ms, max_retries: 30}}\n") as d, Receiver(flaky) as r:
            d.subscribe(r.url)
            kills, sent = 5, 0
            for round_ in range(kills):
                while sent < (round_ + 1) * 200:
                    d.insert(*[dict(type="a.b", event_id=f"e{sent + i}", payload={"n": sent + i}) for i in range(20)])
                    sent += 20
                wait_for(lambda: len(set(r.ids())) >= round_ * 200 + rng.randrange(1, 150))
                d.kill()
                d.start()
            wait_for(lambda: len(set(r.ids())) == 1000, 60)
            wait_for(lambda: d.unsettled() == 0)
            counts = d.counts()
            self.assertEqual((counts["delivered"], counts["dead"]), (1000, 0))
            ok = sum(1 for _ in r.requests)
            self.assertLess(ok, 1000 + 200 + kills * 64)  # retries of the 5 %, and 2 × 32 in doubt per kill
            bodies = {}
            for x in r.requests:  # a duplicate has the same id and the same body
                self.assertEqual(bodies.setdefault(x.id, x.body), x.body)

    def test_a_power_cut_before_the_sync(self):
        """An event goes out before the store's own sync: it stands in the producer's table. What a power cut takes back, here the end of
        the store's log, comes again from there: the same id, the same bytes."""
        with Daemon() as d, Receiver() as r:
            log = f"{d.dir}/store/webhookd.db-wal"
            d.subscribe(r.url)
            d.emit("a.b", {"n": 0})
            wait_for(lambda: d.counts()["delivered"] == 1 and d.outbox().execute("SELECT count(*) FROM outbox").fetchone()[0] == 0)
            durable = os.stat(log).st_size
            rows = 20
            d.insert(*[dict(type="a.b", payload={"n": n + 1}) for n in range(rows)])
            wait_for(lambda: len(set(r.ids())) == 1 + rows)
            d.kill()
            os.truncate(log, durable)
            self.assertEqual(d.outbox().execute("SELECT count(*) FROM outbox").fetchone()[0], rows, "rows stay until they are on the store's disk")
            d.start()
            wait_for(lambda: len(r.requests) == 1 + 2 * rows)
            wait_for(lambda: d.unsettled() == 0)
            self.assertEqual((d.counts()["delivered"], len(set(r.ids()))), (1 + rows, 1 + rows))
            bodies = {}
            for x in r.requests:
                self.assertEqual(bodies.setdefault(x.id, x.body), x.body)
            wait_for(lambda: d.outbox().execute("SELECT count(*) FROM outbox").fetchone()[0] == 0, what="they are trimmed once they are")

    def test_no_core_dump(self):
        """G8: a dump would hold every secret."""
        with Daemon() as d:
            with open(f"/proc/{d.process.pid}/limits") as limits:
                core = next(line for line in limits if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4:6], ["0", "0"])

    def test_no_repair_step_and_ids_are_derived_again(self):
        with Daemon(start=False) as d, Receiver() as r:
            d.start()
            d.subscribe(r.url)
            d.emit("a.b", {"n": 1})
            wait_for(lambda: r.requests)
            first = r.ids()[0]
            self.assertTrue(first.startswith("evt_"))
            d.kill()
            d.start()
            d.emit("a.b", {"n": 2})
            wait_for(lambda: len(set(r.ids())) == 2)

    def test_sigterm_drains(self):
        stopping = threading.Event()
        with Daemon() as d, Receiver(lambda r, n: stopping.wait(20) and (time.sleep(0.3) or 200)) as r:
            d.subscribe(r.url)
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(40)])
            wait_for(lambda: len(r.requests) >= 5)
            d.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "event=stopping" in d.log())
            stopping.set()  # what is in flight takes its time; nothing else starts meanwhile
            self.assertEqual(d.process.wait(10), 0)
            settled = len(r.requests)
            d.start()
            wait_for(lambda: len(r.requests) == 40)
            self.assertEqual(len(set(r.ids())), 40)  # nothing twice: what was in flight was finished and stored
            self.assertLess(settled, 40)
            wait_for(lambda: d.counts()["delivered"] == 40)

    def test_who_looks_is_served_while_it_drains(self):
        release = threading.Event()
        with Daemon("delivery: {timeout: 60s, grace: 60s}\n") as d, Receiver(lambda r, n: release.wait(60) and 200) as r:
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: r.requests)
            d.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "event=stopping" in d.log())
            self.assertTrue(d.json("status", check=1)["draining"])
            d.ctl("event", "emit", "--type", "a.b", check=75)
            with self.assertRaises(urllib.error.HTTPError) as e:
                urllib.request.urlopen(f"http://127.0.0.1:{d.port}/readyz", timeout=10)
            self.assertEqual(e.exception.code, 503)
            e.exception.close()
            release.set()
            self.assertEqual(d.stop(10), 0)

    def test_second_sigterm_ends_at_once(self):
        with Daemon() as d, Receiver(lambda r, n: time.sleep(20) or 200) as r:
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: r.requests)
            d.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "event=stopping" in d.log())
            start = time.monotonic()
            self.assertEqual(d.stop(5), 0)
            self.assertLess(time.monotonic() - start, 5)

    def test_what_the_grace_period_cuts_off_is_recorded_and_sent_again(self):
        first = threading.Event()
        hang = lambda r, n: 200 if n > 1 else (first.wait(20) and None)
        with Daemon("delivery: {grace: 300ms}\nretry: {default: {max_retries: 0}}\n") as d, Receiver(hang) as r:
            d.subscribe(r.url)
            d.emit("a.b", event_id="e1")
            wait_for(lambda: r.requests)
            self.assertEqual(d.stop(8), 0)
            first.set()
            d.start()
            wait_for(lambda: d.counts()["delivered"] == 1)  # not dead, though no retry is allowed
            self.assertEqual([x.headers["webhook-attempt"] for x in r.requests], ["1", "2"])
            delivery = d.json("event", "show", "e1")["deliveries"][0]["id"]
            attempts = d.json("attempt", "list", delivery)["items"]
            self.assertEqual([x["outcome"] for x in attempts], ["internal", "success"])
            self.assertIn("stopping", attempts[0]["error"])

    def test_started_without_standard_descriptors(self):
        """What is printed must not go into a socket or a file that got the number of what was closed."""
        with Daemon(start=False) as d, Receiver() as r:
            d.wrap = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"]
            d.spawn()
            wait_for(lambda: d.ctl("status", check=None, raw=True).returncode == 0)
            for fd in range(3 if os.geteuid() == 0 else 0):  # its memory is hidden, and so are its descriptors
                self.assertEqual(os.readlink(f"/proc/{d.process.pid}/fd/{fd}"), "/dev/null")
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: len(r.requests) == 1)

    def test_a_second_daemon_is_refused(self):
        with Daemon() as d:
            done = subprocess.run([WEBHOOKD, "-c", d.conf], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn(str(d.process.pid), done.stderr)
            self.assertEqual(d.ctl("status", check=None, raw=True).returncode, 0)  # the first one serves on

    def test_a_second_daemon_waits_for_the_first_to_end(self):
        with Daemon() as d:
            first = d.process
            second = d.spawn()
            wait_for(lambda: d.log().count("event=starting") == 2)
            self.assertIsNone(second.poll())
            first.send_signal(signal.SIGTERM)
            self.assertEqual(first.wait(10), 0)
            wait_for(lambda: f" pid={second.pid} " in d.log())  # the line of event=ready
            self.assertEqual(d.json("status")["pid"], second.pid)

    def test_a_newer_schema_is_refused(self):
        import sqlite3
        with Daemon() as d:
            self.assertEqual(d.stop(), 0)
            db = sqlite3.connect(f"{d.dir}/store/webhookd.db")
            db.execute("PRAGMA user_version = 9999")
            db.close()
            done = subprocess.run([WEBHOOKD, "-c", d.conf], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn("newer", done.stderr)


if __name__ == "__main__":
    unittest.main()
