"""Every command of the table where something around it is not as it should be: standard output on a full disk or closed, a reader that
goes away, a daemon that talks nonsense or ends under the request, terminals without colours. Each ends with a status of its row, says
why, and never falls over."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from every import World
from harness import WEBHOOKCTL

NONSENSE = (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"\x1b[2Jgarbage\r\n\r\n", b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n{\"\xff",
            b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"items\":[1,null,\"x\",[]]}")


class Peer:
    """Listens where the daemon would, and does that with each connection."""

    def __init__(self, path, do):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.do = do
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), peer:
                peer.settimeout(5)
                data = b""
                while b"\r\n\r\n" not in data:
                    piece = peer.recv(65536)
                    if not piece:
                        break
                    data += piece
                self.do(peer)

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.close)

    def runs(self):
        """Each command in one way."""
        seen = set()
        for row, run in self.world.runs():
            if row["command"] not in seen:
                seen.add(row["command"])
                yield row, run

    def run_with(self, run, timeout=60, **how):
        """(status, what it said on standard error) where that is a pipe."""
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        process = subprocess.Popen([WEBHOOKCTL, "-c", self.world.d.conf, *run.argv()], env={**self.world.d.env, **how.pop("env", {})}, **how)
        if run.follows:
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, (out or b"").decode(), (err or b"").decode()


class Streams(Case):
    def test_a_full_disk(self):
        with open("/dev/full", "wb", buffering=0) as full:
            for row, run in self.runs():
                with self.subTest(run=str(run)):
                    ok, out, err = self.run_with(run, env={"COLUMNS": "40", "TERM": "xterm"})  # which is no terminal
                    self.assertNotIn("…\n", out)
                    self.assertNotIn("\x1b", out + err)
                    status, _, err = self.run_with(run, stdout=full)
                    if not out:
                        self.assertEqual(status, ok, err)
                        continue
                    self.assertEqual(status, 73 if row["command"] == "dlq export" else 74, err)
                    self.assertRegex(err, "No space left on device|could not all be written")
                    self.assertIn("standard output", err)

    def test_messages_that_cannot_be_written(self):
        with open("/dev/full", "wb", buffering=0) as full:
            for row, run in self.runs():
                with self.subTest(run=str(run)):
                    status, out, _ = self.run_with(run, stderr=full)
                    self.assertIn(status, row["exits"], out)

    def test_closed_streams(self):
        for row, run in self.runs():
            for close in (">&-", "<&- >&- 2>&-"):
                with self.subTest(run=str(run), close=close):
                    if run.follows:
                        continue
                    done = subprocess.run(["bash", "-c", f'"$0" "$@" {close}', WEBHOOKCTL, "-c", self.world.d.conf, *run.argv()], env=self.world.d.env,
                                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
                    self.assertIn(done.returncode, row["exits"] + [74])
                    if ">&-" == close and done.returncode == 74:
                        self.assertIn("standard output", done.stderr)

    def test_a_reader_that_goes_away(self):
        for row, run in self.runs():
            with self.subTest(run=str(run)):
                done = subprocess.run(["bash", "-c", '"$0" "$@" | head -1 >/dev/null; echo "${PIPESTATUS[0]}"', "timeout", "-s", "INT", "2" if run.follows else "60",
                                       WEBHOOKCTL, "-c", self.world.d.conf, *run.argv()], env=self.world.d.env, stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=70)
                self.assertIn(int(done.stdout), row["exits"] + [124, 130, 141])
                self.assertNotRegex(done.stderr, "(?i)broken pipe|standard output|sigpipe")

    def test_a_dumb_terminal(self):
        """(NO_COLOR: test_hostile_text looks for any escape in what it shows.)"""
        for row, run in self.runs():
            with self.subTest(run=str(run)), self.world.d.screen(*run.argv(), columns=60, rows=60, term="dumb") as t:
                if run.follows:
                    end = time.monotonic() + 0.6
                    while time.monotonic() < end:
                        t.read(0.05)
                    t.type("\x03")
                self.assertIn(t.end(60), row["exits"])
                self.assertNotIn(b"\x1b", t.bytes)


class Nonsense(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lines = [(row, run) for row, run in cls.world.runs()
                     if all(word in ("{letter}", "{event}", "{job}", "{reject}", "{sub}", "{conf}", "{note}", "{url}", "{payload}", "{exported}")
                            for word in re.findall(r"\{[^}]*\}", " ".join(run.words)))]
        for row, run in cls.lines:
            run.words = run.argv()
        cls.world.d.stop()
        cls.path = f"{cls.world.d.dir}/webhookd.sock"

    def each(self):
        for row, run in self.lines:
            soon = [] if row["command"] == "subscription set" else ["--timeout", "2s"]
            soon += ["--wait", "100ms"] if "wait" in row["flags"] and "--dry-run" not in run.words and "--detach" not in run.words else []
            yield row, run, [WEBHOOKCTL, "-c", self.world.d.conf, *run.words, *soon]

    def test_a_daemon_that_talks_nonsense(self):
        for answer in NONSENSE:
            with Peer(self.path, lambda peer: peer.sendall(answer)):
                for row, run, argv in self.each():
                    with self.subTest(run=str(run), answer=answer):
                        if run.follows:
                            argv = ["timeout", "-s", "INT", "1", *argv]
                        done = subprocess.run(argv, env=self.world.d.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
                        self.assertIn(done.returncode, row["exits"] + [124], done.stderr)
                        self.assertNotIn(b"\x1b", done.stdout + done.stderr)
                        if done.returncode not in (0, 1, 3, 124, 130):
                            self.assertTrue(done.stderr)

    def test_a_daemon_that_ends_under_the_request(self):
        """Who only looks looks again, at the store itself; who changes something is told that nobody knows."""
        looks = re.compile(r" (list|show|count|summary|stats|types|trace|export|info|schema|check|diff|preview)\b|^(status|doctor|stats|completion|help|config)")

        def end(peer):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

        for row, run, argv in self.each():
            if run.follows:
                continue
            with self.subTest(run=str(run)), Peer(self.path, end):
                done = subprocess.run(argv, env=self.world.d.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
                self.assertIn(done.returncode, row["exits"], done.stderr)
                if done.returncode == 69 and not looks.search(" " + row["command"]) and "no webhookd listens" not in done.stderr:
                    self.assertIn("whether it was done is not known", done.stderr)


if __name__ == "__main__":
    unittest.main()
