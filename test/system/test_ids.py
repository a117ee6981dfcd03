"""Ids as people mix them up: one of another kind than the one that is wanted is told apart in every command that takes an id, and
what nothing has is told from what is empty."""
import re
import unittest

from harness import Daemon, Receiver, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
NOUNS = {"job": "a job", "dlv": "a delivery", "sub": "a subscription", "evt": "an event", "par": "a partner", "rej": "a refused row of an outbox"}
HELP = {"job": "job show", "dlv": "delivery show", "sub": "sub show", "evt": "event show", "par": "sub list --partner", "rej": "outbox rejects show"}

# A command with @ where an id stands, and of which kinds it may be there.
LETTERS, EVENTS, DELIVERIES = ("dlv", "evt"), ("evt", "dlv"), ("dlv", "evt")
TAKES = {
    "dlq show @": LETTERS, "dlq note @ text": LETTERS, "dlq list @": LETTERS, "dlq count @": LETTERS, "dlq summary @": LETTERS,
    "dlq replay @ --dry-run": LETTERS, "dlq purge @ --dry-run": LETTERS, "dlq export @": LETTERS, "dlq restore @ --dry-run": ("job",),
    "job show @": ("job",), "job watch @": ("job",), "job pause @": ("job",), "job resume @": ("job",), "job cancel @": ("job",),
    "job set-rate @ 5/s": ("job",), "subscription show @": ("sub",), "subscription stats @": ("sub",), "subscription set @ rate=5/s --dry-run": ("sub",),
    "subscription pause @": ("sub",), "subscription resume @": ("sub",), "subscription enable @": ("sub",), "subscription disable @": ("sub",),
    "subscription test @": ("sub",), "subscription delete @ --yes": ("sub",), "subscription rotate-secret @": ("sub",), "event show @": EVENTS,
    "event trace @": EVENTS, "delivery show @": DELIVERIES, "delivery list @": DELIVERIES, "delivery discard @ --dry-run": DELIVERIES,
    "delivery resend @ --dry-run": DELIVERIES, "attempt list @": DELIVERIES, "attempt show @": DELIVERIES, "attempt tail @": DELIVERIES,
    "outbox rejects show @": ("rej",), "outbox rejects retry @": ("rej",), "outbox rejects purge @ --yes": ("rej",), "doctor @": ("sub",),
    "stats -s @": ("sub",), "dlq list -s @": ("sub",), "dlq list --job @": ("job",), "delivery list --job @": ("job",), "sub list --partner @": ("par",),
    "dlq list --event @": EVENTS,
}


class Kinds(unittest.TestCase):
    def test_every_command_tells_them_apart(self):
        with Daemon(QUICK) as d, Receiver(503) as r:
            sub = d.subscribe(r.url, "--name", "acme", events="trade.*")["id"]
            d.insert(dict(type="trade.settled", payload="{}"))
            d.insert(dict(type="a bad type"))
            wait_for(lambda: d.ctl("dlq", "count") == "1\n")
            wait_for(lambda: d.ctl("-q", "outbox", "rejects", "list"))
            letter = d.json("dlq", "list")["items"][0]
            d.ctl("dlq", "replay", "--all", "--yes", check=1)
            ids = {"job": d.ctl("-q", "job", "list").strip(), "dlv": letter["id"], "sub": sub, "evt": letter["event_id"],
                   "par": d.json("partner", "list")["items"][0]["id"], "rej": d.ctl("-q", "outbox", "rejects", "list").strip()}
            rows = {row["command"]: row for row in d.json("help", "commands")["items"]}
            for command, row in rows.items():  # a new command that takes an id is to be in the table
                if "ID" in row["args"] or "JOB" in row["args"] or "DELIVERY" in row["args"]:
                    self.assertTrue(any(line.startswith(command + " ") for line in TAKES), f"{command} is not in TAKES")
            for daemon in (True, False):
                for line, takes in TAKES.items():
                    if not daemon and line.startswith(("doctor", "stats", "attempt tail")):  # need one
                        continue
                    for kind, id in ids.items():
                        if kind in takes:
                            continue
                        with self.subTest(line=line, kind=kind, daemon=daemon):
                            words = [id if word == "@" else word for word in line.split()]
                            done = d.ctl(*words, check=None, raw=True)
                            filters = line.startswith("dlq list --event") or "--job @" in line
                            self.assertIn(done.returncode, (4, 64) if filters else (4,), done.stderr)
                            self.assertIn(f"'{id}' is {NOUNS[kind]}, not a", done.stderr)
                            self.assertIn(f"webhookctl {HELP[kind]} {id}", done.stderr)
                            if kind in ("job", "sub") and takes in (LETTERS, DELIVERIES) and line.split()[0] in ("dlq", "delivery"):
                                self.assertIn(f"{'--job' if kind == 'job' else '-s'} {id}", done.stderr)
                if daemon:
                    self.assertEqual(d.stop(), 0)

    def test_names_of_others(self):
        """A name that is somebody's, where something else is wanted."""
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme", events="trade.*")
            d.insert(dict(type="trade.settled", event_id="T-1"))
            wait_for(lambda: d.ctl("dlq", "count") == "1\n")
            for daemon in (True, False):
                for line, says in (("dlq show acme", "dlq list -s acme"), ("dlq replay acme --dry-run", "-s acme"),
                                   ("dlq list acme", "chosen with -s acme"), ("dlq count acme", "chosen with -s acme"), ("dlq summary acme", "chosen with -s acme"),
                                   ("dlq export acme", "chosen with -s acme"), ("dlq purge acme --dry-run", "chosen with -s acme"),
                                   ("delivery list acme", "chosen with -s acme"), ("delivery discard acme --dry-run", "chosen with -s acme"),
                                   ("delivery resend acme --dry-run", "chosen with -s acme"), ("delivery show acme", "sub show acme"),
                                   ("job show acme", "sub show acme"), ("event show acme", "sub show acme"), ("attempt list acme", "-s acme"),
                                   ("job show T-1", "event show T-1"), ("sub show T-1", "event show T-1"), ("outbox rejects show T-1", "event show T-1")):
                    self.assertIn(says, d.ctl(*line.split(), check=4, raw=True).stderr, line)
                if daemon:
                    self.assertEqual(d.stop(), 0)

    def test_what_stands_for_what(self):
        """An event's id wherever a delivery's is wanted, and a delivery's where its event's is."""
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme", events="trade.*")
            d.insert(dict(type="trade.settled", event_id="T-1"), dict(type="trade.settled", event_id="T-2"))
            wait_for(lambda: d.ctl("dlq", "count") == "2\n")
            letter = next(item["id"] for item in d.json("dlq", "list")["items"] if item["event_id"] == "T-1")
            for daemon in (True, False):
                for line in ("dlq count @", "dlq list -q @", "dlq list -q --event @", "dlq show @", "event show @", "event trace @", "delivery show @",
                             "delivery list -q @", "delivery list -q --event @", "attempt list @", "attempt show @ 1", "dlq replay @ --dry-run",
                             "dlq replay --event @ --dry-run", "dlq export @"):
                    same = [d.ctl(*[id if word == "@" else word for word in line.split()]) for id in ("T-1", letter)]
                    mask = lambda text: "\n".join(part for part in text.splitlines() if "webhookctl" not in part)
                    self.assertEqual(mask(same[0]), mask(same[1]), line)
                    self.assertTrue(same[0], line)
                if daemon:
                    self.assertEqual(d.stop(), 0)


class Nothing(unittest.TestCase):
    def test_why_nothing_matched(self):
        rows = (("dlq list --type trade.setled", "no event of type 'trade.setled' is stored; did you mean 'trade.settled'?"),
                ("dlq count --type trade.setled", "did you mean 'trade.settled'?"), ("dlq summary --type trad.*", "did you mean 'trade.*'?"),
                ("dlq replay --type trade.setled --dry-run", "did you mean 'trade.settled'?"), ("dlq replay --type trade.setled --yes", "did you mean 'trade.settled'?"),
                ("dlq purge --type trade.setled --dry-run", "did you mean 'trade.settled'?"), ("dlq export --type trade.setled", "did you mean 'trade.settled'?"),
                ("event list --type trade.setled", "did you mean 'trade.settled'?"), ("delivery list --type trade.setled", "did you mean 'trade.settled'?"),
                ("delivery discard --type trade.setled --dry-run", "did you mean 'trade.settled'?"),
                ("delivery resend --type trade.setled --dry-run", "did you mean 'trade.settled'?"), ("attempt list --type trade.setled", "did you mean 'trade.settled'?"),
                ("dlq list --type a.quite.other", "no event of type 'a.quite.other' is stored\n"), *[(f"{verb} --event T-3", "no event 'T-3'") for verb in ("dlq list", "dlq count", "dlq summary", "dlq export", "dlq replay --yes", "dlq purge --dry-run",
                                                                              "delivery list", "delivery resend --yes")],
                ("dlq list --type trade.setled,trade.cancelled --since 1s", "did you mean 'trade.settled'?"))
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme", events="trade.*")
            d.insert(dict(type="trade.settled", event_id="T-1"))
            wait_for(lambda: d.ctl("dlq", "count") == "1\n")
            for daemon in (True, False):
                for line, says in rows:
                    # 0: an empty answer is an answer; an event that is named is to be there
                    done = d.ctl(*line.split(), check=4 if "--event" in line else 0, raw=True)
                    self.assertIn(says, done.stderr, line)
                    self.assertNotIn("did you mean", done.stdout)
                self.assertNotIn("is stored", d.ctl("dlq", "list", "--type", "trade.*", "--cause", "gone", raw=True).stderr)
                if daemon:
                    self.assertEqual(d.stop(), 0)


class Named(unittest.TestCase):
    """Ids that were named and are not in the set: each is told, and who named them does not hear that all is well."""

    def setUp(self):
        self.d, self.r = Daemon(QUICK).__enter__(), Receiver(503).__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)
        self.addCleanup(self.r.__exit__)
        for name in ("one", "two"):
            self.d.subscribe(self.r.url, "--name", name, events=f"{name}.*")
        self.d.insert(*[dict(type="one.x", event_id=f"T-{i}") for i in range(3)])
        wait_for(lambda: self.d.ctl("dlq", "count") == "3\n")
        first, self.other = self.d.json("dlq", "list")["items"][:2]
        self.letter = first["id"]

    def test_unknown_ones(self):
        d, unknown = self.d, ("dlv_0000000000009", "T-99")
        done = d.ctl("dlq", "replay", self.letter, *unknown, "--dry-run", raw=True)
        self.assertIn("2 of 3 ids are no dead letters of this set:", done.stderr)
        for id in unknown:
            self.assertIn(f"no dead letter '{id}'", done.stderr)
        self.assertEqual(sorted(d.json("dlq", "replay", self.letter, *unknown, "--dry-run")["unmatched"]), sorted(unknown))
        self.r.answer = 200
        done = d.ctl("dlq", "replay", "--ids-from", "-", "--yes", stdin="\n".join((self.letter, *unknown)), check=3, raw=True)
        self.assertIn("no dead letter 'T-99'", done.stderr)
        done = d.ctl("delivery", "resend", self.letter, *unknown, self.other["event_id"], "--yes", check=3, raw=True)
        self.assertIn("3 of 4 ids are no", done.stderr)
        self.assertIn("no delivery or event 'T-99'", done.stderr)
        many = "\n".join([self.letter] + [f"X-{i}" for i in range(40)])
        self.assertIn("and 30 more", d.ctl("delivery", "resend", "--ids-from", "-", "--dry-run", stdin=many, raw=True).stderr)

    def test_show_of_another_subscription(self):
        for sub in ("two", "nobody"):
            self.assertIn(f"{self.letter} is a dead letter of one, type one.x, not of '{sub}'", self.d.ctl("dlq", "show", self.letter, "-s", sub, check=4, raw=True).stderr)
        self.assertIn(self.letter, self.d.ctl("dlq", "show", self.letter, "-s", "one"))

    def test_letters_whose_subscription_is_not_here(self):
        line = self.d.ctl("dlq", "export", self.letter).replace(self.letter, "dlv_0000000000004").replace('"T-', '"U-').replace('"name":"one"', '"name":"nope"')
        line = re.sub(r'"id":"sub_\w+"', '"id":"sub_0000000000004"', line)
        self.d.ctl("dlq", "import", stdin=line)
        for done in (self.d.ctl("dlq", "replay", "dlv_0000000000004", "--dry-run", raw=True), self.d.ctl("dlq", "replay", "dlv_0000000000004", "--yes", check=1, raw=True)):
            self.assertIn("nope is not here: add it (webhookctl sub add), then import the same file again", done.stdout + done.stderr)
            for look in (["summary"], ["show", "dlv_0000000000004"]):
                shown = self.d.ctl("dlq", *look)
                self.assertIn("nope is not here: add it (webhookctl sub add), then import the same file again", shown)
                self.assertNotIn("sub test nope", shown)
            self.assertIn("subscription deleted, or not here", done.stdout + done.stderr)

    def test_the_first_few_deliveries(self):
        d = self.d
        self.assertEqual(d.ctl("-q", "dlq", "replay", "--all", "--dry-run"), "")
        d.ctl("sub", "pause", "two")
        d.insert(*[dict(type="two.x", event_id=f"W-{i}") for i in range(5)])
        wait_for(lambda: len(d.ctl("-q", "delivery", "list", "-s", "two").split()) == 5)
        d.ctl("delivery", "discard", "-s", "two", "--limit", "2", "--yes")
        left = [x["event_id"] for x in d.json("delivery", "list", "-s", "two", "--state", "held")["items"]]
        self.assertEqual(sorted(left), ["W-2", "W-3", "W-4"])
        self.r.answer = 200
        d.ctl("sub", "resume", "two")
        wait_for(lambda: d.json("delivery", "list", "-s", "two", "--state", "delivered")["items"][2:])
        for order, first in (("newest", ["W-4", "W-3"]), ("oldest", ["W-2", "W-3"])):
            self.r.requests.clear()
            d.ctl("delivery", "resend", "-s", "two", "--limit", "2", "--order", order, "--yes")
            self.assertEqual(sorted(self.r.ids()), sorted(first))

    def test_lines_that_are_no_ids(self):
        """Refused before anything is sent, with file and line, the same in every command."""
        d = self.d
        for name, content, line in (("words", f"{self.letter}\n\nthis is {{no}} id\n".encode(), 3), ("bytes", b"\xff\x00\x01\x80\n" * 40, 1)):
            path = f"{d.dir}/{name}"
            with open(path, "wb") as f:
                f.write(content)
            for command in ("dlq list", "dlq count", "dlq summary", "dlq export", "dlq replay --yes", "dlq purge --confirm=1", "delivery resend --yes",
                            "delivery discard --yes", "delivery list"):
                done = d.ctl(*command.split(), "--ids-from", path, check=65, raw=True)
                self.assertIn(f"{path}:{line}: ", done.stderr, command)
        self.assertEqual(d.ctl("dlq", "count"), "3\n")

    def test_what_the_rest_of_the_filter_leaves_out(self):
        for daemon in (True, False):
            for line in ("replay --dry-run", "purge --dry-run", "list", "count", "summary", "export"):
                done = self.d.ctl("dlq", *line.split(), self.letter, "-s", "two", check=4, raw=True)
                self.assertIn(f"{self.letter} is a dead letter of one, type one.x: the rest of the filter leaves it out", done.stderr, line)
                self.assertNotIn("no dead letter", done.stderr)
            if daemon:
                self.assertEqual(self.d.stop(), 0)


if __name__ == "__main__":
    unittest.main()
