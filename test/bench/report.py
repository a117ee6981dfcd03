"""The table that `make bench` ends with: one line a figure, in groups, with the spread, and whether a bar was met."""
import statistics

GOALS = {2: "Throughput", 3: "More cores", 4: "Latency", 5: "Backlog", 6: "Growth", 7: "Idle", 8: "Where the time goes", 9: "Under load"}
WHAT = 64  # columns


def at_least(limit):
    return limit, lambda value: value >= limit, f">= {limit:g}"


def at_most(limit):
    return limit, lambda value: value <= limit, f"<= {limit:g}"


def number(value, digits=None):
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


class Table:
    def __init__(self):
        self.lines, self.bars, self.met, self.missed = [], [], 0, []

    def head(self, goal, what, how):
        """A group. goal: a key of GOALS; what: a few words; how: what is compared with what."""
        self.group = f"{goal}. {GOALS[goal]}, {what}"
        self.lines += ["", f"{self.group}: {how}", self.line("", "median", "", "[min - max]", "bar")]

    def line(self, what, value, unit, spread, bar):
        return f"  {what:{WHAT}} {value:>9} {unit:5} {spread:21} {bar}".rstrip()

    def add(self, what, values, unit="", bar=None, digits=None):
        """values: those of the single rounds, or one. bar: at_least(x) or at_most(x) of the median, in the same unit."""
        values = values if isinstance(values, (list, tuple)) else [values]
        value = statistics.median(values)
        spread = f"[{number(min(values), digits)} - {number(max(values), digits)}]" if len(values) > 1 else ""
        verdict = ""
        if bar:
            good = bar[1](value)
            verdict = f"{bar[2]:8} {'met' if good else 'MISSED'}"
            self.met += good
            if not good:
                self.missed.append(f"{self.group}: {what}")
            self.bars.append((f"{self.group}: {what}", number(value, digits), unit, spread, verdict))
        self.lines.append(self.line(what, number(value, digits), unit, spread, verdict))

    def note(self, text):
        self.lines.append("  " + text)

    def bars_text(self, machine):
        """The lines that have a bar, and nothing else."""
        width = max(len(what) for what, *_ in self.bars)
        return "".join(f"{text.rstrip()}\n" for text in [
            f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}", f"{'':{width}} {'median':>9} {'':5} {'[min - max]':21} bar",
            *(f"{what:{width}} {value:>9} {unit:5} {spread:21} {verdict}" for what, value, unit, spread, verdict in self.bars)])

    def text(self, machine):
        out = [f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}", *self.lines, ""]
        if self.met or self.missed:
            out.append(f"{self.met} of {self.met + len(self.missed)} bars met" + ("; missed:" if self.missed else ""))
        return "\n".join([*out, *(f"  {what}" for what in self.missed), ""])
