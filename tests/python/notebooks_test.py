"""The notebooks of docs/notebooks run, and show what they show there."""

import json
import os
import pathlib
import re
import sys
import unittest

import notebook
from program import SOURCE

FOLDER = pathlib.Path(SOURCE, "docs", "notebooks")


def without_events(cells: list) -> str:
    # An engine that needs fewer of them changes no answer.
    return re.sub(r"\d+ events", "events", json.dumps(cells, indent=1))


class Notebooks(unittest.TestCase):
    maxDiff = 4000

    def test_show_what_they_showed(self):
        # Text is folded to the width of the output.
        os.environ["COLUMNS"] = "100"
        paths = sorted(FOLDER.glob("*.ipynb"))
        self.assertGreaterEqual(len(paths), 2)
        for path in paths:
            with self.subTest(path.name):
                kept = json.loads(path.read_text(encoding="utf-8"))
                again = notebook.run(path)
                for before, after in zip(kept["cells"], again["cells"], strict=True):
                    self.assertEqual(
                        without_events(before.get("outputs", [])),
                        without_events(after.get("outputs", [])),
                        "".join(after["source"]) + "\nWrites the outputs anew:\n"
                        f"PYTHONPATH={os.environ['PYTHONPATH']} {sys.executable} {notebook.__file__} {path}",
                    )


if __name__ == "__main__":
    unittest.main()
