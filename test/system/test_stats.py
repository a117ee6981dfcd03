"""What operators see of the traffic: status, stats, monitor, subscription list|show|stats; up, down, killed in the middle."""
import contextlib
import datetime
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for
from terminal import Terminal

QUICK = "retry: {default: {max_retries: 2, initial_delay: 20ms}}\n"


def item(d, name, *args):
    return next((x for x in d.json("stats", "--all", *args)["items"] if x["subscription"] == name), None)


class Numbers(unittest.TestCase):
    def test_are_what_the_receivers_saw(self):
        flaky = lambda r, n: 503 if n % 3 == 0 else 200
        with Daemon(QUICK) as d, Receiver(200) as good, Receiver(flaky) as half, Receiver(404) as bad:
            d.subscribe(good.url, "--name", "good", events="a.*,b.*")
            d.subscribe(half.url, "--name", "half", events="a.*")
            d.subscribe(bad.url, "--name", "bad", events="b.*")
            d.insert(*[dict(type="a.x") for _ in range(120)], *[dict(type="b.x") for _ in range(40)])
            wait_for(lambda: d.unsettled() == 0 and len(good.requests) == 160)
            saw = {"good": (160, 0), "half": (len(half.requests) - len(half.requests) // 3, len(half.requests) // 3), "bad": (0, 40)}
            self.assertEqual(len(bad.requests), 40)
            for name, (ok, failed) in saw.items():
                wait_for(lambda: (item(d, name)["ok"], item(d, name)["failed"]) == (ok, failed), what=(name, ok, failed, item(d, name)))
                one = d.json("subscription", "stats", name)
                self.assertEqual((one["ok"], one["failed"], one["ok_total"], one["failed_total"]), (ok, failed, ok, failed))
                self.assertEqual(sum(m["ok"] + m["failed"] for m in one["minutes"]), ok + failed)
                shown = d.json("subscription", "show", name)
                self.assertEqual((shown["last_hour"]["ok"], shown["last_hour"]["failed"]), (ok, failed))
            total = d.json("stats")["total"]
            self.assertEqual((total["ok"], total["failed"], total["died"]), (160 + saw["half"][0], saw["half"][1] + 40, d.counts()["dead"]))
            half_now = item(d, "half")
            self.assertEqual(half_now["retries"], half_now["failed"] + half_now["ok"] - 120)
            self.assertEqual(item(d, "bad")["dead"], 40)
            self.assertTrue(item(d, "bad")["failing_since"])
            self.assertIsNone(item(d, "good")["failing_since"])
            status = d.json("status")
            self.assertEqual([x["subscription"] for x in status["failing"]], ["bad"])
            self.assertEqual(status["attempts"]["ok"], total["ok"])
            self.assertEqual(sum(status["attempts"]["durations"]), total["ok"] + total["failed"])
            # down: the same from the store, after a clean stop not a second is missing
            d.emit("b.x")
            wait_for(lambda: len(bad.requests) == 41 and d.unsettled() == 0)
            self.assertEqual(d.stop(), 0)
            self.assertEqual((item(d, "bad")["failed"], item(d, "good")["ok"]), (41, 161))
            self.assertFalse(d.json("stats")["daemon"])
            d.ctl("status", check=69)
            d.ctl("monitor", check=69)
            d.start()
            self.assertEqual(item(d, "bad")["failed_total"], 41)

    def test_since_when_it_fails_outlives_a_kill(self):
        with Daemon("retry: {default: {max_retries: 60, initial_delay: 20ms, multiplier: 1}}\n") as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b")
            wait_for(lambda: (item(d, "acme") or {"ok": 0})["ok"] == 1)
            r.answer = 503
            d.emit("a.b")
            since = wait_for(lambda: item(d, "acme")["failing_since"])
            last_ok = item(d, "acme")["last_success_at"]
            d.kill()
            d.start()
            wait_for(lambda: item(d, "acme")["failed"] >= 4)
            self.assertEqual(item(d, "acme")["failing_since"], since)
            self.assertEqual(item(d, "acme")["last_success_at"], last_ok)
            self.assertEqual([s["name"] for s in d.json("subscription", "list", "--state", "failing")["items"]], ["acme"])
            # another endpoint does not inherit it, and the next success ends it
            r.answer = 200
            wait_for(lambda: item(d, "acme")["failing_since"] is None)

    def test_another_endpoint_does_not_inherit_failures(self):
        with Daemon(QUICK) as d, Receiver(503) as bad, Receiver(200) as good:
            d.subscribe(bad.url, "--name", "acme")
            d.emit("a.b")
            wait_for(lambda: (item(d, "acme") or {"failed": 0})["failed"] == 3)
            self.assertTrue(item(d, "acme")["failing_since"])
            d.ctl("subscription", "set", "acme", f"url={good.url}")
            self.assertIsNone(item(d, "acme")["failing_since"])

    def test_who_stopped_it_and_why(self):
        with Daemon(QUICK) as d, Receiver(410) as r:
            for name in ("acme", "globex"):
                d.subscribe(r.url, "--name", name, events=f"{name}.*")
            d.ctl("sub", "pause", "acme", "--note", "INC-5: they asked")
            d.ctl("event", "emit", "--type", "globex.x")
            wait_for(lambda: d.json("sub", "show", "globex")["state"] == "disabled")
            shown = d.json("sub", "show", "acme")["state_by"]
            self.assertEqual((shown["note"], shown["actor"].split()[0]), ("INC-5: they asked", f"uid:{os.getuid()}"))
            self.assertEqual(d.json("sub", "show", "globex")["state_by"], {"actor": "webhookd", "note": None})  # at a 410
            self.assertRegex(d.ctl("sub", "show", "acme"), r"\nBy +uid:.*\nNote +INC-5: they asked\n")
            self.assertEqual(d.json("status")["subscriptions_stopped"], {"paused": ["acme"], "disabled": ["globex"]})
            text = d.ctl("status")
            self.assertIn("! 1 subscription is disabled: globex  webhookctl sub show globex", text)
            self.assertIn("! 1 subscription is paused: acme  webhookctl sub show acme", text)
            d.ctl("sub", "resume", "acme")
            self.assertIsNone(d.json("sub", "show", "acme")["state_by"])
            self.assertIn("It was not paused: nothing was changed.", d.ctl("egress", "resume", raw=True).stderr)

    def test_rates_are_of_the_time_that_was_lived(self):
        with Daemon(QUICK) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            for i in range(5):
                d.emit("a.b")
            wait_for(lambda: (item(d, "acme") or {"ok": 0})["ok"] == 5)
            born = d.json("sub", "show", "acme")["created_at"]
            for stats in (d.json("stats", "--window", "1h"), d.json("sub", "stats", "acme", "--window", "1h")):
                self.assertEqual(stats["since"], born)
                rate = stats["total"]["ok_per_second"] if "total" in stats else stats["ok_per_second"]
                self.assertGreater(rate, 5 / 60)  # 5/3600 else

    def test_rates_are_of_the_time_since_the_start(self):
        """A subscription of yesterday, a daemon of just now: what it sends, it sends in the time that it is up."""
        with Daemon(QUICK) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.stop()
            with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db", isolation_level=None)) as db:
                db.execute("UPDATE subscription SET created_ms = created_ms - 86400000")
            d.start()
            for i in range(5):
                d.emit("a.b")
            wait_for(lambda: (item(d, "acme") or {"ok": 0})["ok"] == 5)
            began = d.json("status")["started_at"]
            for stats in (d.json("stats", "--window", "1h"), d.json("sub", "stats", "acme", "--window", "1h")):
                self.assertEqual(stats["since"], began)
                rate = stats["total"]["ok_per_second"] if "total" in stats else stats["ok_per_second"]
                self.assertGreater(rate, 5 / 60)  # 5/3600 else
            self.assertGreater(d.json("stats", "--window", "1h")["items"][0]["ok_per_second"], 5 / 60)
            self.assertGreater(d.json("status")["last_5m"]["ok_per_second"], 5 / 60)
            d.stop()
            d.start()  # what was sent before it, in the window: all of the window counts
            self.assertLess(d.json("stats", "--window", "1h")["since"], began)

    def test_a_pause_mends_nothing(self):
        """Failing since the first failure after the last success, whoever pauses and resumes meanwhile."""
        with Daemon("retry: {default: {max_retries: 200, initial_delay: 20ms, multiplier: 1}}\n") as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b")
            since = wait_for(lambda: item(d, "acme") and item(d, "acme")["failing_since"])
            for pause in (["pause", "acme"], ["pause", "acme", "--for", "1s"]):
                failed = item(d, "acme")["failed"]
                d.ctl("sub", *pause)
                if "--for" in pause:
                    wait_for(lambda: d.json("sub", "show", "acme")["state"] == "active", what="the pause is over")
                else:
                    d.ctl("sub", "resume", "acme")
                self.assertEqual(item(d, "acme")["failing_since"], since)
                wait_for(lambda: item(d, "acme")["failed"] > failed + 3, what="it is tried again")
                self.assertEqual(item(d, "acme")["failing_since"], since)
            r.answer = 200
            wait_for(lambda: item(d, "acme")["failing_since"] is None)

    def test_in_flight_and_what_waits(self):
        gate = threading.Event()
        with Daemon(QUICK) as d, Receiver(lambda r, n: gate.wait(20) and 200) as r:
            d.subscribe(r.url, "--name", "slow", "--concurrency", "2")
            d.insert(*[dict(type="a.b") for _ in range(7)])
            wait_for(lambda: len(r.requests) == 2)
            now = item(d, "slow")
            self.assertEqual((now["in_flight"], now["backlog"], now["due"]), (2, 5, 5))
            self.assertTrue(now["oldest_due_at"])
            status = d.json("status")
            self.assertEqual((status["backlog"], status["due"], status["oldest_due_subscription"]), (5, 5, "slow"))
            # who holds them, is said, and nothing is counted twice
            for verb, back, by, words in ((("subscription", "pause", "slow"), ("subscription", "resume", "slow"), "subscription_paused", "it is paused"),
                                          (("subscription", "disable", "slow"), ("subscription", "enable", "slow"), "subscription_disabled", "it is disabled"),
                                          (("egress", "pause", "--yes"), ("egress", "resume"), "egress_paused", "egress is paused")):
                d.ctl(*verb)
                now, status, shown = item(d, "slow"), d.json("status"), d.json("subscription", "show", "slow")
                for one in (now, shown):
                    self.assertEqual([one[k] for k in ("in_flight", "backlog", "due", "held", "held_by", "later")], [2, 5, 0, 5, by, 0])
                self.assertEqual([status[k] for k in ("backlog", "due", "held", "later")], [5, 0, 5, 0])
                self.assertRegex(d.ctl("subscription", "show", "slow"), rf"Backlog +5 held \({words}\), oldest \S+; 2 more in flight\n")
                self.assertIn("backlog 5 held", d.ctl("status"))
                d.ctl(*back)
                self.assertEqual(item(d, "slow")["due"], 5)
            d.insert(dict(type="a.b", deliver_after=int(time.time() * 1000) + 3600_000))
            wait_for(lambda: item(d, "slow")["backlog"] == 6)
            self.assertEqual([item(d, "slow")[k] for k in ("due", "held", "held_by", "later")], [5, 0, None, 1])
            self.assertIn("6: 5 due, 1 later", d.ctl("subscription", "show", "slow"))
            gate.set()
            wait_for(lambda: d.unsettled() == 1)
            d.ctl("subscription", "pause", "slow")
            d.insert(dict(type="a.b"))
            wait_for(lambda: item(d, "slow")["held"] == 2)
            wait_for(lambda: "\nwebhookd_oldest_due_timestamp_seconds 0\n" in d.metrics())  # no alert for what somebody holds
            d.ctl("delivery", "discard", "-s", "slow", "--yes")
            wait_for(lambda: d.unsettled() == 0)
            self.assertEqual((item(d, "slow")["backlog"], item(d, "slow")["oldest_due_at"]), (0, None))

    def test_wrong_words(self):
        with Daemon(QUICK) as d:
            for args, status, word in ((["stats", "--window", "2h"], 64, "1m to 1h"), (["stats", "--window", "soon"], 64, "soon"),
                                       (["stats", "-s", "nobody"], 4, "nobody"), (["stats", "-s", "nobody*"], 4, "begins with 'nobody"), (["subscription", "stats", "nobody"], 4, "nobody"),
                                       (["stats", "--watch", "1ms"], 64, "100ms"), (["monitor", "--count", "0"], 64, "--count"),
                                       (["subscription", "list", "--state", "failed"], 64, "failing"),
                                       (["subscription", "list", "--partner", "nobody"], 4, "nobody")):
                done = d.ctl(*args, check=status, raw=True)
                self.assertIn(word, done.stderr, args)
                self.assertEqual(done.stdout, "")


class Screens(unittest.TestCase):
    def test_status_says_what_waits_for_somebody(self):
        with Daemon(QUICK) as d, Receiver(401) as bad, Receiver(200) as good:
            self.assertIn("Nothing waits for you.", d.ctl("status"))
            d.subscribe(bad.url, "--name", "globex", events="fill.*")
            d.subscribe(good.url, "--name", "acme", events="trade.*")
            d.ctl("subscription", "pause", "acme")
            d.insert(*[dict(type="fill.done") for _ in range(4)], dict(type="trade.x"), dict(type="no type"))
            wait_for(lambda: d.json("status")["subscriptions"]["failing"] == 1 and d.json("status")["rejects"] == 1)
            with open(d.conf) as f:
                right = f.read()
            d.write_conf(right + "nonsense: 1\n")
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: d.api("GET", "/status")[1]["config_last_reload_ok"] is False)
            d.write_conf(right)
            os.rename(f"{d.dir}/outbox/outbox.db", f"{d.dir}/outbox/gone.db")
            outbox = wait_for(lambda: next((o for o in d.json("status", check=0)["outboxes"] if o["state"] == "failing"), None))
            self.assertIn("outbox.db", outbox["error"])
            self.assertTrue(outbox["failing_since"])
            os.rename(f"{d.dir}/outbox/gone.db", f"{d.dir}/outbox/outbox.db")
            wait_for(lambda: d.json("status")["outboxes"][0]["state"] == "ok")
            status, shown = d.terminal("status", columns=80, env={"NO_COLOR": "1"})
            self.assertEqual(status, 0)
            for line in (r"! globex failing \d+s \(401\), 4 dead", r"webhookctl attempt list -s globex --limit 5", r"! 4 dead letters  webhookctl dlq summary",
                         r"! 1 subscription is paused: acme  webhookctl sub show acme", r"! 1 row of an outbox was refused",
                         r"! a reload was refused"):
                self.assertRegex(shown, line)
            self.assertTrue(all(len(line) <= 80 for line in shown.splitlines()), shown)
            for command in re.findall(r"(webhookctl (?:attempt|dlq|subscription|outbox) .*)$", shown, re.M):
                d.ctl(*command.split()[1:])  # each can be typed as it stands

    def test_subscriptions_as_a_list(self):
        with Daemon(QUICK) as d, Receiver(200) as r, Receiver(410) as gone:
            d.ctl("partner", "add", "umbrella")
            d.subscribe(r.url, "--name", "acme", events="a.*")
            d.subscribe(r.url, "--name", "other", "--partner", "umbrella", events="a.*")
            d.subscribe(gone.url, "--name", "initech", events="c.*")
            d.ctl("subscription", "pause", "other", "--for", "2h")
            d.emit("a.b")
            d.emit("c.d")
            wait_for(lambda: d.json("subscription", "show", "acme")["ok_total"] == 1)
            wait_for(lambda: d.json("subscription", "show", "initech")["state"] == "disabled")
            names = lambda *a: [s["name"] for s in d.json("subscription", "list", *a)["items"]]
            self.assertEqual(names(), ["acme", "other", "initech"])
            self.assertEqual(names("--state", "active"), ["acme"])
            self.assertEqual(names("--state", "paused"), ["other"])
            self.assertEqual(names("--state", "disabled"), ["initech"])
            self.assertEqual(names("--partner", "umbrella"), ["other"])
            shown = d.terminal("subscription", "list", columns=140, env={"NO_COLOR": "1"})[1]
            self.assertRegex(shown, r"NAME +STATE +EVENTS +OK 1h +P95 +BACKLOG +DEAD +RATE +LAST 2XX")
            self.assertRegex(shown, r"acme +active +a\.\* +100\.0% +[\d.]+m?s +0 +0 +- +")
            self.assertRegex(shown, r"other +paused, 1h 59m to go")
            self.assertRegex(shown, r"initech +disabled \(410\)")
            shown = d.ctl("subscription", "show", "acme")
            self.assertIn("default: 3 attempts, after 20ms, 40ms (each +-10%)", shown)
            self.assertNotIn("whsec_", shown)
            self.assertRegex(shown, r"key_\w+  \d{4}-")

    def test_watch(self):
        with Daemon(QUICK) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b")
            wait_for(lambda: (item(d, "acme") or {"ok": 0})["ok"] == 1)
            with Terminal([WEBHOOKCTL, "-c", d.conf, "stats", "--watch", "100ms"], columns=100, rows=20, env=d.env) as t:
                t.wait("acme")
                d.insert(*[dict(type="a.b") for _ in range(4)])
                t.wait(lambda t: re.search(r"^acme +active +5 ", t.screen.text(), re.M))
                self.assertEqual(t.screen.text().count("SUBSCRIPTION"), 1)  # in the same place
                t.type("\x03")
                self.assertEqual(t.end(), 130)
            with subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "stats", "--watch", "100ms", "-o", "jsonl"], stdout=subprocess.PIPE) as p:
                lines = [json.loads(p.stdout.readline()) for _ in range(3)]
                self.assertEqual({line["subscription"] for line in lines}, {"acme"})
                self.assertLess(lines[0]["as_of"], lines[2]["as_of"])
                d.stop()
                lines = [json.loads(p.stdout.readline()) for _ in range(3)]  # with webhookd stopped it goes on
                p.send_signal(signal.SIGINT)
                p.stdout.read()
                self.assertEqual(p.wait(20), 130)
            d.start()

    def test_monitor_outlives_a_restart(self):
        with Daemon(QUICK) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "acme")
            with subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "monitor", "--interval", "100ms", "-o", "jsonl"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as p:
                at = lambda line: datetime.datetime.fromisoformat(line["at"].replace("Z", "+00:00")).timestamp()
                before = json.loads(p.stdout.readline())
                self.assertTrue(before["ready"])
                d.insert(*[dict(type="a.b") for _ in range(30)])
                ok = 0
                while ok < 29.5:  # the rates of the lines add up to what was delivered
                    line = json.loads(p.stdout.readline())
                    ok += line["ok_per_second"] * (at(line) - at(before))
                    before = line
                self.assertLess(ok, 30.5)
                d.stop()
                self.assertIn("waiting for it", p.stderr.readline())
                d.start()
                self.assertIn("is back", p.stderr.readline())
                self.assertEqual(json.loads(p.stdout.readline())["in_flight"], 0)
                p.send_signal(signal.SIGINT)
                p.stdout.read()
                self.assertEqual(p.wait(20), 130)
            done = subprocess.run(f"{WEBHOOKCTL} -c {d.conf} monitor --interval 100ms | head -3", shell=True, capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual((len(done.stdout.splitlines()), done.stderr), (3, ""))
            self.assertRegex(done.stdout, r"^time +due +held +oldest +infl +ok/s +fail/s +retry/s +dead/s +p50 +p99\n")
            status, shown = d.terminal("monitor", "--interval", "100ms", "--count", "21")
            self.assertEqual((status, shown.count("retry/s"), len(shown.splitlines())), (0, 2, 23))


if __name__ == "__main__":
    unittest.main()
