"""A name server that means harm. The daemon gets a resolv.conf and a hosts file of its own in a mount namespace (root only)."""
import random
import socket
import time
import unittest

import harness
from harness import Receiver, free_port, wait_for
from names import NamedDaemon, Names, possible

CONF = ("store:\n  url: sqlite://{dir}/store/webhookd.db\n  encryption_key_file: {dir}/key\n"
        "outbox:\n  - url: sqlite://{dir}/outbox/outbox.db\n"
        "listen:\n  socket: {dir}/webhookd.sock\n  http: 127.0.0.1:{port}\n"
        "egress: {allow_http: true, allow: [127.0.0.1/32]}\nlog: {level: debug}\n")


@unittest.skipUnless(possible(), "needs root and mount namespaces")
class Dns(unittest.TestCase):
    def test_what_names_lead_to_is_judged(self):
        flip = lambda n: ["127.0.0.1"] if n % 2 else ["127.0.0.2"]
        table = {"good": ["127.0.0.1"], "loop": ["127.0.0.2"], "loop6": ["::1"], "mapped": ["::ffff:127.0.0.1"], "nat64": ["64:ff9b::a9fe:a9fe"],
                 "cname": ["@meta.fixture.example", "169.254.169.254"], "mixed": ["127.0.0.1", "10.0.0.5"], "mixed6": ["127.0.0.1", "fd00::1"],
                 "bcast": ["255.255.255.255"], "any": ["0.0.0.0"], "flip": flip, "nx": lambda n: [] if n < 2 else ["127.0.0.1"], "never": []}
        port = free_port()
        trap = socket.create_server(("127.0.0.2", port))
        trap.setblocking(False)
        names = Names(table)
        try:
            with NamedDaemon(names, replace=CONF, conf="retry: {default: {max_retries: 3, initial_delay: 600ms, multiplier: 1, jitter: 0}}\n") as d, Receiver(port=port) as r:
                for name in (*table, "hosts-file"):
                    d.subscribe(f"http://{name}.fixture.example:{port}/{name}", "--name", name)
                d.emit("a.b")
                wait_for(lambda: d.counts()["delivered"] + d.counts()["dead"] == len(table) + 1, 60)
                ends = {x["subscription"]: (x["cause"], x["last_outcome"]) for x in d.json("dlq", "list")["items"]}
                blocked = ("invalid_endpoint", "blocked")
                wanted = {name: blocked for name in (*table, "hosts-file") if name not in ("good", "flip", "nx", "never")}
                wanted["never"] = ("retries_exhausted", "dns")
                ends.pop("flip", None)  # whichever answer it got
                self.assertEqual(ends, wanted)
                self.assertLessEqual({x.path for x in r.requests}, {"/good", "/nx", "/flip"})
                self.assertIn("/nx", {x.path for x in r.requests})
            with self.assertRaises(BlockingIOError):
                trap.accept()
        finally:
            names.close()
            trap.close()

    def test_rebinding(self):
        """Each query says something else; what was judged is what is dialled, on every attempt."""
        port = free_port()
        trap = socket.create_server(("127.0.0.2", port))
        trap.setblocking(False)
        names = Names({"flip": lambda n: random.choice((["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"]))})
        try:
            conf = "retry: {default: {max_retries: 9, initial_delay: 700ms, multiplier: 1, jitter: 0}}\n"
            with NamedDaemon(names, replace=CONF, conf=conf) as d, Receiver(lambda r, n: (503, {"Connection": "close"}, b""), port=port) as r:
                d.subscribe(f"http://flip.fixture.example:{port}/")
                d.insert(*[dict(type="a.b") for _ in range(50)])
                wait_for(lambda: d.counts()["dead"] == 50, 60)
                self.assertGreater(names.asked["flip.fixture.example", 1], 1)
            with self.assertRaises(BlockingIOError):
                trap.accept()
        finally:
            names.close()
            trap.close()

    def test_silent_names_are_their_own_trouble(self):
        names = Names({"good": ["127.0.0.1"], **{f"silent{n}": None for n in range(300)}})
        try:
            with NamedDaemon(names, replace=CONF, conf="delivery: {timeout: 2s}\nretry: {default: {max_retries: 1000, initial_delay: 100ms}}\n") as d, Receiver() as r:
                d.subscribe(f"http://good.fixture.example:{r.port}/", "--name", "good", events="good")
                for n in range(300):
                    harness.unix_request(d, "POST", "/api/v1/subscriptions",
                                         {"url": f"http://silent{n}.fixture.example:{r.port}/", "events": ["silent"], "name": f"silent{n}"})
                d.emit("silent")
                wait_for(lambda: len(names.asked) >= 300)
                slowest = 0.0
                for n in range(7):  # longer than a name is remembered
                    start = time.monotonic()
                    d.emit("good")
                    wait_for(lambda: len(r.requests) == n + 1)
                    slowest = max(slowest, time.monotonic() - start)
                    time.sleep(0.9)
                self.assertGreaterEqual(names.asked["good.fixture.example", 1], 2)
                self.assertLess(slowest, 1.0)
                wait_for(lambda: d.counts()["delivered"] == 7)
                self.assertEqual({x["attempts"] for x in d.json("delivery", "list", "--subscription", "good")["items"]}, {1})
                self.assertEqual(d.stop(), 0)
        finally:
            names.close()


if __name__ == "__main__":
    unittest.main()
