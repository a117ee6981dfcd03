"""--dry-run: every command that changes something has it, says what it would do, and leaves the store as it was, with webhookd up and
stopped. The rows come from the program itself: a new command is either one that only looks (LOOKS) or is tried here."""
import json
import os
import shlex
import sqlite3
import unittest

from every import COMMANDS, World, Run
from harness import Receiver, wait_for
from test_schema import problem

LOOKS = """dlq summary; dlq list; dlq count; dlq show; dlq export; job list; job show; job watch; subscription list; subscription show;
subscription stats; event list; event trace; event types; event show; delivery list; delivery show; attempt list; attempt show; attempt tail;
partner list; outbox check; outbox rejects list; outbox rejects show; stats; monitor; top; config check; config show; config reference; config diff;
db info; db schema; db check; egress check; egress show; status; retention show; doctor; audit list; completion; help; version"""
PREVIEWS = ("dlq replay", "delivery resend")  # their dry run has a shape of its own
NOT_HERE = {"subscription test": "refused while egress is paused: below", "config reload": "asks a running daemon: below",
            "log level": "the same"}

OWN = ('INSERT INTO "taken"', 'INSERT INTO "traffic"')  # rows of an outbox that is trimmed; counts of attempts


def kept(world):
    """All that the store holds but what webhookd writes there by itself meanwhile, and the names of the files beside it."""
    with sqlite3.connect(f"file:{world.d.dir}/store/webhookd.db?mode=ro", uri=True) as db:
        rows = {line for line in db.iterdump() if not line.startswith(OWN)}
    return rows | set(os.listdir(world.d.dir))


class DryRun(unittest.TestCase):
    def tries(self, world):
        looks = {" ".join(x.split()) for x in LOOKS.split(";")}
        for row in world.rows():
            if row["command"] in looks:
                continue
            self.assertIn("dry-run", row["flags"], f"{row['command']} changes something without a --dry-run")
            if row["command"] in NOT_HERE:
                continue
            for line in COMMANDS.get(row["command"]) or world.guess(row):
                words = [w for w in shlex.split(line) if w != "--yes" and w != "--dry-run"]
                yield row["command"], Run(world, row["command"].split() + words, False)

    def look(self, world):
        for command, run in self.tries(world):
            with self.subTest(run=str(run), daemon=world.d.process.poll() is None):
                words = run.argv()
                before = kept(world)
                done = world.d.ctl(*words, "--dry-run", raw=True, check=None)
                self.assertIn(done.returncode, (0, 1), done.stderr)  # 1: a reject that is refused again
                if "match" not in done.stderr:  # there is something to do
                    self.assertIn("othing was changed", done.stderr)
                self.assertEqual(kept(world) ^ before, set())
                done = world.d.ctl("-o", "json", *words, "--dry-run", raw=True, check=None)
                self.assertEqual(kept(world) ^ before, set())
                if done.stdout:
                    self.assertFalse(problem(command, False, done.stdout))
                    self.assertNotIn("whsec_", done.stdout)
                    if command not in PREVIEWS:
                        self.assertIs(json.loads(done.stdout)["dry_run"], True)

    def test_nothing_is_changed(self):
        with World() as world:
            world.d.ctl("egress", "pause", "--yes")  # what is tried stays as it is meanwhile
            self.look(world)
            world.d.stop()
            self.look(world)

    def test_what_only_a_running_daemon_does(self):
        with World() as world, Receiver() as r:
            world.d.subscribe(r.url, "--name", "well", events="well.*")
            before = kept(world)
            self.assertIn("well is sent one signed webhookd.test event", world.d.ctl("sub", "test", "well", "-n", raw=True).stderr)
            self.assertIn("debug", world.d.ctl("log", "level", "error", "-n", raw=True).stdout + world.d.ctl("log", "level"))
            self.assertEqual(world.d.json("log", "level")["level"], "debug")
            world.d.ctl("config", "reload", "-n")
            self.assertEqual(kept(world) ^ before, set())
            self.assertEqual(r.requests, [])

    def test_what_it_says(self):
        with World() as world:
            d = world.d
            says = lambda *words, **kw: d.ctl(*words, "--dry-run", raw=True, **kw).stderr
            d.insert(*[dict(type="never.at.all", payload="{}") for _ in range(3)])
            wait_for(lambda: d.json("sub", "show", "quiet")["backlog"] == 3)
            self.assertIn("quiet is deleted; what it had open (3) becomes dead", says("sub", "delete", "quiet"))
            self.assertIn("acme is disabled", says("sub", "disable", "acme"))
            self.assertIn("quiet is paused already", d.ctl("sub", "pause", "quiet", raw=True).stderr)
            said = d.ctl("sub", "add", "--url", world.endpoint.url, "--events", "x", "--name", "new", "-n", raw=True)
            self.assertIn("would create sub_", said.stdout)
            self.assertNotIn("secret", said.stdout)
            d.ctl("sub", "show", "new", check=4)
            self.assertEqual(d.json("sub", "rotate-secret", "acme", "-n")["secret"], None)
            self.assertEqual(len(d.json("sub", "show", "acme")["secrets"]), 1)
            # what would be refused is refused here too
            d.ctl("sub", "pause", "nobody", "-n", check=4)
            d.ctl("sub", "add", "--url", world.endpoint.url, "--events", "x", "--name", "acme", "-n", check=1)
            d.ctl("partner", "add", "globex", "-n", check=1)


if __name__ == "__main__":
    unittest.main()
