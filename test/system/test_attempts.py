"""Attempts, looked at: `attempt list` over all and of one, `attempt show`, `attempt tail`; with the daemon up, down and restarted."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, free_port, wait_for

QUICK = "retry:\n  default: {max_retries: 2, initial_delay: 10ms, multiplier: 1, jitter: 0}\n"
HOSTILE = b"\x1b[31mred \x9b1m \xe2\x80\xae end\n"


def lines(text):
    return text.splitlines()


class House:
    """A daemon, a partner that works and one that does not."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.d = stack.enter_context(Daemon(QUICK))
            self.good = stack.enter_context(Receiver())
            self.bad = stack.enter_context(Receiver(lambda *_: (503, {"X-Why": "maintenance"}, HOSTILE)))
            self.d.subscribe(self.good.url, "--name", "globex", events="trade.*")
            self.d.subscribe(self.bad.url, "--name", "acme", events="trade.settled")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    def emit(self, id, type="trade.settled"):
        self.d.ctl("event", "emit", "--type", type, "--id", id)

    def idle(self):
        wait_for(lambda: self.d.unsettled() == 0, what="all is delivered or dead")


class WhatToDo(unittest.TestCase):
    """Whoever looks at why an endpoint fails reads what that usually means, and what to type."""

    ANSWERS = {"http301": (301, "no redirect is followed", "sub set {} --url URL"),
               "http401": (401, "they refuse our signature or token", "sub rotate-secret {}"),
               "http404": (404, "nothing at this URL", "sub set {} --url URL"),
               "http410": (410, "gone for good", "delivery discard -s {}"),
               "http413": (413, "too large for them", "dlq list -s {} --status 413"),
               "http429": (429, "faster than they take it", "sub set {} --rate N/s"),
               "http503": (503, "down, or overloaded", "sub test {}")}

    def test_every_screen_that_shows_why(self):
        with contextlib.ExitStack() as stack:
            d = stack.enter_context(Daemon(QUICK))
            for name, (status, *_) in self.ANSWERS.items():
                to = stack.enter_context(Receiver(lambda *_, s=status: (s, {}, b"")))
                d.subscribe(to.url, "--name", name, events="trade.*")
            for i in range(3):
                d.ctl("event", "emit", "--type", "trade.settled", "--id", f"T-{i}")
            wait_for(lambda: not [x for x in d.json("delivery", "list", "--all")["items"] if x["state"] not in ("dead", "held")], what="all is dead or held")
            for name, (status, means, command) in self.ANSWERS.items():
                letter = d.json("dlq", "list", "-s", name)["items"][0]["id"]
                for words in (("attempt", "list", "-s", name), ("attempt", "list", letter), ("attempt", "show", letter), ("sub", "show", name),
                              ("dlq", "show", letter), ("dlq", "summary", "-s", name)):
                    done = d.ctl(*words, raw=True)
                    said = done.stdout + done.stderr
                    self.assertIn(f"{status}: ", said, words)
                    self.assertIn(means, said, words)
                    self.assertIn("      webhookctl " + command.format(name), said, words)
                summary = d.ctl("dlq", "summary", "-s", name)
                in_vain = status not in (429, 503)
                self.assertEqual("dlq replay" in summary, not in_vain, summary)
                self.assertEqual("once that is mended" in d.ctl("dlq", "show", letter), in_vain, name)
            self.assertRegex(d.ctl("sub", "test", "http404", raw=True, check=1).stderr, "nothing at this URL")

    def test_no_answer(self):
        with Daemon(QUICK) as d:
            for name, url, means in (("dns", "https://hooks.invalid/", "its name is not found"), ("connect", f"http://127.0.0.1:{free_port()}/", "nothing takes the connection")):
                d.subscribe(url, "--name", name, events="trade.*")
                done = d.ctl("sub", "test", name, raw=True, check=1)
                self.assertIn(f"{name}: {means}", done.stderr)
                self.assertIn(f"webhookctl doctor {name}", done.stderr)

    def test_the_newest_of_one_delivery(self):
        with House() as h:
            h.emit("T-1")
            h.idle()
            letter = h.d.json("dlq", "list")["items"][0]["id"]
            self.assertIn(f"webhookctl attempt show {letter}/3\n", h.d.ctl("attempt", "list", letter, raw=True).stderr)


class Lists(unittest.TestCase):
    def test_why_does_it_fail(self):
        with House() as h:
            for i in range(3):
                h.emit(f"T-{i}")
            h.emit("T-new", "trade.opened")
            h.idle()
            d = h.d
            done = d.ctl("attempt", "list", "-s", "acme", "--limit", "5", raw=True)
            rows = lines(done.stdout)
            self.assertEqual(rows[0].split(), ["TIME", "SUBSCRIPTION", "EVENT", "TYPE", "ATTEMPT", "RESULT", "TOOK", "ADDRESS", "ERROR"])
            self.assertEqual(len(rows), 6)
            for row in rows[1:]:
                self.assertIn("acme", row)
                self.assertIn("503", row)
                self.assertIn(f"127.0.0.1:{h.bad.port}", row)
            self.assertRegex(done.stderr, r"All 5 failed the same way: 503.*webhookctl attempt show dlv_\w{13}/[123]\n")
            next_command = done.stderr.split("The newest answer: webhookctl ")[1].splitlines()[0].split()
            self.assertIn("503", d.ctl(*next_command))
            # A mixed lot says nothing of the kind.
            self.assertNotIn("same way", d.ctl("attempt", "list", raw=True).stderr)
            items = d.json("attempt", "list", "--all")["items"]
            self.assertEqual(len(items), 4 + 9)
            self.assertEqual({x["subscription"] for x in items}, {"acme", "globex"})
            for delivery in {x["delivery"] for x in items}:  # newest first
                numbers = [x["n"] for x in items if x["delivery"] == delivery]
                self.assertEqual(numbers, sorted(numbers, reverse=True))
            for filters, n in ((("--outcome", "success"), 4), (("--outcome", "http_5xx"), 9), (("--status", "5xx"), 9), (("--status", "200"), 4),
                               (("--type", "trade.opened"), 1), (("--event", "T-1"), 4), (("--since", "1h"), 13), (("--until", "1h"), 0),
                               (("--type", "trade.*", "-s", "globex"), 4), (("-s", "acme", "-s", "globex"), 13), (("T-1", "T-2"), 8),
                               (("--outcome", "timeout"), 0)):
                self.assertEqual(len(d.json("attempt", "list", "--limit", "100", *filters)["items"]), n, filters)
            one = items[0]
            self.assertEqual(one["id"], f"{one['delivery']}/{one['n']}")
            self.assertEqual(d.ctl("-o", "id", "attempt", "list", "--limit", "1").strip(), one["id"])
            # Page by page, as the API gives them.
            seen, cursor = [], ""
            while cursor is not None:
                page = d.api("GET", f"/attempts?limit=4{cursor}")[1]
                seen += page["items"]
                cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
            self.assertEqual([x["id"] for x in seen], [x["id"] for x in items])

    def test_of_one(self):
        with House() as h:
            h.emit("T-1")
            h.idle()
            d = h.d
            acme = next(x for x in d.json("delivery", "list", "-s", "acme")["items"])["id"]
            rows = lines(d.ctl("attempt", "list", acme))
            self.assertEqual([row.split()[0] for row in rows], ["ATTEMPT", f"{acme}/1", f"{acme}/2", f"{acme}/3"])
            self.assertIn(f"The newest answer: webhookctl attempt show {acme}/3", d.ctl("attempt", "list", acme, raw=True).stderr)
            self.assertEqual(len(lines(d.ctl("attempt", "list", "T-1"))), 5)
            self.assertEqual([x["n"] for x in d.json("attempt", "list", acme)["items"]], [1, 2, 3])
            self.assertIn("no delivery or event 'T-none'", d.ctl("attempt", "list", "T-none", check=4, raw=True).stderr)
            # of several ids those that are nobody's are said; all of them: 4. The newest answer is the last one here
            done = d.ctl("attempt", "list", "T-none", acme, raw=True)
            self.assertIn("no delivery or event 'T-none'", done.stderr)
            self.assertIn(f"All 3 failed the same way: 503. The newest answer: webhookctl attempt show {acme}/3", done.stderr)
            self.assertEqual(len(lines(done.stdout)), 4)
            d.ctl("attempt", "list", "T-none", "T-nothing", check=4)
            self.assertIn("no delivery or event 'T-none'", d.ctl("delivery", "list", "T-none", acme, raw=True).stderr)
            d.ctl("delivery", "list", "T-none", "T-nothing", check=4)
            self.assertEqual(d.ctl("attempt", "list", "-s", "nobody", check=4, raw=True).stdout, "")
            self.assertEqual(d.json("attempt", "list", "--outcome", "dns"), {"items": [], "next_cursor": None})
            self.assertEqual(d.api("GET", "/attempts?state=dead")[0], 422)
            d.stop()  # and the same with the daemon down
            self.assertEqual([x["n"] for x in d.json("attempt", "list", acme)["items"]], [1, 2, 3])


    def test_an_attempt_stands_for_its_delivery(self):
        """What attempt list and tail print goes on into every command that takes a delivery's id, typed or from a file."""
        with House() as h:
            for i in range(2):
                h.emit(f"T-{i}")
            h.idle()
            d = h.d
            ids = d.ctl("attempt", "list", "-q", "-s", "acme")
            self.assertEqual(len(lines(ids)), 6)
            letters = sorted(x["id"] for x in d.json("dlq", "list")["items"])
            for words in (("dlq", "list"), ("delivery", "list"), ("attempt", "list")):
                found = [x.get("delivery", x["id"]) for x in d.json(*words, "--ids-from", "-", stdin=ids)["items"]]
                self.assertEqual(sorted(set(found)), letters, words)
                self.assertEqual(len(found), 6 if words[0] == "attempt" else 2, words)
            self.assertEqual(d.ctl("dlq", "count", "--ids-from", "-", stdin=ids).strip(), "2")
            one = lines(ids)[0]
            of = one.split("/")[0]
            for words in (("dlq", "show"), ("delivery", "show"), ("event", "show"), ("event", "trace"), ("attempt", "list"), ("dlq", "list"),
                          ("dlq", "replay", "--dry-run", "--until", d.json("status")["as_of"]), ("dlq", "purge", "--dry-run")):
                said = [re.sub("restored until.*", "", d.ctl(*words, id)) for id in (one, of)]
                self.assertEqual(*said, words)
            self.assertEqual(len(d.json("delivery", "list", "--event", one)["items"]), 2)
            d.ctl("dlq", "note", one, "by its attempt")
            self.assertIn("by its attempt", d.ctl("dlq", "show", of))
            d.ctl("dlq", "list", one + "x", check=64)
            done = d.ctl("dlq", "replay", "--yes", "--ids-from", "-", stdin=ids, check=None, raw=True)
            self.assertIn("The 2 that died again", done.stderr)
            h.idle()
            sent = [x.split("/")[0] for x in lines(d.ctl("attempt", "list", "-q", "-s", "globex"))]
            self.assertIn("2 deliveries", d.ctl("delivery", "resend", "--dry-run", "--ids-from", "-", stdin="/1\n".join(sent) + "/1"))
            d.stop()
            self.assertEqual(len(d.json("delivery", "list", "--ids-from", "-", stdin=ids)["items"]), 2)

    def test_on_eighty_columns(self):
        with House() as h:
            h.d.ctl("sub", "set", "acme", "name=acme-settlements-eu-1")
            h.d.ctl("event", "emit", "--type", "trade.settled.corrected.late", "--id", "evt_" + "T" * 26)
            h.emit("T-1")
            h.idle()
            last = h.d.ctl("attempt", "list", "-q", "--limit", "1").strip()
            shown = h.d.terminal("attempt", "list", columns=80)[1]
            self.assertIn(last, shown)
            with h.d.screen("attempt", "tail", columns=80) as t:
                t.wait(last)
                shown += t.shown
                t.type("\x03")
                self.assertEqual(t.end(), 130)
            for line in shown.splitlines():
                if "dlv_" in line and "webhookctl" not in line:
                    self.assertLessEqual(len(line), 80, line)
                    self.assertRegex(line, r"dlv_\w{13}/[123] ")


class Show(unittest.TestCase):
    def test_when(self):
        with House() as h:
            h.emit("T-1", "trade.opened")
            h.idle()
            at = h.d.json("attempt", "show", "T-1")["started_at"]
            self.assertIn(f"Started        {at}\n", h.d.ctl("attempt", "show", "T-1"))
            self.assertIn(f"Started        {at}", h.d.terminal("attempt", "show", "T-1", "--utc")[1])
            shown = h.d.terminal("attempt", "show", "T-1", env={"TZ": "Asia/Kolkata"})[1]
            self.assertRegex(shown, r"Started        \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+05:30, (just now|\d+s ago)")

    def test_one(self):
        with House() as h:
            h.emit("T-1")
            h.emit("T-2", "trade.opened")
            h.idle()
            d = h.d
            acme = next(x for x in d.json("delivery", "list", "-s", "acme")["items"])["id"]
            last = d.ctl("attempt", "show", acme)
            for words in ("Attempt        3", "Outcome        http_5xx", "Status         503", f"URL            {h.bad.url}", "HTTP/1.1 503",
                          "X-Why: maintenance", "  wait", f"Address        127.0.0.1:{h.bad.port}", "Trigger        schedule"):
                self.assertIn(words, last)
            self.assertIn(r"\x1b[31mred", last)
            self.assertFalse(set(last) & {"\x1b", "\x9b", "\u202e"})
            self.assertIn("Attempt        1", d.ctl("attempt", "show", acme, "1"))
            self.assertEqual(d.ctl("attempt", "show", f"{acme}/2"), d.ctl("attempt", "show", acme, "2"))
            self.assertIn("Attempt        1", d.ctl("attempt", "show", "T-2"))  # an event with one delivery
            self.assertIn("several deliveries", d.ctl("attempt", "show", "T-1", check=64, raw=True).stderr)
            self.assertIn(f"has no attempt 9: see webhookctl attempt list {acme}", d.ctl("attempt", "show", acme, "9", check=4, raw=True).stderr)
            for wrong in ((f"{acme}/x",), (acme, "0"), (f"{acme}/1", "2")):
                d.ctl("attempt", "show", *wrong, check=64)
            self.assertEqual(d.json("attempt", "show", f"{acme}/2")["n"], 2)
            # whose it was, and what it sent: as that attempt did
            item = next(x for x in d.json("attempt", "list", acme)["items"] if x["n"] == 2)
            whole = d.json("attempt", "show", f"{acme}/2")
            self.assertEqual({k: whole[k] for k in item}, item)
            self.assertEqual(dict(whole["request"]["headers"])["webhook-attempt"], "2")
            sent = next(q for q in h.bad.requests if q.id == "T-1" and q.headers["webhook-attempt"] == "2")
            self.assertEqual(whole["request"]["body"].encode(), sent.body)
            self.assertIn("webhook-attempt: 1", d.ctl("attempt", "show", acme, "1"))
            self.assertIn(r"\x1b[31mred", d.ctl("attempt", "show", acme, "--body"))
            raw = subprocess.run([WEBHOOKCTL, "-c", d.conf, "attempt", "show", acme, "--raw"], capture_output=True, env=d.env, timeout=60)
            self.assertTrue(raw.stdout.startswith(b"HTTP/1.1 503"))
            self.assertTrue(raw.stdout.endswith(HOSTILE))
            raw = subprocess.run([WEBHOOKCTL, "-c", d.conf, "attempt", "show", acme, "--raw", "--body"], capture_output=True, env=d.env)
            self.assertEqual(raw.stdout, HOSTILE)
            status, shown = d.terminal("attempt", "show", acme, "--raw")
            self.assertEqual(status, 64)
            self.assertIn("--force", shown)
            self.assertNotIn("\x1b[31m", shown)
            self.assertIn("\x1b[31m", d.terminal("attempt", "show", acme, "--raw", "--force")[1])


class Tail:
    def __init__(self, d, *args):
        self.process = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=d.env,
                                        stdin=subprocess.DEVNULL)
        self.out = self.err = b""
        os.set_blocking(self.process.stdout.fileno(), False)
        os.set_blocking(self.process.stderr.fileno(), False)

    def look(self):
        self.out += self.process.stdout.read() or b""
        self.err += self.process.stderr.read() or b""
        return lines(self.out.decode())

    def wait(self, n):
        return wait_for(lambda: len(self.look()) >= n and self.look(), what=f"{n} lines")

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        status = self.process.wait(30)
        self.look()
        self.process.stdout.close()
        self.process.stderr.close()
        return status


class Follows(unittest.TestCase):
    def test_tail(self):
        with House() as h:
            d = h.d
            for i in range(4):
                h.emit(f"T-{i}", "trade.opened")
                h.idle()
            tail = Tail(d, "attempt", "tail", "--limit", "2")
            self.assertEqual([x.split()[2] for x in tail.wait(2)], ["T-2", "T-3"])
            acme = Tail(d, "-o", "jsonl", "attempt", "tail", "-s", "acme", "--outcome", "http_5xx")
            wait_for(lambda: d.log().count("admin_request route=\"GET /api/v1/attempts") >= 4 or d.log().count("/attempts") >= 4)
            begun = time.monotonic()
            h.emit("T-4")
            rows = acme.wait(3)
            self.assertLess(time.monotonic() - begun, 10)
            self.assertEqual([json.loads(x)["n"] for x in rows], [1, 2, 3])
            rows = tail.wait(2 + 4)
            self.assertEqual(sum("503 http_5xx" in x for x in rows), 3)
            self.assertEqual(sum("200 success" in x for x in rows), 3)
            # A restart under it.
            d.stop()
            wait_for(lambda: tail.look() and b"webhookd does not answer" in tail.err)
            d.start()
            h.emit("T-5", "trade.opened")
            rows = tail.wait(2 + 4 + 1)
            self.assertIn("T-5", rows[-1])
            self.assertEqual(tail.err.decode(), "webhookd does not answer (a restart?); waiting for it\nwebhookd is back\n")
            h.idle()
            self.assertEqual(tail.end(), 130)
            self.assertEqual(len(lines(tail.out.decode())), 7)
            self.assertEqual(acme.end(), 130)
            self.assertEqual(len(lines(acme.out.decode())), 3)

    def test_ends(self):
        with House() as h:
            d = h.d
            h.emit("T-1", "trade.opened")
            h.idle()
            quiet = Tail(d, "attempt", "tail")
            quiet.wait(1)
            self.assertEqual(quiet.end(), 130)
            self.assertEqual(quiet.err, b"")
            # Whoever reads it goes away: no word about it.
            gone = Tail(d, "attempt", "tail")
            gone.wait(1)
            gone.process.stdout.close()
            h.emit("T-2", "trade.opened")
            self.assertEqual(gone.process.wait(30), -signal.SIGPIPE)
            self.assertEqual(gone.process.stderr.read() or b"", b"")
            gone.process.stderr.close()
            self.assertIn("use -o jsonl", d.ctl("-o", "json", "attempt", "tail", check=64, raw=True).stderr)
            d.stop()
            self.assertIn("no webhookd listens", d.ctl("attempt", "tail", check=69, raw=True).stderr)


if __name__ == "__main__":
    unittest.main()
