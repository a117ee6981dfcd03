"""kill -9 at random instants while events come in by every way and go out to endpoints that misbehave.

What must hold afterwards, checked against the store's own file and what the receivers saw:
  every accepted event is delivered or dead for every subscription that matched it (G1), none is invented,
  a duplicate has the same body and their number is bounded (G2), an ordering key's events come one after the other (G7),
  the file is whole.
"""
import collections
import contextlib
import http.client
import json
import os
import random
import sqlite3
import threading
import time
import unittest

from harness import Daemon, Receiver, UnixConnection, wait_for

KILLS = int(os.environ.get("KILLS", "80"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 30)
CONF = """\
retry: {default: {initial_delay: 20ms, max_delay: 200ms, max_retries: 40}}
delivery: {timeout: 3s}
"""


class Endpoint(Receiver):
    """Answers by chance, and remembers when each attempt ended and how."""

    def __init__(self, rng, chances, port=0):
        self.rng, self.chances = rng, chances
        self.answers = []  # (id, body, began, ended, status)
        super().__init__(self.decide, port)

    def decide(self, request, n):
        began = time.monotonic()
        dice, status = self.rng.random(), 200
        for share, what in self.chances:
            if dice < share:
                status = what
                break
            dice -= share
        if status == "by type":
            status = 400 if request.id.endswith("7") else 200
        with self.lock:
            self.answers.append((request.id, request.body, began, time.monotonic(), status))
        return status


class Producers:
    def __init__(self, d, rng, each):
        self.d, self.rng, self.each = d, rng, each
        self.accepted, self.tried, self.lock = {}, {}, threading.Lock()
        self.threads = [threading.Thread(target=t) for t in (self.outbox, self.http, self.cli)]
        self.stop = False

    def event(self, way, n):
        e = dict(type=("order.executed", "trade.done", "order.cancelled")[n % 3], id=f"{way}-{n}",
                 key=f"k{n % 7}" if n % 2 else None, payload=json.dumps({"n": n, "fill": "x" * (n % 900)}))
        with self.lock:
            self.tried[e["id"]] = e
        return e

    def took(self, events):
        with self.lock:
            self.accepted.update({e["id"]: e for e in events})

    def outbox(self):
        n = 0
        with contextlib.closing(self.d.outbox()) as db:
            while n < self.each and not self.stop:
                some = [self.event("ob", n + i) for i in range(self.rng.randrange(1, 40))]
                n += len(some)
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO outbox(type, event_id, ordering_key, payload) VALUES (?,?,?,?)",
                               [(e["type"], e["id"], e["key"], e["payload"]) for e in some])
                db.execute("COMMIT")
                self.took(some)
                time.sleep(self.rng.random() * 0.1)

    def http(self):
        n, c = 0, None
        while n < self.each and not self.stop:
            some = [self.event("ht", n + i) for i in range(self.rng.randrange(1, 20))]
            n += len(some)
            body = json.dumps([dict(type=e["type"], id=e["id"], ordering_key=e["key"], data=json.loads(e["payload"]))
                               for e in some])
            try:
                c = c or UnixConnection(f"{self.d.dir}/webhookd.sock")
                c.request("POST", "/api/v1/events", body, {"Content-Type": "application/json"})
                r = c.getresponse()
                answer = r.read()
                if r.status == 202:
                    self.took(some)
                elif r.status < 500:
                    raise AssertionError(f"{r.status} {answer}")
            except (OSError, http.client.HTTPException):
                c.close()
                c = None
                time.sleep(0.01)
            time.sleep(self.rng.random() * 0.05)

    def cli(self):
        n = 0
        while n < self.each // 20 and not self.stop:
            e = self.event("cl", n)
            n += 1
            done = self.d.ctl("event", "emit", "--type", e["type"], "--id", e["id"], "--data", e["payload"],
                              *(["--key", e["key"]] if e["key"] else []), check=None, raw=True)
            if done.returncode == 0:
                self.took([e])
            time.sleep(0.02)


def matches(pattern, type):
    return pattern == "*" or (pattern.endswith(".*") and type.startswith(pattern[:-1])) or pattern == type


class Chaos(unittest.TestCase):
    def test_kills(self):
        rng = random.Random(SEED)
        print("seed", SEED)
        chances = {"plain": ("*", [(0.03, 503), (0.03, None)], []),
                   "ordered": ("*", [(0.05, 503), (0.02, None)], ["--ordering", "key"]),
                   "some-die": ("order.*", [(1, "by type")], ["--ordering", "key"]),
                   "orders": ("order.executed", [(0.1, 500)], [])}
        with contextlib.ExitStack() as stack:
            d = stack.enter_context(Daemon(CONF))
            ends = {name: stack.enter_context(Endpoint(rng, c)) for name, (_, c, _) in chances.items()}
            for name, (events, _, more) in chances.items():
                d.subscribe(ends[name].url, "--name", name, *more, events=events)
            subs = {s["name"]: s for s in d.json("subscription", "list")["items"]}
            p = Producers(d, rng, 4000)
            for t in p.threads:
                t.start()
            try:
                for _ in range(KILLS):
                    time.sleep(rng.uniform(0.005, 0.3))
                    d.kill()
                    d.spawn()
                    if d.process.poll() is not None:
                        raise AssertionError(d.log()[-2000:])
            finally:
                p.stop = True
                for t in p.threads:
                    t.join()
            if d.process.poll() is not None:
                raise AssertionError(f"ended with {d.process.returncode}: {d.log()[-2000:]}")
            wait_for(lambda: d.ctl("status", check=None, raw=True).returncode == 0)
            last = [0, time.monotonic()]

            def settled():
                counts = d.counts()
                if counts["delivered"] != last[0]:
                    last[:] = counts["delivered"], time.monotonic()
                open_ = sum(counts[s] for s in ("pending", "retrying", "in_flight", "held"))
                left = d.outbox().execute("SELECT count(*) FROM outbox").fetchone()[0]
                if open_ and time.monotonic() - last[1] > 20:
                    raise AssertionError(f"stuck: {counts}")
                time.sleep(0.2)
                return open_ == 0 and left == 0
            wait_for(settled, 300, "all is delivered or dead")
            self.assertEqual(d.stop(), 0)
            self.check(d, p, subs, ends, chances)

    def check(self, d, p, subs, ends, chances):
        db = sqlite3.connect(f"{d.dir}/store/webhookd.db")
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        rows = collections.defaultdict(dict)  # sub -> event id -> (num, state)
        numbers = {s["id"]: name for name, s in subs.items()}
        names = {num: name for num, name in db.execute("SELECT num, name FROM subscription")}
        self.assertEqual(set(names.values()), set(numbers.values()))
        for sub, id, num, state, attempts in db.execute(
                "SELECT d.sub, e.id, d.num, d.state, d.attempts FROM delivery d JOIN event e ON e.num = d.event"):
            self.assertNotIn(id, rows[names[sub]], "two deliveries of one event")
            rows[names[sub]][id] = num, state
        for id in (r[0] for r in db.execute("SELECT id FROM event")):
            self.assertIn(id, p.tried, "an event that nobody sent")
        db_counts = {(s, st): n for s, st, n in db.execute("SELECT sub, state, n FROM counts WHERE n <> 0")}
        real = {(s, st): n for s, st, n in db.execute("SELECT sub, state, count(*) FROM delivery GROUP BY 1, 2")}
        self.assertEqual(db_counts, real)
        for table in ("ready", "lineup", "expiring"):
            self.assertEqual(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0], 0, table)
        total_dup = 0
        for name, (pattern, _, more) in chances.items():
            got = rows[name]
            for id, e in p.accepted.items():
                if matches(pattern, e["type"]):
                    self.assertIn(id, got, f"{name}: accepted, but lost")
            for id, (num, state) in got.items():
                self.assertIn(state, (4, 5), f"{name} {id}")
                self.assertTrue(matches(pattern, p.tried[id]["type"]), f"{name} {id}")
            total_dup += self.check_receiver(name, ends[name], got, p, "--ordering" in more)
        print(f"{KILLS} kills, {len(p.accepted)} accepted of {len(p.tried)}, "
              f"{sum(len(e.answers) for e in ends.values())} attempts, {total_dup} duplicates")

    def check_receiver(self, name, end, got, p, ordered):
        seen, first, done, bodies, duplicates = set(), {}, {}, {}, 0
        for id, body, began, ended, status in sorted(end.answers, key=lambda a: a[2]):
            self.assertIn(id, got, f"{name}: sent, but not in the store")
            self.assertEqual(bodies.setdefault(id, body), body, "another body")
            first.setdefault(id, began)
            if id in done:
                duplicates += 1
            elif status in (200, 400):
                done[id] = ended
            seen.add(id)
        for id, (num, state) in got.items():
            if state == 4:
                self.assertIn(id, done, f"{name}: said delivered, but never answered 2xx")
        self.assertLessEqual(duplicates, 64 * KILLS)
        if ordered:
            lines = collections.defaultdict(list)
            for id, (num, state) in got.items():
                if p.tried[id]["key"]:
                    lines[p.tried[id]["key"]].append((num, id))
            for key, line in lines.items():
                line.sort()
                for (_, a), (_, b) in zip(line, line[1:]):
                    self.assertLessEqual(done[a], first[b], f"{name} {key}: {b} came before {a} was over")
                for way in ("ob", "ht", "cl"):
                    mine = [int(id[3:]) for _, id in line if id.startswith(way)]
                    if way == "ob":
                        self.assertEqual(mine, sorted(mine), f"{key}: not in the order of the outbox")
        return duplicates


if __name__ == "__main__":
    unittest.main()
