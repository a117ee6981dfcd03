"""The runbook is played: docs/runbook.md, section by section (console.py). `python3 test/system/test_runbook.py --write [SECTION]`
puts the output of today into its console blocks."""
import json
import os
import re
import shutil
import subprocess
import unittest

import console
import scenes_letter  # noqa: F401
import scenes_machine  # noqa: F401
import scenes_partner  # noqa: F401
from scenes import RUNBOOK

Played = RUNBOOK.tests()


class Text(unittest.TestCase):
    def test_links_lead_somewhere(self):
        anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h, _ in console.sections(RUNBOOK.text()) if h}
        for path in ("docs/runbook.md", "README.md"):
            with open(os.path.join(console.ROOT, path), encoding="utf-8") as f:
                for anchor in re.findall(r"\]\((?:docs/runbook\.md)?#([^)]*)\)", f.read()):
                    self.assertIn(anchor, anchors, path)

    def test_alerts_are_of_metrics_that_there_are(self):
        with open(os.path.join(console.ROOT, "docs/metrics.md"), encoding="utf-8") as f:
            known = set(re.findall(r"^\| `(\w+)` \|", f.read(), re.M))
        table = RUNBOOK.text().split("## Alerts", 1)[1]
        for name in re.findall(r"\bwebhookd_\w+", table.split("```")[0]):
            self.assertIn(name.removesuffix("_bucket"), known)
        rules = re.findall(r"^\| (\w+) \| `([^`]*)`", table, re.M)
        self.assertGreater(len(rules), 15)
        if shutil.which("promtool"):
            text = "groups:\n- name: webhookd\n  rules:\n" + "".join(f"  - {{alert: {n}, expr: {json.dumps(e)}}}\n" for n, e in rules)
            done = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

if __name__ == "__main__":
    console.main(RUNBOOK)
