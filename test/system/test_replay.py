#!/usr/bin/env python3
"""A replay as a job: preview, canary, when it stops by itself, its rate, live traffic first, kill -9, two operators."""
import json
import re
import subprocess
import threading
import time
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for

# Dead at once on a 4xx; retried once, soon, on a 5xx.
QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"


def dead(d, n):
    wait_for(lambda: d.counts()["dead"] == n and d.unsettled() == 0, what=f"{n} dead letters")


def job_of(d, *args):
    return d.ctl("-o", "id", "dlq", "replay", *args, "--detach", "--yes").strip()


def over(d, job):
    wait_for(lambda: d.json("job", "show", job)["finished_at"] is not None, what="the job is over")
    return d.json("job", "show", job)


class Letters:
    """webhookd with n dead letters of each of some subscriptions; their receivers answer what .answer says."""

    def __init__(self, n, *names, conf=QUICK):
        self.n, self.names, self.conf = n, names or ("s",), conf

    def __enter__(self):
        self.d = Daemon(self.conf).__enter__()
        self.r = {name: Receiver(400).__enter__() for name in self.names}
        for name in self.names:
            self.d.subscribe(self.r[name].url, "--name", name, events=f"{name}.*")
        self.d.insert(*[dict(type=f"{name}.x", event_id=f"{name}-{i}") for i in range(self.n) for name in self.names])
        dead(self.d, self.n * len(self.names))
        for r in self.r.values():
            r.requests.clear()
        return self.d, *self.r.values()

    def __exit__(self, *why):
        for r in self.r.values():
            r.__exit__(None, None, None)
        self.d.__exit__(*why)


class Flags(unittest.TestCase):
    def test_wrong_flags(self):
        with Daemon() as d:
            for flag in ("--canary=x", "--canary=-1", "--canary=1.5", "--stop-at=2", "--stop-at=x", "--attempts=2", "--order=up", "--rate=0"):
                self.assertEqual(d.ctl("dlq", "replay", "--all", flag, "--yes", check=64, raw=True).stdout, "", flag)


class Canary(unittest.TestCase):
    def test_five_in_a_row_and_it_stops(self):
        with Letters(20) as (d, r):
            done = d.ctl("dlq", "replay", "--all", "--yes", check=1, raw=True)
            self.assertEqual(len(r.requests), 5)
            for part in ("stopped", "15 not sent"):
                self.assertIn(part, done.stdout)
            for part in ("first letters failed", "20 of its letters are dead (5 died again)", "the 15 that were not sent: webhookctl job resume job_",
                         "The 5 that died again: webhookctl dlq replay --job job_", "http_4xx 400"):
                self.assertIn(part, done.stderr)
            dead(d, 20)
            job = d.json("job", "list")["items"][0]
            self.assertEqual((job["state"], job["reason"]), ("stopped", "canary_failed"))
            self.assertIn(job["id"], d.ctl("-o", "id", "job", "list", "--state", "stopped"))
            self.assertEqual(d.json("job", "list", "--state", "active,done")["items"], [])
            self.assertIn("stopped", d.ctl("job", "list", "--state", "stoped", check=64, raw=True).stderr)
            r.answer = 200
            d.ctl("job", "resume", job["id"])
            self.assertIn("job", d.ctl("job", "watch", job["id"], check=3))  # five died again in it
            job = d.json("job", "show", job["id"])
            self.assertEqual((job["state"], job["counts"]["delivered"], job["counts"]["dead_again"]), ("done", 15, 5))
            dead(d, 5)
            self.assertEqual(d.ctl("dlq", "count", "--job", job["id"]).strip(), "5")
            self.assertEqual(d.ctl("dlq", "count", "--job", "job_0000000000001").strip(), "0")
            d.ctl("dlq", "replay", "--job", job["id"], "--yes")  # those that it did not bring
            dead(d, 0)

    def test_one_that_is_poison_holds_up_nobody(self):
        with Letters(10) as (d, r):
            r.answer = lambda q, n: 400 if q.id == "s-0" else 200
            done = d.ctl("dlq", "replay", "--all", "--yes", check=3, raw=True)
            self.assertIn("9 delivered, 1 dead again", done.stdout)
            self.assertIn("canary  1/1 delivered", done.stderr)

    def test_one_at_a_time_until_so_many_came(self):
        with Letters(12) as (d, r):
            now, most, lock = [0], [0], threading.Lock()

            def answer(q, n):
                with lock:
                    now[0] += 1
                    if len(r.requests) <= 4:
                        most[0] = max(most[0], now[0])
                time.sleep(0.01)
                with lock:
                    now[0] -= 1
                return 200

            r.answer = answer
            d.ctl("dlq", "replay", "--all", "--canary", "4", "--yes")
            self.assertEqual(most[0], 1)


class StopAt(unittest.TestCase):
    def test_later_failures_stop_it_and_one_means_never(self):
        with Letters(100) as (d, r):
            r.answer = lambda q, n: 200 if len(r.requests) <= 20 else 400
            d.ctl("dlq", "replay", "--all", "--stop-at", "0.3", "--yes", check=3)
            job = d.json("job", "show", d.ctl("-o", "id", "job", "list").strip())
            self.assertEqual((job["state"], job["reason"]), ("stopped", "too_many_failures"))
            self.assertGreater(job["counts"]["not_sent"], 30)
            self.assertLess(job["counts"]["failed"], 40)
            r.answer = 400
            d.ctl("dlq", "replay", "--all", "--stop-at", "1", "--canary", "0", "--yes", check=1)
            self.assertEqual(d.json("job", "list")["items"][0]["state"], "done")

    def test_one_attempt_each(self):
        with Letters(3) as (d, r):
            r.answer = 503
            d.ctl("dlq", "replay", "--all", "--attempts", "1", "--yes", check=1)
            self.assertEqual(sorted(r.ids()), ["s-0", "s-1", "s-2"])
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            self.assertEqual(len(r.requests), 9)  # and the whole policy otherwise

    def test_order(self):
        with Letters(5) as (d, r):
            order = [x["event_id"] for x in d.json("dlq", "list", "--all")["items"]]
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--canary", "5", "--order", "newest", "--yes")
            self.assertEqual(r.ids(), order[::-1])

    def test_the_newest_few_newest_first(self):
        """--limit N takes the end that --order says, as a list does, and sends in that order, without a rate too."""
        with Letters(40) as (d, r):
            r.answer = 200
            for order in ("newest", "oldest"):
                wanted = [x["event_id"] for x in d.json("dlq", "list", "--order", order, "--limit", "15")["items"]]
                shown = d.json("dlq", "replay", "-s", "s", "--order", order, "--limit", "15", "--dry-run")
                self.assertEqual(shown["count"], 15)
                by_hand = [d.json("dlq", "show", id)["event_id"] for id in re.findall(r"dlv_\w+", shown["command"])]
                self.assertEqual(by_hand, wanted)
                r.requests.clear()
                d.ctl("dlq", "replay", "-s", "s", "--order", order, "--limit", "15", "--yes")
                self.assertEqual(sorted(r.ids()), sorted(wanted))
                sent = {x["event_id"]: x["started_at"] for x in reversed(d.json("attempt", "list", "--limit", "15")["items"])}
                if order == "newest":
                    self.assertEqual([sent[id] for id in wanted], sorted(sent.values()))

    def test_the_newest_few_of_many_ids(self):
        """Ids are asked for 200 at a time: which ones are the newest is judged over all of them."""
        with Letters(450) as (d, r):
            ids = d.ctl("-q", "dlq", "list")
            for order in ("newest", "oldest"):
                wanted = [x["id"] for x in d.json("dlq", "list", "--order", order, "--limit", "7")["items"]]
                args = ("--ids-from", "-", "--order", order, "--limit", "7")
                self.assertEqual(d.ctl("-q", "dlq", "list", *args, stdin=ids).split(), wanted)
                self.assertEqual([json.loads(x)["delivery"] for x in d.ctl("dlq", "export", *args, stdin=ids).splitlines()], wanted)
                self.assertEqual([json.loads(x)["delivery"] for x in d.ctl("dlq", "export", *args[2:]).splitlines()], wanted)
                shown = d.json("dlq", "replay", *args, "--dry-run", stdin=ids)
                self.assertEqual(re.findall(r"dlv_\w+", shown["command"]), wanted)
                died = sorted(d.json("dlq", "show", id)["died_at"] for id in wanted)
                for told in (d.json("dlq", "purge", *args, "--dry-run", stdin=ids), d.json("dlq", "purge", "--all", *args[2:], "--dry-run")):
                    self.assertEqual((told["oldest_died_at"], told["newest_died_at"]), (died[0], died[-1]))


class Rate(unittest.TestCase):
    def measured(self, d, r, n, *args):
        d.ctl("dlq", "replay", "--all", "--limit", str(n), *args, "--yes")
        times = sorted(x.at for x in r.requests[-n:])
        return (n - 1) / (times[-1] - times[0])

    def test_what_the_receiver_sees(self):
        with Letters(660) as (d, r):
            r.answer = 200
            for rate, n in ((20, 60), (200, 600)):
                seen = self.measured(d, r, n, "--rate", f"{rate}/s")
                self.assertLess(abs(seen / rate - 1), 0.05, f"{seen:.2f}/s instead of {rate}/s")

    def test_changed_while_it_runs(self):
        with Letters(200) as (d, r):
            r.answer = 200
            job = job_of(d, "--all", "--rate", "1/s")
            wait_for(lambda: len(r.requests) > 0)
            d.ctl("job", "set-rate", job, "1000/s")
            self.assertEqual(over(d, job)["counts"]["delivered"], 200)  # not in 200 s
            self.assertEqual(d.json("job", "show", job)["options"]["rate_per_second"], 1000)
            self.assertIn("is done", d.ctl("job", "set-rate", job, "none", check=None, raw=True).stderr)
            d.ctl("job", "set-rate", job, "fast", check=64)


class Together(unittest.TestCase):
    def test_a_slow_endpoint_holds_up_nobody_else(self):
        with Letters(40, "slow", "quick") as (d, slow, quick):
            go = threading.Event()
            slow.answer, quick.answer = lambda q, n: go.wait(20) and 200, 200
            job = job_of(d, "--all", "--rate", "500/s")
            wait_for(lambda: len(quick.requests) == 40)
            parts = {x["subscription"]: x for x in d.json("job", "show", job)["subscriptions"]}
            self.assertEqual(parts["slow"]["counts"]["delivered"], 0)
            go.set()
            self.assertEqual(over(d, job)["counts"]["delivered"], 80)

    def test_live_events_wait_behind_a_few(self):
        with Letters(200) as (d, r):
            d.ctl("sub", "set", "s", "--concurrency", "4")
            seen = []

            def answer(q, n):
                seen.append(q.id)
                time.sleep(0.02)
                return 200

            r.answer = answer
            job = job_of(d, "--all")
            wait_for(lambda: len(seen) > 20)
            at = len(seen)
            d.emit("s.x", event_id="live")
            wait_for(lambda: "live" in seen)
            self.assertLess(seen.index("live") - at, 40)
            self.assertEqual(over(d, job)["counts"]["delivered"], 200)

    def test_one_job_of_a_subscription_at_a_time(self):
        with Letters(30, "a", "b") as (d, a, b):
            a.answer = b.answer = 200
            job = job_of(d, "-s", "a", "--rate", "1/s")
            for args in (["--all"], ["a-29"], ["-s", "a", "-s", "b"]):
                second = d.ctl("dlq", "replay", *args, "--yes", check=75, raw=True)
                self.assertIn(job, second.stderr)
            self.assertIn(job, d.ctl("dlq", "replay", "--all", "--dry-run"))
            d.ctl("dlq", "replay", "-s", "b", "--yes")  # another subscription: another job
            d.ctl("job", "pause", job)
            paused = d.ctl("dlq", "replay", "-s", "a", "--yes", check=75, raw=True).stderr  # paused, it is active all the same
            self.assertRegex(paused, rf"{job} \(a replay by uid:\d+ \S+, \d+ of 30\) is paused on a, which takes one job at a time: let it go on \(webhookctl job resume {job}\), or cancel it")
            d.ctl("job", "cancel", job)
            d.ctl("dlq", "replay", "-s", "a", "--yes")

    def test_two_operators_at_once(self):
        with Letters(50) as (d, r):
            r.answer = 200
            both = [subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "dlq", "replay", "--all", "--rate", "100/s", "--yes"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True) for _ in range(2)]
            said = [p.communicate(timeout=60)[1] for p in both]
            ends = sorted((p.returncode, text) for p, text in zip(both, said))
            self.assertEqual([x[0] for x in ends], [0, 75])
            self.assertIn("job_", ends[1][1])
            self.assertEqual(sorted(r.ids()), sorted(f"s-{i}" for i in range(50)))

    def test_many_ask_in_the_same_moment(self):
        with Letters(20) as (d, r):
            answers, body = [], {"filter": {"all": True}, "rate_per_second": 1}
            many = [threading.Thread(target=lambda: answers.append(d.api("POST", "/replays", body)[0])) for _ in range(8)]
            for t in many:
                t.start()
            for t in many:
                t.join()
            self.assertEqual(sorted(answers), [202] + [409] * 7)
            self.assertEqual(len(d.json("job", "list")["items"]), 1)

    def test_paused_in_the_middle_it_waits(self):
        with Letters(60) as (d, r):
            r.answer = 200
            job = job_of(d, "--all", "--rate", "100/s")
            wait_for(lambda: len(r.requests) > 3)
            d.ctl("sub", "pause", "s")
            wait_for(lambda: d.json("job", "show", job)["subscriptions"][0]["waits_for"] == "subscription_paused")
            self.assertIn("webhookctl sub resume s", d.ctl("job", "watch", job, "--wait", "300ms", check=75, raw=True).stderr)
            d.ctl("sub", "resume", "s")
            self.assertEqual(over(d, job)["counts"]["delivered"], 60)

    def test_killed_in_the_middle(self):
        with Letters(300) as (d, r):
            r.answer = 200
            job = job_of(d, "--all", "--rate", "200/s")
            for upto in (60, 150):
                wait_for(lambda: len(r.requests) > upto)
                d.kill()
                d.start()
            counts = over(d, job)["counts"]
            self.assertEqual((counts["selected"], counts["queued"], counts["delivered"], counts["not_sent"], counts["dead_again"]), (300, 300, 300, 0, 0))
            self.assertEqual(len(set(r.ids())), 300)
            self.assertLessEqual(len(r.requests), 300 + 2 * 64)  # what was in flight at a kill may come twice
            dead(d, 0)


if __name__ == "__main__":
    unittest.main()
