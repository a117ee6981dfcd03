"""HTTP: health, metrics, events over the unix socket, hostile heads, sd_notify."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import unittest
import urllib.error
import urllib.request

from harness import Daemon, Receiver, unix_request, wait_for


def unix(d, raw, timeout=15):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(f"{d.dir}/webhookd.sock")
        s.sendall(raw)
        out = b""
        while True:
            try:
                part = s.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return out
            out += part


def post(d, path, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = unix(d, b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                  % (path.encode(), len(data)) + data)
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


class Http(unittest.TestCase):
    def test_health_ready_metrics(self):
        with Daemon() as d, Receiver() as r:
            get = lambda p: urllib.request.urlopen(f"http://127.0.0.1:{d.port}{p}", timeout=10).read()
            get("/healthz"), get("/readyz")
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: 'webhookd_deliveries_completed_total{result="delivered"} 1' in d.metrics())
            text = d.metrics()
            self.assertIn('webhookd_attempts_total{', text)
            self.assertIn('webhookd_events_ingested_total{source="outbox"} 1', text)
            for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"):
                self.assertGreater(float(re.search(rf"^{name} (.*)$", text, re.M).group(1)), 4)
            if shutil.which("promtool"):
                done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with self.assertRaises(urllib.error.HTTPError) as e:
                get("/nothing")
            self.assertEqual(e.exception.code, 404)

    def test_metrics_tell_who_brought_an_event(self):
        with Daemon() as d:
            d.emit("a.b")
            d.ctl("event", "emit", "--type", "a.b")
            self.assertEqual(unix_request(d, "POST", "/api/v1/events", [{"type": "a.b", "data": n} for n in range(3)])[0], 202)
            for source, n in (("outbox", 1), ("cli", 1), ("api", 3)):
                wait_for(lambda: f'webhookd_events_ingested_total{{source="{source}"}} {n}\n' in d.metrics())

    def test_what_metrics_count(self):
        """Bytes, what a rate holds up, 429s, and how long the store took."""
        def value(series):
            return float(re.search(rf"^webhookd_{re.escape(series)} (.*)$", d.metrics(), re.M).group(1))

        with Daemon("retry: {default: {initial_delay: 10ms, jitter: 0}}\n") as d, Receiver((200, {}, b"thanks")) as r, \
                Receiver(lambda q, n: 429 if n == 1 else 200) as busy:
            d.subscribe(r.url, "--rate", "5/s", events="a.*")
            d.subscribe(busy.url, events="b.*")
            d.insert(*[{"type": "a.b", "payload": {"n": n}} for n in range(3)])
            d.emit("b.c")
            wait_for(lambda: value('deliveries_completed_total{result="delivered"}') == 4)
            self.assertEqual(value('rate_limited_total{cause="configured"}'), 2)
            self.assertEqual(value('rate_limited_total{cause="http_429"}'), 1)
            self.assertEqual(value("request_bytes_total"), sum(len(q.body) for q in r.requests + busy.requests))
            self.assertGreater(value("response_bytes_total"), 3 * len("thanks") + 5 * len("HTTP/1.1 200 OK"))
            self.assertGreater(value("storage_wal_bytes"), 0)
            for op in ("claim", "list", "ingest", "record", "prune", "write", "commit"):
                with self.subTest(op):
                    wait_for(lambda: value(f'storage_operation_duration_seconds_count{{op="{op}"}}') > 0)
                    self.assertEqual(value(f'storage_errors_total{{op="{op}"}}'), 0)
            self.assertEqual(value('storage_operation_duration_seconds_count{op="record"}'), 5)

    def test_the_list_of_metrics(self):
        """docs/metrics.md has a row for each, with its type, labels and their values."""
        with Daemon() as d:
            text = d.metrics()
        served = {}
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
            labels = {}
            for labelled in re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", text, re.M):
                for label, v in re.findall(r'(\w+)="([^"]*)"', labelled):
                    labels.setdefault(label, {v: 1})[v] = 1
            served[name] = kind, {k: list(v) for k, v in labels.items() if k not in ("le", "version", "revision")}
        with open(os.path.join(os.path.dirname(__file__), "../../docs/metrics.md")) as f:
            rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\| .+ \|$", f.read(), re.M)
        listed = {name: (kind, {k: v.strip().split(", ") for k, v in re.findall(r"(\w+): ([\w, ]+)", labels)}) for name, kind, labels in rows}
        self.maxDiff = None
        self.assertEqual(listed, served)

    def test_events_over_the_socket(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            status, body = post(d, "/api/v1/events", b'{"type":"a.b","id":"h1","data":{"big":1e400,"z":"\\u0000"}}')
            self.assertEqual((status, body["id"]), (202, "h1"))
            wait_for(lambda: r.requests)
            self.assertIn(b'"data":{"big":1e400,"z":"\\u0000"}', r.requests[0].body)
            status, body = post(d, "/api/v1/events", b'{"type":"a.b","id":"h1","data":{"big":1e400,"z":"\\u0000"}}')
            self.assertEqual((status, body["duplicate"]), (202, True))
            self.assertEqual(post(d, "/api/v1/events", {"type": "a.b", "id": "h1", "data": 2})[0], 409)
            status, body = post(d, "/api/v1/events", {"type": "a b", "data": 2})
            self.assertEqual(status, 422)
            for member in ("code", "message", "details", "target", "status", "timestamp", "correlation_id", "documentation"):
                self.assertIn(member, body["error"])
            self.assertEqual(post(d, "/api/v1/events", b"{")[0], 400)
            status, body = post(d, "/api/v1/events", [{"type": "a.b", "data": n} for n in range(50)])
            self.assertEqual((status, len(body["items"])), (202, 50))
            wait_for(lambda: len(set(r.ids())) == 51)

    def test_as_many_as_may_connect_are_all_answered(self):
        with Daemon() as d, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(256)]
            os.kill(d.process.pid, signal.SIGSTOP)  # so that all of them are there at once
            try:
                for i, s in enumerate(clients):
                    s.settimeout(60)
                    s.connect(f"{d.dir}/webhookd.sock")
                    body = b'{"type":"t","id":"e%d","data":1}' % i
                    s.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            finally:
                os.kill(d.process.pid, signal.SIGCONT)
            self.assertEqual({s.recv(64).split()[1] for s in clients}, {b"202"})

    def test_hostile_heads(self):
        with Daemon() as d:
            for raw in (b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                        b"GET /api/v1/status HTTP/1.1\nHost: x\n\n",
                        b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
                        b"\x00\x01\x02\r\n\r\n", b"GET  / / HTTP/9.9\r\n\r\n"):
                answer = unix(d, raw)
                self.assertTrue(answer == b"" or answer.split()[1].startswith(b"4"), (raw[:60], answer[:200]))
            self.assertEqual(d.ctl("status", raw=True).returncode, 0)

    def test_the_caller_is_recorded(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            d.ctl("subscription", "pause", "s")
            actors = {x["actor"] for x in d.json("audit", "list")["items"]}
            self.assertTrue(any(a.startswith(f"uid:{os.getuid()}") for a in actors), actors)

    def test_sd_notify(self):
        with Daemon(start=False) as d:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.bind(f"{d.dir}/notify")
                s.settimeout(30)
                d.env["NOTIFY_SOCKET"] = f"{d.dir}/notify"
                d.start()
                self.assertEqual(s.recv(1000), b"READY=1")
                d.stop()
                self.assertEqual(s.recv(1000), b"STOPPING=1")

    def test_stale_socket_file_is_replaced(self):
        with Daemon() as d:
            d.kill()
            self.assertTrue(os.path.exists(f"{d.dir}/webhookd.sock"))
            d.start()
            self.assertEqual(d.ctl("status", raw=True).returncode, 0)


if __name__ == "__main__":
    unittest.main()
