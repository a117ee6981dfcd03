"""doctor by the real binaries: each thing that can be wrong is made wrong, and must be seen, with what to type."""
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from harness import CONF, WEBHOOKCTL, Daemon, Receiver, free_port, run_as_nobody, wait_for
from test_tls import make_certificates, openssl

FAST = "retry: {default: {max_retries: 0}}\n"


class Doctor(unittest.TestCase):
    def look(self, d, *args, check=None):
        done = d.ctl("-o", "json", "doctor", *args, check=None, raw=True)
        found = {x["check"]: x for x in json.loads(done.stdout)["items"]}
        results = {x["result"] for x in json.loads(done.stdout)["items"]}
        self.assertEqual(done.returncode, 1 if "fail" in results else 77 if "unseen" in results else 0, done)
        return found

    def bad(self, found, check, says, result="fail"):
        self.assertEqual(found[check]["result"], result, found[check])
        self.assertIn(says, found[check]["detail"])
        self.assertTrue(found[check]["fix"])
        return found[check]

    def test_nothing_is_wrong(self):
        with Daemon(FAST) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            found = self.look(d, "--endpoints")
            self.assertEqual([x for x in found.values() if x["result"] in ("fail", "unseen")], [])
            self.assertIn("connects in", found["endpoint acme"]["detail"])
            self.assertIn("version 0.1.0", found["daemon"]["detail"])
            self.assertEqual(len(r.requests), 0)  # it only connects
            self.assertNotIn("endpoint acme", self.look(d))  # undialled and fine: not worth a line
            shown = d.ctl("doctor", raw=True)
            self.assertTrue(shown.stderr.splitlines()[-1].startswith(("Nothing is wrong.", "Nothing fails")), shown.stderr)

    def test_daemon(self):
        with Daemon(FAST, start=False) as d:
            found = self.look(d)
            self.bad(found, "daemon", "not running")
            self.assertEqual(found["store"]["detail"].split(": ")[1], "made at the first start")
            self.assertEqual(os.listdir(f"{d.dir}/store"), [])  # looking makes nothing
            self.assertFalse(os.path.exists(f"{d.dir}/key"))
            d.start()
            d.kill()
            self.bad(self.look(d), "daemon", "left behind")
            d.start()
            d.ctl("egress", "pause", "--yes")
            self.assertIn("egress resume", self.bad(self.look(d), "egress", "nothing is sent to anybody")["fix"])

    def test_configuration_and_files(self):
        with Daemon(FAST) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            os.chmod(d.conf, 0o666)
            self.assertIn("chmod o-w", self.bad(self.look(d), "configuration file", "everybody can write")["fix"])
            os.chmod(d.conf, 0o644)
            self.assertEqual(d.stop(), 0)
            os.chmod(f"{d.dir}/key", 0o644)
            self.assertIn("chmod", self.bad_text(self.look(d)["key file"]))
            os.chmod(f"{d.dir}/key", 0o600)
            os.rename(f"{d.dir}/key", f"{d.dir}/key.away")
            self.bad(self.look(d), "key file", "it is gone")
            with open(f"{d.dir}/key", "w") as f:
                os.fchmod(f.fileno(), 0o600)
                f.write("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
            self.bad(self.look(d), "key file", "")
            os.rename(f"{d.dir}/key.away", f"{d.dir}/key")
            os.chmod(f"{d.dir}/store/webhookd.db", 0o644)
            self.bad(self.look(d), "store file", "others can read", "warn")
            os.chmod(f"{d.dir}/store/webhookd.db", 0o600)
            with open(f"{d.dir}/store/webhookd.db", "r+b") as f:
                f.write(b"garbage" * 100)
            self.assertIn("db check", self.bad(self.look(d), "store", "not a database")["fix"])
            d.write_conf(CONF + "store2: {}\ndelivery: {timout: 1s}\n")
            done = d.ctl("doctor", check=1, raw=True)
            self.assertEqual(done.stdout.count("error:"), 2, done.stdout)
            self.assertIn(f"{d.conf}:13:", done.stdout)

    def test_a_running_daemon_beside_a_file_with_mistakes(self):
        with Daemon(FAST) as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            d.write_conf(CONF + "rety: {}\n")
            found = self.look(d, "--endpoints")
            self.bad(found, "configuration", "unknown key 'rety'")
            self.assertEqual({found[c]["result"] for c in ("daemon", "store", "key file", "endpoint acme")}, {"ok"})
            d.stop()
            self.assertEqual(set(self.look(d)), {"configuration"})

    def test_what_stands_open(self):
        with Daemon(FAST) as d:
            os.chmod(f"{d.dir}/outbox", 0o2770)
            os.mkdir(f"{d.dir}/etc", 0o755)
            shutil.copy(d.conf, f"{d.dir}/etc")
            self.assertFalse([c for c in self.look(d) if "folder" in c or c.endswith(" file") and self.look(d)[c]["result"] != "ok"])
            outbox = f"{d.dir}/outbox/outbox.db"
            for path, mode, checks, fix in ((f"{d.dir}/store", 0o777, ["store folder"], "chmod o-w"), (f"{d.dir}/store", 0o757, ["store folder"], "chmod o-w"),
                                            (f"{d.dir}/outbox", 0o2777, [f"outbox folder {outbox}"], "chmod o-w"),
                                            (d.dir, 0o777, ["configuration folder"], "chmod o-w"),  # of key, socket, store and outbox too: one fix
                                            (outbox, 0o666, [f"outbox file {outbox}"], "chmod o-w"), (f"{d.dir}/key", 0o640, ["key file"], "chmod 600"),
                                            (f"{d.dir}/store/webhookd.db", 0o620, ["store file"], "chmod 600"),
                                            (f"{d.dir}/store/webhookd.db-wal", 0o602, ["store file"], "chmod 600")):
                before = os.stat(path).st_mode & 0o7777
                os.chmod(path, mode)
                found = self.look(d)
                self.assertEqual([c for c in found if found[c]["result"] == "fail"], checks, (path, found))
                self.assertIn(f"{fix} {path}", found[checks[0]]["detail"] + (found[checks[0]]["fix"] or ""))
                os.chmod(path, before)
            os.chmod(outbox, 0o666)
            self.assertIn("outbox file outbox.db", d.ctl("doctor", check=1))
            os.chmod(outbox, 0o660)
            os.chmod(d.dir, 0o1777)  # as /tmp is
            self.assertFalse([c for c, x in self.look(d).items() if x["result"] == "fail"])

    def test_a_lost_store(self):
        with Daemon(FAST) as d:
            d.stop()
            store = f"{d.dir}/store/webhookd.db"
            os.rename(store, f"{store}.away")
            self.assertIn("help backup", self.bad(self.look(d), "store", "is gone: there was one")["fix"])
            os.remove(f"{store}.lock")
            self.assertIn("help backup", self.bad(self.look(d), "store", "is not there, but its key")["fix"])
            os.remove(f"{d.dir}/key")
            self.assertIn("made at the first start", self.look(d)["store"]["detail"])

    def test_a_store_that_goes_from_beneath_webhookd(self):
        """Whatever somebody did to the file, the fix brings back all that was committed."""
        for how in ("rm {s}", "rm {s} {s}-wal {s}-shm", "mv {s} {s}.away; cp {s}.away {s}"):
            with Daemon(FAST) as d, Receiver(500) as r:
                d.subscribe(r.url, "--name", "acme")
                d.emit("a.b")
                wait_for(lambda: d.counts()["dead"] == 1)
                store = f"{d.dir}/store/webhookd.db"
                subprocess.run(how.format(s=store), shell=True, check=True)
                d.emit("a.b")
                wait_for(lambda: d.counts()["dead"] == 2)
                row = self.bad(self.look(d), "store", "webhookd")
                if "mv" in how:
                    self.assertIn("/proc/", row["fix"])
                    continue
                fix = row["fix"].split("; ", 1)[1].rsplit("; ", 1)
                self.assertEqual(fix[1], "systemctl start webhookd")
                subprocess.run(fix[0], shell=True, check=True)
                d.process.wait()
                d.start()
                self.assertEqual(d.counts()["dead"], 2, how)
                self.assertEqual(self.look(d)["store"]["result"], "ok")

    def bad_text(self, row):
        self.assertEqual(row["result"], "fail", row)
        return row["detail"] + (row["fix"] or "")

    def test_disk_and_outbox(self):
        with Daemon(FAST) as d:
            d.write_conf(CONF.replace("encryption_key_file: {dir}/key", "encryption_key_file: {dir}/key\n  low_disk: 1000GiB"))
            self.bad(self.look(d), "disk", "nothing is taken in")
            d.ctl("config", "reload")
            wait_for(lambda: d.json("status")["outboxes"][0]["state"] == "disk_low")
            self.assertIn("webhookctl doctor", d.ctl("status"))
            d.write_conf(CONF)
            self.assertIn("config reload", self.bad(self.look(d), "disk", "webhookd takes nothing in")["fix"])
            outbox = f"{d.dir}/outbox/outbox.db"
            self.assertEqual(d.stop(), 0)
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(outbox + suffix)
            self.assertIn("is not there", self.look(d)[f"outbox {outbox}"]["detail"])
            with open(outbox, "w") as f:
                f.write("no database at all\n" * 100)
            self.assertEqual(self.look(d)[f"outbox {outbox}"]["result"], "fail")

    def test_endpoints(self):
        state = [200]
        with Daemon(FAST) as d, Receiver(lambda *_: state[0]) as r:
            d.subscribe(r.url, "--name", "acme", events="a.*")
            closed = free_port()
            d.subscribe(f"http://127.0.0.1:{closed}/", "--name", "closed", events="never")
            d.subscribe("http://no-such-name.invalid/", "--name", "nameless", events="never")
            state[0] = 500
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            found = self.look(d)
            self.bad(found, "endpoint acme", "1 dead letter", found["endpoint acme"]["result"])
            found = self.look(d, "--endpoints")
            self.bad(found, "endpoint closed", "Connection refused")
            self.bad(found, "endpoint nameless", "name")
            self.assertIn("connects", found["endpoint acme"]["detail"])
            self.assertNotIn("disk", self.look(d, "closed"))
            state[0] = 410
            d.emit("a.b")
            wait_for(lambda: d.json("sub", "show", "acme")["state"] == "disabled")
            self.assertIn("sub enable acme", self.bad(self.look(d, "acme"), "endpoint acme", "disabled (410)")["fix"])
            d.ctl("sub", "enable", "acme")
            d.ctl("sub", "pause", "acme", "--for", "1h")
            self.bad(self.look(d, "acme"), "endpoint acme", "paused until", "warn")
            d.ctl("doctor", "nobody", check=4)
            d.write_conf(CONF.replace("allow: [127.0.0.0/8]", "allow: []") + FAST)  # the rules of the file
            self.bad(self.look(d, "closed"), "endpoint closed", "may not be dialled")

    def test_a_peer_that_says_nothing_ends_in_time(self):
        with Daemon("delivery: {connect_timeout: 300ms}\n") as d, socket.create_server(("127.0.0.1", free_port())) as silent:
            d.write_conf(CONF.replace("allow_http: true", "allow_http: false") + "delivery: {connect_timeout: 300ms}\n")
            d.ctl("config", "reload")
            d.subscribe(f"https://127.0.0.1:{silent.getsockname()[1]}/", "--name", "silent", events="never")
            self.assertEqual(self.look(d, "silent")["endpoint silent"]["result"], "fail")

    def test_certificates(self):
        folder = tempfile.mkdtemp(prefix="webhookd-doctor-")
        try:
            make_certificates(folder)
            openssl("x509", "-req", "-in", "good.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "5", "-extfile", "good.ext",
                    "-out", "soon.pem", cwd=folder)
            shutil.copy(f"{folder}/good.key", f"{folder}/soon.key")
            with Daemon(f"delivery: {{ca_file: {folder}/ca.pem}}\n") as d, contextlib.ExitStack() as stack:
                for name in ("good", "soon", "other"):
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
                    d.subscribe(stack.enter_context(Receiver(tls=context)).url, "--name", name, events="never")
                found = self.look(d, "--endpoints")
                self.assertIn("certificate 19 days left", found["endpoint good"]["detail"])
                self.assertEqual(found["endpoint good"]["result"], "ok")
                self.bad(found, "endpoint soon", "certificate 4 days left", "warn")
                self.bad(found, "endpoint other", "TLS with 127.0.0.1")
                d.write_conf(CONF)  # without our authority
                self.bad(self.look(d, "good"), "endpoint good", "TLS with")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @unittest.skipUnless(os.getuid() == 0, "needs root to become somebody else")
    def test_as_somebody_else(self):
        with Daemon(FAST) as d, Receiver() as r:
            d.subscribe(r.url)
            os.chmod(d.dir, 0o755)
            done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "-o", "json", "doctor")
            found = {x["check"]: x["result"] for x in json.loads(done.stdout)["items"]}
            self.assertEqual((found["socket"], found["store"], found["key file"]), ("unseen", "unseen", "unseen"), done)
            done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "doctor")
            self.assertEqual(done.returncode, 77, done)
            self.assertRegex(done.stderr.splitlines()[-1], r"^\d checks could not be made: run this as root or as webhookd's user\.$")
            os.chmod(d.conf, 0o600)
            done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "doctor")
            self.assertEqual((done.returncode, "fail" in done.stdout), (77, False), done)


if __name__ == "__main__":
    unittest.main()
