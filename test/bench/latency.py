"""From the return of a producer's COMMIT to the first byte at the receiver, and what webhookd costs that producer's commit.

Turn about, a producer (test/bench/producer.c) commits at a rate into an outbox that is served and into one like it that nobody watches. The yardstick
is fdatasync of the same disk beside the latter: two log frames written over a file of the size of a log, which is what the producer's one-row commit
makes the disk do, at a steady hundred a second. So it is the sync at this load of the producer's, without webhookd's. The receiver
(latency_receiver.c) stamps the first byte of each request."""
import json
import os
import random
import statistics
import subprocess
import tempfile
import threading
import time

import harness
import measure as kit
from report import at_most

RATES = (200, 1000, 3000)
GOALS = ((50, 2, 300), (99, 4, 2000))  # so many times fdatasync's, so many us more
FRAME, LOG_BYTES = 4096 + 24, 4 << 20


class Producer:
    """One event a transaction, synchronous=FULL."""

    def __init__(self, build, file, bell=None):
        self.n, self.stamps = 0, {}
        self.process = subprocess.Popen([f"{build}/bench/producer", file, *([bell] if bell else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, rate, commits):
        """Stamps of the block: {n: (began, committed)}."""
        self.process.stdin.write(f"{rate} {commits} {self.n}\n")
        self.process.stdin.flush()
        block = {}
        for line in iter(self.process.stdout.readline, ".\n"):
            if not line:
                raise SystemExit("bench: the producer failed")
            n, began, committed = map(int, line.split())
            block[n] = (began, committed)
        self.n += commits
        self.stamps.update(block)
        return block

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Probe(threading.Thread):
    """fdatasync of what a one-row commit writes, a hundred times a second until it is told to end."""

    def __init__(self, folder):
        super().__init__()
        self.took, self.over = [], threading.Event()
        self.fd = os.open(f"{folder}/probe", os.O_CREAT | os.O_WRONLY, 0o600)
        if os.fstat(self.fd).st_size < LOG_BYTES:
            os.write(self.fd, bytes(LOG_BYTES))
            os.fsync(self.fd)

    def run(self):
        while not self.over.wait(0.01):
            os.pwrite(self.fd, b"x" * 2 * FRAME, random.randrange(LOG_BYTES // FRAME - 2) * FRAME)
            start = time.perf_counter()
            os.fdatasync(self.fd)
            self.took.append((time.perf_counter() - start) * 1e6)

    def __enter__(self):
        self.start()
        return self.took

    def __exit__(self, *_):
        self.over.set()
        self.join()
        os.close(self.fd)


def rate_of(block):
    first, last = min(block), max(block)
    return (len(block) - 1) / max(block[last][1] - block[first][1], 1) * 1e6


class Cell:
    """What was seen at one rate."""

    def __init__(self, rate):
        self.rate, self.blocks, self.syncs, self.offered, self.ratios = rate, {"alone": [], "served": []}, [], [], []

    def ran(self, who, block):
        self.blocks[who].append(block)
        if who == "served":
            self.offered.append(rate_of(block))

    def commits(self, who, blocks):
        return [committed - began for block in blocks for began, committed in block.values()]

    def row(self, doorbell, seen):
        took = [seen[n] - committed for block in self.blocks["served"] for n, (_, committed) in block.items() if n in seen]
        p50 = {who: [kit.percentile(self.commits(who, [b]), 50) for b in blocks] for who, blocks in self.blocks.items()}
        row = {"rate": self.rate, "doorbell": doorbell, "offered": statistics.median(self.offered), "n": len(took),
               "missed": sum(map(len, self.blocks["served"])) - len(took),
               "commit_ratios_p50": [s / a for s, a in zip(p50["served"], p50["alone"])]}
        for p, times, more in GOALS:
            sync = kit.percentile(self.syncs, p)
            row.update({f"p{p}_us": kit.percentile(took, p), f"fdatasync_p{p}_us": sync, f"goal_p{p}_us": times * sync + more + (0 if doorbell else 1000)})
            row.update({f"commit_{who}_p{p}_us": kit.percentile(self.commits(who, blocks), p) for who, blocks in self.blocks.items()})
        return row


def latency(build, doorbell, rounds, seconds, rates=RATES, tell=lambda text: None):
    """Short blocks, the rates turn about: a neighbour's burst on the disk spoils one block, not a row."""
    receiver, cells = kit.Receiver(build), [Cell(rate) for rate in rates]
    with harness.Daemon(replace=kit.BELL if doorbell else kit.CONF) as d:
        d.subscribe(f"http://127.0.0.1:{receiver.port}/")
        d.ctl("outbox", "init", f"{d.dir}/alone.db", "--wal")
        bells = (f"{d.dir}/nobody", f"{d.dir}/bell") if doorbell else (None, None)
        producers = {"alone": Producer(build, f"{d.dir}/alone.db", bells[0]), "served": Producer(build, f"{d.dir}/outbox/outbox.db", bells[1])}
        for producer in producers.values():
            producer.run(200, 100)  # files grow, a connection opens
        for i in range(rounds):
            for cell in cells:
                tell(f"latency at {cell.rate}/s {'with' if doorbell else 'without'} doorbell: {i + 1} of {rounds}")
                with Probe(d.dir) as syncs:
                    cell.ran("alone", producers["alone"].run(cell.rate, int(cell.rate * seconds)))
                cell.syncs += syncs
                cell.ran("served", producers["served"].run(cell.rate, int(cell.rate * seconds)))
                harness.wait_for(lambda: kit.completed(d) >= producers["served"].n, 60, "all delivered")
        for producer in producers.values():
            producer.close()
        seen = receiver.first_us()
    return [cell.row(doorbell, seen) for cell in cells]


def notice(build, rate, seconds, doorbell):
    with tempfile.TemporaryDirectory(prefix="webhookd-bench-") as folder:
        done = subprocess.run([f"{build}/bench/notice", folder, str(rate), str(seconds), *(["doorbell"] if doorbell else [])],
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit("bench: notice: " + done.stderr)
        return {"rate": rate, "doorbell": doorbell, **json.loads(done.stdout)}


def measure(run):
    rounds, seconds = run.pick((2, 1), (10, 2))
    rows = [row for doorbell in (True, False) for row in latency(run.build, doorbell, rounds, seconds, tell=run.progress)]
    run.progress("how soon a row is noticed")
    return {"rates": rows, "notice": [notice(run.build, 200, run.pick(2, 10), doorbell) for doorbell in (True, False)]}


def show(result, table):
    table.head(4, "commit to first byte", "beside fdatasync under the same producer's load, without webhookd")
    for row in result["rates"]:
        name = f"{row['rate']}/s {'with' if row['doorbell'] else 'without'} doorbell"
        if row["offered"] < row["rate"] * 0.98:
            table.note(f"{name}: the producer reached {row['offered']:.0f}/s")
        for p, times, more in GOALS:
            table.add(f"fdatasync, p{p}", row[f"fdatasync_p{p}_us"], "us")
            table.add(f"{name}, p{p}", row[f"p{p}_us"], "us")
            limit = f"{times} x fdatasync's + {(more + (not row['doorbell']) * 1000) / 1000:g} ms"
            table.add(f"{name}: p{p} to {limit}", row[f"p{p}_us"] / row[f"goal_p{p}_us"], bar=at_most(1))
    table.head(4, "the producer", "its part of the way, and its commit into an outbox that webhookd serves beside one that nobody watches")
    for x in result["notice"]:
        for p in (50, 99):
            table.add(f"row noticed, read, its log synced, {'with' if x['doorbell'] else 'without'} doorbell, p{p}", x[f"p{p}_us"], "us")
    for row in result["rates"]:
        name = f"its commit at {row['rate']}/s {'with' if row['doorbell'] else 'without'} doorbell"
        table.add(f"{name}, unwatched, p50", row["commit_alone_p50_us"], "us")
        table.add(f"{name}, served to unwatched", row["commit_ratios_p50"], bar=at_most(1.1))
