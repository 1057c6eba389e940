"""The package as users get it: whole, with its own data."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from program import SOURCE, ridge_json

ASK = """
import json, ridge
answer = ridge.simulate("step3-2a2f-4k-fp8", samples=2)
print(json.dumps([str(ridge._core.data_root()), ridge.__file__, answer.to_dict()]))
"""


class TheInstalledPackage(unittest.TestCase):
    def assert_answers(self, python: str, site: pathlib.Path, path: str | None) -> None:
        alone = {k: v for k, v in os.environ.items() if k not in ("RIDGE_DATA", "PYTHONPATH")}
        if path is not None:
            alone["PYTHONPATH"] = path
        with tempfile.TemporaryDirectory() as elsewhere:
            done = subprocess.run(
                [python, "-c", ASK], env=alone, cwd=elsewhere, capture_output=True, text=True
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        data, module, answer = json.loads(done.stdout)
        self.assertEqual(pathlib.Path(data), site / "ridge" / "data")
        self.assertEqual(pathlib.Path(module), site / "ridge" / "__init__.py")
        told = ridge_json("simulate", "step3-2a2f-4k-fp8", "--samples", "2")
        self.assertEqual(answer, told)

    def test_carries_its_own_data_and_answers_from_it(self):
        with tempfile.TemporaryDirectory() as folder:
            site = pathlib.Path(folder).resolve()
            subprocess.run(
                ["cmake", "--install", os.environ["RIDGE_BUILD"], "--component", "python",
                 "--prefix", site],
                check=True, capture_output=True,
            )
            self.assertEqual([p.name for p in site.iterdir()], ["ridge"])
            sources = {p.name for p in pathlib.Path(SOURCE, "tools/python/ridge").iterdir()}
            there = {p.name for p in (site / "ridge").iterdir()}
            self.assertLessEqual(sources - {"__pycache__"}, there)
            self.assert_answers(sys.executable, site, str(site))

    @unittest.skipUnless(
        os.environ.get("RIDGE_TEST_PIP"), "builds everything anew: set RIDGE_TEST_PIP=1 to try it"
    )
    def test_comes_by_pip_into_an_environment_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            home = pathlib.Path(folder).resolve()
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            python = str(home / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", SOURCE], check=True)
            site = next(home.glob("lib/python*/site-packages"))
            self.assert_answers(python, site, None)


if __name__ == "__main__":
    unittest.main()
