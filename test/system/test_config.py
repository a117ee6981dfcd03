"""Configuration from outside: -t, every mistake at once, reload all or nothing, show."""
import json
import signal
import socket
import subprocess
import threading
import unittest

from harness import CONF, Daemon, Receiver, WEBHOOKD, wait_for


def check(d, text):
    d.write_conf(text)
    return subprocess.run([WEBHOOKD, "-t", "-c", d.conf], capture_output=True, text=True, timeout=30)


class Config(unittest.TestCase):
    def test_good_and_bad(self):
        with Daemon(start=False) as d:
            self.assertEqual(check(d, CONF).returncode, 0)
            self.assertEqual(check(d, "").returncode, 0)
            done = check(d, "delivery:\n  timout: 10s\n  max_in_flight: many\nretry:\n  default: {max_retries: -1}\nlog: {level: loud}\n")
            self.assertEqual(done.returncode, 78)
            lines = done.stderr.splitlines()
            self.assertEqual(len([x for x in lines if ": error: " in x]), 4, done.stderr)
            self.assertTrue(lines[0].startswith(f"{d.conf}:2:3: error: "), lines[0])
            self.assertIn("delivery.timeout", lines[0])
            for bad in ("a: [1, 2", "\t", "store: {url: sqlite://relative.db}\n", "x: &a [*a]\n", "delivery: {timeout: 10}\ndelivery: {}\n"):
                self.assertEqual(check(d, bad).returncode, 78, bad)
            done = subprocess.run([WEBHOOKD, "-t", "-c", f"{d.dir}/none"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 78)

    def test_where_a_value_comes_from(self):
        with Daemon(start=False) as d:
            d.write_conf("delivery:\n  timeout: 3s\n\n  threads: 1\noutbox:\n- url: sqlite:///tmp/x/t.db\n  name: trading\n"
                         "retry:\n  slow:\n    max_delay: ~\n    jitter: 0.2\n")
            rows = {x["key"]: x for x in d.json("config", "show", "--origin")["items"]}
            for key, value, line in (("delivery.timeout", "3s", 2), ("delivery.threads", "1", 4), ("outbox[0].name", "trading", 7),
                                     ("retry.slow.max_delay", "5m", 10), ("retry.slow.jitter", "0.2", 11)):
                self.assertEqual(rows[key], {"key": key, "value": value, "origin": "file", "file": d.conf, "line": line})
            for key in ("delivery.grace", "outbox[0].table", "retry.default.jitter", "store.url"):
                self.assertEqual((rows[key]["origin"], rows[key]["file"], rows[key]["line"]), ("default", None, None), key)
            done = d.ctl("config", "show", "--origin", raw=True)
            self.assertRegex(done.stdout, r"delivery\.timeout +3s +webhookd\.conf:2\n")
            self.assertIn(f"{d.conf}: named by -c", done.stderr)
            keys = d.ctl("config", "show", "--origin", "-o", "id").split()
            self.assertEqual(keys, list(rows))

    def test_json_and_quoted_scalars(self):
        with Daemon(start=False) as d:
            d.conf = f"{d.dir}/c.json"
            with open(d.conf, "w") as f:
                json.dump({"delivery": {"timeout": "3s", "max_in_flight": "7"}, "egress": {"allow_http": True}}, f)
            self.assertEqual(subprocess.run([WEBHOOKD, "-t", "-c", d.conf]).returncode, 0)
            shown = d.ctl("config", "show")
            self.assertIn("max_in_flight: 7", shown)
            self.assertIn("timeout: 3s", shown)

    def test_show_is_a_configuration_and_the_example_is_valid(self):
        with Daemon(start=False) as d:
            shown = d.ctl("config", "show")
            with open(d.conf, "w") as f:
                f.write(shown)
            self.assertEqual(subprocess.run([WEBHOOKD, "-t", "-c", d.conf]).returncode, 0)
            self.assertEqual(d.ctl("config", "show"), shown)
            d.ctl("config", "check")

    def test_reload_all_or_nothing(self):
        with Daemon() as d, Receiver(503) as r:
            d.subscribe(r.url)
            d.write_conf(CONF + "retry: {default: {max_retries: 0}}\nnonsense: 1\n")
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "event=config_reload_failed" in d.log())
            self.assertIn("nonsense", d.log())
            d.write_conf(CONF.replace("webhookd.sock", "other.sock") + "retry: {default: {max_retries: 0}}\n")
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "listen.socket" in d.log())
            d.write_conf(CONF + "retry: {default: {max_retries: 0}}\n")
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "event=config_loaded" in d.log())
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            self.assertEqual(len(r.requests), 1)

    def test_a_policy_that_a_reload_takes_away(self):
        with Daemon("retry: {short: {max_retries: 0}}\n") as d, Receiver(503) as r:
            d.subscribe(r.url, "--name", "acme", "--retry", "short")
            d.emit("a.b")
            wait_for(lambda: d.counts()["dead"] == 1)
            d.write_conf(CONF)
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "event=sub_retry_unknown sub=acme retry=short" in d.log())
            d.emit("a.b")
            wait_for(lambda: d.counts()["retrying"] == 1)  # by the default one

    def test_a_ca_file_that_is_none(self):
        """At the start and at a reload, not with each delivery."""
        with Daemon(start=False) as d:
            with open(f"{d.dir}/none.pem", "w") as f:
                f.write("-----BEGIN PRIVATE KEY-----\n")
            for name, why in (("missing.pem", "No such file"), ("none.pem", "no certificate")):
                d.write_conf(CONF + "delivery: {ca_file: '{dir}/%s'}\n" % name)
                done = subprocess.run([WEBHOOKD, "-c", d.conf], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertIn("delivery.ca_file: ", done.stderr)
                self.assertIn(why, done.stderr)
            d.write_conf(CONF)
            d.start()
            d.write_conf(CONF + "delivery: {ca_file: '{dir}/none.pem'}\n")
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "event=config_reload_failed file=" in d.log())
            self.assertIn("no certificate in", d.log())
            self.assertNotIn("event=config_loaded", d.log())

    def test_a_reload_that_is_asked_for_too_early_or_too_late(self):
        with Daemon() as first, Receiver(lambda r, n: release.wait(20) and 200) as r, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            release = threading.Event()
            with Daemon(start=False, replace=CONF.replace("{dir}/store", f"{first.dir}/store")
                        .replace("{dir}/key", f"{first.dir}/key")) as d:
                manager.bind(f"{d.dir}/notify")
                manager.settimeout(30)
                d.env["NOTIFY_SOCKET"] = f"{d.dir}/notify"
                d.spawn()
                wait_for(lambda: "event=starting" in d.log())
                d.process.send_signal(signal.SIGHUP)  # it waits for the first one's lock
                first.stop()
                wait_for(lambda: "event=config_loaded" in d.log())
                said = [manager.recv(1000)]
                while said[-1] != b"READY=1":
                    said.append(manager.recv(1000))
                self.assertIn("event=ready", d.log())  # not ready because of a reload
                d.subscribe(r.url)
                d.emit("a.b")
                wait_for(lambda: r.requests)
                d.process.send_signal(signal.SIGTERM)
                wait_for(lambda: "event=stopping" in d.log())
                d.process.send_signal(signal.SIGHUP)
                wait_for(lambda: 'cause="webhookd is stopping"' in d.log())
                release.set()
                self.assertEqual(d.stop(10), 0)
                manager.setblocking(False)
                while True:
                    try:
                        said.append(manager.recv(1000))
                    except BlockingIOError:
                        break
                self.assertEqual(said[-1], b"STOPPING=1")

    def test_paths_that_cannot_be_used(self):
        with Daemon(start=False) as d:
            d.write_conf(CONF.replace("{dir}/store", "/proc/none"))
            done = subprocess.run([WEBHOOKD, "-c", d.conf], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("/proc/none", done.stderr)


if __name__ == "__main__":
    unittest.main()
