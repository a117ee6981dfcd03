#!/usr/bin/env python3
"""A daemon that has nothing to do does nothing: few wake-ups, no writes, whatever number of subscriptions waits."""
import glob
import http.client
import json
import socket
import sys
import time
import unittest

from harness import Daemon, wait_for

SUBSCRIPTIONS = 1000
SECONDS = 3


class Api(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def wakeups(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path) as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return total


def written(pid):
    with open(f"/proc/{pid}/io") as f:
        return {k: int(v) for k, v in (line.split(": ") for line in f)}


def is_quiet(pid):
    """For a second; a sync may take longer, but not without a thread that waits for the disk."""
    before = written(pid)["wchar"]
    for _ in range(10):
        time.sleep(0.1)
        for path in glob.glob(f"/proc/{pid}/task/*/stat"):
            with open(path) as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "D":
                    return False
    return written(pid)["wchar"] - before < 512


class Idle(unittest.TestCase):
    def test_threads_have_names(self):
        with Daemon("delivery: {threads: 2}\n") as d:
            def names():
                return sorted(open(path).read().strip() for path in glob.glob(f"/proc/{d.process.pid}/task/*/comm"))
            wait_for(lambda: names() == ["loop-2", "outbox", "store-claim", "store-claim", "store-list", "store-write", "webhookd"],
                     what="each thread says its name")

    def test_a_thousand_quiet_subscriptions(self):
        with Daemon() as d:
            api = Api(f"{d.dir}/webhookd.sock")
            for i in range(SUBSCRIPTIONS):
                api.request("POST", "/api/v1/subscriptions", json.dumps({"name": f"s{i}", "url": f"https://e{i}.example/", "events": ["a.b"]}),
                            {"Content-Type": "application/json"})
                answer = api.getresponse()
                answer.read()
                self.assertLess(answer.status, 300)
            api.close()
            pid = d.process.pid
            wait_for(lambda: is_quiet(pid), what="the last commit's checkpoint is over")
            before, from_io = wakeups(pid), written(pid)
            time.sleep(SECONDS)
            woken, io = wakeups(pid) - before, written(pid)
            self.assertLess(woken, 30 * SECONDS)
            self.assertEqual(io["write_bytes"] - from_io["write_bytes"], 0)
            self.assertLess(io["wchar"] - from_io["wchar"], 512)  # a sweep's look wakes the loop by eventfd


if __name__ == "__main__":
    sys.exit(unittest.main())
