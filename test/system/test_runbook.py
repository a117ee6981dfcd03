"""The runbook is played: docs/runbook.md, section by section (console.py). `python3 test/system/test_runbook.py --write [SECTION]`
puts the output of today into its console blocks."""
import console
import scenes_letter  # noqa: F401
import scenes_machine  # noqa: F401
import scenes_partner  # noqa: F401
from scenes import RUNBOOK

Played = RUNBOOK.tests()

if __name__ == "__main__":
    console.main(RUNBOOK)
