"""delivery.threads above one: every loop has its subscriptions, one limit for all, one answer for all."""
import collections
import os
import threading
import time
import unittest

from harness import Daemon, Receiver, wait_for

SUBS = 12


def threads_of(d):
    return len(os.listdir(f"/proc/{d.process.pid}/task"))


class Busy:
    """Answers only while it is told to; counts how many ask at a time, in all and by path."""

    def __init__(self):
        self.lock, self.now, self.most, self.open = threading.Lock(), collections.Counter(), collections.Counter(), threading.Event()

    def __call__(self, request, n):
        with self.lock:
            for key in ("all", request.path):
                self.now[key] += 1
                self.most[key] = max(self.most[key], self.now[key])
        self.open.wait(60)
        with self.lock:
            for key in ("all", request.path):
                self.now[key] -= 1
        return 200


class Threads(unittest.TestCase):
    def test_every_subscription_is_served_in_order_and_all_is_added_up(self):
        with Daemon() as one:
            alone = threads_of(one)
        with Receiver() as r, Daemon("delivery: {threads: 3}\n") as d:
            self.assertEqual(threads_of(d), alone + 2 * 2)  # a loop and its claim reader
            for i in range(SUBS):
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}", "--ordering", "key")
            for i in range(20):
                d.emit("t", {"i": i}, ordering_key="k", event_id=f"e{i}")
            wait_for(lambda: len(r.requests) == 20 * SUBS)
            by_path = collections.defaultdict(list)
            for request in r.requests:
                by_path[request.path].append(request.id)
            self.assertEqual(set(map(tuple, by_path.values())), {tuple(f"e{i}" for i in range(20))})
            wait_for(lambda: d.counts()["delivered"] == 20 * SUBS)
            self.assertEqual(d.unsettled(), 0)
            metrics = d.metrics()
            self.assertIn(f'webhookd_attempts_total{{outcome="success",attempt="first"}} {20 * SUBS}', metrics)
            self.assertIn(f'webhookd_deliveries_completed_total{{result="delivered"}} {20 * SUBS}', metrics)
            self.assertIn(f'webhookd_subscriptions{{state="active"}} {SUBS}', metrics)

    def test_the_limit_is_one_and_a_busy_loop_may_have_nearly_all_of_it(self):
        busy = Busy()
        with Receiver(busy) as r, Daemon("delivery: {threads: 3, max_in_flight: 24, max_in_flight_per_subscription: 24, timeout: 60s}\n") as d:
            busy.open.set()
            d.subscribe(f"{r.url}/alone", "--name", "alone")
            d.insert(*({"type": "t", "payload": {}} for _ in range(600)))  # its window grows
            wait_for(lambda: d.counts()["delivered"] == 600)
            busy.open.clear()
            d.insert(*({"type": "t", "payload": {}} for _ in range(100)))
            wait_for(lambda: busy.now["/hook/alone"] > 24 // 3, what="more than its part")
            for i in range(SUBS):  # the last eighth is theirs
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}")
            d.emit("t")
            wait_for(lambda: busy.now["all"] > busy.now["/hook/alone"], what="another one has a way")
            shown = d.counts()["in_flight"]
            busy.open.set()
            wait_for(lambda: d.unsettled() == 0)
            self.assertLessEqual(busy.most["all"], 24)
            self.assertEqual(d.counts()["delivered"], 600 + 100 + 1 + SUBS)
            self.assertGreater(shown, 24 // 3)

    def test_what_is_in_flight_is_seen_wherever_it_is(self):
        busy = Busy()
        with Receiver(busy) as r, Daemon("delivery: {threads: 3, timeout: 60s}\n") as d:
            for i in range(SUBS):
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}")
            d.emit("t")
            wait_for(lambda: busy.now["all"] == SUBS)
            self.assertEqual(d.counts()["in_flight"], SUBS)
            items = d.api("GET", "/deliveries?state=in_flight")[1]["items"]
            self.assertEqual(len(items), SUBS)
            self.assertIn(f"webhookd_attempts_in_flight {SUBS}", d.metrics())
            self.assertEqual([d.api("GET", f"/subscriptions/s{i}")[1]["in_flight"] for i in range(SUBS)], [1] * SUBS)
            busy.open.set()
            wait_for(lambda: d.unsettled() == 0)

    def test_after_the_answer_to_a_pause_nothing_starts_anywhere(self):
        with Receiver() as r, Daemon("delivery: {threads: 3, max_in_flight_per_subscription: 2}\n") as d:
            for i in range(SUBS):
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}")
            for turn in range(3):
                before = len(r.requests)
                d.insert(*({"type": "t", "payload": {}} for _ in range(200)))
                wait_for(lambda: len(r.requests) > before + 20)
                self.assertEqual(d.api("POST", "/egress/pause", {"note": "test"})[0], 200)
                wait_for(lambda: "webhookd_attempts_in_flight 0" in d.metrics())
                paused = len(r.requests)
                d.emit("t")
                d.counts()  # and every loop has answered since
                self.assertEqual(len(r.requests), paused)
                self.assertEqual(d.api("POST", "/egress/resume", {"note": "test"})[0], 200)
                wait_for(lambda: d.unsettled() == 0)

    def test_what_falls_due_while_the_others_have_everything_is_sent_once_they_have_not(self):
        busy, failed = Busy(), set()

        def answer(request, n):
            if request.path in failed or not request.path.startswith("/hook/late"):
                return busy(request, n)
            failed.add(request.path)
            return 500
        with Receiver(answer) as r, Daemon("delivery: {threads: 3, max_in_flight: 3, timeout: 60s}\n"
                                           "retry: {default: {initial_delay: 1s, jitter: 0}}\n") as d:
            for i in range(4):  # whichever loops they are in
                d.subscribe(f"{r.url}/late{i}", "--name", f"late{i}", events="late")
            d.subscribe(f"{r.url}/all", "--name", "all", events="all")
            d.emit("late")
            wait_for(lambda: len(failed) == 4)
            d.insert(*({"type": "all", "payload": {}} for _ in range(3)))
            wait_for(lambda: busy.now["/hook/all"] == 3)
            wait_for(lambda: d.counts()["retrying"] == 4)
            due = max(x["next_attempt_at"] for x in d.api("GET", "/deliveries?state=retrying")[1]["items"])
            wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1)) > due)
            busy.open.set()
            wait_for(lambda: d.counts()["delivered"] == 7)

    def test_while_others_come_and_go_each_gets_what_came_since_it_is_there_once_and_in_order(self):
        with Receiver() as r, Daemon("delivery: {threads: 3}\n") as d:
            since, n = {}, 0
            for turn in range(12):
                for i in range(2):
                    d.subscribe(f"{r.url}/{turn}-{i}", "--name", f"s{turn}-{i}", "--ordering", "key")
                    since[f"/hook/{turn}-{i}"] = turn
                d.insert(*({"type": "t", "payload": {}, "event_id": f"e{turn}-{i}", "ordering_key": "k"} for i in range(5)))
                n += 5 * len(since)
                if turn % 2:  # an outbox that is not read yet has nothing unsettled
                    wait_for(lambda: d.counts()["delivered"] == n)
                    d.api("DELETE", f"/subscriptions/s{turn - 1}-0")
                    since.pop(f"/hook/{turn - 1}-0")
            got = collections.defaultdict(list)
            for request in r.requests:
                got[request.path].append(request.id)
            for path, first in since.items():
                self.assertEqual(got[path], [f"e{turn}-{i}" for turn in range(first, 12) for i in range(5)], path)

    def test_a_stop_right_behind_a_deletion(self):
        """The deletion's last step may end when no loop is there any more to hear of it (a leak, as long as one was waited for)."""
        with Receiver() as r, Daemon("delivery: {threads: 3}\n", start=False) as d:
            for turn in range(8):
                d.start()
                d.subscribe(r.url, "--name", f"s{turn}")
                d.api("DELETE", f"/subscriptions/s{turn}")
                self.assertEqual(d.stop(), 0)

    def test_deleted_ones_stop_and_reload_says_what_needs_a_restart(self):
        with Receiver(500) as r, Daemon("delivery: {threads: 3}\nretry: {default: {initial_delay: 50ms, multiplier: 1, max_retries: 1000}}\n") as d:
            for i in range(SUBS):
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}")
            d.emit("t")
            wait_for(lambda: len(r.requests) > 3 * SUBS)
            for i in range(SUBS):
                d.ctl("subscription", "delete", f"s{i}", "--yes")
            wait_for(lambda: "webhookd_attempts_in_flight 0" in d.metrics())
            n = len(r.requests)
            with open(d.conf) as f:
                text = f.read()
            d.write_conf(text.replace("threads: 3", "threads: 2"))
            refused = d.api("POST", "/config/reload", {})
            self.assertEqual(refused[0], 409, refused)
            self.assertIn("delivery.threads cannot change while running (it is 3, the file says 2)", str(refused[1]))
            d.write_conf(text.replace("threads: 3", "threads: 3, max_in_flight: 30"))
            self.assertEqual(d.api("POST", "/config/reload", {})[0], 200)
            self.assertIn("webhookd_attempts_in_flight_limit 30", d.metrics())
            d.subscribe(f"{r.url}/new")
            d.emit("t")
            wait_for(lambda: any(q.path == "/hook/new" for q in r.requests))
            self.assertEqual([q for q in r.requests[n:] if q.path != "/hook/new"], [])

    def test_more_loops_than_may_be_in_flight_is_a_mistake(self):
        with Daemon("delivery: {threads: 3, max_in_flight: 2}\n", start=False) as d:
            done = d.ctl("config", "check", check=None, raw=True)
            self.assertEqual(done.returncode, 78)
            self.assertIn("'delivery.threads' is 3, more than 'delivery.max_in_flight', 2", done.stdout + done.stderr)

    def test_sigterm_waits_for_every_loop(self):
        busy = Busy()
        with Receiver(busy) as r, Daemon("delivery: {threads: 3, timeout: 60s, grace: 60s}\n") as d:
            for i in range(SUBS):
                d.subscribe(f"{r.url}/{i}", "--name", f"s{i}")
            d.emit("t")
            wait_for(lambda: busy.now["all"] == SUBS)
            stopped = threading.Thread(target=lambda: self.assertEqual(d.stop(), 0))
            stopped.start()
            wait_for(lambda: "event=stopping" in d.log())
            busy.open.set()
            stopped.join(60)
            d.start()
            self.assertEqual(d.counts()["delivered"], SUBS)
            self.assertEqual(len(r.requests), SUBS)


if __name__ == "__main__":
    unittest.main()
