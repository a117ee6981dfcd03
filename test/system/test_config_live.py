"""The running configuration from webhookctl: beside its file, taken over from there, and how much is logged."""
import json
import os
import unittest

from harness import CONF, Daemon, Receiver, wait_for


class ConfigLive(unittest.TestCase):
    def test_diff_and_reload(self):
        with Daemon() as d:
            done = d.ctl("config", "diff", raw=True)
            self.assertEqual((done.stdout, "runs with what is in" in done.stderr), ("", True))
            d.write_conf(CONF + "delivery: {timeout: 3s}\nretry: {bank: {max_retries: 2}}\n")
            rows = json.loads(d.ctl("-o", "json", "config", "diff", check=1))["items"]
            self.assertEqual([(r["key"], r["running"], r["file"], r["reloadable"]) for r in rows],
                             [("delivery.timeout", "10s", "3s", True), ("retry.bank", None, "defined", True)])
            shown = d.ctl("config", "diff", check=1)
            self.assertIn("at reload", shown)
            self.assertIn("Nothing was changed", d.ctl("config", "reload", "--dry-run", raw=True).stderr)
            self.assertIn("timeout: 10s", d.ctl("config", "show", "-c", self.copy(d, CONF)))
            other = self.copy(d, CONF + "delivery: {timeout: 4s}\n")
            self.assertIn(f"webhookd reads {d.conf}: put it there", " ".join(d.ctl("config", "diff", other, check=1, raw=True).stderr.split()))
            done = d.ctl("config", "reload", raw=True)
            self.assertIn("delivery.timeout: 10s -> 3s", done.stdout)
            self.assertIn("2 values changed", done.stderr)
            self.assertIn("event=config_loaded", d.log())
            d.ctl("config", "diff")
            self.assertEqual(d.json("config", "reload")["changed"], [])
            audit = d.json("audit", "list")["items"]
            self.assertEqual([a["action"] for a in audit], ["config.reload"] * 2)
            self.assertEqual(audit[1]["detail"]["changed"][0]["key"], "delivery.timeout")
            d.ctl("sub", "add", "--url", "http://127.0.0.1:8080/", "--events", "*", "--retry", "bank")  # it is in force

    def copy(self, d, text):
        path = f"{d.dir}/other.conf"
        with open(path, "w") as f:
            f.write(text.replace("{dir}", d.dir).replace("{port}", str(d.port)))
        return path

    def test_all_or_nothing(self):
        with Daemon() as d:
            bad = self.copy(d, CONF + "delivery: {timout: 3s, max_in_flight: many}\n")
            done = d.ctl("config", "diff", bad, check=78, raw=True)
            self.assertEqual(done.stderr.count(": error: "), 2, done.stderr)
            self.assertTrue(done.stderr.startswith(f"{bad}:13:"), done.stderr)
            # who asks may have an older, valid file (-c); the daemon reads its own
            good = self.copy(d, CONF)
            d.write_conf(CONF + "delivery: {timout: 3s, max_in_flight: many}\n")
            done = d.ctl("-c", good, "config", "reload", check=78, raw=True)
            self.assertEqual(done.stderr.count(f"{d.conf}:13:"), 2, done.stderr)
            self.assertIn("nothing was applied", done.stderr)
            wait_for(lambda: "event=config_reload_failed" in d.log())
            self.assertIn("webhookd_config_last_reload_successful 0", d.metrics())
            self.assertEqual(d.json("-c", good, "audit", "list")["items"][0]["detail"]["applied"], False)
            done = d.ctl("-c", good, "-o", "json", "config", "reload", check=78, raw=True)
            self.assertEqual(len(json.loads(done.stderr)["error"]["details"]), 2)
            d.write_conf(CONF.replace("outbox.db", "other.db") + "delivery: {threads: 2, timeout: 1s}\n")
            rows = json.loads(d.ctl("-o", "json", "config", "diff", check=1))["items"]
            self.assertEqual({r["key"]: r["reloadable"] for r in rows},
                             {"delivery.threads": False, "delivery.timeout": True, "outbox[0].url": False, "outbox[0].name": False})
            done = d.ctl("config", "reload", check=1, raw=True)
            self.assertIn("delivery.threads cannot change while running", done.stderr)
            self.assertIn("needs a restart", done.stderr)
            self.assertIn("delivery.timeout", d.ctl("config", "diff", check=1))  # not applied either
            d.write_conf(CONF + "delivery: {ca_file: /nowhere/ca.pem}\n")
            self.assertIn("/nowhere/ca.pem", d.ctl("config", "reload", check=78, raw=True).stderr)
            d.write_conf(CONF)
            d.ctl("config", "reload")
            self.assertIn("webhookd_config_last_reload_successful 1", d.metrics())

    def test_mistakes_in_the_file_blind_nobody(self):
        """Who looks and acts through a running webhookd needs its socket alone."""
        with Daemon() as d, Receiver() as r:
            d.subscribe(r.url, "--name", "acme")
            for mistakes, n in (("rety: {}\n", "1 mistake,"), ("rety: {}\ndelivery: {timeout: x}\n", "2 mistakes,"), ("log: {level: [\n", "1 mistake,")):
                d.write_conf(CONF + mistakes)
                for command in ("status", "dlq count", "job list", "sub pause acme", "sub resume acme", "stats", "monitor --count 1", "log level"):
                    done = d.ctl(*command.split(), raw=True)
                    said = " ".join(done.stderr.split())
                    self.assertEqual(said.count(f"{d.conf} has {n}"), 1, (command, done))
                    self.assertIn("webhookctl config check", said)
                    self.assertNotIn("error:", said)
                self.assertTrue(d.json("status")["ready"])
                self.assertIn(f"{d.conf}:", d.ctl("config", "reload", check=78, raw=True).stderr)
                self.assertIn(f"{d.conf}:", d.ctl("config", "check", check=78, raw=True).stderr)
            self.assertIn("acme", d.ctl("completion", "words", "--", "-c", d.conf, "sub", "show", "ac"))
            d.write_conf(CONF.replace("socket: {dir}", "soket: {dir}"))  # who knows which one was meant
            self.assertIn("did you mean 'listen.socket'", d.ctl("status", check=78, raw=True).stderr)
            d.write_conf(CONF + "rety: {}\n")
            d.stop()
            done = d.ctl("status", check=69, raw=True)
            self.assertIn("none can start before", " ".join(done.stderr.split()))
            self.assertIn("unknown key 'rety'", d.ctl("dlq", "count", check=78, raw=True).stderr)

    def test_a_relative_path_and_another_folder(self):
        with Daemon(start=False) as d:
            here = os.getcwd()
            try:
                os.chdir(d.dir)
                d.conf = "webhookd.conf"
                d.start()
            finally:
                os.chdir(here)
                d.conf = f"{d.dir}/webhookd.conf"
            self.assertEqual(json.loads(d.ctl("-o", "json", "config", "diff"))["file"], d.conf)
            d.ctl("config", "reload")

    def test_without_a_daemon(self):
        with Daemon(start=False) as d:
            self.assertIn("webhookctl config show --origin", d.ctl("config", "diff", check=69, raw=True).stderr)
            for args in (("config", "diff"), ("config", "reload"), ("log", "level"), ("log", "level", "debug")):
                done = d.ctl(*args, check=69, raw=True)
                self.assertIn("no webhookd listens", done.stderr)

    def test_log_level(self):
        with Daemon(replace=CONF.replace("log: {level: debug}", "log: {level: warn}"), start=False) as d:
            d.write_conf(CONF.replace("log: {level: debug}", "log: {level: info}"))
            d.start()
            self.assertEqual(d.json("log", "level"), {"level": "info", "configured": "info", "until": None})
            self.assertNotIn("level=debug", d.log())
            d.ctl("log", "level", "debug")
            d.ctl("status")
            wait_for(lambda: "level=debug" in d.log())
            now = d.json("log", "level", "warn", "--for", "1s")
            self.assertEqual(now["level"], "warn")
            self.assertIsNotNone(now["until"])
            wait_for(lambda: d.json("log", "level") == {"level": "info", "configured": "info", "until": None})
            self.assertIn("its time is over", d.log())
            d.ctl("log", "level", "error", "--for", "1h")
            self.assertIn("log.level is error for now, by webhookctl log level; configured is info", d.ctl("config", "diff", raw=True).stderr)
            d.ctl("config", "reload")
            self.assertNotIn("log.level", d.ctl("config", "diff", raw=True).stderr)
            self.assertEqual(d.json("log", "level"), {"level": "info", "configured": "info", "until": None})
            self.assertEqual(d.json("audit", "list")["items"][1]["action"], "log.level")
            self.assertIn("not debug, info, warn or error", d.ctl("log", "level", "loud", check=64, raw=True).stderr)
            d.ctl("log", "level", "--for", "1h", check=64)


if __name__ == "__main__":
    unittest.main()
