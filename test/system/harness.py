"""What the system tests stand on: the real binaries, real SQLite files, real sockets. No test sleeps: it waits for facts.

    with Daemon() as d, Receiver() as r:
        d.ctl("subscription", "add", "--url", r.url, "--events", "*")
        d.emit("order.executed", {"qty": 1})
        wait_for(lambda: len(r.requests) == 1)
"""
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from terminal import Terminal

BUILD = os.environ.get("BUILD", os.path.join(os.path.dirname(__file__), "../../build"))
WEBHOOKD = os.path.join(BUILD, "webhookd")
WEBHOOKCTL = os.path.join(BUILD, "webhookctl")
SANITIZED = any(x in BUILD for x in ("asan", "tsan"))  # slower, and larger
DEADLINE = 30.0  # generous: sanitizer builds on busy machines; nothing waits that long where all is well


def wait_for(fact, deadline=DEADLINE, what=None):
    """Polls until fact() is true and returns its value; fails after the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not so after {deadline} s: {what or fact}")
        time.sleep(0.01)


def free_port():
    """A port that nobody listens on, and that stays so: bound until this process ends, so that no other test is given it meanwhile, nor
    an outgoing connection. Who sets SO_REUSEADDR, as every server here does, may listen on it."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.detach()
    return port


def unix_request(d, method, path, body=None):
    """One request over the daemon's socket: (status, JSON)."""
    data = b"" if body is None else json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(DEADLINE)
        s.connect(f"{d.dir}/webhookd.sock")
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text) if text else None


def run_as_nobody(program, *args):
    """Runs a copy of the program as uid 65534: the build may lie where only its owner reaches (/root)."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(program, folder)
        return subprocess.run([copy, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/", user=65534,
                              group=65534, extra_groups=[])


class Request:
    def __init__(self, path, headers, body):
        self.at = time.time()
        self.path, self.headers, self.body = path, headers, body

    @property
    def id(self):
        return self.headers.get("webhook-id")

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """An HTTP/1.1 endpoint whose behaviour is a function: answer(request, n) -> status | (status, headers, body) | None
    (None: close without a word). Records every request in order of arrival."""

    def __init__(self, answer=200, port=0, tls=None):
        self.requests, self.lock = [], threading.Lock()
        self.answer = answer
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # its sender was killed in the middle of it: no request
                    self.close_connection = True
                    return
                request = Request(self.path, self.headers, body)
                with outer.lock:
                    outer.requests.append(request)
                    n = len(outer.requests)
                what = outer.answer(request, n) if callable(outer.answer) else outer.answer
                if what is None:
                    self.close_connection = True
                    return
                status, headers, text = what if isinstance(what, tuple) else (what, {}, b"")
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256
            allow_reuse_address = True

            def handle_error(self, *_):
                if not isinstance(sys.exc_info()[1], OSError):  # a peer that went away is part of many tests
                    traceback.print_exc()

        self.server = Server(("127.0.0.1", port or free_port()), Handler)  # nobody's late retries go to the next receiver
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def ids(self):
        with self.lock:
            return [r.id for r in self.requests]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


CONF = """\
store:
  url: sqlite://{dir}/store/webhookd.db
  encryption_key_file: {dir}/key
outbox:
  - url: sqlite://{dir}/outbox/outbox.db
listen:
  socket: {dir}/webhookd.sock
  http: 127.0.0.1:{port}
egress:
  allow_http: true
  allow: [127.0.0.0/8]
log: {level: debug}
"""


def with_threads(conf):
    """The same with delivery.threads, where the environment says how many and the text does not."""
    threads = os.environ.get("WEBHOOKD_TEST_THREADS")
    if not threads or re.search(r"\bthreads:", conf):
        return conf
    if not re.search(r"^delivery:", conf, re.M):
        return conf + f"delivery: {{threads: {threads}}}\n"
    flow = re.sub(r"^delivery: *\{", f"delivery: {{threads: {threads}, ", conf, count=1, flags=re.M)
    return flow if flow != conf else re.sub(r"^delivery:", f"delivery:\n  threads: {threads}", conf, count=1, flags=re.M)


class Daemon:
    """webhookd on a folder of its own. conf: text that is added; it may use {dir} and {port}."""

    def __init__(self, conf="", replace=None, start=True, env=None):
        self.dir = tempfile.mkdtemp(prefix="webhookd-test-")
        os.makedirs(f"{self.dir}/store")
        os.makedirs(f"{self.dir}/outbox")
        self.port = free_port()
        self.conf = f"{self.dir}/webhookd.conf"
        self.env = dict(os.environ, **(env or {}))
        self.env.pop("NOTIFY_SOCKET", None)
        if env:
            self.env.update(env)
        self.write_conf((replace or CONF) + conf)
        self.log_path = f"{self.dir}/log"
        self.process = None
        self.program = WEBHOOKD
        self.wrap = []  # a command that runs webhookd: strace, faketime, …
        if start:
            try:
                self.start()
            except BaseException:  # nobody has it to end it
                self.kill()
                raise

    def write_conf(self, text):
        text = with_threads(text)
        with open(self.conf, "w") as f:
            f.write(text.replace("{dir}", self.dir).replace("{port}", str(self.port)))
        os.chmod(self.conf, 0o644)  # for somebody else too, whatever the umask: no secret is in it

    def spawn(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*self.wrap, self.program, "-c", self.conf], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, env=self.env)
        log.close()
        return self.process

    def start(self):
        before = self.log().count("event=ready")
        self.spawn()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"webhookd ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            return self.log().count("event=ready") > before
        wait_for(ready, what="webhookd is ready")
        return self

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, deadline=DEADLINE):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline)

    def ctl(self, *args, stdin=None, check=0, raw=False):
        """Runs webhookctl; returns its standard output (raw: the CompletedProcess). check: the wanted status, None: any."""
        done = subprocess.run([WEBHOOKCTL, "-c", self.conf, *args], input=stdin, capture_output=True, text=True,
                              env=self.env, timeout=120, **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
        if check is not None and done.returncode != check:
            raise AssertionError(f"webhookctl {' '.join(args)}: status {done.returncode}, wanted {check}\n"
                                 f"{done.stdout}\n{done.stderr}\n{self.log()[-2000:]}")
        return done if raw else done.stdout

    def screen(self, *args, env=None, **more):
        """webhookctl on a pseudo-terminal (terminal.py), to type at and look at while it runs."""
        return Terminal([WEBHOOKCTL, "-c", self.conf, *args], env={**self.env, **(env or {})}, **more)

    def terminal(self, *args, keys="", watch=None, **more):
        """The same to its end, where somebody types keys at once and watch(what is shown so far) looks on; (status, what it
        showed)."""
        with self.screen(*args, **more) as t:
            t.type(keys)
            while t.read(0.05):
                if watch:
                    watch(t.bytes)
            return t.end(), t.shown

    def json(self, *args, **kw):
        return json.loads(self.ctl("-o", "json", *args, **kw))

    def api(self, method, path, body=None):
        """(status, parsed answer) of a request over the unix socket."""
        return unix_request(self, method, "/api/v1" + path, body)

    def subscribe(self, url, *more, events="*"):
        return self.json("subscription", "add", "--url", url, "--events", events, *more)

    def outbox(self, **kw):
        return sqlite3.connect(f"{self.dir}/outbox/outbox.db", isolation_level=None, timeout=20, **kw)

    def insert(self, *rows):
        """Commits rows (dicts of outbox columns; payload may be any JSON value or text/bytes) in one transaction."""
        with contextlib.closing(self.outbox()) as db:
            db.execute("BEGIN IMMEDIATE")
            for row in rows:
                row = dict(row)
                if not isinstance(row.get("payload"), (str, bytes)):
                    row["payload"] = json.dumps(row.get("payload", {}))
                db.execute(f"INSERT INTO outbox({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
            db.execute("COMMIT")

    def emit(self, type, payload=None, **columns):
        self.insert(dict(type=type, payload=payload if payload is not None else {}, **columns))

    def counts(self):
        return self.api("GET", "/status")[1]["deliveries"]

    def unsettled(self):
        return sum(n for state, n in self.counts().items() if state in ("pending", "retrying", "in_flight", "held"))

    def metrics(self):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as r:
            return r.read().decode()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            status = None
            try:
                status = self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
            if status != 0:
                raise AssertionError(f"webhookd ended with {status}:\n{self.log()[-6000:]}")
        elif self.process is not None and self.process.returncode in (98, 99):
            raise AssertionError(f"a sanitizer stopped webhookd:\n{self.log()[-8000:]}")
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
            return
        self.kill()
        lines = [x for x in self.log().splitlines() if 'event=admin_request route="GET ' not in x]  # a test's own looking
        print("\n".join(lines)[-12000:])
        shutil.rmtree(self.dir, ignore_errors=True)
