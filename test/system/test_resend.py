#!/usr/bin/env python3
"""delivery resend: what was delivered, or discarded, goes out again as the same delivery; a job like a replay."""
import json
import subprocess
import threading
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for
from test_replay import QUICK, over


class Delivered:
    """webhookd with n delivered deliveries of each of some subscriptions."""

    def __init__(self, n, *names, conf=QUICK):
        self.n, self.names, self.conf = n, names or ("s",), conf

    def __enter__(self):
        self.d = Daemon(self.conf).__enter__()
        self.r = {name: Receiver().__enter__() for name in self.names}
        for name in self.names:
            self.d.subscribe(self.r[name].url, "--name", name, events=f"{name}.*")
        self.d.insert(*[dict(type=f"{name}.x", event_id=f"{name}-{i}") for i in range(self.n) for name in self.names])
        self.settled(self.n * len(self.names))
        for r in self.r.values():
            r.requests.clear()
        return self.d, *self.r.values()

    def settled(self, n):
        wait_for(lambda: self.d.counts()["delivered"] == n and self.d.unsettled() == 0, what=f"{n} delivered")

    def __exit__(self, *why):
        for r in self.r.values():
            r.__exit__(None, None, None)
        self.d.__exit__(*why)


def job_of(d, *args):
    return d.ctl("-o", "id", "delivery", "resend", *args, "--detach", "--yes").strip()


class Resend(unittest.TestCase):
    def test_the_same_deliveries_again(self):
        with Delivered(5, "a", "b") as (d, a, b):
            before = d.json("delivery", "list", "-s", "a", "--order", "oldest")["items"]
            p = d.json("delivery", "resend", "-s", "a", "--rate", "50/s", "--dry-run")
            self.assertEqual((p["count"], p["payload_bytes"], p["excluded"], p["types"]), (5, 10, 0, [{"type": "a.x", "count": 5}]))
            self.assertEqual((p["oldest_died_at"], p["oldest_created_at"]), (None, before[0]["created_at"]))
            text = d.ctl("delivery", "resend", "-s", "a", "--rate", "50/s", "--dry-run")
            for part in ("Would resend 5 deliveries (5 a.x), 10 B, created ", "DELIVERIES", "Canary 1, then 50/s"):
                self.assertIn(part, text)
            self.assertEqual(a.requests, [])
            done = d.ctl("delivery", "resend", "-s", "a", "--yes", raw=True)
            self.assertIn("done: 5 delivered, 0 dead", done.stdout)
            self.assertIn("later deliveries are not included", done.stderr)
            self.assertEqual((sorted(a.ids()), b.requests), ([f"a-{i}" for i in range(5)], []))
            after = d.json("delivery", "list", "-s", "a", "--order", "oldest")["items"]
            self.assertEqual([x["id"] for x in after], [x["id"] for x in before])
            self.assertEqual([(x["state"], x["attempts"]) for x in after], [("delivered", 2)] * 5)
            self.assertEqual(d.counts()["delivered"], 10)
            shown = d.json("delivery", "show", before[0]["id"])
            self.assertEqual([x["kind"] for x in shown["deeds"]], ["resent"])
            self.assertIn("resent", d.ctl("event", "trace", "a-0"))
            self.assertIn("delivery.resend", d.ctl("audit", "list"))

    def test_by_event_and_by_delivery(self):
        with Delivered(3, "a", "b") as (d, a, b):
            one = d.json("delivery", "list", "-s", "b", "--order", "oldest")["items"][0]["id"]
            d.ctl("delivery", "resend", "a-1", one, "--yes")
            self.assertEqual((a.ids(), b.ids()), (["a-1"], ["b-0"]))
            refused = d.ctl("delivery", "resend", "nobody", "--yes", check=4, raw=True)
            self.assertIn("delivered or discarded", refused.stderr)
            self.assertEqual(d.ctl("delivery", "resend", "--yes", check=64), "")
            self.assertEqual(d.ctl("delivery", "resend", "--all", check=64), "")  # no terminal, no --yes
            self.assertIn("dlq replay", d.ctl("delivery", "resend", "--state", "dead", "--yes", check=64, raw=True).stderr)
            self.assertIn("No deliveries match", d.ctl("delivery", "resend", "--type", "no.such", "--yes", raw=True).stderr)

    def test_what_fails_now_is_a_dead_letter(self):
        with Delivered(4) as (d, r):
            r.answer = lambda q, n: 400 if q.id == "s-2" else 200
            done = d.ctl("delivery", "resend", "--all", "--stop-at", "1", "--yes", check=3, raw=True)
            self.assertIn("done: 3 delivered, 1 dead", done.stdout)
            letter = d.json("dlq", "list")["items"][0]
            self.assertEqual((letter["event_id"], letter["attempts"]), ("s-2", 2))
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--yes")
            self.assertEqual(d.counts()["delivered"], 4)

    def test_the_canary_stops_it(self):
        with Delivered(20) as (d, r):
            r.answer = 400
            done = d.ctl("delivery", "resend", "--all", "--yes", check=1, raw=True)
            self.assertEqual(len(r.requests), 5)
            self.assertIn("15 not sent", done.stdout)
            self.assertIn("15 were not sent", done.stderr)
            self.assertEqual((d.counts()["delivered"], d.counts()["dead"]), (15, 5))

    def test_discarded_ones_where_they_are_asked_for(self):
        with Delivered(2) as (d, r):
            r.answer = 400
            d.insert(*[dict(type="s.x", event_id=f"old-{i}") for i in range(3)])
            wait_for(lambda: d.counts()["dead"] == 3, what="dead letters")
            d.ctl("dlq", "purge", "old-0", "--confirm=1")
            d.ctl("dlq", "purge", "old-1", "old-2", "--confirm=2")
            r.answer = 200
            self.assertEqual(d.json("delivery", "resend", "--all", "--dry-run")["count"], 2)
            self.assertEqual(d.json("delivery", "resend", "--all", "--state", "discarded", "--dry-run")["count"], 3)
            purge = [x["id"] for x in d.json("job", "list")["items"] if x["kind"] == "purge"][0]
            d.ctl("delivery", "resend", "old-1", "--yes")
            self.assertIn("old-1", r.ids())
            d.ctl("dlq", "restore", purge)  # the other one
            self.assertEqual(d.ctl("dlq", "count"), "1\n")

    def test_what_has_no_payload_any_more_is_left_out(self):
        with Delivered(1, conf=QUICK + "dead_letter: {purge_grace: 0s}\n") as (d, r):
            r.answer = 400
            d.insert(dict(type="s.x", event_id="gone"))
            wait_for(lambda: d.counts()["dead"] == 1, what="a dead letter")
            d.ctl("dlq", "purge", "gone", "--confirm=1")
            r.answer = 200
            p = d.json("delivery", "resend", "--all", "--state", "discarded", "--state", "delivered", "--dry-run")
            self.assertEqual((p["count"], p["excluded_by"]), (1, [{"reason": "payload_gone", "count": 1}]))
            refused = d.ctl("delivery", "resend", "gone", "--yes", check=1, raw=True)
            self.assertIn("payload gone", refused.stderr)
            job = json.loads(d.ctl("-o", "json", "delivery", "resend", "--all", "--state", "discarded", "--state", "delivered", "--yes"))
            self.assertEqual((job["counts"]["delivered"], job["counts"]["excluded"]), (1, 1))

    def test_trials_are_nobodys_loss(self):
        with Delivered(1) as (d, r):
            d.ctl("sub", "test", "s")
            self.assertEqual(d.json("delivery", "resend", "--all", "--dry-run")["count"], 1)


class Job(unittest.TestCase):
    def test_rate_pause_resume_and_who_else(self):
        with Delivered(30) as (d, r):
            job = job_of(d, "--all", "--rate", "5/s")
            self.assertEqual(d.json("job", "show", job)["kind"], "resend")
            wait_for(lambda: r.requests, what="it has begun")
            self.assertIn(job, d.ctl("delivery", "resend", "--all", "--yes", check=75, raw=True).stderr)
            d.ctl("job", "pause", job)
            d.ctl("job", "set-rate", job, "none")
            d.ctl("job", "resume", job)
            done = over(d, job)
            self.assertEqual((done["state"], done["counts"]["delivered"]), ("done", 30))
            self.assertEqual(sorted(r.ids()), sorted(f"s-{i}" for i in range(30)))

    def test_newest_first(self):
        with Delivered(12) as (d, r):
            d.ctl("sub", "set", "s", "--concurrency", "1")  # what is sent at once comes in any order
            d.ctl("delivery", "resend", "--all", "--order", "newest", "--rate", "100/s", "--yes")
            self.assertEqual(r.ids(), [f"s-{i}" for i in reversed(range(12))])

    def test_what_is_delivered_meanwhile_is_not_in_it(self):
        with Delivered(10) as (d, r):
            job = job_of(d, "--all", "--rate", "10/s")
            d.insert(*[dict(type="s.x", event_id=f"later-{i}") for i in range(10)])
            done = over(d, job)
            self.assertEqual((done["counts"]["selected"], done["counts"]["delivered"]), (10, 10))
            self.assertEqual(len([x for x in r.ids() if x.startswith("later")]), 10)

    def test_so_many_that_the_job_counts_them(self):
        with Delivered(3000, "a", "b") as (d, a, b):
            job = job_of(d, "--all")
            done = over(d, job)
            self.assertEqual((done["state"], done["counts"]["selected"], done["counts"]["delivered"]), ("done", 6000, 6000))
            self.assertEqual((len(set(a.ids())), len(set(b.ids()))), (3000, 3000))

    def test_killed_in_the_middle(self):
        with Delivered(300) as (d, r):
            job = job_of(d, "--all", "--rate", "300/s")
            for n in (60, 150):
                wait_for(lambda: len(r.requests) >= n, what=f"{n} sent")
                d.kill()
                d.start()
            done = over(d, job)
            self.assertEqual((done["state"], done["counts"]["delivered"]), ("done", 300))
            self.assertEqual(len(set(r.ids())), 300)
            self.assertLessEqual(len(r.requests), 300 + 2 * 64)

    def test_asked_for_with_the_daemon_down(self):
        with Delivered(3) as (d, r):
            d.stop()
            d.ctl("delivery", "resend", "--all", "--yes", check=75)
            d.start()
            wait_for(lambda: len(r.requests) == 3, what="sent")


if __name__ == "__main__":
    unittest.main()
