"""What comes back from a question: figures by name, as the command line's JSON has them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _html

if TYPE_CHECKING:
    import pandas

Path = str | os.PathLike[str]


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    if isinstance(value, list):
        return [_wrapped(element) for element in value]
    return value


class Fields(Mapping[str, Any]):
    """Named values, also as attributes: `fields["p95"]` is `fields.p95`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        # Before anything of its own: copy and pickle ask an object that is not filled yet.
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._values:
            raise AttributeError(
                f"there is no {name!r} here, but {', '.join(self._values)}", name=name, obj=self
            )
        return _wrapped(self._values[name])

    def __getitem__(self, name: str) -> Any:
        return _wrapped(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return repr(self._values)

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists, of one's own."""
        return json.loads(json.dumps(self._values))


class Answer(Fields):
    """An answer of the core. It is written out once somebody looks."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def __copy__(self) -> Answer:
        return self  # nothing in it can change

    def __deepcopy__(self, _memo: Any) -> Answer:
        return self

    def __reduce__(self) -> tuple[type[Fields], tuple[dict[str, Any]]]:
        """Pickled, it is its figures."""
        return Fields, (self.to_dict(),)

    @cached_property
    def _values(self) -> dict[str, Any]:  # type: ignore[override]
        return json.loads(self._core.json())

    def to_dict(self) -> dict[str, Any]:
        """What `--format json` writes."""
        return json.loads(self._core.json())

    def __str__(self) -> str:
        """What the command line shows."""
        return self._core.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html.text(str(self))


class _CsvAnswer(Answer):
    def to_csv(self) -> str:
        """What `--format csv` writes."""
        return self._core.csv()

    def to_pandas(self) -> pandas.DataFrame:
        import pandas

        return pandas.read_csv(io.StringIO(self.to_csv()), float_precision="round_trip")


class Cost(_CsvAnswer):
    """What decoding a token costs: `rows`, one for a model, context and chip; `afd`, the best pairings."""

    # What a notebook shows of a row.
    _SHOWN = (
        "attention_us_per_token",
        "ffn_us_per_token",
        "attention_usd_per_Mtok",
        "ffn_usd_per_Mtok",
        "total_usd_per_Mtok",
    )

    def _repr_html_(self) -> str:
        def number(text: str) -> object:
            try:
                return float(text)
            except ValueError:
                return text

        rows = csv.DictReader(io.StringIO(self.to_csv()))
        headers = ("model", "context_tokens", "chip", *self._SHOWN)
        return _html.table(headers, ([number(row[h]) for h in headers] for row in rows))


class Fit(Answer):
    """Whether chips serve a model's attention and FFN in time: `chips`, each with both."""


class Sparsity(_CsvAnswer):
    """How sparse experts may be on each chip: `rows`."""


class Support(_CsvAnswer):
    """What a model's times rest on: `chips`, each with its `operators`."""


class Explanation(Answer):
    """Why a deployment is not faster: `bottleneck`, `parts` with their kernels, `what_ifs`."""


class Simulation(Answer):
    """What a deployment delivers: `tpot_ms.p95`, `tokens_per_s_per_gpu`, ..., with intervals."""

    def requests_to_csv(self) -> str:
        """A line for every request that arrived, where the simulation was asked for `requests`."""
        return self._core.requests()

    def requests_to_pandas(self) -> pandas.DataFrame:
        import pandas

        return pandas.read_csv(io.StringIO(self.requests_to_csv()), float_precision="round_trip")

    def latencies(self) -> str:
        """A picture (SVG) of how the latencies of requests that arrive are spread."""
        return self._core.latencies()

    def compare(self, other: Simulation) -> str:
        """Two deployments side by side, as `ridge simulate --compare` shows them."""
        return self._core.comparison(other._core)

    def _repr_svg_(self) -> str | None:
        """The pipeline, where the simulation was asked for a picture."""
        return self._core.svg or None

    def _repr_html_(self) -> str:
        return _html.text(str(self)) + (self._repr_svg_() or "")


class LargestRate(Answer):
    """The largest rate of arrivals that holds an SLA: `largest_rate_held`, `smallest_rate_missed`, `tries`."""


class Plan(_CsvAnswer):
    """The best deployments for a goal: `ranking`, `why`, `near_misses`, `front`, `impossible`."""

    def _repr_svg_(self) -> str | None:
        """Throughput against speed, where the plan was asked for its front."""
        return self._core.svg() or None

    def _repr_html_(self) -> str:
        return _html.text(str(self)) + (self._repr_svg_() or "")


class Reproduction(_CsvAnswer):
    """A published report's figures beside Ridge's: `cells`."""


class Ledger(Reproduction):
    """Measured figures beside Ridge's predictions: `figures`, each with its error."""


class KernelLedger(_CsvAnswer):
    """Measured kernels beside what a calibration says of them: `rows`, a kernel each, `modules` and `notes`."""


class Calibration(Answer):
    """Kernel models fitted to measurements. `notes` is what to know before they are used."""

    @property
    def notes(self) -> list[str]:
        return self._core.notes

    def residuals(self) -> dict[str, str]:
        """A picture (SVG) of each curve's held-out errors, by the curve's name."""
        return self._core.residuals()

    def save(self, path: Path) -> None:
        """For `"kernel_model": "calibrated:PATH"` in a scenario."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._core.json())


class Model(Fields):
    """An imported model. It may stand wherever a model's name may; `assumptions` says what was guessed."""

    def __init__(self, text: str, assumptions: list[str]) -> None:
        super().__init__(json.loads(text))
        self._text = text
        self._assumptions = assumptions

    @property
    def assumptions(self) -> list[str]:
        """What the configuration does not say, a sentence each."""
        return self._assumptions

    def save(self, path: Path) -> None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._text)


class Sweep(Mapping[str, np.ndarray]):
    """A table of designs: axes and figures by name, each a NumPy array with one entry a row.

    Figures lie in the sweep's own memory, and nothing is copied. A name is also an attribute.
    """

    def __init__(self, core: _core.Sweep) -> None:
        self._core = core
        self._axes = {
            header: (a, p) for a, headers in enumerate(core.axes) for p, header in enumerate(headers)
        }
        self._labels = {name for name, _, _, is_label in core.columns if is_label}
        self._figures = [name for name, _, _, _ in core.columns]

    def __copy__(self) -> Sweep:
        return self  # nothing in it can change

    def __deepcopy__(self, _memo: Any) -> Sweep:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a sweep cannot be pickled; its to_dict(), to_csv() and to_pandas() can")

    @property
    def title(self) -> str:
        return self._core.title

    @property
    def provenance(self) -> str:
        """Where its figures come from."""
        return self._core.provenance

    @property
    def notes(self) -> list[str]:
        return self._core.notes

    @property
    def points(self) -> int:
        """How often the question was asked."""
        return self._core.points

    @property
    def invalid(self) -> int:
        """Points that are no design."""
        return self._core.invalid

    @property
    def subject(self) -> str:
        """Of a reference: what it is."""
        return self._core.subject

    @cached_property
    def pareto(self) -> np.ndarray:
        """Which rows nothing beats."""
        return self._core.pareto()

    @cached_property
    def references(self) -> list[Sweep]:
        return [Sweep(reference) for reference in self._core.references]

    @property
    def units(self) -> dict[str, str]:
        return {name: unit for name, unit, _, _ in self._core.columns}

    @property
    def words(self) -> dict[str, str]:
        """What each figure is."""
        return {name: words for name, _, words, _ in self._core.columns}

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._axes:
            return np.asarray(self._core.axis_values(*self._axes[name]))
        values = self._core.column(name)
        if name not in self._labels:
            return values
        names = np.asarray([*self._core.labels, None], dtype=object)
        return names[np.where(np.isnan(values), len(names) - 1, values).astype(np.intp)]

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in [*self._axes, *self._figures]:
            raise AttributeError(
                f"there is no {name!r} here, but {', '.join(self)}", name=name, obj=self
            )
        return self[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._axes
        yield from self._figures

    def __len__(self) -> int:
        """How many columns; `rows` is how many rows."""
        return len(self._axes) + len(self._figures)

    @property
    def rows(self) -> int:
        return len(self._core)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def to_dict(self) -> dict[str, Any]:
        """What `--format json` writes."""
        return json.loads(self._core.json())

    def to_csv(self) -> str:
        """What `--format csv` writes."""
        return self._core.csv()

    def to_pandas(self) -> pandas.DataFrame:
        """The rows, without those of the references; `pareto` says which of them nothing beats."""
        import pandas

        columns = {name: self[name] for name in self}
        if self._core.objectives > 0:
            columns["pareto"] = self.pareto
        return pandas.DataFrame(columns)

    def __str__(self) -> str:
        """What the command line shows: the Pareto front, or the first rows."""
        return self._core.text()

    __repr__ = __str__

    def _repr_svg_(self) -> str | None:
        """The designs and their Pareto front, where there are two objectives."""
        return self._core.svg() if self._core.objectives >= 2 else None

    def _repr_html_(self) -> str:
        shown = 40
        front = self._core.objectives > 0
        chosen = np.flatnonzero(self.pareto) if front else np.arange(self.rows)
        columns = [self[name] for name in self]
        of = "on the Pareto front" if front else "in all"
        return (
            _html.paragraph(f"{self.title} ({self.provenance}): {len(chosen)} rows {of}")
            + _html.table(
                list(self), ([column[row] for column in columns] for row in chosen[:shown].tolist())
            )
            + (self._repr_svg_() or "")
        )
