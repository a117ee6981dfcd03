"""HTTP/2: against nginx, and against peers that speak it frame by frame: floods below the answers, a connection that falls silent."""
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

from harness import Daemon, Receiver, free_port, wait_for
from test_tls import make_certificates

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DATA, HEADERS, PRIORITY, SETTINGS, PING = 0, 1, 2, 4, 6
OK = b"\x88"  # HPACK: the static table's ":status 200"


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Peer:
    """Accepts HTTP/2 connections; answer(number of the connection, send, stream) is called for each request that is complete."""

    def __init__(self, folder, answer):
        self.answer, self.connections = answer, 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{folder}/good.pem", f"{folder}/good.key")
        self.tls.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.talk, args=(connection, self.connections), daemon=True).start()

    def talk(self, connection, number):
        with contextlib.suppress(OSError), self.tls.wrap_socket(connection, server_side=True) as c:
            stream = c.makefile("rb")
            stream.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            c.sendall(frame(SETTINGS, 0, 0))
            while head := stream.read(9):
                kind, flags, on = head[3], head[4], int.from_bytes(head[5:], "big")
                stream.read(int.from_bytes(head[:3], "big"))
                if kind == SETTINGS and not flags & 1:
                    c.sendall(frame(SETTINGS, 1, 0))
                elif kind in (DATA, HEADERS) and flags & 1:
                    self.answer(number, c.sendall, on)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Http2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="webhookd-http2-")
        make_certificates(cls.dir)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    def daemon(self, conf="", timeout="20s"):
        """What ends by itself has the time for it, however busy the machine is: only the silent one needs a short deadline."""
        return Daemon("delivery: {ca_file: %s/ca.pem, timeout: %s, connect_timeout: %s}\n%s" % (self.dir, timeout, timeout, conf))

    def test_floods_below_the_answer_are_cut_and_stop_nobody(self):
        """What belongs to no stream is read by libcurl in one go, as long as there is more: the loop would never come back."""
        floods = {"unknown": frame(77, 0, 0, b"x" * 100), "priority": frame(PRIORITY, 0, 1, bytes(5)), "settings": frame(SETTINGS, 0, 0),
                  "ping": frame(PING, 0, 0, b"12345678")}

        def flood(piece):
            def answer(number, send, stream):
                while True:
                    send(piece)
            return answer

        with contextlib.ExitStack() as peers, Receiver() as good, self.daemon("retry: {default: {max_retries: 0}}\n") as d:
            for name, piece in floods.items():
                peer = peers.enter_context(Peer(self.dir, flood(piece * (65536 // len(piece)))))
                d.subscribe(peer.url, "--name", name)
            d.subscribe(good.url, "--name", "good")
            d.insert(*[dict(type="a.b") for _ in range(5)])
            wait_for(lambda: d.counts()["delivered"] == 5 and d.counts()["dead"] == 20)
            seen = {(x["last_outcome"], x["last_status"]) for x in d.json("dlq", "list")["items"]}
            self.assertEqual(seen, {("reset", None)})
            self.assertIn("far more came in than an answer can be", d.log())

    def test_a_connection_that_fell_silent_is_left(self):
        def answer(number, send, stream):
            if number > 1:
                send(frame(HEADERS, 5, stream, OK))

        with Peer(self.dir, answer) as peer, self.daemon("retry: {default: {initial_delay: 20ms}}\n", "2s") as d:
            d.subscribe(peer.url)
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] == 1)
            delivery = d.json("delivery", "list")["items"][0]
            attempts = d.api("GET", f"/deliveries/{delivery['id']}/attempts")[1]["items"]
            self.assertEqual([a["outcome"] for a in attempts], ["timeout", "success"])
            self.assertEqual(peer.connections, 2)

    @contextlib.contextmanager
    def nginx(self):
        port = free_port()
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(f"""daemon off; pid {self.dir}/nginx.pid; error_log {self.dir}/error.log;
events {{ }}
http {{ log_format p '$server_protocol $http_webhook_id'; access_log {self.dir}/access.log p;
 client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
 server {{ listen 127.0.0.1:{port} ssl http2; keepalive_requests 20; ssl_certificate {self.dir}/good.pem; ssl_certificate_key {self.dir}/good.key;
  location / {{ return 200 'ok'; }} location /no {{ return 403; }} }} }}""")
        server = subprocess.Popen([NGINX, "-p", self.dir, "-c", f"{self.dir}/nginx.conf"], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: listens(port), what="nginx listens")
            yield f"https://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()

    def logged(self):
        """The events that came by HTTP/2."""
        with open(f"{self.dir}/access.log") as f:
            return set(re.findall(r"^HTTP/2\.0 (\S+)$", f.read(), re.M))

    @unittest.skipUnless(os.path.exists(NGINX), "nginx is not installed")
    def test_against_nginx(self):
        with self.nginx() as url, self.daemon() as d:
            d.subscribe(f"{url}/h2")
            d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(200)])
            wait_for(lambda: d.counts()["delivered"] == 200)
            self.assertEqual({x["attempts"] for x in d.json("delivery", "list", "--limit", "300")["items"]}, {1})  # GOAWAY costs none
            wait_for(lambda: len(self.logged()) == 200)  # written after the answer

    @unittest.skipUnless(os.path.exists(NGINX), "nginx is not installed")
    def test_answers_before_the_request_is_through(self):
        """nginx refuses without reading the body; what it said counts, however many requests are under way."""
        with self.nginx() as url, self.daemon() as d:
            d.subscribe(f"{url}/no")
            d.insert(*[dict(type="a.b", payload=json.dumps("x" * 150000)) for _ in range(40)])
            wait_for(lambda: d.counts()["dead"] == 40)
            letters = d.json("dlq", "list", "--limit", "100")["items"]
            self.assertEqual({(x["cause"], x["last_status"], x["attempts"]) for x in letters}, {("permanent_failure", 403, 1)})


if __name__ == "__main__":
    unittest.main()
