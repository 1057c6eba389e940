"""What docs/python.md shows is what happens."""

import doctest
import os
import pathlib
import re
import unittest

from program import SOURCE

os.environ["COLUMNS"] = "100"


def load_tests(_loader, tests, _pattern):
    path = pathlib.Path(SOURCE, "docs", "python.md")
    # The fence after an output is none of it.
    text = re.sub(r"^```.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    page = doctest.DocTestParser().get_doctest(text, {}, "python.md", str(path), 0)
    assert len(page.examples) > 8, "the page shows nothing"
    tests.addTest(doctest.DocTestCase(page))
    return tests


if __name__ == "__main__":
    unittest.main()
