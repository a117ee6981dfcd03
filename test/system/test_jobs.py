#!/usr/bin/env python3
"""What jobs look like: list, show and status say what they wait for and what came of them; the taps answer in a line; what is
said at the end leads on."""
import re
import unittest

from harness import wait_for
from test_replay import Letters, QUICK, dead, job_of, over

DOWN = QUICK + "breaker: {min_failures: 5, min_period: 1ms, probe_interval: 10m}\n"


class Look(unittest.TestCase):
    def test_what_it_waits_for(self):
        with Letters(3, conf=DOWN) as (d, r):
            r.answer = 503
            d.insert(*[dict(type="s.x") for _ in range(20)])
            wait_for(lambda: d.json("sub", "show", "s")["broken_since"], what="it is taken for down")
            job = job_of(d, "--all", "--limit", "3", "--rate", "5/s")
            wait_for(lambda: d.json("job", "show", job)["waits_for"] == "endpoint_down", what="it waits")
            self.assertEqual(d.json("job", "list")["items"][0]["waits_for"], "endpoint_down")
            self.assertRegex(d.ctl("job", "list"), rf"{job} +replay +waiting: endpoint down +3 ")
            shown = d.ctl("job", "show", job)
            self.assertRegex(shown, r"(?m)^State +waiting: endpoint down$")
            self.assertRegex(shown, r"(?m)^Rate +5/s$")
            self.assertRegex(shown, r"(?m)^Filter +id dlv_\w+,dlv_\w+,dlv_\w+, until \d{4}-\S+Z$")
            self.assertRegex(shown, r"(?m)^Stops +if the first 5 fail, or more than 50% of the last 20$")
            self.assertRegex(shown, r"(?m)^s +waiting: endpoint down ")
            self.assertIn(f"job {job}: replay waiting: endpoint down, 0 of 3", d.ctl("status"))
            d.ctl("job", "pause", job)
            shown = d.ctl("job", "show", job)  # the subscription's row agrees with the job's
            self.assertRegex(shown, r"(?m)^State +paused$")
            self.assertRegex(shown, r"(?m)^s +paused ")
            self.assertIsNone(d.json("job", "show", job)["waits_for"])

    def test_live_ones_go_first(self):
        with Letters(6) as (d, r):
            r.answer = 200
            d.ctl("sub", "set", "s", "--rate", "2/s")
            d.insert(*[dict(type="s.x", event_id=f"live-{i}") for i in range(60)])
            wait_for(lambda: d.json("sub", "show", "s")["counts"]["pending"] > 50, what="they wait")
            p = d.json("dlq", "replay", "-s", "s", "--rate", "3/s", "--dry-run")
            ahead = p["targets"][0]["live_ahead"]
            self.assertGreater(ahead, 40)
            self.assertEqual((p["about_seconds"], p["live_ahead_seconds"]), (3, ahead / 2))  # not 2 s: its own rate is the slower one
            text = d.ctl("dlq", "replay", "-s", "s", "--rate", "3/s", "--dry-run")
            self.assertRegex(text, r"About 3s once \d+ live ones are through, about \d+s at its own 2/s\.")
            self.assertRegex(text, r"s: \d+ live deliveries wait there too and go first, at the subscription's own 2/s; what comes meanwhile goes in turn with this\.")
            job = job_of(d, "-s", "s", "--rate", "3/s")
            wait_for(lambda: d.json("job", "show", job)["waits_for"] == "live_backlog", what="it says what it waits for")
            shown = d.json("job", "show", job)
            part = shown["subscriptions"][0]
            self.assertEqual((part["waits_for"], part["live_ahead"], part["subscription_rate_per_second"]), ("live_backlog", shown["live_ahead"], 2))
            self.assertGreater(shown["live_ahead"], 30)
            words = r"waiting: \d+ live deliveries go first"
            self.assertRegex(d.ctl("job", "list"), rf"{job} +replay +{words} ")
            self.assertRegex(d.ctl("job", "show", job), rf"(?m)^s +{words} \(2/s\) ")
            self.assertRegex(d.ctl("status"), rf"job {job}: replay {words}, 0 of 6")
            status, bar = d.terminal("job", "watch", job, "--wait", "1s", columns=120, env={"NO_COLOR": "1"})
            self.assertEqual(status, 75)
            self.assertRegex(bar, rf"0/6  0%  {words} \(2/s\)  delivered 0  failed 0  in flight 0")
            d.ctl("sub", "set", "s", "--rate", "none")
            self.assertEqual(over(d, job)["counts"]["delivered"], 6)

    def test_live_ones_come_as_fast_as_it_takes_them(self):
        with Letters(6) as (d, r):
            r.answer = 200
            d.ctl("sub", "set", "s", "--rate", "2/s")
            p = d.json("dlq", "replay", "-s", "s", "--rate", "3/s", "--dry-run")
            self.assertEqual((p["about_seconds"], p["targets"][0]["taken_per_second"]), (3, None))
            d.insert(*[dict(type="s.x") for _ in range(400)])  # in three minutes: 2.2 a second
            wait_for(lambda: d.json("sub", "show", "s")["counts"]["pending"] > 350, what="they wait")
            p = d.json("dlq", "replay", "-s", "s", "--rate", "3/s", "--dry-run")
            target = p["targets"][0]
            self.assertEqual((p["about_seconds"], target["live_per_second"], target["taken_per_second"]), (None, 2.26, 2))
            self.assertIn("How long is not known: s gets about 2.3 live ones a second and takes 2.", d.ctl("dlq", "replay", "-s", "s", "--rate", "3/s", "--dry-run"))
            to = d.json("dlq", "replay", "-s", "s", "--rate", "3/s", "--to", r.url, "--dry-run")
            self.assertEqual(to["about_seconds"], 2)  # copies do not wait for them

    def test_a_stopped_one_is_not_forgotten(self):
        with Letters(20) as (d, r):
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            job = d.ctl("-o", "id", "job", "list").strip()
            words = f"{job} stopped: 15 not sent, 5 died again"
            self.assertRegex(d.ctl("status"), rf"(?m)^! {words}\s+webhookctl job show {job}")
            self.assertEqual([x["id"] for x in d.json("status")["jobs_stopped"]], [job])
            self.assertIn(f"{words}: webhookctl job show {job}", d.ctl("dlq", "summary"))
            self.assertIn(words, d.ctl("dlq", "summary", "-s", "s"))
            d.subscribe(r.url, "--name", "other", "--events", "o.*")
            d.insert(dict(type="o.x"))
            wait_for(lambda: d.counts()["dead"] == 21, what="another one's letter")
            self.assertNotIn(words, d.ctl("dlq", "summary", "-s", "other"))
            self.assertRegex(d.ctl("job", "list"), rf"NOT SENT .*\n{job} +replay +stopped +20 +0 +5 +15 ")
            self.assertEqual(d.ctl("job", "pause", job, check=1, raw=True).stdout, "")
            finished = d.json("job", "show", job)["finished_at"]
            said = d.ctl("job", "cancel", job, raw=True).stderr
            self.assertIn(f"{job} is cancelled: 0 delivered, 5 dead again, 15 not sent (they stay dead).", said)
            self.assertEqual(d.json("status")["jobs_stopped"], [])
            self.assertNotIn(job, d.ctl("dlq", "summary"))
            self.assertEqual((d.json("job", "show", job)["state"], d.json("job", "show", job)["finished_at"]), ("cancelled", finished))
            d.ctl("job", "resume", job, check=1)
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--yes")

    def test_a_stopped_one_that_others_have_sent_is_over(self):
        with Letters(20) as (d, r):
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            job = d.ctl("-o", "id", "job", "list").strip()
            self.assertIs(d.json("job", "show", job)["resumable"], True)
            r.answer = 200
            left = [x["event_id"] for x in d.json("dlq", "list", "--all")["items"]][:15]  # those that it did not send: they died first
            d.ctl("dlq", "replay", *left[:14], "--yes")
            self.assertEqual([x["id"] for x in d.json("status")["jobs_stopped"]], [job])
            d.ctl("dlq", "purge", left[14], "--confirm=1")
            r.answer = 400
            d.insert(dict(type="s.x", event_id="later"))  # a letter of this subscription, but not one of the job's
            wait_for(lambda: d.counts()["dead"] == 6, what="a later one")
            self.assertEqual(d.json("status")["jobs_stopped"], [])
            self.assertNotIn(job, d.ctl("status"))
            self.assertNotIn(job, d.ctl("dlq", "summary"))
            shown = d.json("job", "show", job)
            self.assertEqual((shown["state"], shown["resumable"], shown["counts"]["not_sent"]), ("stopped", False, 15))
            said = d.ctl("job", "watch", job, check=1, raw=True).stderr
            self.assertIn("Of the 15 that were not sent none is left to send", said)
            self.assertIn(f"nothing of {job} is left to send", d.ctl("job", "resume", job, check=1, raw=True).stderr)
            self.assertNotIn("job resume", said)

    def test_a_stopped_one_of_letters_by_name_that_others_have_sent_is_over(self):
        with Letters(20) as (d, r):
            names = [f"s-{i}" for i in range(10)]
            d.ctl("dlq", "replay", *names, "--yes", check=1)
            job = d.ctl("-o", "id", "job", "list").strip()
            self.assertEqual([x["id"] for x in d.json("status")["jobs_stopped"]], [job])
            r.answer = 200
            d.ctl("dlq", "replay", *names, "--yes")
            self.assertEqual(d.json("status")["jobs_stopped"], [])

    def test_what_was_gone_when_its_turn_came(self):
        """Copies at a snail's pace, of letters that another job sends meanwhile: what is missing at the end is told, with why."""
        with Letters(12) as (d, r):
            r.answer = 200
            job = d.ctl("-o", "id", "dlq", "replay", "--all", "--rate", "1/s", "--canary", "0", "--to", r.url, "--yes", "--detach").strip()
            d.ctl("job", "pause", job)
            copied = d.json("job", "show", job)["counts"]["queued"]
            d.ctl("dlq", "replay", "--all", "--yes")
            d.ctl("job", "resume", job)
            done = d.ctl("job", "watch", job, check=3 if copied else 1, raw=True)
            gone = 12 - copied
            self.assertRegex(done.stdout, rf"{copied} delivered, 0 failed \(discarded\), {gone} gone meanwhile, in ")
            self.assertIn(f"Gone meanwhile {gone}: purged, expired or sent by another job.", done.stderr)
            counts = d.json("job", "show", job)["counts"]
            self.assertEqual((counts["gone"], counts["not_sent"]), (gone, 0))
            shown = d.ctl("job", "show", job)
            self.assertRegex(shown, rf"(?m)^Gone meanwhile +{gone}: purged, expired or sent by another job$")
            self.assertRegex(shown, rf"(?m)^s +done(, none delivered)? +{gone} gone meanwhile ")

    def test_a_dry_run_refuses_what_the_run_would(self):
        with Letters(3) as (d, r):
            job = d.json("dlq", "purge", "s-2", "--confirm=1")["job"]
            d.insert(dict(type="s.x", event_id="s-9"))
            wait_for(lambda: d.counts()["dead"] == 3, what="one more")
            mine = d.json("dlq", "purge", "-s", "s", "--confirm=3")["job"]
            self.assertRegex(d.ctl("job", "show", mine), r"(?m)^Filter +subscription s$")
            d.ctl("dlq", "restore", mine)
            long = "x" * 1001
            for args in (["dlq", "replay", "--all", "--note", long], ["dlq", "replay", "--all", "--stop-at", "2"], ["dlq", "replay", "--all", "--rate", "0.00001/s"],
                         ["dlq", "purge", "--all", "--note", long], ["dlq", "purge", "--all", "--confirm=7"], ["dlq", "purge", "--all", "--wait", "1s", "--detach"],
                         ["dlq", "purge", "--all", "--export", "-", "-o", "json"], ["dlq", "restore", job, "--note", long], ["dlq", "restore", job, "--wait", "soon"],
                         ["delivery", "resend", "--all", "--note", long], ["delivery", "discard", "--all", "--note", long], ["delivery", "discard", "--all", "--wait", "soon"]):
                with self.subTest(args=[a[:20] for a in args]):
                    self.assertEqual(d.ctl(*args, "--dry-run", check=64, raw=True).stdout, "")

    def test_who_held_it_and_why(self):
        with Letters(12) as (d, r):
            r.answer = 200
            job = job_of(d, "-s", "s", "--rate", "0.5/s")
            self.assertIsNone(d.json("job", "show", job)["state_by"])
            d.ctl("job", "pause", job, "--note", "they reboot")
            by = d.json("job", "show", job)["state_by"]
            self.assertEqual((by["action"], by["note"]), ("job.pause", "they reboot"))
            self.assertRegex(d.ctl("job", "show", job), r"(?m)^State by +paused by uid:\d+ .* \(they reboot\)$")
            said = d.ctl("job", "watch", job, check=75, raw=True).stderr
            self.assertRegex(said, rf"{job} is paused by uid:\d+ [^(]*\(they reboot\): what it had queued goes on")
            d.ctl("job", "cancel", job, "--note", "x" * 1001, check=64)
            d.ctl("job", "cancel", job, "--note", "not today")
            self.assertRegex(d.ctl("job", "show", job), r"(?m)^State by +cancelled by uid:\d+ .* \(not today\)$")
            self.assertIn("not today", d.ctl("audit", "list", "--limit", "1", "-o", "json"))

    def test_nothing_is_purged_from_under_a_replay(self):
        with Letters(12) as (d, r):
            r.answer = 200
            job = job_of(d, "-s", "s", "--rate", "0.5/s")
            words = rf"{job} \(a replay by uid:\d+ .*, \d of 12\) is active on s, which takes one job at a time: .* Pausing it does not free them."
            said = d.ctl("dlq", "purge", "-s", "s", "--confirm=12", check=75, raw=True)
            self.assertRegex(said.stderr, words)
            self.assertRegex(d.ctl("dlq", "purge", "-s", "s", "--dry-run", raw=True).stderr, "Not now: " + words)
            status, shown = d.terminal("dlq", "purge", "--all", env={"NO_COLOR": "1"})
            self.assertEqual(status, 75)
            self.assertNotIn("to confirm", shown)
            d.ctl("job", "pause", job)
            self.assertIn(f"webhookctl job resume {job}", d.ctl("dlq", "purge", "-s", "s", "--confirm=12", check=75, raw=True).stderr)
            d.ctl("job", "cancel", job)
            n = d.json("dlq", "count", "--all")["count"]
            d.ctl("dlq", "purge", "-s", "s", f"--confirm={n}")

    def test_what_a_later_job_took(self):
        with Letters(3) as (d, r):
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            first = d.ctl("-o", "id", "job", "list").strip()
            self.assertIn("The 3 that died again: webhookctl dlq replay --job", d.ctl("job", "watch", first, check=1, raw=True).stderr)
            self.assertNotIn("not among these", d.ctl("delivery", "list", "--job", first, raw=True).stderr)
            r.answer = 200
            d.ctl("dlq", "replay", "--job", first, "--yes")
            self.assertNotIn("that died again", d.ctl("job", "watch", first, check=1, raw=True).stderr)
            second = d.ctl("-o", "id", "job", "list").split()[0]
            said = d.ctl("delivery", "list", "--job", first, raw=True).stderr
            self.assertIn(f"3 more that it sent are not among these: a later job sent them again ({second}), or", said)
            self.assertIn(f"All it sent: webhookctl attempt list -q --job {first} | webhookctl delivery list --ids-from -", said)
            self.assertEqual(len(d.ctl("delivery", "list", "-q", "--ids-from", "-", stdin=d.ctl("attempt", "list", "-q", "--job", first)).split()), 3)

    def test_which(self):
        with Letters(1) as (d, r):
            self.assertIn("needs ID; which: webhookctl job list; see", d.ctl("job", "watch", check=64, raw=True).stderr)
            self.assertIn("which: webhookctl job list --kind purge", d.ctl("dlq", "restore", check=64, raw=True).stderr)

    def test_by_kind(self):
        with Letters(2) as (d, r):
            d.ctl("dlq", "purge", "s-0", "--confirm=1")
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            for kind in ("purge", "replay"):
                self.assertEqual([x["kind"] for x in d.json("job", "list", "--kind", kind)["items"]], [kind])
            self.assertIn("replay", d.ctl("job", "list", "--kind", "replya", check=64, raw=True).stderr)

    def test_done_and_nothing_came(self):
        with Letters(2) as (d, r):
            d.ctl("dlq", "replay", "-s", "s", "--type", "s.x", "--yes", check=1)
            self.assertRegex(d.ctl("job", "list"), r"replay +done, none delivered +2 +0 +2 ")
            status, shown = d.terminal("job", "list", columns=120)
            self.assertIn("\033[31mdone, none delivered", shown)
            shown = d.ctl("job", "show", d.ctl("-o", "id", "job", "list").strip())
            self.assertRegex(shown, r"(?m)^s +done, none delivered ")
            self.assertRegex(shown, r"(?m)^Filter +subscription s, type s\.x, until ")
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--yes")
            self.assertRegex(d.ctl("job", "list"), r"replay +done +2 +2 +0 ")

    def test_what_was_given_up_on_its_way(self):
        with Letters(3) as (d, r):
            r.answer = 200
            d.ctl("sub", "set", "s", "--rate", "0.01/s")  # one goes, the next one waits for minutes
            d.emit("s.x", event_id="live")
            job = job_of(d, "--all", "--canary", "0")
            wait_for(lambda: d.json("job", "show", job)["counts"]["waiting"] == 3, what="they are on their way")
            d.ctl("delivery", "discard", "--job", job, "--yes")
            done = over(d, job)
            self.assertEqual((done["state"], done["counts"]["discarded"], done["counts"]["dead_again"], done["counts"]["delivered"]), ("done", 3, 0, 0))
            self.assertIn("0 delivered, 0 dead again, 3 discarded", d.ctl("job", "watch", job, check=1))
            self.assertRegex(d.ctl("job", "show", job), r"(?m)^Discarded +3$")

    def test_a_purge_and_how_it_comes_back(self):
        with Letters(3) as (d, r):
            d.ctl("dlq", "purge", "s-0", "s-1", "--confirm=2")
            purge = d.ctl("-o", "id", "job", "list").strip()
            job = d.json("job", "show", purge)
            self.assertEqual((job["restorable"], job["restored_by"]), (2, None))
            self.assertIn(f"2 until {job['recoverable_until']}, by webhookctl dlq restore {purge}", d.ctl("job", "show", purge))
            for args in (["dlq", "show", "s-0"], ["dlq", "replay", "s-0", "--yes"], ["dlq", "replay", "s-1", "--dry-run"]):
                said = d.ctl(*args, check=4, raw=True).stderr
                self.assertIn(f"by {purge}; until {job['recoverable_until']}", said)
                self.assertIn(f"webhookctl dlq restore {purge}", said)
            self.assertIn("webhookctl delivery show", d.ctl("dlq", "replay", "s-0", "s-1", "--yes", check=4, raw=True).stderr)
            d.ctl("dlq", "restore", purge)
            job, restore = d.json("job", "show", purge), d.json("job", "list")["items"][0]
            self.assertEqual((job["restorable"], job["restored_by"], restore["kind"]), (0, restore["id"], "restore"))
            self.assertIn(f"Restored by    {restore['id']}", d.ctl("job", "show", purge))
            self.assertNotIn("Rate", d.ctl("job", "show", purge))
            self.assertIsNone(restore["restorable"])


class Taps(unittest.TestCase):
    def test_one_line_each(self):
        with Letters(40) as (d, r):
            r.answer = 200
            job = job_of(d, "--all", "--rate", "5/s")
            wait_for(lambda: r.requests, what="it has begun")
            for args, line in ((["set-rate", job, "20/s"], rf"{job}: 5/s -> 20/s\. Watch: webhookctl job watch {job}"),
                               (["pause", job], rf"{job} is paused: \d+ delivered,( \d+ on their way \(they go on\),)? \d+ not sent\. Go on: webhookctl job resume {job}"),
                               (["set-rate", job, "none"], rf"{job}: 20/s -> no limit\. "),
                               (["set-rate", job, "2/s"], rf"{job}: no limit -> 2/s\. "),
                               (["resume", job], rf"{job} goes on: .* not sent\. Watch: webhookctl job watch {job}"),
                               (["cancel", job], rf"{job} is cancelled: .* not sent \(they stay dead\)\. Next: webhookctl dlq summary")):
                said = d.ctl("job", *args, raw=True)
                self.assertEqual((said.stdout, said.stderr.count("\n")), ("", 1), said)
                self.assertRegex(said.stderr, "^" + line)
            self.assertEqual(d.json("job", "cancel", job)["id"], job)
            d.ctl("sub", "pause", "s")
            letter = d.json("dlq", "list", "--limit", "1")["items"][0]["id"]
            self.assertEqual(d.ctl("dlq", "note", letter, "called them", raw=True).stdout, "")
            self.assertEqual(d.json("dlq", "note", letter, "called them")["note"], "called them")

    def test_resumed_it_says_what_it_leaves(self):
        with Letters(20) as (d, r):
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            job = d.ctl("-o", "id", "job", "list").strip()
            d.ctl("sub", "disable", "s")
            said = d.ctl("job", "resume", job, raw=True).stderr
            self.assertIn(f"The 5 that died again are not among them; afterwards: webhookctl dlq replay --job {job}", said)
            self.assertIn("Nothing goes to s before webhookctl sub enable s", said)

    def test_nothing_is_offered_that_cannot_help(self):
        with Letters(3) as (d, r):
            r.answer = 410
            done = d.ctl("dlq", "replay", "--all", "--yes", check=1, raw=True)
            self.assertRegex(done.stderr, r"s is disabled: nothing more is sent; 3 of its letters are dead \(1 died again\)\. It answered that it is gone for good\. "
                                          r"Does it still\? webhookctl sub test s, and where it accepts that: webhookctl sub enable s")
            self.assertNotIn("job resume", done.stderr)
            self.assertNotIn("--job job_", done.stderr.split("Each of them")[0])


class Progress(unittest.TestCase):
    def test_what_is_seen_last_is_the_end(self):
        with Letters(6) as (d, r):
            r.answer = 200
            status, shown = d.terminal("dlq", "replay", "--all", "--rate", "5/s", "--yes", columns=100, env={"NO_COLOR": "1"})
            self.assertEqual(status, 0)
            self.assertEqual(re.findall(r"(\d+)/6  \d+%", shown)[-1], "6")
            status, shown = d.terminal("sub", "test", "s", columns=100)
            self.assertNotRegex(shown, r"\r {40}")


if __name__ == "__main__":
    unittest.main()
