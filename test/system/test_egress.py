"""Egress by the real binaries: every hostile URL of test/unit/data/ssrf.tsv and more, at `egress check` and at `subscription add`."""
import concurrent.futures
import json
import os
import unittest

from harness import Daemon, unix_request

TABLE = os.path.join(os.path.dirname(__file__), "../unit/data/ssrf.tsv")
CONF = ("store:\n  url: sqlite://{dir}/store/webhookd.db\n  encryption_key_file: {dir}/key\n"
        "listen:\n  socket: {dir}/webhookd.sock\n  http: 127.0.0.1:{port}\n"
        "egress: {ports: [443, 8443], allow_http: false}\n")
KINDS = {"DENY_SYNTAX": "syntax", "DENY_POLICY": "policy", "DENY_ADDR": "address"}
MORE = [  # other notations, translated forms, names, ports
    ("https://0300.0250.0.1/", "DENY_SYNTAX"), ("https://192.168.0x0.1/", "DENY_SYNTAX"), ("https://192.168.257/", "DENY_SYNTAX"),
    ("https://4294967295/", "DENY_SYNTAX"), ("https://1.1.1.1.1.1.1.1/", "DENY_SYNTAX"), ("https://127.0.0.01/", "DENY_SYNTAX"),
    ("https://0177.0.0.1/", "DENY_SYNTAX"), ("https://127.0.0.1.0x/", "DENY_SYNTAX"), ("https://00000000127.0.0.1/", "DENY_SYNTAX"),
    ("https://１２７.0.0.1/", "DENY_SYNTAX"), ("https://127。0。0。1/", "DENY_SYNTAX"), ("https://bücher.example/", "DENY_SYNTAX"),
    ("https://example\u00ad.com/", "DENY_SYNTAX"), ("https://ex\u0430mple.com/", "DENY_SYNTAX"), ("https://[::1%25lo]/", "DENY_SYNTAX"),
    ("https://[::1]:443:8443/", "DENY_SYNTAX"), ("https://[v1.fe80::a]/", "DENY_SYNTAX"), ("https://[0x7f.1]/", "DENY_SYNTAX"),
    ("https://[:::1]/", "DENY_SYNTAX"), ("https://[1:2:3:4:5:6:7:8:9]/", "DENY_SYNTAX"), ("https://[]/", "DENY_SYNTAX"), ("https://::1/", "DENY_SYNTAX"),
    ("https://example.com:443@10.0.0.1/", "DENY_SYNTAX"), ("https://10.0.0.1\\@example.com/", "DENY_SYNTAX"), ("https://example.com\\.evil.example/", "DENY_SYNTAX"),
    ("https://example.com;10.0.0.1/", "DENY_SYNTAX"), ("https://example.com,10.0.0.1/", "DENY_SYNTAX"), ("https://$(id).example.com/", "DENY_SYNTAX"),
    ("https://example.com:0443/", "DENY_SYNTAX"), ("https://example.com:00/", "DENY_SYNTAX"), ("https://example.com:4 43/", "DENY_SYNTAX"),
    ("https://example.com:99999999999999999999/", "DENY_SYNTAX"), ("https://example.com?@10.0.0.1/", "ALLOW"), ("https:\\\\example.com/", "DENY_SYNTAX"),
    ("//example.com/", "DENY_SYNTAX"), ("example.com", "DENY_SYNTAX"), (" https://example.com/", "DENY_SYNTAX"), ("https://example.com/ ", "DENY_SYNTAX"),
    ("httpss://example.com/", "DENY_SYNTAX"), ("gopher://example.com/", "DENY_SYNTAX"), ("ldap://example.com/", "DENY_SYNTAX"), ("wss://example.com/", "DENY_SYNTAX"),
    ("unix:///run/docker.sock", "DENY_SYNTAX"), ("jar:https://example.com/!/", "DENY_SYNTAX"), ("https://example.com/\u202e", "DENY_SYNTAX"),
    ("https://" + "a." * 126 + "com/", "DENY_SYNTAX"), ("https://" + "a." * 120 + "com/", "ALLOW"), ("https://example.com/" + "a" * 2100, "DENY_SYNTAX"),
    ("https://example.com/%0d%0aX-A:%20b", "ALLOW"), ("https://example.com/%00", "ALLOW"), ("https://1.1.1.1.example/", "ALLOW"), ("https://0x7f.example/", "ALLOW"),
    ("https://[64:ff9b::10.0.0.1]/", "DENY_ADDR"), ("https://[64:ff9b::8.8.8.8]/", "DENY_ADDR"), ("https://[64:ff9b:1::a00:1]/", "DENY_ADDR"),
    ("https://[2002:0a00:0001::1]/", "DENY_ADDR"), ("https://[2002:0808:0808::1]/", "DENY_ADDR"), ("https://[2001::1]/", "DENY_ADDR"),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "DENY_ADDR"), ("https://[::ffff:8.8.8.8]/", "DENY_ADDR"), ("https://[::ffff:a00:1]/", "DENY_ADDR"),
    ("https://[::ffff:0:a00:1]/", "DENY_ADDR"), ("https://[::7f00:1]/", "DENY_ADDR"), ("https://[::]/", "DENY_ADDR"), ("https://[0:0:0:0:0:0:0:1]:8443/", "DENY_ADDR"),
    ("https://[fc00::]/", "DENY_ADDR"), ("https://[fdff:ffff::1]/", "DENY_ADDR"), ("https://[fe80::1]/", "DENY_ADDR"), ("https://[febf::1]/", "DENY_ADDR"),
    ("https://[feff::1]/", "DENY_ADDR"), ("https://[1fff::1]/", "DENY_ADDR"), ("https://[fd00:ec2::254]/", "DENY_ADDR"), ("https://168.63.129.16/", "DENY_ADDR"),
    ("https://100.64.0.0/", "DENY_ADDR"), ("https://192.0.2.1/", "DENY_ADDR"), ("https://0.1.2.3/", "DENY_ADDR"), ("https://172.16.0.0/", "DENY_ADDR"),
    ("https://[2606:4700:4700::1111]/", "ALLOW"), ("https://8.8.8.8:8443/", "ALLOW"), ("https://example.com./", "ALLOW"), ("https://EXAMPLE.com:8443", "ALLOW"),
    ("https://example.com:8444/", "DENY_POLICY"), ("https://1.1.1.1:22/", "DENY_POLICY"), ("https://[2606:4700::1111]:80/", "DENY_POLICY"),
    ("https://internal/", "DENY_POLICY"), ("https://kubernetes.default.svc.cluster.local/", "DENY_POLICY"), ("https://METADATA.google.INTERNAL./", "DENY_POLICY"),
    ("https://localhost.:8443/", "DENY_POLICY"), ("https://a.localhost./", "DENY_POLICY"), ("https://1.in-addr.arpa./", "DENY_POLICY"), ("https://onion/", "DENY_POLICY"),
]


def rows():
    with open(TABLE, encoding="utf-8") as f:
        next(f)
        for line in f:
            url, verdict = line.rstrip("\n").split("\t")[:2]
            if verdict == "ALLOW" or verdict in KINDS:
                for escaped, byte in (("\\t", "\t"), ("\\r", "\r"), ("\\n", "\n"), ("\\0", "\0"), ("\\\\", "\\")):
                    url = url.replace(escaped, byte)
                yield url, verdict
    yield from MORE


class Egress(unittest.TestCase):
    def test_check(self):
        with Daemon(replace=CONF, start=False) as d:
            def check(row):
                url, verdict = row
                done = d.ctl("egress", "check", "--", url, check=None, raw=True)
                return row, done.returncode, done.stdout.split(":")[0].strip(), done.stdout.count("\n") == 1
            cases = [row for row in rows() if "\0" not in row[0]]  # no argument holds a NUL
            self.assertGreater(len(cases), 200)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for (url, verdict), status, said, one_line in pool.map(check, cases):
                    wanted = (0, "allow") if verdict == "ALLOW" else (1, "deny " + KINDS[verdict])
                    with self.subTest(url):
                        self.assertEqual((status, said), wanted)
                        self.assertTrue(one_line)

    def test_registration(self):
        with Daemon(replace=CONF) as d:
            for n, (url, verdict) in enumerate(rows()):
                with self.subTest(url):
                    status, body = unix_request(d, "POST", "/api/v1/subscriptions", {"url": url, "events": ["never"], "name": f"s{n}"})
                    if "\0" in url:
                        self.assertEqual(status, 400, body)
                    elif verdict == "ALLOW":
                        self.assertEqual(status, 201, body)
                    else:
                        self.assertEqual((status, body["error"]["code"], body["error"]["target"]), (422, "invalid_url", "url"))
            done = d.ctl("subscription", "add", "--url", "https://169.254.169.254/latest", "--events", "*", check=None, raw=True)
            self.assertTrue(done.returncode != 0 and not done.stdout, done)
            self.assertIn("cloud metadata", done.stderr)
            sub = d.json("subscription", "list")["items"][0]  # a change of the URL is judged as well
            status, body = unix_request(d, "PATCH", f"/api/v1/subscriptions/{sub['id']}", {"url": "https://[::ffff:10.0.0.1]/"})
            self.assertEqual((status, body["error"]["code"]), (422, "invalid_url"))


if __name__ == "__main__":
    unittest.main()
