"""A pseudo-terminal with somebody before it: starts a program on it, types, waits for what is to be seen, and knows what a person
would see (a small model of a screen: cursor, clearing, scrolling, the alternate screen, colours).

    with Terminal([WEBHOOKCTL, "top"], columns=80, rows=24, env=env) as t:
        t.wait("acme-settle")              # on the screen now, or a regular expression, or a function of t
        t.type("q")
        assert t.end() == 0
        t.screen.text()                    # what stands there: lines without trailing blanks
        t.shown                            # every byte that came, as text
"""
import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

DEADLINE = 30.0

# Who runs the tests in the background of a script or under nohup hands on that ^C and a hangup are ignored; the programs that are
# started here must get them as a person's would.
for kind in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(kind) == signal.SIG_IGN:
        signal.signal(kind, signal.SIG_DFL)


def width_of(char):
    """Columns of one character: 0 for marks that stand above others and for what is not drawn, 2 for wide ones."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Screen:
    """rows × columns cells of (text, style); style is the set of what is in force: "bold", "reverse", "31", …"""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.alternate = False  # the other screen, that full-screen programs draw on
        self.cursor_shown = True
        self.bells = 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.rest = ""  # the beginning of a sequence whose end has not come yet
        self.saved_main = None
        self.style = frozenset()
        self.graphics = False
        self.clear()

    def clear(self):
        self.cells = [self.blank_row() for _ in range(self.rows)]
        self.x = self.y = 0
        self.saved = (0, 0)
        self.top, self.bottom = 0, self.rows - 1
        self.history = []  # lines that scrolled out at the top

    def blank_row(self):
        return [(" ", frozenset())] * self.columns

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [(row + self.blank_row())[:columns] for row in self.cells[:rows]]
        self.cells += [self.blank_row() for _ in range(rows - len(self.cells))]
        self.top, self.bottom = 0, rows - 1
        self.x, self.y = min(self.x, columns - 1), min(self.y, rows - 1)

    def line(self, n):
        return "".join(text for text, _ in self.cells[n]).rstrip()

    def lines(self):
        """From the first to the last that is not empty."""
        every = [self.line(n) for n in range(self.rows)]
        while every and not every[-1]:
            every.pop()
        return every

    def text(self):
        return "\n".join(self.lines())

    def style_of(self, text):
        """In which styles the first occurrence of text stands, as one set."""
        for n in range(self.rows):
            at = "".join(t or " " for t, _ in self.cells[n]).find(text)
            if at >= 0:
                return frozenset().union(*(style for _, style in self.cells[n][at:at + len(text)]))
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text()}")

    def feed(self, data):
        text = self.rest + self.decoder.decode(data)
        self.rest = ""
        pattern = re.compile(r"\x1b(?:\[([?>!]?)([0-9;]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|([()])(.)|([78=>MDEc]))")
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            found = pattern.match(text, at)
            if not found:
                if len(text) - at < 64:
                    self.rest = text[at:]
                    return
                raise AssertionError(f"a sequence that no terminal knows: {text[at:at + 20]!r}")
            at = found.end()
            private, numbers, final, charset, which, single = found.groups()
            if final:
                self.control(private, [int(n or 0) for n in numbers.split(";")], final)
            elif charset == "(":
                self.graphics = which == "0"
            elif single:
                self.escape(single)

    def put(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.down()
        elif char == "\b":
            self.x = max(0, min(self.x, self.columns - 1) - 1)
        elif char == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif char == "\a":
            self.bells += 1
        elif char in "\x0e\x0f":
            self.graphics = char == "\x0e"
        elif char >= " " and char != "\x7f":
            self.draw(char)

    def draw(self, char):
        width = width_of(char)
        if width == 0:
            return
        if self.x + width > self.columns:  # the last column was written before: now the line wraps
            self.x = 0
            self.down()
        if self.graphics:
            char = {"q": "─", "x": "│", "l": "┌", "k": "┐", "m": "└", "j": "┘", "t": "├", "u": "┤", "n": "┼", "a": "▒"}.get(char, char)
        self.cells[self.y][self.x] = (char, self.style)
        if width == 2:
            self.cells[self.y][self.x + 1] = ("", self.style)
        self.x += width

    def down(self):
        if self.y == self.bottom:
            self.scroll(1)
        else:
            self.y = min(self.y + 1, self.rows - 1)

    def scroll(self, n):
        for _ in range(abs(n)):
            if n > 0:
                gone = self.cells.pop(self.top)
                if self.top == 0 and not self.alternate:
                    self.history.append("".join(t for t, _ in gone).rstrip())
                self.cells.insert(self.bottom, self.blank_row())
            else:
                self.cells.pop(self.bottom)
                self.cells.insert(self.top, self.blank_row())

    def escape(self, single):
        if single == "7":
            self.saved = (self.x, self.y)
        elif single == "8":
            self.x, self.y = self.saved
        elif single == "M":
            if self.y == self.top:
                self.scroll(-1)
            else:
                self.y -= 1
        elif single in "DE":
            self.x = 0 if single == "E" else self.x
            self.down()
        elif single == "c":
            self.clear()

    def mode(self, numbers, on):
        for n in numbers:
            if n == 25:
                self.cursor_shown = on
            elif n in (47, 1047, 1049) and on != self.alternate:
                self.alternate = on
                if on:
                    self.saved_main = (self.cells, self.x, self.y, self.history)
                    self.clear()
                else:
                    self.cells, self.x, self.y, self.history = self.saved_main
                    self.top, self.bottom = 0, self.rows - 1

    def erase_line(self, what):
        x = min(self.x, self.columns - 1)
        first, last = {0: (x, self.columns), 1: (0, x + 1), 2: (0, self.columns)}[what]
        self.cells[self.y][first:last] = [(" ", frozenset())] * (last - first)

    def erase_screen(self, what):
        if what in (0, 1):
            self.erase_line(what)
        for n in {0: range(self.y + 1, self.rows), 1: range(0, self.y)}.get(what, range(self.rows)):
            self.cells[n] = self.blank_row()

    def colours(self, numbers):
        style, i = set(self.style), 0
        while i < len(numbers):
            n = numbers[i]
            if n == 0:
                style.clear()
            elif n in (38, 48):  # a palette's number or red, green, blue follow
                i += 2 if numbers[i + 1:i + 2] == [5] else 4
                style.add(str(n))
            elif n in (1, 2, 3, 4, 5, 7):
                style.add({1: "bold", 2: "dim", 3: "italic", 4: "underline", 5: "blink", 7: "reverse"}[n])
            elif n in (22, 24, 27, 39, 49):
                style -= {22: {"bold", "dim"}, 24: {"underline"}, 27: {"reverse"}, 39: {s for s in style if re.match("[39].$", s)},
                          49: {s for s in style if re.match("(4|10).$", s)}}[n]
            else:
                style -= {s for s in style if s.isdigit() and s[:-1] == str(n)[:-1]}
                style.add(str(n))
            i += 1
        self.style = frozenset(style)

    def control(self, private, numbers, final):
        n = max(1, numbers[0])
        row = self.cells[self.y]
        self.x = min(self.x, self.columns - 1) if final not in "mhl" else self.x
        if final == "m":
            self.colours(numbers)
        elif final in "hl":
            if private == "?":
                self.mode(numbers, final == "h")
        elif final in "Hf":
            self.y = min(n, self.rows) - 1
            self.x = min(max(1, numbers[1] if len(numbers) > 1 else 1), self.columns) - 1
        elif final == "A":
            self.y = max(0, self.y - n)
        elif final in "Be":
            self.y = min(self.rows - 1, self.y + n)
        elif final in "Ca":
            self.x = min(self.columns - 1, self.x + n)
        elif final == "D":
            self.x = max(0, self.x - n)
        elif final in "G`":
            self.x = min(n, self.columns) - 1
        elif final == "d":
            self.y = min(n, self.rows) - 1
        elif final == "J":
            self.erase_screen(numbers[0])
        elif final == "K":
            self.erase_line(numbers[0])
        elif final == "X":
            row[self.x:self.x + n] = [(" ", frozenset())] * len(row[self.x:self.x + n])
        elif final == "P":
            self.cells[self.y] = (row[:self.x] + row[self.x + n:] + self.blank_row())[:self.columns]
        elif final == "@":
            self.cells[self.y] = (row[:self.x] + [(" ", frozenset())] * n + row[self.x:])[:self.columns]
        elif final in "LM":
            top, self.top = self.top, self.y
            history, self.history = self.history, []
            self.scroll(n if final == "M" else -n)
            self.top, self.history = top, history
        elif final in "ST":
            self.scroll(n if final == "S" else -n)
        elif final == "r":
            self.top = n - 1
            self.bottom = min(numbers[1] if len(numbers) > 1 and numbers[1] else self.rows, self.rows) - 1
            self.x = self.y = 0
        elif final == "b":  # the character before, again
            text = row[self.x - 1][0] if self.x > 0 else " "
            for _ in range(n):
                self.draw(text)


class Terminal:
    """command on a pseudo-terminal of its own: input, output and errors (or stdout=/stderr= a file, for one of them elsewhere)."""

    def __init__(self, command, columns=100, rows=30, env=None, term="xterm", stdout=None, stderr=None, cwd=None):
        self.screen = Screen(columns, rows)
        self.bytes, self.status, self.closed = b"", None, False
        self.fd, theirs = pty.openpty()
        self.size(columns, rows)
        environment = dict(os.environ if env is None else env, TERM=term)
        environment.pop("COLUMNS", None)  # the terminal's own size counts
        environment.pop("LINES", None)
        # a session of its own whose terminal this is: ^C and SIGWINCH reach it as they would reach a person's program
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs if stdout is None else stdout,
                                        stderr=theirs if stderr is None else stderr, env=environment, start_new_session=True, cwd=cwd,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)

    def size(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        """As if somebody drew at the window's corner; the program gets SIGWINCH."""
        self.read(0)
        self.screen.resize(columns, rows)
        self.size(columns, rows)

    @property
    def shown(self):
        """Every byte so far as text, line ends as the program wrote them."""
        return self.bytes.decode(errors="replace").replace("\r\n", "\n")

    def read(self, seconds):
        """What comes within that time, at once where something is there; False: nothing will come any more."""
        while not self.closed and select.select([self.fd], [], [], seconds)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody holds the other end any more
                piece = b""
            self.closed = not piece
            self.bytes += piece
            self.screen.feed(piece)
            seconds = 0
        return not self.closed

    def type(self, keys):
        """Keys as a keyboard sends them: "y\\n", "\\x03" for ^C, "\\x1b[A" for the upward arrow."""
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def wait(self, fact, deadline=DEADLINE):
        """Until the text (or regular expression, or function of this terminal) is on the screen; what the function said, or the match."""
        if isinstance(fact, str):
            text = fact
            fact = lambda t: text in t.screen.text()
        elif isinstance(fact, re.Pattern):
            pattern = fact
            fact = lambda t: pattern.search(t.screen.text())
        end = time.monotonic() + deadline
        while True:
            more = self.read(0.05)
            value = fact(self)
            if value:
                return value
            if not more:
                raise AssertionError(f"the program ended before that was to be seen:\n{self.shown}")
            if time.monotonic() > end:
                raise AssertionError(f"not on the screen after {deadline} s:\n{self.screen.text()}")

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, deadline=DEADLINE):
        """Waits for the program's end and reads what it still says; its exit status (minus the signal that ended it)."""
        end = time.monotonic() + deadline
        while self.read(0.05):
            if time.monotonic() > end:
                raise AssertionError(f"still there after {deadline} s:\n{self.screen.text()}")
        self.status = self.process.wait(max(1, end - time.monotonic()))
        return self.status

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
