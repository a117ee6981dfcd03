#!/usr/bin/env python3
"""`make bench`: how close to the bare HTTP library, how soon after the commit, what it costs the producer, how much memory.

Throughput: a backlog of events that are committed in webhookd's store is delivered to a local nginx (one worker); beside it, in the
same run and interleaved, a bare libcurl multi_socket loop (test/bench/bare_client.c, textbook and tuned) posts the same number to
the same nginx. Durable: outcome and attempt of every delivery are committed with synchronous=FULL. The figure is the ratio.
Latency: from the return of the producer's COMMIT to the first byte at the receiver, time-stamped there, beside fdatasync of the same disk.
Absolute figures depend on the machine and its neighbours: compare ratios of one run only.
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

CONCURRENCY = 128
ROUNDS = 3
BARS = (("textbook", "bare libcurl, textbook"), ("tuned", "bare libcurl, tuned"), ("webhookd", "webhookd, every outcome committed"))


def progress(text):
    if sys.stderr.isatty():
        print("\r\x1b[K" + text, end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def throughput(measure, build, tls, n, pairs):
    runs = []
    with measure.Nginx(tls) as nginx:
        for i in range(pairs):
            progress(f"throughput over {'TLS 1.3' if tls else 'HTTP'}: {i + 1} of {pairs}")
            runs.append({"textbook": measure.bare(build, nginx, n, CONCURRENCY, "textbook"),
                         "tuned": measure.bare(build, nginx, n, CONCURRENCY, "tuned"),
                         "webhookd": measure.webhookd(nginx, n, CONCURRENCY)})
    return {"n": n, "tls": tls, "concurrency": CONCURRENCY, "runs": runs}


def show_throughput(t):
    runs = t["runs"]
    print(f"\nDurable deliveries over {'TLS 1.3' if t['tls'] else 'HTTP'} from a backlog of {t['n']}, one endpoint, {CONCURRENCY} at a time, "
          f"{len(runs)} interleaved runs: median [min-max]")
    for who, words in BARS:
        values, cpu = [r[who]["per_s"] for r in runs], statistics.median(r[who]["cpu_us"] for r in runs)
        print(f"  {words:36} {statistics.median(values):7.0f}/s [{min(values):.0f}-{max(values):.0f}]   {cpu:5.1f} us CPU each")
    for base in ("tuned", "textbook"):
        ratios = [r["webhookd"]["per_s"] / r[base]["per_s"] for r in runs]
        print(f"  {'ratio to the ' + base + ' loop':36} {statistics.median(ratios):9.2f} [{min(ratios):.2f}-{max(ratios):.2f}]")


def show_memory(t):
    rest = statistics.median(r["webhookd"]["rss_rest_mib"] for r in t["runs"])
    print(f"  memory (RSS) at rest {rest:.0f} MiB, at its peak {max(r['webhookd']['rss_peak_mib'] for r in t['runs']):.0f} MiB")


def latency(measure, build, seconds):
    """Short rounds, turn about, and the medians of them: a neighbour's burst on the disk spoils one round, not a row."""
    cells = {(rate, doorbell): [] for rate in (200, 1000) for doorbell in (True, False)}
    for i in range(ROUNDS):
        for (rate, doorbell), rounds in cells.items():
            progress(f"latency at {rate}/s {'with' if doorbell else 'without'} doorbell: {i + 1} of {ROUNDS}")
            rounds.append(measure.latency(build, rate, seconds, doorbell))
    return [{k: statistics.median(r[k] for r in rounds) for k in rounds[0]} for rounds in cells.values()]


def show_latency(rows):
    print(f"\nFrom the producer's commit to the first byte at the receiver, beside fdatasync of the same disk in the same run, medians of {ROUNDS} rounds")
    print("  events/s  doorbell       p50        p99    fdatasync p50     p99    p50 in fdatasyncs")
    for x in rows:
        print(f"  {x['offered']:8.0f}  {'yes' if x['doorbell'] else 'no':8} {x['p50_us']:6.0f} us {x['p99_us']:7.0f} us        {x['fdatasync_p50_us']:6.0f} us "
              f"{x['fdatasync_p99_us']:5.0f} us    {x['p50_us'] / x['fdatasync_p50_us']:5.1f}")


def show_producer(notice, cost):
    print("\nWhat the producer has to do with it")
    for x in notice:
        print(f"  row noticed, read and its log synced, {'with a' if x['doorbell'] else 'without'} doorbell:  p50 {x['p50_us']:.0f} us, p99 {x['p99_us']:.0f} us")
    print(f"  its commit: p50 {cost['alone_p50_us']:.0f} us (p99 {cost['alone_p99_us']:.0f}) alone, {cost['served_p50_us']:.0f} us "
          f"(p99 {cost['served_p99_us']:.0f}) with webhookd delivering its events")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("-n", type=int, help="deliveries a run")
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    os.environ["BUILD"] = build
    import measure
    n, seconds = args.n or (100000 if args.full else 30000), 10 if args.full else 2
    result = {"http": throughput(measure, build, False, n, args.pairs), "tls": throughput(measure, build, True, n, args.pairs), "notice": []}
    result["latency"] = latency(measure, build, seconds)
    for doorbell in (True, False):
        progress("how soon a row is noticed")
        result["notice"].append(measure.notice(build, 200, seconds * 2, doorbell))
    progress("what it costs the producer")
    result["commit"] = measure.commit_cost(build, 200, seconds * 5)
    progress("")
    with open(f"{build}/bench.json", "w") as f:
        json.dump(result, f, indent=1)
    show_throughput(result["http"])
    show_memory(result["http"])
    show_throughput(result["tls"])
    show_latency(result["latency"])
    show_producer(result["notice"], result["commit"])
    print(f"\nwritten: {os.path.relpath(build)}/bench.json")


if __name__ == "__main__":
    main()
