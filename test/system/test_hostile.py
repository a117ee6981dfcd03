"""Receivers that mean harm: each costs one attempt and its deadline, no memory, and nobody else's time."""
import gzip
import os
import socket
import struct
import threading
import time
import unittest
import urllib.request
import zlib

from harness import Daemon, Receiver, wait_for

OK = b"HTTP/1.1 200 OK\r\n"


def nested_gzip(megabytes):
    """gzip of gzip of gzip of nothing: deflate blocks without content, many of them, behind two more layers."""
    data, empty = b"\x1f\x8b\x08\0\0\0\0\0\0\3", b"\0\0\0\xff\xff" * 209715
    for first in (data, b""):
        pack = zlib.compressobj(9, zlib.DEFLATED, 31)
        parts = [pack.compress(first)] + ([pack.compress(empty) for _ in range(megabytes)] if first else [pack.compress(inner)])
        inner = b"".join(parts) + pack.flush()
    return inner


class Server:
    """A listener whose connections each read what comes first and then run behaviour(socket, stopped)."""

    def __init__(self, behaviour):
        self.behaviour, self.stopped, self.connections = behaviour, threading.Event(), 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection:
            try:
                connection.recv(1 << 20)
                self.behaviour(connection, self.stopped)
            except OSError:
                pass

    def close(self):
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes its accept()
        self.listener.close()


def flood(first, again):
    def behaviour(c, stopped):
        c.sendall(first)
        block = again * max(1, 65536 // len(again))
        while not stopped.is_set():
            c.sendall(block)
    return behaviour


def drip(first, again):
    def behaviour(c, stopped):
        c.sendall(first)
        while not stopped.wait(0.1):
            c.sendall(again)
    return behaviour


def say(text):
    return lambda c, stopped: c.sendall(text)


def reset(c, stopped):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


BEHAVIOURS = {  # name: (behaviour, outcome of the one attempt)
    "endless-line": (flood(OK + b"X: ", b"x"), "reset"),
    "endless-headers": (flood(OK, b"X-Y: z\r\n"), "reset"),
    "endless-body": (flood(OK + b"\r\n", b"x"), "success"),
    "endless-chunks": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"), "success"),
    "endless-chunk-name": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"), "success"),
    "endless-chunk-size": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), "success"),
    "endless-trailers": (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Y: z\r\n"), "success"),
    "continue-storm": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "reset"),
    "hints-flood": (flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), "reset"),
    "drip-head": (drip(OK + b"X: ", b"x"), "timeout"),
    "drip-hints": (drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "timeout"),
    "drip-body": (drip(OK + b"\r\n", b"x"), "success"),
    "silence": (lambda c, stopped: stopped.wait(60), "timeout"),
    "gzip-bomb": (say(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(1 << 24))), "success"),
    "te-bomb": (say(OK + b"Transfer-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(1 << 24))), "success"),
    "te-nested": (say(OK + b"Transfer-Encoding: gzip, gzip, gzip\r\n\r\n" + nested_gzip(256)), "success"),
    "no-http": (say(b"SSH-2.0-OpenSSH_9.2\r\n"), "reset"),
    "close": (say(b""), "reset"),
    "reset": (reset, "reset"),
    "nul": (say(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), "reset"),
    "status-0": (say(b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n"), "reset"),
    "status-1000": (say(b"HTTP/1.1 2000 Many\r\nContent-Length: 0\r\n\r\n"), "reset"),
    "huge-length": (say(OK + b"Content-Length: 99999999999999999999999\r\n\r\n"), "success"),
    "huge-retry-after": (say(b"HTTP/1.1 503 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n"), "http_5xx"),
}


# Those that only the deadline ends; the others have the time they need, however busy the machine is.
ENDLESS = ("endless-chunk-name", "drip-head", "drip-hints", "drip-body", "silence")


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(x for x in f if x.startswith("VmRSS:")).split()[1])


class Hostile(unittest.TestCase):
    def test_each_costs_one_attempt_and_no_memory(self):
        """Retry-After of 3 billion years holds the lane for retry_after_max."""
        servers = {name: Server(behaviour) for name, (behaviour, _) in BEHAVIOURS.items()}
        conf = "delivery: {timeout: 1500ms}\nretry: {default: {max_retries: 0, retry_after_max: 100ms}}\n"
        with Daemon(conf) as d, Receiver() as good:
            for name, server in servers.items():
                d.subscribe(server.url, "--name", name, *(() if name in ENDLESS else ("--timeout", "20s")), events="evil")
            d.subscribe(good.url, "--name", "good", events="fine")
            slowest = [0.0]
            over = threading.Event()

            def pulse():
                while not over.is_set():
                    start = time.monotonic()
                    urllib.request.urlopen(f"http://127.0.0.1:{d.port}/healthz", timeout=30).read()
                    slowest[0] = max(slowest[0], time.monotonic() - start)
                    over.wait(0.02)
            watch = threading.Thread(target=pulse)
            memory = []
            for round in range(1, 4):
                d.emit("evil", event_id=f"e{round}")
                if round == 1:
                    watch.start()
                wait_for(lambda: d.counts()["dead"] + d.counts()["delivered"] == round * len(servers))
                memory.append(rss_kib(d.process.pid))
            over.set()
            watch.join()
            for name, (_, wanted) in BEHAVIOURS.items():
                deliveries = d.json("delivery", "list", "--subscription", name)["items"]
                with self.subTest(name):
                    self.assertEqual([x["attempts"] for x in deliveries], [1, 1, 1])
                    self.assertEqual({x["last_outcome"] for x in deliveries}, {wanted})
                    self.assertEqual(servers[name].connections, 3)
            d.emit("fine")
            wait_for(lambda: good.requests)
            if "asan" not in os.environ.get("BUILD", "") and "tsan" not in os.environ.get("BUILD", ""):
                self.assertLess(memory[2] - memory[0], 1024, memory)
            print(f"slowest pulse {slowest[0] * 1000:.0f} ms, RSS {memory} KiB")
            self.assertLess(slowest[0], 3)
        for server in servers.values():
            server.close()


if __name__ == "__main__":
    unittest.main()
