"""webhookctl top before a pseudo-terminal: keys, sorting, filtering, pausing with a question; and what it is elsewhere."""
import json
import os
import re
import signal
import subprocess
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for
from terminal import Terminal

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"


def row(t, name):
    """The table's row of a subscription, as words."""
    for line in t.screen.lines():
        if line.startswith(name + " "):
            return line.split()
    return None


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.good, cls.bad = Receiver(200), Receiver(503)
        cls.d = Daemon(QUICK)
        cls.d.subscribe(cls.good.url, "--name", "acme", events="a.*")
        cls.d.subscribe(cls.bad.url, "--name", "globex", events="b.*")
        cls.d.subscribe(cls.good.url, "--name", "initech", events="c.*")
        cls.d.insert(*[dict(type="b.b") for _ in range(5)], *[dict(type="a.a") for _ in range(20)])
        wait_for(lambda: cls.d.ctl("dlq", "count") == "5\n")
        wait_for(lambda: cls.d.json("stats")["total"]["ok"] == 20)  # written behind, within a second
        wait_for(lambda: cls.d.json("stats")["total"]["failed"] == 10)

    @classmethod
    def tearDownClass(cls):
        cls.d.close()
        cls.good.close()
        cls.bad.close()

    def top(self, *args, columns=100, rows=24, **kw):
        return Terminal([WEBHOOKCTL, "-c", self.d.conf, "top", *args], columns=columns, rows=rows, env=self.d.env, **kw)

    def test_keys(self):
        with self.top() as t:
            t.wait(lambda t: row(t, "globex") and row(t, "acme") and "q quit" in t.screen.text())
            self.assertTrue(t.screen.alternate)
            self.assertLess(t.screen.text().index("globex"), t.screen.text().index("acme"))  # what fails stands first
            self.assertEqual(row(t, "globex")[1], "failing")
            self.assertIn("dead 5", t.screen.line(0))
            words = ("dead", "name", "backlog", "fail", "p95")
            sorted_by = lambda t: next((w for w in words if f"sort: {w}" in t.screen.text()), None)
            for word in words:
                for _ in words:
                    before = t.wait(sorted_by)
                    if before == word:
                        break
                    t.type("s")
                    t.wait(lambda t: sorted_by(t) not in (None, before))
                self.assertEqual(sorted_by(t), word)
                if word == "name":
                    t.wait(lambda t: -1 < t.screen.text().find("acme") < t.screen.text().find("globex"))
            t.type("/")
            t.type("acm")
            t.wait("/acm")
            t.type("\r")
            t.wait("filter: acm")
            self.assertIsNone(row(t, "globex"))
            t.type("/\x7f\x7f\x7f\r")
            t.wait(lambda t: row(t, "globex"))
            t.type("h")
            t.wait("pause the selected subscription")
            t.type("q")
            t.wait(lambda t: row(t, "globex"))
            t.resize(60, 12)
            t.wait(lambda t: "q quit" in t.screen.line(11))
            self.assertTrue(all(len(line) <= 60 for line in t.screen.lines()))
            t.type("q")
            self.assertEqual(t.end(), 0)
            self.assertFalse(t.screen.alternate)

    def test_narrow_the_state_and_the_question_stay(self):
        for columns in (100, 80, 60, 40):
            with self.top(columns=columns) as t:
                t.wait(lambda t: row(t, "globex") and "q quit" in t.screen.text())
                state = next(line for line in t.screen.lines() if line.startswith("globex "))
                self.assertRegex(state, r"failing \S+ \(503\b[^…]*\)", columns)
                self.assertIn("dead 5", t.screen.line(0))
                self.assertIn("h help", t.screen.text())
                t.type("p")
                t.wait("[y/N]")
                t.resize(24, 10)
                t.wait(lambda t: re.search(r"Pause glo\S*\? \[y/N\]", t.screen.line(9)))
                t.type("nq")
                self.assertEqual(t.end(), 0)

    def test_details_and_a_pause_that_asks(self):
        with self.top("-s", "globex,acme", "--sort", "dead") as t:
            t.wait(lambda t: row(t, "globex"))
            self.assertIsNone(row(t, "initech"))
            t.type("\r")
            t.wait("Last attempts that failed")
            t.wait("http_5xx")
            self.assertIn("0 ok, 10 failed (0.0% ok)", t.screen.text())
            t.type("q")  # back
            t.wait(lambda t: row(t, "acme"))
            t.type("\x1b[B")  # down: acme
            t.type("p")
            t.wait("Pause acme?")
            t.type("n")
            t.wait("q quit")
            self.assertEqual(self.d.json("subscription", "show", "acme")["state"], "active")
            t.type("p")
            t.wait("Pause acme?")
            t.type("y")
            t.wait("acme is paused")
            self.assertEqual(self.d.json("subscription", "show", "acme")["state"], "paused")
            t.wait(lambda t: row(t, "acme")[1] == "paused")
            t.type("p")
            t.wait("Resume acme?")
            t.type("y")
            t.wait("acme is active again")
            t.type("q")
            self.assertEqual(t.end(), 0)
        self.assertEqual(self.d.json("audit", "list")["items"][0]["action"], "subscription.resume")

    def test_rates_are_of_now(self):
        with self.top() as t:
            t.wait(lambda t: row(t, "acme"))
            t.wait(lambda t: row(t, "acme")[2] == "0")  # the second look: nothing since the first
            self.d.insert(*[dict(type="a.a") for _ in range(30)])
            t.wait(lambda t: float(row(t, "acme")[2]) > 10)
            t.wait(lambda t: row(t, "acme")[2] == "0")
            t.type("q")
            self.assertEqual(t.end(), 0)

    def test_however_it_ends_the_terminal_is_as_it_was(self):
        for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP), (None, 130)):
            with self.top() as t:
                t.wait(lambda t: row(t, "acme"))
                if number:
                    t.process.send_signal(number)
                else:
                    t.type("\x03")
                self.assertEqual(t.end(), status)
                self.assertFalse(t.screen.alternate)
                self.assertTrue(t.screen.cursor_shown)

    def test_a_restart_in_the_middle(self):
        with Daemon(QUICK) as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "solo")
            d.emit("a.b")
            wait_for(lambda: d.json("stats")["total"]["ok"] == 1)
            with Terminal([WEBHOOKCTL, "-c", d.conf, "top"], columns=100, rows=20, env=d.env) as t:
                t.wait(lambda t: row(t, "solo"))
                d.stop()
                t.wait("does not answer")
                self.assertTrue(row(t, "solo"))  # what was known stays
                d.start()
                t.wait(lambda t: "does not answer" not in t.screen.text())
                t.type("q")
                self.assertEqual(t.end(), 0)

    def test_where_there_is_no_terminal(self):
        with self.top(term="dumb") as t:
            t.wait("retry/s")
            t.type("\x03")
            self.assertEqual(t.end(), 130)
            self.assertNotIn("\x1b", t.shown)
        with subprocess.Popen([WEBHOOKCTL, "-c", self.d.conf, "top", "-o", "jsonl"], stdout=subprocess.PIPE, env=self.d.env) as p:
            line = json.loads(p.stdout.readline())
            self.assertEqual(line["dead"], 5)
            p.send_signal(signal.SIGINT)
            self.assertEqual(p.wait(20), 130)
        with self.top("-s", "g*,acme") as t:  # as in every filter
            t.wait(lambda t: row(t, "globex") and row(t, "acme"))
            self.assertIsNone(row(t, "initech"))
            t.type("q")
            self.assertEqual(t.end(), 0)
        self.assertIn("p pauses the selected subscription", self.d.ctl("top", "--help"))
        with self.top("-s", "nobody") as t:
            self.assertEqual(t.end(), 4)
            self.assertFalse(t.screen.alternate)
        with self.top("--sort", "bcklog") as t:
            self.assertEqual(t.end(), 64)
            self.assertIn("did you mean 'backlog'", t.shown)


if __name__ == "__main__":
    unittest.main()
