"""A wall clock that was set back between two starts of the daemon."""
import contextlib
import re
import sqlite3
import time
import unittest

from harness import Daemon, Receiver, wait_for

YEAR_MS = 365 * 86400 * 1000
# What the store has from the store's clock, and the attempts' wall clock. Times that somebody asked for are not among them.
TIMES = {"event": ("created_ms", "accepted_ms", "seen_until_ms"), "delivery": ("budget_since_ms", "created_ms"),
         "ready": ("since_ms",), "lineup": ("created_ms",), "attempt": ("started_ms", "next_ms"),
         "subscription": ("state_since_ms", "created_ms", "updated_ms")}


def ahead(d):
    """The store of a daemon that is stopped, as if its clock had been a year ahead: the same as setting it back now."""
    with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db", isolation_level=None)) as db:
        db.execute("BEGIN")
        for table, columns in TIMES.items():
            for column in columns:
                db.execute(f"UPDATE {table} SET {column} = {column} + {YEAR_MS} WHERE {column} > 0")
        asked = "(SELECT d.num FROM delivery d JOIN event e ON e.num = d.event WHERE e.deliver_after_ms = d.due_ms)"
        db.execute(f"UPDATE ready SET due = due + {YEAR_MS} WHERE num NOT IN {asked}")
        db.execute(f"UPDATE delivery SET due_ms = due_ms + {YEAR_MS} WHERE num NOT IN {asked}")
        for column in ("broken_since_ms", "resume_at_ms"):
            db.execute(f"UPDATE subscription SET {column} = {column} + {YEAR_MS} WHERE {column} > 0")
        db.execute("COMMIT")


class Clock(unittest.TestCase):
    def test_set_back_between_two_starts(self):
        """What was due at once, what waited for a retry, in a line, for the end of a pause: all of it goes out; what was asked for a
        later time waits for that."""
        up = {"is": False}
        conf = "retry: {default: {initial_delay: 1h, jitter: 0}}\n"
        with Daemon(conf) as d, Receiver(lambda r, n: 200 if up["is"] else 503) as r:
            d.subscribe(r.url, "--name", "line", "--ordering", "key", events="line.*")
            d.subscribe(r.url, "--name", "plain", events="plain.*,later.*")
            d.subscribe(r.url, "--name", "paused", events="paused.*")
            d.emit("plain.retry", event_id="retry")
            for n in range(3):
                d.emit("line.step", event_id=f"line{n}", ordering_key="k")
            wait_for(lambda: d.counts()["retrying"] == 2)
            d.ctl("subscription", "pause", "plain")
            d.ctl("subscription", "pause", "paused", "--for", "2s")
            d.emit("plain.fresh", event_id="fresh")
            d.emit("paused.one", event_id="paused")
            later = int(time.time() * 1000) + 3600000
            d.emit("later.one", event_id="later", deliver_after=later)
            wait_for(lambda: sum(d.counts()[s] for s in ("pending", "held", "retrying")) == 7)
            d.ctl("subscription", "resume", "plain")
            wait_for(lambda: d.counts()["retrying"] == 3)
            self.assertEqual(d.stop(), 0)
            ahead(d)
            up["is"], before = True, len(r.requests)
            d.start()
            wait_for(lambda: len(r.requests) >= before + 6)
            wait_for(lambda: d.counts()["delivered"] == 6)
            came = [q.id for q in r.requests[before:]]
            self.assertEqual(sorted(came), ["fresh", "line0", "line1", "line2", "paused", "retry"])
            self.assertEqual([id for id in came if id.startswith("line")], ["line0", "line1", "line2"])
            waits = d.json("delivery", "list", "--state", "pending")["items"]
            self.assertEqual([x["event_id"] for x in waits], ["later"])
            self.assertEqual(d.json("delivery", "show", waits[0]["id"])["attempts"], 0)
            self.assertIn("event=clock_set_back", d.log())
            with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db")) as db:
                self.assertEqual(db.execute("SELECT due FROM ready").fetchall(), [(later,)])
            lines = d.log().count("event=clock_set_back")
            self.assertEqual(d.stop(), 0)
            d.start()  # and the next start finds nothing wrong
            wait_for(lambda: re.search(r'storage_operation_duration_seconds_count{op="prune"} [1-9]', d.metrics()))
            self.assertEqual(d.log().count("event=clock_set_back"), lines)


if __name__ == "__main__":
    unittest.main()
