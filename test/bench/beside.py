"""What live traffic feels of an operator's large job: commit to first byte at the receiver while many dead letters are replayed, purged or
exported, turn about with the same alone. A job is begun before its stretch and ended after it: what is seen is the job, not its first moment."""
import contextlib
import glob
import os
import statistics
import subprocess
import sys
import threading
import time

import harness
import measure as kit
from latency import Producer
from report import at_most

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../soak"))
from letters import Letters

RATE = 200
CONF = "retry: {default: {max_retries: 0}}\nbreaker: {min_failures: 1000000}\n"
BEGUN_S = 0.3  # a job is in full swing


class Live:
    """RATE events a second, from before the first stretch until after the last; each stretch has a name."""

    def __init__(self, build, d):
        self.spans, self.over = [], threading.Event()
        self.receiver = kit.Receiver(build)
        d.subscribe(f"http://127.0.0.1:{self.receiver.port}/", "--name", "live", events="order.*")
        self.producer = Producer(build, f"{d.dir}/outbox/outbox.db", f"{d.dir}/bell")
        self.thread = threading.Thread(target=self.go)
        self.thread.start()

    def go(self):
        while not self.over.is_set():
            self.producer.run(RATE, RATE // 2)

    def stretch(self, name, seconds):
        begun = time.time()
        time.sleep(seconds)
        self.spans.append((name, begun * 1e6, time.time() * 1e6))

    def close(self):
        self.over.set()
        self.thread.join()
        self.producer.close()
        self.seen = self.receiver.first_us()

    def took(self, name):
        """Of each stretch of that name: how long its events were on their way."""
        events = [(at, self.seen[n] - at) for n, (_, at) in self.producer.stamps.items() if n in self.seen]
        return [[us for at, us in events if a <= at < b] for x, a, b in self.spans if x == name]


class Jobs:
    """Those of an operator, as they are typed, on all letters. Each is ended before it is over, and tells how many it did in a second."""

    def __init__(self, d, file, n):
        self.d, self.letter_bytes = d, os.path.getsize(file) / n
        d.ctl("dlq", "import", "-f", file)

    @contextlib.contextmanager
    def counted(self, per_s, count):
        before, begun = count(), time.monotonic()
        yield
        per_s.append((count() - before) / (time.monotonic() - begun))

    @contextlib.contextmanager
    def detached(self, per_s, *command):
        job = self.d.ctl("-q", *command, "--detach").split()[0]
        time.sleep(BEGUN_S)
        with self.counted(per_s, lambda: self.done(job)):
            yield
        self.d.ctl("job", "cancel", job)

    def done(self, job):
        return self.d.json("job", "show", job)["counts"]["done"]

    def replay(self, per_s):
        return self.detached(per_s, "dlq", "replay", "--all", "--yes")

    def purge(self, per_s):
        return self.detached(per_s, "dlq", "purge", "--all", f"--confirm={int(self.d.ctl('dlq', 'count'))}")

    @contextlib.contextmanager
    def export(self, per_s):
        ctl = subprocess.Popen([harness.WEBHOOKCTL, "-c", self.d.conf, "dlq", "export", "-f", f"{self.d.dir}/out", "--force"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(BEGUN_S)
        with self.counted(per_s, lambda: sum(map(os.path.getsize, glob.glob(f"{self.d.dir}/out*"))) / self.letter_bytes):
            yield
        if ctl.poll() is not None:
            raise SystemExit("bench: the export was over too soon")
        ctl.terminate()
        ctl.wait()


def measure(run):
    n, rounds, seconds = run.pick((30_000, 3, 1.5), (1_000_000, 7, 5))
    with harness.Daemon(CONF, replace=kit.BELL) as d, harness.Receiver(503) as dead:
        letters, target = Letters(d, dead), kit.Receiver(run.build)
        run.progress(f"import of {n} letters")
        jobs = Jobs(d, letters.file(n), n)
        d.ctl("subscription", "set", "acme", "--url", f"http://127.0.0.1:{target.port}/")
        os.sync()  # what was written so far is nobody's cost later
        live, out = Live(run.build, d), {}
        try:
            for name, job in (("replay", jobs.replay), ("purge", jobs.purge), ("export", jobs.export)):
                out[name] = {"letters_per_s": []}
                for i in range(rounds):
                    run.progress(f"{name} of {n} letters: {i + 1} of {rounds}")
                    live.stretch(f"{name} alone", seconds)
                    with job(out[name]["letters_per_s"]):
                        live.stretch(name, seconds)
                    time.sleep(BEGUN_S)
        finally:
            live.close()
            target.process.terminate()
    for name in out:
        for stretch, key in ((f"{name} alone", "alone"), (name, "beside")):
            took = live.took(stretch)
            out[name][key] = {"n": sum(map(len, took)), **{f"p{p}_us": [kit.percentile(t, p) for t in took] for p in (50, 99)}}
    return {"letters": n, "jobs": out}


def show(result, table):
    table.head(9, f"{RATE} live events a second beside a job on {result['letters']:,} dead letters", "commit to first byte, beside the job to alone")
    for name, x in result["jobs"].items():
        table.add(f"{name} ({statistics.median(x['letters_per_s']):,.0f} letters/s): alone, p99", x["alone"]["p99_us"], "us")
        for p, bar in ((50, None), (99, at_most(1.2))):
            table.add(f"{name}: beside to alone, p{p}", [b / a for a, b in zip(x["alone"][f"p{p}_us"], x["beside"][f"p{p}_us"])], bar=bar)
