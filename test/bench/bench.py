#!/usr/bin/env python3
"""`make bench`: measures, prints one table, writes build/bench.json and the plots under build/bench/.

    bench.py [--build DIR] [--full] [--only REGEX[/PART]] [--show] [--publish]

--only measures the sections whose names match, of them the parts whose names match, and keeps of bench.json what the others left
there; --show measures nothing; --publish puts charts and table under docs/bench, and the lines with bars into README.md.
A section is a module of this folder that is named in SECTIONS, with

    measure(run) -> dict      plain data for bench.json. run.build, run.full, run.pick(short, full), run.progress(text);
                              run.wants(part) where it has parts: keys of the dict. Figures stand beside their yardstick,
                              taken turn about in the same run: keep the single values.
    show(result, table)       the dict as lines: table.head(), table.add(), table.note() (report.py); no longer than a screen
    plots(result) -> {name: chart}    may be left out: plot.py draws each as build/bench/NAME-{light,dark}.svg

The numbers in the headings are those of GOALS; a line with a bar says whether it was met. The short form is to take three minutes in
all, so a section has half a minute at most; throughput, the first, has ninety seconds. Absolute figures belong to the machine and its
neighbours: compare the ratios of one run.
"""
import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import plot
import report

SECTIONS = ("throughput", "stream", "cores", "latency", "backlog", "growth", "ingest", "idle", "beside", "count")


class Run:
    """What a section is given."""

    def __init__(self, build, full, part):
        self.build, self.full, self.part, self.section, self.begun = build, full, part, "", time.monotonic()

    def wants(self, part):
        return re.search(self.part, part) is not None

    def pick(self, short, full):
        return full if self.full else short

    def progress(self, text):
        line = f"{time.monotonic() - self.begun:4.0f} s  {self.section}: {text}" if text else ""
        if sys.stderr.isatty():
            print("\r\x1b[K" + line, end="", file=sys.stderr, flush=True)
        elif line:
            print(line, file=sys.stderr, flush=True)


def read(path):
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    return {"cpu": model.group(1) if model else os.uname().machine, "cores": len(os.sched_getaffinity(0)), "kernel": os.uname().release}


def commit():
    done = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def measure(run, names, path):
    """Written after each section: whoever interrupts a long run keeps what was measured."""
    for name in names:
        run.section, start = name, time.monotonic()
        result = importlib.import_module(name).measure(run)
        whole = read(path)
        whole.update(machine=machine())
        if run.part and name in whole:
            result = {**whole[name]["result"], **result}
        whole[name] = {"at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "commit": commit(), "full": run.full,
                       "took_s": round(time.monotonic() - start, 1), "result": result}
        with open(path + ".new", "w") as f:
            json.dump(whole, f, indent=1)
        os.replace(path + ".new", path)
    run.progress("")


def show(names, whole):
    table = report.Table()
    for name in (n for n in names if n in whole):
        try:
            importlib.import_module(name).show(whole[name]["result"], table)
        except KeyError as missing:
            table.note(f"{name}: bench.json has no {missing}: it is of another version, measure again")
    return table


def draw(whole, folder):
    os.makedirs(folder, exist_ok=True)
    for name in (n for n in SECTIONS if n in whole):
        module = importlib.import_module(name)
        for chart, data in (module.plots(whole[name]["result"]) if hasattr(module, "plots") else {}).items():
            plot.write(data, os.path.join(folder, chart))


def publish(table, whole):
    root = os.path.join(HERE, "../..")
    draw(whole, f"{root}/docs/bench")
    forms = sorted({f"{'full' if whole[n]['full'] else 'short'} form, commit {whole[n]['commit']}" for n in SECTIONS if n in whole})
    with open(f"{root}/docs/bench/table.txt", "w") as f:
        f.write(f"make bench: {'; '.join(forms)}\n{table.text(whole['machine'])}")
    with open(f"{root}/README.md", encoding="utf-8") as f:
        text = f.read()
    block = f"<!-- bench-output -->\n```\n{table.bars_text(whole['machine'])}```\n<!-- /bench-output -->"
    with open(f"{root}/README.md", "w", encoding="utf-8") as f:
        f.write(re.sub(r"<!-- bench-output -->.*<!-- /bench-output -->", lambda _: block, text, flags=re.S))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--full", action="store_true", help="more deliveries, larger backlogs, longer streams")
    parser.add_argument("--only", default="", metavar="REGEX[/PART]", help="of " + ", ".join(SECTIONS))
    parser.add_argument("--show", action="store_true", help="what build/bench.json holds; nothing is measured")
    parser.add_argument("--publish", action="store_true", help="that, into docs/bench and README.md")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    os.environ["BUILD"] = build
    only, _, part = args.only.partition("/")
    path, names = f"{build}/bench.json", [s for s in SECTIONS if re.search(only, s)]
    if not names:
        parser.error(f"no section matches {only}: there are {', '.join(SECTIONS)}")
    if not args.show and not args.publish:
        measure(Run(build, args.full, part), names, path)
    if not os.path.exists(path):
        parser.error(f"there is no {path} yet")
    whole = read(path)
    table = show(names, whole)
    print(table.text(whole["machine"]), end="")
    draw(whole, f"{build}/bench")
    print(f"\nwritten: {os.path.relpath(path)}, {os.path.relpath(build)}/bench/*.svg")
    if args.publish:
        publish(table, whole)


if __name__ == "__main__":
    main()
