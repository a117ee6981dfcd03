"""A standing backlog: made once by producers and intake, all sending paused; each run delivers a copy of it with a daemon of its own."""
import contextlib
import os
import shutil
import tempfile
import time

import harness
import measure as kit

CONF = kit.CONF.replace("outbox.db\n", "outbox.db\n    name: bench\n")
NOBODY = "http://127.0.0.1:8080/hook"  # nothing is sent there: the URL comes with the receiver


def synced(folder):
    """Its pages are on the disk, so that the kernel's writing back is nobody's cost later."""
    for path, _, files in os.walk(folder):
        for name in files:
            fd = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


class Standing:
    """n deliveries, an equal share of them for each of so many endpoints."""

    def __init__(self, n, endpoints=1, payload=kit.payload):
        self.n, self.dir = n, None
        with harness.Daemon(replace=CONF) as d:
            d.api("POST", "/egress/pause", {"note": "bench"})
            for i in range(endpoints):
                d.subscribe(NOBODY, "--name", f"bench-{i}", events=f"bench.e{i}")
            kit.fill(f"{d.dir}/outbox/outbox.db", n, type=lambda k: f"bench.e{k % endpoints}", payload=payload)
            harness.wait_for(lambda: d.counts()["pending"] == n, 300, "the backlog is in the store")
            harness.wait_for(lambda: self.untrimmed(d) == 0, 60, "the outbox is trimmed")
            assert d.stop() == 0
            self.dir = tempfile.mkdtemp(prefix="webhookd-bench-standing-")
            for part in ("store", "outbox", "key"):
                shutil.move(f"{d.dir}/{part}", f"{self.dir}/{part}")

    @staticmethod
    def untrimmed(d):
        with contextlib.closing(d.outbox()) as db:
            return db.execute("SELECT count(*) FROM outbox").fetchone()[0]

    @contextlib.contextmanager
    def daemon(self, conf, urls):
        """A daemon with the backlog for these URLs, one an endpoint, sending still paused."""
        d = harness.Daemon(conf, replace=CONF, start=False)
        with d:
            for part in ("store", "outbox"):
                shutil.copytree(f"{self.dir}/{part}", f"{d.dir}/{part}", dirs_exist_ok=True)
            shutil.copy(f"{self.dir}/key", f"{d.dir}/key")
            synced(d.dir)
            d.start()
            for i, url in enumerate(urls):
                status, answer = d.api("PATCH", f"/subscriptions/bench-{i}", {"url": url})
                assert status == 200, answer
            yield d

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def deliver(d, n):
    """Lets a daemon with n pending deliveries go, and waits: seconds from the resume, asked for over the socket, to the commit of the last
    outcome (the store's log was written last then); CPU by thread."""
    pid, before = d.process.pid, kit.threads_cpu_s(d.process.pid)
    start = time.time()
    assert d.api("POST", "/egress/resume")[0] == 200
    kit.wait_completed(d, n)
    end = os.stat(f"{d.dir}/store/webhookd.db-wal").st_mtime
    after = kit.threads_cpu_s(pid)
    used = {name: s - before.get(name, 0) for name, s in after.items()}
    return {"seconds": end - start, "cpu_us": sum(used.values()) / n * 1e6,
            "threads_us": {name: s / n * 1e6 for name, s in used.items() if s > 0.001 * sum(used.values())},
            "attempts": kit.attempts(d), "rss_peak_mib": kit.rss_mib(pid)["VmHWM"]}
