"""The outbox's hazards, with producers of their own: journals, re-issued sequences, bad rows, floods, permissions, the doorbell."""
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

from harness import CONF, Daemon, Receiver, WEBHOOKCTL, WEBHOOKD, run_as_nobody, wait_for

ONE = CONF.replace("  - url: sqlite://{dir}/outbox/outbox.db\n", "  - url: sqlite://{dir}/outbox/trades.db\n")


def producer(d, name="trades.db", journal="wal", encoding=None, sql=None):
    """A producer's own database with the outbox table in it."""
    path = f"{d.dir}/outbox/{name}"
    if encoding:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA encoding='{encoding}'")
            db.execute("CREATE TABLE trade(id INTEGER PRIMARY KEY, what TEXT)")
            db.commit()
    if sql:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(sql)
    else:
        subprocess.run([WEBHOOKCTL, "outbox", "init", path] + (["--wal"] if journal == "wal" else []), check=True, capture_output=True)
    db = sqlite3.connect(path, isolation_level=None, timeout=20)
    if journal != "wal":
        db.execute(f"PRAGMA journal_mode={journal}")
    return db


def put(db, *payloads, type="a.b"):
    db.execute("BEGIN IMMEDIATE")
    for p in payloads:
        db.execute("INSERT INTO outbox(type, payload) VALUES (?,?)", (type, json.dumps(p)))
    db.execute("COMMIT")


class Producers(unittest.TestCase):
    def deliver(self, **how):
        with Daemon(start=False, replace=ONE) as d, Receiver() as r, contextlib.closing(producer(d, **how)) as db:
            d.start()
            d.subscribe(r.url)
            for n in range(20):
                put(db, {"text": f"grün {n} €"})
            wait_for(lambda: len(r.requests) == 20)
            self.assertEqual(sorted(x.json["data"]["text"] for x in r.requests), sorted(f"grün {n} €" for n in range(20)))
            return d

    def test_wal(self):
        self.deliver()

    def test_rollback_journal_stays_what_it_is(self):
        self.deliver(journal="delete")

    def test_text_in_utf16(self):
        self.deliver(encoding="UTF-16le")

    def test_without_autoincrement_and_with_columns_of_its_own(self):
        self.deliver(sql="CREATE TABLE outbox(seq INTEGER PRIMARY KEY, type TEXT, payload, mine TEXT DEFAULT 'left alone')")

    def test_two_outboxes(self):
        conf = ONE.replace("trades.db\n", "trades.db\n  - {url: 'sqlite://{dir}/outbox/b.db', source: second}\n")
        with Daemon(start=False, replace=conf) as d, Receiver() as r, contextlib.closing(producer(d)) as a, \
                contextlib.closing(producer(d, name="b.db")) as b:
            d.start()
            d.subscribe(r.url)
            for n in range(50):
                put(a, {"n": n})
                put(b, {"n": n})
            wait_for(lambda: len(set(r.ids())) == 100)
            sources = [x.json["metadata"]["source"] for x in r.requests]
            self.assertEqual(sources.count("second"), 50)

    def test_a_deferred_producer_that_reads_and_then_writes(self):
        """trim: producer and off never write behind its back; it never meets SQLITE_BUSY_SNAPSHOT."""
        for trim in ("producer", "off"):
            conf = ONE.replace("trades.db\n", "trades.db\n    trim: %s\n" % trim)
            with self.subTest(trim), Daemon(start=False, replace=conf) as d, Receiver() as r, contextlib.closing(producer(d)) as db:
                d.start()
                d.subscribe(r.url)
                busy = 0
                for n in range(100):
                    db.execute("BEGIN")
                    db.execute("SELECT count(*) FROM outbox").fetchone()
                    try:
                        db.execute("INSERT INTO outbox(type, payload) VALUES ('a.b', ?)", (json.dumps({"n": n}),))
                        db.execute("COMMIT")
                    except sqlite3.OperationalError:
                        busy += 1
                        db.execute("ROLLBACK")
                wait_for(lambda: len(set(r.ids())) == 100 - busy)
                self.assertEqual(busy if trim == "off" else 0, 0)

    def test_a_sequence_issued_again_after_a_restored_backup(self):
        with Daemon(start=False, replace=ONE) as d, Receiver() as r:
            db = producer(d)
            put(db, {"n": "one"})
            with contextlib.closing(sqlite3.connect(f"{d.dir}/backup.db")) as copy:
                db.backup(copy)
            d.start()
            wait_for(lambda: 'webhookd_events_ingested_total{source="outbox"} 1' in d.metrics())
            d.subscribe(r.url)
            put(db, {"n": "two"}, {"n": "three"})
            wait_for(lambda: len(r.requests) == 2)  # "one" met no subscription
            d.stop()
            db.close()
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{d.dir}/outbox/trades.db{suffix}")
            os.rename(f"{d.dir}/backup.db", f"{d.dir}/outbox/trades.db")
            d.start()
            with contextlib.closing(sqlite3.connect(f"{d.dir}/outbox/trades.db", isolation_level=None, timeout=20)) as db:
                put(db, {"n": "two again"})  # the same seq as "two", other content: a new event
                wait_for(lambda: "two again" in [x.json["data"]["n"] for x in r.requests])
                put(db, {"n": "four"})
                wait_for(lambda: "four" in [x.json["data"]["n"] for x in r.requests])
            self.assertEqual(len(r.requests), 4)

    def test_a_flood(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            for batch in range(10):
                d.insert(*[dict(type="a.b", event_id=f"e{batch}:{n}") for n in range(300)])
            wait_for(lambda: len(set(r.ids())) == 3000, 90)

    def test_trimmed_rows_are_those_that_were_taken(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            d.insert(*[dict(type="a.b") for _ in range(30)])
            wait_for(lambda: len(r.requests) == 30)
            with contextlib.closing(d.outbox()) as db:
                wait_for(lambda: db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0, 60)


class Rows(unittest.TestCase):
    def test_bad_rows_of_each_kind(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            bad = [dict(type="a.b", payload="{nope"), dict(type="a.b", payload=""), dict(type="a b", payload="{}"), dict(type="", payload="{}"),
                   dict(type="x" * 129, payload="{}"), dict(type="a.b", payload="{}", event_id="no dots."),
                   dict(type="a.b", payload="{}", event_id="x" * 129), dict(type="a.b", payload="{}", partner="nobody"),
                   dict(type="a.b", payload="{}", deliver_after=1700000000), dict(type="a.b", payload="{}", expires_at=1700000000),
                   dict(type="a.b", payload=b"\xff\xfe"), dict(type="a.b", payload='"' + "x" * (2 << 20) + '"'),
                   dict(type="a.b", payload="{}", attributes="[1]"), dict(type="a.b", payload="{}", attributes="{no")]
            for row in bad:
                d.insert(row)
            d.emit("a.b", {"good": 1}, event_id="good")
            wait_for(lambda: "good" in r.ids())
            rejects = d.json("outbox", "rejects", "list")["items"]
            self.assertEqual(len(rejects), len(bad), [x["reason"] for x in rejects])
            self.assertTrue(all(x["reason"] for x in rejects))
            self.assertEqual(len(r.requests), 1)
            d.emit("a.b", {"other": 2}, event_id="good")  # seen with other content
            d.emit("a.b", {"good": 1}, event_id="good")   # the same again: dropped
            wait_for(lambda: len(d.json("outbox", "rejects", "list")["items"]) == len(bad) + 1)
            self.assertEqual(len(r.requests), 1)
            shown = d.json("outbox", "rejects", "show", rejects[0]["id"])
            self.assertIn("row", shown)
            wait_for(lambda: 'webhookd_events_rejected_total' in d.metrics())

    def test_retry_of_a_reject(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--partner", "default")
            d.emit("a.b", event_id="p1", partner="late")
            reject = wait_for(lambda: d.json("outbox", "rejects", "list")["items"])[0]
            self.assertIn("partner", reject["reason"])
            d.ctl("outbox", "rejects", "retry", "--all", check=1)  # as bad as before
            d.ctl("partner", "add", "late")
            d.subscribe(r.url, "--partner", "late", "--name", "late")
            reject = d.json("outbox", "rejects", "list")["items"][0]
            d.ctl("outbox", "rejects", "retry", reject["id"])
            wait_for(lambda: "p1" in r.ids())
            self.assertEqual(d.json("outbox", "rejects", "list")["items"], [])


class Notice(unittest.TestCase):
    def test_doorbell(self):
        conf = ONE.replace("trades.db\n", "trades.db\n    doorbell: {dir}/bell\n")
        with Daemon(start=False, replace=conf) as d, Receiver() as r, contextlib.closing(producer(d, journal="delete")) as db:
            d.start()
            d.subscribe(r.url)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
                for n in range(20):
                    put(db, {"n": n})
                    bell.sendto(b"!", f"{d.dir}/bell")
                    wait_for(lambda: len(r.requests) == n + 1)

    def test_missing_permissions_are_named(self):
        if os.getuid() != 0:
            self.skipTest("needs root to become somebody else")
        with Daemon(start=False, replace=ONE) as d:
            producer(d).close()
            os.chmod(f"{d.dir}/outbox", 0o755)
            os.chown(f"{d.dir}/store", 65534, 65534)
            os.chown(d.dir, 65534, 65534)
            os.chmod(f"{d.dir}/outbox/trades.db", 0o644)
            done = run_as_nobody(WEBHOOKD, "-c", d.conf)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("outbox", done.stderr)
            self.assertRegex(done.stderr, "chmod|chgrp|group|permission")

    def test_init_and_check(self):
        with Daemon(start=False) as d:
            path = f"{d.dir}/mine.db"
            for _ in range(2):
                d.ctl("outbox", "init", path)
            d.ctl("outbox", "check", path)
            with contextlib.closing(sqlite3.connect(f"{d.dir}/other.db")) as db:
                db.execute("CREATE TABLE outbox(a, b)")
            self.assertNotEqual(d.ctl("outbox", "check", f"{d.dir}/other.db", check=None, raw=True).returncode, 0)


if __name__ == "__main__":
    unittest.main()
