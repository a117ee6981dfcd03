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
            self.assertIn("disabled", d.ctl("subscription", "test", "acme", check=1, raw=True).stderr)  # the 410 did that

    def test_when_nobody_would_answer(self):
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.ctl("subscription", "pause", "acme")
            done = d.ctl("subscription", "test", "acme", check=1, raw=True)
            self.assertIn("is paused", done.stderr)
            self.assertIn("subscription resume acme", done.stderr)
            d.ctl("subscription", "test", "nobody", check=4)
            d.ctl("subscription", "test", "acme", "--type", "a b", check=1)  # it is paused, whatever is sent
            d.ctl("subscription", "resume", "acme")
            d.ctl("subscription", "test", "acme", "--type", "a b", check=64)
            d.ctl("subscription", "test", "acme", "--data", "{", check=65)
            d.stop()
            self.assertIn("start it", d.ctl("subscription", "test", "acme", check=69, raw=True).stderr)
            self.assertEqual(len(r.requests), 0)

    def test_before_a_backlog(self):
        with Daemon(CONF) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme", "--rate", "2/s")
            d.insert(*[dict(type="trade.settled", payload={"n": n}) for n in range(200)])
            wait_for(lambda: len(r.requests) > 2)
            d.ctl("subscription", "test", "acme")
            self.assertGreater(d.unsettled(), 100)


if __name__ == "__main__":
    unittest.main()
