"""Nothing that a partner or a producer wrote reaches a terminal as it is. Their texts hold every control character, every bidi
control, what is invisible, what breaks lines, OSC sequences (52 would write the operator's clipboard), bytes that are no UTF-8 and a
very long line; they stand in everything that such people control; and every command of the table is run over it, under a
pseudo-terminal wide and narrow, and in a pipe in each format."""
import re
import unittest

from every import World

C0 = "".join(map(chr, range(1, 32)))
C1 = "".join(map(chr, range(0x7f, 0xa0)))
HIDDEN = "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9\u3164\U0001d173\U0001d17a\U000e0001\U000e007f"
EVIL = f"EVIL\x1b[2J\x1b[31mred\x1b]52;c;aGk=\x07\x1b]0;title\x1b\\\x9b31m\rEVIL{C0}{C1}{HIDDEN}"
RAW = b"\xff\xfe\x9b31m\xc3\xed\xa0\x80\xf4\x90\x80\x80"
# What may not be in what is shown. Line feeds and tabs only lay out; a carriage return may only draw our own progress anew.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f" + HIDDEN + "]")

HEAD = "".join(c for c in EVIL if c not in "\r\n").encode()
ANSWER = (b"HTTP/1.1 503 " + HEAD[:200] + RAW + b"\r\nContent-Type: text/plain\r\nX-Evil: " + HEAD + RAW + b"\r\nX-Long: " + b"L" * 5000 +
          b"\r\nContent-Length: %d\r\n\r\n")
BODY = EVIL.encode() + RAW + b"\0" + b"B" * 20000 + b"\r\n" + EVIL.encode()


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(text=EVIL, answer=ANSWER % len(BODY) + BODY, path="?x=%1b%5b31m%c2%9b%e2%80%ae")
        cls.addClassCleanup(cls.world.close)

    def harmless(self, what, data):
        try:
            text = data.decode()
        except UnicodeDecodeError as e:
            self.fail(f"{what}: bytes that are no UTF-8: {data[max(0, e.start - 60):e.end + 60]!r}")
        found = FORBIDDEN.search(text)
        self.assertIsNone(found, f"{what}: {found and text[max(0, found.start() - 80):found.end() + 60]!r}")

    def test_in_pipes(self):
        for row, run in self.world.runs():
            for form in ("table", "json"):
                with self.subTest(run=str(run), format=form):
                    _, out, err = run.run("-o", form)
                    self.harmless("standard output", out)
                    self.harmless("standard error", err)

    def test_on_terminals(self):
        met = set()
        for row, run in self.world.runs():
            for columns in (40, 120):
                with self.subTest(run=str(run), columns=columns):
                    _, shown = run.on_terminal(columns)
                    shown = shown.replace(b"\r\n", b"\n")
                    self.assertNotIn(b"EVIL\x1b", shown)
                    if b"\x1b[?1049h" in shown:  # a full-screen program moves the cursor itself
                        shown = re.sub(rb"\x1b(\[[?>!]?[0-9;]*[@-~]|[()].|[78=>M])|[\b\x0e\x0f]", b"", shown)
                    self.harmless("the terminal", re.sub(rb"\r(?!EVIL)", b"", shown))  # our own progress
                    if re.search(rb"EVIL(\\x1b|\\u001b)", shown):
                        met.add(row["command"])
        # else nothing was tested
        for command in ("dlq show", "event show", "delivery show", "attempt show", "job list", "job show"):
            self.assertIn(command, met)


if __name__ == "__main__":
    unittest.main()
