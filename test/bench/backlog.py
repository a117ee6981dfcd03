"""A backlog: what it takes from throughput, memory and start-up. The same daemon, endpoints and number of deliveries, with next to nothing
else due and with all of it, turn about: over all endpoints, on one that is down beside others that are well, and retries in random order.

The stores are made by SQL (big.py). A round lets the daemon go, looks at a stretch of deliveries, the same in each case, and pauses; the
next round goes on from there. The stretch begins when every endpoint has had some, so that connections are open, and ends while all still
have some: neither start nor end is in it. At the end events come in at a steady rate for an endpoint that is well, beside what is due on the
one that is down and beside nothing, turn about: commit to first byte."""
import re
import time

import big
import harness
import measure as kit
from latency import Producer
from report import at_least, at_most

ENDPOINTS, RATE = 1000, 1000
CONF = "delivery: {max_in_flight: 512}\n"
DEAD = f"http://127.0.0.1:{harness.free_port()}/"  # nobody listens there: refused at once
CASES = {"spread": "over all endpoints", "dead": "on one that is down, the others well", "random": "retries, due in random order"}


class Stocked:
    """A daemon, stopped, egress paused, with a store of so many deliveries. sub, due: SQL as in big.deliveries()."""

    def __init__(self, url, n, sub=f"first + i % {ENDPOINTS}", dead=False, due="now", state=0, beside=None):
        self.d = harness.Daemon(CONF, replace=kit.BELL)
        self.d.subscribe(url, "--name", "first", events="backlog.*")
        self.d.api("POST", "/egress/pause", {"note": "bench"})
        self.d.stop()
        with big.opened(self.d) as db:
            big.subscriptions(db, ENDPOINTS - 1, url="s.url", patterns="'backlog.*'")
            if dead:
                db.execute("UPDATE subscription SET url = ? WHERE num = (SELECT max(num) FROM subscription)", (DEAD,))
            big.deliveries(db, n, sub, due=due, state=state)
            if beside:
                big.deliveries(db, *beside)

    def close(self):
        self.d.kill()
        self.d.close()


def look(d):
    """Where it stands: when, how many are done, connections opened, CPU by thread."""
    text = d.metrics()

    def count(name):
        return int(re.search(rf"^{name} (\d+)", text, re.M).group(1))
    return {"at": time.monotonic(), "done": count('webhookd_deliveries_completed_total{result="delivered"}'),
            "opened": count("webhookd_connections_opened_total"), "threads": kit.threads_cpu_s(d.process.pid)}


def run_for(d, n):
    """A stretch of n deliveries: their rate, CPU and connections of each, memory before and at its peak."""
    d.start()
    harness.wait_for(lambda: d.unsettled() > 0, what="it has its backlog")
    pid = d.process.pid
    rest = kit.rss_mib(pid)["VmRSS"]
    assert d.api("POST", "/egress/resume")[0] == 200
    kit.wait_completed(d, n // 3)
    a = look(d)
    kit.wait_completed(d, n // 3 + n)
    b = look(d)
    assert d.api("POST", "/egress/pause", {"note": "bench"})[0] == 200
    peak = kit.rss_mib(pid)["VmHWM"]
    d.stop()
    done = b["done"] - a["done"]
    used = {name.rsplit("-", 1)[0]: (s - a["threads"].get(name, 0)) / done * 1e6 for name, s in b["threads"].items()}
    return {"per_s": done / (b["at"] - a["at"]), "cpu_us": sum(used.values()), "threads_us": used, "opened": (b["opened"] - a["opened"]) / done,
            "rest_mib": rest, "peak_mib": peak}


def first_delivery(d):
    """Seconds from the start of the process until the outcome of a delivery is in the store."""
    d.ctl("egress", "resume")
    begun = time.monotonic()
    d.start()
    harness.wait_for(lambda: kit.completed(d) > 0, what="the first delivery")
    took = time.monotonic() - begun
    d.kill()
    return took


class Live:
    """Events at a rate for one more endpoint."""

    def __init__(self, run, d):
        self.receiver = kit.Receiver(run.build)
        d.start()
        assert d.api("POST", "/egress/resume")[0] == 200
        d.subscribe(f"http://127.0.0.1:{self.receiver.port}/", "--name", "live", events="order.*")
        self.producer = Producer(run.build, f"{d.dir}/outbox/outbox.db", f"{d.dir}/bell")

    def close(self, blocks):
        self.producer.close()
        seen = self.receiver.first_us()
        return [[seen[n] - us for n, (_, us) in block.items() if n in seen] for block in blocks]


def live_beside(run, dead, n, url):
    """p50 and p99 of each round, beside n on the one that is down and beside nothing that is due."""
    none, rounds = Stocked(url, 1), run.pick(3, 7)
    blocks, lives = {"alone": [], "dead": []}, {}
    try:
        for k, d in (("alone", none.d), ("dead", dead)):
            lives[k] = Live(run, d)
        harness.wait_for(lambda: dead.unsettled() <= n and none.d.unsettled() == 0, 60, "the others have nothing due any more")
        for live in lives.values():
            live.producer.run(RATE, RATE // 4)
        for _ in range(rounds):
            for k, live in lives.items():
                blocks[k].append(live.producer.run(RATE, RATE))
        took = {k: live.close(blocks[k]) for k, live in lives.items()}
    finally:
        none.close()
    return {k: {f"p{p}_us": [kit.percentile(block, p) for block in x] for p in (50, 99)} for k, x in took.items()}


def measure(run):
    n, part, rounds = run.pick(100_000, 1_000_000), run.pick(6_000, 30_000), run.pick(3, 7)
    with kit.Nginx(False) as nginx:
        url = nginx.url
        run.progress(f"making stores of {n} deliveries")
        live = (2 * part * (rounds + 1), f"first + i % {ENDPOINTS - 1}")
        make = {"spread": lambda: Stocked(url, n),
                "dead": lambda: Stocked(url, n, f"first + {ENDPOINTS - 1}", dead=True, beside=live),
                "random": lambda: Stocked(url, n, due="now - (i * 7919 % 1000003)", state=2)}
        out = {"n": n, "part": part, "endpoints": ENDPOINTS, "empty": []}
        made = {}
        try:
            for k in (k for k in make if run.wants(k)):
                made[k], out[k] = make[k](), []
            for i in range(rounds):
                run.progress(f"round {i + 1} of {rounds}")
                few = Stocked(url, 2 * part)
                out["empty"].append(run_for(few.d, part))
                few.close()
                for k, s in made.items():
                    out[k].append(run_for(s.d, part))
            run.progress("start, and events beside what is due on the one that is down")
            out["start_s"] = {k: first_delivery(s.d) for k, s in made.items()}
            if "dead" in made:
                out["live"] = live_beside(run, made["dead"].d, n, url)
        finally:
            for s in made.values():
                s.close()
    return out


def show(result, table):
    table.head(5, f"{result['n']:,} due", f"deliveries to {result['endpoints']} endpoints, of the same with nothing else due")
    empty, cases = result["empty"], [k for k in CASES if k in result]
    table.add("nothing else due", [r["per_s"] for r in empty], "/s", digits=0)
    table.add("  CPU of a delivery", [r["cpu_us"] for r in empty], "us")
    for k in cases:
        table.add(CASES[k], [r["per_s"] / e["per_s"] for r, e in zip(result[k], empty)], bar=at_least(0.9))
        table.add("  CPU of a delivery", [r["cpu_us"] / e["cpu_us"] for r, e in zip(result[k], empty)])
    if "random" in result:
        used = [r["threads_us"] for r in result["random"]]
        table.add("  CPU of the store's writer for one, to the loop's", [t["store-write"] / t["loop"] for t in used], bar=at_most(1))
    if "live" in result:
        alone, dead = result["live"]["alone"], result["live"]["dead"]
        table.add(f"{RATE} live events a second, commit to first byte, p99", alone["p99_us"], "us", digits=0)
        table.add("  beside what is due on one that is down", [x / y for x, y in zip(dead["p99_us"], alone["p99_us"])], bar=at_most(1.2))
    table.add("RSS at rest", [r["rest_mib"] for k in cases for r in result[k]], "MiB", bar=at_most(64), digits=0)
    table.add("RSS at full speed, its peak", [r["peak_mib"] for k in cases for r in result[k]], "MiB", bar=at_most(128), digits=0)
    table.add("start to the first delivery", list(result["start_s"].values()), "s", bar=at_most(2), digits=2)
