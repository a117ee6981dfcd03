"""A disk that fills up, is full, is read-only: intake stops, rows wait, deliveries go on, and all recovers by itself."""
import contextlib
import os
import subprocess
import unittest

from harness import Daemon, Receiver, wait_for

MIB = 1 << 20
CONF = """\
store:
  url: sqlite://{dir}/store/webhookd.db
  encryption_key_file: {dir}/key
  low_disk: 8MiB
outbox:
  - url: sqlite://{dir}/outbox/outbox.db
listen:
  socket: {dir}/webhookd.sock
  http: 127.0.0.1:{port}
egress:
  allow_http: true
  allow: [127.0.0.0/8]
log: {level: debug}
"""


def mount(*args):
    return subprocess.run(["mount", *args], capture_output=True).returncode == 0


class SmallDisk:
    """The store's folder is a file system of a few MiB."""

    def __init__(self, d, mib=32):
        self.path = f"{d.dir}/store"
        if not mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", self.path):
            raise unittest.SkipTest("cannot mount a tmpfs: not root?")

    def free(self):
        fs = os.statvfs(self.path)
        return fs.f_bavail * fs.f_frsize

    def leave(self, n):
        """Fills the disk until n bytes are left."""
        with open(f"{self.path}/filler", "ab") as f:
            with contextlib.suppress(OSError):
                while self.free() > n:
                    f.write(b"x" * min(4096, self.free() - n))
                    f.flush()

    def clear(self):
        os.unlink(f"{self.path}/filler")

    def umount(self):
        subprocess.run(["umount", self.path])


class Disk(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.d = self.stack.enter_context(Daemon(replace=CONF, start=False))
        self.disk = SmallDisk(self.d)
        self.stack.callback(self.disk.umount)
        self.stack.callback(self.d.stop)
        self.r = self.stack.enter_context(Receiver())
        self.d.start()
        self.d.subscribe(self.r.url, "--name", "s")
        self.addCleanup(self.stack.close)

    def waiting(self):
        with contextlib.closing(self.d.outbox()) as db:
            return db.execute("SELECT count(*) FROM outbox").fetchone()[0]

    def rows(self, first, n):
        self.d.insert(*[dict(type="a.b", event_id=f"e{i}", payload={"fill": "x" * 2000}) for i in range(first, first + n)])

    def test_low(self):
        d, r = self.d, self.r
        d.ctl("subscription", "pause", "s")
        self.rows(0, 100)
        wait_for(lambda: d.counts()["held"] == 100)
        self.disk.leave(7 * MIB)
        wait_for(lambda: "outbox_disk_low" in d.log())
        self.rows(100, 100)
        d.ctl("subscription", "resume", "s")
        wait_for(lambda: d.counts()["delivered"] == 100)  # what is stored goes on
        self.assertEqual(len(set(r.ids())), 100)
        self.assertGreaterEqual(self.waiting(), 100)
        self.disk.clear()
        wait_for(lambda: d.counts()["delivered"] == 200)

    def test_full(self):
        d, r = self.d, self.r
        r.answer = lambda request, n: 503 if n < 20 else 200
        self.rows(0, 300)
        wait_for(lambda: len(r.requests) > 30)
        self.disk.leave(0)
        accepted, refused = set(), 0
        for i in range(1000):  # the first ones may find room in the log that is there
            if refused == 20:
                break
            status, _ = d.api("POST", "/events", {"type": "a.b", "id": f"h{i}", "data": {"fill": "y" * 20000}})
            if status == 202:
                accepted.add(f"h{i}")
            else:
                self.assertEqual(status, 507)
                refused += 1
        self.assertEqual(refused, 20)
        self.rows(300, 100)
        self.assertEqual(d.ctl("status", check=None, raw=True).returncode in (0, 1), True)
        self.disk.clear()
        expected = accepted | {f"e{i}" for i in range(400)}
        wait_for(lambda: expected <= set(r.ids()), 60)
        wait_for(lambda: d.counts()["delivered"] >= len(expected), 60)
        self.assertIsNone(d.process.poll())
        self.assertEqual(d.stop(), 0)
        d.start()

    def test_full_at_start(self):
        d = self.d
        self.rows(0, 50)
        wait_for(lambda: d.counts()["delivered"] == 50)
        d.kill()
        self.disk.leave(0)
        d.spawn()
        wait_for(lambda: d.process.poll() is not None or d.log().count("event=ready") == 2)
        if d.process.poll() is None:  # it serves: what it cannot store waits
            self.rows(50, 50)
            self.disk.clear()
            wait_for(lambda: d.counts()["delivered"] == 100)
        else:
            self.assertIn("start_failed", d.log())
            self.disk.clear()
            d.start()

    def test_read_only(self):
        d = self.d
        self.assertEqual(d.stop(), 0)
        self.assertTrue(mount("-o", "remount,ro", self.disk.path))
        d.spawn()
        self.assertNotEqual(d.process.wait(30), 0)
        self.assertIn("start_failed", d.log())
        self.assertTrue(mount("-o", "remount,rw", self.disk.path))
        d.start()
        self.rows(0, 10)
        wait_for(lambda: d.counts()["delivered"] == 10)


if __name__ == "__main__":
    unittest.main()
