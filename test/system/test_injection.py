"""What partners and producers write stays data: no line of the log, no terminal, no header, no metric is theirs to forge."""
import json
import re
import unittest

from harness import Daemon, Receiver, unix_request, wait_for

EVIL = "x\nts=2026-01-01T00:00:00.000Z level=error event=forged a=\"b\"\r\x1b]0;owned\x07\x1b[31m\x9b31m\u202e\u2028\x7f"
LINE = re.compile(r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(debug|info|warn|error) event=[a-z_0-9]+( [a-z_]+=(\"([^\"\\]|\\.)*\"|[^\s\"=]*))*")


class Injection(unittest.TestCase):
    def harmless(self, where, text):
        for c in text:
            self.assertFalse(c != "\n" and (c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u2066\u2028"), (where, repr(c), text[:2000]))
        self.assertNotIn("\nts=2026-01-01T00:00:00.000Z level=error event=forged", text)

    def run_with(self, log):
        answer = (500, {"X-Evil": "\x1b[31mred\x1b[0m \x9b31m", "Retry-After": "0\x1b[2J", "Content-Type": "text/html"}, EVIL.encode() + b"\xff\xfe\0</pre><script>")
        conf = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"
        with Daemon(conf) as d, Receiver(answer) as r:
            d.write_conf(open_text(d.conf).replace("log: {level: debug}", f"log: {{level: debug, format: {log}}}"))
            d.stop()
            with open(d.log_path, "w"):
                pass
            d.spawn()
            wait_for(lambda: "ready" in d.log() and d.ctl("status", check=None, raw=True).returncode == 0)
            d.subscribe(r.url + "/%0d%0aevil%1b[31m", "--name", "s")
            d.emit("a.b", {"evil": EVIL}, correlation_id="c-1", source=EVIL, ordering_key=EVIL)
            for n, row in enumerate((dict(type=EVIL), dict(type="a.b", event_id=EVIL), dict(type="a.b", partner=EVIL), dict(type="a.b", correlation_id=EVIL),
                                     dict(type="a.b", version=EVIL), dict(type="a.b", attributes=EVIL), dict(type="a.b", attributes=json.dumps({"traceparent": EVIL, "content_type": EVIL})))):
                d.insert(dict(row, payload=n))
            for method, path, body in (("POST", "/api/v1/events", {"type": EVIL, "data": 1}), ("POST", "/api/v1/events", {"type": "a.b", "id": EVIL, "data": 1}),
                                       ("POST", "/api/v1/events", {"type": "a.b", "correlation_id": EVIL, "data": 1}), ("POST", "/api/v1/partners", {"name": EVIL}),
                                       ("POST", "/api/v1/subscriptions", {"url": r.url, "events": ["*"], "name": EVIL}), ("POST", "/api/v1/subscriptions", {"url": "https://" + EVIL, "events": ["*"]}),
                                       ("POST", "/api/v1/subscriptions", {"url": r.url, "events": [EVIL]}), ("POST", "/api/v1/subscriptions", {"url": r.url, "events": ["*"], "headers": ["X-A: " + EVIL]}),
                                       ("POST", "/api/v1/subscriptions", {"url": r.url, "events": ["*"], EVIL: 1}), ("GET", "/api/v1/subscriptions/%0a%1b[31m", None),
                                       ("GET", "/api/v1/events?type=%0aforged%1b", None), ("POST", "/api/v1/replays", {"filter": {"all": True}, "dry_run": True, "note": EVIL})):
                unix_request(d, method, path, body)
            wait_for(lambda: d.counts()["dead"] >= 1 and not d.counts()["retrying"] and not d.counts()["pending"])
            d.ctl("dlq", "replay", "--all", "--note", EVIL.replace("\0", ""), "--wait", "30s", "--yes", check=1)  # none delivered
            letter = d.json("dlq", "list")["items"][0]["id"]
            for command in (("dlq", "list"), ("dlq", "show", letter), ("outbox", "rejects", "list"), ("audit", "list"), ("job", "list"), ("subscription", "list"), ("event", "list"),
                            ("delivery", "list"), ("partner", "list"), ("status",)):
                self.harmless(command, d.ctl(*command, check=None))
                json.loads(d.ctl("-o", "json", *command))
            self.harmless("errors", d.ctl("subscription", "show", EVIL.replace("\n", " "), check=None, raw=True).stderr)
            self.harmless("metrics", d.metrics())
            with open(d.log_path, newline="") as f:
                text = f.read()
            self.assertNotIn("\r", text)
            self.harmless("the log", text)
            for line in text.splitlines():
                if log == "json":
                    self.assertIn("event", json.loads(line))
                else:
                    self.assertRegex(line, "^" + LINE.pattern + "$")
            self.assertEqual({x.path for x in r.requests}, {"/hook/%0d%0aevil%1b[31m"})
            for request in r.requests:
                self.assertNotIn("forged", " ".join(request.headers.keys()))

    def test_logfmt(self):
        self.run_with("logfmt")

    def test_json(self):
        self.run_with("json")


def open_text(path):
    with open(path) as f:
        return f.read()


if __name__ == "__main__":
    unittest.main()
