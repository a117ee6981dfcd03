"""How the cost of a delivery grows: with the number of subscriptions, the fan-out, the payload, the backlog. CPU of all threads of the daemon,
from the row in the outbox to the committed outcome, over HTTP: it depends less on the neighbours than a rate does.

The points of a curve are daemons that stand beside each other, with stores made by SQL (big.py), and are measured turn about. A curve bends
where its last point is above the line through those before it: over the logarithm; of the payload, every byte of which is moved, over its bytes."""
import contextlib
import math
import sqlite3
import statistics

import big
import harness
import measure as kit
from report import at_most
from standing import NOBODY

CONF = "delivery: {max_in_flight: 256, max_in_flight_per_subscription: 128}\n"
FEW = 4  # get the events where the others are quiet
CURVES = {  # name: (words, points of the short form, those that the full one adds)
    "quiet": (f"subscriptions, {FEW} of them busy", (FEW, 100, 10_000), (1_000, 100_000)),
    "active": ("subscriptions, all busy", (1, 100, 10_000), (1_000, 100_000)),
    "fan_out": ("subscriptions for one event", (1, 10, 100), (1_000,)),
    "payload": ("bytes of payload", (100, 4_096, 65_536), (262_144,)),
    "backlog": ("deliveries due before", (0, 10_000, 100_000), (1_000_000,)),
}
# Where more subscriptions are busy than connections are kept, each delivery opens one: those curves are measured at a receiver that keeps none,
# where that is the price of every point, and at one that does, where the opening is in the curve.
OPENING = ("active", "fan_out")
BEND = at_most(1.25)
ONCE_SUBS, ONCE_BYTES = 1000, 65_536


class Point:
    """A daemon for one point of a curve: subs subscriptions for each of so many types of events."""

    def __init__(self, url, subs=1, each="'e.s' || i", types=1, size=big.PAYLOAD_BYTES, backlog=None):
        self.types, self.size, self.backlog, self.next, self.fan_out = types, size, backlog, 0, 1
        self.d = harness.Daemon(CONF, replace=kit.CONF)
        self.d.subscribe(url, "--name", "first", events="none")
        if backlog is not None:
            self.d.api("POST", "/egress/pause", {"note": "bench"})
        assert self.d.stop() == 0
        with big.opened(self.d) as db:
            big.subscriptions(db, subs, url="s.url", patterns=each)
            if backlog:
                big.deliveries(db, backlog, "first + 1")
        self.d.start()
        self.db = sqlite3.connect(f"file:{self.d.dir}/store/webhookd.db?mode=ro", uri=True, isolation_level=None, timeout=20)

    def ask(self, sql):
        """Of the file: the daemon has no work with it."""
        return self.db.execute(sql).fetchone()[0] or 0

    def delivered(self):
        return self.ask("SELECT max(row) FROM attempt")

    def pending(self):
        return self.ask("SELECT sum(n) FROM counts WHERE state = 0")

    def cpu_us(self):
        return sum(kit.threads_cpu_s(self.d.process.pid).values()) * 1e6

    def emit(self, n):
        with contextlib.closing(self.d.outbox()) as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO outbox(type, payload) VALUES (?, ?)",
                           ((f"e.s{k % self.types + 1}", big.payload(self.size)) for k in range(self.next, self.next + n)))
            db.execute("COMMIT")
        self.next += n

    def cost(self, deliveries):
        """One round: CPU of one delivery, us."""
        return self.straight(deliveries) if self.backlog is None else self.behind(deliveries)

    def straight(self, deliveries):
        before, goal = self.cpu_us(), self.delivered() + deliveries
        self.emit(deliveries // self.fan_out)
        harness.wait_for(lambda: self.delivered() >= goal, 300, "all are delivered")
        return (self.cpu_us() - before) / deliveries

    def behind(self, deliveries):
        """Events come in behind the backlog; then about as many deliveries are made of it. Each has its own share: a few more are made than came."""
        before, goal = self.cpu_us(), self.pending() + deliveries
        self.emit(deliveries)
        harness.wait_for(lambda: self.pending() >= goal, 300, "all are in the store")
        came, before, done = self.cpu_us() - before, self.cpu_us(), self.delivered()
        self.d.api("POST", "/egress/resume")
        harness.wait_for(lambda: self.delivered() >= done + deliveries, 300, "as many are delivered")
        self.d.api("POST", "/egress/pause", {"note": "bench"})
        harness.wait_for(lambda: self.d.counts()["in_flight"] == 0, what="nothing is in flight")
        return came / deliveries + (self.cpu_us() - before) / (self.delivered() - done)

    def close(self):
        self.db.close()
        self.d.kill()
        self.d.close()


def point(url, curve, x):
    if curve == "quiet":
        return Point(url, subs=x, types=FEW)
    if curve == "active":
        return Point(url, subs=x, types=x)
    if curve == "fan_out":
        p = Point(url, subs=x, each="'e.s1'")
        p.fan_out = x
        return p
    return Point(url, size=x) if curve == "payload" else Point(url, backlog=x)


def opened():
    """Connections that this machine opened: a count, by the kernel."""
    with open("/proc/net/snmp") as f:
        names, values = (line.split() for line in f if line.startswith("Tcp:"))
    return int(values[names.index("ActiveOpens")])


def measured(run, url, curve):
    words, short, more = CURVES[curve]
    xs, rounds = sorted((*short, *run.pick((), more))), run.pick(3, 7)
    deliveries = run.pick(2000, 10000)
    opens = {x: [] for x in xs}
    with contextlib.ExitStack() as stack:
        run.progress(f"{words}: {len(xs)} stores")
        points = {x: stack.enter_context(contextlib.closing(point(url, curve, x))) for x in xs}
        costs = {x: [] for x in xs}
        for i in range(rounds + 1):  # the first fills caches and is not counted
            run.progress(f"{words}, {f'round {i} of {rounds}' if i else 'warming up'}")
            for x, p in points.items():
                part = deliveries // 8 if curve == "payload" and x > 10_000 else deliveries
                before = opened()
                costs[x].append(p.cost(part))
                opens[x].append((opened() - before) / part)
    return {"points": [[x, us[1:]] for x, us in costs.items()], "opened": [[x, o[1:]] for x, o in opens.items()]}


def stored(d, mark):
    """Bytes of the store, all of it in its file, and how often a payload with the mark is in it."""
    assert d.stop() == 0
    with contextlib.closing(sqlite3.connect(f"{d.dir}/store/webhookd.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        used = db.execute("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size").fetchone()[0]
    with open(f"{d.dir}/store/webhookd.db", "rb") as f:
        return used, f.read().count(mark)


def once():
    """What one event for many subscriptions adds to the store, before any of them has got it."""
    mark = b"only-once-in-the-store"
    with harness.Daemon(replace=kit.CONF) as d:
        d.subscribe(NOBODY, "--name", "first", events="e.x")
        d.api("POST", "/egress/pause", {"note": "bench"})
        assert d.stop() == 0
        with big.opened(d) as db:
            big.subscriptions(db, ONCE_SUBS - 1, patterns="'e.x'", url="s.url")
        before, _ = stored(d.start(), mark)
        d.start()
        d.insert({"type": "e.x", "payload": b'"' + mark + b"x" * (ONCE_BYTES - len(mark) - 2) + b'"'})
        harness.wait_for(lambda: d.counts()["pending"] == ONCE_SUBS, what="the event is in the store")
        after, found = stored(d, mark)
    return {"subscriptions": ONCE_SUBS, "payload_bytes": ONCE_BYTES, "bytes": after - before, "found": found}


def measure(run):
    out = {}
    with kit.Nginx() as keeps, kit.Nginx(keep=1) as closes:
        for curve in (c for c in CURVES if run.wants(c)):
            out[curve] = measured(run, (closes if curve in OPENING else keeps).url, curve)
            if curve in OPENING:
                out[curve]["kept"] = measured(run, keeps.url, curve)
    if run.wants("once"):
        run.progress("what fan-out stores")
        out["once"] = once()
    return out


def bends(curve, points, i):
    """The cost at the last point to what a line through those before it foretells, in round i; lines do not fall."""
    place = (lambda x: x) if curve == "payload" else (lambda x: math.log(max(x, 1)))
    xs, ys = [place(x) for x, _ in points], [us[i] for _, us in points]
    slope = max(0, statistics.linear_regression(xs[:-1], ys[:-1]).slope)
    return ys[-1] / (statistics.mean(ys[:-1]) + slope * (xs[-1] - statistics.mean(xs[:-1])))


def medians(points, form):
    return ", ".join(f"{x:,}: {form.format(statistics.median(values))}" for x, values in points)


def show(result, table):
    table.head(6, "CPU of one delivery", "outbox to outcome, all threads. Last point to a law of log n through those before it (payload: of n)")
    for curve, r in ((c, result[c]) for c in CURVES if c in result):
        points = r["points"]
        factor = statistics.median(last / first for first, last in zip(points[0][1], points[-1][1]))
        table.add(f"{points[0][0]:,} to {points[-1][0]:,} {CURVES[curve][0]}: x {factor:.2f}", [bends(curve, points, i) for i in range(len(points[0][1]))], bar=BEND)
        table.note(f"  us by {CURVES[curve][0]}: {medians(points, '{:.0f}')}" + ("; a connection for each" if curve in OPENING else ""))
        if curve in OPENING:
            kept = r["kept"]["points"]
            table.add(f"{kept[0][0]:,} to {kept[-1][0]:,} {CURVES[curve][0]}, connections kept", [bends(curve, kept, i) for i in range(len(kept[0][1]))], bar=BEND)
            table.note(f"  where they are kept: {medians(kept, '{:.0f}')}; then opened for one: {medians(r['kept']['opened'], '{:.2f}')}")
    if "once" in result:
        o = result["once"]
        table.add(f"payloads of one event in the store, {o['subscriptions']:,} subscriptions", o["found"], bar=at_most(1), digits=0)
        table.note(f"  {o['bytes'] / 1024:.0f} KiB in all: {o['payload_bytes'] / 1024:.0f} KiB of payload and "
                   f"{(o['bytes'] - o['payload_bytes']) / o['subscriptions']:.0f} bytes a delivery, indices included")


def plots(result):
    series = [{"name": CURVES[curve][0], "points": result[curve]["points"]} for curve in CURVES if curve in result and curve != "payload"]
    return {"growth": {"kind": "lines", "title": "CPU of one delivery as things grow", "x": {"label": "how many", "log": True},
                       "y": {"label": "microseconds"}, "series": series, "note": "Outbox to committed outcome, all threads, HTTP; all busy, and for one event: "
                       "a connection for each delivery."}} if series else {}
