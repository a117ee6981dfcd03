"""The README's examples are run, so that they cannot rot: the outbox INSERT beside a trade, the subscription, the verification
sample against a real delivery, and the replay in three commands, whose output must be the one that is printed there but for
ids, times and numbers. `python3 test/system/test_readme.py --write` puts the output of today into the README."""
import os
import re
import shlex
import sqlite3
import sys
import time
import unittest

from harness import Daemon, Receiver, wait_for

README = os.path.join(os.path.dirname(__file__), "../../README.md")
QUICK = "retry: {default: {max_retries: 2, initial_delay: 20ms}}\n"


def blocks(language):
    with open(README, encoding="utf-8") as f:
        fenced = re.findall(r"^```(\w*)\n(.*?)^```$", f.read(), re.M | re.S)
    return [text for kind, text in fenced if kind == language]


def replay_block():
    found = [b for b in blocks("console") if "dlq replay" in b]
    assert len(found) == 1, "the README has one console block with a replay"
    return found[0]


def masked(text):
    """Without what differs from run to run; widths of columns follow it."""
    text = re.sub(r"\b(dlv|job|evt|sub)_[0-9A-Z]+", r"\1_ID", text)
    text = re.sub(r"(\d+[smhd] ?)+ago|just now", "AGO", text)
    text = re.sub(r"(about )(\d+[smhd] ?)+", r"\1SPAN", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"\d+(\.\d+)?", "N", text)).strip()


def outage(d, r, r2):
    """What the README's operator finds: a partner that was down, another that refuses."""
    d.subscribe(r.url, "--name", "acme", events="trade.*")
    d.subscribe(r2.url, "--name", "globex", events="fill.*")
    d.insert(*[dict(type="trade.settled", payload={"trade_id": f"TRD-{n}", "qty": 100 * n}) for n in range(1, 38)])
    d.insert(*[dict(type="fill.done", payload={"fill": n}) for n in range(4)])
    wait_for(lambda: d.ctl("dlq", "count") == "41\n", what="41 dead letters")
    r.answer = 200


def played(d, commands):
    """The console block again, as it is today on a terminal; what was written over is left out."""
    text = ""
    for command in commands:
        status, shown = d.terminal(*shlex.split(command)[1:], columns=110, env={"NO_COLOR": "1"})
        assert status == 0, (command, status, shown)
        text += f"$ {command}\n" + re.sub(r"[^\n]*\r(?!\n)", "", shown)
    return text


def commands_of(block):
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


class Readme(unittest.TestCase):
    maxDiff = None

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

    def test_replay(self):
        block = replay_block()
        with Daemon(QUICK) as d, Receiver(503) as r, Receiver(401) as r2:
            outage(d, r, r2)
            self.assertEqual(masked(played(d, commands_of(block))), masked(block))
            wait_for(lambda: d.ctl("dlq", "count") == "4\n", what="acme's letters are delivered")


def write():
    block = replay_block()
    with Daemon(QUICK) as d, Receiver(503) as r, Receiver(401) as r2:
        outage(d, r, r2)
        time.sleep(12)  # an outage that is over "just now" reads oddly
        today = played(d, commands_of(block))
    with open(README, encoding="utf-8") as f:
        text = f.read()
    with open(README, "w", encoding="utf-8") as f:
        f.write(text.replace(block, today))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()
