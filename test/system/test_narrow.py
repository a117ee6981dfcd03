"""Tables and sentences on terminals of 80 and 100 columns: what matters stays, whole; the rest gives way in the order of its rank."""
import re
import unittest

from harness import Daemon, Receiver, free_port, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"


class Narrow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.receiver = Receiver(503).__enter__()
        cls.d = Daemon(QUICK)
        cls.d.subscribe(cls.receiver.url, "--name", "acme-settle", events="trade.*")
        cls.d.subscribe(f"http://127.0.0.1:{free_port()}/x", "--name", "globex-fills", events="trade.*")
        cls.good = Receiver(200).__enter__()
        cls.d.subscribe(cls.good.url, "--name", "initech", events="fine.*")
        cls.d.emit("fine.one")
        for n in range(3):
            cls.d.emit("trade.cancelled", {"n": n})
        wait_for(lambda: cls.d.ctl("dlq", "count").strip() == "6", what="they are dead")
        wait_for(lambda: cls.good.requests, what="one arrived")
        wait_for(lambda: "failing" in cls.d.ctl("dlq", "summary"), what="the endpoint's health is written")
        cls.d.ctl("dlq", "replay", "--all", "--yes", "--canary", "0", "--detach", "--note", "INC-381 acme back")

    @classmethod
    def tearDownClass(cls):
        cls.d.close()
        cls.receiver.close()
        cls.good.close()

    def look(self, *args, columns=80):
        status, text = self.d.terminal(*args, columns=columns, env={"NO_COLOR": "1"})
        self.assertEqual(status, 0, text)
        for line in text.splitlines():
            self.assertTrue(len(line) <= columns or "webhookctl " in line, line)
        return text

    def headings(self, text):
        return re.split(r"  +", next(line for line in text.splitlines() if re.match(r"[A-Z0-9 #%/sh]+$", line)).strip())

    def test_what_must_be_seen(self):
        rows = ((("dlq", "summary"), "SUBSCRIPTION CAUSE LAST COUNT LAST_DIED SUBSCRIPTION_NOW"),
                (("dlq", "list"), "DELIVERY TYPE DIED LAST CAUSE"),
                (("delivery", "list"), "DELIVERY TYPE STATE LAST TRIES"),
                (("attempt", "list"), "TIME SUBSCRIPTION ATTEMPT RESULT ERROR"),
                (("job", "list"), "JOB KIND STATE SELECTED DELIVERED NOT_SENT"),
                (("stats",), "SUBSCRIPTION STATE BACKLOG DEAD"),
                (("sub", "list"), "NAME STATE BACKLOG DEAD LAST_2XX"))
        for command, wanted in rows:
            for columns in (80, 100):
                with self.subTest(command=command, columns=columns):
                    text = self.look(*command, columns=columns)
                    seen = self.headings(text)
                    self.assertEqual([w for w in wanted.split() if w.replace("_", " ") not in seen], [], text)

    def test_types_and_names_are_whole(self):
        for command in (("dlq", "list"), ("delivery", "list"), ("event", "list")):
            with self.subTest(command=command):
                self.assertIn("trade.cancelled ", self.look(*command))
        self.assertIn("acme-settle ", self.look("sub", "list"))
        self.assertRegex(self.look("attempt", "list"), r"acme-settle +dlv_\w{13}/4 ")  # goes on to attempt show, dlq show
        self.assertIn("retries_exhausted ", self.look("dlq", "summary"))

    def test_times_are_short_where_that_saves_a_column(self):
        status, text = self.d.terminal("dlq", "list", "--status", "503", columns=80, env={"NO_COLOR": "1"})
        self.assertEqual(status, 0)
        self.assertIn("SUBSCRIPTION", self.headings(text))
        self.assertNotRegex(text, r"ago|just now")
        self.assertRegex(self.look("dlq", "list", columns=200), r"ago|just now")

    def test_one_subscription_is_not_said_again(self):
        self.assertNotIn("SUBSCRIPTION", self.look("dlq", "list", "-s", "acme-settle", columns=100))
        self.assertIn("TRIES", self.look("dlq", "list", "-s", "acme-settle"))
        self.assertIn("SUBSCRIPTION", self.d.ctl("dlq", "list", "-s", "acme-settle"))  # scripts find what they know

    def test_long_cells_take_lines(self):
        text = self.look("audit", "list", "--limit", "3")
        self.assertNotIn("…", text)
        self.assertNotRegex(text, r'[{}]|null')  # an entry is words; what is null says nothing
        self.assertRegex(self.look("audit", "list", "--limit", "3", columns=200), '"INC-381 acme back"; of acme-settle,globex-fills, selected ')
        self.assertIn('"INC-381 acme back"; of ', self.look("audit", "list", "--limit", "3", columns=200))
        self.assertIn("INC-381 acme back", self.look("audit", "list", "--limit", "3", columns=200))
        self.assertIn("failing", self.look_doctor())

    def look_doctor(self):
        status, text = self.d.terminal("doctor", columns=80, env={"NO_COLOR": "1"})
        self.assertEqual(status, 1)
        for line in text.splitlines():
            self.assertTrue(len(line) <= 80 or "webhookctl " in line, line)
        self.assertNotIn("…", text)
        return text


if __name__ == "__main__":
    unittest.main()
