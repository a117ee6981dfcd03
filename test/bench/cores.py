"""delivery.threads: deliveries per second and CPU of one with one loop and with more, over TLS 1.3, from a standing backlog.

A subscription belongs to one loop, so there are 32 of them. The receiver shares the machine: where there are few cores, it is what the second
loop has to share them with. Beside it, in the full form, one bare libcurl loop and two at once: what this machine has room for."""
import contextlib
import json
import os
import subprocess

import measure as kit
import throughput
from report import at_least, at_most
from standing import Standing

ROUNDS = 7
ENDPOINTS = 32


def counts():
    """1, 2, 4 … loops, as many as there are cores, but two at least."""
    cores = len(os.sched_getaffinity(0))
    return [1 << i for i in range(max(2, cores.bit_length()))]


def bare_beside(run, nginx, request, n, loops):
    """So many bare loops at once, each with its share of the work and of the endpoints."""
    part = len(nginx.urls) // loops
    command = [f"{run.build}/bench/bare_client", "--mode", "tuned", "-n", str(n // loops), "-c", str(throughput.CONCURRENCY // loops), "--ca", nginx.ca,
               "--request", request]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(subprocess.Popen([*command, *nginx.urls[i * part:(i + 1) * part]], stdout=subprocess.PIPE, text=True))
                   for i in range(loops)]
        answers = [json.loads(c.communicate()[0]) for c in clients]
    return {"per_s": n / max(a["seconds"] for a in answers), "cpu_us": sum(a["cpu_seconds"] for a in answers) / n * 1e6}


def measure(run):
    n, loops, out = run.pick(6000, 100000), counts(), []
    with throughput.recorded() as request, kit.Nginx(tls=True, endpoints=ENDPOINTS, workers=max(1, loops[-1] // 4)) as nginx, \
            Standing(n, ENDPOINTS) as standing:
        for i in range(ROUNDS):
            run.progress(f"{loops[0]} to {loops[-1]} loops, round {i + 1} of {ROUNDS}")
            round = {"webhookd": {}, "bare": {}}
            for k in (*loops[i % len(loops):], *loops[:i % len(loops)]):
                before = nginx.cpu_s()
                one = throughput.webhookd(nginx, standing, f", threads: {k}")
                round["webhookd"][k] = {"per_s": one["per_s"], "cpu_us": one["cpu_us"], "nginx_us": (nginx.cpu_s() - before) / n * 1e6}
                if run.full:
                    round["bare"][k] = bare_beside(run, nginx, request, n, k)
            out.append(round)
    return {"n": n, "endpoints": ENDPOINTS, "cores": len(os.sched_getaffinity(0)), "rounds": [
        {who: {str(k): x for k, x in r[who].items()} for who in r} for r in out]}


def show(result, table):
    rounds = result["rounds"]
    table.head(3, "delivery.threads", f"a backlog of {result['n']:,} over {result['endpoints']} endpoints, TLS 1.3, receiver on the same {result['cores']} cores")
    for who, name in (("webhookd", "webhookd"), ("bare", "bare libcurl, tuned, beside each other:")):
        for k in rounds[0][who]:
            table.add(f"{name} {k} loop{'s' if k != '1' else ''}", [r[who][k]["per_s"] for r in rounds], "/s", digits=0)
        for k in rounds[0][who]:
            table.add(f"{name} {k} loop{'s' if k != '1' else ''}: CPU of one", [r[who][k]["cpu_us"] for r in rounds], "us")
    of = lambda key: [r["webhookd"]["2"][key] / r["webhookd"]["1"][key] for r in rounds]
    table.add("webhookd, 2 loops to 1: deliveries per second", of("per_s"), bar=at_least(1.25))
    table.add("webhookd, 2 loops to 1: CPU of one", of("cpu_us"), bar=at_most(1.15))
    table.note(f"nginx beside it: {kit.percentile([r['webhookd']['2']['nginx_us'] for r in rounds], 50):.0f} us of CPU for one")


def plots(result):
    return {"cores": {"kind": "lines", "title": "Durable deliveries per second by delivery.threads", "x": {"label": "loops", "log": True},
                      "y": {"label": "deliveries per second"}, "note": f"TLS 1.3, {result['endpoints']} endpoints, receiver on the same {result['cores']} cores",
                      "series": [{"name": "webhookd", "points": [[int(k), [r["webhookd"][k]["per_s"] for r in result["rounds"]]]
                                                                 for k in result["rounds"][0]["webhookd"]]}]}}
