"""Runs notebooks without Jupyter: code cells in one namespace, their outputs as Jupyter would keep them.

    python3 tests/python/notebook.py docs/notebooks/*.ipynb    # writes the outputs anew
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pathlib
import sys


def shown(value: object) -> dict[str, list[str]]:
    """By kind, the richest that a notebook would show."""
    for mime, method in (("text/html", "_repr_html_"), ("image/svg+xml", "_repr_svg_")):
        text = getattr(value, method, lambda: None)()
        if text is not None:
            return {mime: text.splitlines(keepends=True)}
    return {"text/plain": repr(value).splitlines(keepends=True)}


def run_cell(source: str, namespace: dict) -> list[dict]:
    outputs: list[dict] = []
    printed = io.StringIO()

    def flush() -> None:
        if printed.getvalue():
            outputs.append(
                {"output_type": "stream", "name": "stdout",
                 "text": printed.getvalue().splitlines(keepends=True)}
            )
            printed.seek(0)
            printed.truncate()

    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
            if value is not None:
                flush()
                outputs.append(
                    {"output_type": "execute_result", "data": shown(value), "metadata": {},
                     "execution_count": None}
                )
        flush()
    return outputs


def run(path: pathlib.Path) -> dict:
    """The notebook with its outputs made anew."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    namespace: dict = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = run_cell("".join(cell["source"]), namespace)
    return notebook


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    for name in sys.argv[1:]:
        path = pathlib.Path(name)
        path.write_text(json.dumps(run(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
