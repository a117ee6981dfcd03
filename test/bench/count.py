"""Where the time goes: instructions, statements, allocations and system calls of one delivery. Counted, not timed: the same in every run.

Instructions under callgrind, which does not see the kernel, by thread and by part. The headline is our own code: libraries apart.
From a backlog: connections are open, the backlog stands, counting begins, the subscription is resumed, counting ends when all are settled.
On a quiet day: an event each tenth of a second, doorbell rung, its way in included. The bare client is counted by the difference of two runs.
"""
import collections
import subprocess
import tempfile
import time

import callgrind
import count_daemon
import measure as kit
import recorder

PACE_S = 0.1
BARE_CONCURRENCY = 16  # over TLS: more handshakes at a time than that end in its connect timeout under callgrind
ATTEMPTS = 3
OURS, LIBRARIES = "our own code", "libraries"
FOLDERS = ("base", "policy", "store", "engine")
ALLOCATIONS = ("malloc", "calloc", "realloc")
STATEMENTS = {"sqlite3_step": "steps", "sqlite3_reset": "statements", "sqlite3_prepare_v3": "prepared"}


def per(counter, n):
    return {key: round(value / n, 3) for key, value in counter.most_common() if value / n >= 0.001}


def is_ours(part):
    return "/" in part


def thread_of(counts, n):
    """One thread's figures for each delivery. ours: by folder/file."""
    parts, allocations, statements = collections.Counter(), collections.Counter(), collections.Counter()
    for part, value in counts.own.items():
        parts[OURS if is_ours(part) else part] += value
    for (part, function), value in counts.by.items():
        if function in ALLOCATIONS:
            allocations[OURS if is_ours(part) else LIBRARIES] += value
        if function in STATEMENTS and is_ours(part):
            statements[STATEMENTS[function]] += value
    return {"parts": per(parts, n), "ours": per(collections.Counter({k: v for k, v in counts.own.items() if is_ours(k)}), n),
            "allocations": per(allocations, n), "sqlite": per(statements, n)}


def from_a_backlog(daemon, n):
    daemon.backlog(n)
    daemon.swept()
    with daemon.count():
        daemon.action("resume")


def on_a_quiet_day(daemon, n):
    daemon.swept()
    with daemon.count():
        for _ in range(n):
            daemon.emit(1)
            time.sleep(PACE_S)


def undisturbed(make, act, n):
    """Again, where the machine was so slow that a round of retention fell into it."""
    for _ in range(ATTEMPTS):
        with make() as daemon:
            act(daemon, n)
            if not daemon.is_disturbed():
                return daemon
    raise SystemExit("bench: this machine is too busy to count")


def instructions(nginx, act, n):
    daemon = undisturbed(lambda: count_daemon.Instructions(nginx), act, n)
    return {"n": n, "commits": daemon.commits / n, "threads": {name: thread_of(c, n) for name, c in daemon.counts.items()}}


def system_calls(nginx, act, n):
    daemon = undisturbed(lambda: count_daemon.Calls(nginx), act, n)
    return {"n": n, "commits": daemon.commits / n, "threads": {name: per(c, n) for name, c in daemon.counts.items()}}


def commits(nginx, n):
    """Where nothing is slowed."""
    with count_daemon.Daemon(nginx) as daemon:
        daemon.backlog(n)
        before = daemon.operations("commit")
        daemon.action("resume")
        daemon.settled()
        return (daemon.operations("commit") - before) / n


def bare(build, nginx, n):
    counts, few, request = [], n // 4, recorder.sent_by_webhookd(kit.payload(7))
    for size in (few, few + n):
        with tempfile.TemporaryDirectory(prefix="webhookd-bench-") as folder:
            recorder.write(f"{folder}/request", *request)
            subprocess.run([*callgrind.command(folder), f"{build}/bench/bare_client", "--mode", "tuned", "-n", str(size), "-c", str(BARE_CONCURRENCY if nginx.ca else count_daemon.CONCURRENCY),
                            *(["--ca", nginx.ca] if nginx.ca else []), "--request", f"{folder}/request", nginx.url], check=True, capture_output=True)
            counts.append(callgrind.folder_read(folder, "bare_client")[1])
    for counter in ("own", "by"):
        getattr(counts[1], counter).subtract(getattr(counts[0], counter))
    return {"n": n, "threads": {"loop": thread_of(counts[1], n)}}


def measure(run):
    n, few, result = run.pick(1500, 4000), run.pick(40, 100), {}
    for name in run.pick(("HTTP",), ("HTTP", "TLS 1.3")):
        with kit.Nginx(name != "HTTP") as nginx:
            parts = {"backlog": lambda: instructions(nginx, from_a_backlog, n), "bare": lambda: bare(run.build, nginx, n), "commits": lambda: commits(nginx, 10000),
                     "backlog_calls": lambda: system_calls(nginx, from_a_backlog, n), "quiet": lambda: instructions(nginx, on_a_quiet_day, few),
                     "quiet_calls": lambda: system_calls(nginx, on_a_quiet_day, few)}
            result[name] = {}
            for part, count in parts.items():
                if run.full or part in ("backlog", "bare"):
                    run.progress(f"{name}, {part.replace('_', ': system ')}")
                    result[name][part] = count()
    return result


# ---- in words ----
def listed(figures, most=9):
    """The largest, with one digit behind the point where they are small."""
    shown = sorted(figures.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {value:,.0f}" if value >= 100 else f"{name} {value:.2g}" for name, value in shown if value >= 0.005)


def added(threads, kind):
    total = collections.Counter()
    for thread in threads.values():
        total.update(thread[kind])
    return total


def by_folder(ours):
    folders = collections.Counter()
    for file, value in ours.items():
        folder = file.split("/")[0]
        folders[folder if folder in FOLDERS else "headers"] += value
    return folders


def show_instructions(name, what, counted, bare, table):
    threads = counted["threads"]
    ours = added(threads, "ours")
    table.head(8, f"{name}, {what}", f"instructions of one, of {counted['n']} under callgrind (the kernel is not seen), {counted['commits']:.2g} commits each")
    table.add("our own code, all threads", sum(ours.values()))
    table.note(f"  {listed(by_folder(ours))}; {listed(ours, 5)}")
    for thread, figures in threads.items():
        total = sum(figures["parts"].values())
        if total >= 1000:
            table.add(thread, total)
            table.note("  " + listed(figures["parts"]))
        if thread == "loop" and bare:
            yardstick = sum(bare["threads"]["loop"]["parts"].values())
            table.add("a bare libcurl loop, tuned, which sends the same", yardstick)
            table.note("  " + listed(bare["threads"]["loop"]["parts"]))
            table.add("loop to that", total / yardstick)
    for kind, words in (("sqlite", "SQL"), ("allocations", "allocations")):
        for thread, figures in threads.items():
            if sum(figures[kind].values()) >= 0.1:
                table.note(f"{words}, {thread}: {listed(figures[kind])}")


def show_calls(name, what, counted, table):
    table.head(8, f"{name}, {what}", f"system calls of one, of {counted['n']} under strace, {counted['commits']:.2g} commits each")
    for thread, calls in counted["threads"].items():
        if sum(calls.values()) >= 0.05:
            table.add(thread, sum(calls.values()))
            table.note("  " + listed(calls))


def show(result, table):
    for name, parts in result.items():
        for case, what in (("backlog", "from a backlog"), ("quiet", "an event on a quiet day")):
            if case in parts:
                show_instructions(name, what, parts[case], parts.get("bare") if case == "backlog" else None, table)
            if case + "_calls" in parts:
                show_calls(name, what, parts[case + "_calls"], table)
        if "commits" in parts:
            table.add("commits of one from a backlog, where nothing is slowed", parts["commits"], digits=3)
