"""Nothing to do: a daemon with 10,000 quiet subscriptions, made by SQL (big.py). What it uses, who wakes, what is written.

Taken when every thread but the outbox's has slept for longer than the sweep's pace: the start is over, and nothing else comes."""
import glob
import os
import time

import big
import harness
import measure as kit
from report import at_most

SUBSCRIPTIONS, SETTLED_S = 10_000, 6
POLLS_PER_S = 2  # the outbox's safety poll


class Look:
    """What the kernel says of a process: how often each thread went to sleep by itself, what was written, CPU in seconds."""

    def __init__(self, pid):
        self.woken, self.cpu_s = {}, sum(kit.threads_cpu_s(pid).values())
        for path in glob.glob(f"/proc/{pid}/task/*/status"):
            with open(path) as f:
                of = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            self.woken[f"{of['Name']}-{of['Pid']}"] = int(of["voluntary_ctxt_switches"])
        with open(f"/proc/{pid}/io") as f:
            self.io = {k: int(v) for k, v in (line.split(": ") for line in f)}

    def woken_by_thread(self, before):
        return {name: n - before.woken.get(name, 0) for name, n in self.woken.items()}

    def woken_since(self, before, only="", all_but="-"):
        return sum(n for name, n in self.woken_by_thread(before).items() if name.startswith(only) and not name.startswith(all_but))


def settled(pid):
    since, at = Look(pid), time.monotonic()
    end = at + 120
    while time.monotonic() - at < SETTLED_S:
        time.sleep(0.2)
        now = Look(pid)
        if now.woken_since(since, all_but="outbox"):
            since, at = now, time.monotonic()
        if time.monotonic() > end:
            raise AssertionError(f"threads still wake: {now.woken_by_thread(since)}")


def measure(run):
    seconds = run.pick(10, 60)
    with harness.Daemon(replace=kit.CONF) as d:
        d.subscribe("https://e.example/", "--name", "first", events="a.b")
        d.stop()
        with big.opened(d) as db:
            big.subscriptions(db, SUBSCRIPTIONS - 1, patterns="'a.' || i")
        d.start()
        pid = d.process.pid
        run.progress("until the start is over")
        settled(pid)
        run.progress(f"{seconds} s of nothing")
        before, start = Look(pid), time.monotonic()
        time.sleep(seconds)
        now, took = Look(pid), time.monotonic() - start
        woken = {}
        for name, n in now.woken_by_thread(before).items():
            thread = "loop" if name == f"webhookd-{pid}" else name.rsplit("-", 1)[0]
            woken[thread] = woken.get(thread, 0) + n / took
        return {"subscriptions": SUBSCRIPTIONS, "seconds": took, "cpu_percent": 100 * (now.cpu_s - before.cpu_s) / took, "woken_per_s": woken,
                "write_bytes": now.io["write_bytes"] - before.io["write_bytes"], "rss_mib": kit.rss_mib(pid)["VmRSS"]}


def show(result, table):
    woken = result["woken_per_s"]
    polls = woken.get("outbox", 0)
    table.head(7, f"{result['subscriptions']:,} quiet subscriptions", f"{result['seconds']:.0f} s, once the start is over")
    table.add("CPU, of one core", result["cpu_percent"], "%", at_most(0.1), digits=3)
    table.add("wake-ups of all threads but the outbox's", sum(woken.values()) - polls, "/s", at_most(0), digits=2)
    table.add("wake-ups of the outbox's: its safety poll", polls, "/s", at_most(1.25 * POLLS_PER_S), digits=2)
    table.add("written to the disk", result["write_bytes"], "bytes", at_most(0), digits=0)
    table.add("resident", result["rss_mib"], "MiB")
    table.note("the sweep sleeps until time brings something about, five minutes at most: a longer stretch may meet one of its looks")
