#!/usr/bin/env python3
"""`make demo`: the whole story on loopback, with the real binaries: trades and their events in one transaction, deliveries with
checked signatures, an outage, retries, dead letters, a replay, a kill -9. Ends with exit status 0 and what to try next."""
import hashlib
import hmac
import http.server
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
COLOR = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOR else text


def chapter(n, title):
    print(f"\n{paint('1', f'{n}. {title}')}", flush=True)


def say(text):
    print("   " + text, flush=True)


class Partner:
    """A partner's endpoint: checks the signature as the partner guide says, then answers with self.status."""

    def __init__(self):
        self.status, self.secret = 200, b""
        self.good, self.forged, self.attempts, self.lock = {}, 0, 0, threading.Lock()
        partner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                want = "sha256=" + hmac.new(partner.secret, body, hashlib.sha256).hexdigest()
                with partner.lock:
                    status = partner.status  # one for the book and for the answer, though it changes meanwhile
                    partner.attempts += 1
                    if not hmac.compare_digest(want, self.headers.get("X-BondX-Signature", "")):
                        partner.forged += 1
                    elif status == 200:
                        partner.good[self.headers["webhook-id"]] = json.loads(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Story:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="webhookd-demo-")
        self.conf = f"{self.dir}/webhookd.conf"
        self.trades = f"{self.dir}/trades.db"
        self.daemon = None
        self.held = socket.socket()  # bound and never listening, it keeps the port for webhookd, across its restart as well
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        port = self.held.getsockname()[1]
        with open(self.conf, "w") as f:
            f.write(f"""\
store: {{url: "sqlite://{self.dir}/webhookd.db", encryption_key_file: {self.dir}/key}}
outbox: [{{url: "sqlite://{self.trades}"}}]
listen: {{socket: {self.dir}/webhookd.sock, http: "127.0.0.1:{port}"}}
egress: {{allow_http: true, allow: [127.0.0.0/8]}}       # for the demo only: HTTPS is the rule
retry: {{default: {{max_retries: 3, initial_delay: 200ms}}}}  # for the demo only: 5 retries from 1s is the default
""")

    def wait(self, fact, what, seconds=60):
        end = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > end or (self.daemon and self.daemon.poll() is not None):
                raise SystemExit(f"demo: not so after {seconds} s: {what}\n" + open(f"{self.dir}/log").read()[-3000:])
            time.sleep(0.02)

    def start(self):
        before = self.log().count("event=ready")
        with open(f"{self.dir}/log", "ab") as log:
            self.daemon = subprocess.Popen([f"{BUILD}/webhookd", "-c", self.conf], stderr=log)
        self.wait(lambda: self.log().count("event=ready") > before, "webhookd is ready")

    def log(self):
        try:
            return open(f"{self.dir}/log", errors="replace").read()
        except FileNotFoundError:
            return ""

    def ctl(self, *args, show=True, status=0):
        if show:
            print("   " + paint("36", "$ webhookctl " + " ".join(a if a.isalnum() or a[0] in "-/" else f"'{a}'" if " " in a or "*" in a else a for a in args)), flush=True)
        done = subprocess.run([f"{BUILD}/webhookctl", "-c", self.conf, *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT if show else subprocess.PIPE, text=True)
        if show:
            print("".join("   " + line for line in done.stdout.splitlines(True)), end="", flush=True)
        if done.returncode != status:
            raise SystemExit(f"demo: webhookctl {' '.join(args)}: exit status {done.returncode}\n{done.stdout}{done.stderr or ''}")
        return done.stdout

    def trade(self, first, n):
        """What a trading service does: the trade and its event in ONE transaction."""
        db = sqlite3.connect(self.trades, isolation_level=None, timeout=10)
        db.execute("CREATE TABLE IF NOT EXISTS trade(id TEXT PRIMARY KEY, instrument TEXT, qty INTEGER, price TEXT)")
        for i in range(first, first + n):
            trade = {"trade_id": f"TRD-{i:04}", "instrument_id": "GOVT-2034", "executed_quantity": 100 * i, "execution_price": 100.25}
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO trade VALUES (?,?,?,?)", (trade["trade_id"], trade["instrument_id"], 100 * i, "100.25"))
            db.execute("INSERT INTO outbox(type, payload, correlation_id) VALUES (?,?,?)",
                       ("order.executed", json.dumps(trade), f"corr-{i}"))
            db.execute("COMMIT")
        db.close()

    def run(self):
        partner = Partner()
        print("webhookd brings a service's events to its partners' endpoints, and keeps what could not be delivered.\n"
              "Its story, in a few seconds, all on this machine:", flush=True)
        chapter(1, "webhookd starts: one program, one SQLite file, and the trading service's own database as its inbox")
        self.start()
        say(f"everything is in {self.dir}, and goes away at the end")
        added = json.loads(self.ctl("-o", "json", "subscription", "add", "--name", "acme", "--url", partner.url,
                                    "--events", "order.*", show=False))
        partner.secret = added["secret"].encode()
        say(f"a partner is subscribed: acme gets order.* at {partner.url}; its secret was shown once")

        chapter(2, "Five trades, each committed together with its event")
        say(paint("36", "INSERT INTO trade …; INSERT INTO outbox(type, payload) VALUES ('order.executed', '{…}'); COMMIT;"))
        self.trade(1, 5)
        self.wait(lambda: len(partner.good) == 5, "five delivered")
        say(f"{paint('32', 'delivered')}: {len(partner.good)} of 5, every signature checked by the partner's own code ({partner.forged} bad)")

        chapter(3, "The partner has an outage: it answers 503, and trading goes on")
        partner.status = 503
        self.trade(6, 20)
        self.wait(lambda: partner.attempts >= 5 + 20 + 10, "retries are seen")
        say(f"retries, each pause longer than the last: {partner.attempts - 5} attempts so far for the 20 new events")

        chapter(4, "webhookd is killed with kill -9 in the middle of it, and starts again")
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.trade(26, 5)
        say("five more trades were committed while it was down: the trading service noticed nothing")
        self.start()
        dead = lambda: int(self.ctl("dlq", "count", show=False).strip() or 0)
        self.wait(lambda: dead() == 25, "25 dead letters")
        say(f"nothing was lost: the retries are used up, and all 25 are {paint('31', 'dead')} letters, kept and encrypted, until somebody decides")

        chapter(5, "The operator: what is wrong, and why?")
        self.ctl("dlq", "summary")
        letter = self.ctl("-o", "id", "dlq", "list", "--limit", "1", show=False).strip()
        self.ctl("attempt", "list", letter)

        chapter(6, "The partner is back. A replay: first a preview, then at 50 a second")
        partner.status = 200
        self.ctl("dlq", "replay", "--subscription", "acme", "--dry-run")
        self.ctl("dlq", "replay", "--subscription", "acme", "--rate", "50/s", "--note", "INC-381 acme is back", "--yes")
        self.wait(lambda: len(partner.good) == 30, "all delivered")
        self.ctl("attempt", "list", letter)
        say(f"replay done: {len(partner.good)} of 30 trades {paint('32', 'delivered')}, {dead()} dead letters left")

        chapter(7, "Stop: SIGTERM drains and ends with 0")
        self.daemon.send_signal(signal.SIGTERM)
        if self.daemon.wait(30) != 0 or partner.forged or dead() != 0:
            raise SystemExit("demo: the end is not as it should be")
        missing = [i for i in range(1, 31) if f"TRD-{i:04}" not in {b["data"]["trade_id"] for b in partner.good.values()}]
        if missing:
            raise SystemExit(f"demo: trades {missing} never arrived")
        print(f"\n{paint('1;32', 'All 30 trades were delivered, each one signed; none was lost.')}\n"
              "Try next:  make run                 webhookd in the foreground, its state under var/; it prints what to type\n"
              "           make test                every test\n"
              "           build/webhookctl --help  what operators type\n"
              "           README.md                how to put an event beside your own trade")


if __name__ == "__main__":
    story = Story()
    try:
        story.run()
    finally:
        if story.daemon and story.daemon.poll() is None:
            story.daemon.kill()
        shutil.rmtree(story.dir, ignore_errors=True)
