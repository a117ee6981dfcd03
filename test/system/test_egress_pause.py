"""The kill switch by the real binaries: nothing is sent while it is on, whatever ends the daemon meanwhile, and nothing is lost or dies of it."""
import time
import unittest

from harness import Daemon, Receiver, wait_for


def gauge(d):
    return [line for line in d.metrics().splitlines() if line.startswith("webhookd_egress_paused ")][0].split()[1]


class EgressPause(unittest.TestCase):
    def test_nothing_is_sent_and_all_of_it_later(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b")
            wait_for(lambda: len(r.requests) == 1)
            self.assertEqual(gauge(d), "0")
            self.assertIn("egress is open", d.ctl("egress", "show"))
            done = d.ctl("egress", "pause", "--note", "INC-381: wrong prices", check=64, raw=True)
            self.assertIn("--yes", done.stderr)
            done = d.ctl("egress", "pause", "--dry-run", raw=True)
            self.assertIn("Would stop all sending", done.stderr)
            self.assertEqual(gauge(d), "0")
            paused = d.json("egress", "pause", "--note", "INC-381: wrong prices", "--yes")
            self.assertEqual((paused["paused"], paused["note"], paused["resume_at"]), (True, "INC-381: wrong prices", None))
            self.assertTrue(paused["actor"].startswith("uid:"))
            for i in range(50):
                d.emit("a.b", {"i": i})
            wait_for(lambda: d.counts()["pending"] == 50)  # intake goes on
            self.assertEqual(gauge(d), "1")
            status = d.ctl("status")
            self.assertIn("EGRESS IS PAUSED", status)
            self.assertIn("INC-381: wrong prices", status)
            for words in (("sub", "list"), ("sub", "show", "acme"), ("stats",), ("sub", "stats", "acme")):  # a table that looks fine is no answer
                done = d.ctl(*words, raw=True)
                self.assertRegex(done.stderr, r"EGRESS IS PAUSED for \d+s by uid:.* \(INC-381: wrong prices\): nothing is sent, 50 wait. Go on: webhookctl egress resume\n", words)
                self.assertNotIn("EGRESS", d.ctl("-o", "json", *words, raw=True).stderr)
            self.assertEqual(d.json("status")["egress"]["waiting"], 50)
            self.assertIn("event=egress_paused", d.log())
            self.assertEqual([a["action"] for a in d.json("audit", "list")["items"]][0], "egress.pause")
            self.assertEqual(len(r.requests), 1)
            d.ctl("egress", "pause", "--yes")  # again: still paused
            self.assertEqual(d.json("egress", "resume")["paused"], False)
            wait_for(lambda: len(r.requests) == 51)
            wait_for(lambda: d.unsettled() == 0)
            self.assertEqual(len(set(r.ids())), 51)
            self.assertEqual({a["n"] for x in d.json("delivery", "list", "--all")["items"]
                              for a in d.json("attempt", "list", x["id"])["items"]}, {1})
            self.assertEqual(d.json("audit", "list")["items"][0]["action"], "egress.resume")
            d.ctl("egress", "resume")  # again: nothing changes
            self.assertEqual(d.json("audit", "list")["items"][1]["action"], "egress.pause")

    def test_who_did_it_first_and_why_stays(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            d.ctl("egress", "pause", "--note", "INC-381", "--yes")
            first = d.json("egress", "show")
            said = d.ctl("egress", "pause", "--yes", raw=True).stderr
            self.assertRegex(said, r"It was paused already, since .* by uid:\d+.* \(INC-381\): nothing was changed\.")
            self.assertEqual(d.json("egress", "show"), first)
            said = d.ctl("egress", "pause", "--for", "2h", "--yes", raw=True).stderr
            self.assertRegex(said, r"It was paused already, since .* by uid:\d+.* \(INC-381\)\.")
            now = d.json("egress", "show")
            self.assertEqual((now["note"], now["since"]), ("INC-381", first["since"]))
            self.assertIsNotNone(now["resume_at"])
            self.assertRegex(d.ctl("egress", "pause", "--note", "INC-382", "--yes", raw=True).stderr, r"\(INC-381\), until \d")
            self.assertEqual(d.json("egress", "show")["note"], "INC-382")
            d.ctl("egress", "resume")
            d.ctl("sub", "pause", "acme", "--note", "they reboot")
            self.assertIn("nothing was changed", d.ctl("sub", "pause", "acme", raw=True).stderr)
            said = d.ctl("sub", "pause", "acme", "--for", "1h", raw=True).stderr
            self.assertRegex(said, r"acme was paused already, since .* by uid:\d+.* \(they reboot\)\.\nacme is paused; ")
            self.assertEqual(d.json("sub", "show", "acme")["state_by"]["note"], "they reboot")
            d.ctl("sub", "pause", "acme", "--note", "they move")
            self.assertEqual(d.json("sub", "show", "acme")["state_by"]["note"], "they move")

    def test_it_survives_kills_and_works_without_a_daemon(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            d.ctl("egress", "pause", "--yes")
            for i in range(10):
                d.emit("a.b", {"i": i})
            wait_for(lambda: d.counts()["pending"] == 10)
            d.kill()
            d.start()
            self.assertEqual(d.json("egress", "show")["paused"], True)
            self.assertEqual(gauge(d), "1")
            d.emit("a.b")
            wait_for(lambda: d.counts()["pending"] == 11)
            self.assertEqual(r.requests, [])
            self.assertEqual(d.stop(), 0)
            done = d.ctl("egress", "resume", raw=True)
            self.assertIn("not running", done.stderr)
            self.assertEqual(d.json("egress", "show")["paused"], False)
            done = d.ctl("egress", "pause", "--yes", "--for", "1h", raw=True)
            self.assertIn("it will start paused", done.stderr)
            d.start()
            self.assertIn("event=egress_paused", d.log())
            self.assertEqual(r.requests, [])
            d.ctl("egress", "resume")
            wait_for(lambda: len(r.requests) == 11)

    def test_it_ends_by_itself_even_after_a_restart(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            d.ctl("egress", "pause", "--yes", "--for", "2s")
            until = d.json("egress", "show")["resume_at"]
            self.assertIsNotNone(until)
            d.emit("a.b")
            d.kill()
            d.start()
            request = wait_for(lambda: r.requests and r.requests[0])
            self.assertGreaterEqual(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(request.at + 0.002)), until[:19])
            self.assertEqual(d.json("egress", "show")["paused"], False)
            self.assertIn("event=egress_resumed", d.log())

    def test_retries_expiry_and_replays(self):
        answer = [503]
        with Daemon("retry: {default: {max_retries: 1, initial_delay: 50ms}}\n") as d, Receiver(lambda *_: answer[0]) as r:
            d.subscribe(r.url)
            for i in range(5):
                d.emit("a.b", {"i": i})
            wait_for(lambda: d.counts()["dead"] == 5)
            sent = len(r.requests)
            d.ctl("egress", "pause", "--yes")
            answer[0] = 200
            job = d.ctl("-o", "id", "dlq", "replay", "--all", "--detach", "--yes").strip()
            d.emit("a.b", expires_at=int(time.time() * 1000) + 500)  # its own expiry holds
            wait_for(lambda: d.json("dlq", "list", "--cause", "expired")["items"])
            self.assertEqual(d.json("job", "show", job)["counts"]["delivered"], 0)
            self.assertEqual(len(r.requests), sent)
            self.assertIn("EGRESS IS PAUSED", d.ctl("dlq", "summary", raw=True).stderr)
            self.assertEqual(d.counts()["dead"], 6)  # the letters stay letters
            d.ctl("egress", "resume")
            d.ctl("job", "watch", job, "--wait", "30s")
            self.assertEqual(len(r.requests), sent + 5)

    def test_on_a_terminal_it_asks(self):
        with Daemon(start=False) as d:
            status, shown = d.terminal("egress", "pause", keys="n\n")
            self.assertEqual(status, 64, shown)
            self.assertIn("Stop all sending", shown)
            self.assertEqual(d.json("egress", "show")["paused"], False)
            status, shown = d.terminal("egress", "pause", "--for", "90m", keys="y\n")
            self.assertEqual(status, 0, shown)
            self.assertIn("for 90m", shown)
            self.assertEqual(d.json("egress", "show")["paused"], True)


if __name__ == "__main__":
    unittest.main()
