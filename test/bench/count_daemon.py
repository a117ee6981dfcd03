"""webhookd warm and quiet under something that counts; what is done within its count() is counted. Start-up, connecting and the first
deliveries are not."""
import collections
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import tempfile
import time

import callgrind
import harness
import measure as kit

CONCURRENCY = 128
WARM = 300  # events that open the connections and fill the caches
RETENTION_S = 60  # from one round to the next; the first is part of the first sweep
NAMES = {"store-write": "store writer", "store-claim": "claim reader", "store-list": "list reader", "outbox": "outbox source"}


def wait_for_rows(file, table, fact):
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as db:
        harness.wait_for(lambda: fact(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]), 300, f"rows of {table}")


class Daemon:
    def __init__(self, nginx, wrap=()):
        ca = f", ca_file: {nginx.ca}" if nginx.ca else ""
        self.d = harness.Daemon(f"delivery: {{max_in_flight_per_subscription: {CONCURRENCY}{ca}}}\n", replace=kit.BELL, start=False)
        self.nginx, self.d.wrap, self.emitted = nginx, list(wrap), 0
        self.outbox, self.bell = f"{self.d.dir}/outbox/outbox.db", socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self):
        self.d.start()
        self.d.subscribe(self.nginx.url, "--name", "bench")
        self.emit(WARM)
        self.settled()
        return self

    def __exit__(self, *_):
        self.bell.close()
        self.d.kill()
        shutil.rmtree(self.d.dir, ignore_errors=True)

    @property
    def pid(self):
        return self.d.process.pid

    def emit(self, n):
        kit.fill(self.outbox, n)
        self.bell.sendto(b"!", f"{self.d.dir}/bell")
        self.emitted += n

    def settled(self):
        """Every attempt is committed. The store's file says so: an answer of the daemon's would be counted."""
        wait_for_rows(f"{self.d.dir}/store/webhookd.db", "attempt", lambda n: n >= self.emitted)

    def trimmed(self):
        wait_for_rows(self.outbox, "outbox", lambda n: n == 0)

    def swept(self):
        """The first sweep is over, which looks for what is too old; its slices are milliseconds apart."""
        before, now = 0, self.operations("prune")
        while now == 0 or now != before:
            time.sleep(0.5)
            before, now = now, self.operations("prune")
        self.swept_at = time.monotonic()

    def is_disturbed(self):
        """Another round of retention may have fallen into what was counted."""
        return time.monotonic() - self.swept_at > RETENTION_S - 5

    def operations(self, name):
        return int(re.search(rf'_count{{op="{name}"}} (\d+)', self.d.metrics()).group(1))

    def backlog(self, n):
        self.action("pause")
        self.emit(n)
        harness.wait_for(lambda: self.d.counts()["held"] == n, 300, "the backlog is in the store")
        self.trimmed()

    def action(self, name):
        status, answer = self.d.api("POST", f"/subscriptions/bench/{name}", {})
        if status != 200:
            raise SystemExit(f"bench: {name}: {answer}")

    def poke(self):
        """Something to do, as little as can be."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.d.port), 1):
            pass

    def threads(self):
        """id -> name."""
        names = {}
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{tid}/comm") as f:
                name = f.read().strip()
            names[int(tid)] = NAMES.get(name, name)
        return {**names, self.pid: "loop"}


class Instructions(Daemon):
    """Under callgrind."""

    def __init__(self, nginx):
        self.folder = tempfile.mkdtemp(prefix="webhookd-bench-")
        super().__init__(nginx, callgrind.command(self.folder, "--instr-atstart=no"))

    def __exit__(self, *args):
        super().__exit__(*args)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def count(self):
        before = self.operations("commit")
        callgrind.tell(self.pid, "instrumentation on", self.poke)
        yield
        self.settled()
        callgrind.tell(self.pid, "instrumentation off", self.poke)
        self.commits = self.operations("commit") - before
        callgrind.tell(self.pid, "dump", self.poke)
        numbers = re.findall(r"^Thread (\d+): .*\(lwpid (\d+)\)", callgrind.tell(self.pid, "v.info scheduler", self.poke), re.M)
        counts, names = callgrind.folder_read(self.folder, "webhookd"), self.threads()
        self.counts = {names[int(tid)]: counts[int(number)] for number, tid in numbers}


class Calls(Daemon):
    """Under strace: counts[thread][system call]."""

    def __init__(self, nginx):
        self.folder = tempfile.mkdtemp(prefix="webhookd-bench-")
        self.log = f"{self.folder}/log"
        super().__init__(nginx, ["strace", "-D", "-f", "-I2", "-q", "-ttt", "-s", "0", "-e", "signal=none", "-o", self.log])

    def __exit__(self, *args):
        super().__exit__(*args)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def count(self):
        before, begin = self.operations("commit"), time.time()
        yield
        self.settled()
        end, names = time.time(), self.threads()
        self.commits = self.operations("commit") - before
        self.end_strace()
        self.counts = {name: collections.Counter() for name in names.values()}
        with open(self.log, errors="replace") as f:
            for line in f:
                call = re.match(r"(\d+) +([0-9.]+) (\w+)\(", line)
                if call and begin <= float(call.group(2)) <= end and int(call.group(1)) in names:
                    self.counts[names[int(call.group(1))]][call.group(3)] += 1

    def end_strace(self):
        with open(f"/proc/{self.pid}/status") as f:
            tracer = int(re.search(r"TracerPid:\s*(\d+)", f.read()).group(1))
        os.kill(tracer, signal.SIGTERM)

        def has_ended():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{tracer}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
            return True
        harness.wait_for(has_ended, what="strace has written its log")
