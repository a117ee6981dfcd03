"""From the producer's commit to the first byte at the receiver, time-stamped there, beside fdatasync of the same disk; what the producer pays.

Short rounds, turn about, and the medians of them: a neighbour's burst on the disk spoils one round, not a row."""
import json
import subprocess
import tempfile

import harness
import measure as kit
from report import at_most

ROUNDS = 3
RATES = (200, 1000)


def commit_to_byte(build, rate, seconds, doorbell):
    receiver = kit.Receiver(build)
    with harness.Daemon(replace=kit.BELL if doorbell else kit.CONF) as d:
        d.subscribe(f"http://127.0.0.1:{receiver.port}/")
        producer = kit.Producer(f"{d.dir}/outbox/outbox.db", f"{d.dir}/bell" if doorbell else None)
        sync = kit.fdatasync_us(d.dir)
        offered = producer.run(rate, rate * seconds)
        sync += kit.fdatasync_us(d.dir)
        harness.wait_for(lambda: kit.completed(d) >= producer.n, 60, "all delivered")
        seen = receiver.first_us()
    took = [seen[n] - us for n, us in producer.committed_us.items() if n in seen]
    return {"rate": rate, "offered": offered, "doorbell": doorbell, "n": len(took), "p50_us": kit.percentile(took, 50), "p99_us": kit.percentile(took, 99),
            "fdatasync_p50_us": kit.percentile(sync, 50), "fdatasync_p99_us": kit.percentile(sync, 99)}


def commit_cost(build, rate, blocks):
    """A producer's commits into an outbox that is served and delivered, and into one like it that nobody watches, turn about."""
    receiver = kit.Receiver(build)
    with harness.Daemon(replace=kit.CONF) as d:
        d.subscribe(f"http://127.0.0.1:{receiver.port}/")
        d.ctl("outbox", "init", f"{d.dir}/alone.db", "--wal")
        served, alone = kit.Producer(f"{d.dir}/outbox/outbox.db"), kit.Producer(f"{d.dir}/alone.db")
        for _ in range(blocks):
            alone.run(rate, rate // 2)
            served.run(rate, rate // 2)
            harness.wait_for(lambda: kit.completed(d) >= served.n, 60, "all delivered")
        receiver.first_us()
    return {"rate": rate, **{f"{who}_p{p}_us": kit.percentile(x.commit_us, p) for who, x in (("alone", alone), ("served", served)) for p in (50, 99)}}


def notice(build, rate, seconds, doorbell):
    with tempfile.TemporaryDirectory(prefix="webhookd-bench-") as folder:
        done = subprocess.run([f"{build}/bench/notice", folder, str(rate), str(seconds), *(["doorbell"] if doorbell else [])],
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit("bench: notice: " + done.stderr)
        return {"rate": rate, "doorbell": doorbell, **json.loads(done.stdout)}


def measure(run):
    seconds, cells = run.pick(2, 10), {(rate, doorbell): [] for rate in RATES for doorbell in (True, False)}
    for i in range(ROUNDS):
        for (rate, doorbell), rounds in cells.items():
            run.progress(f"{rate}/s {'with' if doorbell else 'without'} doorbell, {i + 1} of {ROUNDS}")
            rounds.append(commit_to_byte(run.build, rate, seconds, doorbell))
    run.progress("how soon a row is noticed")
    noticed = [notice(run.build, 200, seconds * 2, doorbell) for doorbell in (True, False)]
    run.progress("what it costs the producer")
    return {"rates": [{"rate": rate, "doorbell": doorbell, "rounds": rounds} for (rate, doorbell), rounds in cells.items()],
            "notice": noticed, "commit": commit_cost(run.build, 200, seconds * 5)}


def show(result, table):
    table.head(4, "commit to first byte", "from the return of the producer's COMMIT to the first byte at the receiver, beside fdatasync of the same disk")
    for cell in result["rates"]:
        rounds, more = cell["rounds"], 0 if cell["doorbell"] else 1000
        name = f"{cell['rate']}/s {'with' if cell['doorbell'] else 'without'} doorbell"
        for p in (50, 99):
            table.add(f"fdatasync of this disk beside {name}, p{p}", [r[f"fdatasync_p{p}_us"] for r in rounds], "us")
            table.add(f"{name}, p{p}", [r[f"p{p}_us"] for r in rounds], "us")
        for p, times, plus in ((50, 2, 300), (99, 4, 2000)):
            limit = f"{times} x fdatasync's p{p} + {(plus + more) / 1000:g} ms"
            table.add(f"{name}: p{p} to {limit}", [r[f"p{p}_us"] / (times * r[f"fdatasync_p{p}_us"] + plus + more) for r in rounds], bar=at_most(1))
    table.head(4, "the producer", "its part of the way, and what webhookd costs it")
    for x in result["notice"]:
        for p in (50, 99):
            table.add(f"row noticed, read, its log synced, {'with' if x['doorbell'] else 'without'} doorbell, p{p}", x[f"p{p}_us"], "us")
    cost = result["commit"]
    for p in (50, 99):
        table.add(f"its commit into an outbox nobody watches, p{p}", cost[f"alone_p{p}_us"], "us")
        table.add(f"its commit into one that webhookd serves, p{p}", cost[f"served_p{p}_us"], "us")
    table.add("served to unwatched, p50", cost["served_p50_us"] / cost["alone_p50_us"], bar=at_most(1.1))
