"""Events that come in over HTTP on the unix socket: how many a second are acknowledged, each after its commit with synchronous=FULL.

One subscription wants them, nothing is sent: an event and its delivery are stored. The clients are one process (ingest_client.c) that posts
the next event as soon as the last is acknowledged; its own share of a core is told, so that one sees whether it is the limit."""
import json
import statistics
import subprocess

import harness
import measure as kit
from report import number
from standing import NOBODY

CASES = {  # name: (clients, events a request, requests in the short form, in the full one)
    "1 client": (1, 1, 200, 5_000),
    "16 clients": (16, 1, 2_000, 50_000),
    "256 clients": (256, 1, 5_000, 100_000),
    "1 client, 100 a request": (1, 100, 40, 1_000),
    "16 clients, 100 a request": (16, 100, 60, 2_000),
}


def post(run, d, clients, batch, requests):
    before = sum(kit.threads_cpu_s(d.process.pid).values())
    done = subprocess.run([f"{run.build}/bench/ingest_client", f"{d.dir}/webhookd.sock", str(clients), str(requests), str(batch)],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {done.stderr}")
    answer, n = json.loads(done.stdout), requests * batch
    return {"per_s": n / answer["seconds"], "cpu_us": (sum(kit.threads_cpu_s(d.process.pid).values()) - before) / n * 1e6,
            "client_share": answer["cpu_seconds"] / answer["seconds"], "refused": answer["busy"] / requests}


def measure(run):
    out, disk, posted = {name: [] for name in CASES}, [], 0
    with harness.Daemon(replace=kit.CONF) as d:
        d.api("POST", "/egress/pause", {"note": "bench"})
        d.subscribe(NOBODY, "--name", "bench")
        for i in range(run.pick(5, 7)):
            disk += kit.fdatasync_us(f"{d.dir}/store", 50)
            for name, (clients, batch, short, full) in CASES.items():
                run.progress(f"{name}, round {i + 1}")
                requests = run.pick(short, full)
                out[name].append(post(run, d, clients, batch, requests))
                posted += requests * batch
        stored = d.counts()["pending"]
        if stored != posted:
            raise SystemExit(f"bench: {posted} events were acknowledged, {stored} are in the store")
    return {"rounds": out, "stored": stored, "fdatasync_p50_us": kit.percentile(disk, 50)}


def show(result, table):
    rounds = result["rounds"]
    table.head(6, "events over the unix socket", "POST /api/v1/events, acknowledged after the commit (synchronous=FULL)")
    for name, r in rounds.items():
        table.add(name, [x["per_s"] for x in r], "/s", digits=0)
    of = lambda key: {name: statistics.median(x[key] for x in r) for name, r in rounds.items()}
    table.note("CPU of one event, us: " + ", ".join(f"{name}: {number(us)}" for name, us in of("cpu_us").items()))
    table.note("of a core, the clients: " + ", ".join(f"{name}: {share:.0%}" for name, share in of("client_share").items()))
    refused = {name: share for name, share in of("refused").items() if share > 0}
    if refused:
        table.note("answered 503 and posted again: " + ", ".join(f"{name}: {share:.1f} times a request" for name, share in refused.items()))
    table.note(f"each of {result['stored']:,} that were acknowledged is in the store; fdatasync of this disk: p50 {result['fdatasync_p50_us']:.0f} us")
