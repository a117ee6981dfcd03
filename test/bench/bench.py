#!/usr/bin/env python3
"""`make bench`: how close to the bare HTTP library, how soon after the commit, how much memory.

Throughput: a backlog of events that are committed in webhookd's store is delivered to a local nginx (one worker); beside it, in the
same run and interleaved, a bare libcurl multi_socket loop (test/bench/bare_client.c, textbook and tuned) posts the same number to
the same nginx. Durable: outcome and attempt of every delivery are committed with synchronous=FULL. The figure is the ratio.
Latency: from the return of the producer's COMMIT to the first byte at the receiver, time-stamped there, beside fdatasync of the same disk.
Absolute figures depend on the machine and its neighbours: compare ratios of one run only.
"""
import argparse
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def progress(text):
    if sys.stderr.isatty():
        print("\r\x1b[K" + text, end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Nginx:
    def __init__(self, port):
        self.dir = tempfile.mkdtemp(prefix="webhookd-bench-nginx-")
        self.url = f"http://127.0.0.1:{port}/hook"
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(f"""daemon off; worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/error.log crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p;
 fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
 server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200; }} }} }}""")
        self.process = subprocess.Popen(["nginx", "-p", self.dir, "-c", f"{self.dir}/nginx.conf"], stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    return {k: int(re.search(rf"{k}:\s+(\d+)", text).group(1)) / 1024 for k in ("VmRSS", "VmHWM")}


def completed(daemon):
    m = re.search(r'webhookd_deliveries_completed_total\{result="delivered"\} (\d+)', daemon.metrics())
    return int(m.group(1))


def payload(n):
    text = {"n": n, "order_id": f"ORD-2024-{n:08}", "instrument_id": "GOVT-2034", "execution_price": 100.5, "executed_quantity": 1000}
    body = json.dumps(text)
    return body[:-1] + ', "pad": "' + "x" * (420 - len(body)) + '"}'


def webhookd_run(harness, url, n, concurrency):
    conf = f"delivery: {{max_in_flight_per_subscription: {concurrency}}}\n"
    with harness.Daemon(conf, replace=harness.CONF.replace("log: {level: debug}\n", "")) as d:
        d.subscribe(url, "--name", "bench")
        d.ctl("subscription", "pause", "bench")
        with sqlite3.connect(f"{d.dir}/outbox/outbox.db", isolation_level=None) as db:
            for start in range(0, n, 5000):
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO outbox(type, payload) VALUES ('order.executed', ?)",
                               [(payload(i),) for i in range(start, min(n, start + 5000))])
                db.execute("COMMIT")
        harness.wait_for(lambda: d.counts()["held"] == n, 300, "the backlog is in the store")
        pid, rest = d.process.pid, rss_mib(d.process.pid)["VmRSS"]
        cpu, start = cpu_seconds(pid), time.monotonic()
        d.ctl("subscription", "resume", "bench")
        last = (time.monotonic(), completed(d))
        while True:
            now, done = time.monotonic(), completed(d)
            if done >= n:
                break
            last = (now, done)
            if now - start > 600:
                raise SystemExit(f"bench: only {done} of {n} delivered")
            time.sleep(0.02)
        seconds = now - start
        return {"per_s": n / seconds, "cpu_us": (cpu_seconds(pid) - cpu) / n * 1e6, "rss_rest_mib": rest, "rss_peak_mib": rss_mib(pid)["VmHWM"],
                "last": last[1]}


def bare_run(build, url, n, concurrency, mode):
    done = subprocess.run([f"{build}/bench/bare_client", "--mode", mode, "-n", str(n), "-c", str(concurrency), url],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("bench: bare_client: " + done.stderr)
    answer = json.loads(done.stdout)
    return {"per_s": answer["per_s"], "cpu_us": answer["cpu_seconds"] / n * 1e6}


def fdatasync_us(folder, n=200):
    fd, took = os.open(f"{folder}/probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND), []
    for _ in range(n):
        os.write(fd, b"x" * 4096)
        start = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - start) * 1e6)
    os.close(fd)
    return took


def latency_run(harness, build, rate, seconds, doorbell):
    import socket
    output = tempfile.NamedTemporaryFile("w+")  # not a pipe: nobody reads while it runs
    receiver = subprocess.Popen([f"{build}/bench/latency_receiver"], stdout=output)
    harness.wait_for(lambda: open(output.name).read().startswith("port "))
    port = int(open(output.name).readline().split()[1])
    conf = harness.CONF.replace("log: {level: debug}\n", "")
    if doorbell:
        conf = conf.replace("outbox.db\n", "outbox.db\n    doorbell: {dir}/bell\n")
    with harness.Daemon(replace=conf) as d:
        d.subscribe(f"http://127.0.0.1:{port}/")
        db = sqlite3.connect(f"{d.dir}/outbox/outbox.db", isolation_level=None, timeout=20)
        db.execute("PRAGMA synchronous=FULL")
        sync, bell = fdatasync_us(d.dir), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        committed, commit_us = {}, []
        start = time.monotonic()
        for n in range(rate * seconds):
            ahead = start + n / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            before = time.perf_counter()
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO outbox(type, payload) VALUES ('order.executed', ?)", (json.dumps({"n": n}).replace(" ", ""),))
            db.execute("COMMIT")
            committed[n] = time.time() * 1e6
            commit_us.append((time.perf_counter() - before) * 1e6)
            if doorbell:
                try:
                    bell.sendto(b"!", f"{d.dir}/bell")
                except OSError:
                    pass
        offered = len(committed) / (time.monotonic() - start)
        harness.wait_for(lambda: completed(d) >= len(committed), 60, "all delivered")
        time.sleep(0.5)  # the receiver prints what it saw when it is idle
    receiver.terminate()
    receiver.wait()
    lines = open(output.name).read().splitlines()[1:]
    seen = {int(a): int(b) for a, b in (line.split() for line in reversed(lines))}
    took = [seen[n] - committed[n] for n in committed if n in seen]
    return {"rate": rate, "offered": offered, "doorbell": doorbell, "p50_us": percentile(took, 50), "p99_us": percentile(took, 99), "n": len(took),
            "fdatasync_p50_us": percentile(sync, 50), "fdatasync_p99_us": percentile(sync, 99), "commit_p50_us": percentile(commit_us, 50)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("-n", type=int)
    parser.add_argument("--pairs", type=int)
    args = parser.parse_args()
    os.environ["BUILD"] = os.path.abspath(args.build)
    import harness
    n, pairs, concurrency = args.n or (100000 if args.full else 30000), args.pairs or 7, 128
    nginx = Nginx(harness.free_port())
    runs = []
    try:
        for i in range(pairs):
            progress(f"throughput {i + 1}/{pairs}")
            row = {"textbook": bare_run(args.build, nginx.url, n, concurrency, "textbook")}
            row["tuned"] = bare_run(args.build, nginx.url, n, concurrency, "tuned")
            row["webhookd"] = webhookd_run(harness, nginx.url, n, concurrency)
            runs.append(row)
    finally:
        nginx.close()
    latency = []
    for rate in (200, 1000):
        for doorbell in (True, False):
            progress(f"latency at {rate}/s {'with' if doorbell else 'without'} doorbell")
            latency.append(latency_run(harness, args.build, rate, 10 if args.full else 5, doorbell))
    progress("")
    report(args.build, n, concurrency, runs, latency)


def report(build, n, concurrency, runs, latency):
    rate = lambda who: [r[who]["per_s"] for r in runs]
    ratio = lambda base: [r["webhookd"]["per_s"] / r[base]["per_s"] for r in runs]
    print(f"\nDurable deliveries from a backlog of {n}, one endpoint, {concurrency} at a time, {len(runs)} interleaved runs, median [min-max]")
    for who, words in (("textbook", "bare libcurl, textbook"), ("tuned", "bare libcurl, tuned"), ("webhookd", "webhookd, every outcome committed")):
        values = rate(who)
        cpu = statistics.median(r[who]["cpu_us"] for r in runs)
        print(f"  {words:36} {statistics.median(values):8.0f}/s [{min(values):.0f}-{max(values):.0f}]   {cpu:6.1f} us CPU each")
    print(f"  ratio to the tuned bare loop         {spread(ratio('tuned'))}")
    print(f"  ratio to the textbook bare loop      {spread(ratio('textbook'))}")
    print(f"  memory (RSS) at rest {statistics.median(r['webhookd']['rss_rest_mib'] for r in runs):.0f} MiB, "
          f"peak at full speed {max(r['webhookd']['rss_peak_mib'] for r in runs):.0f} MiB")
    print("\nFrom the outbox commit to the first byte at the receiver")
    print("  offered  doorbell      p50       p99      fdatasync p50  p99     p50 ratio")
    for x in latency:
        print(f"  {x['offered']:6.0f}/s  {'yes' if x['doorbell'] else 'no ':8} {x['p50_us']:7.0f} us {x['p99_us']:7.0f} us   {x['fdatasync_p50_us']:7.0f} us "
              f"{x['fdatasync_p99_us']:6.0f} us  {x['p50_us'] / x['fdatasync_p50_us']:5.2f}")
    with open(f"{build}/bench.json", "w") as f:
        json.dump({"n": n, "concurrency": concurrency, "runs": runs, "latency": latency}, f, indent=1)
    print(f"\nwritten: {build}/bench.json")


if __name__ == "__main__":
    main()
