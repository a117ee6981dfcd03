"""Death and errors at exact system calls, by strace: each commit's pwrite and fdatasync in turn."""
import shutil
import sqlite3
import time
import unittest

from harness import Daemon, Receiver, wait_for

STRACE = shutil.which("strace")


def inject(calls, what):
    return [STRACE, "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]


def all_over(d, n):
    wait_for(lambda: d.ctl("status", check=None, raw=True).returncode == 0)
    wait_for(lambda: d.counts()["delivered"] + d.counts()["dead"] >= n, 60, f"{n} are over")


@unittest.skipUnless(STRACE, "strace is not installed")
class Points(unittest.TestCase):
    def whole(self, d):
        self.assertEqual(d.stop(), 0)
        db = sqlite3.connect(f"{d.dir}/store/webhookd.db")
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        db.close()

    def rows(self, d, first, n):
        for i in range(first, first + n):
            d.insert(dict(type="a.b", event_id=f"e{i}", ordering_key=f"k{i % 3}", payload={"n": i}))

    def test_killed_at_each_point(self):
        """The n-th fdatasync, the n-th write: whatever was half done is undone or done by the next start."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--ordering", "key")
            sent = 0
            for calls, points in (("fdatasync", range(1, 26, 2)), ("pwrite64", range(5, 130, 9)), ("unlink,ftruncate", (1, 2))):
                for n in points:
                    d.kill()
                    d.wrap = inject(calls, f"signal=KILL:when={n}")
                    d.spawn()
                    self.rows(d, sent, 6)
                    sent += 6
                    wait_for(lambda: d.process.poll() is not None or len(set(r.ids())) >= sent, 30)
                    d.kill()
                    d.wrap = []
                    d.start()
                    all_over(d, sent)
                    self.assertEqual(set(r.ids()), {f"e{i}" for i in range(sent)})
            first = {}
            for at, id in enumerate(r.ids()):
                first.setdefault(id, at)
            for key in range(3):
                line = [first[f"e{i}"] for i in range(sent) if i % 3 == key]
                self.assertEqual(line, sorted(line))
            self.whole(d)

    def test_a_failed_fsync_ends_it(self):
        """After EIO from fdatasync nothing is acknowledged; it exits non-zero; a start without the fault is clean."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            for n in (3, 8, 15):
                d.kill()
                d.wrap = inject("fdatasync,fsync", f"error=EIO:when={n}+")
                d.spawn()
                accepted = set()
                for i in range(60):
                    if d.process.poll() is not None:
                        break
                    try:
                        status, _ = d.api("POST", "/events", {"type": "a.b", "id": f"x{n}-{i}", "data": {}})
                    except (OSError, IndexError):  # it ended before it answered
                        time.sleep(0.05)
                        continue
                    if status == 202:
                        accepted.add(f"x{n}-{i}")
                status = d.process.wait(30)
                self.assertNotEqual(status, 0, d.log()[-2000:])
                self.assertIn("store_failed", d.log())
                d.wrap = []
                d.start()
                wait_for(lambda: accepted <= set(r.ids()))
            self.whole(d)

    def test_no_space_for_a_while(self):
        """ENOSPC on writes: what cannot be stored waits, and goes on without a restart."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            self.assertEqual(d.stop(), 0)
            d.wrap = inject("pwrite64", "error=ENOSPC:when=60..66")
            d.start()
            self.rows(d, 0, 100)
            all_over(d, 100)
            self.assertEqual(set(r.ids()), {f"e{i}" for i in range(100)})
            self.assertEqual(d.stop(), 0)
            d.wrap = []
            d.start()
            self.whole(d)

    def test_a_slow_disk(self):
        """Each fdatasync takes 50 ms: throughput comes from groups, and nothing is late for ever."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            self.assertEqual(d.stop(), 0)
            d.wrap = inject("fdatasync", "delay_enter=50000")
            d.start()
            start = time.monotonic()
            d.insert(*[dict(type="a.b", event_id=f"e{i}") for i in range(3000)])
            all_over(d, 3000)
            self.assertLess(time.monotonic() - start, 40)
            self.assertEqual(d.stop(), 0)
            d.wrap = []
            d.start()


if __name__ == "__main__":
    unittest.main()
