"""What goes wrong, and where."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """One mistake. `file` and `pointer` (a JSON pointer) are empty where it is not in a file."""

    file: str
    pointer: str
    message: str


class Error(ValueError):
    """The question can be put right: a file, a name, a value.

    `mistakes` has every one of them; `file`, `pointer` and `message` are those of the first.
    """

    mistakes: list[Mistake]

    def __init__(self, text: str, mistakes: list[tuple[str, str, str]] | None = None) -> None:
        super().__init__(text)
        self.mistakes = [Mistake(*m) for m in mistakes or [("", "", text)]]

    @property
    def file(self) -> str:
        return self.mistakes[0].file

    @property
    def pointer(self) -> str:
        return self.mistakes[0].pointer

    @property
    def message(self) -> str:
        return self.mistakes[0].message


class InternalError(RuntimeError):
    """A fault of Ridge: please report it, with the question and `ridge.__version__`."""
