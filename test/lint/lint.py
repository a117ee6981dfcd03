#!/usr/bin/env python3
"""The lints: layering, library headers, banned calls, headers that compile alone, sizes, white space, documents against tables.

--quick (part of `make test`) leaves out what compiles the tree again. Each check prints one line, `ok NAME` or `FAIL NAME` with the places.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = {  # folder: what it may include
    "base": {"base"},
    "policy": {"policy", "base"},
    "store": {"store", "base"},
    "engine": {"engine", "policy", "store", "base"},
    "cli": {"cli", "engine", "policy", "store", "base"},
}
CLI_MAY = {"api.h", "api_filter.h", "api_kind.h", "intake.h", "outbox.h", "changes.h"}  # of engine/
LIBRARIES = {  # header: the files that may include it
    r"curl/.*": r"base/url\.c|engine/transport_.*|cli/client\.c|cli/doctor_probe\.c|test/.*",  # the probe sees what the transport would see
    r"sqlite3\.h": r"store/backend_sqlite.*|engine/outbox.*|test/.*",
    r"openssl/.*": r"policy/sign\.c|store/seal\.c|engine/transport_tls\.c|test/.*",
    r"yaml\.h": r"policy/conf_.*",
    r"event2/.*|event\.h": r"engine/loop_libevent\.c|engine/http.*|engine/transport_.*|engine/resolver_.*|test/.*",
    r"ares\.h": r"engine/resolver_.*",
    r"jansson\.h": r"engine/api.*|engine/intake.*|engine/outbox.*|policy/profile.*|policy/conf.*|cli/.*|test/.*",
    r"libsmartcols/.*": r"cli/out_table\.c",
    r"(n?curses|term)\.h": r"cli/screen\.c",
    r"pthread\.h": r"store/.*|policy/sign\.c|engine/(outbox.*|loop_libevent\.c|(shards?|owners)\.[ch])|base/.*|test/.*",
}
BANNED = r"\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|rand|localtime|gmtime|asctime|ctime|strerror|time)\s*\("
WARN = ("-Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef "
        "-Wcast-qual -Wwrite-strings -Wswitch-enum -Werror").split()


def sources(*patterns):
    return sorted(f for p in patterns for f in glob.glob(p, recursive=True))


def ours():
    return sources(*(f"{layer}/*.[ch]" for layer in LAYERS))


def code_lines(path):
    """(number, line) with comments and strings blanked."""
    text = open(path, encoding="utf-8").read()
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0)) if m.group(0)[0] == "/" else '""'
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)
    return enumerate(text.splitlines(), 1)


def layers():
    for path in ours():
        layer = path.split("/")[0]
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if m:
                target = m.group(1).split("/")[0]
                if target not in LAYERS[layer]:
                    yield f"{path}:{number}: {layer}/ may not include {m.group(1)}"
                if layer == "cli" and target == "engine" and m.group(1).split("/")[1] not in CLI_MAY:
                    yield f"{path}:{number}: cli/ may not include {m.group(1)}"


def libraries():
    for path in ours() + sources("test/**/*.[ch]"):
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            for header, where in LIBRARIES.items():
                if m and re.fullmatch(header, m.group(1)) and not re.fullmatch(where, path):
                    yield f"{path}:{number}: <{m.group(1)}> does not belong here"


def banned():
    for path in ours():
        for number, line in code_lines(path):
            if re.search(BANNED, line):
                yield f"{path}:{number}: not called here: {line.strip()}"


def terminals():
    """What reaches a terminal goes through cli/out*.c: answers are escaped there, and colours are made there alone."""
    for path in sources("cli/*.c"):
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            if re.search(r"(printf|puts|fwrite)\(.*raw\.data", line):
                yield f"{path}:{number}: an answer is printed by out_json_raw()"
            if re.search(r"\\(x1b|033|e)\b|\\(x1b|033)\[", line) and path not in ("cli/out_style.c", "cli/screen.c"):  # the latter reads keys
                yield f"{path}:{number}: escape sequences are made by out_style.c"


def leftovers():
    for path in ours() + sources("test/**/*.[ch]", "test/**/*.py", "*.md", "Makefile"):
        if path.endswith("lint.py"):
            continue
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{number}: {line.strip()}"


def opening():
    for path in ours():
        if not re.match(r"/\* " + re.escape(path) + r"[: ]", open(path, encoding="utf-8").read(300)):
            yield f"{path}:1: does not open with a paragraph `/* {path}: what it is`"


def sizes():
    for path in ours():
        n = sum(1 for _ in open(path, encoding="utf-8"))
        if n > 600:
            yield f"{path}: {n} lines; a file is one thing of under 500"


def white_space():
    if not shutil.which("clang-format"):
        return
    files = ours() + sources("test/**/*.[ch]")
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    seen = set(re.findall(r"^([^:\s]+\.[ch]):", done.stderr, re.M))
    yield from (f"{f}: clang-format -i {f}" for f in sorted(seen))


def architecture():
    """Every file is named in ARCHITECTURE.md under its folder: `name`, `name.c`, or `_rest` behind its family's name."""
    text = open("ARCHITECTURE.md", encoding="utf-8").read()
    index = text.split("## Every file", 1)[1] if "## Every file" in text else ""
    for layer in LAYERS:
        part = re.search(rf"\| `{layer}/` \|(.*?)(?:\n\n|\Z)", index, re.S)
        stems = {f.rsplit("/", 1)[1][:-2] for f in ours() if f.startswith(layer + "/")}
        names = set(re.findall(r"`(\w+)(?:\.[ch])?`", part.group(1))) if part else set()
        names.update(stem for stem in stems for name in set(names) if name.startswith("_") and stem.endswith(name))
        yield from (f"{layer}/{stem}: is not in ARCHITECTURE.md's list of files" for stem in sorted(stems - names))
        yield from (f"ARCHITECTURE.md lists {layer}/{name}, which is not there" for name in sorted(names - stems)
                    if not name.startswith("_"))


def conf_documents(build):
    done = subprocess.run([sys.executable, "test/lint/confdoc.py"], capture_output=True, text=True,
                          env=dict(os.environ, BUILD=build))
    if done.returncode:
        yield from (done.stdout + done.stderr).splitlines()


def man_pages(build):
    """Each page is made anew from its source and the programs' tables, names all of them, and is clean under mandoc."""
    pages = {}
    for source in sources("docs/man/*.in"):
        done = subprocess.run([sys.executable, "docs/man/generate.py", source, build], capture_output=True, text=True)
        if done.returncode:
            yield f"{source}: {done.stderr.strip()[-300:]}"
            continue
        pages[os.path.basename(source)[:-3]] = done.stdout
        if shutil.which("mandoc"):
            checked = subprocess.run(["mandoc", "-Tlint", "-W", "warning"], input=done.stdout, capture_output=True, text=True)
            yield from (f"{source}: {line}" for line in checked.stdout.splitlines())
    for name, page in pages.items():
        for other, section in re.findall(r"^\.Xr (\S+) (\d)", page, re.M):
            if f"{other}.{section}" not in pages:
                yield f"{name} refers to {other}({section}), which is not there"
    reference = subprocess.run([f"{build}/webhookctl", "help", "reference"], capture_output=True, text=True).stdout
    for command in re.findall(r"^### webhookctl ([a-z -]+?)(?: [A-Z\[].*)?$", reference, re.M):
        if f'.It Cm "\\&{command}"' not in pages.get("webhookctl.1", ""):
            yield f"webhookctl(1) does not have '{command}'"


def pkg(*what):
    libs = "libevent libcurl sqlite3 libcrypto libssl yaml-0.1 jansson smartcols ncursesw libcares".split()
    return subprocess.run(["pkg-config", *what, *libs], capture_output=True, text=True).stdout.split()


def compiles(compiler, files, extra):
    for path in files:
        command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", '-DWEBHOOKD_VERSION="0"', '-DWEBHOOKD_GIT="0"', "-I.", "-fsyntax-only",
                   *WARN, *pkg("--cflags"), *extra, path]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            yield f"{compiler} {path}:\n{done.stderr[:2000]}"


def headers_alone():
    yield from compiles("gcc", [f for f in ours() if f.endswith(".h")], ["-x", "c"])


def clang_warnings():
    yield from compiles("clang", [f for f in ours() if f.endswith(".c")], [])


def gcc_warnings():
    for path in [f for f in ours() if f.endswith(".c")]:
        command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", '-DWEBHOOKD_VERSION="0"', '-DWEBHOOKD_GIT="0"', "-I.", "-O1", "-c", "-o", "/dev/null",
                   *WARN, *pkg("--cflags"), path]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            yield f"gcc -Werror {path}:\n{done.stderr[:2000]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--build", default="build")
    args = parser.parse_args()
    os.chdir(ROOT)
    checks = [("layers", layers), ("library headers", libraries), ("banned calls", banned), ("what reaches a terminal", terminals), ("left-overs", leftovers),
              ("opening paragraphs", opening), ("sizes", sizes), ("white space", white_space),
              ("ARCHITECTURE names every file", architecture)]
    if os.path.exists(f"{args.build}/webhookctl") and os.path.exists("test/lint/confdoc.py"):
        checks.append(("configuration: table, example, README", lambda: conf_documents(args.build)))
    if os.path.exists(f"{args.build}/webhookctl"):
        checks.append(("man pages", lambda: man_pages(args.build)))
    if not args.quick:
        checks += [("headers compile alone", headers_alone), ("no warning from gcc", gcc_warnings), ("no warning from clang", clang_warnings)]
    bad = 0
    for name, check in checks:
        places = list(check())
        print(("FAIL " if places else "ok   ") + name, flush=True)
        for place in places[:40]:
            print("     " + place)
        bad += bool(places)
    print(f"{len(checks) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
