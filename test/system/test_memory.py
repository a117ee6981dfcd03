"""Memory is bounded whatever is in flight (G6): many large payloads to many slow receivers."""
import os
import re
import sys
import threading
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import big
from harness import DEADLINE, SANITIZED, Daemon, Receiver, wait_for

BUDGET_MIB = 48  # engine/claim.c


def rss_mib(d):
    with open(f"/proc/{d.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


class Memory(unittest.TestCase):
    def test_large_payloads_to_slow_receivers(self):
        """Sixty endpoints hold what they get: 300 deliveries of 1 MiB wait, a sixth of them in memory, each once. A small one passes."""
        go = threading.Event()

        def hold(r, n):
            r.body = b""
            go.wait(DEADLINE)
            return 200
        with Daemon("delivery: {timeout: 60s}\n") as d, Receiver(hold) as slow, Receiver() as good:
            for i in range(60):
                d.subscribe(f"{slow.url}/{i}", "--name", f"slow{i}", events="large")
                d.ctl("subscription", "pause", f"slow{i}")
            d.subscribe(good.url, "--name", "good", events="small")
            d.insert(*[{"type": "large", "payload": '"' + "x" * ((1 << 20) - 2) + '"', "event_id": f"e{i}"} for i in range(5)])
            wait_for(lambda: d.counts()["held"] == 300)
            self.assertEqual(d.stop(), 0)
            d.start()
            rest = most = rss_mib(d)

            def look():
                nonlocal most
                most = max(most, rss_mib(d))
                return most
            for i in range(60):
                d.ctl("subscription", "resume", f"slow{i}")
                look()
            wait_for(lambda: look() and len(slow.requests) >= BUDGET_MIB * 3 // 4)
            for i in range(20):
                d.emit("small", event_id=f"s{i}")
                wait_for(lambda: look() and len(good.requests) == i + 1)
            held = len(slow.requests)
            go.set()
            wait_for(lambda: look() and d.counts()["delivered"] == 320, 120)
            after = rss_mib(d)
            print(f"RSS at rest {rest:.0f} MiB, most {most:.0f} MiB with {held} in flight, after it {after:.0f} MiB")
            self.assertLessEqual(held, BUDGET_MIB + 1)
            if not SANITIZED:  # SQLite's caches are in it
                self.assertLess(most - rest, 2 * BUDGET_MIB)
                self.assertLess(after - rest, BUDGET_MIB)

    @unittest.skipIf(SANITIZED, "a sanitizer's memory is its own")
    def test_a_subscription_costs_about_a_kilobyte(self):
        with Daemon() as d:
            d.subscribe("https://e.example/", "--name", "first", events="none")
            self.assertEqual(d.stop(), 0)
            d.start()
            one = rss_mib(d)
            self.assertEqual(d.stop(), 0)
            with big.opened(d) as db:
                big.subscriptions(db, 10_000)
            d.start()
            many = rss_mib(d)
            print(f"RSS with one {one:.1f} MiB, with 10,000 {many:.1f} MiB")
            self.assertLess((many - one) * 1024, 2 * 10_000)


if __name__ == "__main__":
    unittest.main()
