"""A steady stream: a producer commits rows beside the daemon, which delivers them as they come. What does an event cost from end to end?

The sum of all threads of webhookd: noticing, reading the outbox, syncing its log, intake, commit, signing, sending, settling, trimming the
outbox. The producer (this process) and nginx are not in it; nginx's share is told."""
import contextlib
import statistics
import time

import harness
import measure as kit

ROUNDS = 7
STREAMS = ((500, 1), (5000, 50))  # events a second, rows a transaction


def produce(db, rate, rows, seconds):
    """Commits, synchronous=FULL; behind its time it goes on at once. How many."""
    start, commits = time.monotonic(), rate * seconds // rows
    for i in range(commits):
        time.sleep(max(0, start + i * rows / rate - time.monotonic()))
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO outbox(type, payload) VALUES ('order.executed', ?)", [(kit.payload(k),) for k in range(rows)])
        db.execute("COMMIT")
    return commits * rows


def measure(run):
    seconds, out = run.pick(1, 10), [{"rate": rate, "rows": rows, "rounds": []} for rate, rows in STREAMS]
    with kit.Nginx() as nginx, harness.Daemon(replace=kit.CONF) as d, contextlib.closing(d.outbox()) as db:
        db.execute("PRAGMA synchronous = FULL")
        d.subscribe(nginx.url, "--name", "bench")
        done = produce(db, 500, 1, 1)  # connections are open, caches are filled
        for i in range(ROUNDS):
            for stream in out:
                run.progress(f"{stream['rate']} events/s, round {i + 1} of {ROUNDS}")
                kit.wait_completed(d, done)
                ours, its, start = kit.threads_cpu_s(d.process.pid), nginx.cpu_s(), time.monotonic()
                n = produce(db, stream["rate"], stream["rows"], seconds)
                done += n
                kit.wait_completed(d, done)
                took, now = time.monotonic() - start, kit.threads_cpu_s(d.process.pid)
                parts = [(now[t] - ours.get(t, 0)) / n * 1e6 for t in now]
                stream["rounds"].append({"per_s": n / took, "cpu_us": sum(parts), "loop_us": (now["loop"] - ours["loop"]) / n * 1e6,
                                         "nginx_us": (nginx.cpu_s() - its) / n * 1e6})
    return {"streams": out}


def show(result, table):
    table.head(2, "a steady stream", "CPU of one event from the producer's commit to the committed outcome, all threads of webhookd, over HTTP")
    for stream in result["streams"]:
        rounds = stream["rounds"]
        name = f"{stream['rate']:,} events/s, {stream['rows']} a transaction"
        table.add(name, [r["cpu_us"] for r in rounds], "us")
        table.note(f"of it on the loop {statistics.median(r['loop_us'] for r in rounds):.0f} us; came to {statistics.median(r['per_s'] for r in rounds):,.0f} "
                   f"events/s; nginx beside it {statistics.median(r['nginx_us'] for r in rounds):.0f} us")
