"""The README's examples are run, so that they cannot rot: the outbox INSERT beside a trade, the subscription, the verification
sample against a real delivery, and its console block (console.py). `python3 test/system/test_readme.py --write` puts the output of
today into it."""
import re
import shlex
import sqlite3
import unittest

import console
from console import QUICK
from harness import Daemon, Receiver, wait_for

SCENES = console.Scenes("README.md")


def blocks(language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", SCENES.text(), re.M | re.S)
    return [text for kind, text in fenced if kind == language]


@SCENES.of("At three in the morning: find out why, preview, replay")
def an_outage(stage):
    """What the README's operator finds: a partner that was down, another that refuses."""
    with stage.machine(QUICK) as m, m.partner("acme", 503, events="trade.*") as acme, m.partner("globex", 401, events="fill.*"):
        m.insert(*[dict(type="trade.settled", payload={"trade_id": f"TRD-{n}", "qty": 100 * n}) for n in range(1, 38)])
        m.insert(*[dict(type="fill.done", payload={"fill": n}) for n in range(4)])
        m.dead(41)
        acme.answer = 200
        stage.age()
        yield
        m.dead(4)


class Readme(unittest.TestCase):
    def test_the_trade_and_its_event(self):
        (sql,) = [b for b in blocks("sql") if "INSERT INTO outbox" in b]
        with Daemon(start=False) as d, Receiver() as r:
            trades = f"{d.dir}/outbox/outbox.db"
            d.ctl("outbox", "init", trades)
            d.ctl("outbox", "init", trades)
            db = sqlite3.connect(trades, isolation_level=None)
            db.execute("CREATE TABLE trade(id TEXT PRIMARY KEY, instrument TEXT, qty INTEGER)")
            d.start()
            d.subscribe(r.url)
            db.executescript(sql)
            wait_for(lambda: r.requests)
            self.assertEqual(r.requests[0].json["data"]["trade_id"], db.execute("SELECT id FROM trade").fetchone()[0])
            db.close()

    def test_subscribe(self):
        lines = [c for b in blocks("") + blocks("sh") for c in b.splitlines() if c.startswith("webhookctl subscription add")]
        self.assertEqual(len(lines), 2)
        with Daemon() as d:
            for line in lines:
                self.assertIn("secret (shown once): whsec_", d.ctl(*shlex.split(line)[1:]))

    def test_verify(self):
        (code,) = [b for b in blocks("python") if "def verify" in b]
        scope = {}
        exec(code, scope)  # noqa: it is our own README
        with Daemon() as d, Receiver() as r:
            secret = d.subscribe(r.url)["secret"]
            d.emit("order.executed", {"text": "ü", "n": 1})
            wait_for(lambda: r.requests)
            got = r.requests[0]
            self.assertTrue(scope["verify"](secret, got.headers, got.body))
            self.assertFalse(scope["verify"](secret, got.headers, got.body + b" "))
            self.assertFalse(scope["verify"](secret + "x", got.headers, got.body))
            self.assertFalse(scope["verify"](secret, {}, got.body))


Played = SCENES.tests()

if __name__ == "__main__":
    console.main(SCENES)
