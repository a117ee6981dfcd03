"""Durable deliveries per second from a standing backlog: webhookd beside bare clients against the same nginx, turn about.

Durable: each event was committed by another process and taken into the store; outcome and attempt of each delivery are committed with
synchronous=FULL. The bare clients store nothing, look nothing up and judge nothing: libcurl's loop as its example has it (textbook), the
same with what saves it system calls and timers (tuned; bare_client.c), and sockets without an HTTP library, to show what is left. All send the request that
webhookd sends, byte for byte, signed anew each time (recorder.py, request.h)."""
import contextlib
import json
import statistics
import subprocess
import tempfile

import measure as kit
import recorder
from report import at_least
from standing import Standing, deliver

ROUNDS = 7
CONCURRENCY = 128
ALL = ("webhookd", "tuned", "textbook", "sockets")
KINDS = {  # name: (words, how nginx listens, deliveries in the short form; 0: left out, who runs then)
    "http": ("HTTP", {}, 20000, ALL),
    "tls": ("TLS 1.3", {"tls": True}, 20000, ALL),
    "http2": ("HTTP/2 over TLS 1.3", {"http2": True}, 8000, ALL[:2]),
    "http_100": ("HTTP, 100 endpoints", {"endpoints": 100}, 10000, ALL[:2]),
    "tls_100": ("TLS 1.3, 100 endpoints", {"tls": True, "endpoints": 100}, 0, ALL),
}
CLIENTS = {"webhookd": "webhookd, every outcome committed", "tuned": "bare libcurl, tuned", "textbook": "bare libcurl, textbook",
           "sockets": "bare sockets, no HTTP library"}
BARS = {"tuned": at_least(0.90), "textbook": at_least(1.2), "sockets": None}


def bare(run, nginx, request, n, client):
    """One run of a bare client: deliveries a second, CPU of one."""
    program = ["socket_client"] if client == "sockets" else ["bare_client", "--mode", client]
    done = subprocess.run([f"{run.build}/bench/{program[0]}", *program[1:], "-n", str(n), "-c", str(CONCURRENCY), *(["--ca", nginx.ca] if nginx.ca else []),
                           "--request", request, *(nginx.urls[:1] if client == "sockets" else nginx.urls)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {client}: {done.stderr}")
    answer = json.loads(done.stdout)
    return {"per_s": n / answer["seconds"], "cpu_us": answer["cpu_seconds"] / n * 1e6}


def webhookd(nginx, standing, conf=""):
    """One run of webhookd over the whole backlog. One endpoint alone never gets all of max_in_flight."""
    limit = CONCURRENCY if len(nginx.urls) > 1 else 2 * CONCURRENCY
    ca = f", ca_file: {nginx.ca}" if nginx.ca else ""
    with standing.daemon(f"delivery: {{max_in_flight: {limit}, max_in_flight_per_subscription: {CONCURRENCY}{ca}{conf}}}\n", nginx.urls) as d:
        out = deliver(d, standing.n)
        return {"per_s": standing.n / out["seconds"], **out}


def rounds(run, kind, standing, request):
    words, listen, _, clients = KINDS[kind]
    clients = [c for c in (ALL if run.full else clients) if not (c == "sockets" and "http2" in listen)]
    out, disk = [], []
    with kit.Nginx(**listen) as nginx:
        for i in range(ROUNDS):
            run.progress(f"{words}, round {i + 1} of {ROUNDS}")
            order = [*clients[i % len(clients):], *clients[:i % len(clients)]]
            out.append({c: webhookd(nginx, standing) if c == "webhookd" else bare(run, nginx, request, standing.n, c) for c in order})
            disk += kit.fdatasync_us(standing.dir, 50)
    return {"n": standing.n, "rounds": out, "fdatasync_p50_us": kit.percentile(disk, 50), "fdatasync_p99_us": kit.percentile(disk, 99)}


@contextlib.contextmanager
def recorded():
    """A file with the request of webhookd (request.h)."""
    with tempfile.TemporaryDirectory() as folder:
        recorder.write(f"{folder}/request", *recorder.sent_by_webhookd(kit.payload(7)))
        yield f"{folder}/request"


def measure(run):
    out, made = {}, {}
    with contextlib.ExitStack() as stack:
        request = stack.enter_context(recorded())
        for kind, (_, listen, short, _) in KINDS.items():
            n, endpoints = run.pick(short, 200000), listen.get("endpoints", 1)
            if n == 0 or not run.wants(kind):
                continue
            if (n, endpoints) not in made:
                run.progress(f"a backlog of {n}")
                made[n, endpoints] = stack.enter_context(Standing(n, endpoints))
            out[kind] = rounds(run, kind, made[n, endpoints], request)
    return out


def ratios(rounds, client, key="per_s"):
    return [r["webhookd"][key] / r[client][key] for r in rounds]


def show(result, table):
    for kind, t in result.items():
        rounds, n = t["rounds"], t["n"]
        table.head(2, KINDS[kind][0], f"a backlog of {n:,}, {CONCURRENCY} at a time, one nginx worker, {len(rounds)} rounds turn about")
        for client in (c for c in CLIENTS if c in rounds[0]):
            table.add(CLIENTS[client], [r[client]["per_s"] for r in rounds], "/s", digits=0)
        for client in (c for c in BARS if c in rounds[0]):
            table.add(f"webhookd to {CLIENTS[client]}", ratios(rounds, client), bar=BARS[client])
        cpu = {c: statistics.median(r[c]["cpu_us"] for r in rounds) for c in CLIENTS if c in rounds[0]}
        loop = statistics.median(r["webhookd"]["threads_us"]["loop"] for r in rounds)
        table.note("CPU of one, us: " + ", ".join(f"{client} {us:.0f}" for client, us in cpu.items())
                   + f"; of webhookd's {loop:.0f} on its loop, {cpu['webhookd'] - loop:.0f} on its other threads")
        table.note(f"memory (RSS) at most {max(r['webhookd']['rss_peak_mib'] for r in rounds):.0f} MiB; attempts beyond one each: "
                   f"{sum(r['webhookd']['attempts'] - n for r in rounds)}; fdatasync of this disk meanwhile: p50 {t['fdatasync_p50_us']:.0f} us, "
                   f"p99 {t['fdatasync_p99_us']:.0f} us")


def plots(result):
    groups = [{"name": KINDS[kind][0], "bars": [{"name": "webhookd" if c == "webhookd" else CLIENTS[c].split(", no")[0], "values": [r[c]["per_s"] for r in t["rounds"]]}
                                                for c in CLIENTS if c in t["rounds"][0] and c != "sockets"]} for kind, t in result.items()]
    return {"throughput": {"kind": "bars", "title": "Durable deliveries per second beside a bare libcurl loop", "unit": "/s", "groups": groups,
                           "note": "One loop, one nginx worker, requests alike. Median, least to greatest; the bare loops store nothing."}}
