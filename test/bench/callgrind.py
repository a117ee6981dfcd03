"""Programs under callgrind: instructions and calls, by thread, library and source file. They do not depend on the machine's neighbours.

Nothing tells the program that it is counted, and nobody has to trace it, which webhookd allows to root alone: callgrind itself listens."""
import collections
import glob
import os
import re
import subprocess
import time

LIBRARIES = (("libcurl", "libcurl"), ("libc.so", "libc"), ("libcrypto", "OpenSSL"), ("libssl", "OpenSSL"), ("libsqlite3", "SQLite"), ("libevent", "libevent"), ("libmimalloc", "mimalloc"))
KINDS = {"ob": "ob", "cob": "ob", "fn": "fn", "cfn": "fn", "fl": "fl", "fi": "fl", "fe": "fl", "cfl": "fl", "cfi": "fl"}


def part_of(program, object_file, source):
    """Whose code it is: a library's name, or folder/file of the program's own."""
    name = os.path.basename(object_file)
    if name != program:
        return next((part for start, part in LIBRARIES if name.startswith(start)), "others")
    return "/".join(source.split("/")[-2:])


class Counts:
    """Of one thread. own: part -> instructions; calls: function -> how often; by: (part of the caller, function) -> how often."""

    def __init__(self):
        self.own, self.calls, self.by = collections.Counter(), collections.Counter(), collections.Counter()


def counts_read(path, program):
    """A file of callgrind's (valgrind's manual, "Callgrind Format Specification"): names are said once and then by number; the line after
    calls= is what that call cost, which belongs to the callee."""
    counts, names, at, calls = Counts(), {}, {"ob": "", "fl": "", "fn": ""}, 0
    with open(path) as f:
        for line in f:
            if line[0] in "0123456789+-*":
                part, cost = part_of(program, at["ob"], at["fl"]), line.split()
                if calls:
                    counts.calls[at["cfn"]] += calls
                    counts.by[part, at["cfn"]] += calls
                    calls = 0
                elif len(cost) > 1:
                    counts.own[part] += int(cost[1])
                continue
            key, _, text = line.rstrip("\n").partition("=")
            if key == "calls":
                calls = int(text.split()[0])
            elif key in KINDS:
                number, name = re.fullmatch(r"(?:\((\d+)\))? ?(.*)", text).groups()
                at[key] = name or names[KINDS[key], number]
                names[KINDS[key], number] = at[key]
    return counts


def folder_read(folder, program):
    """By the thread's number, 1 is the main one. Of several dumps the first that holds something."""
    threads = {}
    for path in sorted(glob.glob(f"{folder}/out*")):
        with open(path) as f:
            number = re.search(r"^thread: (\d+)", f.read(4096), re.M)
        if number:
            threads.setdefault(int(number.group(1)), counts_read(path, program))
    return threads


def command(folder, *more):
    return ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--separate-threads=yes", *more]


def tell(pid, what, poke):
    """Sends a command ("instrumentation on", "dump") and returns the answer. callgrind looks for one whenever some thousand blocks were run:
    poke makes it run."""
    with subprocess.Popen(["vgdb", f"--pid={pid}", "--max-invoke-ms=0", *what.split()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as vgdb:
        end = time.monotonic() + 60
        while vgdb.poll() is None:
            if time.monotonic() > end:
                vgdb.kill()
                raise SystemExit(f"bench: callgrind did not hear '{what}'")
            poke()
            time.sleep(0.02)
        if vgdb.returncode:
            raise SystemExit(f"bench: vgdb {what}: status {vgdb.returncode}")
        return vgdb.stdout.read()
