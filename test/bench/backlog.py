"""A backlog of a million: what it takes from throughput, memory and start-up. The same daemon, endpoints and load, with next to nothing due
and with all of it, turn about; and all of it on one endpoint that is down, beside others that are well.

The stores are made by SQL (big.py). A round delivers a part of what is due and stops; the next one goes on from there."""
import os
import socket
import threading
import time

import big
import harness
import measure as kit
from report import at_least, at_most

ENDPOINTS = 1000
CONF = "delivery: {max_in_flight: 512}\n"
DEAD = "http://127.0.0.1:1/"  # nobody listens there: refused at once


class Stocked:
    """A daemon, stopped, with a store of so many deliveries. sub, due: SQL as in big.deliveries()."""

    def __init__(self, url, n, sub, dead=0, due="now", state=0, beside=None):
        self.d = harness.Daemon(CONF, replace=kit.CONF)
        self.d.subscribe(url, "--name", "first", events="backlog.*")
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


def run_for(d, n):
    """Starts it, waits for n deliveries: their rate, CPU of each, memory; and stops it."""
    begun = time.monotonic()
    d.start()
    pid, ready = d.process.pid, time.monotonic()
    rest = kit.rss_mib(pid)["VmRSS"]
    cpu, done = kit.cpu_seconds(pid), kit.completed(d)
    start = time.monotonic()
    kit.wait_completed(d, done + n)
    took, used = time.monotonic() - start, kit.cpu_seconds(pid) - cpu
    now = kit.completed(d) - done
    out = {"per_s": n / took, "cpu_us": used / max(now, n) * 1e6, "rest_mib": rest, "peak_mib": kit.rss_mib(pid)["VmHWM"], "ready_s": ready - begun}
    d.kill()
    return out


def first_delivery(d):
    """From the start of the process to the first connection at a receiver."""
    port, at = harness.free_port(), []
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(64)
        thread = threading.Thread(target=lambda: (s.accept(), at.append(time.monotonic())), daemon=True)
        thread.start()
        with big.opened(d) as db:
            before = db.execute("SELECT num, url FROM subscription").fetchall()
            db.execute("UPDATE subscription SET url = ? WHERE url <> ?", (f"http://127.0.0.1:{port}/", DEAD))
        begun = time.monotonic()
        d.spawn()
        thread.join(60)
        d.kill()
    with big.opened(d) as db:
        db.executemany("UPDATE subscription SET url = ? WHERE num = ?", [(url, num) for num, url in before])
    return at[0] - begun


def measure(run):
    n, part, rounds = run.pick(200_000, 1_000_000), run.pick(5_000, 20_000), run.pick(3, 7)
    with kit.Nginx(False) as nginx:
        url = nginx.url
        run.progress(f"making stores of {n} deliveries")
        cases = {"spread": lambda: Stocked(url, n, f"first + i % {ENDPOINTS}"),
                 "dead": lambda: Stocked(url, n, f"first + {ENDPOINTS - 1}", dead=1,
                                         beside=(part * (rounds + 1), f"first + i % {ENDPOINTS - 1}")),
                 "random": lambda: Stocked(url, n, f"first + i % {ENDPOINTS}", due="now - (i * 7919 % 1000003)", state=2)}
        out = {"n": n, "part": part, "endpoints": ENDPOINTS, "empty": [], "start_s": {}}
        made = {k: f() for k, f in cases.items()}
        try:
            for i in range(rounds):
                run.progress(f"round {i + 1} of {rounds}")
                few = Stocked(url, part + part // 2, f"first + i % {ENDPOINTS}")
                out["empty"].append(run_for(few.d, part))
                few.close()
                for k, s in made.items():
                    out.setdefault(k, []).append(run_for(s.d, part))
            for k in ("spread", "dead"):
                out["start_s"][k] = first_delivery(made[k].d)
        finally:
            for s in made.values():
                s.close()
    return out


def show(result, table):
    table.head(5, f"{result['n']:,} due", f"deliveries of {result['part']:,} over {result['endpoints']} endpoints, beside the same with nothing else due")
    empty = result["empty"]
    table.add("nothing else due", [r["per_s"] for r in empty], "/s", digits=0)
    for k, words in (("spread", "spread over all endpoints"), ("dead", "all on one that is down, the others well"),
                     ("random", "retries, due in random order")):
        if k in result:
            table.add(words + ", of that rate", [r["per_s"] / e["per_s"] for r, e in zip(result[k], empty)], bar=at_least(0.9))
            table.add("  CPU of a delivery, of that with nothing else due", [r["cpu_us"] / e["cpu_us"] for r, e in zip(result[k], empty)])
    table.add("RSS at rest", [r["rest_mib"] for r in result["spread"]], "MiB", bar=at_most(64), digits=0)
    table.add("RSS at full speed, its peak", [r["peak_mib"] for r in result["spread"] + result["dead"]], "MiB", bar=at_most(128), digits=0)
    for k, words in (("spread", "spread"), ("dead", "one that is down")):
        table.add(f"start to the first delivery, {words}", result["start_s"][k], "s", bar=at_most(2), digits=2)
