"""TLS with real peers: a CA of our own, a wrong name, an unknown issuer."""
import shutil
import signal
import ssl
import subprocess
import tempfile
import unittest

from harness import Daemon, Receiver, wait_for


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


def make_certificates(folder):
    """A CA, and of it one certificate for this machine and one for another name."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA", cwd=folder)
    for name, san in (("good", "IP:127.0.0.1,DNS:localhost"), ("other", "DNS:other.example")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=folder)
        with open(f"{folder}/{name}.ext", "w") as f:
            f.write(f"subjectAltName={san}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "20", "-extfile", f"{name}.ext",
                "-out", f"{name}.pem", cwd=folder)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="webhookd-tls-")
        make_certificates(cls.dir)

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

    def test_a_reload_reads_the_ca_file_again(self):
        mine = f"{self.dir}/mine.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "x.key", "-out", mine, "-days", "30", "-subj", "/CN=Another CA", cwd=self.dir)
        with Daemon("delivery: {ca_file: %s}\nretry: {default: {max_retries: 0}}\n" % mine) as d, self.server("good") as good:
            d.subscribe(good.url)
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            with open(mine, "a") as f, open(f"{self.dir}/ca.pem") as ca:
                f.write(ca.read())
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "event=config_loaded" in d.log())
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] == 1)


if __name__ == "__main__":
    unittest.main()
