"""G8: secrets never reach a log, an error text, a process list, an answer (but once), a file in the clear or a core dump; and who may
read the files that webhookd makes."""
import base64
import glob
import json
import os
import re
import stat
import subprocess
import unittest
import urllib.parse

from harness import WEBHOOKD, Daemon, Receiver, unix_request, wait_for

MARKS = {"secret": "whsec_" + base64.b64encode(b"Sec-ret_0123456789abcdef_Sec-ret").decode(), "bearer": "bearer-Tok3n-0123456789-abcdef",
         "header": "tenant-He4der-value-0123456789", "url": "hunter2-in-a-url-0123456789", "next": "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()}


def forms(text):
    """The ways in which somebody could write it down without meaning harm."""
    raw = text.encode()
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(text, safe="").encode(), json.dumps(text)[1:-1].encode())
    for cut in range(3):  # base64 at each alignment, without its edges
        yield base64.b64encode(b"\0" * cut + raw)[4:-4]
    if text.startswith("whsec_"):
        key = base64.b64decode(text[6:])
        yield from (key, key.hex().encode())


def change(d, old, new):
    with open(d.conf) as f:
        text = f.read()
    d.write_conf(text.replace(old, new))


class Secrets(unittest.TestCase):
    def look(self, where, data):
        data = data if isinstance(data, bytes) else data.encode()
        for name, text in self.marks.items():
            for form in forms(text):
                self.assertNotIn(form, data, f"the {name} stands in {where}")

    def test_nowhere(self):
        self.marks = dict(MARKS)
        with Daemon("retry: {default: {max_retries: 1, initial_delay: 20ms}, bondbricks: {schedule: [20ms]}}\n") as d, \
                Receiver(lambda r, n: 500 if r.path.endswith("bad") else 200) as r:
            for name in ("secret", "bearer", "next"):
                with open(f"{d.dir}/in-{name}", "w") as f:
                    f.write(MARKS[name] + "\n")
            with open(f"{d.dir}/in-header", "w") as f:
                f.write(f"X-Tenant: {MARKS['header']}\n")
            with open(f"{d.dir}/key") as f:
                self.marks["master key"] = f.read().strip()
            said, profiles = [], ("bondx", "bondbricks", "event-platform", "standard", "raw")
            for profile in profiles:
                for end in ("good", "bad"):
                    done = d.ctl("-o", "json", "subscription", "add", "--url", f"{r.url}/{end}", "--events", "*", "--profile", profile, "--name", f"{profile}-{end}",
                                 "--secret-file", f"{d.dir}/in-secret", "--bearer-file", f"{d.dir}/in-bearer", "--header-file", f"{d.dir}/in-header", raw=True)
                    said.append(re.sub(r'"secret": ?"[^"]*"', "", done.stdout) + done.stderr)  # the one time
            rotated = d.ctl("-o", "json", "subscription", "rotate-secret", "bondx-good", "--secret-file", f"{d.dir}/in-next", raw=True)
            said.append(re.sub(r'"secret": ?"[^"]*"', "", rotated.stdout) + rotated.stderr)
            made = d.subscribe(r.url + "/made", "--name", "made")["secret"]
            self.marks["made secret"] = made
            said += [d.ctl("subscription", "add", "--url", f"https://user:{MARKS['url']}@example.com/", "--events", "*", check=None, raw=True).stderr]
            for body in ({"url": r.url, "events": ["*"], "secret": MARKS["bearer"] + "\n"}, {"url": r.url, "events": ["*"], "bearer": MARKS["bearer"] + "\r\nX: y"},
                         {"url": r.url, "events": ["*"], "headers": [f"X-A: {MARKS['header']}\r\nX: y"]}, {"url": r.url, "events": 5, "secret": MARKS["secret"], "x": MARKS["bearer"]}):
                status, answer = unix_request(d, "POST", "/api/v1/subscriptions", body)
                self.assertGreaterEqual(status, 400)
                said.append(json.dumps(answer))
            d.insert(*[dict(type="a.b", payload={"n": n}) for n in range(3)])
            wait_for(lambda: d.counts()["dead"] == 15 and d.counts()["delivered"] == 18)
            for x in r.requests:  # "made" has neither, and may well come first
                bare = x.path.endswith("/made")
                self.assertEqual((x.headers["Authorization"], x.headers["X-Tenant"]), (None, None) if bare else (f"Bearer {MARKS['bearer']}", MARKS["header"]))
            letter = d.json("dlq", "list")["items"][0]["id"]
            delivery = d.json("delivery", "list")["items"][0]["id"]
            d.ctl("dlq", "replay", "--all", "--detach", "--yes", check=None)
            for command in (("subscription", "list"), ("subscription", "show", "bondx-good"), ("subscription", "show", "made"), ("dlq", "list"), ("dlq", "show", letter),
                            ("dlq", "export"), ("audit", "list"), ("delivery", "show", delivery), ("event", "list"), ("job", "list"), ("config", "show"), ("status",), ("partner", "list")):
                for form in ("table", "json"):
                    done = d.ctl("-o", form, *command, check=None, raw=True)
                    said.append(done.stdout + done.stderr)
            for n, text in enumerate(said):
                self.look(f"answer {n}: {text[:200]}", text)
            self.look("the metrics", d.metrics())
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{d.process.pid}/{name}", "rb") as f:
                        self.look(name, f.read())
                except PermissionError:  # nor may webhookd's own user look there; root may
                    self.assertNotEqual(os.geteuid(), 0)
            with open(f"/proc/{d.process.pid}/limits") as f:
                self.assertRegex(f.read(), r"Max core file size +0 +0 ")
            change(d, "max_retries: 1", "max_retries: x")
            d.process.send_signal(1)
            wait_for(lambda: "max_retries" in d.log())
            self.look("the log", d.log())
            d.kill()
            for path in glob.glob(f"{d.dir}/store/*") + glob.glob(f"{d.dir}/outbox/*"):
                with open(path, "rb") as f:
                    self.look(path, f.read())
            change(d, "max_retries: x", "max_retries: 1")
            done = d.ctl("-o", "json", "subscription", "list", raw=True)  # on the store itself
            self.look("an answer without the daemon", done.stdout + done.stderr)

    def test_modes(self):
        """Whatever the umask, only webhookd's user reads secrets; producers share the outbox by their group."""
        for umask in (0, 0o077):
            before = os.umask(umask)
            try:
                with Daemon(start=False) as d:
                    os.rmdir(f"{d.dir}/outbox")
                    d.start()
                    d.subscribe("http://127.0.0.1:8080/", "--name", "s")
                    d.ctl("dlq", "export", "-f", f"{d.dir}/letters")
                    mode = lambda path: stat.S_IMODE(os.stat(f"{d.dir}/{path}").st_mode)
                    self.assertEqual({p: mode(p) for p in os.listdir(d.dir) if p in ("key", "letters", "webhookd.sock")},
                                     {"key": 0o600, "letters": 0o600, "webhookd.sock": 0o660})
                    self.assertEqual({mode("store/" + p) for p in os.listdir(f"{d.dir}/store")}, {0o600})
                    self.assertEqual((mode("outbox"), mode("outbox/outbox.db")), (0o2770, 0o660))
                    self.assertEqual({mode("outbox/" + p) for p in os.listdir(f"{d.dir}/outbox")}, {0o660})
            finally:
                os.umask(before)


class KeyFile(unittest.TestCase):
    def refused(self, d, status, text):
        done = subprocess.run([WEBHOOKD, "-c", d.conf], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(text, done.stderr)

    def test_bad_key_files(self):
        key = base64.b64encode(bytes(32)).decode() + "\n"
        for text, mode, status, wanted in ((key, 0o644, 78, "chmod 600"), (key, 0o660, 78, "chmod 600"), ("", 0o600, 78, "no key"), ("# none\n", 0o600, 78, "no key"),
                                           ("c2hvcnQ=\n", 0o600, 78, ":1: a key is one line of base64"), (key + "x\n", 0o600, 78, ":2: "), ("\0" * 100, 0o600, 78, ":1: "),
                                           ("A" * 70000, 0o600, 78, "too large"), (key * 65, 0o600, 78, "more than 64")):
            with self.subTest(wanted), Daemon(start=False) as d:
                with open(f"{d.dir}/key", "w") as f:
                    f.write(text)
                os.chmod(f"{d.dir}/key", mode)
                self.refused(d, status, wanted)
        with Daemon(start=False) as d:
            os.mkdir(f"{d.dir}/key")
            self.refused(d, 78, "not a file")
        with Daemon(start=False) as d:
            change(d, "/key\n", "/no/such/folder/key\n")
            self.refused(d, 74, "no/such/folder/key: No such file or directory")

    def test_rotation_and_the_wrong_key(self):
        with Daemon() as d, Receiver() as r:
            secret = d.subscribe(r.url, "--name", "s")["secret"]
            d.stop()
            with open(f"{d.dir}/key") as f:
                old = f.read()
            new = base64.b64encode(bytes(range(32))).decode() + "\n"
            with open(f"{d.dir}/key", "w") as f:
                f.write(new + old)
            d.start()
            d.emit("a.b", event_id="after")
            wait_for(lambda: r.requests)
            d.stop()
            with open(f"{d.dir}/key", "w") as f:
                f.write(base64.b64encode(bytes(32)).decode() + "\n")
            self.refused(d, 78, "sealed with a key that is not in the key file")
            done = d.ctl("subscription", "pause", "s", check=None, raw=True)  # nor does webhookctl write with it
            self.assertIn("not in the key file", done.stderr)
            os.remove(f"{d.dir}/key")  # a new one would open nothing
            self.refused(d, 78, "put it back from your backup")
            self.assertFalse(os.path.exists(f"{d.dir}/key"))
            self.assertNotIn(secret, d.log())
            with open(f"{d.dir}/key", "w") as f:
                f.write(new + old)
            os.chmod(f"{d.dir}/key", 0o600)
            d.start()


if __name__ == "__main__":
    unittest.main()
