"""The store's file cared for by the real binaries: info, schema, check, backup and a restore, with the daemon up and down, beside live traffic."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

from harness import CONF, WEBHOOKCTL, Daemon, Receiver, run_as_nobody, wait_for

FAST = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"


def store(d):
    return f"{d.dir}/store/webhookd.db"


def fill(d, r, dead=20):
    """Delivered, dead, open, keyed, expiring: one of each at least."""
    d.subscribe(r.url + "/good", "--name", "good", "--ordering", "key")
    d.subscribe(r.url + "/bad", "--name", "bad", "--ordering", "key", "--on-dead", "block", events="bad.*")
    for i in range(dead):
        d.emit("bad.a", {"i": i}, **({"ordering_key": "k"} if i % 4 == 0 else {}))
    wait_for(lambda: d.counts()["dead"] >= dead * 3 // 4)
    wait_for(lambda: d.counts()["delivered"] == dead)
    d.subscribe(r.url + "/later", "--name", "later", events="later.*")
    d.ctl("sub", "pause", "later")
    d.emit("later.x", expires_at=4102444800000)
    wait_for(lambda: d.json("event", "list", "--type", "later.*")["items"])


def answer(request, _):
    return 503 if "/bad" in request.path else 200


class Db(unittest.TestCase):
    def findings(self, d, *args, check=0):
        return {x["check"]: x for x in json.loads(d.ctl("-o", "json", "db", "check", *args, check=check))["items"]}

    def test_subscriptions_are_those_that_one_sees(self):
        with Daemon(FAST) as d, Receiver(400) as r:
            for name in ("kept", "gone"):
                d.subscribe(r.url, "--name", name, "--events", "a.*")
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 2)
            d.ctl("dlq", "replay", "-s", "kept", "--to", r.url, "--yes", check=1)
            d.ctl("sub", "delete", "gone", "--yes")

            def subscriptions():
                return {t["name"]: t["rows"] for t in d.json("db", "info")["tables"]}["subscription"]

            self.assertEqual(subscriptions(), len(d.json("sub", "list")["items"]))
            self.assertEqual(d.json("db", "backup", f"{d.dir}/copy.db")["counts"]["subscriptions"], 1)
            r.answer = lambda q, n: time.sleep(0.5) or 200
            d.ctl("dlq", "replay", "-s", "kept", "--to", r.url, "--yes", "--detach")
            self.assertEqual(subscriptions(), 1)

    def test_info_and_schema(self):
        with Daemon(FAST) as d, Receiver(answer) as r:
            fill(d, r)
            for _ in range(2):
                info = d.json("db", "info")
                tables = {t["name"]: t["rows"] for t in info["tables"]}
                self.assertEqual((info["path"], info["schema_version"], info["journal_mode"], info["keys"]),
                                 (store(d), info["schema_known"], "wal", 1))
                self.assertEqual((tables["subscription"], tables["event"]), (3, 21))
                self.assertIn("SQLite 3", d.ctl("db", "info"))
                if d.process.poll() is None:
                    self.assertEqual(d.stop(), 0)
            with contextlib.closing(sqlite3.connect(":memory:")) as db:  # it is SQL that makes the same tables
                db.executescript(d.ctl("db", "schema"))
                self.assertEqual({row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}, set(tables))
                self.assertEqual(db.execute("PRAGMA user_version").fetchone()[0], info["schema_version"])

    def test_sound(self):
        with Daemon(FAST) as d, Receiver(answer) as r:
            fill(d, r)
            for args in ((), ("--quick",)):
                found = self.findings(d, *args)
                self.assertEqual({x["result"] for x in found.values()}, {"ok"}, found)
                self.assertGreater(len(found), 12)
            self.assertEqual(d.ctl("db", "check", raw=True).stderr.strip().splitlines()[-1], f"{store(d)} is sound")
            letters = d.json("dlq", "list")["items"]
            d.ctl("dlq", "replay", letters[0]["id"], "--yes", "--wait", "20s", check=None)
            d.kill()  # a log that nobody has taken into the file
            self.assertEqual({x["result"] for x in self.findings(d).values()}, {"ok"})
            self.assertEqual(self.findings(d)["secrets open"]["detail"], "3 looked at")
            os.rename(f"{d.dir}/key", f"{d.dir}/key.away")
            self.assertEqual(self.findings(d)["sealed rows"]["result"], "unseen")
            os.rename(f"{d.dir}/key.away", f"{d.dir}/key")

    def test_every_damage_is_found(self):
        damages = {
            "UPDATE counts SET n = n + 1 WHERE state = 5": "counts",
            "UPDATE event SET payload = NULL WHERE num IN (SELECT event FROM delivery WHERE state = 0)": "events of open deliveries",
            "INSERT INTO ready SELECT sub, 1, num, 1 FROM delivery WHERE state = 4 LIMIT 1": "ready",
            "DELETE FROM ready": "open deliveries wait somewhere",
            "UPDATE lineup SET key = 'other'": "lines of ordering keys",
            "DELETE FROM expiring": "expiry",
            "DELETE FROM delivery WHERE num = (SELECT min(num) FROM dead)": "dead letters",
            "DELETE FROM dead WHERE num = (SELECT min(num) FROM dead)": "dead deliveries",
            "UPDATE delivery SET last_attempt = 0 WHERE state = 5": "attempts",
            "UPDATE delivery SET state = 6 WHERE state = 4": "payloads",
            "UPDATE secret SET value = zeroblob(60) WHERE num = (SELECT min(num) FROM secret)": "secrets open",
            "UPDATE dead SET payload = zeroblob(60) WHERE num = (SELECT min(num) FROM dead)": "dead letters open",
        }
        with Daemon(FAST) as d, Receiver(answer) as r:
            d.subscribe(r.url + "/bad2", "--name", "only-bad", events="only.*")
            fill(d, r, 8)
            d.emit("only.bad")
            wait_for(lambda: d.json("dlq", "list", "-s", "only-bad")["items"])
            wait_for(lambda: d.ctl("dlq", "count").strip() == "8" or int(d.ctl("dlq", "count")) >= 7)
            self.assertEqual(d.stop(), 0)
            shutil.copy(store(d), f"{d.dir}/sound.db")
            for sql, check in damages.items():
                with self.subTest(check):
                    shutil.copy(f"{d.dir}/sound.db", store(d))
                    with contextlib.closing(sqlite3.connect(store(d), isolation_level=None)) as db:
                        self.assertGreater(db.execute(sql).rowcount, 0)
                    found = self.findings(d, check=1)
                    self.assertEqual(found[check]["result"], "bad", found)
                    self.assertTrue(found[check]["fix"])
            shutil.copy(f"{d.dir}/sound.db", store(d))
            with open(store(d), "r+b") as f:  # a page in the middle is gone
                f.seek(4096 * 5)
                f.write(b"\xff" * 4096)
            self.assertEqual(self.findings(d, check=1)["database file"]["result"], "bad")
            done = d.ctl("db", "backup", f"{d.dir}/b.db", "--verify", check=None, raw=True)
            self.assertIn(done.returncode, (1, 74), done)
            self.assertEqual([x for x in os.listdir(d.dir) if x.startswith("b.db")], [])
            shutil.copy(f"{d.dir}/sound.db", store(d))
            self.assertEqual({x["result"] for x in self.findings(d).values()}, {"ok"})

    def test_backup_beside_live_traffic_and_restore(self):
        with Daemon(FAST) as d, Receiver(answer) as r:
            fill(d, r)
            copy, stop = f"{d.dir}/copy.db", threading.Event()

            def traffic():
                n = 0
                while not stop.is_set():
                    d.emit("live.x", {"n": n})
                    n += 1
            thread = threading.Thread(target=traffic)
            thread.start()
            try:
                backup = d.json("db", "backup", copy, "--verify")
            finally:
                stop.set()
                thread.join()
            self.assertEqual(os.stat(copy).st_mode & 0o7777, 0o600)
            with open(copy, "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), backup["sha256"])
            self.assertEqual((backup["bytes"], backup["verified"], backup["counts"]["subscriptions"]), (os.path.getsize(copy), True, 3))
            self.assertGreaterEqual(backup["counts"]["dead_letters"], 15)
            self.assertEqual([x for x in os.listdir(d.dir) if x.startswith("copy.db")], ["copy.db"])
            done = d.ctl("db", "backup", copy, check=73, raw=True)
            self.assertIn("--force", done.stderr)
            done = d.ctl("db", "backup", copy, "--force", raw=True)
            self.assertIn(f"{d.dir}/key", done.stderr)
            self.assertIn("webhookctl help backup", done.stderr)
            d.ctl("db", "backup", store(d), "--force", check=64)
            d.ctl("db", "backup", d.dir, "--force", check=73)
            d.ctl("db", "backup", f"{d.dir}/nowhere/x.db", check=73)
            # later more happens; then the old state is put back, as help backup says
            dead = d.json("dlq", "list", "--all")["items"]
            self.assertEqual(d.stop(), 0)
            d.ctl("db", "backup", f"{d.dir}/stopped.db")  # without a daemon too
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(store(d) + suffix)
            shutil.copy(copy, store(d))
            d.ctl("db", "check")
            d.start()
            self.assertEqual([x["id"] for x in d.json("dlq", "list", "--all")["items"]], [x["id"] for x in dead])
            self.assertIn("later.x", d.ctl("event", "list", "--type", "later.*"))
            before = len(r.requests)
            d.ctl("sub", "resume", "later")
            wait_for(lambda: len(r.requests) > before)
            self.assertIn("restore", d.ctl("help", "backup"))

    def test_interrupted_and_full(self):
        with Daemon(FAST) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "big", events="never")
            with contextlib.closing(sqlite3.connect(store(d), isolation_level=None)) as db:  # 64 MiB of pages to copy
                db.execute("CREATE TABLE ballast(x)")
                db.executemany("INSERT INTO ballast VALUES(zeroblob(?))", [(1 << 20,)] * 64)
            done = subprocess.run(["prlimit", "--fsize=8388608", WEBHOOKCTL, "-c", d.conf, "db", "backup", f"{d.dir}/b.db"],
                                  capture_output=True, text=True)
            self.assertIn(done.returncode, (73, 74), done)
            self.assertEqual([x for x in os.listdir(d.dir) if x.startswith("b.db")], [])
            process = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "db", "backup", f"{d.dir}/b.db"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_for(lambda: process.poll() is not None or any(x.endswith(".partial") for x in os.listdir(d.dir)))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            names = [x for x in os.listdir(d.dir) if x.startswith("b.db")]
            if process.returncode == 130:
                self.assertIn("no backup was made", err)
                self.assertEqual(names, [])
            else:  # it was done before it heard of it
                self.assertEqual((process.returncode, names), (0, ["b.db"]), err)

    def test_retention(self):
        with Daemon(FAST) as d, Receiver(answer) as r:
            fill(d, r)
            for _ in range(2):
                rules = {x["rule"]: x for x in d.json("retention", "show")["items"]}
                self.assertEqual((rules["delivered"]["key"], rules["delivered"]["keep_seconds"], rules["delivered"]["rows"]),
                                 ("retention.delivered", 7 * 86400, 21))
                self.assertEqual({x["due"] for x in rules.values()}, {0})
                self.assertGreaterEqual(rules["dead_letters"]["rows"], 15)
                self.assertIsNotNone(rules["attempts"]["oldest"])
                self.assertIn("retention.audit", d.ctl("retention", "show"))
                if d.process.poll() is None:
                    self.assertEqual(d.stop(), 0)
            with contextlib.closing(sqlite3.connect(store(d), isolation_level=None)) as db:  # a store that was not swept for long
                db.execute("PRAGMA synchronous=OFF")
                num = db.execute("SELECT min(num) FROM delivery").fetchone()[0]
                db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) INSERT INTO delivery(num, event, sub,"
                           " state, budget_since_ms, due_ms, created_ms, finished_ms, expires_ms)"
                           " SELECT (1000000000 << 21) + i, 1, 1, 4, 1, 1, 1, 1, 0 FROM n")
                self.assertGreater(num, (1000000000 << 21) + 300000)
            rule = d.json("retention", "show")["items"][0]
            self.assertGreater(rule["due"], 1000)
            self.assertTrue(rule["due"] == 300000 or not rule["due_exact"], rule)

    def test_what_cannot_be_looked_at(self):
        with Daemon(start=False) as d:
            for args in (("info",), ("schema",), ("check",), ("backup", f"{d.dir}/x.db")):
                self.assertIn("No such file", d.ctl("db", *args, check=4, raw=True).stderr)
            with open(store(d), "w") as f:
                f.write("not a database at all, but a text of some length\n" * 100)
            d.ctl("db", "info", check=74)
            os.remove(store(d))
            with contextlib.closing(sqlite3.connect(store(d))) as db:
                db.execute("CREATE TABLE t(x)")
                db.commit()
            self.assertIn("no webhookd store", d.ctl("db", "info", check=64, raw=True).stderr)
            os.chmod(store(d), 0o600)
            if os.getuid() == 0:
                os.chmod(d.dir, 0o755)
                os.chmod(f"{d.dir}/store", 0o755)
                done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "db", "info")
                self.assertEqual(done.returncode, 77, done)
                self.assertIn("as the user that webhookd runs as", done.stderr)


if __name__ == "__main__":
    unittest.main()
