"""subscription set, pause --for and delete by the real binaries, with the daemon up and down."""
import json
import os
import unittest

from harness import Daemon, Receiver, wait_for


class SubscriptionSet(unittest.TestCase):
    def test_set(self):
        with Daemon("retry: {bank: {max_retries: 2}}\n") as d, Receiver() as r, Receiver() as other:
            d.subscribe(r.url, "--name", "acme")
            for down in (False, True):
                if down:
                    self.assertEqual(d.stop(), 0)
                done = d.ctl("sub", "set", "acme", "rate=20/s", "concurrency=3", "--timeout", "4s", "--dry-run", raw=True)
                self.assertEqual([line.split() for line in done.stdout.splitlines()],
                                 [["rate", "none", "->", "20"], ["concurrency", "none", "->", "3"], ["timeout", "none", "->", "4.000s"]])
                self.assertIn("Nothing was changed", done.stderr)
                self.assertIsNone(d.json("sub", "show", "acme")["rate_per_second"])
                done = d.ctl("sub", "set", "acme", "rate=20", "retry=bank", "ordering=key", "on-dead=block", "events=a.*,b.c", raw=True)
                now = d.json("sub", "show", "acme")
                self.assertEqual((now["rate_per_second"], now["retry"], now["ordering"], now["on_dead"], now["events"]),
                                 (20, "bank", "key", "block", ["a.*", "b.c"]))
                self.assertIn("acme is changed", done.stderr)
                self.assertIn("is so already", d.ctl("sub", "set", "acme", "rate=20/s", raw=True).stderr)
                d.ctl("sub", "set", "acme", "rate=none", "retry=none", "timeout=none", "on-dead=skip", "ordering=none", "events=*")
                now = d.json("sub", "show", "acme")
                self.assertEqual((now["rate_per_second"], now["retry"], now["ordering"], now["events"]), (None, None, "none", ["*"]))
            d.start()
            done = d.ctl("sub", "set", "acme", f"url={other.url}", raw=True)
            self.assertIn("Its secrets, headers and what waits for it stay", done.stderr)
            d.emit("a.b")
            wait_for(lambda: other.requests)
            self.assertEqual(d.ctl("sub", "set", "acme", "name=acme-2", "-o", "json") and d.json("sub", "show", "acme-2")["url"], other.url)

    def test_secrets_come_from_files(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            for name, text in (("token", "tok-123\n"), ("headers", "X-Team: desk\n# a comment\nX-Two: 2\n")):
                with open(f"{d.dir}/{name}", "w") as f:
                    os.fchmod(f.fileno(), 0o600)
                    f.write(text)
            done = d.ctl("sub", "set", "acme", f"bearer-file={d.dir}/token", "--header-file", f"{d.dir}/headers", raw=True)
            self.assertNotIn("tok-123", done.stdout + done.stderr)
            self.assertIn("bearer       no -> yes (its value anew)", done.stdout)
            d.emit("a.b")
            request = wait_for(lambda: r.requests and r.requests[0])
            self.assertEqual((request.headers["authorization"], request.headers["x-team"]), ("Bearer tok-123", "desk"))
            d.ctl("sub", "set", "acme", "bearer-file=none", "header-file=none")
            self.assertEqual(d.json("sub", "show", "acme")["bearer"], False)
            for word, says in (("bearer=abc", "bearer-file=FILE"), ("secret=abc", "rotate-secret"), ("rat=1", "did you mean 'rate'?"),
                               ("rate", "not KEY=VALUE"), ("rate=fast", "not a rate"), ("partner=x", "unknown key"), ("=x", "not KEY=VALUE"),
                               ("concurrency=-1", "not a number"), ("timeout=3", "not a duration"), ("profile=nope", "not one of"),
                               ("url=ftp://x/", "url"), ("ordering=maybe", "none or key"), ("retry=nope", "no policy"), ("name=a b", "name")):
                done = d.ctl("sub", "set", "acme", word, check=64, raw=True)
                self.assertIn(says, done.stderr, word)
            d.ctl("sub", "set", "acme", check=64)
            d.ctl("sub", "set", "nobody", "rate=1", check=4)
            d.ctl("sub", "set", "acme", f"bearer-file={d.dir}/none", check=66)
            d.subscribe(r.url, "--name", "second")
            for dry in ((), ("--dry-run",)):
                self.assertIn("exists already", d.ctl("sub", "set", "acme", "name=second", *dry, check=1, raw=True).stderr)

    def test_pause_for_a_while(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            done = d.ctl("sub", "pause", "acme", "--for", "2s", "--note", "INC-1", raw=True)
            self.assertIn("by themselves in 2s", done.stderr)
            now = d.json("sub", "show", "acme")
            self.assertEqual(now["state"], "paused")
            self.assertIsNotNone(now["resume_at"])
            self.assertIn("Resumes", d.ctl("sub", "show", "acme"))
            d.emit("a.b")
            d.kill()
            d.start()
            wait_for(lambda: r.requests)
            self.assertEqual(d.json("sub", "show", "acme")["state"], "active")
            self.assertEqual(json.loads(d.ctl("-o", "json", "audit", "list"))["items"][0]["detail"]["note"], "INC-1")

    def test_bounds_are_said_in_the_words_that_were_typed(self):
        with Daemon(start=False) as d:
            d.subscribe("https://hooks.example/", "--name", "two")
            for args, says in ((("sub", "set", "two", "timeout=1h"), "timeout=1h: at most 10m"), (("sub", "set", "two", "timeout=1ms"), "timeout=1ms: at least 10ms"),
                               (("sub", "set", "two", "--timeout", "1h"), "--timeout 1h: at most 10m"), (("sub", "set", "two", "timeout=soon"), "timeout=soon: not a duration"),
                               (("sub", "set", "two", "concurrency=2000"), "concurrency=2000: not a number from 1 to 1024"),
                               (("sub", "set", "two", "concurrency=0"), "concurrency=0: not a number from 1 to 1024"),
                               (("sub", "set", "two", "rate=99999999999999999999/s"), "rate=99999999999999999999/s: at most 1000000/s"),
                               (("dlq", "replay", "--all", "--yes", "--rate", "1e7"), "--rate 1e7: at most 1000000/s"),
                               (("dlq", "replay", "--all", "--yes", "--rate", "0.0001/s"), "--rate 0.0001/s: at least 0.001/s"),
                               (("sub", "pause", "two", "--for", "0s"), "--for 0s: longer than nothing"), (("sub", "pause", "two", "--for", "400d"), "--for 400d: at most 366d"),
                               (("egress", "pause", "--yes", "--for", "0s"), "--for 0s: longer than nothing"), (("log", "level", "warn", "--for", "0s"), "--for 0s: longer than nothing"),
                               (("log", "level", "warn", "--for", "31d"), "--for 31d: at most 30d"), (("db", "backup", "-"), "a backup is a file"),
                               (("dlq", "show", "E-1", "--raw", "--curl"), "exclude each other"), (("dlq", "list", "--since", "2026-11-2"), "2026-11-22T05:07:00Z (without Z")):
                with self.subTest(args=args):
                    done = d.ctl(*args, check=64, raw=True)
                    self.assertIn(says, done.stderr)
            self.assertEqual((d.json("sub", "show", "two")["state"], d.ctl("egress", "show", "-q")), ("active", "open\n"))
            self.assertIn("--raw on a terminal too", d.ctl("dlq", "show", "--help"))
            d.ctl("sub", "set", "two", "timeout=10m", "concurrency=1024", "rate=1000000/s")
            for verb, back in (("pause", "resume"), ("disable", "enable")):
                d.ctl("sub", verb, "two")
                self.assertIn("is sent when webhookd starts: it is not running", d.ctl("sub", back, "two", raw=True).stderr)

    def test_delete_asks(self):
        with Daemon(start=False) as d:
            d.subscribe("https://hooks.example/", "--name", "acme")
            self.assertIn("--confirm=acme or --yes", d.ctl("sub", "delete", "acme", check=64, raw=True).stderr)
            status, shown = d.terminal("sub", "delete", "acme", keys="n\n")
            self.assertEqual(status, 64, shown)
            d.ctl("sub", "delete", "acme", "--confirm=other", check=64)
            d.ctl("sub", "delete", d.json("sub", "show", "acme")["id"], "--confirm=other", check=64)
            status, shown = d.terminal("sub", "delete", "acme", keys="y\n")
            self.assertEqual(status, 64, shown)
            self.assertIn("that is not acme; nothing was changed", shown)
            status, shown = d.terminal("sub", "delete", d.json("sub", "show", "acme")["id"], keys="acme\n", columns=200)
            self.assertEqual(status, 0, shown)
            self.assertIn("Type acme to confirm: ", shown)
            d.ctl("sub", "show", "acme", check=4)
            made = d.subscribe("https://hooks.example/", "--name", "globex")
            d.ctl("sub", "delete", made["id"], "--confirm=globex")
            d.ctl("sub", "show", "globex", check=4)


if __name__ == "__main__":
    unittest.main()
