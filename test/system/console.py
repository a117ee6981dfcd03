"""Documents whose console blocks are played, so that they cannot rot: each command is typed again on a terminal before a daemon of
today, and what it shows must be what the document says but for what differs from run to run (ids, times, ports, sizes).

A section (a heading `## …`) of the document has a *scene*, a generator that brings the trouble of the section about with real
receivers and real faults. It yields once for each console block of its section: what stands before the first yield happens before
the first block, and so on; what stands after the last one is the proof that the block did what the section says.

    SCENES = Scenes("docs/runbook.md", every_section=True)

    @SCENES.of("A partner was down")
    def partner_was_down(stage):
        with stage.machine(QUICK) as m, m.partner("acme", 503) as acme:
            ...                                     # dead letters come to be
            yield
            assert len(acme.requests) == 3          # what the block's replay did

In a block, a line `$ …` is what somebody types into a shell; `$ echo $?` shows the status of the command before it, and a command
without one must have ended with 0. What the document shows as typed behind a question (`[y/N] y`) is typed when that question is
asked; where it was left ("Detached; …"), ^C is typed when a bar is to be seen. An id in a command stands for today's id that was shown in the same place. In a command that is
written for the first time, dlv_1 is the first dlv_ id that the section has shown.

Paths and endpoints of the test's machine are shown as those of an installation (Machine.names), and taken back in commands.
"""
import concurrent.futures
import contextlib
import difflib
import http.server
import io
import os
import pwd
import re
import shlex
import shutil
import signal
import sys
import time
import traceback
import unittest

import harness
import names
from harness import Daemon, Receiver, wait_for
from terminal import Terminal

ROOT = os.path.join(os.path.dirname(__file__), "../..")
COLUMNS = 120
PLAYERS = 4  # scenes at a time: they wait more than they work
IDS = r"\b(?:dlv|sub|job|evt|rej|par|att|aud|key|req)_[0-9A-Z]{6,}"
QUESTION = re.compile(r"(\[y/N\]|to confirm:) (\S+)$", re.M)
ASKS = re.compile(r"(\[y/N\]|(?:Type (\S+) )to confirm:) $")
BAR = re.compile(r"\[[=#>. -]{8,}\]|[▁▂▃▄▅▆▇█]{3,}")
SPAN = r"\d+(?:\.\d+)? ?(?:us|µs|ms|s|m|h|d)\b(?: \d+[smhd]\b)*"
MASKS = [
    (re.compile(IDS), lambda m: m.group(0).split("_")[0] + "_ID"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "SECRET"),
    (re.compile(r"\b[0-9a-f]{8,}\b(?:…[0-9a-f]+)?"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"), "TIME"),
    (re.compile(r"\b((Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b( \d{4}\b)?( \d\d:\d\d(:\d\d)?)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d(:\d\d(\.\d+)?)?\b"), "TIME"),
    (re.compile(rf"\bjust now\b|{SPAN} ago\b|\bin {SPAN}(?=\s|$)"), "AGO"),
    (re.compile(rf"[+-]?{SPAN}"), "SPAN"),
    (re.compile(r"\b\d+(\.\d+)? ?([KMGT]i?B|bytes|B)\b"), "SIZE"),
    (BAR, "BAR"),
    (re.compile(r"[\d.]+ delivered/s"), "N delivered/s"),
    (re.compile(r"\S*…"), "…"),  # cut where the width of the columns before it left no room
    (re.compile(r"\b([Pp]id|process)([ =]+)\d+"), r"\1\2N"),
    (re.compile(r"(?<=[a-z0-9]):\d{4,5}\b"), ":PORT"),
    (re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])"), "N"),
    (re.compile(r"(?<![\d.])\d{5,}(?![\d.])"), "N"),
]
QUICK = "retry: {default: {max_retries: 2, initial_delay: 20ms}}\n"  # dead in no time
CONF = """\
store: {url: "sqlite://{dir}/store/webhookd.db", encryption_key_file: "{dir}/key"}
outbox: [{url: "sqlite://{dir}/outbox/outbox.db", name: trading}]
listen: {socket: "{dir}/webhookd.sock", http: "127.0.0.1:{port}"}
egress: {allow_http: true, allow: [127.0.0.0/8]}
"""


def masked(text, more=()):
    """Without what differs from run to run; widths of columns follow it."""
    for pattern, by in [*more, *MASKS]:
        text = pattern.sub(by, text)
    text = re.sub(r"[ \t]+", " ", re.sub(r"-{4,}|─{4,}", "-", text)).strip()
    return re.sub(r"(?: (?:SPAN|-)){2,}", " SPANS", text)  # phases of an attempt: which there are depends on what was kept open


def same(a, b):
    """Two masked lines. Where one was cut, since a name is longer on this machine, what stands before the cut counts."""
    if "…" not in a + b:
        return a == b
    one, other = a.split("…")[0], b.split("…")[0]
    return one.startswith(other) or other.startswith(one)


def seen(text):
    """What is to be seen of a terminal's bytes: without colours, and without what was written over."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return "\n".join(lines).removesuffix("\n") + "\n" if text else ""


def translated(text, pairs):
    """Each first one of the pairs as the second one; the longest counts where one is part of another."""
    by = dict(pairs)
    return re.sub("|".join(re.escape(a) for a in sorted(by, key=len, reverse=True)), lambda m: by[m.group(0)], text)


class Block:
    """One console block: its commands, each with the output that the document shows."""

    def __init__(self, text):
        self.text = text
        self.steps = []  # [command, output]
        for line in text.splitlines(keepends=True):
            if line.startswith("$ "):
                self.steps.append([line[2:].rstrip("\n"), ""])
            elif line.startswith("> ") and self.steps and self.steps[-1][0].endswith("\\"):
                self.steps[-1][0] += "\n" + line[2:].rstrip("\n")
            else:
                assert self.steps, f"a console block begins with a command: {text!r}"
                self.steps[-1][1] += line


def sections(text):
    """[(heading, [Block])] of a document, in its order; what stands before the first heading has None."""
    found = [(None, [])]
    for heading, block in re.findall(r"^## (.*?) *$|^```console\n(.*?)^```$", text, re.M | re.S):
        if heading:
            found.append((heading, []))
        else:
            found[-1][1].append(Block(block))
    return found


class Machine(Daemon):
    """A daemon whose paths and partners are shown as those of an installation."""

    def __init__(self, conf="", start=True, replace=None, resolver=None):
        self.names = []  # (here, in the document)
        super().__init__(conf, start=False, replace=replace or CONF)
        os.makedirs(f"{self.dir}/bin")
        os.makedirs(f"{self.dir}/desk")  # where somebody works
        for program in (harness.WEBHOOKD, harness.WEBHOOKCTL):
            os.symlink(os.path.abspath(program), f"{self.dir}/bin/{os.path.basename(program)}")
        self.tool("sudo", 'while [ "$1" = -u ]; do shift 2; done; exec "$@"')
        self.tool("journalctl", 'n=10; while [ $# -gt 0 ]; do [ "$1" = -n ] && n=$2; shift; done; tail -n "$n" ' + self.log_path)
        self.name(f"{self.dir}/store", "/var/lib/webhookd")
        self.name(f"{self.dir}/outbox/outbox.db", "/var/lib/trading/trades.db")
        self.name(f"{self.dir}/outbox", "/var/lib/trading")
        self.name(f"{self.dir}/webhookd.sock", "/run/webhookd/webhookd.sock")
        self.name(f"{self.dir}/webhookd.conf", "/etc/webhookd/webhookd.conf")
        self.name(f"{self.dir}/key", "/etc/webhookd/key")
        self.name(f"127.0.0.1:{self.port}", "127.0.0.1:8420")
        handler = http.server.BaseHTTPRequestHandler
        self.name(f"{handler.server_version} {handler.sys_version}", "nginx")
        self.name(f"uid:{os.getuid()} {pwd.getpwuid(os.getuid()).pw_name}", "uid:0 root")
        if resolver:
            self.wrap = names.asking(resolver, self.dir)
        if start:
            try:
                self.start()
            except BaseException:
                self.kill()
                raise

    def name(self, here, there):
        self.names.append((here, there))

    def tool(self, name, script):
        with open(f"{self.dir}/bin/{name}", "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n{script}\n")
        os.chmod(f"{self.dir}/bin/{name}", 0o755)

    def shown(self, text):
        """Text of this machine as the document has it."""
        return translated(re.sub(r"\S+(?=…)", self.cut, text), self.names)

    def cut(self, found):
        """A word that was cut in the middle of a name of this machine."""
        word = found.group(0)
        n, there = max((n, there) for here, there in self.names for n in range(len(here) + 1) if word.endswith(here[:n]))
        return word[:len(word) - n] + there[:n] if n > 11 else word

    def typed(self, command):
        """A command of the document for this machine."""
        return translated(command, [(there, here) for here, there in self.names])

    @contextlib.contextmanager
    def partner(self, name, answer=200, *flags, url=None, events="*", port=0, tls=None):
        """A receiver with a subscription of that name, shown under an address of its own."""
        with Receiver(answer, port=port, tls=tls) as r:
            r.url = self.address(r.url, url or f"https://hooks.{name}.example/settle")
            r.subscription = self.subscribe(r.url, "--name", name, *flags, events=events)
            yield r

    def address(self, here, there):
        """A URL of this machine for that of the document, of the same length where it can be: tables stay in line."""
        host = here.split("/")[2]
        here += "-" * (len(there) - len(here))
        self.name(here, there)
        self.name(host, "203.0.113.7:443" if host.startswith("127.") else there.split("/")[2])
        return here

    def dead(self, n, what=None):
        """Waits until so many letters are dead, and it is known how their endpoints are (it is written behind)."""
        wait_for(lambda: self.counts()["dead"] == n, what=what or f"{n} dead letters")
        nows = lambda: [g["subscription_now"] for g in self.json("dlq", "summary")["items"] if g["last_outcome"]]
        wait_for(lambda: all(now["state"] != "active" or now["failing_since"] or now["last_success_at"] for now in nows()), what="the endpoints' health is written")

    def counted(self):
        """Waits until every attempt is in the statistics, which are written a second later."""
        last = lambda: self.json("status")["last_5m"]
        attempts = len(self.json("attempt", "list", "--all")["items"])
        wait_for(lambda: (l := last())["ok"] + l["failed"] == attempts, what=f"{attempts} attempts are counted")

    def become_nobody(self):
        """From its next start on the daemon is no root, whoever runs this."""
        if os.geteuid() != 0:
            return
        os.unlink(f"{self.dir}/bin/webhookd")
        self.program = shutil.copy(harness.WEBHOOKD, f"{self.dir}/bin/webhookd")
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.wrap = nobody
        self.tool("sudo", f'if [ "$1" = -u ]; then shift 2; exec {shlex.join(nobody)} "$@"; fi; exec "$@"')
        os.chmod(self.dir, 0o755)
        for folder, _, files in os.walk(self.dir):
            for path in (folder, *(f"{folder}/{f}" for f in files)):
                os.lchown(path, 65534, 65534)

    def service(self, verb):
        """systemctl VERB webhookd."""
        if verb in ("stop", "restart"):
            status = self.stop()
            assert status == 0, f"webhookd ended with {status}"
        if verb.startswith("kill"):
            self.kill()
        if verb in ("start", "restart"):
            self.start()
        if verb == "reload":
            over = lambda: len(re.findall(r"event=config_reload_failed file=|event=config_loaded", self.log()))
            before = over()
            self.process.send_signal(signal.SIGHUP)
            wait_for(lambda: over() > before, what="the reload is over")


class Stage:
    """One section being played. today: what its blocks are today; faults: where they differ from the document."""

    def __init__(self, heading, blocks, writing=False):
        self.heading, self.blocks, self.writing = heading, blocks, writing
        self.today, self.faults = [], []
        self.ids, self.order = {}, []  # document's id -> today's; today's in the order of their showing
        self.masks = []
        self.on = None
        self.status = 0

    def machine(self, *args, **kw):
        self.on = Machine(*args, **kw)
        return self.on

    def mask(self, pattern, by):
        """This too differs from run to run."""
        self.masks.append((re.compile(pattern, re.M), by))

    def age(self, seconds=12):
        """What has happened is counted by now. And what is written into a document reads better where not all of it was "just now"."""
        if self.on.process.poll() is None:
            self.on.counted()
        if self.writing:
            time.sleep(seconds)

    def play(self, scene):
        """Plays every block; the scene's own asserts are part of it."""
        steps = scene(self)
        for block in self.blocks:
            if next(steps, steps) is steps:
                raise AssertionError(f"the scene of '{self.heading}' ends before the section's block\n{block.text}")
            self.today.append("".join(self.step(command, output) for command, output in block.steps))
        if next(steps, steps) is not steps:
            steps.close()
            raise AssertionError(f"the section '{self.heading}' has {len(self.blocks)} console blocks, its scene has more")

    def step(self, command, output):
        if command == "echo $?":
            shown = f"{self.status}\n"
            self.status = 0
        else:
            if self.status != 0:
                self.fault(f"$ {command}\n  comes after a command that ended with {self.status}, which no `echo $?` shows\n{self.last}")
            shown = self.typed(command, output)
        wanted, got = masked(output, self.masks).splitlines(), masked(shown, self.masks).splitlines()
        alike = len(wanted) == len(got) and all(map(same, wanted, got))
        if not alike:
            self.fault(f"$ {command}\n" + "\n".join(difflib.unified_diff(wanted, got, "document", "today", n=20, lineterm="")))
        theirs, ours = re.findall(IDS, output), re.findall(IDS, shown)
        self.order += [i for i in dict.fromkeys(ours) if i not in self.order]
        for a, b in zip(theirs, ours):
            if self.ids.setdefault(a, b) != b and alike:
                self.fault(f"$ {command}\n  {a} of the document was {self.ids[a]} before and is {b} now")
        return "$ " + self.with_ids(command).replace("\n", "\n> ") + "\n" + shown

    def fault(self, text):
        self.faults.append(text)

    def with_ids(self, command):
        """The command with today's ids."""
        def of_today(found):
            kind, number = found.group(1), int(found.group(2))
            known = [i for i in self.order if i.startswith(kind)]
            return known[number - 1] if number <= len(known) else found.group(0)
        command = re.sub(IDS, lambda m: self.ids.get(m.group(0), m.group(0)), command)
        return re.sub(r"\b(dlv_|sub_|job_|evt_|rej_|par_)(\d{1,2})\b", of_today, command)

    def typed(self, command, output):
        """Types the command and what the document shows as typed behind it; what is shown, as the document would."""
        m = self.on
        service = re.fullmatch(r"(?:sudo )?systemctl (start|stop|restart|reload|kill -s KILL) webhookd", command)
        if service:
            m.service(service.group(1))
            return ""
        env = dict(m.env, PATH=f"{m.dir}/bin:{m.env['PATH']}", WEBHOOKD_CONFIG=m.conf, HOME=f"{m.dir}/desk", LC_ALL="C.UTF-8", TZ="UTC")
        with Terminal(["bash", "-c", m.typed(self.with_ids(command))], columns=COLUMNS, env=env, cwd=f"{m.dir}/desk") as t:
            self.answer(t, output)
            self.status = t.end()
            shown = m.shown(seen(t.shown))
        self.last = shown
        return shown

    def answer(self, t, output):
        """What somebody types behind questions: what the document shows, or what agrees."""
        answers, interrupt = [answer for _, answer in QUESTION.findall(output)], "Detached;" in output
        while True:
            t.wait(lambda t: t.closed or ASKS.search(t.shown) or interrupt and BAR.search(t.shown))
            if t.closed:
                return
            if asked := ASKS.search(t.shown):
                t.type((answers.pop(0) if answers else asked.group(2) or "y") + "\n")
                t.wait(lambda t: t.closed or not ASKS.search(t.shown))
            else:
                t.type("\x03")
                interrupt = False


class Scenes:
    """The scenes of one document."""

    def __init__(self, path, every_section=False):
        self.path = os.path.join(ROOT, path)
        self.every_section = every_section  # else only those that have a console block
        self.scenes = {}

    def of(self, heading):
        def known(scene):
            assert heading not in self.scenes, f"two scenes for '{heading}'"
            self.scenes[heading] = scene
            return scene
        return known

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def misfits(self):
        """Sections without a scene, scenes without a section."""
        blocks = dict(sections(self.text()))
        for heading, found in blocks.items():
            if heading not in self.scenes and (found or self.every_section and heading):
                yield f"the section '{heading}' has no scene"
            elif heading in self.scenes and not found:
                yield f"the section '{heading}' has no console block"
        yield from (f"there is a scene for '{heading}', which is no section" for heading in self.scenes if heading not in blocks)

    def played(self, heading, writing=False):
        """(blocks of today, faults, why it cannot be played here) of one section."""
        stage = Stage(heading, dict(sections(self.text()))[heading], writing)
        said = io.StringIO()  # the log of a machine whose scene failed
        try:
            with contextlib.redirect_stdout(said):
                stage.play(self.scenes[heading])
        except unittest.SkipTest as why:
            return [], [], str(why)
        except Exception:
            stage.fault(said.getvalue()[-6000:] + traceback.format_exc())
        return stage.today, stage.faults, None

    def write(self, chosen):
        """The blocks of the chosen sections as they are today, into the document. One that says what it says today stays as it is."""
        text = self.text()
        headings = [h for h, _ in sections(text) if h in self.scenes and chosen in h]
        with concurrent.futures.ProcessPoolExecutor(3 * PLAYERS) as pool:  # they age
            results = dict(zip(headings, pool.map(self.played, headings, [True] * len(headings))))
        for heading, blocks in sections(text):
            today, faults, skipped = results.get(heading, ([], [], None))
            if heading in results and len(today) < len(blocks):
                print(f"## {heading}\n{skipped or faults[-1]}")
            if not faults:
                continue
            start = text.index(f"## {heading}") if heading else 0
            for old, new in zip(blocks, today):
                start = text.index(f"```console\n{old.text}```", start)
                whole = f"```console\n{new}"
                text = text[:start] + whole + text[start + len("```console\n" + old.text):]
                start += len(whole)
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)

    def tests(self):
        """A TestCase with a test for each scene; they are played side by side."""
        scenes = self

        class Played(unittest.TestCase):
            maxDiff = None

            @classmethod
            def setUpClass(cls):
                wanted = [a for a in sys.argv[1:] if a.startswith("Played.")]
                pool = concurrent.futures.ProcessPoolExecutor(PLAYERS)
                cls.results = {h: pool.submit(scenes.played, h) for h in scenes.scenes
                               if not wanted or f"Played.{test_name(h)}" in wanted}
                pool.shutdown(wait=False)

            def test_every_section_is_played(self):
                self.assertEqual(list(scenes.misfits()), [])

        for heading in self.scenes:
            def test(self, heading=heading):
                _, faults, skipped = self.results[heading].result()
                if skipped:
                    self.skipTest(skipped)
                if faults:
                    self.fail(f"## {heading}\n" + "\n".join(faults)
                              + f"\n(to take today's output over: python3 {shlex.quote(sys.argv[0])} --write '{heading}')")
            setattr(Played, test_name(heading), test)
        return Played


def test_name(heading):
    return "test_" + re.sub(r"\W+", "_", heading.lower()).strip("_")


def main(scenes):
    if sys.argv[1:2] == ["--write"]:
        scenes.write(sys.argv[2] if len(sys.argv) > 2 else "")
    else:
        unittest.main()
