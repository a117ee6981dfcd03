"""What live traffic feels of an operator's large job: commit to first byte at the receiver while dead letters are replayed, exported, purged,
restored or imported, turn about with the same alone. Each round's job takes some of the letters; the store holds all the others meanwhile.

The machine's cores are shared with webhookctl, the producer and the receivers: how much of them a job took, in webhookctl and in webhookd, is told."""
import itertools
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
        """Of each stretch of that name: how long its events were on their way."""
        events = [(at, self.seen[n] - at) for n, (_, at) in self.producer.stamps.items() if n in self.seen]
        return [[us for at, us in events if a <= at < b] for x, a, b in self.spans if x == name]


class Jobs:
    """Those of an operator, as they are typed, on the next so many letters; in_store of the file's are imported first."""

    def __init__(self, d, file, in_store):
        self.d, self.file, self.ids = d, open(file), []
        self.load(in_store)

    def ctl(self, *args):
        done = subprocess.run([harness.WEBHOOKCTL, "-c", self.d.conf, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"bench: webhookctl {' '.join(args)}: {done.stderr}")
        return done.stderr

    def load(self, n):
        path = f"{self.d.dir}/part"
        with open(path, "w") as f:
            f.writelines(itertools.islice(self.file, n))
        self.ctl("dlq", "import", "-f", path)

    def export(self, n):
        self.ctl("dlq", "export", "--all", f"--limit={n}", "-f", f"{self.d.dir}/out", "--force")

    def purge(self, n):
        self.ids.append(self.ctl("dlq", "purge", "--all", f"--limit={n}", f"--confirm={n}").split("dlq restore ")[1].split()[0])

    def restore(self, n):
        self.ctl("dlq", "restore", self.ids.pop())

    def replay(self, n):
        self.ctl("dlq", "replay", "--all", f"--limit={n}", "--yes")


def turns(run, live, jobs, name, n, rounds, quiet_s):
    do = {"import": jobs.load, "export": jobs.export, "purge": jobs.purge, "restore": jobs.restore, "replay": jobs.replay}[name]
    seconds, cores = [], []
    for i in range(rounds):
        run.progress(f"{name} of {n} letters: {i + 1} of {rounds}")
        alone = live.stretch(f"{name} alone", lambda: time.sleep(quiet_s))
        begun = time.monotonic()
        cores.append(live.stretch(name, lambda: do(n)) - alone)
        seconds.append(time.monotonic() - begun)
    return {"letters": n, "seconds": seconds, "cores": cores}


def scene(run, in_store, sizes, rounds, quiet_s):
    """sizes: (job, how many letters a round)"""
    with harness.Daemon(CONF, replace=kit.BELL) as d, harness.Receiver(503) as dead:
        letters, target = Letters(d, dead), kit.Receiver(run.build)
        run.progress(f"import of {in_store} letters")
        jobs = Jobs(d, letters.file(in_store + sum(n * rounds for name, n in sizes if name == "import")), in_store)
        d.ctl("subscription", "set", "acme", "--url", f"http://127.0.0.1:{target.port}/")
        os.sync()  # what was written so far is nobody's cost later
        live = Live(run.build, d)
        try:
            time.sleep(1)
            out = {name: turns(run, live, jobs, name, n, rounds, quiet_s) for name, n in sizes}
        finally:
            live.close()
            target.process.terminate()
        for name in out:
            for stretch, key in ((f"{name} alone", "alone"), (name, "beside")):
                took = live.took(stretch)
                out[name][key] = {"n": sum(map(len, took)), **{f"p{p}_us": [kit.percentile(t, p) for t in took] for p in (50, 99)}}
        return {"in_store": in_store, "jobs": out}


def measure(run):
    if run.full:
        return scene(run, 1_000_000, (("import", 20_000), ("export", 60_000), ("purge", 15_000), ("restore", 15_000), ("replay", 2_000)), 7, 5)
    return scene(run, 30_000, (("export", 9_000), ("purge", 2_500), ("restore", 2_500), ("replay", 500)), 3, 1)


def show(result, table):
    table.head(9, f"{RATE} live events a second beside a job on some of {result['in_store']:,} dead letters", "commit to first byte beside the job to alone")
    for name, x in result["jobs"].items():
        speed = statistics.median(x["letters"] / s for s in x["seconds"])
        table.add(f"{name} ({speed:,.0f} letters/s, {statistics.median(x['cores']):.2f} cores): alone, p99", x["alone"]["p99_us"], "us")
        for p, bar in ((50, None), (99, at_most(1.2))):
            table.add(f"{name}: beside to alone, p{p}", [b / a for a, b in zip(x["alone"][f"p{p}_us"], x["beside"][f"p{p}_us"])], bar=bar)
