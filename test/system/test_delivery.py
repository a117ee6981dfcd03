"""From a row in the outbox to a delivered webhook: bodies, signatures, the schedule on the wire, statuses, time-outs, neighbours."""
import base64
import hashlib
import hmac
import json
import re
import socket
import threading
import time
import unittest

from harness import Daemon, Receiver, free_port, wait_for

FAST = "retry: {default: {max_retries: 2, initial_delay: 50ms, jitter: 0}}\n"


def hexmac(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Profiles(unittest.TestCase):
    """Each profile's signature recomputed by hand, from the words of the documents."""

    def one(self, profile, *more, attributes=None, payload='{"order_id":"ORD-1","price":100.50,"big":1e400}'):
        with Daemon() as d, Receiver() as r:
            sub = d.subscribe(r.url, "--profile", profile, *more)
            d.emit("order.executed", payload, event_id="evt-12345", correlation_id="corr-67890", source="bondx-trading-engine",
                   version="1.0", created_at=1705314600000, **({"attributes": attributes} if attributes else {}))
            wait_for(lambda: r.requests)
            request = r.requests[0]
            self.assertEqual(request.id, "evt-12345")
            self.assertEqual(request.headers["content-type"], "application/json")
            self.assertEqual(int(request.headers["content-length"]), len(request.body))
            self.assertTrue(request.headers["user-agent"].startswith("webhookd/"))
            self.assertIsNone(request.headers.get("transfer-encoding"))
            self.assertIsNone(request.headers.get("expect"))
            self.assertEqual(request.headers["webhook-attempt"], "1")
            self.assertLess(abs(int(request.headers["webhook-timestamp"]) - time.time()), 60)
            return sub["secret"], request

    def test_bondx(self):
        secret, r = self.one("bondx")
        self.assertEqual(r.headers["X-BondX-Signature"], "sha256=" + hexmac(secret, r.body))
        self.assertIn(b'"data":{"order_id":"ORD-1","price":100.50,"big":1e400}', r.body)  # byte for byte
        text = r.body.replace(b"1e400", b"1")
        body = json.loads(text)
        self.assertEqual(list(body), ["event", "event_id", "timestamp", "data", "metadata"])
        self.assertEqual(body["event"], "order.executed")
        self.assertEqual(body["event_id"], "evt-12345")
        self.assertEqual(body["timestamp"], "2024-01-15T10:30:00.000Z")
        self.assertEqual(body["metadata"], {"correlation_id": "corr-67890", "source": "bondx-trading-engine", "version": "1.0"})
        self.assertEqual(r.headers["X-Correlation-ID"], "corr-67890")
        self.assertTrue(r.headers["X-Request-ID"])
        self.assertIsNone(r.headers.get("authorization"))

    def test_bondbricks(self):
        secret, r = self.one("bondbricks")
        self.assertEqual(r.headers["X-Webhook-Signature"], hexmac(secret, r.body))
        self.assertEqual(list(json.loads(r.body.replace(b"1e400", b"1"))), ["event", "id", "data", "timestamp"])

    def test_event_platform(self):
        secret, r = self.one("event-platform")
        body = json.loads(r.body.replace(b"1e400", b"1"))
        self.assertEqual(list(body)[-1], "signature")
        self.assertTrue(body["id"].startswith("whk_"))
        signature = body["signature"]["signature"]
        self.assertRegex(body["signature"]["token"], r"^[A-Za-z0-9_-]{32,}$")
        emptied = r.body.replace(signature.encode(), b"")
        self.assertEqual(signature, "sha256=" + hexmac(secret, emptied))

    def test_standard(self):
        secret, r = self.one("standard", attributes='{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}')
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{r.id}.{r.headers['webhook-timestamp']}.".encode() + r.body
        want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        self.assertEqual(r.headers["webhook-signature"], want)
        self.assertEqual(list(json.loads(r.body.replace(b"1e400", b"1"))), ["type", "timestamp", "data"])
        self.assertRegex(r.headers["traceparent"], r"^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$")

    def test_raw(self):
        _, r = self.one("raw", payload='  {"as": "it stands"} ')
        self.assertEqual(r.body, b'  {"as": "it stands"} ')

    def test_the_seeds_own_sample_verifies(self):
        def verify_webhook(payload: str, signature: str, secret: str) -> bool:  # the seeds' code, as partners have it
            expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
            return hmac.compare_digest(expected, signature)
        secret, r = self.one("bondbricks")
        self.assertTrue(verify_webhook(r.body.decode("utf-8"), r.headers.get("X-Webhook-Signature"), secret))

    def test_bearer_and_custom_headers_from_files(self):
        with Daemon() as d, Receiver() as r:
            with open(f"{d.dir}/bearer", "w") as f:
                f.write("tok-123\n")
            with open(f"{d.dir}/headers", "w") as f:
                f.write("X-Tenant: acme\n")
            d.subscribe(r.url, "--bearer-file", f"{d.dir}/bearer", "--header-file", f"{d.dir}/headers")
            d.emit("a.b")
            wait_for(lambda: r.requests)
            self.assertEqual(r.requests[0].headers["Authorization"], "Bearer tok-123")
            self.assertEqual(r.requests[0].headers["X-Tenant"], "acme")
            with open(f"{d.dir}/store/webhookd.db", "rb") as f:
                self.assertNotIn(b"tok-123", f.read())

    def test_rotation_with_overlap(self):
        with Daemon() as d, Receiver() as r:
            old = d.subscribe(r.url, "--name", "std", "--profile", "standard")["secret"]
            new = d.json("subscription", "rotate-secret", "std")["secret"]
            self.assertNotEqual(old, new)
            d.emit("a.b")
            wait_for(lambda: r.requests)
            request, want = r.requests[0], set()
            for secret in (old, new):
                signed = f"{request.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
                key = base64.b64decode(secret.removeprefix("whsec_"))
                want.add("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
            self.assertEqual(set(request.headers["webhook-signature"].split(" ")), want)


class Outcomes(unittest.TestCase):
    def test_schedule_on_the_wire(self):
        with Daemon("retry: {default: {max_retries: 3, initial_delay: 200ms, jitter: 0}}\n") as d, Receiver(503) as r:
            d.subscribe(r.url)
            d.emit("a.b", event_id="e1")
            wait_for(lambda: d.counts()["dead"] == 1)
            gaps = [b.at - a.at for a, b in zip(r.requests, r.requests[1:])]
            self.assertEqual(len(r.requests), 4)
            self.assertEqual(re.findall(r"event=attempt_failed .* retry_in=(\S+)", d.log()), ["0.200", "0.400", "0.800", "0.000"])
            for gap, want in zip(gaps, (0.2, 0.4, 0.8)):
                self.assertGreaterEqual(gap, want - 0.01)
                self.assertLess(gap, want + 1.0)
            self.assertEqual({r.id for r in r.requests}, {"e1"})
            self.assertEqual(len({r.body for r in r.requests}), 1)  # the same bytes every time
            self.assertEqual([r.headers["webhook-attempt"] for r in r.requests], ["1", "2", "3", "4"])

    def test_which_statuses_are_retried_and_which_are_final(self):
        with Daemon(FAST) as d, Receiver(lambda r, n: int(r.path.rsplit("/", 1)[1])) as r:
            cases = {200: ("delivered", 1), 204: ("delivered", 1), 299: ("delivered", 1), 301: ("permanent_failure", 1),
                     400: ("permanent_failure", 1), 401: ("permanent_failure", 1), 404: ("permanent_failure", 1),
                     408: ("permanent_failure", 1), 410: ("gone", 1), 429: ("retries_exhausted", 3), 500: ("retries_exhausted", 3),
                     503: ("retries_exhausted", 3), 599: ("retries_exhausted", 3)}
            for status in cases:
                d.subscribe(f"{r.url}/{status}", "--name", f"s{status}")
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] + d.counts()["dead"] == len(cases))
            for status, (end, attempts) in cases.items():
                seen = [x for x in r.requests if x.path.endswith(f"/{status}")]
                self.assertEqual(len(seen), attempts, status)
                letters = d.json("dlq", "list", "--subscription", f"s{status}")["items"]
                if end == "delivered":
                    self.assertEqual(letters, [], status)
                else:
                    self.assertEqual([(x["cause"], x["last_status"], x["attempts"]) for x in letters], [(end, status, attempts)])
            self.assertEqual(d.json("subscription", "show", "s410")["state"], "disabled")

    def test_bondbricks_retries_any_non_2xx(self):
        conf = "retry: {bondbricks: {schedule: [50ms, 50ms], jitter: 0, retry_on: non_2xx}}\n"
        with Daemon(conf) as d, Receiver(lambda r, n: 404 if n < 3 else 200) as r:
            d.subscribe(r.url, "--profile", "bondbricks")
            d.emit("a.b")
            wait_for(lambda: d.counts()["delivered"] == 1)
            self.assertEqual(len(r.requests), 3)

    def test_retry_after_is_honoured_and_the_lane_waits(self):
        first = lambda r, n: (503, {"Retry-After": "1"}, b"") if n == 1 else 200
        with Daemon("retry: {default: {initial_delay: 50ms}}\n") as d, Receiver(first) as r:
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: r.requests)
            wait_for(lambda: d.counts()["retrying"] == 1)
            d.emit("a.c")
            wait_for(lambda: d.counts()["delivered"] == 2)
            for later in r.requests[1:]:
                self.assertGreaterEqual(later.at - r.requests[0].at, 0.95)

    def test_redirect_is_never_followed(self):
        with Daemon(FAST) as d, Receiver() as target, Receiver(lambda r, n: (307, {"Location": target.url}, b"")) as r:
            d.subscribe(r.url)
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            self.assertEqual(target.requests, [])

    def test_timeouts_and_broken_answers(self):
        """hang before the head; a trickle; a reset after the request; half a head; an endless body after 200 (delivered)."""
        stop = threading.Event()

        def serve(listener, behaviour):
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection, behaviour), daemon=True).start()

        def talk(connection, behaviour):
            with connection:
                try:
                    connection.recv(65536)
                    behaviour(connection)
                except OSError:
                    pass

        def trickle(c):
            c.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not stop.is_set():
                c.sendall(b"z")
                stop.wait(0.05)

        def endless(c):
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while not stop.is_set():
                c.sendall(b"x" * 65536)

        behaviours = {"hang": lambda c: stop.wait(60), "trickle": trickle, "close": lambda c: None,
                      "half": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"),
                      "garbage": lambda c: c.sendall(b"\x00\x01\x02 not http\r\n\r\n"), "endless": endless}
        listeners = []
        patient = ("--timeout", "20s")  # what ends by itself has the time for it, however busy the machine is
        with Daemon("delivery: {timeout: 700ms}\nretry: {default: {max_retries: 0}}\n") as d:
            for name, behaviour in behaviours.items():
                listener = socket.create_server(("127.0.0.1", 0))
                listeners.append(listener)
                threading.Thread(target=serve, args=(listener, behaviour), daemon=True).start()
                d.subscribe(f"http://127.0.0.1:{listener.getsockname()[1]}/", "--name", name, *(() if name in ("hang", "trickle") else patient))
            d.subscribe(f"http://127.0.0.1:{free_port()}/", "--name", "refused", *patient)
            d.subscribe("http://no-such-host.invalid/", "--name", "noname", *patient)
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 7 and d.counts()["delivered"] == 1)
            outcomes = {x["subscription"]: x["last_outcome"] for x in d.json("dlq", "list")["items"]}
            self.assertEqual(outcomes, {"hang": "timeout", "trickle": "timeout", "close": "reset", "half": "reset", "garbage": "reset",
                                        "refused": "connect", "noname": "dns"})
            stop.set()
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes its accept(): close() alone would leave both where they are
            listener.close()

    def test_a_dead_host_does_not_hold_up_a_healthy_one(self):
        hang = socket.create_server(("127.0.0.1", 0), backlog=1024)  # accepts, never answers
        with Daemon("delivery: {timeout: 5s}\n") as d, Receiver() as good:
            d.subscribe(f"http://127.0.0.1:{hang.getsockname()[1]}/", "--name", "hang")
            d.subscribe(good.url, "--name", "good")
            d.insert(*[dict(type="a.b", payload={"n": n}) for n in range(300)])
            start = time.monotonic()
            wait_for(lambda: len(good.requests) == 300, 20)
            self.assertLess(time.monotonic() - start, 15)
            d.ctl("subscription", "delete", "hang", "--yes")
        hang.close()

    def test_private_addresses_and_http_are_refused_by_default(self):
        conf = ("store:\n  url: sqlite://{dir}/store/webhookd.db\n  encryption_key_file: {dir}/key\n"
                "listen:\n  socket: {dir}/webhookd.sock\n  http: 127.0.0.1:{port}\n")
        with Daemon(replace=conf) as d:
            for url in ("http://example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/", "https://10.1.2.3/x"):
                done = d.ctl("subscription", "add", "--url", url, "--events", "*", check=None, raw=True)
                self.assertNotEqual(done.returncode, 0, url)
                self.assertTrue(done.stderr.strip(), url)
            self.assertEqual(d.ctl("egress", "check", "https://10.1.2.3/", check=1).split()[0], "deny")
            self.assertEqual(d.ctl("egress", "check", "https://example.com/").strip(), "allow")

    def test_a_name_that_resolves_to_a_private_address_is_blocked(self):
        conf = ("store:\n  url: sqlite://{dir}/store/webhookd.db\n  encryption_key_file: {dir}/key\n"
                "outbox:\n  - url: sqlite://{dir}/outbox/outbox.db\n"
                "egress: {allow_http: true, allow: [192.0.2.0/24]}\n"
                "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
                "listen:\n  socket: {dir}/webhookd.sock\n  http: 127.0.0.1:{port}\n")
        name = socket.gethostname()  # Debian: 127.0.1.1 or the container's private address, by /etc/hosts
        try:
            socket.getaddrinfo(name, 80)
        except OSError:
            self.skipTest("the machine's own name does not resolve")
        with Daemon(replace=conf) as d:
            done = d.ctl("subscription", "add", "--url", f"http://{name}:8080/", "--events", "*", check=None, raw=True)
            if done.returncode != 0:
                self.skipTest("the machine's own name is not a name that can be registered")
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            letter = d.json("dlq", "list")["items"][0]
            self.assertEqual((letter["cause"], letter["last_outcome"]), ("invalid_endpoint", "blocked"))


class Routing(unittest.TestCase):
    def test_patterns_partners_and_fan_out(self):
        with Daemon() as d, Receiver() as r:
            d.ctl("partner", "add", "globex")
            d.subscribe(r.url + "/all", "--name", "all")
            d.subscribe(r.url + "/order", "--name", "order", events="order.*")
            d.subscribe(r.url + "/exact", "--name", "exact", events="order.executed,trade.settled")
            d.subscribe(r.url + "/globex", "--name", "globex-all", "--partner", "globex")
            d.emit("order.executed", event_id="e1")
            d.emit("order.leg.filled", event_id="e2")
            d.emit("trade.settled", event_id="e3")
            d.emit("order.executed", event_id="e4", partner="globex")
            d.emit("order.executed", event_id="e5", partner="*")
            wait_for(lambda: d.counts()["delivered"] == 12)
            got = {}
            for x in r.requests:
                got.setdefault(x.path.rsplit("/", 1)[1], set()).add(x.id)
            self.assertEqual(got, {"all": {"e1", "e2", "e3", "e5"}, "order": {"e1", "e2", "e5"}, "exact": {"e1", "e3", "e5"},
                                   "globex": {"e4", "e5"}})
            d.emit("nobody.wants.this", partner="globex", event_id="e6")
            wait_for(lambda: "e6" in r.ids())

    def test_pause_holds_and_resume_sends(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            d.ctl("subscription", "pause", "s")
            d.insert(*[dict(type="a.b") for _ in range(5)])
            wait_for(lambda: d.counts()["held"] == 5)
            self.assertEqual(r.requests, [])
            d.ctl("subscription", "resume", "s")
            wait_for(lambda: len(r.requests) == 5)

    def test_a_pause_ends_by_itself(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "s")
            d.ctl("subscription", "pause", "s", "--for", "1s")
            d.insert(dict(type="a.b"))
            wait_for(lambda: d.counts()["held"] == 1)
            self.assertEqual(r.requests, [])
            wait_for(lambda: len(r.requests) == 1, deadline=20)
            wait_for(lambda: d.counts()["held"] == 0)

    def test_rate_is_kept(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--rate", "20/s")
            before = time.time()
            d.insert(*[dict(type="a.b") for _ in range(40)])
            wait_for(lambda: len(r.requests) == 40)
            # Two are free (a tenth of a second's worth). An arrival may be late, which proves nothing; so the last one is looked at.
            self.assertGreater(max(x.at for x in r.requests) - before, 1.89)
            self.assertLess(r.requests[-1].at - r.requests[0].at, 6)

    def test_deliver_after_and_expires_at(self):
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url)
            now = int(time.time() * 1000)
            d.emit("a.b", event_id="much-later", deliver_after=now + 3600 * 1000)
            d.emit("a.b", event_id="now")
            wait_for(lambda: r.ids() == ["now"])  # what waits before it holds up nothing
            now = int(time.time() * 1000)
            d.emit("a.b", event_id="later", deliver_after=now + 1500)
            d.emit("a.b", event_id="too-late", expires_at=now - 1000)
            wait_for(lambda: len(r.requests) == 2)
            self.assertEqual(r.ids(), ["now", "later"])
            self.assertGreaterEqual(r.requests[1].at * 1000, now + 1400)
            wait_for(lambda: (c := d.counts())["pending"] == 1 and c["delivered"] == 2)  # much-later, and the two
            letter = wait_for(lambda: d.json("dlq", "list")["items"])[0]
            self.assertEqual((letter["event_id"], letter["cause"], letter["attempts"]), ("too-late", "expired", 0))


class Ordering(unittest.TestCase):
    def test_one_at_a_time_in_order_per_key_across_retries(self):
        fails = {}

        def flaky(r, n):
            with lock:
                fails[r.id] = fails.get(r.id, 0) + 1
                return 503 if fails[r.id] <= hash(r.id) % 2 else 200
        lock = threading.Lock()
        with Daemon("retry: {default: {initial_delay: 20ms}}\n") as d, Receiver(flaky) as r:
            d.subscribe(r.url, "--ordering", "key")
            d.insert(*[dict(type="a.b", event_id=f"k{n % 4}:{n}", ordering_key=f"k{n % 4}") for n in range(60)])
            wait_for(lambda: d.counts()["delivered"] == 60)
            for key in range(4):
                seen = [x for x in r.ids() if x.startswith(f"k{key}:")]
                unique = list(dict.fromkeys(seen))
                self.assertEqual(unique, sorted(unique, key=lambda x: int(x.split(":")[1])))
                self.assertEqual(seen, sorted(seen, key=lambda x: int(x.split(":")[1])))

    def test_on_dead(self):
        bad = lambda r, n: 400 if r.id == "first" else 200
        for mode in ("skip", "block"):
            with self.subTest(mode), Daemon() as d, Receiver(bad) as r:
                d.subscribe(r.url, "--ordering", "key", "--on-dead", mode, "--name", "s")
                d.insert(*[dict(type="a.b", event_id=e, ordering_key="K") for e in ("first", "second")],
                         dict(type="a.b", event_id="other", ordering_key="L"))
                wait_for(lambda: "other" in r.ids())
                if mode == "skip":
                    wait_for(lambda: "second" in r.ids())
                    continue
                wait_for(lambda: d.counts()["dead"] == 1)
                self.assertNotIn("second", r.ids())
                d.ctl("dlq", "purge", "--all", "--confirm=1")
                wait_for(lambda: "second" in r.ids())


class InFlight(unittest.TestCase):
    def test_it_is_seen_wherever_states_are_shown_and_counted_once(self):
        release = threading.Event()
        with Daemon() as d, Receiver(lambda r, n: release.wait(20) and 200) as r:
            d.subscribe(r.url, "--concurrency", "1")
            d.insert(dict(type="a.b", event_id="e1"), dict(type="a.b", event_id="e2"))
            wait_for(lambda: len(r.requests) == 1)
            sent = r.requests[0].id
            waits = {"e1": "e2", "e2": "e1"}[sent]
            wait_for(lambda: d.counts() == dict(pending=1, in_flight=1, retrying=0, held=0, delivered=0, dead=0, discarded=0))
            self.assertEqual([x["event_id"] for x in d.json("delivery", "list", "--state", "in_flight")["items"]], [sent])
            self.assertEqual([x["event_id"] for x in d.json("delivery", "list", "--state", "pending")["items"]], [waits])
            self.assertEqual(d.json("delivery", "show", sent)["state"], "in_flight")
            self.assertEqual(d.json("event", "show", sent)["deliveries"][0]["state"], "in_flight")
            self.assertIn('webhookd_deliveries{state="pending"} 1\n', d.metrics())
            self.assertIn('webhookd_deliveries{state="in_flight"} 1\n', d.metrics())
            release.set()
            wait_for(lambda: d.counts()["delivered"] == 2)
            self.assertEqual(d.json("delivery", "list", "--state", "in_flight")["items"], [])


if __name__ == "__main__":
    unittest.main()
