"""The programs of `make bench` still measure something, and measure what they say."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from harness import BUILD

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
import measure
import plot
import recorder
import report

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

    def test_the_table_says_which_bars_were_met_by_the_median(self):
        table = report.Table()
        table.head(2, "HTTP", "one beside the other")
        table.add("to the tuned loop", [0.5, 0.91, 0.95], bar=report.at_least(0.9))
        table.add("CPU", [1.0, 1.2, 1.3], bar=report.at_most(1.15))
        text = table.text({"cpu": "a processor", "cores": 2, "kernel": "6"})
        self.assertRegex(text, r"to the tuned loop +0\.91 +\[0\.50 - 0\.95\] +>= 0\.9 +met\n")
        self.assertRegex(text, r"CPU +1\.20 +\[1\.00 - 1\.30\] +<= 1\.15 +MISSED\n")
        self.assertIn("1 of 2 bars met; missed:\n  2. Throughput, HTTP: CPU\n", text)

    def test_charts_are_xml_in_light_and_dark(self):
        charts = {"bars": {"kind": "bars", "title": "a < b & c", "unit": "/s", "groups": [{"name": "HTTP", "bars": [{"name": "webhookd", "values": [3, 1, 2]}]}]},
                  "lines": {"kind": "lines", "title": "t", "x": {"label": "n", "log": True}, "y": {"label": "us"}, "limit": 9,
                            "series": [{"name": "one", "points": [[1, [1, 2]], [1000, [4]]]}, {"name": "two", "points": [[10, [5]]]}]}}
        with tempfile.TemporaryDirectory() as folder:
            for name, chart in charts.items():
                plot.write(chart, f"{folder}/{name}")
            self.assertEqual(sorted(os.listdir(folder)), ["bars-dark.svg", "bars-light.svg", "lines-dark.svg", "lines-light.svg"])
            for name in os.listdir(folder):
                self.assertTrue(xml.etree.ElementTree.parse(f"{folder}/{name}").getroot().tag.endswith("svg"))


if __name__ == "__main__":
    unittest.main()
