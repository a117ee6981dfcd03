"""Dead letters go and come back: purge by its number, exported first, as a job that survives; restore; export and import of many; a full
disk; notes."""
import json
import os
import resource
import subprocess
import threading
import time
import unittest

from harness import SANITIZED, WEBHOOKCTL, Daemon, Receiver, wait_for

CONF = "retry: {default: {max_retries: 0}}\nbreaker: {min_failures: 1000000}\n"


def dead(d, r, n, name="acme"):
    """n dead letters of one subscription."""
    d.subscribe(r.url, "--name", name, "--concurrency", "64")
    for start in range(0, n, 1000):
        d.insert(*[dict(type="trade.settled", event_id=f"{name}-{i}", payload={"n": i}) for i in range(start, min(start + 1000, n))])
    wait_for(lambda: d.counts()["dead"] == n, deadline=90)


class Purge(unittest.TestCase):
    def test_by_its_number_and_back(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 7)
            before = d.ctl("dlq", "export")
            for args, status, word in ((["--all"], 64, "--confirm=7"), (["--all", "--yes"], 64, "--confirm=7"), (["--all", "--confirm=6"], 64, "7 dead letters match"),
                                       ([], 64, "--all"), (["--all", "--confirm=x"], 64, "not a number")):
                done = d.ctl("dlq", "purge", *args, check=status, raw=True)
                self.assertIn(word, done.stderr)
            self.assertEqual(d.ctl("dlq", "count"), "7\n")
            self.assertEqual(d.json("dlq", "purge", "--all", "--limit", "3", "--dry-run")["matched"], 3)
            preview = d.json("dlq", "purge", "--all", "--dry-run")
            self.assertEqual((preview["matched"], preview["purged"], preview["job"]), (7, 0, None))
            done = d.ctl("dlq", "purge", "--all", "--confirm=7", "--note", "INC-1", raw=True)
            self.assertIn("purged 7 dead letters", done.stderr)
            job = done.stderr.split("webhookctl dlq restore ")[1].split()[0]
            self.assertEqual((d.ctl("dlq", "count"), d.counts()["discarded"]), ("0\n", 7))
            self.assertIn(job, d.ctl("audit", "list", "--limit", "1", "-o", "json"))
            said = d.ctl("dlq", "show", "acme-0", check=4, raw=True).stderr
            self.assertIn("was purged", said)
            self.assertIn(f"webhookctl dlq restore {job}", said)
            self.assertEqual(d.json("dlq", "restore", job, "--dry-run")["count"], 7)
            self.assertIn("restored 7", d.ctl("dlq", "restore", job, raw=True).stderr)
            self.assertEqual(d.ctl("dlq", "export"), before)
            self.assertIn("back already", d.ctl("dlq", "restore", job, check=1, raw=True).stderr)
            d.ctl("dlq", "restore", "job_01N8D3VQ0C4T5", check=4)
            r.answer = 200
            d.ctl("dlq", "replay", "--all", "--yes")

    def test_on_a_terminal_the_number_is_typed(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 3)
            status, shown = d.terminal("dlq", "purge", "--all", "--export", f"{d.dir}/kept", keys="2\n")
            self.assertEqual(status, 64)
            self.assertIn("Type 3 to confirm", shown)
            self.assertFalse(os.path.exists(f"{d.dir}/kept"))
            status, shown = d.terminal("dlq", "purge", "--all", "--export", f"{d.dir}/kept", keys="3\n")
            self.assertEqual(status, 0, shown)
            self.assertIn("exported 3", shown)
            with open(f"{d.dir}/kept") as f:
                self.assertEqual(len(f.readlines()), 3)
            self.assertEqual(d.ctl("dlq", "count"), "0\n")

    def test_older_than(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 2)
            self.assertIn("No dead letters match", d.ctl("dlq", "purge", "--older-than", "1h", "--dry-run", raw=True).stderr)
            d.ctl("dlq", "purge", "--older-than", "0s", "--confirm=2")
            d.ctl("dlq", "purge", "--older-than", "1h", "--until", "1h", check=64)

    def test_without_a_grace_it_is_erased(self):
        with Daemon(CONF + "dead_letter: {purge_grace: 0s}\n") as d, Receiver(503) as r:
            dead(d, r, 2)
            done = d.ctl("dlq", "purge", "--all", "--confirm=2", "-o", "json", raw=True)
            self.assertIsNone(json.loads(done.stdout)["recoverable_until"])
            self.assertIn("erased", d.ctl("dlq", "restore", json.loads(done.stdout)["job"], check=1, raw=True).stderr)

    def test_exactly_what_the_file_holds(self):
        """While the export is written one letter is sent again and dies again, others die, and one comes back that died long before: none of
        them is purged, since none is in the file as it is now."""
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 600)
            old = d.ctl("-q", "dlq", "list", "--limit", "1").strip()
            d.ctl("dlq", "export", old, "-f", f"{d.dir}/old")
            d.ctl("dlq", "purge", old, "--confirm=1")
            again = d.ctl("-q", "dlq", "list", "--limit", "1").strip()  # the first that is written
            os.mkfifo(f"{d.dir}/slow")
            purge = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "dlq", "purge", "--all", "--confirm=599", "--export", f"{d.dir}/slow"],
                                     stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            with open(f"{d.dir}/slow") as f:
                first = f.readline()  # the rest does not fit into the pipe: the export stands still
                self.assertEqual(json.loads(first)["delivery"], again)
                d.ctl("dlq", "replay", again, "--yes", check=1)
                d.insert(*[dict(type="trade.settled", event_id=f"new-{i}") for i in range(3)])
                d.ctl("dlq", "import", "-f", f"{d.dir}/old")
                wait_for(lambda: d.counts()["dead"] == 599 + 3 + 1)
                lines = [first, *f.readlines()]
            said = purge.communicate()[1]
            self.assertEqual(purge.returncode, 0, said)
            self.assertIn("purged 598 dead letters", said)
            self.assertIn("1 of them was not purged", said)
            self.assertEqual(len({json.loads(line)["delivery"] for line in lines}), 599)
            left = set(d.ctl("-q", "dlq", "list", "--all").split())
            self.assertEqual(len(left), 5)
            self.assertLess({old, again}, left)
            self.assertNotIn(old, "".join(lines))

    def test_the_look_says_what_would_go(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 4)
            dead_sub = d.json("dlq", "list")["items"][0]["subscription"]
            d.subscribe(r.url, "--name", "globex")
            d.insert(dict(type="fill.x", event_id="f"))
            wait_for(lambda: d.counts()["dead"] == 6)
            got = d.json("dlq", "purge", "--all", "--dry-run")
            self.assertEqual([(g["subscription"], g["count"]) for g in got["subscriptions"]], [(dead_sub, 5), ("globex", 1)])
            self.assertEqual([(t["type"], t["count"]) for t in got["types"]], [("trade.settled", 4), ("fill.x", 2)])
            self.assertLess(got["oldest_died_at"], got["newest_died_at"])
            self.assertEqual(sum(g["payload_bytes"] for g in got["subscriptions"]), got["payload_bytes"])
            shown = d.ctl("dlq", "purge", "--type", "trade.*", "--dry-run")
            self.assertIn("Would purge 4 dead letters", shown)
            self.assertIn("webhookctl dlq restore", shown)
            self.assertEqual(d.json("dlq", "purge", "--contains", '"n": 3', "--dry-run")["matched"], 1)
            self.assertEqual(d.ctl("dlq", "count"), "6\n")
            # over the API: the number must be right; of a set that was looked at before, some may have left it
            look = d.api("POST", "/dead-letters/purge", {"filter": {"type": "fill.x"}, "dry_run": True})[1]
            fixed = {"type": "fill.x", "arrived_before": look["arrived_before"]}
            d.insert(dict(type="fill.x", event_id="g"))
            wait_for(lambda: d.counts()["dead"] == 8)
            self.assertEqual(d.api("POST", "/dead-letters/purge", {"filter": {"type": "fill.x"}, "confirm": 2})[0], 409)
            self.assertEqual(d.api("POST", "/dead-letters/purge", {"filter": fixed, "confirm": 1})[0], 409)
            d.ctl("dlq", "purge", "-s", "globex", "--event", "f", "--confirm=1")
            self.assertEqual(d.api("POST", "/dead-letters/purge", {"filter": fixed, "confirm": 2})[0], 202)
            wait_for(lambda: d.counts()["dead"] == 6)
            self.assertEqual(d.ctl("dlq", "count", "--type", "fill.x"), "2\n")

    def test_with_the_daemon_stopped(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 300)
            before = d.ctl("dlq", "export")
            self.assertEqual(d.stop(), 0)
            got = d.json("dlq", "purge", "--all", "--confirm=300", "--export", f"{d.dir}/kept")
            self.assertEqual((got["purged"], got["exported"]), (300, 300))
            self.assertEqual(d.json("dlq", "restore", got["job"])["restored"], 300)
            d.ctl("dlq", "note", d.ctl("-q", "dlq", "list", "--limit", "1").strip(), "seen")
            d.start()
            with open(f"{d.dir}/kept") as f:
                self.assertEqual(f.read(), before)
            self.assertEqual(d.ctl("dlq", "count"), "300\n")

    def test_survives_kill_9(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 3000)
            before = d.ctl("dlq", "export")
            job = d.json("dlq", "purge", "--all", "--confirm=3000", "--detach")["job"]
            d.kill()
            d.start()
            d.ctl("job", "watch", job, check=None)
            wait_for(lambda: d.ctl("dlq", "count") == "0\n")
            self.assertEqual(d.json("job", "show", job)["counts"]["done"], 3000)
            back = d.json("dlq", "restore", job, "--detach")["job"]
            d.kill()
            d.start()
            wait_for(lambda: d.json("job", "show", back)["state"] == "done")
            self.assertEqual(d.ctl("dlq", "export"), before)


def slowly(path):
    """Reads it as a slow disk takes it: a second for the letters of a test."""
    with open(path, "rb", buffering=0) as f:
        while f.read(1024):
            time.sleep(0.004)


class Files(unittest.TestCase):
    def test_what_has_the_name_is_whole(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 600)
            path = f"{d.dir}/out/kept"
            os.mkdir(f"{d.dir}/out")
            with open(path, "w") as f:
                f.write("what was there before\n")
            d.ctl("dlq", "export", "-f", path, check=73)
            size = 64 << 10  # the file may not grow beyond, as on a disk that is full

            def small():
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            for args in (["export", "-f", path, "--force"], ["purge", "--all", "--confirm=600", "--export", path, "--force"]):
                # with the daemon up: the limit is webhookctl's alone
                done = subprocess.run([WEBHOOKCTL, "-c", d.conf, "dlq", *args], preexec_fn=small, capture_output=True, text=True, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 73, done.stderr)
                self.assertRegex(done.stderr, r"File too large after \d+ of 600 dead letters")
                with open(path) as f:
                    self.assertEqual(f.read(), "what was there before\n")
                self.assertEqual(os.listdir(f"{d.dir}/out"), ["kept"])
            self.assertEqual(d.ctl("dlq", "count"), "600\n")
            for command in (["-f", "/dev/full"], []):
                with open("/dev/full", "w") as full:
                    done = subprocess.run([WEBHOOKCTL, "-c", d.conf, "dlq", "export", *command], stdout=full, stderr=subprocess.PIPE, text=True,
                                          stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 73, done.stderr)
                self.assertIn("No space left on device after 0 of 600", done.stderr)
            d.ctl("dlq", "export", "-f", path, "--force")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with open(path) as f:
                self.assertEqual(len(f.readlines()), 600)

    def test_interrupted_import_goes_on_with_the_same_file(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 500)
            path = f"{d.dir}/kept"
            d.ctl("dlq", "export", "-f", path)
            d.ctl("dlq", "purge", "--all", "--confirm=500")
            with open(path) as f:
                lines = f.readlines()
            self.assertEqual(d.json("dlq", "import", "--dry-run", "-f", path)["imported"], 500)
            self.assertEqual(d.ctl("dlq", "count"), "0\n")
            d.ctl("dlq", "import", stdin="".join(lines[:200]))
            lines[100] = "{\n"
            done = d.ctl("-o", "json", "dlq", "import", stdin="".join(lines), check=65, raw=True)
            got = json.loads(done.stdout)
            self.assertEqual((got["imported"], got["skipped"], got["errors"]), (300, 199, 1))
            self.assertIn("line 101: ", done.stderr)
            self.assertIn("import the same file again", done.stderr.replace("\n", " "))
            with open(path) as f:
                self.assertEqual(d.ctl("dlq", "export"), f.read())

    def test_a_bar_on_a_terminal_only(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 300)
            status, shown = d.terminal("dlq", "export", "-f", f"{d.dir}/kept")
            self.assertEqual(status, 0)
            if not SANITIZED:
                self.assertNotIn("[", shown)  # done before anybody could have read it
            os.mkfifo(f"{d.dir}/slow")
            reader = threading.Thread(target=slowly, args=(f"{d.dir}/slow",))
            reader.start()
            status, shown = d.terminal("dlq", "export", "-f", f"{d.dir}/slow")
            reader.join()
            self.assertEqual(status, 0)
            self.assertRegex(shown, r"\[=*>? *\] +\d+/300")
            reader = threading.Thread(target=slowly, args=(f"{d.dir}/slow",))
            reader.start()
            self.assertNotIn("[", d.ctl("dlq", "export", "-f", f"{d.dir}/slow", raw=True).stderr)
            reader.join()
            status, shown = d.terminal("dlq", "import", "-f", f"{d.dir}/kept")
            self.assertIn("300 that were here already", shown)

    def test_note(self):
        with Daemon(CONF) as d, Receiver(503) as r:
            dead(d, r, 1)
            d.ctl("dlq", "note", "acme-0", "called \x1b[31macme, ticket 4711")
            self.assertEqual(d.json("dlq", "list")["items"][0]["note"], "called \x1b[31macme, ticket 4711")
            self.assertIn("called \\x1b[31macme", d.ctl("dlq", "show", "acme-0"))
            d.ctl("dlq", "note", "acme-0", "")
            self.assertIsNone(d.json("dlq", "list")["items"][0]["note"])
            d.ctl("dlq", "note", "nobody", "x", check=4)


if __name__ == "__main__":
    unittest.main()
