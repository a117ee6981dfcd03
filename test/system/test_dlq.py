"""Dead letters and the CLI: why, replay, purge, export, import; with the daemon up and down."""
import json
import os
import re
import subprocess
import time
import unittest

from harness import SANITIZED, Daemon, Receiver, WEBHOOKCTL, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"


def dead(d, n):
    wait_for(lambda: int(d.ctl("dlq", "count")) == n, what=f"{n} dead letters")


class Looking(unittest.TestCase):
    def test_show_tells_why(self):
        answer = lambda r, n: (503, {"Retry-After": "0", "X-Evil": "\x1b[31mred"}, b"upstream \x1b[2Junavailable")
        with Daemon(QUICK) as d, Receiver(answer) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("trade.settled", {"secret-field": 42}, event_id="evt-1")
            dead(d, 1)
            letter = d.json("dlq", "list")["items"][0]
            for member in ("id", "event_id", "subscription", "type", "cause", "attempts", "last_status", "died_at"):
                self.assertIn(member, letter)
            self.assertEqual((letter["event_id"], letter["subscription"], letter["type"], letter["cause"], letter["attempts"], letter["last_status"]),
                             ("evt-1", "acme", "trade.settled", "retries_exhausted", 2, 503))
            self.assertRegex(letter["died_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            for ref in (letter["id"], "evt-1"):
                text = d.ctl("dlq", "show", ref)
                self.assertIn("webhook-id: evt-1", text)
                self.assertIn("503", text)
                self.assertIn("retries_exhausted", text)
                self.assertNotIn("\x1b", text)
            self.assertIn("secret-field", d.ctl("dlq", "show", letter["id"], "--body"))
            full = d.json("dlq", "show", letter["id"])
            self.assertEqual(len(full["attempt_log"]), 2)
            self.assertNotIn("whsec_", json.dumps(full))
            self.assertEqual(d.ctl("dlq", "show", "dlv_0000000000000", check=4), "")
            self.assertEqual(d.ctl("-o", "id", "dlq", "list").split(), [letter["id"]])
            self.assertIn("acme", d.ctl("dlq", "summary"))

    def test_programs_that_read_lines_get_all(self):
        with Daemon("retry: {default: {max_retries: 0}}\n") as d, Receiver(404) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="trade.settled", event_id=f"e-{n}") for n in range(60)])
            dead(d, 60)
            run = lambda *words: d.ctl(*words, raw=True)
            lines = lambda *words: len(run(*words).stdout.splitlines())
            for noun in ("dlq", "delivery", "event", "attempt"):
                self.assertEqual(lines("-o", "id", noun, "list"), 60, noun)
                self.assertEqual(lines("-o", "jsonl", noun, "list"), 60, noun)
                self.assertEqual((lines("-o", "id", noun, "list", "--limit", "7"), run("-o", "id", noun, "list", "--limit", "7").stderr), (7, ""), noun)
                some = run("-o", "json", noun, "list")
                self.assertEqual(len(json.loads(some.stdout)["items"]), 50, noun)
                self.assertIn("50 shown, there are more; --limit N or --all for them", some.stderr)
                self.assertEqual(run("-o", "json", noun, "list", "--limit", "50").stderr, "")
                whole = json.loads(run("-o", "json", noun, "list", "--all").stdout)
                self.assertEqual((len(whole["items"]), whole["next_cursor"]), (60, None), noun)

    def test_filters(self):
        with Daemon(QUICK) as d, Receiver(lambda r, n: 500 if "a" in r.path.rsplit("/", 1)[1] else 404) as r:
            d.subscribe(r.url + "/a", "--name", "a")
            d.subscribe(r.url + "/b", "--name", "b")
            d.insert(*[dict(type=t, event_id=f"{t}:{n}".replace(".", "_")) for t in ("order.x", "order.y", "trade.z") for n in range(4)])
            dead(d, 24)
            count = lambda *f: int(d.ctl("dlq", "count", *f))
            self.assertEqual(count("--subscription", "a"), 12)
            self.assertEqual(count("--type", "order.*"), 16)
            self.assertEqual(count("--type", "trade.z", "--subscription", "b"), 4)
            self.assertEqual(count("--cause", "permanent_failure"), 12)
            self.assertEqual(count("--status", "5xx"), 12)
            self.assertEqual(count("--status", "404"), 12)
            self.assertEqual(count("--since", "1h"), 24)
            self.assertEqual(count("--until", "1h"), 0)
            self.assertEqual(len(d.json("dlq", "list", "--limit", "5")["items"]), 5)
            ids = d.ctl("-o", "id", "dlq", "list", "--subscription", "b")
            self.assertEqual(len(ids.split()), 12)
            self.assertEqual(d.ctl("dlq", "count", "--ids-from", "-", stdin=ids).strip(), "12")
            self.assertNotEqual(d.ctl("dlq", "count", "--cause", "nonsense", check=None, raw=True).returncode, 0)


class Replay(unittest.TestCase):
    def test_replay_delivers_and_says_so(self):
        state = {"status": 503}
        with Daemon(QUICK) as d, Receiver(lambda r, n: state["status"]) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(10)])
            dead(d, 10)
            before = {x.id: x.body for x in r.requests}
            preview = d.ctl("dlq", "replay", "--all", "--dry-run", raw=True)
            self.assertIn("10", preview.stdout + preview.stderr)
            limited = d.ctl("dlq", "replay", "--all", "--limit", "3", "--dry-run")
            self.assertRegex(limited, r"Would replay 3 dead letters")
            self.assertRegex(limited, r"(?m)^s +3 +failing since \S+ \(503\) +%s" % re.escape(r.url))  # the preview says whom it reaches
            self.assertEqual(d.ctl("dlq", "replay", "--all", check=64), "")  # no terminal, no --yes
            dead(d, 10)
            done = d.ctl("dlq", "replay", "--all", "--yes", check=1, raw=True)  # still 503: none
            dead(d, 10)
            state["status"] = 200
            letters = d.json("dlq", "list")["items"]
            done = d.ctl("dlq", "replay", letters[0]["id"], "--yes", raw=True)
            self.assertIn("1 delivered", done.stdout + done.stderr)
            dead(d, 9)
            job = json.loads(d.ctl("-o", "json", "dlq", "replay", "--all", "--yes", "--note", "INC-1"))
            self.assertEqual((job["state"], job["counts"]["delivered"]), ("done", 9))
            dead(d, 0)
            last = {}
            for x in r.requests:
                last[x.id] = x
            self.assertEqual(len(last), 10)
            for id_, x in last.items():
                self.assertEqual(x.body, before[id_])
                self.assertGreaterEqual(int(x.headers["webhook-attempt"]), 3)  # numbers keep counting
            self.assertEqual(d.ctl("dlq", "replay", "--all", "--yes", raw=True).returncode, 0)  # nothing matches

    def test_partly(self):
        state = {"bad": True}
        with Daemon(QUICK) as d, Receiver(lambda r, n: 400 if state["bad"] or r.id == "e3" else 200) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(5)])
            dead(d, 5)
            state["bad"] = False
            d.ctl("dlq", "replay", "--subscription", "s", "--yes", check=3)
            dead(d, 1)

    def test_an_expired_one_needs_ignore_expiry(self):
        with Daemon(QUICK) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            d.emit("a.b", event_id="late", expires_at=int(time.time() * 1000) - 1000)
            dead(d, 1)
            refused = d.ctl("dlq", "replay", "--all", "--yes", check=1, raw=True)
            self.assertIn("--ignore-expiry", refused.stderr)
            self.assertIn("Left out: 1", d.ctl("dlq", "replay", "--all", "--dry-run"))
            self.assertEqual(r.requests, [])
            d.ctl("dlq", "replay", "--all", "--yes", "--ignore-expiry")
            self.assertEqual(r.ids(), ["late"])
            dead(d, 0)

    def test_rate_and_detach_and_survives_a_kill(self):
        state = {"status": 400}
        with Daemon(QUICK) as d, Receiver(lambda r, n: state["status"]) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(60)])
            dead(d, 60)
            state["status"] = 200
            r.requests.clear()
            job = json.loads(d.ctl("-o", "json", "dlq", "replay", "--all", "--rate", "20/s", "--detach", "--yes"))["id"]
            wait_for(lambda: len(r.requests) >= 10)
            d.kill()
            d.start()
            wait_for(lambda: d.json("job", "show", job)["state"] == "done", 60)
            counts = d.json("job", "show", job)["counts"]
            self.assertEqual((counts["selected"], counts["delivered"], counts["dead_again"]), (60, 60, 0))
            self.assertEqual(len(set(r.ids())), 60)
            self.assertGreater(r.requests[-1].at - r.requests[0].at, 2.0)

    def test_cancel(self):
        state = {"status": 400}
        with Daemon(QUICK) as d, Receiver(lambda r, n: state["status"]) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b") for n in range(30)])
            dead(d, 30)
            state["status"] = 200
            job = json.loads(d.ctl("-o", "json", "dlq", "replay", "--all", "--rate", "2/s", "--detach", "--yes"))["id"]
            self.assertEqual(d.ctl("dlq", "replay", "--all", "--yes", check=75), "")  # one at a time
            d.ctl("job", "cancel", job)
            self.assertEqual(d.json("job", "show", job)["state"], "cancelled")
            self.assertGreater(int(d.ctl("dlq", "count")), 0)


class Transfer(unittest.TestCase):
    def test_export_purge_import_export_gives_the_same_bytes(self):
        answer = lambda r, n: (500, {}, bytes(range(256)))
        with Daemon(QUICK) as d, Receiver(answer) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(dict(type="a.b", payload='{"text":"\\u0000 ü 1e400", "n": 1e400}', event_id="e:1", ordering_key="K", correlation_id="c",
                          attributes='{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'),
                     *[dict(type="a.b", payload={"n": n}) for n in range(300)])
            dead(d, 301)
            path = f"{d.dir}/letters.jsonl"
            d.ctl("dlq", "export", "-f", path)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with open(path) as f:
                first = f.read()
            self.assertEqual(len(first.splitlines()), 301)
            for line in first.splitlines():
                json.loads(line)
            refused = d.ctl("dlq", "purge", "--all", "--confirm=300", check=64, raw=True)
            self.assertIn("301", refused.stderr)
            d.ctl("dlq", "purge", "--all", "--confirm=301")
            dead(d, 0)
            self.assertEqual(d.counts()["discarded"], 301)
            d.ctl("dlq", "import", stdin=first)
            dead(d, 301)
            self.assertEqual(d.ctl("dlq", "export"), first)
            d.ctl("dlq", "import", stdin=first)  # again: all are there
            dead(d, 301)
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--yes")
            dead(d, 0)

    def test_import_into_another_store(self):
        with Daemon(QUICK) as here, Daemon(QUICK) as there, Receiver(400) as r:
            here.subscribe(r.url, "--name", "acme")
            here.insert(*[dict(type="a.b", event_id=f"e{n}", payload={"n": n}) for n in range(5)])
            dead(here, 5)
            exported = here.ctl("dlq", "export")
            early = there.ctl("dlq", "import", stdin=exported, raw=True)  # before its subscription
            self.assertIn("5 of them are for subscriptions that are not here", early.stderr)
            there.subscribe(r.url, "--name", "acme")
            there.ctl("dlq", "import", stdin=exported)  # binds them
            dead(there, 5)
            self.assertEqual(there.ctl("dlq", "count", "--subscription", "acme").strip(), "5")
            r.answer = 200
            r.requests.clear()
            there.ctl("dlq", "replay", "--all", "--yes")
            self.assertEqual(sorted(r.ids()), [f"e{n}" for n in range(5)])
            self.assertEqual({x.headers["webhook-attempt"] for x in r.requests}, {"2"})

    def test_one_entry_in_the_audit_log_however_long_the_file(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            sub = d.subscribe(r.url, "--name", "acme")["id"]
            d.emit("a.b", event_id="first")
            dead(d, 1)
            line = json.loads(d.ctl("dlq", "export"))

            def lines(begin, n):  # as many letters as one likes
                for i in range(begin, begin + n):
                    line["delivery"], line["event"]["id"] = f"dlv_1N8D3VQ0C{i:04d}", f"e{i}"
                    yield json.dumps(line) + "\n"

            def entries():
                return [{k: v for k, v in x["detail"].items() if k != "subscriptions"} for x in d.json("audit", "list", "--action", "dead_letter.import")["items"]]

            path = os.path.join(d.dir, "letters.jsonl")
            with open(path, "w") as f:
                f.writelines(lines(0, 2300))
                f.write("not json\n")
            d.ctl("dlq", "import", "-f", path, "--dry-run", check=65)
            self.assertEqual(entries(), [])
            d.ctl("dlq", "import", "-f", path, check=65)
            whole = dict(imported=2300, skipped=0, refused=1, file="letters.jsonl")
            self.assertEqual(entries(), [whole])
            self.assertEqual(d.json("audit", "list", "--target", "acme", "--action", "dead_letter.import")["items"][0]["subscriptions"], ["acme"])
            entry = d.json("audit", "list", "--action", "dead_letter.import")["items"][0]["id"]
            self.assertEqual(d.api("POST", f"/dead-letters/import?audit={sub.replace('sub', 'aud')}", None)[0], 422)  # nobody else's entry, and no other one
            # killed in the middle: who began it, and how far it came
            other = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "dlq", "import"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
            other.stdin.writelines(lines(5000, 1001))
            other.stdin.flush()
            wait_for(lambda: len(entries()) == 2 and d.counts()["dead"] > 2900, what="the first chunk is in")
            other.kill()
            other.communicate()
            d.kill()
            d.start()
            came = int(d.ctl("dlq", "count")) - 2301
            self.assertLess(came, 1001)
            self.assertEqual(entries(), [dict(imported=came, skipped=0, refused=0), whole])
            self.assertEqual(d.json("audit", "list", "--action", "dead_letter.import")["items"][1]["id"], entry)
            d.stop()  # the same with the daemon stopped
            d.ctl("dlq", "import", stdin="".join(lines(5000, 1200)))
            self.assertEqual(entries()[0], dict(imported=1200 - came, skipped=came, refused=0))

    def test_import_refuses_garbage_by_line(self):
        with Daemon() as d:
            done = d.ctl("dlq", "import", stdin='{"v":1}\nnot json\n', check=65, raw=True)
            self.assertIn("1", done.stderr)
            self.assertIn("2", done.stderr)

    def test_a_line_that_is_too_long_keeps_no_other_out(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b", event_id="first")
            dead(d, 1)
            line = json.loads(d.ctl("dlq", "export"))

            def write(path):
                with open(path, "w") as f:
                    for i in range(4):
                        line["delivery"], line["event"]["id"] = f"dlv_1N8D3VQ0C{i:04d}", f"e{i}"
                        f.write(json.dumps(line) + "\n")
                        if i == 1:
                            for _ in range(64):
                                f.write("x" * (1 << 20))
                            f.write("\nnot json\n")
                        if i == 2:  # long, and yet a letter's
                            line["event"]["payload"], payload = json.dumps("y" * 1000000), line["event"]["payload"]
                            line["attempts"][0]["response_body"] = "z" * (20 << 20)
                    f.write("x" * (40 << 20))  # without an end

            path = os.path.join(d.dir, "letters.jsonl")
            write(path)
            limited = [] if SANITIZED else ["prlimit", f"--as={400 << 20}"]  # a sanitizer's shadow is larger
            for stopped in (False, True):
                if stopped:
                    d.stop()
                with open(path, "rb") as f:
                    done = subprocess.run([*limited, WEBHOOKCTL, "-c", d.conf, "dlq", "import", "-o", "json"],
                                          stdin=f, capture_output=True, text=True)
                self.assertEqual(done.returncode, 65, done.stderr)
                said = [json.loads(x)["error"]["message"] for x in done.stderr.splitlines() if x.startswith("{")]
                self.assertEqual([x.split(":")[0] for x in said], ["line 3", "line 4", "line 7"])
                self.assertIn("longer than 32.0 MiB", said[0])
                got = json.loads(done.stdout)
                self.assertEqual((got["imported"], got["skipped"], got["errors"]), (0, 4, 3) if stopped else (4, 0, 3))
            one = d.ctl("dlq", "import", "--dry-run", stdin="x\n", check=65, raw=True)
            self.assertIn("1 error.", one.stderr)

    def test_dead_letters_and_secrets_are_sealed(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            secret = d.subscribe(r.url, "--name", "s")["secret"]
            d.emit("a.b", {"marker": "PAYLOAD-MARKER-77"})
            dead(d, 1)
            d.stop()
            for name in os.listdir(f"{d.dir}/store"):
                with open(f"{d.dir}/store/{name}", "rb") as f:
                    self.assertNotIn(secret.encode(), f.read(), name)
            self.assertNotIn(secret, d.log())
            self.assertNotIn("PAYLOAD-MARKER-77", d.log())
            self.assertIn("PAYLOAD-MARKER-77", d.ctl("dlq", "export"))  # daemon stopped: the CLI opens the store itself


class Offline(unittest.TestCase):
    def test_the_same_commands_with_the_daemon_stopped(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(3)])
            dead(d, 3)
            up = d.json("dlq", "list")
            self.assertEqual(d.stop(), 0)
            self.assertEqual(d.json("dlq", "list"), up)
            self.assertEqual(d.ctl("status", check=69), "")
            d.ctl("subscription", "pause", "s")
            self.assertEqual(d.json("subscription", "show", "s")["state"], "paused")
            d.ctl("subscription", "resume", "s")
            self.assertEqual(d.ctl("event", "emit", "--type", "a.b", "--id", "offline-1", "--data", '{"x":1}').strip().split()[0], "offline-1")
            d.ctl("dlq", "replay", "--all", "--yes", check=75)  # queued: it needs the daemon
            r.answer = 200
            d.start()
            dead(d, 0)
            wait_for(lambda: "offline-1" in r.ids())

    def test_what_needs_no_delivering_runs_with_the_daemon_stopped(self):
        with Daemon() as d, Receiver(200) as r:
            d.subscribe(r.url, "--name", "s")
            d.ctl("subscription", "pause", "s")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(500)])
            wait_for(lambda: d.counts()["held"] == 500)
            self.assertEqual(d.stop(), 0)
            d.ctl("subscription", "delete", "s", "--yes")
            job = d.ctl("-o", "id", "job", "list").strip()
            self.assertIn("done", d.ctl("job", "watch", job))
            self.assertEqual(d.ctl("dlq", "count").strip(), "500")


class Manners(unittest.TestCase):
    def test_usage(self):
        with Daemon(start=False) as d:
            done = d.ctl("dql", "list", check=64, raw=True)
            self.assertIn("did you mean", done.stderr)
            self.assertEqual(d.ctl("dlq", "list", "--nonsense", check=64), "")
            self.assertIn("webhookctl", subprocess.run([WEBHOOKCTL, "--help"], capture_output=True, text=True).stdout)
            self.assertIn("0.1.0", subprocess.run([WEBHOOKCTL, "--version"], capture_output=True, text=True).stdout)
            self.assertEqual(d.ctl("version"), d.ctl("--version"))
            self.assertIn("webhookctl", subprocess.run([WEBHOOKCTL, "completion", "bash"], capture_output=True, text=True).stdout)
            missing = subprocess.run([WEBHOOKCTL, "-c", f"{d.dir}/none.conf", "dlq", "list"], capture_output=True, text=True)
            self.assertEqual(missing.returncode, 78)

    def test_event_emit_and_conflicts(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            answer = d.json("event", "emit", "--type", "order.executed", "--data", '{"n": 1e400}', "--id", "x1", "--key", "K",
                            "--correlation-id", "c1")
            self.assertEqual(answer["id"], "x1")
            wait_for(lambda: r.requests)
            self.assertIn(b'"data":{"n": 1e400}', r.requests[0].body)
            again = d.json("event", "emit", "--type", "order.executed", "--data", '{"n": 1e400}', "--id", "x1", "--key", "K",
                           "--correlation-id", "c1")
            self.assertEqual(d.ctl("event", "emit", "--type", "order.executed", "--data", '{"n":2}', "--id", "x1", check=None, raw=True).returncode, 1)
            self.assertEqual(d.ctl("event", "emit", "--type", "bad type", check=None, raw=True).returncode in (64, 65), True)
            self.assertEqual(d.ctl("event", "emit", "--type", "a.b", "--data", "{nope", check=65), "")
            shown = d.json("event", "show", "x1")
            self.assertEqual(len(shown["deliveries"]), 1)
            self.assertEqual(len(r.requests), 1)
            self.assertEqual((again["id"], again["duplicate"]), ("x1", True))
            d.ctl("event", "emit", "--type", "a.b", "--expires-in", "1h", "--data", "@" + d.conf, check=65)  # no JSON in there
            d.ctl("event", "emit", "--type", "a.b", "--expires-in", "1h", "--data", "-", stdin='{"from":"stdin"}')
            wait_for(lambda: len(r.requests) == 2)

    def test_subscription_life(self):
        with Daemon() as d, Receiver() as r:
            sub = d.subscribe(r.url, "--name", "s")
            self.assertTrue(sub["secret"].startswith("whsec_"))
            self.assertTrue(sub["id"].startswith("sub_"))
            self.assertNotIn("secret", d.json("subscription", "show", "s"))
            d.ctl("subscription", "rotate-secret", "s")
            shown = d.ctl("subscription", "show", "s")
            self.assertEqual((shown.count("key_"), shown.count("whsec_")), (2, 0))
            d.ctl("subscription", "add", "--url", r.url, "--events", "*", "--name", "s", check=None)
            self.assertEqual(len(d.json("subscription", "list")["items"]), 1)
            d.ctl("subscription", "pause", "s")
            d.emit("a.b")
            wait_for(lambda: d.counts()["held"] == 1)
            d.ctl("subscription", "delete", "s", "--yes")
            dead(d, 1)
            self.assertEqual(d.json("dlq", "list")["items"][0]["cause"], "subscription_deleted")
            self.assertEqual(len(d.json("dlq", "list", "--subscription", "s")["items"]), 1)  # its letters keep its name
            d.ctl("subscription", "show", "s", check=4)
            d.ctl("dlq", "count", "--subscription", "nobody", check=4)
            d.subscribe(r.url, "--name", "s")  # the name is free again
            d.emit("a.b")
            wait_for(lambda: r.requests)
            secret = f"{d.dir}/secret"
            with open(secret, "w") as f:
                f.write("my-own-secret-value-1\n")
            added = d.subscribe(r.url, "--name", "own", "--secret-file", secret)
            self.assertIn(added["secret"], (None, "my-own-secret-value-1"))


if __name__ == "__main__":
    unittest.main()
