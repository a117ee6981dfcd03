"""Many dead letters go out, away, back and out again beside live traffic: what is written is the same, live deliveries do not notice,
nobody's memory grows, a replay keeps its rate, and a second operator is told to wait. Whole letters, with payloads and attempts (LETTERS of
them), that were imported."""
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
from harness import WEBHOOKCTL, Daemon, Receiver, wait_for
from letters import Letters

LETTERS = int(os.environ.get("LETTERS", "40000"))
CONF = "retry: {default: {max_retries: 0}}\nbreaker: {min_failures: 1000000}\ndelivery: {max_in_flight: 256}\n"
MIB = 1 << 20
DAEMON_MAX, CTL_MAX = 128 * MIB, 64 * MIB


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


class Live:
    """50 events a second to an endpoint that is well, and how long each was on its way."""

    def __init__(self, d, r):
        self.d, self.r, self.n, self.sent, self.over = d, r, 0, {}, threading.Event()
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self):
        while not self.over.wait(0.02):
            self.n += 1
            self.sent[f"live-{self.n}"] = time.time()
            self.d.emit("live.tick", event_id=f"live-{self.n}")

    def p99(self, since, until):
        with self.r.lock:
            at = {x.id: x.at for x in self.r.requests}
        took = sorted(at[i] - t for i, t in list(self.sent.items()) if since <= t < until and i in at)
        return statistics.quantiles(took, n=100)[98]


class Million(unittest.TestCase):
    def setUp(self):
        self.d, self.dead, self.live_end = Daemon(CONF), Receiver(503), Receiver()
        self.addCleanup(self.d.close)
        self.addCleanup(self.dead.close)
        self.addCleanup(self.live_end.close)
        self.d.ctl("log", "level", "warn")
        self.d.subscribe(self.live_end.url, "--name", "live", events="live.*")
        file, begun = Letters(self.d, self.dead).file(LETTERS), time.time()
        self.d.ctl("dlq", "import", "-f", file)
        print(f"\n{LETTERS} letters, imported in {time.time() - begun:.1f} s")

    def run_ctl(self, *args, check=0):
        """Its memory is looked at while it runs."""
        begun, most = time.time(), 0
        with subprocess.Popen([WEBHOOKCTL, "-c", self.d.conf, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as p:
            while p.poll() is None:
                try:
                    most = max(most, rss(p.pid))
                except (FileNotFoundError, ProcessLookupError, IndexError):
                    break
                self.peak = max(self.peak, rss(self.d.process.pid))
                time.sleep(0.02)
            said = p.stderr.read()
            self.assertEqual(p.wait(), check, said)
        self.assertLess(most, CTL_MAX, args)
        return said, begun, time.time()

    def test_out_away_back_beside_live_traffic(self):
        d, self.peak = self.d, 0
        live = Live(d, self.live_end)
        self.addCleanup(live.over.set)
        begun = time.time()
        wait_for(lambda: live.n >= 250)
        alone = live.p99(begun, time.time())
        before = rss(d.process.pid)
        one, two, n = f"{d.dir}/one", f"{d.dir}/two", str(LETTERS)
        steps = (("export", ["dlq", "export", "-f", one]), ("purge", ["dlq", "purge", "-s", "acme", f"--confirm={n}"]), ("restore", None),
                 ("purge again", ["dlq", "purge", "-s", "acme", f"--confirm={n}"]), ("import", ["dlq", "import", "-f", one]),
                 ("export again", ["dlq", "export", "-f", two]))
        job = None
        for name, args in steps:
            said, begun, ended = self.run_ctl(*(args or ["dlq", "restore", job]))
            if "dlq restore " in said:
                job = said.split("dlq restore ")[1].split()[0]
            p99 = live.p99(begun - 1, ended + 1)
            print(f"{name}: {ended - begun:.1f} s; live p99 {p99 * 1000:.1f} ms (alone {alone * 1000:.1f})")
            self.assertLess(p99, max(5 * alone, 0.25), name)
        with open(one, "rb") as x, open(two, "rb") as y:
            while a := x.read(MIB):
                self.assertEqual(a, y.read(MIB))
            self.assertEqual(y.read(1), b"")
        print(f"webhookd: {before // MIB} MiB before, {self.peak // MIB} at most")
        self.assertLess(self.peak, DAEMON_MAX)
        self.assertLess(self.peak - before, 32 * MIB)

        self.dead.answer = 200
        for rate, count in ((50, 500), (200, 2000)):
            with self.dead.lock:
                self.dead.requests.clear()
            with open(f"{d.dir}/ids", "w") as f:
                f.write(d.ctl("-q", "dlq", "list", "--limit", str(count)))
            first = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "dlq", "replay", "--ids-from", f"{d.dir}/ids", "--rate", f"{rate}/s", "--yes"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wait_for(lambda: len(self.dead.requests) > 5)
            d.ctl("dlq", "replay", "-s", "acme", "--yes", check=75)
            self.assertEqual(first.communicate(timeout=120) and first.returncode, 0)
            at = sorted(x.at for x in self.dead.requests)
            self.assertEqual(len(at), count)
            middle = at[len(at) // 5:]  # what comes after the canary
            measured = (len(middle) - 1) / (middle[-1] - middle[0])
            print(f"--rate {rate}/s: {measured:.1f}/s measured; live p99 {live.p99(at[0], at[-1]) * 1000:.1f} ms")
            self.assertAlmostEqual(measured, rate, delta=rate * 0.05)


if __name__ == "__main__":
    unittest.main()
