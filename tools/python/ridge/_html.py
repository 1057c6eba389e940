"""Answers as HTML, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def text(words: str) -> str:
    """Text as it is, in its own columns."""
    return f"<pre>{html.escape(words)}</pre>"


def cell(value: object) -> str:
    if value is None or value != value:  # None, or NaN
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return html.escape(str(value))
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(words: str) -> str:
    return f"<p>{html.escape(words)}</p>"
