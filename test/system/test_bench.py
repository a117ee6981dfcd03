"""The programs of `make bench` still measure something: one that waits for what no longer comes is found here, not in the bench."""
import json
import os
import subprocess
import tempfile
import unittest

from harness import BUILD


class Bench(unittest.TestCase):
    def test_a_committed_row_is_noticed(self):
        for doorbell in ([], ["doorbell"]):
            with self.subTest(doorbell), tempfile.TemporaryDirectory() as folder:
                done = subprocess.run([os.path.join(BUILD, "bench/notice"), folder, "100", "1", *doorbell], capture_output=True, text=True, timeout=200)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater(json.loads(done.stdout)["n"], 0)


if __name__ == "__main__":
    unittest.main()
