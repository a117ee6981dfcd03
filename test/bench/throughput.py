"""Durable deliveries per second from a backlog: webhookd beside a bare libcurl loop against the same nginx, turn about.

Durable: outcome and attempt of every delivery are committed with synchronous=FULL."""
import json
import statistics
import subprocess
import time

import harness
import measure as kit
from report import at_least

ROUNDS = 7
CONCURRENCY = 128
KINDS = {"http": "HTTP", "tls": "TLS 1.3"}
BARS = (("tuned", at_least(0.90)), ("textbook", at_least(1.2)))


def webhookd(nginx, n, concurrency):
    conf = f"delivery: {{max_in_flight_per_subscription: {concurrency}{', ca_file: ' + nginx.ca if nginx.ca else ''}}}\n"
    with harness.Daemon(conf, replace=kit.CONF) as d:
        d.subscribe(nginx.url, "--name", "bench")
        d.ctl("subscription", "pause", "bench")
        pid, rest = d.process.pid, kit.rss_mib(d.process.pid)["VmRSS"]
        kit.fill(f"{d.dir}/outbox/outbox.db", n)
        harness.wait_for(lambda: d.counts()["held"] == n, 300, "the backlog is in the store")
        cpu, start = kit.cpu_seconds(pid), time.monotonic()
        d.ctl("subscription", "resume", "bench")
        seconds = kit.wait_completed(d, n) - start
        return {"per_s": n / seconds, "cpu_us": (kit.cpu_seconds(pid) - cpu) / n * 1e6, "rss_rest_mib": rest, "rss_peak_mib": kit.rss_mib(pid)["VmHWM"]}


def bare(build, nginx, n, concurrency, mode):
    ca = ["--ca", nginx.ca] if nginx.ca else []
    done = subprocess.run([f"{build}/bench/bare_client", "--mode", mode, "-n", str(n), "-c", str(concurrency), *ca, nginx.url],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("bench: bare_client: " + done.stderr)
    answer = json.loads(done.stdout)
    return {"per_s": answer["per_s"], "cpu_us": answer["cpu_seconds"] / n * 1e6}


def rounds(run, tls):
    n, out = run.pick(30000, 100000), []
    with kit.Nginx(tls) as nginx:
        for i in range(ROUNDS):
            run.progress(f"{'TLS 1.3' if tls else 'HTTP'}, {i + 1} of {ROUNDS}")
            out.append({"textbook": bare(run.build, nginx, n, CONCURRENCY, "textbook"), "tuned": bare(run.build, nginx, n, CONCURRENCY, "tuned"),
                        "webhookd": webhookd(nginx, n, CONCURRENCY)})
    return {"n": n, "concurrency": CONCURRENCY, "runs": out}


def measure(run):
    return {"http": rounds(run, False), "tls": rounds(run, True)}


def show(result, table):
    for kind, t in result.items():
        runs = t["runs"]
        table.head(2, KINDS[kind], f"a backlog of {t['n']} for one endpoint, {t['concurrency']} at a time, every outcome committed")
        for who in ("textbook", "tuned", "webhookd"):
            name = who if who == "webhookd" else f"bare libcurl, {who}"
            table.add(name, [r[who]["per_s"] for r in runs], "/s")
            table.add(f"{name}: CPU of one", [r[who]["cpu_us"] for r in runs], "us")
        for base, bar in BARS:
            table.add(f"webhookd to the {base} loop", [r["webhookd"]["per_s"] / r[base]["per_s"] for r in runs], bar=bar)
        table.note(f"memory (RSS) at rest {statistics.median(r['webhookd']['rss_rest_mib'] for r in runs):.0f} MiB, "
                   f"at its peak {max(r['webhookd']['rss_peak_mib'] for r in runs):.0f} MiB")


def plots(result):
    return {"throughput": {
        "kind": "bars", "title": "Durable deliveries per second, one loop, one nginx worker", "unit": "/s",
        "note": "median of the rounds, least to greatest as whiskers; the bare loops store nothing",
        "groups": [{"name": KINDS[kind], "bars": [{"name": name, "values": [r[who]["per_s"] for r in t["runs"]]} for who, name in
                                                  (("webhookd", "webhookd"), ("tuned", "bare libcurl, tuned"), ("textbook", "bare libcurl, textbook"))]}
                   for kind, t in result.items()]}}
