"""The pseudo-terminal that other tests look through: what its screen makes of a program's bytes."""
import re
import sys
import unittest

from terminal import Screen, Terminal


def screen(data, columns=20, rows=4):
    s = Screen(columns, rows)
    s.feed(data.encode())
    return s


class TheScreen(unittest.TestCase):
    def test_bytes_to_what_is_seen(self):
        rows = (
            ("abc\r\ndef", "abc\ndef"), ("abc\ndef", "abc\n   def"), ("50%\r60%", "60%"), ("long text\rno\x1b[K", "no"),
            ("a\x1b[2;3Hb", "a\n  b"), ("abcd\x1b[2Dx", "abxd"), ("x\x1b[2J\x1b[Hy", "y"), ("abc\b\bX", "aXc"), ("a\tb", "a       b"),
            ("1\r\n2\r\n3\r\n4\r\n5", "2\n3\n4\n5"), ("0123456789" * 2 + "x", "0123456789" * 2 + "\nx"),
            ("0123456789" * 2 + "\rx", "x123456789" + "0123456789"), ("a\r\nb\x1b[1A\rX", "X\nb"), ("ab\x1b[1G\x1b[1Pc", "c"),
            ("a\x1b[3bb", "aaaab"), ("\x1b(0qx\x1b(Bqx", "─│qx"), ("日本x", "日本x"), ("\x1b[?1049hother\x1b[?1049l", ""),
            ("main\x1b[?1049hother", "other"), ("main\r\n\x1b[?1049hother\x1b[?1049lback", "main\nback"),
            ("1\r\n2\r\n3\r\n4\x1b[2;3r\x1b[3;1H\n\x1b[rx", "x\n3\n\n4"), ("a\x1b]0;title\x07b", "ab"), ("e\u0301x", "ex"))
        for data, seen in rows:
            self.assertEqual(screen(data).text(), seen, repr(data))
        self.assertEqual(screen("1\r\n2\r\n3\r\n4\r\n5").history, ["1"])

    def test_pieces(self):
        whole = "\x1b[2;2H\x1b[31mröt\x1b[0m".encode()
        s = Screen(20, 4)
        for byte in whole:
            s.feed(bytes([byte]))
        self.assertEqual(s.text(), "\n röt")
        self.assertEqual(s.style_of("röt"), {"31"})

    def test_styles(self):
        s = screen("\x1b[1mhead\x1b[22m \x1b[31mred\x1b[39m \x1b[7;33mwarn\x1b[0m plain \x1b[38;5;9mp")
        for text, style in (("head", {"bold"}), ("red", {"31"}), ("warn", {"reverse", "33"}), ("plain", set())):
            self.assertEqual(s.style_of(text), style)


class TheTerminal(unittest.TestCase):
    def test_keys_waits_and_the_end(self):
        program = ("import os, signal, sys\n"
                   "print('size', os.get_terminal_size().columns, sys.stdin.isatty(), os.environ['TERM'])\n"
                   "signal.signal(signal.SIGWINCH, lambda *_: print('now', os.get_terminal_size().columns, flush=True))\n"
                   "name = input('name? ')\n"
                   "try:\n    print('hello', name, flush=True); signal.pause(); signal.pause()\n"
                   "except KeyboardInterrupt:\n    sys.exit(7)\n")
        with Terminal([sys.executable, "-c", program], columns=60, term="vt100") as t:
            t.wait("name? ".strip())
            self.assertIn("size 60 True vt100", t.screen.text())
            t.type("ana\n")
            t.wait(re.compile(r"hello (\w+)"))
            t.resize(44, 10)
            t.wait("now 44")
            t.type("\x03")
            self.assertEqual(t.end(), 7)

    def test_what_does_not_come(self):
        with Terminal([sys.executable, "-c", "print('only this')"]) as t:
            with self.assertRaisesRegex(AssertionError, "only this"):
                t.wait("something else", deadline=10)
            self.assertEqual(t.end(), 0)


if __name__ == "__main__":
    unittest.main()
