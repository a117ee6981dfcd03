"""The policies on the wire: Retry-After in its forms, 410 under every profile, the breaker and what it holds."""
import math
import threading
import time
import unittest

from harness import DEADLINE, Daemon, Receiver, wait_for

PROFILES = ("bondx", "bondbricks", "event-platform", "standard", "raw")
BREAKER = ("retry: {default: {max_retries: 20, initial_delay: 100ms, multiplier: 1.2, max_delay: 1s, jitter: 0}}\n"
           "breaker: {min_failures: 6, min_period: 400ms, probe_interval: 1s, max_hold: %s}\n")


class RetryAfter(unittest.TestCase):
    def test_every_form_and_which_ones_hold_the_lane(self):
        wait = 4  # seconds
        forms = {"delay": "{wait}", "imf": "%a, %d %b %Y %H:%M:%S GMT", "rfc850": "%A, %d-%b-%y %H:%M:%S GMT", "asctime": "%a %b %e %H:%M:%S %Y"}
        cases = [(status, form) for status in (429, 503, 500) for form in forms]

        def answer(request, _):
            _, status, form = request.path.rsplit("/", 2)
            first = request.headers["webhook-attempt"] == "1" and request.id == "first"
            then = time.gmtime(time.time() + wait + 1)  # dates have whole seconds: at least wait from now
            return (int(status), {"Retry-After": time.strftime(forms[form].format(wait=wait), then)}, b"") if first else 200

        with Daemon("retry: {default: {initial_delay: 50ms, jitter: 0}}\n") as d, Receiver(answer) as r:
            for status, form in cases:
                d.subscribe(f"{r.url}/{status}/{form}")
            start = time.monotonic()
            d.emit("a.b", event_id="none")
            wait_for(lambda: d.counts()["delivered"] == len(cases))
            wait = max(wait, math.ceil(6 * (time.monotonic() - start)))  # "first" is to wait until "second" is through
            d.emit("a.b", event_id="first")
            wait_for(lambda: d.counts()["retrying"] == len(cases))
            d.emit("a.b", event_id="second")
            wait_for(lambda: d.counts()["delivered"] == 3 * len(cases), DEADLINE + wait)
            for status, form in cases:
                seen = [x for x in r.requests if x.path.endswith(f"/{status}/{form}")][1:]
                at = {x.id: x.at - seen[0].at for x in seen}  # of the last one of each id
                self.assertGreater(at["first"], wait - 0.1, (status, form))
                if status == 500:
                    self.assertLess(at["second"], at["first"], form)  # only the delivery waits
                else:
                    self.assertGreater(at["second"], wait - 0.1, (status, form))


class Gone(unittest.TestCase):
    def test_410_is_final_under_every_profile(self):
        with Daemon() as d, Receiver(410) as r:
            for profile in PROFILES:  # bondbricks retries any other non-2xx
                d.subscribe(r.url, "--profile", profile, "--name", profile)
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == len(PROFILES))
            self.assertEqual({(x["cause"], x["attempts"]) for x in d.json("dlq", "list")["items"]}, {("gone", 1)})
            self.assertEqual({(s["state"], s["state_cause"]) for s in d.json("subscription", "list")["items"]}, {("disabled", "gone")})
            d.emit("a.b")
            wait_for(lambda: d.counts()["held"] == len(PROFILES))

    def test_the_last_word_of_an_endpoint_that_was_left(self):
        asked, moved = threading.Event(), threading.Event()

        def last_word(request, _):
            asked.set()
            moved.wait(DEADLINE)
            return 410

        with Daemon() as d, Receiver(last_word) as old, Receiver() as new:
            d.subscribe(old.url, "--name", "s")
            d.emit("a.b")
            self.assertTrue(asked.wait(DEADLINE))
            self.assertEqual(d.api("PATCH", "/subscriptions/s", {"url": new.url})[0], 200)
            moved.set()
            wait_for(lambda: d.counts()["dead"] == 1)
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] == 1)
            self.assertEqual(d.json("subscription", "show", "s")["state"], "active")
            self.assertEqual(len(new.requests), 1)


class Breaker(unittest.TestCase):
    def test_opens_probes_and_what_it_holds_burns_no_attempts(self):
        with Daemon(BREAKER % "1h") as d, Receiver(503) as r:
            d.subscribe(r.url)
            d.insert(*[dict(type="a.b") for _ in range(30)])
            wait_for(lambda: d.json("status")["breakers_open"] == 1)
            wait_for(lambda: (c := d.counts())["held"] == 30 and c["in_flight"] == 0)
            before = len(r.requests)
            wait_for(lambda: len(r.requests) >= before + 2)
            self.assertGreater(r.requests[before + 1].at - r.requests[before].at, 0.9)  # two probes are an interval apart
            d.kill()
            d.start()  # it stays open across a kill
            self.assertEqual(d.counts()["held"], 30)
            self.assertLess(len(r.requests), before + 30)
            r.answer = 200
            wait_for(lambda: d.counts()["delivered"] == 30)
            self.assertEqual(d.json("status")["breakers_open"], 0)

    def test_a_handful_and_refused_messages_do_not_open_it(self):
        with Daemon(BREAKER % "1h") as d, Receiver(lambda q, n: 503 if q.path.endswith("few") else 400) as r:
            d.subscribe(r.url + "/few", events="few")
            d.subscribe(r.url + "/refused", events="refused")
            d.insert(*[dict(type="few") for _ in range(4)], *[dict(type="refused") for _ in range(30)])
            wait_for(lambda: d.counts()["dead"] == 30)
            wait_for(lambda: len(r.requests) >= 30 + 4 * 8)  # far more failures than min_failures, for longer than min_period
            self.assertEqual((d.json("status")["breakers_open"], d.counts()["retrying"]), (0, 4))

    def test_what_was_held_too_long_is_dead(self):
        with Daemon(BREAKER % "1s") as d, Receiver(503) as r:
            d.subscribe(r.url)
            d.insert(*[dict(type="a.b") for _ in range(20)])
            wait_for(lambda: d.counts()["dead"] == 20)
            self.assertEqual({x["cause"] for x in d.json("dlq", "list")["items"]}, {"endpoint_down"})
            self.assertLess(max(x["attempts"] for x in d.json("dlq", "list")["items"]), 21)


if __name__ == "__main__":
    unittest.main()
