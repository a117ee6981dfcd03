"""Completion in the three shells themselves, as somebody sees it who presses Tab."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import Daemon, Receiver, WEBHOOKCTL, wait_for
from terminal import Terminal

BIN = os.path.dirname(os.path.abspath(WEBHOOKCTL))
# what is typed, and what may stand there
ROWS = (
    ("webhookctl dl", {"dlq"}), ("webhookctl dlq re", {"replay", "restore"}), ("webhookctl -o json dlq re", {"replay", "restore"}),
    ("webhookctl outbox rejects re", {"retry"}), ("webhookctl sub pa", {"pause"}), ("webhookctl job pa", {"pause"}),
    ("webhookctl dlq replay --rat", {"--rate"}), ("webhookctl dlq list --cause ret", {"retries_exhausted"}),
    ("webhookctl dlq list --cause=ret", {"retries_exhausted"}), ("webhookctl attempt list --outcome http_5", {"http_5xx"}),
    ("webhookctl dlq list --limit ", set()), ("webhookctl dlq list -s acme-settle --cau", {"--cause"}),
    ("webhookctl dlq list --limit 3 --cau", {"--cause"}), ("webhookctl dlq list -s ac", {"acme-settle", "acme.odd_Name-1"}),
    ("webhookctl sub show acme-", {"acme-settle"}), ("webhookctl sub pause acme.", {"acme.odd_Name-1"}),
    ("webhookctl dlq list -s other,acme-", {"other,acme-settle"}), ("webhookctl dlq list --subscription=acme-", {"acme-settle"}),
    ("webhookctl event list --ca", set()), ("webhookctl -o js", {"json", "jsonl"}), ("webhookctl completion z", {"zsh"}),
    ("webhookctl help exit", {"exit-codes"}), ("webhookctl event show T:1:", {"T:1:2"}), ("webhookctl dlq list --note \"a b\" --cau", {"--cause"}),
    ("webhookctl sub list --state fa", {"failing"}), ("webhookctl job list --state st", {"stopped"}),
    ("webhookctl log level de", {"debug"}), ("webhookctl log level info ", set()),
    ("webhookctl sub set acme-settle ra", {"rate="}), ("webhookctl sub set acme-settle co", {"concurrency="}),
    ("webhookctl sub set acme-settle rate=5/s time", {"timeout="}), ("webhookctl sub set acme-settle ordering=k", {"key"}),
    ("webhookctl sub set acme-settle dry", set()), *((f"webhookctl job {verb} job_", "open jobs") for verb in ("cancel", "pause", "resume", "set-rate")),
    ("webhookctl job show job_", "jobs"), ("webhookctl --color al", {"always"}), ("webhookctl dlq list -- --a", set()),
)


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("retry: {default: {max_retries: 0}}\n")
        cls.addClassCleanup(cls.d.close)
        cls.r = Receiver(503)
        cls.addClassCleanup(cls.r.close)
        for name in ("acme-settle", "acme.odd_Name-1", "other"):
            cls.d.subscribe(cls.r.url, "--name", name, events="a.b")
        cls.d.emit("a.b", event_id="T:1:2")
        wait_for(lambda: cls.d.ctl("dlq", "count") == "3\n")
        cls.d.ctl("dlq", "replay", "--all", "--yes", check=1)
        cls.d.ctl("egress", "pause", "--yes")
        cls.d.ctl("dlq", "replay", "--all", "--yes", "--detach")
        cls.d.ctl("job", "pause", *cls.d.ctl("-q", "job", "list", "--state", "active").split())
        cls.open_jobs = set(cls.d.ctl("-q", "job", "list", "--state", "paused").split())
        assert len(cls.open_jobs) == 1
        cls.jobs = set(cls.d.ctl("-q", "job", "list").split())
        cls.env = dict(os.environ, WEBHOOKD_CONFIG=cls.d.conf, PATH=BIN + ":" + os.environ["PATH"], LC_ALL="C.UTF-8")
        cls.home = cls.env["HOME"] = tempfile.mkdtemp(prefix="webhookd-test-")
        cls.addClassCleanup(lambda: shutil.rmtree(cls.home, ignore_errors=True))

    def script(self, shell):
        path = f"{self.home}/completion.{shell}"
        with open(path, "w") as f:
            f.write(subprocess.run([WEBHOOKCTL, "completion", shell], capture_output=True, text=True, check=True).stdout)
        return path

    def wanted(self, line, want):
        return {"jobs": self.jobs, "open jobs": self.open_jobs}.get(want, want) if isinstance(want, str) else want

    def bash(self, line, env=None):
        """What bash is told, in the way in which it takes lines apart."""
        words = [w for w in re.split(r"([:=])|\s+", line) if w]
        words += [""] if line.endswith((" ", "=")) else []
        array = " ".join("'" + w.replace("'", "'\\''") + "'" for w in words)
        done = subprocess.run(["bash", "-c", f'. {self.script("bash")}; COMP_WORDS=({array}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); '
                               'COMP_LINE=$LINE; COMP_POINT=${#LINE}; _webhookctl; printf "%s\\n" "${COMPREPLY[@]}"'],
                              capture_output=True, text=True, env=dict(env or self.env, LINE=line))
        self.assertEqual(done.stderr, "", line)
        return set(done.stdout.split())

    def test_bash(self):
        for line, want in ROWS:
            got, want = self.bash(line), self.wanted(line, want)
            last = re.split("[ =:]", line)[-1]  # what bash itself puts before
            cut = {w[len(line.rsplit(" ", 1)[1].rstrip(last) if ":" in line else ""):] for w in want}
            self.assertEqual(got, cut, line)

    def test_bash_as_somebody_types(self):
        with Terminal(["bash", "--norc", "--noprofile", "-i"], env={**self.env, "PS1": "$ "}, columns=120) as t:
            t.wait("$")
            t.type(f". {self.script('bash')}\n")
            for typed, shown in (("webhookctl dlq rep\t", "webhookctl dlq replay "), ("--cause=ret\t", "--cause=retries_exhausted "),
                                 ("-s acme-\t", "-s acme-settle "), ("\x15webhookctl event show T:1:\t", "webhookctl event show T:1:2 "),
                                 ("\x15webhookctl dlq import -f compl\tbas\t", "-f completion.bash")):
                if "import" in typed:
                    t.type("\x15cd\n")
                t.type(typed)
                t.wait(re.compile(re.escape(shown.rstrip())))
            t.type("\x15exit\n")
            t.end()
            self.assertNotIn("rror", t.shown)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        script = self.script("fish")
        for line, want in ROWS:
            quoted = line.replace("\\", "\\\\").replace('"', '\\"')
            done = subprocess.run(["fish", "--no-config", "-c", f'source {script}; complete -C "{quoted}"'], capture_output=True, text=True, env=self.env)
            self.assertEqual(done.stderr, "", line)
            got = {row.split("\t")[0] for row in done.stdout.splitlines()}
            want = {line.rsplit(" ", 1)[1].split("=")[0] + "=" + w for w in self.wanted(line, want)} if "=" in line.rsplit(" ", 1)[1] else self.wanted(line, want)
            self.assertEqual(got, want, line)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        with Terminal(["zsh", "-f", "-i"], env={**self.env, "PS1": "$ ", "TMPPREFIX": f"{self.home}/zsh"}, columns=160, rows=60) as t:
            t.wait("$")
            t.type(f"autoload -U compinit; compinit -u -D; . {self.script('zsh')}; setopt no_beep; print -r rea''dy\n")
            t.wait("ready")
            for n, (line, want) in enumerate(ROWS):
                want = self.wanted(line, want)
                t.type("\x15\x0c")  # an empty line on an empty screen
                t.type(f"{line}\t\t")
                if len(want) == 1:
                    t.wait(lambda t: t.screen.line(0).rstrip().endswith(next(iter(want))) and t.screen.line(0).startswith("$ webhookctl"), deadline=20)
                elif want:
                    t.wait(lambda t: all(w in t.screen.text() for w in want), deadline=20)
                t.type("\x15\x0c")
            t.type("exit\n")
            t.end()
            self.assertNotIn("not found", t.shown)

    def test_no_daemon_no_names_no_word(self):
        with Daemon(start=False) as down:
            env = dict(self.env, WEBHOOKD_CONFIG=down.conf)
            for conf in (down.conf, "/nowhere/webhookd.conf"):
                env["WEBHOOKD_CONFIG"] = conf
                self.assertEqual(self.bash("webhookctl sub show ac", env), set())
                self.assertEqual(self.bash("webhookctl dlq re", env), {"replay", "restore"})
            self.assertFalse(os.path.exists(f"{down.dir}/store/webhookd.db"))
        self.assertEqual(self.bash(f"webhookctl -c {self.d.conf} sub show acme-", env), {"acme-settle"})

    def test_the_words(self):
        run = lambda *words: subprocess.run([WEBHOOKCTL, "completion", "words", "--", *words], capture_output=True, text=True, env=self.env)
        rows = self.d.json("help", "commands")["items"]
        for row in rows:
            *before, last = row["command"].split()
            offered = {line.split("\t")[0] for line in run(*before, last[:1]).stdout.splitlines()}
            self.assertIn(last, offered, row["command"])
            offered = {line.split("\t")[0] for line in run(*before, last, "--").stdout.splitlines()}
            self.assertLessEqual({f"--{flag}" for flag in row["flags"]}, offered, row["command"])
            self.assertIn("--json", offered)


if __name__ == "__main__":
    unittest.main()
