"""What live traffic feels of the operators' large jobs: commit to first byte at the receiver while many letters are exported, purged,
restored, imported, counted, and many open deliveries discarded, against the same a moment before. LETTERS of them, RATE events a second
beside, the jobs turn about with quiet times of SECONDS; the ratio of each is told. (The machine's two cores are shared with webhookctl, the
producer and the receiver: what is told is what all of them cost together.)"""
import os
import statistics
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import measure
from harness import BUILD, WEBHOOKCTL, Daemon, Receiver, wait_for
from letters import Letters

LETTERS, RATE, SECONDS, ROUNDS = (int(os.environ.get(k, v)) for k, v in (("LETTERS", 20000), ("RATE", 100), ("SECONDS", 5), ("ROUNDS", 3)))
JOBS = os.environ.get("JOBS", "export,look,purge,restore,purge again,import,discard").split(",")
CONF = "retry: {default: {max_retries: 0}}\nbreaker: {min_failures: 1000000}\n"


class Beside(unittest.TestCase):
    def phase(self, name, do):
        begun = time.time() * 1e6
        do()
        self.spans.append((name, begun, time.time() * 1e6))

    def ctl(self, *args, check=0):
        done = subprocess.run([WEBHOOKCTL, "-c", self.d.conf, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, check, done.stderr)
        return done.stderr

    def jobs(self, file):
        n, job = f"--confirm={LETTERS}", []
        yield "export", lambda: self.ctl("dlq", "export", "-f", os.environ.get("OUT", f"{self.d.dir}/out"), "--force")
        yield "look", lambda: self.ctl("dlq", "purge", "--all", "--dry-run")
        yield "purge", lambda: job.append(self.ctl("dlq", "purge", "--all", n).split("dlq restore ")[1].split()[0])
        yield "restore", lambda: self.ctl("dlq", "restore", job[0])
        yield "purge again", lambda: self.ctl("dlq", "purge", "--all", n)
        yield "import", lambda: self.ctl("dlq", "import", "-f", file)

    def discard(self):
        """Held by a paused subscription."""
        self.d.ctl("delivery", "discard", "-s", "held", "--yes")

    def rounds(self, file):
        for _ in range(ROUNDS):
            for name, do in self.jobs(file):
                if name not in JOBS:
                    continue
                self.phase("alone", lambda: time.sleep(SECONDS))
                self.phase(name, do)
            if "discard" in JOBS:
                self.held()
                self.phase("alone", lambda: time.sleep(SECONDS))
                self.phase("discard", self.discard)

    def held(self):
        first = self.made
        self.made += LETTERS
        for start in range(first, self.made, 2000):
            self.d.insert(*[dict(type="held.x", payload={"i": i}) for i in range(start, min(start + 2000, self.made))])
        wait_for(lambda: self.d.counts()["held"] >= LETTERS, 120)

    def produce(self, receiver):
        producer = measure.Producer(f"{self.d.dir}/outbox/outbox.db")
        while not self.over.is_set():
            producer.run(RATE, RATE // 5)
        wait_for(lambda: measure.completed(self.d) >= producer.n, 60)
        self.committed = producer.committed_us
        self.seen = receiver.first_us()

    def test_live_traffic_beside_large_jobs(self):
        with Daemon(CONF) as d, Receiver(503) as dead:
            d.ctl("log", "level", "warn")
            self.d, self.spans, self.over, self.made = d, [], threading.Event(), 0
            file = Letters(d, dead).file(LETTERS)
            d.ctl("dlq", "import", "-f", file)
            self.assertEqual(d.ctl("dlq", "count"), f"{LETTERS}\n")
            d.subscribe(dead.url, "--name", "held", events="held.*")
            d.ctl("subscription", "pause", "held")
            receiver = measure.Receiver(BUILD)
            d.subscribe(f"http://127.0.0.1:{receiver.port}/", "--name", "live", events="order.*")
            live = threading.Thread(target=self.produce, args=(receiver,))
            live.start()
            try:
                self.rounds(file)
            finally:
                self.over.set()
                live.join()
            self.tell()

    def took(self, name):
        spans = [(a, b) for x, a, b in self.spans if x == name]
        return sorted((self.seen[n] - us) / 1000 for n, us in self.committed.items() if n in self.seen and any(a <= us < b for a, b in spans))

    def tell(self):
        def p(values, percent):
            return statistics.quantiles(values, n=1000, method="inclusive")[percent * 10 - 1]
        alone, slow = self.took("alone"), []
        print(f"\n{'':12} {'n':>6} {'seconds':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}  ratio of p50, p99", file=sys.stderr)
        for name in dict.fromkeys(x for x, _, _ in self.spans):
            t, seconds = self.took(name), [(b - a) / 1e6 for x, a, b in self.spans if x == name]
            if len(t) < 10:
                continue
            ratio = p(t, 99) / p(alone, 99)
            print(f"{name:12} {len(t):6} {statistics.mean(seconds):8.2f} {p(t, 50):8.2f} {p(t, 99):8.2f} {t[-1]:8.2f}  {p(t, 50) / p(alone, 50):.2f} {ratio:.2f}",
                  file=sys.stderr)
            slow += [name] if p(t, 99) > max(5 * p(alone, 99), 100) else []
        self.assertEqual(slow, [])


if __name__ == "__main__":
    unittest.main()
