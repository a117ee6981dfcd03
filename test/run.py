#!/usr/bin/env python3
"""Runs every test and closes with the line `N passed, N failed`.

Suites: unit and conformance programs (cmocka), the simulation, the lints, the system tests (test/system/test_*.py, unittest).
Two suites run at a time. Output of a suite is shown only where something failed.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# These once more with three delivery loops: crashes, order, fan-out, drain, replay, what must be certain at once.
THREADED = ["test_crash", "test_delivery", "test_egress_pause", "test_replay", "test_discard", "test_purge", "test_trial"]


def suites(build, sanitizer):
    for program in sorted(glob.glob(f"{build}/test/unit/test_*") + glob.glob(f"{build}/test/conformance/test_*")):
        if not program.endswith((".o", ".d")):
            yield os.path.relpath(program, f"{build}/test"), [os.path.join(ROOT, program)], "tap"
    sim = f"{build}/test/sim/sim"
    if os.path.exists(sim):
        yield "sim", [os.path.join(ROOT, sim)], "tap"
    if not sanitizer:
        yield "lint", [sys.executable, "test/lint/lint.py", "--quick", "--build", build], "lines"
    for path in sorted(glob.glob("test/system/test_*.py")):
        yield "system/" + os.path.basename(path)[:-3], [sys.executable, path, "-v"], "unittest"
    for name in THREADED:
        yield "threads/" + name, [sys.executable, f"test/system/{name}.py", "-v"], "unittest"


def count(kind, text, status):
    """(passed, failed, skipped) of one suite; a crash counts as a failure."""
    passed = failed = skipped = 0
    if kind == "tap":
        passed = len(re.findall(r"^ok ", text, re.M))
        failed = len(re.findall(r"^not ok ", text, re.M))
        skipped = len(re.findall(r"^ok .*# SKIP", text, re.M))
        passed -= skipped
    elif kind == "lines":
        passed = len(re.findall(r"^ok ", text, re.M))
        failed = len(re.findall(r"^FAIL ", text, re.M))
    else:
        ran = re.search(r"^Ran (\d+) tests?", text, re.M)
        bad = re.search(r"^FAILED \((.*)\)", text, re.M)
        skip = re.search(r"skipped=(\d+)", text)
        numbers = dict(re.findall(r"(failures|errors)=(\d+)", bad.group(1))) if bad else {}
        failed = sum(int(v) for v in numbers.values())
        skipped = int(skip.group(1)) if skip else 0
        passed = max(0, (int(ran.group(1)) if ran else 0) - failed - skipped)
    if status != 0 and failed == 0:
        failed = 1
    if status == 0 and passed + failed + skipped == 0:
        failed = 1
    return passed, failed, skipped


def run(suite, build):
    name, command, kind = suite
    environment = dict(os.environ, BUILD=os.path.abspath(build), CMOCKA_MESSAGE_OUTPUT="TAP",
                       PYTHONPATH=os.path.join(ROOT, "test/system"), PYTHONDONTWRITEBYTECODE="1",
                       ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99",
                       UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                       TSAN_OPTIONS="halt_on_error=1:exitcode=98:second_deadlock_stack=1")
    if name.startswith("threads/"):
        environment["WEBHOOKD_TEST_THREADS"] = "3"
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, timeout=900,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        text, status = (late.stdout or b"").decode(errors="replace") + "\nTIMEOUT", 1
    return name, count(kind, text, status), text, time.monotonic() - start


def soak_suites():
    """One at a time: they look at memory and latency."""
    for path in sorted(glob.glob("test/soak/test_*.py")):
        yield "soak/" + os.path.basename(path)[:-3], [sys.executable, path, "-v"], "unittest"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", help="a regular expression over the suites' names")
    parser.add_argument("--sanitizer", action="store_true")
    parser.add_argument("--soak", action="store_true", help="test/soak instead: minutes of faults")
    args = parser.parse_args()
    os.chdir(ROOT)
    known = soak_suites() if args.soak else suites(args.build, args.sanitizer)
    chosen = [s for s in known if not args.only or re.search(args.only, s[0])]
    totals = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(1 if args.soak else 2) as pool:
        for job in concurrent.futures.as_completed([pool.submit(run, s, args.build) for s in chosen]):
            name, counts, text, seconds = job.result()
            totals = [a + b for a, b in zip(totals, counts)]
            mark = "FAIL" if counts[1] else "ok"
            print(f"{mark:4} {name:34} {counts[0]:4} passed {counts[1]:3} failed"
                  + (f" {counts[2]} skipped" if counts[2] else "") + f"  {seconds:6.1f} s", flush=True)
            if counts[1]:
                print("\n".join("    " + line for line in text.splitlines()[-120:]), flush=True)
    print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
