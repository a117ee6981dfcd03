"""subscription test: one signed synthetic delivery, and what the endpoint says."""
import unittest

from harness import Daemon, Receiver, wait_for

CONF = "retry: {default: {max_retries: 3, initial_delay: 20ms}}\n"


class Trial(unittest.TestCase):
    def test_what_the_endpoint_says(self):
        with Daemon(CONF) as d, Receiver((200, {"X-Hello": "w\x1b[31m"}, b"thank you")) as r, Receiver(200) as other:
            d.subscribe(r.url, "--name", "acme", events="trade.*")
            d.subscribe(other.url, "--name", "other")
            done = d.ctl("subscription", "test", "acme", raw=True)
            self.assertIn("200", done.stdout)
            self.assertIn("thank you", done.stdout)
            self.assertNotIn("\x1b", done.stdout)
            self.assertIn("accepts", done.stderr)
            self.assertEqual(len(r.requests), 1)
            self.assertIn("X-BondX-Signature", r.requests[0].headers)
            self.assertEqual(r.requests[0].json["event"], "webhookd.test")
            self.assertEqual(d.json("subscription", "test", "acme", "--type", "trade.made", "--data", '{"n":7}')["state"], "delivered")
            self.assertEqual((r.requests[1].json["event"], r.requests[1].json["data"]), ("trade.made", {"n": 7}))
            for answer, word in ((503, "503"), (404, "404"), (410, "410")):
                r.answer = answer
                before = len(r.requests)
                done = d.ctl("subscription", "test", "acme", check=1, raw=True)
                self.assertIn(word, done.stdout)
                self.assertEqual(len(r.requests), before + 1)  # nothing is retried
                if answer == 410:
                    break
            self.assertEqual(d.ctl("dlq", "count"), "0\n")
            self.assertEqual(len(other.requests), 0)
            self.assertNotRegex(d.metrics(), r'webhookd_attempts_total\{[^}]*\} [1-9]')  # it is no traffic
            self.assertEqual(d.json("subscription", "show", "acme")["state_cause"], "gone")  # the 410 did that
            since = d.json("subscription", "show", "acme")["state_since"]
            d.ctl("subscription", "test", "acme", check=1)  # and once more is no news
            self.assertEqual(d.json("subscription", "show", "acme")["state_since"], since)
            self.assertEqual(len(d.json("audit", "list", "--action", "subscription.disable")["items"]), 1)

    def test_what_is_held_does_not_hold_a_trial(self):
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            for verb, back in (("pause", "resume"), ("disable", "enable")):
                d.ctl("subscription", verb, "acme")
                d.insert(*[dict(type="a.b", payload={"n": n}) for n in range(3)])
                wait_for(lambda: d.json("subscription", "show", "acme")["backlog"] == 3)
                before = len(r.requests)
                done = d.ctl("subscription", "test", "acme", raw=True)
                self.assertIn(f"Next: webhookctl sub {back} acme", done.stderr)
                r.answer = 500
                self.assertIn("Once it is mended", d.ctl("subscription", "test", "acme", check=1, raw=True).stderr)
                self.assertEqual([q.json["event"] for q in r.requests[before:]], ["webhookd.test"] * 2)
                self.assertEqual(d.json("subscription", "show", "acme")["backlog"], 3)
                r.answer = 200
                d.ctl("subscription", back, "acme")
                wait_for(lambda: len(r.requests) == before + 5)
            self.assertEqual(d.ctl("dlq", "count"), "0\n")

    def test_a_broken_endpoint_is_tried(self):
        with Daemon(CONF + "breaker: {min_failures: 5, min_period: 100ms, probe_interval: 1h}\n") as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b", payload={"n": n}) for n in range(20)])
            wait_for(lambda: d.json("subscription", "show", "acme")["broken_since"])
            wait_for(lambda: d.json("subscription", "show", "acme")["in_flight"] == 0)
            before, waiting = len(r.requests), d.json("subscription", "show", "acme")["backlog"]
            r.answer = 200
            d.ctl("subscription", "test", "acme")
            self.assertEqual([q.json["event"] for q in r.requests[before:]], ["webhookd.test"])
            shown = d.json("subscription", "show", "acme")
            self.assertEqual((shown["backlog"], bool(shown["broken_since"])), (waiting, True))

    def test_when_nobody_would_answer(self):
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.ctl("egress", "pause", "--yes", "--note", "INC-1")
            done = d.ctl("subscription", "test", "acme", check=1, raw=True)
            self.assertIn("egress is paused", done.stderr)
            self.assertIn("INC-1", done.stderr)
            self.assertIn("webhookctl egress resume", done.stderr)
            d.ctl("egress", "resume")
            d.ctl("subscription", "test", "nobody", check=4)
            d.ctl("subscription", "test", "acme", "--type", "a b", check=64)
            d.ctl("subscription", "test", "acme", "--data", "{", check=65)
            self.assertEqual(len(r.requests), 0)

    def test_nobody_waits_for_it(self):
        """--detach; and what is asked for while webhookd is down is sent when it starts, once, also to one that is paused."""
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.ctl("subscription", "test", "acme", "--detach", "--wait", "1s", check=64)
            done = d.ctl("subscription", "test", "acme", "--detach", raw=True)
            self.assertIn(f"webhookctl delivery show {done.stdout.strip()}", done.stderr)
            wait_for(lambda: d.json("delivery", "show", done.stdout.strip())["state"] == "delivered")
            d.ctl("subscription", "pause", "acme")
            d.stop()
            before = len(r.requests)
            ids = [d.ctl("subscription", "test", "acme", "--detach").strip(), d.json("subscription", "test", "acme", check=75)["id"]]
            done = d.ctl("subscription", "test", "acme", "--type", "trade.made", "--data", '{"n":7}', check=75, raw=True)
            self.assertIn("webhookd is not running: the test is queued, and sent when it starts.", done.stderr)
            ids.append(done.stdout.strip())
            self.assertIn("It would be", d.ctl("subscription", "test", "acme", "--dry-run", raw=True).stderr)
            d.ctl("subscription", "test", "nobody", check=4)
            d.ctl("subscription", "test", "acme", "--type", "a b", check=64)
            d.ctl("egress", "pause", "--yes")
            self.assertIn("egress is paused", d.ctl("subscription", "test", "acme", check=1, raw=True).stderr)
            d.ctl("egress", "resume")
            self.assertEqual(d.json("delivery", "show", ids[0])["state"], "held")  # as others of one that is paused
            r.answer = lambda request, n: 500 if request.json["event"] == "trade.made" else 200
            d.start()
            for id in ids:
                wait_for(lambda: d.json("delivery", "show", id)["state"] in ("delivered", "discarded"))
            self.assertEqual(sorted(q.json["event"] for q in r.requests[before:]), ["trade.made", "webhookd.test", "webhookd.test"])
            self.assertEqual(d.ctl("dlq", "count"), "0\n")
            self.assertEqual(d.json("subscription", "show", "acme")["backlog"], 0)

    def test_before_a_backlog(self):
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme", "--rate", "2/s")
            d.insert(*[dict(type="trade.settled", payload={"n": n}) for n in range(200)])
            wait_for(lambda: len(r.requests) > 2)
            d.ctl("subscription", "test", "acme")
            self.assertGreater(d.unsettled(), 100)

    def test_enable_begins_anew(self):
        with Daemon(CONF) as d, Receiver(410) as r:
            d.subscribe(r.url, "--name", "initech")
            d.emit("a.b", {})
            wait_for(lambda: d.json("subscription", "show", "initech")["state"] == "disabled")
            wait_for(lambda: d.json("subscription", "show", "initech")["failed_total"] == 1)
            r.answer = 200
            d.ctl("subscription", "enable", "initech")
            shown = d.json("subscription", "show", "initech")
            self.assertEqual((shown["state"], shown["failing_since"], shown["broken_since"]), ("active", None, None))
            self.assertEqual((shown["last_failure_status"], shown["failed_total"]), (410, 1))
            self.assertEqual(d.json("status")["failing"], [])
            d.ctl("dlq", "replay", "-s", "initech", "--yes")
            wait_for(lambda: d.json("subscription", "show", "initech")["last_success_at"])


if __name__ == "__main__":
    unittest.main()
