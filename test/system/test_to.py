#!/usr/bin/env python3
"""dlq replay --to and delivery resend --to: copies for a test endpoint; what they are copies of stays as it is."""
import hashlib
import hmac
import threading
import unittest

from harness import Daemon, Receiver, wait_for
from test_replay import Letters, dead, over

SECRET = "a-secret-of-the-partner-and-us"


def copies(d, job):
    return d.json("delivery", "list", "--job", job, "--order", "oldest")["items"]


def job_of(d, *args):
    return d.ctl("-o", "id", "dlq", "replay", *args, "--detach", "--yes").strip()


def gone(test, d, *names):
    """No subscription of a job's is left, in lists or in metrics."""
    test.assertEqual([s["name"] for s in d.json("sub", "list")["items"]], list(names))
    test.assertIn(f'webhookd_subscriptions{{state="active"}} {len(names)}\n', d.metrics())


class Copies(unittest.TestCase):
    def test_letters_go_to_staging_and_stay_dead(self):
        with Daemon("retry: {default: {max_retries: 1, initial_delay: 20ms}}\n") as d, Receiver(400) as acme, Receiver(200) as staging:
            for name, text in (("secret", SECRET), ("bearer", "partner-token"), ("headers", "X-Partner-Key: k\n")):
                with open(f"{d.dir}/{name}", "w", encoding="utf-8") as f:
                    f.write(text)
            d.subscribe(acme.url, "--name", "acme", "--secret-file", f"{d.dir}/secret", "--bearer-file", f"{d.dir}/bearer", "--header-file", f"{d.dir}/headers")
            d.insert(*[dict(type="a.x", event_id=f"e-{i}", payload={"n": i}, ordering_key="k") for i in range(20)])
            dead(d, 20)
            before = d.json("dlq", "list")
            preview = d.json("dlq", "replay", "-s", "acme", "--to", staging.url, "--dry-run")
            self.assertEqual((preview["count"], preview["options"]["to"], preview["options"]["attempts"]), (20, staging.url, "1"))
            text = d.ctl("dlq", "replay", "-s", "acme", "--to", staging.url, "--dry-run")
            for part in ("Would send copies of 20 dead letters", staging.url, "stay as they are", "One attempt each", "bearer token and custom headers"):
                self.assertIn(part, text)
            self.assertNotIn("STATE NOW", text)
            done = d.ctl("dlq", "replay", "-s", "acme", "--to", staging.url, "--yes", "--note", "try", raw=True)
            self.assertIn(f"sent to {staging.url}: 20 delivered, 0 failed (discarded)", done.stdout)
            self.assertIn("still dead", done.stderr)
            self.assertEqual(len(acme.requests), 20)  # from before
            acme.requests, first = [], acme.requests
            bodies = {q.id: q.body for q in first}
            self.assertEqual(sorted(staging.ids()), sorted(f"e-{i}" for i in range(20)))
            for q in staging.requests:
                self.assertEqual(q.body, bodies[q.id])
                signature = hmac.new(SECRET.encode(), q.body, hashlib.sha256).hexdigest()
                self.assertEqual(q.headers["X-BondX-Signature"], f"sha256={signature}")
                self.assertEqual((q.headers["Authorization"], q.headers["X-Partner-Key"], q.headers["webhook-attempt"]), (None, None, "1"))
            self.assertEqual(d.json("dlq", "list"), before)
            job = d.json("job", "list")["items"][0]
            self.assertEqual((job["kind"], job["options"]["to"], job["counts"]["delivered"]), ("replay", staging.url, 20))
            self.assertIn(staging.url, d.ctl("job", "show", job["id"]))
            self.assertIn(f"copies to {staging.url}: try", d.ctl("job", "list"))
            self.assertEqual([x["subscription"] for x in d.json("job", "show", job["id"])["subscriptions"]], ["acme"])
            self.linked(d, job["id"], before["items"], staging.url)
            gone(self, d, "acme")
            entry = d.json("audit", "list", "--action", "dead_letter.replay")["items"][0]
            self.assertEqual((entry["detail"]["options"]["to"], entry["detail"]["note"]), (staging.url, "try"))
            # and now in earnest
            acme.answer = 200
            self.assertIn("20 delivered", d.ctl("dlq", "replay", "-s", "acme", "--yes"))
            self.assertEqual(len(acme.requests), 20)
            self.assertEqual(acme.requests[0].headers["Authorization"], "Bearer partner-token")
            d.ctl("db", "check")

    def linked(self, d, job, letters, url):
        """Each copy says whose it is; the trace shows it; nothing is sent again."""
        rows = copies(d, job)
        self.assertEqual([x["original"] for x in rows], [x["id"] for x in letters])
        self.assertTrue(all(x["trial"] and x["state"] == "delivered" and x["id"] != x["original"] for x in rows))
        one = d.json("delivery", "show", rows[0]["id"])
        self.assertEqual((one["url"], [x["kind"] for x in one["deeds"]]), (url, ["copied"]))
        shown = d.ctl("delivery", "show", rows[0]["id"])
        self.assertRegex(shown, rf"Copy of +{rows[0]['original']}")
        trace = d.json("event", "trace", rows[0]["event_id"])
        self.assertEqual((trace["subscriptions"], trace["deliveries"]["dead"], trace["deliveries"]["delivered"]), (["acme"], 1, 0))
        copied = [x for x in trace["entries"] if x["kind"] == "copied"]
        self.assertEqual([(x["to"], x["original"], x["job"]) for x in copied], [(url, rows[0]["original"], job)])
        self.assertIn(f"copy of {rows[0]['original']} to {url}", d.ctl("event", "trace", rows[0]["event_id"]))
        for command in ("dlq replay", "delivery resend"):
            refused = d.ctl(*command.split(), rows[0]["id"], "--yes", check=None, raw=True)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(f"Its original is {rows[0]['original']}", refused.stderr)

    def test_what_holds_the_letters_does_not_hold_copies(self):
        with Letters(2, "a", "b", "c", "x") as (d, a, b, c, x), Receiver(200) as staging:
            d.ctl("sub", "pause", "a")
            d.ctl("sub", "disable", "b")
            d.ctl("sub", "delete", "c", "--yes")
            busy = job_of(d, "-s", "x", "--rate", "0.1/s")  # a replay that runs is not in the way, nor the other way round
            wait_for(lambda: len(x.requests) == 1)
            dead(d, 8)  # that one is dead again, and the next one's turn is ten seconds later
            done = d.ctl("dlq", "replay", "--all", "--to", staging.url, "--yes", "--canary", "0", raw=True)
            self.assertIn("8 delivered, 0 failed", done.stdout)
            self.assertEqual(set(staging.ids()), {f"{name}-{i}" for name in "abcx" for i in range(2)})
            self.assertEqual((a.requests, b.requests, c.requests), ([], [], []))
            d.ctl("job", "cancel", busy)

    def test_an_endpoint_that_fails(self):
        with Letters(5) as (d, r), Receiver(500) as staging:
            done = d.ctl("dlq", "replay", "--all", "--to", staging.url, "--yes", "--stop-at", "1", "--canary", "0", check=1, raw=True)
            self.assertIn("0 delivered, 5 failed (discarded)", done.stdout)
            self.assertIn("http_5xx 500", done.stderr)
            self.assertEqual((len(staging.requests), len(r.requests), d.ctl("dlq", "count")), (5, 0, "5\n"))
            job = d.json("job", "list")["items"][0]
            self.assertEqual([(x["state"], x["cause"], x["attempts"]) for x in copies(d, job["id"])], [("discarded", "retries_exhausted", 1)] * 5)
            self.assertIn("DISCARDED", d.ctl("event", "trace", "s-0"))
            self.assertEqual((d.counts()["dead"], d.counts()["discarded"]), (5, 0))
            self.assertRegex(d.ctl("job", "show", job["id"]), r"Failed +5\n")
            before = len(staging.requests)
            d.ctl("dlq", "replay", "s-0", "--to", staging.url, "--attempts", "full", "--yes", check=1)
            self.assertEqual(len(staging.requests), before + 2)  # asked for, it is retried as its policy says
            staging.answer = 410  # an answer, and no more
            self.assertIn("0 delivered, 2 failed", d.ctl("dlq", "replay", "s-0", "s-1", "--to", staging.url, "--stop-at", "1", "--canary", "0", "--yes", check=1))
            self.assertEqual(d.json("sub", "show", "s")["state"], "active")
            self.assertEqual(d.json("sub", "list")["items"][0]["failed_total"], 5)
            gone(self, d, "s")

    def test_a_canary_that_fails_stops_it_and_it_goes_on(self):
        with Letters(30) as (d, r), Receiver(503) as staging:
            done = d.ctl("dlq", "replay", "--all", "--to", staging.url, "--yes", check=1, raw=True)
            job = d.json("job", "list")["items"][0]
            self.assertEqual((job["state"], job["reason"], job["counts"]["discarded"]), ("stopped", "canary_failed", len(staging.requests)))
            self.assertIn(f"webhookctl job resume {job['id']}", done.stderr)
            self.assertNotIn("sub show", done.stderr)
            gone(self, d, "s")
            failed = len(staging.requests)
            staging.answer = 200
            d.ctl("job", "resume", job["id"])
            done = over(d, job["id"])
            self.assertEqual((done["state"], done["counts"]["delivered"], done["counts"]["discarded"]), ("done", 30 - failed, failed))
            self.assertEqual(len(set(staging.ids())), 30)
            gone(self, d, "s")
            dead(d, 30)

    def test_killed_in_the_middle(self):
        with Letters(200) as (d, r), Receiver(200) as staging:
            job = job_of(d, "--all", "--to", staging.url, "--rate", "200/s")
            for upto in (40, 100):
                wait_for(lambda: len(staging.requests) > upto)
                d.kill()
                d.start()
            counts = over(d, job)["counts"]
            self.assertEqual((counts["selected"], counts["queued"], counts["delivered"], counts["dead_again"], counts["discarded"]), (200, 200, 200, 0, 0))
            rows = [x["original"] for x in d.json("delivery", "list", "--job", job, "--limit", "1000")["items"]]
            self.assertEqual((len(rows), len(set(rows))), (200, 200))
            self.assertEqual(set(staging.ids()), {f"s-{i}" for i in range(200)})
            self.assertEqual(r.requests, [])
            dead(d, 200)
            gone(self, d, "s")

    def test_no_live_event_and_no_hand_on_its_subscription(self):
        with Letters(20, "s") as (d, r), Receiver(200) as staging:
            job = job_of(d, "--all", "--to", staging.url, "--rate", "1/s")
            wait_for(lambda: len(staging.requests) > 0)
            made = d.json("delivery", "show", copies(d, job)[0]["id"])
            self.assertRegex(made["subscription"], r"^s\.to-")
            shown = d.json("sub", "show", made["subscription"])
            self.assertEqual((shown["job"], shown["events"]), (job, []))
            gone(self, d, "s")
            self.assertNotIn(made["subscription"], d.ctl("status") + d.ctl("doctor", check=None) + d.ctl("stats"))
            for verb in (["pause"], ["resume"], ["disable"], ["enable"], ["delete", "--yes"], ["set", "url=https://x.example/"], ["test"], ["rotate-secret"]):
                refused = d.ctl("sub", verb[0], made["subscription"], *verb[1:], check=None, raw=True)
                self.assertNotEqual(refused.returncode, 0, verb)
                self.assertIn(f"webhookctl job cancel {job}", refused.stderr, verb)
            r.answer = 200
            d.ctl("config", "reload")
            d.insert(*[dict(type="s.x", event_id=f"live-{i}") for i in range(5)])
            wait_for(lambda: len(r.requests) == 5)
            d.kill()
            d.start()
            d.insert(*[dict(type="s.x", event_id=f"later-{i}") for i in range(5)])
            wait_for(lambda: len(r.requests) >= 10)
            self.assertEqual([x for x in staging.ids() if not x.startswith("s-")], [])
            d.ctl("job", "cancel", job)
            self.assertEqual(d.json("job", "show", job)["state"], "cancelled")
            gone(self, d, "s")
            dead(d, 20)
            self.assertIn("deleted", d.json("sub", "show", shown["id"])["state"])

    def test_cancelled_with_copies_on_their_way(self):
        held = threading.Event()
        with Letters(40) as (d, r), Receiver(lambda q, n: held.wait(30) and 200) as staging:
            job = job_of(d, "--all", "--to", staging.url, "--canary", "0")
            wait_for(lambda: len(staging.requests) > 3)
            self.assertIn("on their way (they are discarded)", d.ctl("job", "cancel", job, raw=True).stderr)
            wait_for(lambda: all(x["state"] == "discarded" for x in copies(d, job)))
            held.set()
            wait_for(lambda: all(x["attempts"] == 1 for x in copies(d, job)[:3]))  # it took place all the same
            counts = d.json("job", "show", job)["counts"]
            self.assertEqual((counts["delivered"], counts["discarded"], counts["waiting"]), (0, counts["queued"], 0))
            self.assertLess(counts["queued"], 40)
            dead(d, 40)
            gone(self, d, "s")

    def test_with_the_daemon_stopped(self):
        with Letters(3) as (d, r), Receiver(200) as staging:
            d.stop()
            done = d.ctl("dlq", "replay", "--all", "--to", staging.url, "--yes", check=75, raw=True)
            job = done.stdout.strip()
            self.assertEqual(staging.requests, [])
            d.start()
            self.assertEqual(over(d, job)["counts"]["delivered"], 3)
            d.stop()
            self.assertEqual(d.ctl("dlq", "count"), "3\n")
            again = d.ctl("dlq", "replay", "--all", "--to", staging.url, "--yes", check=75).strip()
            d.ctl("job", "cancel", again)
            d.start()
            gone(self, d, "s")
            self.assertEqual(len(staging.requests), 3)

    def test_bad_urls(self):
        with Letters(1) as (d, r):
            for url, part in (("ftp://x.example/", "https://"), ("https://10.0.0.8/x", "10.0.0.8"), ("https://user:pw@x.example/", "user"), ("nonsense", "to: "), ("https://169.254.169.254/", "169.254")):
                for command in (["dlq", "replay", "--all"], ["delivery", "resend", "--all"]):
                    refused = d.ctl(*command, "--to", url, "--yes", check=64, raw=True)
                    self.assertIn(part, refused.stderr)
                    d.ctl(*command, "--to", url, "--dry-run", check=64)
            self.assertEqual(d.json("job", "list")["items"], [])


class Resent(unittest.TestCase):
    def test_delivered_ones_stay_delivered(self):
        with Daemon() as d, Receiver(200) as r, Receiver(200) as staging:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.x", event_id=f"e-{i}") for i in range(5)])
            wait_for(lambda: d.counts()["delivered"] == 5 and d.unsettled() == 0)
            before = d.json("delivery", "list", "-s", "acme")
            done = d.ctl("delivery", "resend", "-s", "acme", "--to", staging.url, "--yes", raw=True)
            self.assertIn(f"sent to {staging.url}: 5 delivered, 0 failed (discarded)", done.stdout)
            self.assertNotIn("still dead", done.stderr)
            self.assertEqual((sorted(staging.ids()), len(r.requests)), ([f"e-{i}" for i in range(5)], 5))
            self.assertEqual(d.json("delivery", "list", "-s", "acme"), before)
            again = d.json("delivery", "resend", "--all", "--dry-run")
            self.assertEqual(again["count"], 5)  # copies are not sent again
            self.assertEqual(d.json("event", "trace", "e-0")["deliveries"]["delivered"], 1)


if __name__ == "__main__":
    unittest.main()
