#!/usr/bin/env python3
"""What a replay says before: how many, where to, how it is there now, what stands in the way, and the command that sends just these."""
import json
import os
import re
import subprocess
import threading
import unittest

from harness import BUILD, wait_for
from test_replay import Letters, dead, job_of, over


class Preview(unittest.TestCase):
    def test_it_tells_what_where_and_what_not(self):
        with Letters(3, "a", "b", "c") as (d, a, b, c):
            d.ctl("sub", "pause", "b")
            d.ctl("sub", "delete", "c", "--yes")
            before = d.json("audit", "list")
            p = d.json("dlq", "replay", "--all", "--rate", "2/s", "--canary", "2", "--stop-at", "0.25", "--order", "newest", "--attempts", "1", "--dry-run")
            self.assertEqual((p["count"], p["payload_bytes"], p["excluded"]), (3, 6, 6))
            self.assertEqual(p["types"], [{"type": "a.x", "count": 3}])
            self.assertEqual({x["reason"]: x["count"] for x in p["excluded_by"]}, {"subscription_paused": 3, "subscription_deleted": 3})
            self.assertEqual(p["options"], {"rate_per_second": 2, "canary": 2, "stop_at_ratio": 0.25, "attempts": "1", "order": "newest", "ignore_expiry": False, "to": None})
            self.assertEqual([(t["subscription"], t["count"]) for t in p["targets"]], [("a", 3), ("b", 0), ("c", 0)])
            self.assertLessEqual(p["oldest_died_at"], p["newest_died_at"])
            text = d.ctl("dlq", "replay", "--all", "--rate", "2/s", "--canary", "2", "--stop-at", "0.25", "--dry-run")
            for part in ("3 a.x", "Canary 2, then 2/s; stops if 5 of the first fail in a row, or more than 25% of the last 20.", "b is paused", "Left out: 6", "webhookctl sub resume b"):
                self.assertIn(part, text)
            self.assertEqual(d.json("audit", "list"), before)  # nothing was changed
            a.answer = 200
            job = json.loads(d.ctl("-o", "json", "dlq", "replay", "--all", "--yes"))
            self.assertEqual((job["state"], job["counts"]["delivered"], job["counts"]["excluded"]), ("done", 3, 6))
            self.assertEqual([(x["subscription"], x["state"], x["reason"]) for x in job["subscriptions"]],
                             [("a", "done", None), ("b", "cancelled", "subscription_paused"), ("c", "cancelled", "subscription_deleted")])
            refused = d.ctl("dlq", "replay", "--all", "--yes", check=1, raw=True).stderr
            self.assertIn("subscription paused", refused)
            self.assertIn("webhookctl sub resume b", refused)

    def test_the_state_is_that_of_now(self):
        with Letters(3) as (d, r):
            args = ["dlq", "replay", "-s", "s", "--rate", "2/s", "--dry-run"]
            p, text = d.json(*args), d.ctl(*args)
            target = p["targets"][0]
            self.assertEqual((p["about_seconds"], target["last_failure_status"], target["last_failure_outcome"]), (1.5, 400, "http_4xx"))
            self.assertEqual(target["failing_since"], d.json("sub", "show", "s")["failing_since"])
            self.assertRegex(text, r"s +3 +failing since \S+ \(400\) ")
            self.assertRegex(text, r"Warning: s is failing since \S+ \(400\)\. The canary tries one letter; if it still fails, this stops after 5\.")
            self.assertIn("webhookctl attempt list -s s --limit 5", text)
            self.assertIn("of the last 20. 2s once it gets through. The", text)
            self.assertIn("what fails now dies again", d.ctl(*args, "--canary", "0"))
            self.assertIn("failing since", d.ctl("dlq", "summary"))
            self.assertIn("(400)", d.ctl("dlq", "summary"))
            r.answer = 200
            d.emit("s.x", event_id="live")
            wait_for(lambda: d.json("sub", "show", "s")["failing_since"] is None, what="it answers")
            p, text = d.json(*args), d.ctl(*args)
            self.assertEqual((p["about_seconds"], p["targets"][0]["failing_since"]), (1.5, None))
            self.assertNotIn("Warning", text)
            self.assertIn("Canary 1, then 2/s; stops if the first 5 fail, or more than 50% of the last 20. About 2s.", text)
            self.assertRegex(text, r"s +3 +active ")

    def test_an_endpoint_that_is_down(self):
        with Letters(3, conf="retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
                             "breaker: {min_failures: 5, min_period: 1ms, probe_interval: 10m}\n") as (d, r):
            r.answer = 503
            d.insert(*[dict(type="s.x") for _ in range(20)])
            wait_for(lambda: d.json("sub", "show", "s")["broken_since"], what="it is taken for down")
            text = d.ctl("dlq", "replay", "--all", "--rate", "2/s", "--dry-run")
            self.assertRegex(text, r"Warning: s is failing since \S+ \(503\) and taken for down: nothing of this goes out before it answers")
            self.assertNotIn("About", text)
            self.assertIn("2s once it gets through", text)

    def test_live_traffic_that_waits(self):
        with Letters(2) as (d, r):
            args, go = ["dlq", "replay", "-s", "s", "--dry-run"], threading.Event()
            self.assertNotIn("BACKLOG", d.ctl(*args))
            d.ctl("sub", "set", "s", "--concurrency", "1")
            r.answer = lambda q, n: go.wait(20) and 200
            d.insert(*[dict(type="s.x", event_id=f"live-{i}") for i in range(4)])
            wait_for(lambda: d.json(*args)["targets"][0]["backlog"] == 3, what="three wait behind one")
            text = d.ctl(*args)
            self.assertRegex(text, r"s +2 +\S.* 3 +http")
            self.assertIn("s: 3 live deliveries wait there too and go first, as fast as it takes them; what comes meanwhile goes in turn with this.", text)
            d.ctl("sub", "set", "s", "--rate", "7/s")
            self.assertIn("s: 3 live deliveries wait there too and go first, at the subscription's own 7/s; what comes", d.ctl(*args))
            go.set()

    def test_what_to_do_first(self):
        with Letters(20, "a", "gone") as (d, a, gone):
            gone.answer = 410
            d.emit("gone.x")
            wait_for(lambda: d.json("sub", "show", "gone")["state"] == "disabled", what="it is disabled")
            text = d.ctl("dlq", "replay", "--all", "--dry-run")
            self.assertIn("gone is disabled (410): it answered that it is gone for good. Does it still? webhookctl sub test gone", text)
            self.assertIn("and where it accepts that: webhookctl sub enable gone", text)
            d.ctl("sub", "enable", "gone")
            d.ctl("sub", "disable", "gone")
            self.assertIn("nothing is sent there until webhookctl sub enable gone", d.ctl("dlq", "replay", "--all", "--dry-run"))
            a.answer = 200
            job = job_of(d, "-s", "a", "--rate", "1/s", "--canary", "0")
            p, text = d.json("dlq", "replay", "-s", "a", "--dry-run"), d.ctl("dlq", "replay", "-s", "a", "--dry-run")
            self.assertEqual((p["targets"][0]["blocked_by"], p["targets"][0]["blocked_by_state"]), (job, "active"))
            self.assertIn(f" of 20) is active on a, which takes one job at a time: wait for it (webhookctl job watch {job}), or cancel it", text)
            d.ctl("job", "pause", job)
            text = d.ctl("dlq", "replay", "-s", "a", "--dry-run")
            self.assertIn(f" of 20) is paused on a, which takes one job at a time: let it go on (webhookctl job resume {job}), or cancel it", text)


class Question(unittest.TestCase):
    def test_what_was_shown_is_what_is_sent(self):
        with Letters(3) as (d, r):
            with d.screen("dlq", "replay", "-s", "s") as t:
                t.wait("[y/N]")
                d.insert(dict(type="s.x", event_id="late"))
                dead(d, 4)
                r.requests.clear()
                r.answer = 200
                t.type("y\n")
                self.assertEqual(t.end(), 0)
            self.assertEqual(sorted(r.ids()), ["s-0", "s-1", "s-2"])
            dead(d, 1)

    def test_what_others_took_meanwhile_is_told(self):
        with Letters(3) as (d, r):
            r.answer = 200
            with d.screen("dlq", "replay", "-s", "s") as t:
                t.wait("[y/N]")
                d.ctl("dlq", "purge", "s-0", "s-1", "--confirm=2")
                t.type("y\n")
                t.wait("1 now, not 3: 2 purged, replayed or expired meanwhile.")
                self.assertEqual(t.end(), 0)

    def test_nobody_is_asked_for_what_cannot_be(self):
        with Letters(20) as (d, r):
            r.answer = 200
            job = job_of(d, "-s", "s", "--rate", "1/s")
            with d.screen("dlq", "replay", "-s", "s") as t:
                t.wait(f"{job} (a replay by uid:")
                self.assertEqual(t.end(), 75)
            self.assertNotIn("[y/N]", t.shown)


class Command(unittest.TestCase):
    """The command that a dry run prints, run as it stands (--yes is added, for there is no terminal): the same set, whatever died since."""

    def printed(self, d, *args, stdin=None):
        text = d.ctl("dlq", "replay", *args, "--dry-run", stdin=stdin)
        return re.search(r"^Replay exactly these: (webhookctl .*)$", text, re.M).group(1)

    def run_it(self, d, command):
        env = dict(os.environ, PATH=os.path.abspath(BUILD) + ":" + os.environ["PATH"])
        return subprocess.run(command + " --yes", shell=True, env=env, text=True, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def check(self, *args, want=None, stdin=None):
        with Letters(30, "a", "b") as (d, a, b):
            if want is None:
                want = [x["event_id"] for x in d.json("dlq", "list", *args)["items"]]
            command = self.printed(d, *args, stdin=stdin)
            d.insert(*[dict(type="a.x", event_id=f"late-{i}") for i in range(3)])
            dead(d, 63)
            a.requests.clear()
            a.answer = b.answer = 200
            self.run_it(d, command)
            self.assertEqual(sorted(a.ids() + b.ids()), sorted(want))
            return command, d.json("job", "list")["items"][0]

    def test_a_filter(self):
        command, job = self.check("-s", "a", "--type", "a.*", "--since", "10m", "--rate", "500/s", "--note", "it's $HOME", "--canary", "2",
                                  want=[f"a-{i}" for i in range(30)])
        self.assertRegex(command, r"-s a --type 'a\.\*' --rate 500/s --note 'it'\\''s \$HOME' --canary 2 --since \d{4}-\S+Z --until \d{4}-\S+Z$")
        self.assertEqual((job["note"], job["options"]["rate_per_second"], job["options"]["canary"]), ("it's $HOME", 500, 2))

    def test_everything(self):
        self.check("--all", want=[f"{s}-{i}" for s in "ab" for i in range(30)])

    def test_the_first_few(self):
        command, _ = self.check("-s", "a", "--limit", "3")
        self.assertRegex(command, r"dlq replay( dlv_\w{13}){3} -c \S+$")

    def test_the_first_many(self):
        command, _ = self.check("-s", "a", "--limit", "25")
        self.assertRegex(command, r"--limit 25 --until ")

    def test_ids_of_a_pipe(self):
        command, _ = self.check("--ids-from", "-", stdin="a-4\nb-7\n", want=["a-4", "b-7"])
        self.assertNotIn("ids-from", command)

    def test_as_json(self):
        with Letters(2) as (d, r):
            p = d.json("dlq", "replay", "-s", "s", "--rate", "5/s", "--dry-run")
            self.assertIn(f"dlq replay -c {d.conf} -s s --rate 5/s --until {p['until']}", p["command"])
            self.assertIsNone(d.json("dlq", "replay", "--type", "no.such", "--dry-run")["command"])
            self.assertEqual(d.ctl("-o", "jsonl", "dlq", "replay", "-s", "s", "--dry-run").count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
