"""Clocks that jump, a process that is stopped for a while, a job across kills."""
import collections
import os
import random
import signal
import sqlite3
import time
import unittest

from harness import Daemon, Receiver, wait_for


def faketime():
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"):
        path = f"{folder}/faketime/libfaketime.so.1"
        if os.path.exists(path):
            return path
    return None


@unittest.skipUnless(faketime(), "libfaketime is not installed")
class Clock(unittest.TestCase):
    def test_jumps(self):
        """A day forward, a day back, while a retry waits and events come in: neither a stall nor a flood."""
        state = {"bad": True}
        with Daemon("retry: {default: {max_retries: 9, initial_delay: 2s, multiplier: 1, jitter: 0}}\n", start=False) as d, \
                Receiver(lambda r, n: 503 if r.id.startswith("retry") and state["bad"] else 200) as r:
            rc = f"{d.dir}/faketime"

            def jump(by):
                with open(rc + ".new", "w") as f:
                    f.write(by + "\n")
                os.replace(rc + ".new", rc)
            jump("+0")
            d.env.update(LD_PRELOAD=faketime(), FAKETIME_TIMESTAMP_FILE=rc, FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
            d.start()
            for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"):
                d.env.pop(name)  # webhookctl lives in true time
            d.subscribe(r.url)
            for n, by in enumerate(("+1d", "-1d", "+365d", "+0")):
                before = len(r.requests)
                state["bad"] = True
                d.emit("a.b", event_id=f"retry{n}")
                wait_for(lambda: f"retry{n}" in r.ids())
                first = time.monotonic()
                jump(by)
                d.insert(*[dict(type="a.b", event_id=f"e{n}-{i}") for i in range(50)])
                wait_for(lambda: {f"e{n}-{i}" for i in range(50)} <= set(r.ids()), 5)
                state["bad"] = False
                wait_for(lambda: r.ids().count(f"retry{n}") == 2, 5)
                self.assertGreater(time.monotonic() - first, 1.5)
                self.assertEqual(len(r.requests) - before, 52)
            wait_for(lambda: d.counts()["delivered"] == 204)
            self.assertEqual(d.counts()["dead"], 0)


class Stopped(unittest.TestCase):
    def test_stopped_for_a_while(self):
        with Daemon("delivery: {timeout: 3s}\nretry: {default: {initial_delay: 100ms}}\n") as d, \
                Receiver(lambda r, n: time.sleep(0.01) or 200) as r:
            d.subscribe(r.url)
            d.insert(*[dict(type="a.b", event_id=f"a{i}") for i in range(1000)])
            wait_for(lambda: len(r.requests) > 100)
            d.process.send_signal(signal.SIGSTOP)
            for i in range(20):
                d.insert(*[dict(type="a.b", event_id=f"b{i}-{k}") for k in range(50)])
                time.sleep(1)
            d.process.send_signal(signal.SIGCONT)
            wait_for(lambda: d.counts()["delivered"] == 2000, 60)
            self.assertEqual(d.counts()["dead"], 0)
            self.assertLess(len(r.requests), 2000 + 2 * 32)


class Job(unittest.TestCase):
    def test_a_replay_across_kills(self):
        """2,000 letters at a rate, some die again: each is queued exactly once, and the counts are right."""
        rng = random.Random(11)
        down = {"is": True}

        def answer(r, n):
            if down["is"]:
                return 400
            return 400 if r.id.endswith("7") else 200
        with Daemon() as d, Receiver(answer) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{i}") for i in range(2000)])
            wait_for(lambda: d.counts()["dead"] == 2000, 60)
            self.assertEqual(len(r.ids()), 2000)
            down["is"] = False
            job = d.json("dlq", "replay", "--all", "--rate", "400/s", "--yes", "--detach", check=None)
            kills = 8
            for _ in range(kills):
                time.sleep(rng.uniform(0.2, 0.9))
                d.kill()
                d.start()

            def state():
                return d.json("job", "show", job["id"])
            wait_for(lambda: state()["state"] == "done", 60, "the job is done")
            s = state()["counts"]
            self.assertEqual((s["queued"], s["delivered"], s["dead_again"], s["excluded"]), (2000, 1800, 200, 0))
            self.assertEqual((d.counts()["delivered"], d.counts()["dead"]), (1800, 200))
            times = collections.Counter(r.ids())
            self.assertEqual(set(times.values()) - {2, 3}, set())
            self.assertLessEqual(sum(n - 2 for n in times.values()), 64 * kills)
            self.assertEqual(d.stop(), 0)
            db = sqlite3.connect(f"{d.dir}/store/webhookd.db")
            settled = db.execute("SELECT count(*) FROM attempt WHERE job <> 0").fetchone()[0]
            self.assertEqual(settled, 2000)
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone()[0], "ok")
            db.close()


if __name__ == "__main__":
    unittest.main()
