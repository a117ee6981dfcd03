"""How webhookctl behaves, whatever the command: the global flags, colours, times, widths, pipes whose reader went away, a daemon
that does not answer."""
import json
import os
import re
import socket
import subprocess
import time
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}"
COMMANDS = json.loads(subprocess.run([WEBHOOKCTL, "help", "commands", "-o", "json"], capture_output=True, text=True).stdout)["items"]
LISTS = [row["command"] for row in COMMANDS if row["command"].endswith(" list")] + [
    "dlq summary", "attempt list E-1", "config reference"]


class Manners(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = cls.enterClassContext(Daemon(QUICK)) if hasattr(cls, "enterClassContext") else cls.enter(Daemon(QUICK))
        r = cls.enterClassContext(Receiver(503)) if hasattr(cls, "enterClassContext") else cls.enter(Receiver(503))
        cls.d.subscribe(r.url, "--name", "acme-settlements-of-the-long-name", events="trade.*")
        cls.d.subscribe(r.url, "--name", "paused", events="z")
        cls.d.ctl("subscription", "pause", "paused")
        cls.d.insert(*[dict(type="trade.settled.with.a.long.type", event_id=f"E-{n}", correlation_id="日本" * 20) for n in range(3)])
        cls.d.insert(dict(type="a bad type"))
        wait_for(lambda: cls.d.ctl("dlq", "count") == "3\n")
        cls.d.ctl("dlq", "replay", "E-1", "--yes", check=1)

    @classmethod
    def enter(cls, what):  # Python before 3.11
        value = what.__enter__()
        cls.addClassCleanup(lambda: what.__exit__(None, None, None))
        return value

    def test_one_thing_said_in_three_ways(self):
        d = self.d
        self.assertEqual(d.ctl("--json", "dlq", "list"), d.ctl("-o", "json", "dlq", "list"))
        self.assertEqual(d.ctl("dlq", "list", "-q"), d.ctl("-o", "id", "dlq", "list"))
        self.assertEqual(d.ctl("dlq", "list", "--quiet", "--json"), d.ctl("-o", "json", "dlq", "list"))
        self.assertIn("did you mean 'json'?", d.ctl("-o", "jsno", "dlq", "list", check=64, raw=True).stderr)

    def test_columns(self):
        d = self.d
        lines = d.ctl("dlq", "list", "--columns", "cause,type,last_status", check=64, raw=True)
        self.assertIn("no column 'last_status'; there are delivery,type,", lines.stderr)
        self.assertEqual(lines.stdout, "")
        self.assertIn("did you mean 'cause'?", d.ctl("dlq", "list", "--columns", "cuase", check=64, raw=True).stderr)
        shown = d.ctl("dlq", "list", "--columns", "CAUSE,event_id").splitlines()
        self.assertEqual(shown[0].split(), ["CAUSE", "EVENT"])
        self.assertTrue(shown[1].startswith("retries_exhausted  E-"))
        self.assertEqual(d.ctl("dlq", "list", "--columns=cause", "--no-headers"), "retries_exhausted\n" * 3)
        self.assertIn("subscription-now", d.ctl("dlq", "summary", "--columns", "x", check=64, raw=True).stderr)

    def test_times(self):
        d, zone = self.d, {"TZ": "IST-5:30"}
        run = lambda *args: subprocess.run([WEBHOOKCTL, "-c", d.conf, "attempt", "list", "E-1", "--columns=started", "--no-headers", *args],
                                           env={**d.env, **zone}, capture_output=True, text=True, check=True).stdout.split("\n")[0]
        self.assertRegex(run(), f"^{RFC3339}Z$")
        self.assertEqual(run("--utc"), run())
        self.assertRegex(run("--local"), f"^{RFC3339}\\+05:30$")
        minutes = lambda text: int(text[11:13]) * 60 + int(text[14:16])
        self.assertEqual((minutes(run("--local")) - minutes(run())) % 1440, 330)
        shown = lambda *args: d.terminal("attempt", "list", "E-1", "--columns=started", "--no-headers", *args, env=zone)[1].split("\n")[0]
        self.assertEqual(shown(), run("--local")[11:23])
        self.assertEqual(shown("--utc"), run())
        self.assertEqual(shown("--local"), run("--local"))
        self.assertRegex(d.terminal("dlq", "list", "--columns=died", "--no-headers")[1], r"^(\d+[smh]( \d+[sm])? ago\n){3}$")
        self.assertIn(f'"died_at":"{d.json("dlq", "list", "--local")["items"][0]["died_at"]}"', d.ctl("-o", "jsonl", "dlq", "list", "--local"))
        d.ctl("dlq", "list", "--utc", "--local", check=64)

    def test_colours(self):
        d = self.d
        with d.screen("sub", "list", columns=250) as t:
            self.assertEqual(t.end(), 0)
            self.assertEqual(t.screen.style_of("STATE"), {"bold"})
            self.assertEqual(t.screen.style_of("NAME"), {"bold"})
            self.assertEqual(t.screen.style_of("acme-settlements"), set())
        plain = dict(term="dumb"), dict(env={"NO_COLOR": "1"}), dict(term="")
        for how in plain:
            self.assertNotIn("\x1b", d.terminal("sub", "list", **how)[1], how)
        self.assertNotIn("\x1b", d.terminal("sub", "list", "--color", "never")[1])
        self.assertIn("\x1b", d.terminal("sub", "list", env={"NO_COLOR": ""})[1])
        self.assertNotIn("\x1b", d.ctl("sub", "list"))
        self.assertIn("\x1b[1m", d.ctl("sub", "list", "--color", "always"))
        self.assertNotIn("\x1b", d.ctl("sub", "list", "--color", "always", "--json"))
        self.assertIn("did you mean 'always'?", d.ctl("sub", "list", "--color", "alwais", check=64, raw=True).stderr)
        with open(os.devnull, "w") as nowhere:  # only standard error is a terminal: what goes to it is judged by it alone
            with d.screen("sub", "list", stdout=nowhere) as t:
                self.assertEqual(t.end(), 0)
                self.assertNotIn("\x1b", t.shown)

    def test_what_is_not_utf8_is_refused(self):
        """A terminal in Latin-1: nothing of it is lost or stored as something else."""
        d, bad = self.d, os.fsdecode(b"Z\xfcrich INC-9")
        for args in (("dlq", "replay", "--all", "--yes", "--note", bad), ("dlq", "purge", "--all", "--confirm=3", "--note", bad),
                     ("sub", "pause", "paused", "--note", bad), ("egress", "pause", "--yes", "--note", bad), ("dlq", "note", "E-1", bad),
                     ("event", "emit", "--type", "a.b", "--key", bad), ("event", "emit", "--type", "a.b", "--correlation-id", bad),
                     ("dlq", "list", "-s", bad), ("-o", "json", "dlq", "show", bad)):
            with self.subTest(args=args):
                done = d.ctl(*args, check=64, raw=True)
                said = json.loads(done.stderr)["error"]["message"] if "json" in args else done.stderr
                self.assertIn(r"Z\xfcrich INC-9: byte 2 is not UTF-8", said)
        with open(os.path.join(os.fsencode(d.dir), b"ids\xff"), "w") as f:  # a path may be anything
            f.write("E-1\n")
        self.assertEqual(d.ctl("dlq", "count", "--ids-from", os.path.join(d.dir, os.fsdecode(b"ids\xff"))), "1\n")
        copy = os.path.join(d.dir, os.fsdecode(b"c\xff.conf"))
        with open(os.fsencode(copy), "w") as f, open(d.conf) as conf:
            f.write(conf.read())
        self.assertTrue(json.loads(d.ctl("config", "check", copy, "-o", "json"))["file"].endswith(r"c\xff.conf"))
        self.assertTrue(any((x["file"] or "").endswith(r"c\xff.conf") for x in json.loads(d.ctl("-c", copy, "config", "show", "--origin", "-o", "json"))["items"]))
        d.ctl("dlq", "export", "-f", os.path.join(d.dir, os.fsdecode(b"e\xff.jsonl")))
        self.assertEqual(d.json("audit", "list", "--action", "dead_letter.export")["items"][0]["detail"]["file"], r"e\xff.jsonl")
        for job in ("job_xxx", "xxx"):
            self.assertIn(f"--job {job}: not the id of a job; which", d.ctl("dlq", "list", "--job", job, check=64, raw=True).stderr)
        self.assertIn("bytes that are no text", d.ctl("dlq", "count", "--ids-from", "/proc/self/exe", check=65, raw=True).stderr)

    def test_nobody_is_asked(self):
        d = self.d
        for args, why in ((["--no-input"], "--no-input was given"), ([], "")):
            with d.screen("dlq", "replay", "--all", *args) as t:
                if args:
                    self.assertEqual(t.end(), 64)
                    self.assertIn(f"refusing without --yes: {why}", t.shown)
                else:
                    t.wait("[y/N]")
                    t.type("n\n")
                    self.assertEqual(t.end(), 64)
                    self.assertIn("nothing was changed", t.shown)
        with open(os.devnull, "w") as nowhere:  # the question could not be seen
            with d.screen("dlq", "replay", "--all", stderr=nowhere) as t:
                self.assertEqual(t.end(), 64)
        self.assertIn("standard input is not a terminal", d.ctl("dlq", "replay", "--all", check=64, raw=True).stderr)
        self.assertEqual(d.ctl("dlq", "count"), "3\n")

    def test_tables_are_never_wider_than_the_terminal(self):
        for command in LISTS:
            whole = self.d.ctl(*command.split(), check=None)
            self.assertNotIn("…", whole, command)
            for width in (40, 47, 60, 80, 133):
                with open(os.devnull, "w") as nowhere, self.d.screen(*command.split(), columns=width, rows=200, stderr=nowhere) as t:
                    self.assertIn(t.end(), (0, 1), command)
                    lines = [line for line in re.sub("\x1b\\[\\d*m", "", t.shown).split("\n") if "webhookctl" not in line and "dead letters in" not in line]
                    self.assertLessEqual(max(len(line) + sum(c in "日本" for c in line) for line in lines), width, (command, t.shown))

    def test_messages_and_help_are_wrapped_on_a_terminal_alone(self):
        d = self.d
        for line in ("help replay", "help times", "help ids", "dlq replay --help", "dlq --help", "", "dlq list --type trade.setled.with.a.long.type", "dlq list --rate 5/s"):
            whole = d.ctl(*line.split(), check=None, raw=True)
            with d.screen(*line.split(), columns=48, rows=90) as t:
                t.end()
                for shown in t.shown.splitlines():
                    self.assertTrue(len(shown) <= 48 or "webhookctl " in shown or "Z," in shown or len(shown.split()) == 1, (line, shown))
            mark = lambda text: re.sub(r"\s+", "", text)
            if "list" in line:
                self.assertEqual(mark(whole.stdout + whole.stderr), mark(t.shown))
                self.assertTrue(any(len(text) > 48 for text in whole.stderr.splitlines()))

    def test_what_is_left_out_is_said(self):
        with self.d.screen("dlq", "list", columns=40) as t:
            self.assertEqual(t.end(), 0)
            self.assertRegex(t.shown, r"\(too narrow for [^)]*CAUSE[^)]*; --columns\schooses\)")
            self.assertEqual(len(re.findall("dlv_[0-9A-Z]+", t.shown)), 3)

    def test_a_reader_that_goes_away(self):
        for ignored in ("", "trap '' PIPE; "):
            for command in (*LISTS, "dlq export", "dlq show E-1", "help", "help reference", "-o json event list", "-o jsonl dlq list"):
                done = subprocess.run(["bash", "-c", f'{ignored}"$0" -c "$1" {command} | true; echo "${{PIPESTATUS[0]}}"', WEBHOOKCTL, self.d.conf],
                                      capture_output=True, text=True)
                self.assertIn(done.stdout.strip(), ("0", "141"), command)  # 0: it had said all before the reader went
                self.assertNotRegex(done.stderr, "(?i)pipe|standard output", command)

    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            for command in ("dlq list", "help reference"):
                done = subprocess.run([WEBHOOKCTL, "-c", self.d.conf, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 74)
                self.assertIn("standard output: ", done.stderr)

    def test_verbose(self):
        d = self.d
        with open(f"{d.dir}/bearer", "w") as f:
            f.write("token-of-the-partner\n")
        os.chmod(f"{d.dir}/bearer", 0o600)
        with open(f"{d.dir}/headers", "w") as f:
            f.write("X-Api-Key: key-of-the-partner\n")
        done = d.ctl("-v", "sub", "add", "--url", "http://127.0.0.1:9009/", "--events", "never", "--name", "verbose", "--bearer-file", f"{d.dir}/bearer",
                     "--header-file", f"{d.dir}/headers", raw=True)
        secret = re.search("whsec_[^ \n]+", done.stdout).group(0)
        self.assertIn("> POST /api/v1/subscriptions\n> {", done.stderr)
        self.assertRegex(done.stderr, r'\n< 201, \d+ bytes in \d+ ms\n< \{')
        self.assertIn('"secret":"***"', done.stderr)
        for text in (secret, "token-of-the-partner", "key-of-the-partner"):
            self.assertNotIn(text, done.stderr)
        self.assertIn("> GET /api/v1/dead-letters?", d.ctl("dlq", "list", "-v", raw=True).stderr)
        d.ctl("sub", "delete", "verbose", "--yes")


class Questions(unittest.TestCase):
    def test_that_nobody_answers(self):
        """^C and ^D at each of them: a line of its own that says that nothing was changed, and that is so."""
        rows = (("dlq replay --all", "[y/N]"), ("dlq purge --all", "to confirm:"), ("delivery discard --all", "[y/N]"),
                ("delivery resend --all --state discarded", "[y/N]"), ("sub delete acme", "to confirm:"), ("outbox rejects purge --all", "[y/N]"),
                ("egress pause", "[y/N]"))
        looks = ("dlq list", "sub list -q", "outbox rejects list", "-q job list", "delivery list", "egress show -q")
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme", events="trade.*")
            d.subscribe(r.url, "--name", "held", events="held.*")
            d.ctl("sub", "pause", "held")
            d.insert(*[dict(type="trade.settled", event_id=f"E-{n}") for n in range(3)], dict(type="held.one"), dict(type="a bad type"), dict(type="another one"))
            wait_for(lambda: d.ctl("dlq", "count") == "3\n" and len(d.ctl("-q", "outbox", "rejects", "list").split()) == 2)
            d.ctl("dlq", "purge", "E-2", "--confirm=1")
            before = [d.ctl(*line.split()) for line in looks]
            for line, question in rows:
                for key, status, says in (("\x03", 130, "interrupted; nothing was changed"), ("\x04", 64, "no answer; nothing was changed")):
                    with self.subTest(line=line, key=key), d.screen(*line.split(), columns=200) as t:
                        t.wait(question)
                        t.type(key)
                        self.assertEqual(t.end(), status)
                        last = [text for text in t.shown.replace("^C", "").split("\n") if text.strip()][-1]
                        self.assertEqual(last, f"webhookctl: {says}")
            self.assertEqual([d.ctl(*line.split()) for line in looks], before)


class Numbers(unittest.TestCase):
    def test_one_way(self):
        """Counts have separators in every table, line and question, and none in JSON."""
        n = 1068
        with Daemon("retry: {default: {max_retries: 0}}\n") as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b", event_id=f"E-{i}", payload="{}") for i in range(n)])
            wait_for(lambda: d.counts()["dead"] == n)
            looks = (("dlq", "summary"), ("dlq", "purge", "--all", "--dry-run"), ("dlq", "replay", "--all", "--dry-run"), ("status",), ("stats",),
                     ("sub", "list"), ("sub", "show", "acme"), ("delivery", "resend", "-s", "acme", "--state", "delivered", "--dry-run"), ("doctor",),
                     ("retention", "show"), ("db", "info"), ("dlq", "list"), ("event", "types"))
            def both(*words, check=None):
                done = d.ctl(*words, raw=True, check=check)
                return done.stdout + done.stderr
            for words in looks:
                said = both(*words)
                self.assertNotRegex(said, r"(^|[^\w.,:=-])1068\b", words)
                if words[0] != "delivery":
                    self.assertIn("1,068", said, words)
                if words != ("doctor",):  # whose details are words
                    self.assertNotIn("1,068", d.ctl("-o", "json", *words, check=None))
            self.assertEqual(d.json("dlq", "count"), {"count": n})
            self.assertEqual(d.ctl("dlq", "count"), f"{n}\n")  # for scripts: it is all that is printed
            said = both("dlq", "replay", "--all", "--yes", "--canary", "0", "--stop-at", "1", check=1)
            self.assertIn("The 1,068 that died again", said)
            for words in (("job", "list"), ("job", "show", d.ctl("-q", "job", "list").strip())):
                self.assertIn("1,068", both(*words))
            status, shown = d.terminal("dlq", "purge", "--all", keys="1,068\n")
            self.assertEqual(status, 0, shown)
            self.assertIn("Purge 1,068 dead letters? Type 1068 to confirm", shown)
            self.assertIn("purged 1,068 dead letters", shown)


class Near(unittest.TestCase):
    def test_what_was_nearly_meant(self):
        """Nouns, verbs, flags, words of closed lists, names: by the daemon and without one."""
        rows = (("dql list", "dlq"), ("replay", "dlq replay"), ("dlq retry", "dlq replay"), ("log tail", "attempt tail"), ("webhooks", "subscription list"),
                ("trace T-1", "event trace"), ("stats acme-settle", "stats -s acme-settle"), ("dlq list -s acme", "acme-settle"), ("sub show settle", "acme-settle"),
                ("dlq list -s acne*", "acme-settle"), ("dlq list --since 10min", "10m"), ("sub pause acme-settle --for 2hours", "2h"),
                ("dlq replay --all --rate 30/min", "0.5/s"), ("dlq sumary", "dlq summary"), ("stauts", "status"), ("stats --watch 1", "1s"), ("outbox rejects lst", "outbox rejects list"), ("dlq list --limt 3", "--limit"),
                ("dlq list --cause gon", "gone"), ("dlq list --outcome timeot", "timeout"), ("delivery list --state retring", "retrying"),
                ("sub list --state pausd", "paused"), ("sub show acme-setle", "acme-settle"), ("sub pause acme-setle", "acme-settle"),
                ("dlq list -s acme-setle", "acme-settle"), ("stats -s acme-setle", "acme-settle"), ("dlq replay -s acmesettle --dry-run", "acme-settle"),
                ("sub add --url https://x.example/ --events a --profile bonx", "bondx"), ("help flgas", "flags"), ("-o jsno dlq list", "json"),
                ("sub add --url https://x.example/ --events a --ordering kye", "key"), ("dlq list --columns cuase", "cause"),
                ("sub add --url https://x.example/ --events a --retry defalt", "default"), ("sub list --partner defalt", "default"),
                ("sub add --url https://x.example/ --events a --partner defalt", "default"))
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme-settle")
            for daemon in (True, False):
                for line, near in rows:
                    if line.startswith("stats") and not daemon:
                        continue
                    done = d.ctl(*line.split(), check=None, raw=True)
                    self.assertIn(done.returncode, (4, 64), line)
                    self.assertRegex(done.stderr, f"did you mean '?{near}'?|or the topic '{near}'", line)
                if daemon:
                    self.assertEqual(d.stop(), 0)
            self.assertNotIn("did you mean", d.ctl("sub", "show", "nobody-at-all", check=4, raw=True).stderr)


class Hung(unittest.TestCase):
    def test_a_daemon_that_does_not_answer(self):
        with Daemon(start=False) as d:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{d.dir}/webhookd.sock")
            listener.listen()
            start = time.monotonic()
            done = d.ctl("--timeout", "300ms", "dlq", "list", check=69, raw=True)
            self.assertIn("did not answer within 300ms; --timeout DUR waits longer", done.stderr)
            self.assertIn("whether it was done is not known", d.ctl("partner", "add", "x", "--timeout=200ms", check=69, raw=True).stderr)
            self.assertLess(time.monotonic() - start, 10)
            d.ctl("dlq", "list", "--timeout", "soon", check=64)
            listener.close()


if __name__ == "__main__":
    unittest.main()
