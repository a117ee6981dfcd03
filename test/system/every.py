"""Every command of webhookctl, run before a world in which there is something for each of them to show: what the tests of JSON
shapes, exit codes and hostile text go through. The rows come from the program itself (`webhookctl help commands`), so a new command
is in these tests by itself. Where its arguments cannot be guessed from its row, say here how it is run: COMMANDS."""
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time

from harness import Daemon, WEBHOOKCTL, wait_for

CONF = "retry: {default: {max_retries: 1, initial_delay: 20ms}}\n"

# Command: the ways in which it is run, words in {} are of the world (World.word). "&" at the end: it follows something until it is
# interrupted. "<NAME": that file is its standard input. Commands that are not here are run as their rows say (guess).
COMMANDS = {
    "dlq summary": ["", "-s {sub}"],
    "dlq list": ["", "--all", "{event}"],
    "dlq show": ["{letter}", "{event} --body"],
    "dlq replay": ["--all --dry-run --rate 5/s", "--all --to {url} --dry-run", "{letter} --to {url} --detach --yes", "{letter!} --detach --yes"],
    "dlq purge": ["--all --dry-run", "{letter!} --confirm=1", "{letter!} --confirm=1 --export {file}"],
    "dlq restore": ["{purge} --dry-run", "{purge}"],
    "dlq note": ["{letter} {note}", "{event} {note}"],
    "dlq export": ["--limit 3"],
    "dlq import": ["-f {exported}", "-f {exported} --dry-run"],
    "job list": ["", "--limit 2", "--state done"],
    "job pause": ["{active-job}"],
    "job resume": ["{paused-job}"],
    "job cancel": ["{active-job}"],
    "job set-rate": ["{active-job} 50/s"],
    "job watch": ["{job}"],
    "subscription add": ["--url {url} --events never.* --name {fresh}"],
    "subscription delete": ["{fresh-sub} --yes"],
    "subscription disable": ["{fresh-sub}"],
    "subscription enable": ["{fresh-sub}"],
    "subscription pause": ["{fresh-sub} --for 2h"],
    "subscription set": ["{fresh-sub} --rate 5/s", "{fresh-sub} concurrency=3 --dry-run"],
    "subscription test": ["acme", "acme --type trade.test --data {payload}"],
    "subscription resume": ["{fresh-sub}"],
    "subscription rotate-secret": ["{fresh-sub}"],
    "event emit": ["--type nobody.wants --data {payload}", "--type trade.1 --dry-run"],
    "config show": ["", "--origin"],
    "event show": ["{event}", "{event} --body"],
    "event trace": ["{event}", "{letter}"],
    "delivery show": ["{letter}", "{letter} --body"],
    "delivery resend": ["--all --dry-run --rate 5/s", "--all --to {url} --dry-run", "{purged} --detach --yes"],
    "delivery list": ["", "--job {job}"],
    "delivery discard": ["--all --dry-run", "--all --yes"],
    "attempt list": ["", "{letter}"],
    "stats": ["", "-s {sub} --window 1m", "--all"],
    "monitor": ["--count 2 --interval 100ms"],
    "top": ["&"],
    "attempt tail": ["&", "{letter} &"],
    "partner add": ["{fresh}"],
    "outbox init": ["{made}"],
    "outbox check": ["{outbox}"],
    "outbox rejects retry": ["{reject!}"],
    "outbox rejects purge": ["{reject!}"],
    "config check": ["", "{conf}"],
    "config reload": ["--dry-run", ""],
    "log level": ["", "debug"],
    "doctor": ["", "{sub}", "--endpoints"],
    "db check": ["", "--quick"],
    "db backup": ["{made} --verify"],
    "egress check": ["https://10.0.0.1/", "https://example.com/"],
    "egress pause": ["--yes"],
    "egress resume": [""],
    "completion": ["bash", "zsh", "fish"],
    "help": ["", "commands", "flags", "exit-codes", "replay", "dlq list"],
}
LAST = ("egress pause", "egress resume")  # what disturbs the others stands at the end, in this order


class Endpoint:
    """Answers every request with these bytes."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                try:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += peer.recv(65536) or b"\r\n\r\n"
                    head, _, body = data.partition(b"\r\n\r\n")
                    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
                    while len(body) < length:
                        piece = peer.recv(65536)
                        if not piece:
                            break
                        body += piece
                    peer.sendall(self.answer)
                except OSError:
                    pass

    def close(self):
        self.listener.close()


class World:
    """webhookd with dead letters, jobs, rejects and what else a command may want. text: what everything is full of that somebody
    outside may write; answer: what the endpoint says."""

    LETTERS, REJECTS = 240, 16

    def __init__(self, text="plain", answer=b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", path=""):
        self.text = text
        self.numbers = itertools.count()
        self.endpoint = Endpoint(answer)
        self.d = Daemon(CONF)
        try:
            self.fill(path)
        except BaseException:
            self.close(failed=True)
            raise

    def fill(self, path):
        d = self.d
        d.ctl("partner", "add", "globex")
        headers = f"{d.dir}/headers"
        with open(headers, "w") as f:
            f.write("X-Api-Key: secret-of-the-partner\n")
        os.chmod(headers, 0o600)
        d.subscribe(self.endpoint.url + path, "--name", "acme", "--header-file", headers, events="trade.*")
        d.subscribe(self.endpoint.url, "--name", "quiet", events="never.at.all")
        field = "".join(c for c in self.text if c >= " " and c != "\x7f")[-100:]  # more is refused there
        row = lambda n, type: dict(type=type, event_id=f"E-{n}", payload=json.dumps({"text": self.text, self.text: n}, ensure_ascii=n % 2 == 0),
                                   correlation_id=field, ordering_key=f"{n}{field}", source=field, version=field,
                                   attributes=json.dumps({"subject": self.text}))
        d.insert(*[row(n, f"trade.{n % 3}") for n in range(self.LETTERS)])
        d.insert(*[row(1000 + n, f"bad {self.text}") for n in range(self.REJECTS)])
        d.insert(row(2000, "nobody.at.all"))
        wait_for(lambda: d.ctl("dlq", "count") == f"{self.LETTERS}\n", what="letters are dead")
        wait_for(lambda: len(d.ctl("-q", "outbox", "rejects", "list", "--all").split()) == self.REJECTS, what="rows are rejected")
        self.letters = d.ctl("-q", "dlq", "list", "--all").split()
        self.rejects = d.ctl("-q", "outbox", "rejects", "list", "--all").split()
        self.letter = self.letters.pop(0)  # never used up
        done = d.ctl("dlq", "replay", self.letter, "--yes", "--note", self.text, check=1, raw=True)
        self.job = next(word for word in (done.stdout + done.stderr).split() if word.startswith("job_"))
        d.ctl("subscription", "pause", "quiet", "--note", self.text)
        d.ctl("dlq", "export", "--limit", "3", "-f", f"{d.dir}/exported")

    def idle(self):
        """A subscription has one active job: those of the runs before give way."""
        for job in self.d.json("job", "list", "--all")["items"]:
            if job["finished_at"] is None:
                self.d.ctl("job", "cancel", job["id"], check=None)

    def take(self, pool):
        self.idle()
        return pool.pop()

    def fresh_sub(self):
        name = f"fresh-{next(self.numbers)}"
        self.d.ctl("subscription", "add", "--url", self.endpoint.url, "--events", "never.at.all", "--name", name)
        return name

    def new_job(self):
        """One that is not over: it has begun (from then on nothing changes by itself), and its letters wait for their turn."""
        job = self.d.ctl("-q", "dlq", "replay", self.take(self.letters), self.take(self.letters), self.take(self.letters), "--rate", "1/s",
                         "--detach", "--yes", "--note", self.text).split()[-1]
        wait_for(lambda: self.d.process.poll() is not None or self.d.json("job", "show", job)["started_at"], what="the job has begun")
        return job

    def paused_job(self):
        job = self.new_job()
        self.d.ctl("job", "pause", job)
        return job

    def purge(self):
        """One that is over and can be taken back."""
        return self.d.ctl("-q", "dlq", "purge", self.take(self.letters), "--confirm=1", "--note", self.text).split()[-1]

    def purged(self):
        """A delivery that is over and not dead."""
        letter = self.take(self.letters)
        self.d.ctl("-q", "dlq", "purge", letter, "--confirm=1")
        return letter

    def word(self, name):
        """The value of a word in {}. With "!" it is used up: another one comes next time."""
        words = {
            "letter": lambda: self.letter, "letter!": lambda: self.take(self.letters), "purge": self.purge, "purged": self.purged, "note": lambda: self.text[:200], "delivery": lambda: self.letter,
            "event": lambda: "E-0", "job": lambda: self.job, "active-job": self.new_job, "paused-job": self.paused_job,
            "reject": lambda: self.rejects[0], "reject!": lambda: self.take(self.rejects), "sub": lambda: "acme", "fresh-sub": self.fresh_sub,
            "fresh": lambda: f"fresh-{next(self.numbers)}", "url": lambda: self.endpoint.url, "conf": lambda: self.d.conf,
            "file": lambda: f"{self.d.dir}/file-{next(self.numbers)}", "exported": lambda: f"{self.d.dir}/exported",
            "made": lambda: f"{self.d.dir}/made-{next(self.numbers)}.db", "outbox": lambda: f"{self.d.dir}/outbox/outbox.db",
            "text": lambda: self.text, "payload": lambda: json.dumps({"text": self.text})}
        return words[name]()

    def rows(self):
        return self.d.json("help", "commands")["items"]

    def guess(self, row):
        noun, flags, args = row["command"].split()[0], row["flags"], row["args"]
        words = []
        if row["args_min"] > 0:
            thing = {"dlq": "letter", "delivery": "letter", "attempt": "letter", "event": "event", "job": "job", "outbox": "reject"}
            known = {"NAME|ID": "sub", "FILE": "file", "URL": "url"}
            words.append("{" + (known.get(args.split()[0]) or thing.get(noun, "letter")) + "}")
        elif "dry-run" in flags:
            words += ["--dry-run"] + (["--all"] if "all" in flags else [])
        return [" ".join(words)]

    def runs(self):
        """(row, arguments) of every command, what changes little first."""
        rows = self.rows()
        rows.sort(key=lambda r: LAST.index(r["command"]) if r["command"] in LAST else -1)
        for row in rows:
            for line in COMMANDS.get(row["command"]) or self.guess(row):
                follows = line.endswith("&")
                words = shlex.split(line.rstrip("&"))
                yield row, Run(self, row["command"].split() + words, follows)

    def close(self, failed=False):
        self.endpoint.close()
        self.d.__exit__(RuntimeError if failed else None)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None)


class Run:
    def __init__(self, world, words, follows):
        self.world, self.words, self.follows = world, words, follows

    def __str__(self):
        return " ".join(self.words) + (" &" if self.follows else "")

    def argv(self):
        """Its words now: what is used up, is used up again for each run."""
        filled = []
        for word in self.words:
            while "{" in word and "}" in word:
                before, _, rest = word.partition("{")
                name, _, after = rest.partition("}")
                if not name.replace("-", "").replace("!", "").isalpha():
                    break
                word = before + self.world.word(name) + after
            filled.append(word)
        return filled

    def run(self, *more):
        """In a pipe: (status, standard output, standard error) as bytes."""
        process = subprocess.Popen([WEBHOOKCTL, "-c", self.world.d.conf, *self.argv(), *more], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.world.d.env)
        if self.follows:
            time.sleep(0.5)  # it has no end of its own: what it says at once is what is looked at
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def on_terminal(self, columns):
        """(status, what it showed) on a pseudo-terminal."""
        with self.world.d.screen(*self.argv(), columns=columns, rows=60, env={"NO_COLOR": "1"}) as t:
            if self.follows:
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    t.read(0.05)
                t.type("\x03")
            return t.end(60), t.bytes
