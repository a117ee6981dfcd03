"""Scenes of the runbook: trouble on a partner's side."""
import contextlib
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from console import CONF
from harness import Receiver, wait_for
from names import Names, possible
from scenes import QUICK, dead_trades, scene, trades


def resolver(table):
    """A name server of our own for a machine."""
    if not possible():
        raise unittest.SkipTest("needs root and mount namespaces")
    return Names(table)


@contextlib.contextmanager
def certificates():
    """A folder with an authority and two certificates of it for this machine: one that has expired, one that is new."""
    with tempfile.TemporaryDirectory() as folder:
        openssl = lambda *args, when=(): subprocess.run([*when, "openssl", *args], cwd=folder, check=True, capture_output=True)
        long_ago = ("faketime", "-f", "-40d")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "90", "-subj", "/CN=An Authority", when=long_ago)
        with open(f"{folder}/names", "w", encoding="utf-8") as f:
            f.write("subjectAltName=IP:127.0.0.1\n")
        for name, when in (("old", long_ago), ("new", ())):
            openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=hooks.acme.example")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                    "-extfile", "names", "-out", f"{name}.pem", when=when)
        yield folder


def server(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    return context


@scene("You were paged. Type this")
def paged(stage):
    with stage.machine(QUICK) as m, m.partner("acme", 503, events="trade.*"), m.partner("globex", events="fill.*"):
        trades(m, 1, 37)
        trades(m, 38, 50, type="fill.done")
        wait_for(lambda: (m.counts()["dead"], m.counts()["delivered"]) == (37, 13))
        wait_for(lambda: m.json("status")["last_5m"]["ok"] == 13)  # written behind, within a second
        stage.age()
        yield


@scene("Deliveries to one partner fail")
def fails(stage):
    with stage.machine(QUICK) as m, m.partner("acme", (503, {}, b"upstream unavailable\n"), events="trade.*") as acme:
        dead_trades(m, 1, 12)
        stage.age()
        yield
        acme.answer = 200
        acme.requests.clear()
        yield
        m.dead(0)
        assert sorted(acme.ids()) == sorted(f"TRD-{n}" for n in range(1, 13)), acme.ids()


@scene("A partner refuses our signature or credentials (401, 403)")
def refuses(stage):
    with stage.machine(QUICK) as m, m.partner("globex", (401, {}, b'{"error":"signature mismatch"}'), events="fill.*") as globex:
        dead_trades(m, 1, 4, type="fill.done")
        stage.age()
        yield
        globex.answer = 200
        yield
        m.dead(0)


@scene("The endpoint is gone (410), the subscription is disabled")
def gone(stage):
    with stage.machine(QUICK) as m, m.partner("initech", 410) as initech:
        dead_trades(m, 1, 1)
        trades(m, 2, 3)
        wait_for(lambda: m.counts()["held"] == 2)
        stage.age()
        yield
        initech.answer = 200
        yield
        m.dead(0)
        wait_for(lambda: len(set(initech.ids())) == 4)  # the test is one of them


@scene("A partner was paused and forgotten")
def forgotten(stage):
    with stage.machine(QUICK) as m, m.partner("acme") as acme:
        m.ctl("sub", "pause", "acme", "--note", "INC-377: they asked us to wait")
        trades(m, 1, 5)
        wait_for(lambda: m.counts()["held"] == 5)
        stage.age()
        yield
        wait_for(lambda: m.counts()["delivered"] == 5)
        yield
        assert len(acme.requests) == 5


@scene("A partner's name does not resolve (DNS)")
def no_such_name(stage):
    found, asked = [], []
    with resolver({"hooks.acme.example": lambda n: asked.append(time.monotonic()) or found}) as names, \
            stage.machine(QUICK, resolver=names) as m, Receiver() as acme:
        m.subscribe(m.address(f"http://hooks.acme.example:{acme.port}/settle", "https://hooks.acme.example/settle"), "--name", "acme")
        trades(m, 1, 3)
        m.dead(3)
        stage.age()
        yield
        found.append("127.0.0.1")
        wait_for(lambda: time.monotonic() - asked[-1] > 1.2, what="that there was no such name is forgotten, a second old")
        yield
        m.dead(0)


@scene("TLS to a partner fails (certificate expired)")
def expired_certificate(stage):
    with certificates() as folder, stage.machine(f"delivery: {{ca_file: {folder}/ca.pem}}\n" + QUICK) as m:
        with m.partner("acme", tls=server(folder, "old")) as acme:
            dead_trades(m, 1, 2)
            port = acme.port
            m.name("127.0.0.1", "203.0.113.7")
            stage.age()
            yield
            yield
        with Receiver(port=port, tls=server(folder, "new")):
            yield
            m.dead(0)


@scene("Blocked by the egress guard")
def blocked(stage):
    closed = CONF.replace("allow: [127.0.0.0/8]", "allow: []")
    address, asked = ["10.20.0.7"], []
    with resolver({"hooks.clearing.example": lambda n: asked.append(time.monotonic()) or address}) as names, stage.machine(QUICK, replace=closed, resolver=names) as m, \
            Receiver() as r:
        m.subscribe(m.address(f"http://hooks.clearing.example:{r.port}/settle", "https://hooks.clearing.example/settle"), "--name", "clearing")
        dead_trades(m, 1, 2)
        stage.age()
        yield
        address[:] = ["127.0.0.1"]  # where somebody listens
        wait_for(lambda: time.monotonic() - asked[-1] > 5.2, what="the address before is forgotten, five seconds old")
        m.write_conf(CONF.replace("allow: [", "allow: [10.20.0.0/16, ") + QUICK)
        yield
        m.dead(0)


@scene("The backlog grows, the oldest due delivery is old")
def backlog(stage):
    over = threading.Event()
    slow = lambda request, n: 200 if n <= 3 else over.wait(60) and 200
    with stage.machine("delivery: {timeout: 60s}\n") as m, m.partner("acme", slow, "--concurrency", "4"), m.partner("globex", events="fill.*"):
        for n in range(1, 4):
            trades(m, n, n)
            wait_for(lambda: m.counts()["delivered"] == n)
        trades(m, 4, 200)
        wait_for(lambda: m.counts()["in_flight"] == 4 and sum(m.counts().values()) == 200)
        stage.age()
        yield
        yield
        over.set()


@scene("An ordering key is blocked")
def blocked_key(stage):
    bad = lambda request, n: 422 if request.id == "TRD-1" and not mended else 200
    mended = []
    with stage.machine(QUICK) as m, m.partner("acme", bad, "--ordering", "key", "--on-dead", "block") as acme:
        for n in range(1, 4):
            m.emit("trade.settled", {"trade_id": f"TRD-{n}"}, event_id=f"TRD-{n}", ordering_key="GOVT-2034")
        m.dead(1)
        stage.age()
        yield
        mended.append(True)
        yield
        wait_for(lambda: m.counts()["delivered"] == 3)
        assert acme.ids()[-2:] == ["TRD-2", "TRD-3"], acme.ids()
        yield


@scene("A secret leaked")
def leaked(stage):
    with stage.machine() as m, m.partner("acme") as acme:
        trades(m, 1, 1)
        wait_for(lambda: m.counts()["delivered"] == 1)
        stage.age()
        yield


@scene("A partner sees duplicates")
def duplicates(stage):
    slow = lambda request, n: time.sleep(0.3) or 200 if n == 1 else 200
    with stage.machine("delivery: {timeout: 200ms}\n" + QUICK) as m, m.partner("acme", slow) as acme:
        trades(m, 1, 1)
        wait_for(lambda: m.counts()["delivered"] == 1)
        assert acme.ids() == ["TRD-1", "TRD-1"]
        stage.age()
        yield


@scene("A partner lost what was delivered")
def lost(stage):
    with stage.machine() as m, m.partner("acme"):
        for n in range(1, 4):
            trades(m, n, n)
            wait_for(lambda: m.counts()["delivered"] == n)
        stage.age()
        yield
