"""The programs of `make bench` still measure something, and measure what they say."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from harness import BUILD

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import measure
import recorder

CLIENTS = (["bare_client", "--mode", "textbook"], ["bare_client", "--mode", "tuned"], ["socket_client"])


def shape(head, body):
    """The same for two requests that differ in numbers, times and the receiver's port alone."""
    blank = lambda value: re.sub(r"[0-9A-Za-z]", "x", value)
    lines = [line.split(":", 1) for line in head.split("\r\n")[1:]]
    return head.split("\r\n")[0], [(name, blank(value)) for name, value in lines], len(body), [*json.loads(body)]


class Bench(unittest.TestCase):
    def test_a_committed_row_is_noticed(self):
        """One that waits for what no longer comes is found here, not in the bench."""
        for doorbell in ([], ["doorbell"]):
            with self.subTest(doorbell), tempfile.TemporaryDirectory() as folder:
                done = subprocess.run([os.path.join(BUILD, "bench/notice"), folder, "100", "1", *doorbell], capture_output=True, text=True, timeout=200)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater(json.loads(done.stdout)["n"], 0)

    def test_its_yardsticks_send_what_webhookd_sends(self):
        head, body = recorder.sent_by_webhookd(measure.payload(7))
        with tempfile.NamedTemporaryFile() as file, recorder.Recorder() as r:
            recorder.write(file.name, head, body)
            for client, *options in CLIENTS:
                with self.subTest(client, options=options):
                    r.requests.clear()
                    done = subprocess.run([os.path.join(BUILD, "bench", client), *options, "-n", "20", "-c", "3", "--request", file.name, r.url],
                                          capture_output=True, text=True, timeout=200)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(json.loads(done.stdout)["n"], 20)
                    self.assertEqual([shape(*x) for x in r.requests], [shape(head, body)] * 20)
                    for value in (r"webhook-id: (\S+)", r"X-Request-ID: (\S+)", r"sha256=(\S+)"):  # each its own
                        self.assertEqual(len({re.search(value, h).group(1) for h, _ in r.requests}), 20, value)
                    self.assertTrue(all(re.search(r"webhook-id: (\S+)", h).group(1) == json.loads(b)["event_id"] for h, b in r.requests))


if __name__ == "__main__":
    unittest.main()
