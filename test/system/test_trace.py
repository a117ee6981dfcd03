"""event trace: the life of one event, once and followed; event list, types; delivery show."""
import json
import os
import unittest

from harness import Daemon, Receiver, wait_for
from test_attempts import QUICK, Tail, lines


def entries(trace, *kinds):
    return [x for x in trace["entries"] if not kinds or x["kind"] in kinds]


class Life(unittest.TestCase):
    def test_from_commit_to_replay(self):
        with Daemon(QUICK) as d, Receiver() as good, Receiver(503) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="trade.*")
            d.subscribe(bad.url, "--name", "acme", events="trade.settled")
            d.insert(dict(type="trade.settled", event_id="T-1", ordering_key="K-9", correlation_id="c-1", source="desk",
                          attributes=json.dumps({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})))
            wait_for(lambda: d.counts()["dead"] == 1 and d.unsettled() == 0)
            text = d.ctl("event", "trace", "T-1")
            rows = lines(text)
            self.assertRegex(rows[0], r"  committed   trade\.settled key=K-9 outbox=\S+outbox\.db source=desk correlation=c-1 "
                                      r"trace=4bf92f3577b34da6a3ce929d0e0e4736$")
            self.assertRegex(rows[1], r"  routed      2 subscriptions: (audit-log, acme|acme, audit-log)$")
            self.assertEqual(len(rows), 2 + 1 + 3)
            self.assertRegex(text, r"\+0\.\d{3}s +audit-log  #1 200 [\d.]+m?s  DELIVERED\n")
            self.assertRegex(text, r"\+0\.\d{3}s +acme       #1 503 [\d.]+m?s  retry in [\d.]+m?s\n")
            self.assertRegex(text, r"\+0\.\d{3}s +acme       #3 503 [\d.]+m?s  DEAD retries_exhausted\n")
            trace = d.json("event", "trace", "T-1")
            self.assertEqual([x["kind"] for x in trace["entries"]], ["committed", "routed"] + ["attempt"] * 4)
            self.assertEqual((trace["open"], trace["deliveries"]["dead"], trace["daemon"], trace["truncated"]), (0, 1, True, False))
            times = [x["at"] for x in trace["entries"]]
            self.assertEqual(times, sorted(times))
            acme = next(x["delivery"] for x in trace["entries"] if x["subscription"] == "acme")
            self.assertEqual(d.json("event", "trace", acme)["entries"], trace["entries"])  # by a delivery's id too
            # The partner is back, and an operator sends it again.
            bad.answer = 200
            d.ctl("dlq", "replay", "T-1", "--note", "INC-381 acme back", "--yes")
            text = d.ctl("event", "trace", "T-1")
            self.assertRegex(text, r"  replayed    acme       job_\w{13} by uid:\d+ \w+ \"INC-381 acme back\"\n")
            self.assertRegex(text, r"acme       #4 200 [\d.]+m?s  DELIVERED\n")
            self.assertRegex(text, r"acme       #3 503 [\d.]+m?s  DEAD retries_exhausted\n")  # why it was dead is known still
            self.assertEqual([(x["n"], x["cause"]) for x in entries(d.json("event", "trace", "T-1"), "attempt") if x["cause"]],
                             [(3, "retries_exhausted")])
            trace = d.json("event", "trace", "T-1")
            replayed, last = entries(trace)[-2:]
            self.assertEqual((replayed["kind"], replayed["note"], last["kind"], last["job"]),
                             ("replayed", "INC-381 acme back", "attempt", replayed["job"]))
            self.assertEqual([json.loads(x)["kind"] for x in lines(d.ctl("-o", "jsonl", "event", "trace", "T-1"))],
                             [x["kind"] for x in trace["entries"]])
            self.assertIn("no event 'T-none'", d.ctl("event", "trace", "T-none", check=4, raw=True).stderr)
            # On a terminal: the day once, then times of the day.
            status, shown = d.terminal("event", "trace", "T-1")
            self.assertEqual(status, 0)
            self.assertRegex(lines(shown)[0], r"^\d{4}-\d\d-\d\d$")
            self.assertRegex(lines(shown)[1], r"^\d\d:\d\d:\d\d\.\d{3}  committed ")
            d.stop()
            down = d.json("event", "trace", "T-1")
            self.assertEqual((down["entries"], down["daemon"]), (trace["entries"], False))

    def test_nobody_purged_imported_expired(self):
        with Daemon("retry:\n  default: {max_retries: 0}\n") as d, Receiver(400) as bad:
            d.ctl("event", "emit", "--type", "a.b", "--id", "N-1")
            self.assertIn("routed      matched no subscription", d.ctl("event", "trace", "N-1"))
            self.assertEqual(d.ctl("event", "trace", "N-1", "-f", raw=True).returncode, 0)
            d.subscribe(bad.url, "--name", "acme")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-1")
            wait_for(lambda: d.counts()["dead"] == 1)
            letters = d.ctl("dlq", "export")
            d.ctl("dlq", "purge", "E-1", "--confirm=1")
            self.assertRegex(d.ctl("event", "trace", "E-1"), r"  purged      acme  (job_\w+ )?by uid:\d+ \w+")
            d.ctl("dlq", "import", stdin=letters)
            self.assertRegex(lines(d.ctl("event", "trace", "E-1"))[-1], r"  imported    acme  (job_\w+ )?by uid:\d+ \w+")
            d.ctl("subscription", "pause", "acme")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-2", "--expires-in", "300ms")
            wait_for(lambda: d.counts()["dead"] == 2)
            self.assertRegex(lines(d.ctl("event", "trace", "E-2"))[-1], r"  dead        acme  DEAD expired$")
            d.ctl("subscription", "resume", "acme")
            d.ctl("dlq", "replay", "E-2", "--ignore-expiry", "--yes", check=1)  # dies again, of another cause
            rows = lines(d.ctl("event", "trace", "E-2"))[-3:]
            for row, wanted in zip(rows, (r"dead        acme  DEAD expired$", r"replayed    acme  job_\w+ by ", r"acme  #1 400 .*  DEAD permanent_failure$")):
                self.assertRegex(row, wanted)
            bad.answer = 200
            d.ctl("dlq", "replay", "E-2", "--ignore-expiry", "--yes")
            d.ctl("delivery", "resend", "E-2", "--ignore-expiry", "--yes", "--note", "once more")
            rows = lines(d.ctl("event", "trace", "E-2"))[-7:]
            for row, wanted in zip(rows, ("DEAD expired$", "replayed", "#1 400 .*  DEAD permanent_failure$", "replayed", "#2 200 .* DELIVERED$",
                                          r'resent      acme  job_\w+ by .* "once more"$', "#3 200 .* DELIVERED$")):
                self.assertRegex(row, wanted)
            bad.answer = 500
            d.ctl("subscription", "test", "acme", check=1)
            trial = d.json("event", "list", "--type", "webhookd.test")["items"][0]["id"]
            self.assertRegex(lines(d.ctl("event", "trace", trial))[-1], "#1 500 .*  DISCARDED retries_exhausted")

    def test_what_it_waits_for(self):
        slow = "retry:\n  default: {max_retries: 5, initial_delay: 60s}\n"
        with Daemon(slow) as d, Receiver(503) as bad:
            d.subscribe(bad.url, "--name", "acme", "--ordering", "key")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-1", "--key", "k")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-2", "--key", "k")
            wait_for(lambda: d.counts()["retrying"] == 1)

            def last(id):
                return lines(d.ctl("event", "trace", id))[-1]
            self.assertRegex(last("E-1"), r"  waiting     acme  for its next attempt, due in (\d+s|1m)")
            self.assertRegex(last("E-2"), r"  waiting     acme  behind event E-1 of the same ordering key$")
            d.ctl("egress", "pause", "--yes")
            self.assertRegex(last("E-1"), r"  waiting     acme  egress is paused; webhookctl egress resume$")
            d.ctl("egress", "pause", "--for", "30m", "--note", "INC-381", "--yes")
            self.assertRegex(last("E-1"), r"  waiting     acme  egress is paused \(INC-381\), until \d{4}-\S+Z; webhookctl egress resume$")
            d.ctl("egress", "resume")
            d.ctl("subscription", "pause", "acme")
            self.assertRegex(last("E-1"), r"  waiting     acme  the subscription is paused; webhookctl sub resume acme$")
            d.ctl("subscription", "pause", "acme", "--for", "2h")
            self.assertRegex(last("E-1"), r"  waiting     acme  the subscription is paused, until \d{4}-\S+Z; webhookctl sub resume acme$")
            shown = d.terminal("event", "trace", "E-1", columns=160)[1]
            self.assertRegex(shown, r"the subscription is paused, for (1h 59m|2h) more; webhookctl sub resume acme")
            self.assertRegex(d.terminal("delivery", "show", "E-1", columns=160)[1], r"Waits +the subscription is paused, for (1h 59m|2h) more")
            d.ctl("subscription", "disable", "acme")
            self.assertRegex(last("E-1"), r"  waiting     acme  the subscription is disabled; webhookctl sub enable acme$")
            d.ctl("subscription", "enable", "acme")
            d.ctl("subscription", "resume", "acme")
            d.stop()
            done = d.ctl("event", "trace", "E-1", raw=True)
            self.assertRegex(lines(done.stdout)[-1], r"  waiting     acme  webhookd does not run$")
            self.assertIn("goes on when it is started", done.stderr)
            done = d.ctl("event", "trace", "E-1", "-f", check=69, raw=True)
            self.assertIn("without -f", done.stderr)


    def test_an_endpoint_that_is_down(self):
        conf = """retry: {default: {max_retries: 50, initial_delay: 20ms, multiplier: 1, jitter: 0}}
breaker: {min_failures: 5, min_period: 50ms, probe_interval: 10m}
"""
        with Daemon(conf) as d, Receiver(503) as bad:
            d.subscribe(bad.url, "--name", "acme")
            for i in range(8):
                d.ctl("event", "emit", "--type", "a.b", "--id", f"E-{i}")
            wait_for(lambda: d.json("sub", "show", "acme")["broken_since"])
            for words in (("event", "trace", "E-1"), ("delivery", "show", "E-1")):
                self.assertRegex(d.ctl(*words), r"the endpoint is down: it goes once a probe succeeds, next probe in (10m|9m( \d+s)?); webhookctl attempt list -s acme")
            d.stop()
            self.assertRegex(d.ctl("event", "trace", "E-1"), r"the endpoint is down: it goes once a probe succeeds; webhookctl")


class Followed(unittest.TestCase):
    def test_to_the_end(self):
        with Daemon("retry:\n  default: {max_retries: 1, initial_delay: 1500ms, jitter: 0}\n") as d, Receiver() as good, Receiver(503) as bad:
            d.subscribe(good.url, "--name", "audit-log")
            d.subscribe(bad.url, "--name", "acme")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-1")
            follow = Tail(d, "event", "trace", "-f", "E-1")
            rows = follow.wait(5)
            self.assertEqual(follow.process.wait(30), 0)
            rows = follow.look()
            self.assertEqual(len(rows), 2 + 1 + 2, rows)  # each once
            self.assertRegex(rows[-1], r"acme       #2 503 .* DEAD retries_exhausted$")
            self.assertEqual(follow.err.decode(), "Over: 1 delivered, 1 dead, 0 discarded. Next: webhookctl dlq show E-1\n")
            self.assertEqual(sum("retry in 1.5s" in x for x in rows), 1)

    def test_ctrl_c_and_a_restart(self):
        with Daemon("retry:\n  default: {max_retries: 5, initial_delay: 60s}\n") as d, Receiver(503) as bad:
            d.subscribe(bad.url, "--name", "acme")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-1")
            follow = Tail(d, "-o", "jsonl", "event", "trace", "E-1", "-f")
            follow.wait(3)
            d.stop()
            wait_for(lambda: follow.look() and b"waiting for it" in follow.err)
            d.start()
            wait_for(lambda: follow.look() and b"webhookd is back" in follow.err)
            self.assertEqual(follow.end(), 130)
            self.assertEqual([json.loads(x)["kind"] for x in lines(follow.out.decode())], ["committed", "routed", "attempt"])
            self.assertIn("Still open: acme (retrying)", follow.err.decode())
            self.assertIn("-o jsonl", d.ctl("-o", "json", "event", "trace", "E-1", "-f", check=64, raw=True).stderr)


class Events(unittest.TestCase):
    def test_list_by_what_is_in_the_payload(self):
        with Daemon(QUICK) as d, Receiver() as good, Receiver(400) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="a.*")
            d.subscribe(bad.url, "--name", "acme", events="b.*")
            d.insert(*[dict(type="a.b" if n % 2 else "b.c", event_id=f"E-{n}", payload={"trade_id": f"T-{n}", "n": n}) for n in range(300)])
            wait_for(lambda: len(d.json("event", "list", "--all")["items"]) == 300 and d.unsettled() == 0)
            def look(*args):
                return [x["id"] for x in d.json("event", "list", *args)["items"]]
            self.assertEqual(look("--contains", '"T-41"'), ["E-41"])  # delivered
            self.assertEqual(look("--contains", '"T-42"'), ["E-42"])  # dead: only its letter has the payload
            self.assertEqual(sorted(look("--contains", "T-29", "--type", "a.*")), ["E-29", "E-291", "E-293", "E-295", "E-297", "E-299"])
            self.assertEqual(look("--contains", "T-1", "--limit", "2"), ["E-199", "E-198"])
            self.assertEqual(look("--contains", "T-999"), [])
            d.stop()
            self.assertEqual(look("--contains", '"T-42"'), ["E-42"])

    def test_deliveries_by_what_is_in_the_payload(self):
        """Of any state, with the other filters; a resend or a discard of what was found is of just that."""
        with Daemon(QUICK) as d, Receiver() as good, Receiver(400) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="*")
            d.subscribe(bad.url, "--name", "acme", events="b.*")
            d.insert(*[dict(type="a.b" if n % 2 else "b.c", event_id=f"E-{n}", payload={"trade_id": f"T-{n}", "n": n}) for n in range(300)])
            wait_for(lambda: len(d.json("event", "list", "--all")["items"]) == 300 and d.unsettled() == 0)
            def look(*args):
                return [(x["event_id"], x["subscription"]) for x in d.json("delivery", "list", *args)["items"]]
            self.assertEqual(look("--contains", '"T-41"'), [("E-41", "audit-log")])
            self.assertEqual(sorted(look("--contains", '"T-42"')), [("E-42", "acme"), ("E-42", "audit-log")])
            self.assertEqual(look("--contains", '"T-42"', "--state", "dead"), [("E-42", "acme")])
            self.assertEqual(look("--contains", "T-1", "-s", "acme", "--limit", "2"), [("E-198", "acme"), ("E-196", "acme")])
            self.assertEqual(look("--contains", "T-1", "-s", "acme", "--limit", "2", "--order", "oldest"), [("E-10", "acme"), ("E-12", "acme")])
            self.assertEqual(look("--contains", '"T-42"', "E-41", "E-42", "E-43", "-s", "audit-log"), [("E-42", "audit-log")])
            self.assertEqual(len(look("--contains", "T-", "--all")), 450)
            self.assertEqual(look("--contains", "T-999"), [])
            pages, cursor = [], ""  # of the API: any page may be short, the cursor goes on
            while cursor is not None:
                page = d.api("GET", f"/deliveries?contains=T-2&limit=7{cursor}")[1]
                self.assertLessEqual(len(page["items"]), 7)
                pages += [x["id"] for x in page["items"]]
                cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
            self.assertEqual(sorted(pages), sorted(d.ctl("delivery", "list", "-q", "--contains", "T-2").split()))
            self.assertEqual(d.api("GET", "/deliveries?contains=")[0], 422)
            self.assertEqual(d.api("GET", "/attempts?contains=x")[0], 422)

            sent = len(good.requests)
            self.assertRegex(d.ctl("delivery", "resend", "--contains", '"T-42"', "--dry-run"), r"Would resend 1 delivery \(1 b.c\)")
            d.ctl("delivery", "resend", "--contains", '"T-42"', "--yes")
            self.assertEqual([r.id for r in good.requests[sent:]], ["E-42"])
            d.ctl("sub", "pause", "audit-log")
            d.insert(*[dict(type="a.b", event_id=f"N-{n}", payload={"trade_id": f"T-{n}"}) for n in (41, 42)])
            wait_for(lambda: d.unsettled() == 2)
            self.assertEqual(json.loads(d.ctl("-o", "json", "delivery", "discard", "--contains", '"T-42"', "--yes"))["discarded"], 1)
            self.assertEqual(look("--state", "discarded"), [("N-42", "audit-log")])
            for command in ("resend", "discard"):
                self.assertIn("match", d.ctl("delivery", command, "--contains", "T-999", "--yes", raw=True).stderr)
            self.assertEqual(d.unsettled(), 1)
            d.stop()
            self.assertEqual(look("--contains", '"T-41"', "--type", "a.*", "--state", "delivered"), [("E-41", "audit-log")])

    def test_list_and_types(self):
        with Daemon("retry:\n  default: {max_retries: 0}\n") as d, Receiver() as good, Receiver(400) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="a.*")
            d.subscribe(bad.url, "--name", "acme", events="a.b")
            for id, type in (("E-1", "a.b"), ("E-2", "a.c"), ("E-3", "z.z"), ("E-4", "a.b")):
                d.ctl("event", "emit", "--type", type, "--id", id)
            wait_for(lambda: d.unsettled() == 0)
            text = d.ctl("event", "list")
            self.assertRegex(text, r"E-1 .*1 delivered, 1 dead\n")
            self.assertRegex(text, r"E-2 .*  1 delivered\n")
            self.assertRegex(text, r"E-3 .*  matched nobody\n")
            items = {x["id"]: x for x in d.json("event", "list")["items"]}
            self.assertEqual((items["E-1"]["matched"], items["E-1"]["states"]["dead"], items["E-3"]["matched"]), (2, 1, 0))
            rows = [x.split()[:2] for x in lines(d.ctl("event", "types"))]
            self.assertEqual(rows, [["TYPE", "EVENTS"], ["a.b", "2"], ["a.c", "1"], ["z.z", "1"]])
            self.assertEqual(d.ctl("-o", "id", "event", "types").split(), ["a.b", "a.c", "z.z"])


class Emits(unittest.TestCase):
    def test_wait_and_dry_run(self):
        with Daemon("retry:\n  default: {max_retries: 0}\n") as d, Receiver() as good, Receiver(400) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="a.*")
            d.subscribe(bad.url, "--name", "acme", events="a.bad,x.bad")

            def emit(type, *more, **kw):
                return d.ctl("event", "emit", "--type", type, "--wait", "20s", *more, raw=True, **kw)
            self.assertRegex(emit("a.ok").stdout, r"^evt_\w+  routed to 1, delivered 1 in 0\.\d\ds\n$")
            done = emit("a.bad", check=3)
            self.assertRegex(done.stdout, r"routed to 2, delivered 1 in ")
            self.assertIn("webhookctl event trace evt_", done.stderr)
            emit("x.bad", check=1)
            self.assertIn("nobody gets it", emit("none.z").stderr)
            d.ctl("subscription", "pause", "audit-log")
            done = d.ctl("event", "emit", "--type", "a.ok", "--wait", "100ms", check=75, raw=True)
            self.assertRegex(done.stdout, "routed to 1, delivered 0, still open 1")
            accepted = json.loads(d.ctl("-o", "json", "event", "emit", "--type", "x.bad", "--wait", "20s", check=1))
            self.assertEqual((accepted["matched"], accepted["delivered"], accepted["open"]), (1, 0, 0))
            before = len(d.json("event", "list", "--all")["items"])
            done = d.ctl("event", "emit", "--type", "a.bad", "--dry-run", raw=True)
            self.assertEqual(sorted(x.split()[0] for x in lines(done.stdout)[1:]), ["acme", "audit-log"])
            self.assertIn("Nothing was changed.", done.stderr)
            preview = d.json("event", "emit", "--type", "none.z", "--id", "E-9", "-n")
            self.assertEqual(preview, {"id": "E-9", "id_known": False, "matched": 0, "subscriptions": [], "dry_run": True})
            d.ctl("event", "emit", "--type", "bad type", "--dry-run", check=65)
            self.assertEqual(len(d.json("event", "list", "--all")["items"]), before)
            d.stop()
            self.assertEqual(d.json("event", "emit", "--type", "a.bad", "-n")["matched"], 2)
            self.assertIn("when webhookd starts", d.ctl("event", "emit", "--type", "a.ok", "--wait", "1s", check=75, raw=True).stderr)


class Deliveries(unittest.TestCase):
    def test_list_and_show(self):
        with Daemon(QUICK) as d, Receiver() as good, Receiver(503) as bad:
            d.subscribe(good.url, "--name", "audit-log", events="a.*")
            d.subscribe(bad.url, "--name", "acme", events="a.b")
            for n in range(3):
                d.ctl("event", "emit", "--type", "a.b", "--id", f"E-{n}", "--data", f'{{"n":{n}}}')
            wait_for(lambda: d.unsettled() == 0)
            for filters, n in (((), 6), (("--state", "dead"), 3), (("--outcome", "http_5xx"), 3), (("--status", "2xx"), 3),
                               (("--min-attempts", "2"), 3), (("--cause", "retries_exhausted"), 3), (("--event", "E-1"), 2),
                               (("--until", "1h"), 0), (("--since", "1h", "-s", "acme"), 3), (("--type", "a.*"), 6)):
                self.assertEqual(len(d.json("delivery", "list", *filters)["items"]), n, filters)
            dead = d.json("delivery", "list", "-s", "acme", "--event", "E-1")["items"][0]["id"]
            bad.answer = 200
            d.ctl("dlq", "replay", dead, "--note", "again", "--yes")
            shown = d.ctl("delivery", "show", dead, "--body")
            for words in ("State          delivered", "replayed", "again", f"URL            {bad.url}", '{"n":1}', "\nData\n",
                          f"Next: webhookctl event trace {dead}", f"Request\n  POST {bad.url}", "webhook-attempt: 4", "X-BondX-Signature: sha256=***"):
                self.assertIn(words, shown)
            sent = d.json("delivery", "show", dead)["request"]
            self.assertEqual((sent["url"], sent["body"].encode()), (bad.url, bad.requests[-1].body))
            self.assertEqual([x["kind"] for x in d.json("delivery", "show", dead)["deeds"]], ["replayed"])
            other = d.json("delivery", "list", "--state", "dead")["items"][0]["id"]
            self.assertIn(f"webhookctl dlq show {other}", d.ctl("delivery", "show", other))
            d.ctl("subscription", "pause", "acme", "--note", "maintenance")
            d.ctl("event", "emit", "--type", "a.b", "--id", "E-9")
            held = d.json("delivery", "list", "--state", "held")["items"][0]["id"]
            self.assertIn("Waits          the subscription is paused; webhookctl sub resume acme", d.ctl("delivery", "show", held))
            self.assertIsNone(d.json("delivery", "show", held)["request"])  # nothing was sent
            row = next(x for x in lines(d.ctl("delivery", "list", "--state", "held")) if x.startswith(held))
            self.assertEqual(row.split()[-1], "-")  # it does not go when it is due


class Audit(unittest.TestCase):
    def test_filters(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            d.subscribe(r.url, "--name", "globex")
            d.ctl("subscription", "pause", "acme", "--note", "INC-7")
            d.ctl("subscription", "resume", "acme")
            d.ctl("partner", "add", "p2")
            rows = lines(d.ctl("audit", "list"))
            self.assertEqual(rows[0].split()[:5], ["TIME", "ACTOR", "ACTION", "TARGET", "DETAIL"])
            self.assertTrue(any("subscription.pause" in x and " acme " in x and "INC-7" in x for x in rows), rows)
            for filters, n in (((), 5), (("--action", "subscription.*"), 4), (("--action", "subscription.pause"), 1), (("--target", "acme"), 3),
                               (("--actor", "uid:"), 5), (("--actor", "nobody-of-that-name"), 0), (("--since", "1h"), 5), (("--until", "1h"), 0),
                               (("--limit", "2"), 2)):
                self.assertEqual(len(d.json("audit", "list", *filters)["items"]), n, filters)
            self.assertIn("did you mean 'actor'", d.api("GET", "/audit?actr=x")[1]["error"]["message"])

    def test_whose_deliveries_it_was_about(self):
        """`--target NAME` finds what touched its deliveries too: the entry's own target is a job, or nothing."""
        with Daemon("retry: {default: {max_retries: 0}}\n") as d, Receiver(503) as r:
            for name in ("acme", "globex"):
                d.subscribe(r.url, "--name", name)
            for i in range(3):
                d.ctl("event", "emit", "--type", "a.b", "--id", f"E-{i}")
            wait_for(lambda: d.counts()["dead"] == 6)
            r.answer = 200
            letter = d.json("dlq", "list", "-s", "globex")["items"][0]["id"]
            out = os.path.join(d.dir, "out.jsonl")
            d.ctl("dlq", "export", "-s", "acme", "-f", out, "--note", "for INC-9")
            d.ctl("dlq", "purge", "-s", "acme", "--confirm", "3")
            d.ctl("dlq", "import", "-f", out)
            d.ctl("dlq", "note", letter, "look at it")
            d.ctl("dlq", "replay", "E-0", "--cause", "retries_exhausted", "--yes", "--note", "INC-9")
            d.ctl("dlq", "replay", "-s", "globex", "--yes")
            d.ctl("dlq", "export", "--all", "-f", os.path.join(d.dir, "all.jsonl"))
            found = {name: [(x["action"].split(".")[1], x["subscriptions"]) for x in reversed(d.json("audit", "list", "--target", name, "--action", "dead_letter.*")["items"])]
                     for name in ("acme", "globex")}
            both, any_of = ["acme", "globex"], ("export", ["*"])
            self.assertEqual(found["acme"], [("export", ["acme"]), ("purge", ["acme"]), ("import", ["acme"]), ("replay", both), any_of])
            self.assertEqual(found["globex"], [("note", ["globex"]), ("replay", both), ("replay", ["globex"]), any_of])
            entry = d.json("audit", "list", "--action", "dead_letter.export", "--target", "acme")["items"][-1]
            self.assertEqual((entry["detail"]["selected"], entry["detail"]["file"], entry["detail"]["note"]), (3, "out.jsonl", "for INC-9"))
            text = d.ctl("audit", "list", "--target", "acme")
            self.assertIn("of acme,globex, selected 2", text)
            self.assertNotRegex(text, "sub_|arrived_before|stop_at_ratio|canary|order oldest|full")
            copy = os.path.join(d.dir, "copy.db")
            d.ctl("db", "backup", copy)
            entry = d.json("audit", "list")["items"][0]
            self.assertEqual((entry["action"], entry["target"], entry["detail"]["bytes"]), ("store.backup", copy, os.path.getsize(copy)))
            d.stop()
            d.ctl("db", "backup", copy, "--force")
            d.ctl("dlq", "export", "--all", "-f", out, "--force")
            self.assertEqual([x["action"] for x in d.json("audit", "list")["items"][:2]], ["dead_letter.export", "store.backup"])


if __name__ == "__main__":
    unittest.main()
