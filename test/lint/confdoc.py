#!/usr/bin/env python3
"""The table of configuration keys, webhookd.conf.example and README.md must say the same.

The table is asked through a tiny program linked with the library ($BUILD, default build), so that
this lint depends on no command of webhookctl. Checked:
  1. every key stands in the example with a comment above it, and none that is not in the table;
  2. the example's values are the defaults, and the example itself is accepted;
  3. README.md between <!-- conf-reference --> and <!-- /conf-reference --> is the generated table.

  confdoc.py            check; exit 0 or 1 with one line per finding
  confdoc.py --table    print the Markdown table
  confdoc.py --write    put it between README.md's markers
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
BEGIN, END = "<!-- conf-reference -->", "<!-- /conf-reference -->"

PROBE = r"""
#include <stdio.h>
#include "policy/conf.h"
int main(int argc, char **argv)
{
    struct buf out, problems;
    struct conf *c = NULL;
    buf_init(&out, 1 << 20);
    buf_init(&problems, 1 << 20);
    if (argc == 1) {
        conf_reference(&out);
    } else if (conf_load(&c, argv[1], &problems) != OK) {
        fputs(problems.data == NULL ? "error" : problems.data, stderr);
        return 1;
    }
    if (c != NULL)
        conf_show(c, false, &out);
    fputs(out.data == NULL ? "" : out.data, stdout);
    conf_free(c);
    buf_fini(&out);
    buf_fini(&problems);
    return 0;
}
"""


def probe_build(folder):
    source, program = os.path.join(folder, "probe.c"), os.path.join(folder, "probe")
    with open(source, "w") as f:
        f.write(PROBE)
    libs = subprocess.run(["pkg-config", "--libs", "yaml-0.1", "jansson", "libcrypto", "libcurl"],
                          check=True, capture_output=True, text=True).stdout.split()
    compiler = os.environ.get("CC", "cc").split()
    extra = os.environ.get("SAN", "")
    subprocess.run(compiler + ["-std=gnu17", "-D_GNU_SOURCE", "-I" + ROOT, "-o", program, source]
                   + (["-fsanitize=" + extra] if extra else [])
                   + [os.path.join(BUILD, "libwebhookd.a")] + libs + ["-lm", "-pthread"], check=True)
    return program


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("confdoc: " + done.stderr.strip())
    return done.stdout


def example_keys(text):
    """(key, value, has a comment above) of each line of the example, by indentation alone."""
    found, path, above = [], [], ""
    for line in text.splitlines():
        m = re.match(r"^( *)(- )?([a-z_]+):(?: +(.*))?$", line)
        if m:
            depth = (len(m.group(1)) + len(m.group(2) or "")) // 2
            path = path[:depth] + [m.group(3)]
            if m.group(2) or (path[0] == "outbox" and depth == 2):
                path = ["outbox", "[]", m.group(3)]
            name = ".".join(path).replace(".[]", "[]")
            name = re.sub(r"^retry\.(default|bondbricks)", "retry.<policy>", name)
            found.append((name, (m.group(4) or "").strip(), above.strip().startswith("#")))
        above = line
    return found


def example_check(rows, text):
    found = {name: (value, commented) for name, value, commented in example_keys(text)}
    sections = {r[0].split(".")[0].replace("[]", "") for r in rows} | {"retry.<policy>"}
    for name, kind, default, _reload, _help in rows:
        if name not in found:
            yield f"webhookd.conf.example: {name} is missing"
            continue
        value, commented = found[name]
        expected = {"none": ["~", "[]"], "see help": None}.get(default, [default, f'"{default}"'])
        if expected is not None and value not in expected:
            yield f"webhookd.conf.example: {name} is {value}, its default is {default}"
        if not commented:
            yield f"webhookd.conf.example: {name} has no comment above it"
    for name in found:
        if name not in {r[0] for r in rows} and name not in sections:
            yield f"webhookd.conf.example: {name} is not in the table"


def markdown(rows):
    def cell(text):
        return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    lines = ["| Key | Type | Default | SIGHUP | What it does |", "|---|---|---|---|---|"]
    for name, kind, default, reload, text in rows:
        shown = f"`{default}`" if default not in ("none", "see help") else default
        lines.append(f"| `{name}` | {cell(kind)} | {shown} | {reload} | {cell(text)} |")
    return "\n".join(lines)


def readme_parts():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    if BEGIN not in text or END not in text:
        return None
    before, rest = text.split(BEGIN, 1)
    inside, after = rest.split(END, 1)
    return before, inside, after


def check(program, rows):
    path = os.path.join(ROOT, "webhookd.conf.example")
    with open(path, encoding="utf-8") as f:
        yield from example_check(rows, f.read())
    run(program, path)
    parts = readme_parts() if os.path.exists(os.path.join(ROOT, "README.md")) else None
    if parts is None:
        yield f"README.md: no {BEGIN} … {END}"
    elif parts[1].strip() != markdown(rows):
        yield "README.md: the reference is not the table: test/lint/confdoc.py --write"


def main():
    with tempfile.TemporaryDirectory() as folder:
        program = probe_build(folder)
        rows = [line.split("\t") for line in run(program).splitlines()]
        if "--table" in sys.argv:
            print(markdown(rows))
        elif "--write" in sys.argv:
            before, _inside, after = readme_parts() or sys.exit("confdoc: README.md has no markers")
            with open(os.path.join(ROOT, "README.md"), "w", encoding="utf-8") as f:
                f.write(f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}")
        else:
            findings = list(check(program, rows))
            for finding in findings:
                print(finding)
            sys.exit(1 if findings else 0)


main()
