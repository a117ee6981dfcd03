"""TLS with real peers: nginx with HTTP/2, a CA of our own, a wrong name, an unknown issuer, an old protocol."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from harness import Daemon, Receiver, free_port, wait_for


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def logged(path):
    """The events that came by HTTP/2."""
    with open(path) as f:
        return set(re.findall(r"^HTTP/2\.0 (\S+)$", f.read(), re.M))


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="webhookd-tls-")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA", cwd=cls.dir)
        for name, san in (("good", "IP:127.0.0.1,DNS:localhost"), ("other", "DNS:other.example")):
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=cls.dir)
            with open(f"{cls.dir}/{name}.ext", "w") as f:
                f.write(f"subjectAltName={san}\n")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20", "-extfile", f"{name}.ext",
                    "-out", f"{name}.pem", cwd=cls.dir)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    def server(self, name, **how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.dir}/{name}.pem", f"{self.dir}/{name}.key")
        for key, value in how.items():
            setattr(context, key, value)
        return Receiver(tls=context)

    def test_verified_and_refused(self):
        conf = "delivery: {ca_file: %s/ca.pem}\nretry: {default: {max_retries: 0}}\n" % self.dir
        with Daemon(conf) as d, self.server("good") as good, self.server("other") as other:
            d.subscribe(good.url, "--name", "good")
            d.subscribe(good.url.replace("127.0.0.1", "localhost"), "--name", "byname")
            d.subscribe(other.url, "--name", "wrong-name")
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] == 2 and d.counts()["dead"] == 1)
            letter = d.json("dlq", "list")["items"][0]
            self.assertEqual((letter["subscription"], letter["last_outcome"], letter["last_status"]), ("wrong-name", "tls", None))
            self.assertEqual({r.path for r in good.requests}, {"/hook"})
            self.assertEqual({r.headers["host"].split(":")[0] for r in good.requests}, {"127.0.0.1", "localhost"})

    def test_unknown_issuer(self):
        with Daemon("retry: {default: {max_retries: 0}}\n") as d, self.server("good") as good:
            d.subscribe(good.url)
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            self.assertEqual(d.json("dlq", "list")["items"][0]["last_outcome"], "tls")
            self.assertEqual(good.requests, [])

    @unittest.skipUnless(shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "nginx is not installed")
    def test_http2_against_nginx(self):
        port = free_port()
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(f"""daemon off; pid {self.dir}/nginx.pid; error_log {self.dir}/error.log;
events {{ }}
http {{ log_format p '$server_protocol $http_webhook_id'; access_log {self.dir}/access.log p;
 client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s;
 server {{ listen 127.0.0.1:{port} ssl http2; keepalive_requests 20; ssl_certificate {self.dir}/good.pem; ssl_certificate_key {self.dir}/good.key;
  location / {{ return 200 'ok'; }} }} }}""")
        nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", self.dir, "-c", f"{self.dir}/nginx.conf"], stderr=subprocess.DEVNULL)
        try:
            with Daemon("delivery: {ca_file: %s/ca.pem}\n" % self.dir) as d:
                d.subscribe(f"https://127.0.0.1:{port}/h2")
                wait_for(lambda: answers(port), what="nginx listens")
                d.insert(*[dict(type="a.b", event_id=f"e{n}") for n in range(200)])
                wait_for(lambda: d.counts()["delivered"] == 200)
                self.assertEqual({x["attempts"] for x in d.json("delivery", "list", "--limit", "300")["items"]}, {1})  # GOAWAY costs none
                wait_for(lambda: len(logged(f"{self.dir}/access.log")) == 200)  # written after the answer
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    unittest.main()
