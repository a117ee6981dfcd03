"""dlq show: what is known of a dead letter, and the same request as a line for a shell."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import unittest

from harness import WEBHOOKCTL, Daemon, Receiver, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms, jitter: 0}}\n"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def letters(d, n):
    wait_for(lambda: int(d.ctl("dlq", "count")) == n, what=f"{n} dead letters")


class Show(unittest.TestCase):
    def test_curl_sends_what_verifies(self):
        payloads = ['{"n":1}', '{"it\'s":"$(id) `id` \\\\ \\" & ; | < > * ? ~ ! # %"}', '"@file"', '{\n  "two": "lines"\n}',
                    json.dumps({"x": "\u202e\x7f\u009b31m"}, ensure_ascii=False), '{"nul":"\\u0000"}', json.dumps("y" * 200_000)]
        with Daemon(QUICK) as d, Receiver(500) as r:
            file = os.path.join(d.dir, "secret")
            with open(file, "w") as f:
                f.write(SECRET + "\n")
            for profile in ("raw", "standard"):
                d.subscribe(r.url, "--name", profile, "--profile", profile, "--secret-file", file, events="*")
            for i, payload in enumerate(payloads):
                d.insert(dict(type="a.b", event_id=f"E-{i}", payload=payload))
            letters(d, 2 * len(payloads))
            before = len(r.requests)
            for i, payload in enumerate(payloads):
                for profile in ("raw", "standard"):
                    line = d.ctl("dlq", "show", f"E-{i}", "-s", profile, "--curl")
                    self.assertNotIn(SECRET, line)
                    self.assertNotRegex(line, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
                    done = subprocess.run(["sh"], input=line.replace("curl -sS", "curl -sS --noproxy '*'"), capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, (line[:400], done.stderr))
                    got = r.requests[-1]
                    self.assertEqual(got.headers["webhook-id"], f"E-{i}")
                    if profile == "raw":
                        self.assertEqual(got.body, payload.encode())
                    else:
                        signed = f"E-{i}.{got.headers['webhook-timestamp']}.".encode() + got.body
                        want = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
                        self.assertIn("v1," + want, got.headers["webhook-signature"])
            self.assertEqual(len(r.requests), before + 2 * len(payloads))

    def test_what_stands_at_the_top(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(dict(type="a.b", event_id="E-1", payload='{"n":1}', ordering_key="K", correlation_id="C-1"))
            letters(d, 1)
            letter = d.json("dlq", "show", "E-1")
            top = d.ctl("dlq", "show", "E-1").split("\n\n")[0].splitlines()
            self.assertEqual(top[:3], [f"Delivery       {letter['id']}  dead (retries_exhausted), last answer 500", "Event          E-1  a.b  key K  correlation C-1",
                                       f"Subscription   acme  POST {r.url}"])
            self.assertRegex(top[3], r"^Committed      2\S+Z, first attempt \+\d+\.\d{3}s$")
            self.assertRegex(top[4], r"^Died           2\S+Z, after 2 attempts in \d\.\ds$")
            with d.screen("dlq", "show", "E-1", columns=80) as t:
                t.end()
                self.assertRegex(t.shown, r"\nDied           (just now|\S+ ago), after 2 attempts in \d\.\ds\n")

    def test_what_a_partners_log_is_compared_with(self):
        """The size and the SHA-256 of the body that was sent, beside those of the event's data, which is a part of it."""
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(dict(type="a.b", event_id="E-1", payload='{"n":1}'))
            letters(d, 1)
            data, body = b'{"n":1}', r.requests[-1].body
            self.assertNotEqual(data, body)
            whole = d.json("dlq", "show", "E-1")
            self.assertEqual((whole["payload_bytes"], whole["payload_sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
            for request in (whole["request"], d.json("delivery", "show", "E-1")["request"], d.json("attempt", "show", "E-1")["request"]):
                self.assertEqual((request["body_bytes"], request["body_sha256"]), (len(body), hashlib.sha256(body).hexdigest()))
            shown = d.ctl("dlq", "show", "E-1")
            self.assertIn(f"\nData           7 B\nData SHA-256   {hashlib.sha256(data).hexdigest()}\n", shown)
            for words in (("dlq", "show"), ("delivery", "show"), ("attempt", "show")):
                self.assertIn(f"  (a body of {len(body)} B, SHA-256 {hashlib.sha256(body).hexdigest()})\n", d.ctl(*words, "E-1"))

    def test_secrets_stay_masked(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            for name, text in (("bearer", "tok-123456"), ("headers", "X-Key: key-123456")):
                with open(os.path.join(d.dir, name), "w") as f:
                    f.write(text + "\n")
            d.subscribe(r.url, "--name", "acme", "--bearer-file", os.path.join(d.dir, "bearer"), "--header-file", os.path.join(d.dir, "headers"))
            d.emit("a.b", event_id="E-1")
            letters(d, 1)
            done = d.ctl("dlq", "show", "E-1", "--curl", raw=True)
            self.assertIn("Bearer MASKED", done.stdout)
            self.assertIn("X-Key: MASKED", done.stdout)
            self.assertIn("MASKED stands for a secret", done.stderr)
            for shown in (done.stdout, d.ctl("-o", "json", "dlq", "show", "E-1", "--curl"), d.ctl("dlq", "show", "E-1")):
                self.assertNotIn("tok-123456", shown)
                self.assertNotIn("key-123456", shown)

    def test_attempts_answers_and_bytes(self):
        payload = '{"n": 1e400, "t": "\\u0000"}'
        with Daemon(QUICK) as d, Receiver((500, {}, b"upstream \xff unavailable")) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(dict(type="a.b", event_id="E-1", payload=payload))
            letters(d, 1)
            shown = d.ctl("dlq", "show", "E-1", "--attempt", "all", "--body")
            self.assertIn("Answer to attempt 1", shown)
            self.assertIn("Answer to attempt 2", shown)
            self.assertIn(hashlib.sha256(payload.encode()).hexdigest(), shown)
            self.assertIn(payload + "\n", shown)
            self.assertNotIn("Answer to attempt 2", d.ctl("dlq", "show", "E-1", "--attempt", "1"))
            self.assertEqual(d.ctl("dlq", "show", "E-1", "--raw"), payload)
            raw = subprocess.run([WEBHOOKCTL, "-c", d.conf, "dlq", "show", "E-1", "--raw", "--attempt", "2"], capture_output=True)
            self.assertEqual(raw.stdout, b"upstream \xff unavailable")
            for flags, status in ((["--attempt", "9"], 4), (["--attempt", "x"], 64), (["--raw", "--attempt", "all"], 64), (["--raw", "--attempt", "9"], 4)):
                d.ctl("dlq", "show", "E-1", *flags, check=status)
            self.assertEqual(d.terminal("dlq", "show", "E-1", "--raw")[0], 64)
            d.ctl("dlq", "show", "E-1", "-s", "nobody", check=4)


class Ids(unittest.TestCase):
    def test_short_at_a_terminal_whole_in_a_script(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b", event_id="E-1")
            letters(d, 1)
            whole = d.ctl("-o", "id", "dlq", "list").strip()
            for command in (["dlq", "show"], ["delivery", "show"], ["dlq", "list"]):
                status, shown = d.terminal(*command, whole[:-1])
                self.assertEqual(status, 0, shown)
                self.assertIn(whole, shown)
                d.ctl(*command, whole[:-1], check=64)  # a script
                status, shown = d.terminal(*command, whole[:6])
                self.assertEqual(status, 64, shown)
                self.assertIn("too short", shown)
            self.assertEqual(d.terminal("dlq", "show", "dlv_0000000")[0], 4)
            d.insert(dict(type="a.b", event_id="E-2"), dict(type="a.b", event_id="E-3"))
            letters(d, 3)
            two = [d.ctl("-o", "id", "dlq", "list", event).strip() for event in ("E-2", "E-3")]
            status, shown = d.terminal("dlq", "show", os.path.commonprefix(two))  # of one commit: they begin alike
            self.assertEqual(status, 64, shown)
            self.assertIn("is the beginning of several ids: ", shown)
            self.assertIn(two[0], shown)

    def test_an_events_id_is_short_too(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b", event_id=i) for i in ("TRD-0001", "TRD-0001-b", "TRD-0002-c")])
            letters(d, 3)
            for command in (["dlq", "show"], ["delivery", "show"], ["event", "show"], ["event", "trace"], ["attempt", "list"], ["dlq", "list"], ["dlq", "list", "--event"]):
                status, shown = d.terminal(*command, "TRD-0002")
                self.assertEqual(status, 0, shown)
                self.assertTrue("TRD-0002-c" in shown or "retries_exhausted" in shown or "500" in shown, shown)
            for command in (["dlq", "show"], ["event", "show"]):
                status, shown = d.terminal(*command, "TRD-000")
                self.assertEqual(status, 64, shown)
                self.assertIn("is the beginning of several ids: TRD-0001, TRD-0001-b, TRD-0002-c", " ".join(shown.split()))
                self.assertIn("TRD-0001", d.terminal(*command, "TRD-0001")[1])  # whole, though another begins like it
                self.assertEqual(d.terminal(*command, "TRD-0009")[0], 4)
                d.ctl(*command, "TRD-0002", check=4)  # a script

    def test_ids_that_are_nobodys(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b", event_id="E-1")
            letters(d, 1)
            for verb in ("list", "count", "summary"):
                done = d.ctl("dlq", verb, "E-1", "E-9", raw=True)
                self.assertIn("no dead letter 'E-9'", done.stderr)
                self.assertIn("no dead letter 'dlv_0000000000009'", d.ctl("dlq", verb, "E-9", "dlv_0000000000009", check=4, raw=True).stderr)


class Filters(unittest.TestCase):
    def test_one_parser(self):
        with Daemon(QUICK) as d, Receiver(500) as r:
            d.subscribe(r.url, "--name", "acme")
            for i in range(6):
                d.insert(dict(type=f"t.{i % 3}", event_id=f"E-{i}", payload=json.dumps({"order": f"O-{i}"})))
            letters(d, 6)
            count = lambda *flags: int(d.ctl("dlq", "count", *flags))
            self.assertEqual(count("--type", "t.0", "--type", "t.1"), 4)
            self.assertEqual(count("--type", "t.0,t.1", "--event", "E-0,E-2"), 1)
            self.assertEqual(count("--cause", "gone,retries_exhausted"), 6)
            self.assertEqual(count("--status", "4xx"), 0)
            self.assertEqual(count("--status", "4xx", "--status", "500"), 6)
            self.assertEqual(count("--max-attempts", "1"), 0)
            self.assertEqual(count("--contains", "O-3"), 1)
            self.assertEqual(d.ctl("dlq", "list", "--contains", "O-3", "-o", "id", "--order", "newest"), d.ctl("dlq", "list", "E-3", "-o", "id"))
            self.assertEqual(d.json("dlq", "summary", "--contains", "O-", "--by", "type")["total"], 6)
            self.assertIn("Would replay 1 dead letter", d.ctl("dlq", "replay", "--contains", "O-3", "--dry-run"))
            newest = d.ctl("dlq", "list", "-o", "id", "--order", "newest").split()
            self.assertEqual(newest, d.ctl("dlq", "list", "-o", "id").split()[::-1])
            for flags, words in ((["--cause", "gon"], "did you mean 'gone'"), (["--status", "900"], "--status 900: not a status"), (["--type", "a b"], "--type a b: not a type"),
                                 (["--since", "1h", "--until", "2h"], "not before --until"), (["--contains", ""], "--contains"), (["--max-attempts", "x"], "--max-attempts x"),
                                 (["--by", "colour"], "subscription, cause, status, type")):
                verb = "summary" if "--by" in flags else "count"
                self.assertIn(words, d.ctl("dlq", verb, *flags, check=64, raw=True).stderr)


if __name__ == "__main__":
    unittest.main()
