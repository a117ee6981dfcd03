"""What the sections of `make bench` measure with: a receiver, a producer, what a process used, how long the disk takes."""
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

import harness

CONF = harness.CONF.replace("log: {level: debug}\n", "")
BELL = CONF.replace("outbox.db\n", "outbox.db\n    doorbell: {dir}/bell\n")


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


def certificate(folder, hosts=("127.0.0.1",)):
    """A certificate of addresses that is its own authority."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=" + ",".join(f"IP:{host}" for host in hosts)], check=True, capture_output=True)
    return f"{folder}/cert.pem"


class Nginx:
    """It answers 200 to everything, on so many addresses: endpoints that share nothing but the worker. keep: requests a connection."""

    def __init__(self, tls=False, http2=False, endpoints=1, workers=1, keep=100000000):
        self.dir, port = tempfile.mkdtemp(prefix="webhookd-bench-nginx-"), harness.free_port()
        hosts = [f"127.0.0.{i + 1}" for i in range(endpoints)]
        self.urls = [f"{'https' if tls or http2 else 'http'}://{host}:{port}/hook" for host in hosts]
        self.url, self.ca = self.urls[0], certificate(self.dir, hosts) if tls or http2 else None
        ssl = f"ssl_certificate {self.ca}; ssl_certificate_key {self.dir}/key.pem; ssl_protocols TLSv1.3;" if self.ca else ""
        listens = "".join(f"listen {host}:{port} backlog=4096{' ssl' if self.ca else ''}{' http2' if http2 else ''}; " for host in hosts)
        # It answers at once, whatever the body. Over HTTP/2 it would cut the stream then (RST_STREAM), which libcurl 7.88 takes for a fault:
        # there it reads the body first, as who works with it does, by way of a mirror of the request.
        answer = "mirror /read; error_page 404 =200 @ok;" if http2 else "return 200;"
        more = "location = /read { internal; return 204; } location @ok { return 200; }" if http2 else ""
        user = "user root;" if os.geteuid() == 0 else ""  # the folder is ours alone
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(f"""daemon off; {user} worker_processes {workers}; pid {self.dir}/pid; error_log {self.dir}/error.log crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests {keep}; client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p;
 fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s; {ssl}
 server {{ {listens} location / {{ {answer} }} {more} }} }}""")
        path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if path is None:
            raise SystemExit("bench: there is no nginx: make deps installs it")
        self.process = subprocess.Popen([path, "-p", self.dir, "-c", f"{self.dir}/nginx.conf"], stderr=subprocess.DEVNULL)

        def answers():
            if self.process.poll() is not None:
                raise SystemExit(f"bench: nginx ended with {self.process.returncode}")
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        harness.wait_for(answers, what="nginx listens")

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return sum(sum(threads_cpu_s(int(pid)).values()) for pid in f.read().split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads_cpu_s(pid):
    """Seconds on a processor by thread: "loop", the first, and the others by their names and numbers."""
    used = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm") as name, open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            used["loop" if int(tid) == pid else f"{name.read().strip()}-{tid}"] = int(f.read().split()[0]) / 1e9
    return used


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    return {k: int(re.search(rf"{k}:\s+(\d+)", text).group(1)) / 1024 for k in ("VmRSS", "VmHWM")}


def completed(daemon):
    return int(re.search(r'webhookd_deliveries_completed_total\{result="delivered"\} (\d+)', daemon.metrics()).group(1))


def payload(n):
    body = json.dumps({"n": n, "order_id": f"ORD-2024-{n:08}", "instrument_id": "GOVT-2034", "execution_price": 100.5, "executed_quantity": 1000})
    return body[:-1] + ', "pad": "' + "x" * (420 - len(body)) + '"}'


def attempts(daemon):
    """How many were made, whatever came of them."""
    return sum(int(n) for n in re.findall(r'^webhookd_attempts_total\{.*\} (\d+)', daemon.metrics(), re.M))


def fill(file, n, type=lambda k: "order.executed", payload=payload):
    with sqlite3.connect(file, isolation_level=None) as db:
        for start in range(0, n, 5000):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO outbox(type, payload) VALUES (?, ?)", ((type(k), payload(k)) for k in range(start, min(n, start + 5000))))
            db.execute("COMMIT")


def wait_completed(daemon, n):
    """Asks seldom: each answer costs the daemon as much as dozens of deliveries. Returns when the n-th was there."""
    start = time.monotonic()
    while True:
        done, now = completed(daemon), time.monotonic()
        if done >= n:
            return now
        if now - start > 600:
            raise SystemExit(f"bench: only {done} of {n} delivered")
        left = (n - done) * (now - start) / done if done else 0.2
        time.sleep(min(max(left * 0.8, 0.01), 0.2))


def fdatasync_us(folder, n=100):
    fd, took = os.open(f"{folder}/probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND), []
    for _ in range(n):
        os.write(fd, b"x" * 4096)
        start = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - start) * 1e6)
    os.close(fd)
    return took


class Producer:
    """One event a transaction, synchronous=FULL, at a rate."""

    def __init__(self, file, bell=None):
        self.db = sqlite3.connect(file, isolation_level=None, timeout=20)
        self.db.execute("PRAGMA synchronous=FULL")
        self.bell, self.path = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if bell else None, bell
        self.n, self.committed_us, self.commit_us = 0, {}, []

    def run(self, rate, commits):
        start = time.monotonic()
        for i in range(commits):
            ahead = start + i / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            before = time.perf_counter()
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("INSERT INTO outbox(type, payload) VALUES ('order.executed', ?)", (f'{{"n":{self.n}}}',))
            self.db.execute("COMMIT")
            self.committed_us[self.n] = time.time() * 1e6
            self.commit_us.append((time.perf_counter() - before) * 1e6)
            self.n += 1
            if self.bell:
                try:
                    self.bell.sendto(b"!", socket.MSG_DONTWAIT, self.path)
                except OSError:
                    pass
        return commits / (time.monotonic() - start)


class Receiver:
    """Notes when the first byte of each request came."""

    def __init__(self, build):
        self.output = tempfile.NamedTemporaryFile("w+")  # not a pipe: nobody reads while it runs
        self.process = subprocess.Popen([f"{build}/bench/latency_receiver"], stdout=self.output)
        harness.wait_for(lambda: self.lines()[:1])
        self.port = int(self.lines()[0].split()[1])

    def lines(self):
        with open(self.output.name) as f:
            return f.read().splitlines()

    def first_us(self):
        time.sleep(0.5)  # it prints when it is idle
        self.process.terminate()
        self.process.wait()
        return {int(n): int(us) for n, us in (line.split() for line in reversed(self.lines()[1:]))}
