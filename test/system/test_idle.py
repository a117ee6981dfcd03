#!/usr/bin/env python3
"""A daemon that has nothing to do does nothing: no wake-up but the outbox's safety poll, no writes, whatever number of subscriptions waits."""
import glob
import os
import sys
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import big
import idle
from harness import BUILD, Daemon, wait_for

SUBSCRIPTIONS = 10_000
SECONDS = 6  # longer than the sweep's pace while something goes on


@unittest.skipIf("tsan" in BUILD, "ThreadSanitizer has a thread of its own, which wakes")
class Idle(unittest.TestCase):
    def test_threads_have_names(self):
        with Daemon("delivery: {threads: 2}\n") as d:
            def names():
                return sorted(open(path).read().strip() for path in glob.glob(f"/proc/{d.process.pid}/task/*/comm"))
            wait_for(lambda: names() == ["loop-2", "outbox", "store-claim", "store-claim", "store-list", "store-write", "webhookd"],
                     what="each thread says its name")

    def asleep(self, d):
        """Waits for a stretch in which nobody but the outbox's thread woke: what that was like."""
        start, before = time.monotonic(), idle.Look(d.process.pid)
        stretch = []

        def has_slept():
            nonlocal start, before
            now = idle.Look(d.process.pid)
            if now.woken_since(before, all_but="outbox") or now.io["wchar"] != before.io["wchar"]:
                start, before = time.monotonic(), now
            stretch[:] = [time.monotonic() - start, now]
            return stretch[0] >= SECONDS
        wait_for(has_slept, 60, "every thread but the outbox's sleeps")
        return (*stretch, before)

    def test_ten_thousand_quiet_subscriptions(self):
        with Daemon() as d:
            d.subscribe("https://e.example/", "--name", "first", events="a.b")
            self.assertEqual(d.stop(), 0)
            with big.opened(d) as db:
                big.subscriptions(db, SUBSCRIPTIONS - 1, patterns="'a.' || i")
            d.start()
            seconds, now, before = self.asleep(d)
            self.assertLessEqual(now.woken_since(before), 3 * seconds)  # two polls a second
            self.assertEqual(now.io["write_bytes"], before.io["write_bytes"])



if __name__ == "__main__":
    sys.exit(unittest.main())
