"""Every command's JSON is what docs/schema says, with the daemon up and stopped. docs/schema/commands.json names the shape of each
command of the table; a command without an entry fails here."""
import glob
import json
import os
import re
import sys
import unittest

try:
    import jsonschema
except ImportError:  # another Python than Debian's, whose package make deps installs
    sys.path.append("/usr/lib/python3/dist-packages")
    import jsonschema

from every import World

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/schema")


def load(name):
    with open(f"{FOLDER}/{name}.json", encoding="utf-8") as f:
        return json.load(f)


def bundle():
    """All shapes as one schema: "X.json#/$defs/y" becomes a place in it, which any version of the library finds."""
    whole = {}
    for path in glob.glob(f"{FOLDER}/*.json"):
        name = os.path.basename(path)[:-5]
        if name == "commands":
            continue

        def place(ref, name=name):
            file, _, inner = ref.partition("#")
            return f"#/$defs/{file[:-5] if file else name}{inner}"

        def move(x):
            if isinstance(x, dict):
                return {k: place(v) if k == "$ref" else move(v) for k, v in x.items() if k not in ("$id", "$schema")}
            return [move(y) for y in x] if isinstance(x, list) else x
        whole[name] = move(load(name))
    return whole


BUNDLE = bundle()
COMMANDS = {k: v for k, v in load("commands").items() if not k.startswith("$")}


def faults(shape, value):
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{shape}", "$defs": BUNDLE})
    return [f"{'.'.join(map(str, e.absolute_path)) or 'it'}: {e.message[:300]}" for e in validator.iter_errors(value)]


def parse(lines):
    return [json.loads(line) for line in lines.splitlines()]


def check(shape, jsonl, text):
    """Why the output is not of the shape; [] where it is."""
    if shape == "text":
        return [] if text else ["says nothing"]
    first, _, second = shape.partition(" ; ")
    if jsonl and second:
        return [f for item in parse(text) for f in faults(second, item)]
    if first[-1] in "*~" or (jsonl and first.endswith("[]")):
        return [f for item in parse(text) for f in faults(first.rstrip("*~[]"), item)]
    values = parse(text) if jsonl else [json.loads(text)]
    if len(values) != 1:
        return [f"{len(values)} documents instead of one"]
    if not first.endswith("[]"):
        return faults(first, values[0])
    return faults("list", values[0]) + [f for item in values[0].get("items", []) for f in faults(first[:-2], item)]


def problem(command, jsonl, text):
    try:
        alternatives = [check(s, jsonl, text) for s in COMMANDS[command].split(" | ")] if " ; " not in COMMANDS[command] else [
            check(COMMANDS[command], jsonl, text)]
    except (ValueError, AttributeError) as e:
        if "text" in COMMANDS[command].split(" | "):
            return None
        return f"no JSON: {e}: {text[:300]!r}"
    best = min(alternatives, key=len)
    return best and f"{best[:6]} in {text[:1500]}"


class Schemas(unittest.TestCase):
    def test_the_schemas_themselves(self):
        for path in glob.glob(f"{FOLDER}/*.json"):
            name = os.path.basename(path)[:-5]
            if name == "commands":
                continue
            schema, text = load(name), json.dumps(load(name))
            jsonschema.Draft202012Validator.check_schema(schema)
            self.assertEqual(schema["$id"], f"{name}.json")
            for ref in re.findall(r'"\$ref": "([^"]+)"', text):
                file, _, inner = ref.partition("#")
                target = load(file[:-5]) if file else schema
                for part in inner.split("/")[1:]:
                    target = target[part]
        used = set(re.findall(r"\w+", " ".join(COMMANDS.values()))) - {"text"}
        for shape in used:
            self.assertIn(shape, BUNDLE)

    def test_a_wrong_answer_is_noticed(self):
        line = {"id": "par_0000000000001", "name": "default", "created_at": "2026-11-22T05:07:41.120Z"}
        self.assertEqual(faults("partner", line), [])
        self.assertEqual(faults("partner", {**line, "more": 1}), [])  # additive
        for wrong in ({**line, "created_at": "2026-11-22 05:07:41"}, {**line, "name": None}, {k: v for k, v in line.items() if k != "name"}):
            self.assertTrue(faults("partner", wrong), wrong)

    def look(self, world):
        for row, run in world.runs():
            command = row["command"]
            with self.subTest(run=str(run), daemon=world.d.process.poll() is None):
                self.assertTrue(command in COMMANDS, "docs/schema/commands.json does not say what this command prints")
                for form in ("json", "jsonl"):
                    status, out, err = run.run("-o", form)
                    if form == "json" and COMMANDS[command].endswith("~"):
                        self.assertIn(status, (64, 69))
                        continue
                    self.assertIn(status, row["exits"], f"{err.decode()}\n(if it cannot be run like that: test/system/every.py)")
                    errors = [json.loads(line) for line in err.decode().splitlines() if line.startswith("{")]
                    if status in (0, 1, 3, 75, 130) and (out or not errors):  # 75: queued, and what
                        self.assertFalse(problem(command, form == "jsonl", out.decode()))
                    else:
                        self.assertEqual(out, b"")
                        self.assertTrue(errors, err.decode())
                    for error in errors:
                        self.assertEqual(faults("error", error), [])
                    self.assertNotEqual(status, 64, err.decode() + "\n(test/system/every.py says how commands are run)")

    def test_every_command_and_both_ways(self):
        with World() as world:
            self.look(world)
            self.assertEqual(world.d.stop(), 0)
            self.look(world)

    def test_errors(self):
        with World() as world:
            d = world.d
            for args in (["dlq", "list", "-s", "nobody"], ["job", "show", "job_0000000000000"], ["dlq", "list", "--limit", "x"], ["dql"],
                         ["dlq", "list", "--frob"], ["-c", "/nowhere/webhookd.conf", "dlq", "list"], ["dlq", "purge", "--all"],
                         ["egress", "check", "%"], ["event", "emit", "--type", "a b"]):
                done = d.ctl("-o", "json", *args, check=None, raw=True)
                self.assertNotIn(done.returncode, (0,), args)
                if args != ["egress", "check", "%"]:
                    self.assertEqual(done.stdout, "", args)
                    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
                    self.assertEqual(len(lines), 1, (args, done.stderr))
                    self.assertEqual(faults("error", json.loads(lines[0])), [], args)


if __name__ == "__main__":
    unittest.main()
