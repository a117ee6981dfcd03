"""What live traffic feels of an operator's large job: commit to first byte at the receiver while many dead letters are replayed, exported, purged,
restored or imported, against the same a moment before and after it, in the same run.

The machine's cores are shared with webhookctl, the producer and the receivers. So each job has its control: a stretch in which plain busy loops take
as much of the cores as the job did, in webhookctl and in webhookd. What the job costs above that is what it costs in the daemon."""
import os
import resource
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
BURN = """import sys, time
share = float(sys.argv[1])
while True:
    end = time.perf_counter() + share * 0.002
    while time.perf_counter() < end:
        pass
    time.sleep((1 - share) * 0.002)"""


class Burn:
    """Busy loops that take so many cores."""

    def __init__(self, cores):
        shares = [min(1.0, cores - i) for i in range(8) if cores - i > 0.02]
        self.processes = [subprocess.Popen([sys.executable, "-c", BURN, str(s)]) for s in shares]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
            p.wait()


class Live:
    """RATE events a second, from before the first stretch until after the last; each stretch has a name."""

    def __init__(self, build, d):
        self.d, self.spans, self.over = d, [], threading.Event()
        self.receiver = kit.Receiver(build)
        d.subscribe(f"http://127.0.0.1:{self.receiver.port}/", "--name", "live", events="order.*")
        self.producer = Producer(build, f"{d.dir}/outbox/outbox.db", f"{d.dir}/bell")
        self.thread = threading.Thread(target=self.go)
        self.thread.start()

    def go(self):
        while not self.over.is_set():
            self.producer.run(RATE, RATE // 2)

    def stretch(self, name, do):
        """Runs it; the cores that webhookd and what it started took, above what webhookd takes at rest is not known: all of it."""
        def used():
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            return kit.cpu_seconds(self.d.process.pid) + children.ru_utime + children.ru_stime
        begun, cpu = time.time(), used()
        do()
        ended = time.time()
        self.spans.append((name, begun * 1e6, ended * 1e6))
        return (used() - cpu) / (ended - begun)

    def close(self):
        self.over.set()
        self.thread.join()
        self.producer.close()
        self.seen = self.receiver.first_us()

    def took(self, name):
        spans = [(a, b) for x, a, b in self.spans if x == name]
        return [self.seen[n] - us for n, (_, us) in self.producer.stamps.items() if n in self.seen and any(a <= us < b for a, b in spans)]


class Jobs:
    """Those on all letters, each as an operator types it; most: how long we look at it."""

    def __init__(self, d, file, n, most):
        self.d, self.file, self.n, self.most = d, file, n, most

    def ctl(self, *args):
        done = subprocess.run([harness.WEBHOOKCTL, "-c", self.d.conf, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"bench: webhookctl {' '.join(args)}: {done.stderr}")
        return done.stderr

    def export(self):
        self.ctl("dlq", "export", "-f", f"{self.d.dir}/out", "--force")

    def purge(self):
        self.job = self.ctl("dlq", "purge", "--all", f"--confirm={self.n}").split("dlq restore ")[1].split()[0]

    def restore(self):
        self.ctl("dlq", "restore", self.job)

    def load(self):
        self.ctl("dlq", "import", "-f", self.file)

    def replay(self):
        job = self.d.ctl("-q", "dlq", "replay", "--all", "--detach", "--yes").split()[0]
        end = time.monotonic() + self.most
        while time.monotonic() < end and self.d.json("job", "show", job)["state"] == "active":
            time.sleep(0.5)
        self.replayed = self.d.json("job", "show", job)
        if self.replayed["state"] == "active":
            self.d.ctl("job", "cancel", job)


def scene(run, n, names, quiet_s, most_s):
    with harness.Daemon(CONF, replace=kit.BELL) as d, harness.Receiver(503) as dead:
        letters, target = Letters(d, dead), kit.Receiver(run.build)
        file = letters.file(n)
        d.ctl("subscription", "set", "acme", "--url", f"http://127.0.0.1:{target.port}/")
        jobs, live, cores, seconds = Jobs(d, file, n, most_s), Live(run.build, d), {}, {}
        do = {"export": jobs.export, "purge": jobs.purge, "restore": jobs.restore, "import": jobs.load, "replay": jobs.replay}
        try:
            time.sleep(1)
            if names[0] != "import":
                jobs.load()
            for name in names:
                run.progress(f"{name} of {n} letters")
                alone = live.stretch(f"{name} alone", lambda: time.sleep(quiet_s))
                begun = time.monotonic()
                cores[name] = live.stretch(name, do[name]) - alone
                seconds[name] = time.monotonic() - begun
                live.stretch(f"{name} alone", lambda: time.sleep(quiet_s))
                with Burn(cores[name]):
                    live.stretch(f"{name} control", lambda: time.sleep(quiet_s * 2))
        finally:
            live.close()
            target.process.terminate()
        out = {}
        for name in names:
            out[name] = {"seconds": seconds[name], "cores": cores[name]}
            for stretch, key in ((f"{name} alone", "alone"), (name, "beside"), (f"{name} control", "control")):
                took = live.took(stretch)
                out[name][key] = {"n": len(took), **{f"p{p}_us": kit.percentile(took, p) for p in (50, 99)}, "max_us": max(took)}
        return {"letters": n, "jobs": out, "replayed": getattr(jobs, "replayed", None)}


def measure(run):
    if run.full:
        return scene(run, 1_000_000, ("import", "export", "purge", "restore", "replay"), 20, 120)
    return scene(run, 30_000, ("export", "purge", "restore", "replay"), 1.5, 4)


def show(result, table):
    table.head(9, f"{RATE} live events a second beside a job on {result['letters']:,} dead letters",
               "commit to first byte, p99, beside the job to alone; then beside busy loops of the job's CPU to alone")
    for name, x in result["jobs"].items():
        alone = x["alone"]["p99_us"]
        table.add(f"{name} ({x['seconds']:.1f} s, {x['cores']:.2f} cores): alone", alone, "us")
        table.add("beside to alone", x["beside"]["p99_us"] / alone, bar=at_most(1.2))
        table.add("control to alone", x["control"]["p99_us"] / alone)
