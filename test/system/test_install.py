"""`make install`: what the unit starts is what was installed, wherever that was; the documents' links lead somewhere."""
import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Install(unittest.TestCase):
    def installed(self, prefix):
        folder = tempfile.TemporaryDirectory(prefix="webhookd-test-")
        self.addCleanup(folder.cleanup)
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        subprocess.run(["make", "-s", "-C", ROOT, "install", f"BUILD={os.environ['BUILD']}", f"DESTDIR={folder.name}", f"PREFIX={prefix}"],
                       check=True, capture_output=True, env=environment)
        return folder.name

    def test_the_unit_names_what_was_installed(self):
        for prefix in ("/usr/local", "/usr"):
            with self.subTest(prefix=prefix):
                where = self.installed(prefix)
                with open(f"{where}{prefix}/lib/systemd/system/webhookd.service", encoding="utf-8") as f:
                    unit = f.read()
                program = re.search(r"^ExecStart=(\S+)", unit, re.M).group(1)
                self.assertEqual(program, f"{prefix}/sbin/webhookd")
                self.assertTrue(os.access(where + program, os.X_OK))
                self.assertTrue(os.path.exists(where + re.search(r"^Documentation=.*file://(\S+)", unit, re.M).group(1)))

    def test_man_pages_completion_and_schemas(self):
        where = f"{self.installed('/usr')}/usr/share"
        for path in ("man/man1/webhookctl.1", "man/man8/webhookd.8", "man/man5/webhookd.conf.5", "man/man7/webhookd-outbox.7",
                     "bash-completion/completions/webhookctl", "zsh/site-functions/_webhookctl", "fish/vendor_completions.d/webhookctl.fish",
                     "doc/webhookd/docs/schema/commands.json"):
            self.assertGreater(os.path.getsize(f"{where}/{path}"), 300, path)

    def test_links_of_the_readme(self):
        where = f"{self.installed('/usr')}/usr/share/doc/webhookd"
        with open(f"{where}/README.md", encoding="utf-8") as f:
            links = re.findall(r"\]\((?!https?:)([^)#]+)\)", f.read())
        self.assertTrue(links)
        self.assertEqual([link for link in links if not os.path.exists(f"{where}/{link}")], [])


if __name__ == "__main__":
    unittest.main()
