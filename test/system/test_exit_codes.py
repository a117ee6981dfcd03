"""Exit statuses: each is brought about once in a typical way, and what every command of the table does in trouble (no configuration, a
full disk, a daemon that hangs, an id that is nobody's) is a status that its row names."""
import json
import os
import re
import signal
import socket
import subprocess
import unittest

from every import World
from harness import Daemon, Receiver, WEBHOOKCTL, run_as_nobody, wait_for


class Each(unittest.TestCase):
    def test_each_status_once(self):
        met = set()
        answers = {"busy": 503, "ok": 200}
        with Daemon("retry: {default: {max_retries: 0}}\n") as d, Receiver(lambda r, n: answers[r.json["data"]["as"]]) as r:
            rows = {row["command"]: row["exits"] for row in d.json("help", "commands")["items"]}

            def run(wanted, line, stdin=None, env=None, **more):
                done = subprocess.run([WEBHOOKCTL, "-c", d.conf, *line.split()], env={**d.env, **(env or {})}, text=True, stderr=subprocess.PIPE,
                                      **{"stdout": subprocess.PIPE, **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}), **more})
                self.assertEqual(done.returncode, wanted, (line, done.stderr))
                words = [w for w in line.split() if not w.startswith("-")]
                known = [rows[c] for n in (3, 2, 1) for c in [" ".join(words[:n]).replace("sub ", "subscription ")] if c in rows]
                if known and wanted not in (64, -signal.SIGPIPE):
                    self.assertIn(wanted, known[0], line)
                met.add(wanted)
                return done

            d.subscribe(r.url, "--name", "acme")
            for n in range(4):
                d.emit("a.b", {"as": "busy"}, event_id=f"E-{n}")
            wait_for(lambda: d.ctl("dlq", "count") == "4\n")
            run(0, "dlq list")
            run(0, "dlq list -s acme --type none")
            run(0, "dlq replay --all --dry-run")
            run(1, "egress check https://10.0.0.1/")
            run(1, "dlq replay E-0 --yes")
            answers["busy"] = 200
            run(0, "dlq replay E-0 --yes")
            r.answer = lambda q, n: 200 if q.id == "E-1" else 500
            run(3, "dlq replay E-1 E-2 --yes")
            run(4, "sub show nobody")
            run(4, "dlq show dlv_0000000000000")
            run(64, "dlq lst")
            run(64, "dlq replay --all")
            run(65, "event emit --type a.b --data {")
            run(65, "dlq import", stdin="no letter\n")
            run(66, "dlq import -f /nowhere/letters")
            run(66, "dlq list --ids-from /nowhere/ids")
            run(73, f"dlq export -f {d.dir}/nowhere/letters")
            with open("/dev/full", "w") as full:
                run(74, "dlq list", stdout=full)
            run(78, "-c /nowhere/webhookd.conf dlq list")
            run(75, "dlq replay E-2 --yes --rate 0.001/s --wait 1ms")
            reader, writer = os.pipe()
            os.close(reader)
            run(-signal.SIGPIPE, "dlq list", stdout=writer)  # 141 to a shell
            os.close(writer)
            with d.screen("dlq", "replay", "--all") as t:
                t.wait("[y/N]")
                t.type("\x03")
                self.assertEqual(t.end(), 130)
            self.assertEqual(d.stop(), 0)
            run(69, "status")
            with socket.socket(socket.AF_UNIX) as garbage:  # a daemon that talks nonsense
                garbage.bind(f"{d.dir}/webhookd.sock")
                garbage.listen()
                process = subprocess.Popen([WEBHOOKCTL, "-c", d.conf, "sub", "show", "acme"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                peer = garbage.accept()[0]
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnonsense")
                peer.close()
                self.assertEqual(process.wait(), 70)
                process.communicate()
                met.add(70)
            os.unlink(f"{d.dir}/webhookd.sock")
            if os.geteuid() == 0:
                os.chmod(d.dir, 0o755)
                os.chmod(d.conf, 0o600)
                done = run_as_nobody(WEBHOOKCTL, "-c", d.conf, "dlq", "list")
                self.assertEqual(done.returncode, 77)
                met.add(77)
        told = json.loads(subprocess.run([WEBHOOKCTL, "help", "exit-codes", "-o", "json"], capture_output=True, text=True).stdout)["items"]
        self.assertEqual({row["code"] for row in told} - {130, 141, 77}, met - {-signal.SIGPIPE, 77})  # 77: where somebody else can be had


class Trouble(unittest.TestCase):
    def test_every_command_in_trouble(self):
        with World() as world:
            d = world.d
            runs = list(world.runs())
            self.assertEqual(d.stop(), 0)
            listener = socket.socket(socket.AF_UNIX)  # connects, and never answers
            listener.bind(f"{d.dir}/webhookd.sock")
            listener.listen(256)
            lines = {}
            for row, run in runs:
                if not any("{" in w and w not in ("{letter}", "{event}", "{job}", "{reject}", "{sub}", "{conf}") for w in run.words):
                    words = [re.sub(r"\{\w+\}", "dlv_0000000000000", w.replace("{conf}", d.conf)) for w in run.words]
                    lines.setdefault(row["command"], (row["exits"], words, run.follows))
            soon = lambda command: [] if command == "subscription set" else ["--timeout", "50ms"]  # that one's is another --timeout
            for command, (exits, words, follows) in lines.items():
                tries = [["-c", "/nowhere/webhookd.conf", *words], ["-c", d.conf, *words, "--frobnicate"], ["-c", d.conf, *words, *soon(command)]]
                for args in tries:
                    with self.subTest(command=" ".join(args[2:]), conf=args[1]):
                        got = subprocess.run([WEBHOOKCTL, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=d.env, timeout=60)
                        self.assertIn(got.returncode, exits + [64], got.stderr)
                        self.assertNotEqual((got.returncode, got.stderr), (64, ""))
            listener.close()
            os.unlink(f"{d.dir}/webhookd.sock")
            for command, (exits, words, follows) in lines.items():  # no daemon, and an id that is nobody's
                if not follows:
                    with self.subTest(command=" ".join(words)):
                        got = subprocess.run([WEBHOOKCTL, "-c", d.conf, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=d.env,
                                             timeout=60)
                        self.assertIn(got.returncode, exits, got.stderr)
                        self.assertFalse(got.returncode and not got.stderr and command != "egress check", got)
            self.assertGreater(len(lines), 30)


if __name__ == "__main__":
    unittest.main()
