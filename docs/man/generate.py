#!/usr/bin/env python3
"""A man page out of its source and the programs' own tables: generate.py SOURCE.in BUILD > PAGE.

Lines @NAME@ in a source stand for what webhookctl says about itself (`help … -o json`, `config reference -o json`) and what
webhookd --help lists. So a page is never older than the program; `make lint` holds all of them against mandoc -Tlint."""
import json
import os
import re
import subprocess
import sys

SOURCE, BUILD = sys.argv[1:3]


def ask(*args):
    done = subprocess.run([os.path.join(BUILD, "webhookctl"), *args, "-o", "json"], check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    return answer.get("items", answer)


def text(s):
    """As running text or an argument: nothing of it is taken for a macro or an escape."""
    s = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in s.replace("\\", "\\e"))
    return ("\\&" + s) if s[:1] in ".'" else s


def word(s):
    """As an argument of a macro."""
    return '"' + "\\&" + text(s).replace('"', '""') + '"'


def sentence(s):
    s = text(s[0].upper() + s[1:])
    return s if s[-1] in ".?!" else s + "."


def flag_list(flags):
    yield ".Bl -tag -width Ds"
    for f in flags:
        short = f"Fl {f['letter']} , " if f["letter"] else ""
        value = f" Ar {word(f['value'])}" if f["value"] else ""
        yield f".It {short}Fl -{f['flag']}{value}"
        yield sentence(f["help"])
        if f["words"] and "|" not in (f["value"] or ""):
            yield "One of " + ", ".join(text(w) for w in f["words"]) + "."
    yield ".El"


def global_flags():
    yield from flag_list(f for f in ask("help", "flags") if f["global"])


def own_flags():
    yield from flag_list(f for f in ask("help", "flags") if not f["global"])


def commands():
    rows = ask("help", "commands")
    noun = None
    for row in rows:
        first = row["command"].split()[0]
        if first != noun:
            if noun is not None:
                yield ".El"
            noun = first
            yield f".Ss {noun}"
            yield ".Bl -tag -width Ds"
        arguments = f" Ar {word(row['args'])}" if row["args"] else ""
        yield f".It Cm {word(row['command'])}{arguments}"
        yield sentence(row["help"])
        own = row["flags"]
        filters = set(next(r["flags"] for r in rows if r["command"] == "dlq count")) - {"limit"}
        missing = sorted(filters - set(own))
        if len(missing) < len(filters) / 2:
            yield "Takes the filters (see"
            yield ".Sx FILTERS )" + ("\nbut" if missing else " .")
            for n, name in enumerate(missing):
                yield f".Fl -{name}" + (" ." if n + 1 == len(missing) else " ,")
            own = [name for name in own if name not in filters]
        if own:
            yield "Flags:"
            for n, name in enumerate(own):
                value = row["values"][name]
                end = " ," if n + 1 < len(own) else " ."
                yield f".Fl -{name}" + (f" Ar {word(value)}" if value else "") + end
        yield "Exit status: " + ", ".join(map(str, row["exits"])) + "."
        yield ".Pp"
        yield f".Dl {text(row['example'])}"
    yield ".El"


def exits():
    yield ".Bl -tag -width 1234"
    for row in ask("help", "exit-codes"):
        yield f".It {row['code']}"
        yield sentence(row["meaning"])
    yield ".El"


def topic(name):
    yield ".Bd -literal"
    for line in ask("help", name)["text"].rstrip("\n").split("\n"):
        yield text(line)
    yield ".Ed"


def keys():
    section = None
    for row in ask("config", "reference"):
        first = re.split(r"[.\[]", row["key"])[0]
        if first != section:
            if section is not None:
                yield ".El"
            section = first
            yield f".Ss {section}"
            yield ".Bl -tag -width Ds"
        yield f".It Cm {word(row['key'])}"
        yield sentence(row["help"])
        yield f"Type: {text(row['type'])}."
        if row["default"] not in ("none", "see help"):
            yield f"Default: {text(row['default'])}."
        if row["reloadable"] == "no":
            yield ".Pq Em restart"
    yield ".El"


def options():
    done = subprocess.run([os.path.join(BUILD, "webhookd"), "--help"], check=True, capture_output=True, text=True)
    yield ".Bl -tag -width Ds"
    for letter, name, value, about in re.findall(r"^  -(\w), --(\w+)(?: ([A-Z]+))? {2,}(.*)$", done.stdout, re.M):
        yield f".It Fl {letter} , Fl -{name}" + (f" Ar {value}" if value else "")
        yield sentence(about)
    yield ".El"


PARTS = {"GLOBAL_FLAGS": global_flags, "FLAGS": own_flags, "COMMANDS": commands, "EXITS": exits, "KEYS": keys, "OPTIONS": options}

with open(SOURCE, encoding="utf-8") as f:
    for line in f.read().splitlines():
        found = re.fullmatch(r"@(\w+)(?: (\S+))?@", line)
        if found is None:
            print(line)
        elif found.group(1) == "TOPIC":
            print("\n".join(topic(found.group(2))))
        else:
            print("\n".join(PARTS[found.group(1)]()))
