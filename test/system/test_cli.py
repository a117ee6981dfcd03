"""webhookctl from the operator's chair: on a terminal and in a pipe, with the daemon up, down and killed in the middle, as
somebody without permission, and with text from partners that means harm."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, free_port, run_as_nobody, wait_for

QUICK = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
EVIL = (503, {"X-Evil": "\x1b[31mred"}, b"\x1b]0;owned\x07up \xe2\x80\xae stream \xc2\x9b31m" + b"A" * 300)


def dead(d, n):
    wait_for(lambda: int(d.ctl("dlq", "count")) == n, what=f"{n} dead letters")


def catches(pid, number):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("SigCgt:")), 16) >> number - 1 & 1


class Terminal(unittest.TestCase):
    def test_nothing_of_a_partner_reaches_the_terminal_raw(self):
        with Daemon(QUICK) as d, Receiver(lambda r, n: EVIL) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("trade.settled", {"x": "\x1b[2J \u202e \u009b31m"}, event_id="E-1")
            d.insert(dict(type="bad\x1b[31mtype"))
            dead(d, 1)
            wait_for(lambda: d.json("outbox", "rejects", "list")["items"])
            reject = d.ctl("-o", "id", "outbox", "rejects", "list").strip()
            for command in (["dlq", "show", "E-1", "--body"], ["dlq", "list"], ["dlq", "summary"], ["delivery", "show", "E-1"],
                            ["event", "show", "E-1", "--body"], ["event", "list"], ["attempt", "list", "E-1"], ["job", "list"],
                            ["outbox", "rejects", "list"], ["outbox", "rejects", "show", reject], ["audit", "list"]):
                for width in (40, 120):
                    status, shown = d.terminal(*command, columns=width)
                    self.assertEqual(status, 0, command)
                    self.assertIsNone(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.sub("\x1b\\[(0|1|3[123])m", "", shown)), (command, shown))

    def test_a_narrow_terminal_keeps_ids_whole(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "a-rather-long-name")
            d.emit("a.type.that.goes.on.and.on.and.on", event_id="E" * 100)
            dead(d, 1)
            id_ = d.ctl("-o", "id", "dlq", "list").strip()
            for width in (40, 60, 110):
                shown = d.terminal("dlq", "list", columns=width, term="dumb")[1]
                self.assertIn(id_, shown)
                self.assertRegex(shown, r"…|\(too narrow for")  # what gives way says so
                self.assertTrue(all(len(line) <= width or line.startswith("(too narrow") for line in shown.splitlines()), shown)
            self.assertIn("EEE…\n", d.terminal("dlq", "list", columns=170, term="dumb")[1])
            self.assertIn("E" * 100 + "\n", d.terminal("dlq", "list", columns=250)[1])

    def test_asks_shows_whom_it_reaches_and_how_far_it_is(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b") for _ in range(10)])
            dead(d, 10)
            status, shown = d.terminal("dlq", "replay", "--all", "--rate", "20/s", keys="n\n")
            self.assertEqual(status, 64)
            for part in ("acme", "failing", r.url, "10 dead letters at 20/s", "nothing was changed"):
                self.assertIn(part, shown)
            dead(d, 10)
            looked = threading.Event()  # the endpoint is slow until somebody has seen how far it is
            r.answer = lambda q, n: looked.wait(20) and 200
            status, shown = d.terminal("dlq", "replay", "--all", "--rate", "20/s", keys="y\n", columns=50, env={"NO_COLOR": "1"},
                                       watch=lambda text: b"0/10  0%" in text and looked.set())
            self.assertEqual(status, 0)
            self.assertIn("10 delivered, 0 dead again", shown)
            self.assertIn("0/10  0%  ", shown)
            self.assertIn("canary  1/1 delivered", shown)
            self.assertNotIn("\x1b", shown)
            for line in re.findall(r"\r([^\r\n]*)(?=\r)", shown):
                self.assertLess(len(line), 50, line)
            self.assertIn("job_", shown)
            for how in ({"term": "dumb"}, {"env": {"NO_COLOR": "1"}}):
                self.assertNotIn("\x1b", d.terminal("job", "list", **how)[1])

    def test_a_dumb_terminal_is_not_written_over(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.emit("a.b")
            dead(d, 1)
            _, shown = d.terminal("dlq", "replay", "--all", "--yes", term="dumb")
            self.assertNotIn("\r", shown)


class Ids(unittest.TestCase):
    def test_a_delivery_and_its_event_stand_for_each_other(self):
        with Daemon(QUICK) as d, Receiver(400) as r, Receiver(200) as good:
            d.subscribe(r.url, "--name", "acme", events="a.*")
            d.emit("a.one", event_id="E-1")
            dead(d, 1)
            id_ = d.ctl("-o", "id", "dlq", "list", "E-1").strip()
            for noun in ("dlq", "delivery", "event"):
                self.assertEqual(d.json(noun, "show", "E-1"), d.json(noun, "show", id_), noun)
            self.assertEqual(d.json("attempt", "list", "E-1"), d.json("attempt", "list", id_))
            self.assertEqual(d.json("delivery", "list", "E-1"), d.json("delivery", "list", id_))
            self.assertEqual(d.ctl("dlq", "count", "E-1"), "1\n")
            self.assertEqual(d.ctl("dlq", "export", "E-1"), d.ctl("dlq", "export", id_))
            d.subscribe(good.url, "--name", "other", events="a.*")
            d.emit("a.two", event_id="E-2")
            dead(d, 2)
            self.assertIn("several", d.ctl("delivery", "show", "E-2", check=64, raw=True).stderr)
            r.answer = 200
            d.ctl("dlq", "replay", "E-1", "--yes")
            self.assertIn(f"delivery {id_} is delivered", d.ctl("dlq", "show", "E-1", check=4, raw=True).stderr)
            self.assertIn("delivery show", d.ctl("dlq", "replay", "E-1", "--yes", check=4, raw=True).stderr)

    def test_a_job_names_what_it_sent_and_can_be_held(self):
        state = {"status": 400}
        with Daemon(QUICK) as d, Receiver(lambda r, n: state["status"]) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b") for _ in range(12)])
            dead(d, 12)
            state["status"] = 200
            job = d.ctl("-o", "id", "dlq", "replay", "--all", "--rate", "3/s", "--detach", "--yes").strip()
            d.ctl("job", "pause", job)
            self.assertEqual(d.json("job", "show", job)["state"], "paused")
            self.assertIn("job resume", d.ctl("job", "watch", job, check=75, raw=True).stderr)
            self.assertGreater(int(d.ctl("dlq", "count")), 0)
            d.ctl("job", "resume", job)
            self.assertIn("12 delivered", d.ctl("job", "watch", job))
            self.assertEqual(len(d.ctl("-o", "id", "delivery", "list", "--job", job).split()), 12)
            d.ctl("job", "pause", job, check=1)  # it is done


class Why(unittest.TestCase):
    def test_no_status_shows_the_outcome_and_the_summary_says_what_to_do(self):
        with Daemon(QUICK) as d:
            d.subscribe(f"http://127.0.0.1:{free_port()}/x", "--name", "down")
            d.emit("a.b")
            dead(d, 1)
            self.assertIn(" connect ", d.ctl("dlq", "list"))
            wait_for(lambda: "failing since" in d.ctl("dlq", "summary"), what="the endpoint's health is written")
            text = d.ctl("dlq", "summary")
            self.assertIn(" connect ", text)
            shown = re.search(r"Why:  webhookctl (.*)", text).group(1).split()
            self.assertIn("connect", d.ctl(*shown))
            # it fails: why comes first, and then what sends it again
            self.assertIn("connect", d.ctl(*re.search(r"Next: webhookctl (.*)", text).group(1).split()))
            preview = re.search(r"webhookctl (dlq replay .*)", text).group(1).split()
            self.assertIn("Would replay 1 dead letter (1 a.b), 2 B, died", d.ctl(*preview))
            d.ctl("subscription", "pause", "down")
            self.assertIn("webhookctl sub resume down", d.ctl(*preview))
            d.ctl("subscription", "delete", "down", "--yes")
            self.assertNotIn("Next:", d.ctl("dlq", "summary"))  # what is deleted cannot be replayed
            self.assertIn("Left out: 1", d.ctl("dlq", "replay", "--all", "--dry-run"))


class Both(unittest.TestCase):
    """Up, down and in between."""

    def test_every_answer_is_the_same_offline(self):
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme")
            d.subscribe(r.url, "--name", "paused", events="z")
            d.ctl("partner", "add", "globex")
            d.insert(*[dict(type=f"a.{n % 3}", event_id=f"E-{n}") for n in range(20)])
            d.insert(dict(type="bad type"))
            dead(d, 20)
            d.ctl("dlq", "replay", "E-1", "--yes", check=1)
            job = d.ctl("-o", "id", "job", "list").strip()
            before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))  # an export leaves an entry
            wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) >= before, what="what was done lies behind")
            commands = [c.split() for c in (
                "dlq summary", "dlq list", "dlq list --status 5xx --limit 3", "dlq list --type a.1", "dlq count", "dlq show E-2",
                "dlq export", "dlq replay --all --dry-run --rate 5/s", "job list", f"job show {job}", "event list", "event show E-1 --body",
                "delivery list --all", "delivery list --state dead --limit 4", f"delivery list --job {job}", "delivery show E-3",
                "attempt list E-1", "subscription list", "subscription show acme", "partner list", "outbox rejects list", f"audit list --until {before}",
                "config show", "egress check https://10.0.0.1/", "subscription show nobody", "dlq list -s nobody", "dlq show nothing")]
            # the health of an endpoint is written a second behind, and when the daemon stops
            # how far an export is depends on when its pages end
            varies = re.compile(r'"(timestamp|correlation_id|last_failure_at|until)": ?"[^"]*"|--until \S+Z|^\d+ of \d+ \(\d+%\).*\n', re.M)
            masked = lambda s: varies.sub("", s)
            look = lambda: [(c, o, x.returncode, masked(x.stdout), masked(x.stderr)) for c in commands for o in ("table", "json", "jsonl", "id")
                            for x in [d.ctl("-o", o, *c, check=None, raw=True)]]
            up = look()
            self.assertEqual(d.stop(), 0)
            for was, now in zip(up, look()):
                self.assertEqual(was, now)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, and somebody else")
    def test_what_root_makes_first_is_the_folders_owners(self):
        """A subscription that root adds before the first start must not lock webhookd out of its store."""
        with Daemon(start=False) as d:
            os.chmod(d.dir, 0o755)
            for path in (d.dir, f"{d.dir}/store"):
                os.chown(path, 65534, 65534)
            d.ctl("partner", "add", "first")
            for name in ("store/webhookd.db", "store/webhookd.db.lock", "key"):
                self.assertEqual(os.stat(f"{d.dir}/{name}").st_uid, 65534, name)
            done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "partner", "add", "second")
            self.assertEqual(done.returncode, 0, done.stderr)
            d.ctl("partner", "add", "third")
            self.assertIn("third", run_as_nobody(WEBHOOKCTL, "-c", d.conf, "partner", "list").stdout)

    def test_no_log_of_the_daemons_among_the_words(self):
        with Daemon(start=False) as d:
            done = d.ctl("event", "emit", "--type", "a.b", raw=True)  # nobody subscribes: the daemon would log that
            self.assertNotIn("level=", done.stderr)
            self.assertIn("no subscription matches", done.stderr)

    def test_a_daemon_that_ends_under_a_request(self):
        """Who only looks looks again, at the store itself; who changes something is told that nobody knows."""
        def end_at_once(listener):
            connection = listener.accept()[0]
            connection.recv(65536)
            os.unlink(f"{d.dir}/webhookd.sock")
            listener.close()
            connection.close()

        with Daemon() as d:
            self.assertEqual(d.stop(), 0)
            for args, status, says in ((["dlq", "count"], 0, ""), (["partner", "add", "acme"], 69, "whether it was done is not known")):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{d.dir}/webhookd.sock")
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(f"{d.dir}/webhookd.sock")
                listener.listen()
                ending = threading.Thread(target=end_at_once, args=(listener,))
                ending.start()
                done = d.ctl(*args, check=status, raw=True)
                ending.join()
                self.assertIn(says, done.stderr)
                self.assertEqual(done.stdout, "0\n" if status == 0 else "")

    def test_a_daemon_that_is_killed_under_a_replay(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b") for _ in range(20)])
            dead(d, 20)
            r.requests.clear()
            killed = threading.Event()
            r.answer = lambda q, n: (n == 1 or killed.wait(20)) and 200  # it cannot be over before
            killer = threading.Thread(target=lambda: (wait_for(lambda: len(r.requests) >= 2), d.kill(), killed.set()))
            killer.start()
            done = d.ctl("dlq", "replay", "--all", "--rate", "10/s", "--yes", check=75, raw=True)
            killer.join()
            self.assertIn("goes on when webhookd starts", done.stderr)
            d.start()
            self.assertIn("20 delivered", d.ctl("job", "watch", re.search(r"job_\w+", done.stderr).group(0)))

    def test_interrupt_leaves_the_job_running(self):
        with Daemon(QUICK) as d, Receiver(400) as r:
            d.subscribe(r.url, "--name", "acme")
            d.insert(*[dict(type="a.b") for _ in range(10)])
            dead(d, 10)
            r.requests.clear()
            interrupted = threading.Event()
            r.answer = lambda q, n: interrupted.wait(20) and 200  # it cannot be over before
            p = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "dlq", "replay", "--all", "--rate", "5/s", "--yes"], text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wait_for(lambda: len(r.requests) >= 1 and catches(p.pid, signal.SIGINT))  # before, it would die of it
            p.send_signal(signal.SIGINT)
            self.assertIn("job watch", p.communicate()[1])
            self.assertEqual(p.returncode, 130)
            interrupted.set()
            dead(d, 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_without_permission(self):
        with Daemon() as d:
            os.chmod(d.dir, 0o755)
            run = lambda: run_as_nobody(WEBHOOKCTL, "-c", d.conf, "dlq", "list")
            os.chmod(d.conf, 0o644)
            done = run()
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertIn("member of its group", done.stderr)
            os.chmod(d.conf, 0o600)
            done = run()
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertIn("member of webhookd's group", done.stderr)


class Json(unittest.TestCase):
    def test_what_the_screens_show_is_in_the_json(self):
        with Daemon(QUICK) as d, Receiver(503) as r:
            d.subscribe(r.url)
            d.emit("a.b", {"n": 1}, event_id="E-1")
            dead(d, 1)
            shown = d.json("delivery", "show", "E-1")
            self.assertEqual([a["outcome"] for a in shown["attempt_log"]], ["http_5xx", "http_5xx"])
            listed = d.json("attempt", "list", "E-1")["items"]  # whose they are, but not the answers' heads and bodies
            self.assertTrue(listed)
            for item, attempt in zip(listed, shown["attempt_log"], strict=True):
                self.assertEqual({k: v for k, v in item.items() if k in attempt}, {k: v for k, v in attempt.items() if k in item})
            for line in d.ctl("-o", "json", "attempt", "list", "E-1").splitlines():
                if "_seconds" in line:  # microseconds, without the noise of binary fractions
                    self.assertLess(len(line.split(":")[1].strip(" ,")), 12, line)
            # all are dead: the event's payload is sealed with its letter
            self.assertIn('{"n": 1}', d.ctl("event", "show", "E-1", "--body"))
            self.assertEqual(d.json("event", "show", "E-1", "--body")["payload"], {"n": 1})
            d.ctl("dlq", "purge", "--all", "--confirm=1")
            self.assertIn("not kept any more", d.ctl("event", "show", "E-1", "--body"))
            self.assertEqual(len(d.ctl("-o", "jsonl", "config", "show").splitlines()), 1)
            self.assertEqual(json.loads(d.ctl("-o", "jsonl", "config", "show")), d.json("config", "show"))


class Pipes(unittest.TestCase):
    def test_a_reader_that_goes_away(self):
        with Daemon() as d:
            d.insert(*[dict(type="a.b", event_id=f"{'x' * 100}-{n}") for n in range(3000)])
            wait_for(lambda: len(d.ctl("-o", "id", "event", "list", "--all").split()) == 3000)
            done = subprocess.run(["bash", "-c", f"'{WEBHOOKCTL}' -c '{d.conf}' event list --all | head -1; echo ${{PIPESTATUS[0]}}"],
                                  capture_output=True, text=True)
            self.assertEqual(done.stderr, "")
            self.assertEqual(done.stdout.splitlines()[1], "141")
            for close, status in ((">&-", 74), ("2>&-", 0), ("<&-", 0), ("<&- >&- 2>&-", 74)):
                # a socket or the store's file must not get the number of what was closed
                done = subprocess.run(["bash", "-c", f"'{WEBHOOKCTL}' -c '{d.conf}' event emit --type a.b {close}"])
                self.assertEqual(done.returncode, status, close)
            with open("/dev/full", "w") as full:
                done = subprocess.run([WEBHOOKCTL, "-c", d.conf, "event", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 74)

    def test_every_command_explains_itself(self):
        ctl = lambda *a: subprocess.run([WEBHOOKCTL, *a], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        commands = [row["command"] for row in json.loads(ctl("help", "commands", "-o", "json").stdout)["items"]]
        for command in commands:
            self.assertIn(f"\n  {command}", "\n" + ctl("help", "commands").stdout)
        self.assertGreater(len(commands), 40)
        for command in commands:
            done = ctl(*command.split(), "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            for part in (f"usage: webhookctl {command.strip()}", "\nexample:\n  webhookctl ", "\nexit status:\n  0 ", "webhookctl help flags"):
                self.assertIn(part, done.stdout, command)
            usage, *lines = done.stdout.splitlines()
            self.assertTrue(all(len(line) <= 90 or line.startswith("  webhookctl") for line in lines), command)

    def test_errors_are_json_where_json_was_asked_for(self):
        with Daemon() as d:
            for args, status in ((["dlq", "show", "no"], 4), (["dlq", "replay"], 64), (["dlq", "list", "--status", "x"], 64)):
                done = d.ctl("-o", "json", *args, check=status, raw=True)
                self.assertEqual(done.stdout, "")
                self.assertIn("code", json.loads(done.stderr)["error"])


class Saying(unittest.TestCase):
    def test_what_is_wrong_in_the_words_of_who_typed_it(self):
        with Daemon() as d:
            d.ctl("event", "emit", "--type", "a.b", "--id", "X", "--data", '{"n":1}')
            with open(f"{d.dir}/huge", "w") as f:
                f.write('"' + "x" * (9 << 20) + '"')
            rows = ((["event", "emit", "--type", "a.b", "--id", "X", "--data", '{"n":2}'], 1, "webhookctl: id: 'X' was seen with other content"),
                    (["event", "emit", "--type", "a.b", "--id", "b d"], 65, "webhookctl: id: 'b d' is not an id"),
                    (["dlq", "count", "b d"], 64, "'b d' is not the id of a delivery (dlv_…) or of an event"),
                    (["event", "emit", "--type", "a.b", "--data", f"@{d.dir}/huge"], 65, "larger than 8388608 bytes"),
                    (["event", "emit", "--type", "a.b", "--data", f"@{d.dir}/none"], 66, "No such file or directory"),
                    (["outbox", "init", f"{d.dir}/o.db", "--table", "my outbox"], 64, "letters, digits and _"),
                    (["outbox", "init", f"{d.dir}/none/o.db"], 74, "No such file or directory"),
                    (["outbox", "init", d.conf], 74, "not a database"),
                    (["subscription", "show", "nobody"], 4, "no subscription 'nobody'"))
            for args, status, says in rows:
                self.assertIn(says, d.ctl(*args, check=status, raw=True).stderr)


if __name__ == "__main__":
    unittest.main()
