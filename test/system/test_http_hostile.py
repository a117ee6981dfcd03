"""Requests that mean harm, at both listeners: each is answered 4xx or closed, in bounded time, and webhookd lives on."""
import json
import random
import select
import socket
import time
import unittest

from harness import DEADLINE, Daemon, unix_request, wait_for

POST = b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\n"
EVENT = b'{"type":"a.b","data":1}'


def sized(body, head=POST):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


HEADS = [  # (raw, statuses that are fine; b"" is a close without a word)
    (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"),
    (POST + b"Content-Length: 23\r\ncontent-length: 23\r\n\r\n" + EVENT, "400"),
    (POST + b"Content-Length: 23\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400"),
    (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
    (POST + b"Content-Length : 23\r\n\r\n" + EVENT, "400"),
    (POST + b"X: a\n\r\nContent-Length: 2\r\n\r\n{}", "400"),
    (POST + b"X: a\rContent-Length: 2\r\n\r\n{}", "400"),
    (POST + b"X: a\r\n Content-Length: 2\r\n\r\n{}", "400"),
    (POST + b"X: \0\r\n\r\n", "400"),
    (POST + b"Content-Length: -1\r\n\r\n", "4"), (POST + b"Content-Length: 99999999999999999999\r\n\r\n", "4"),
    (POST + b"Content-Length: 0x17\r\n\r\n" + EVENT, "4"), (POST + b"Content-Length: 23,23\r\n\r\n" + EVENT, "4"),
    (POST + b"Content-Length: 8388609\r\n\r\n", "413"), (POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "4"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "4"), (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", "4"),
    (b"GET /api/v1/status HTTP/1.1\nHost: x\n\n", "400"), (b"\r\n\r\n\r\n", "4"), (b"GET", ""), (b"GET /api/v1/status\r\n\r\n", "4"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "4"), (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(64), "4"),
    (b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n", "4"), (b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", "501"),
    (b"TRACE /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "501"), (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    (b"GET /api/v1/status/ HTTP/1.1\r\nHost: x\r\n\r\n", "404"), (b"GET //api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    (b"GET /api/v1/subscriptions/%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400"), (b"GET /api/v1/subscriptions/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    (b"GET /api/v1/subscriptions/%2e%2e%2f%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n", "404"), (b"GET /api/v1/subscriptions/% HTTP/1.1\r\nHost: x\r\n\r\n", "4"),
    (b"GET /api/v1/events/%27%3b%20DROP%20TABLE%20event HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    (b"GET /api/v1/dead-letters?limit=1e9 HTTP/1.1\r\nHost: x\r\n\r\n", "422"), (b"GET /api/v1/dead-letters?limit=-1 HTTP/1.1\r\nHost: x\r\n\r\n", "422"),
    (b"GET /api/v1/dead-letters?cursor=99999999999999999999.1 HTTP/1.1\r\nHost: x\r\n\r\n", "2"), (b"GET /api/v1/events?cursor=%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    (b"GET /api/v1/events?" + b"a&" * 4000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "4"), (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "4"),
    (b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 6000 + b"\r\n", "4"),
    (sized(b""), "400"), (sized(b"{"), "400"), (sized(b"null"), "4"), (sized(b"[]"), "4"), (sized(b"[[]]"), "4"), (sized(b"\xef\xbb\xbf" + EVENT), "400"),
    (sized(b"[" * 100000), "400"), (sized(b'{"a":' * 100000), "400"), (sized(b'{"type":"a.b","data":' + b"[" * 3000 + b"]" * 3000 + b"}"), "4"),
    (sized(b'{"type":"a\\u0000b","data":1}'), "4"), (sized(b'{"type":"a.b\0","data":1}'), "400"), (sized(b'{"type":"a.b","data":"\xff\xfe"}'), "400"),
    (sized(b'{"type":"a.b","data":"\xed\xa0\x80"}'), "400"), (sized(b'{"type":"a.b","type":"a.c","data":1}'), "4"), (sized(b'{"type":"a.b","data":1,"data":2}'), "4"),
    (sized(b'{"type":"' + b"a" * 300 + b'","data":1}'), "422"), (sized(b'{"type":"a.b","id":"a b","data":1}'), "422"), (sized(b'{"type":"a.b","id":"","data":1}'), "422"),
    (sized(b'{"type":"a.b","expires_at":1e308,"data":1}'), "422"), (sized(b'{"type":"a.b","deliver_after":-1,"data":1}'), "4"),
    (sized(b'{"type":"a.b","data":1,"attributes":[]}'), "422"), (sized(b'{"type":"a.b\\nlevel=error","data":1}'), "422"), (sized(EVENT + EVENT), "400"),
    (sized(b"[" + b",".join([EVENT] * 10000) + b"]"), "4"), (sized(b"[" + b"1," * 10000 + b"1]"), "4"),
    (sized(b'{"filter":{"ids":' + json.dumps(["x" * 100] * 5000).encode() + b"}}", b"POST /api/v1/replays HTTP/1.1\r\nHost: x\r\n"), "4"),
]


def talk(d, raw, tcp=False):
    with socket.create_connection(("127.0.0.1", d.port)) if tcp else socket.socket(socket.AF_UNIX) as s:
        s.settimeout(DEADLINE)
        if not tcp:
            s.connect(f"{d.dir}/webhookd.sock")
        out = b""
        try:
            s.sendall(raw)
        except OSError:
            pass  # refused while we still talk: the answer may be there
        try:
            s.shutdown(socket.SHUT_WR)
            while part := s.recv(65536):
                out += part
        except OSError:
            pass
        return out


class Hostile(unittest.TestCase):
    def test_table(self):
        with Daemon() as d:
            for raw, fine in HEADS:
                with self.subTest(raw[:100]):
                    answer = talk(d, raw)
                    status = answer.split(b" ")[1].decode() if answer.startswith(b"HTTP/1.") else ""
                    self.assertTrue(not answer or status.startswith(fine or "none"), answer[:300])
                    self.assertTrue(answer or fine in ("", "4", "400", "413"))
                    self.assertEqual(answer.count(b"HTTP/1."), 1 if answer else 0)
                    talk(d, raw, tcp=True)
            status, body = unix_request(d, "GET", "/api/v1/events")
            self.assertEqual((status, body["items"]), (200, []))

    def test_one_request_a_connection(self):
        with Daemon() as d:
            two = b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" * 2
            self.assertEqual(talk(d, two).count(b"HTTP/1.1 200"), 1)
            hidden = sized(b"{}", b"POST /api/v1/partners HTTP/1.1\r\nHost: x\r\n") + sized(b'{"name":"hidden"}', b"POST /api/v1/partners HTTP/1.1\r\nHost: x\r\n")
            talk(d, hidden)
            self.assertNotIn("hidden", d.ctl("partner", "list"))

    def test_mutations(self):
        """Bytes of good requests turned, cut, doubled: no crash, no hang."""
        dice = random.Random(7)
        with Daemon() as d:
            seeds = [raw for raw, _ in HEADS if len(raw) < 2000] + [sized(EVENT)]
            for _ in range(400):
                raw = bytearray(dice.choice(seeds))
                for _ in range(dice.randint(1, 6)):
                    at = dice.randrange(len(raw))
                    raw[at:at + dice.randint(0, 3)] = bytes(dice.choice(b"\r\n\0: ,{}[]\"\\%/0aA\xff") for _ in range(dice.randint(0, 3)))
                    raw = raw or bytearray(b"x")
                talk(d, bytes(raw), tcp=dice.random() < 0.2)
            self.assertEqual(d.ctl("status", raw=True).returncode, 0)

    def test_slow_and_many(self):
        """300 connections that say a byte now and then: cut by the total deadline; whoever waits behind them is served."""
        with Daemon() as d:
            slow = []
            for _ in range(300):  # 256 are served, the rest waits in the kernel's backlog
                s = socket.socket(socket.AF_UNIX)
                s.connect(f"{d.dir}/webhookd.sock")
                s.setblocking(False)
                s.send(b"GET /api/v1/status HTTP/1.1\r\nX: ")
                slow.append(s)
            start, cut = time.monotonic(), 0
            while cut < 256 and time.monotonic() - start < 30:
                cut = len(select.select(slow, [], [], 0)[0])  # readable: closed
                for s in slow:
                    try:
                        s.send(b"a")
                    except OSError:
                        pass
                time.sleep(0.5)
            self.assertGreaterEqual(cut, 256)
            self.assertLess(time.monotonic() - start, 20)
            self.assertEqual(d.ctl("status", raw=True).returncode, 0)
            for s in slow:
                s.close()
            wait_for(lambda: unix_request(d, "GET", "/api/v1/status")[0] == 200)


if __name__ == "__main__":
    unittest.main()
