"""What does it cost to decode a token, on which machine, and why?

    import ridge

    ridge.cost(models="step-3", chips=["h800", "h20"])
    ridge.simulate("step3-2a2f-4k-fp8", {"/deployment/micro_batches": 2}).tpot_ms.p95
    ridge.sweep("sweep-mfa-heads").to_pandas()

A question is a scenario: its name, the path of its file, or itself as a dict. `overrides` changes it: a dict
from JSON pointers to values, as if every model and chip stood in the scenario instead of its name.
Answers have the figures of the command line, digit for digit.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as _Path
from typing import Any

import numpy as _np

from . import _core
from ._answers import (
    Answer,
    Calibration,
    Cost,
    Explanation,
    Fields,
    Fit,
    KernelLedger,
    LargestRate,
    Ledger,
    Model,
    Plan,
    Reproduction,
    Simulation,
    Sparsity,
    Support,
    Sweep,
)
from ._errors import Error, InternalError, Mistake

_carried = _Path(__file__).parent / "data"
if _carried.is_dir():
    _core.use_data(_carried)

__version__: str = _core.version
__all__ = [
    "Answer",
    "Calibration",
    "Cost",
    "Error",
    "Explanation",
    "Fields",
    "Fit",
    "InternalError",
    "KernelLedger",
    "LargestRate",
    "Ledger",
    "Mistake",
    "Model",
    "Plan",
    "Reproduction",
    "Simulation",
    "Sparsity",
    "Support",
    "Sweep",
    "calibrate",
    "calibrations",
    "check",
    "chip",
    "chips",
    "cost",
    "explain",
    "fit",
    "goal",
    "goals",
    "import_model",
    "largest_rate",
    "merge",
    "model",
    "models",
    "plan",
    "reproduce",
    "scenario",
    "scenarios",
    "simulate",
    "sparsity",
    "support",
    "sweep",
]

# A name, a path, or the thing itself.
Named = str | os.PathLike[str] | Mapping[str, Any]
Overrides = Mapping[str, Any]
# Where to write a page beside the answer, if anywhere.
Report = str | os.PathLike[str] | None
# Called now and then with the share of the work that is done.
Progress = Callable[[float], Any]


def _plain(value: Any) -> Any:
    """What json.dumps() does not know."""
    if isinstance(value, os.PathLike):
        # A path in a scenario counts from the scenario's folder, one in Python from here.
        return os.path.abspath(value)
    if isinstance(value, Fields):
        return value.to_dict()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (_np.generic, _np.ndarray)):
        return value.tolist()
    raise TypeError(f"expected what JSON can hold, got {type(value).__name__}: {value!r}")


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, allow_nan=False)


def _document(question: Named, kind: str) -> _core.Document:
    if isinstance(question, Mapping):
        return _core.Document(kind, _json(question))
    return _core.Document(os.fspath(question))


def _whole(name: str, value: Any, least: int, most: int) -> int:
    """What is passed on as a whole number, within what the command line takes."""
    try:
        if least <= operator.index(value) <= most:
            return operator.index(value)
    except TypeError:
        pass
    raise Error(f"{name}: expected a whole number from {least} to {most}, got {value!r}")


def _number(name: str, value: Any, least: float, most: float) -> float:
    """Likewise, of any number."""
    try:
        if not isinstance(value, (str, bytes)) and least <= float(value) <= most:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise Error(f"{name}: expected a number from {least:g} to {most:g}, got {value!r}")


def _stage_ms(tpot_ms: float, stages: int, stage_ms: float | None) -> tuple[float, int]:
    """What a stage of a pipeline has, and how many there are."""
    stages = _whole("stages", stages, 1, 64)
    if stage_ms is not None:
        return _number("stage_ms", stage_ms, 1e-3, 1e6), stages
    return _number("tpot_ms", tpot_ms, 1e-3, 1e6) / stages, stages


def _parts(**given: Any) -> dict[str, Any]:
    """What takes the place of a cost scenario's parts."""
    return {"/" + key: _several(value) for key, value in given.items() if value is not None}


def _page(report: Report, call: str, question: Named | None, overrides: Overrides | None = None):
    """A page of the answer, and how it was asked for."""
    if report is None:
        return _core.Page("", "")
    said = "{...}" if isinstance(question, Mapping) else repr(os.fspath(question or ""))
    words = [said] if question is not None else []
    if overrides:
        words.append(_json(overrides))
    return _core.Page(os.fspath(report), f"ridge.{call}({', '.join(words)})")


def _threads(threads: int) -> int:
    return _whole("threads", threads, 0, 1024)


def _samples(samples: int) -> int:
    return _whole("samples", samples, 0, 10000)


def _seed(seed: int) -> int:
    return _whole("seed", seed, 0, 2**64 - 1)


def _paths(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """One file or many."""
    return [os.fspath(file) for file in ([files] if isinstance(files, (str, os.PathLike)) else files)]


def _names(names: str | Sequence[str]) -> list[str]:
    """One name or many."""
    return [names] if isinstance(names, str) else list(names)


def _several(value: Any) -> list[Any]:
    """One or many, where paths count from here."""
    one = isinstance(value, (str, os.PathLike, Mapping)) or not hasattr(value, "__iter__")
    return [
        os.path.abspath(v) if isinstance(v, str) and v != "-" and _core.is_path(v) else v
        for v in ([value] if one else value)
    ]


def cost(
    scenario: Named | None = None,
    overrides: Overrides | None = None,
    *,
    models: Named | Sequence[Named] | None = None,
    chips: Named | Sequence[Named] | None = None,
    context_tokens: float | Sequence[float] | None = None,
    prices: str | Mapping[str, float] | None = None,
    batch: float | None = None,
    count_mla_as_step3: bool = False,
    report: Report = None,
) -> Cost:
    """What decoding a token costs, by model and chip, in theory.

    `models`, `chips` and `context_tokens` take the place of the scenario's; without a scenario it is the one
    that `ridge cost` answers. `prices`: the name of a price list, or USD per hour by chip. `report`: a file
    for the answer as a page.
    """
    values = _parts(models=models, chips=chips, context_tokens=context_tokens)
    values.update(overrides or {})
    if prices is not None and not isinstance(prices, str):
        prices = ",".join(f"{chip}={usd!r}" for chip, usd in prices.items())
    question = _core.default_cost_scenario if scenario is None else scenario
    return Cost(
        _core.cost(
            _document(question, "cost scenario"), _json(values), prices or "", batch,
            count_mla_as_step3, _page(report, "cost", scenario, values),
        )
    )


def fit(
    model: Named | None = None,
    chips: Named | Sequence[Named] | None = None,
    *,
    part: str = "both",
    context_tokens: float = 8192,
    tpot_ms: float = 50.0,
    stages: int = 3,
    stage_ms: float | None = None,
    micro_batch: float | None = None,
    output_parallel: int | None = None,
    weights_share: float = _core.weights_share,
) -> Fit:
    """Can a chip serve a model's attention or FFN in time, and with how many cards? In theory.

    `part`: "attention", "ffn" or "both". `stages` of a pipeline share `tpot_ms`, unless `stage_ms` says what each
    has; as many micro-batches are in flight. `micro_batch`: requests of one that are to be served (whatever fits).
    `output_parallel`: attention cards that split the output projection (a server). `weights_share`: of an FFN
    stage, spent on reading weights.
    """
    if part not in ("attention", "ffn", "both"):
        raise Error(f'part: expected "attention", "ffn" or "both", got {part!r}')
    budget, stages = _stage_ms(tpot_ms, stages, stage_ms)
    return Fit(
        _core.fit(
            _document(_core.default_cost_scenario, "cost scenario"),
            _json(_parts(models=model, chips=chips, context_tokens=context_tokens)),
            part != "ffn", part != "attention", budget, stages,
            _number("weights_share", weights_share, 0.01, 1.0),
            None if micro_batch is None else _number("micro_batch", micro_batch, 1.0, 1e9),
            None if output_parallel is None else _whole("output_parallel", output_parallel, 1, 4096),
        )
    )


def sparsity(
    model: Named | None = None,
    chips: Named | Sequence[Named] | None = None,
    *,
    hidden: int | None = None,
    layers: int | None = None,
    tpot_ms: float = 50.0,
    stages: int = 3,
    stage_ms: float | None = None,
    nic_GBps: float | None = None,
    nics: int | None = None,
) -> Sparsity:
    """How sparse may experts be before their servers starve for tokens? In theory.

    `hidden` with `layers`: in place of a model. `stages` share `tpot_ms`, unless `stage_ms` says what each has.
    `nic_GBps`, `nics`: in place of each chip's own NIC bandwidth, and of one NIC per chip in a server.
    """
    if (hidden is None) != (layers is None):
        raise Error("hidden and layers: expected both or neither")
    if hidden is not None and model is not None:
        raise Error("model: expected a model, or hidden with layers, got both")
    shape = None
    if hidden is not None:
        shape = _whole("hidden", hidden, 1, 1048576), _whole("layers", layers, 1, 10000)
    return Sparsity(
        _core.sparsity(
            _document(_core.default_cost_scenario, "cost scenario"),
            _json(_parts(models=model, chips=chips)),
            shape, _stage_ms(tpot_ms, stages, stage_ms)[0],
            None if nic_GBps is None else _number("nic_GBps", nic_GBps, 1e-3, 1e6),
            None if nics is None else _whole("nics", nics, 1, 1000),
        )
    )


def support(
    model: Named,
    chips: Named | Sequence[Named] | None = None,
    *,
    calibration: str | os.PathLike[str] = "",
    context_tokens: float = 8192,
    batch: float = 64,
) -> Support:
    """What a model's times rest on, operator by operator and chip by chip: measured, carried over, or theory.

    `calibration`: kernel times for all chips (each chip's own, else theory). `batch`: requests that a launch serves.
    """
    return Support(
        _core.support(
            _document(_core.default_cost_scenario, "cost scenario"),
            _json(_parts(models=model, chips=chips, context_tokens=context_tokens)),
            chips is not None, os.fspath(calibration), _number("batch", batch, 1, 1e6),
        )
    )


def simulate(
    scenario: Named,
    overrides: Overrides | None = None,
    *,
    seed: int | None = None,
    samples: int | None = None,
    fixed: str | Sequence[str] = (),
    picture: bool = False,
    requests: bool = False,
    trace: str | os.PathLike[str] | None = None,
    report: Report = None,
    progress: Progress | None = None,
) -> Simulation:
    """What a deployment delivers, event by event.

    `samples`: further runs with calibrations, inputs that the scenario leaves open, and seeds drawn anew, for 90 %
    intervals (20 in closed loop, else none). `fixed`: one or several inputs that they leave as they are, by name, or
    "inputs" for all. `picture`: also draw who computes and who waits. `requests`: also keep every request that arrived
    (`requests_to_csv()`). `trace`: a file for ui.perfetto.dev. `report`: a file for the answer as a page.
    """
    return Simulation(
        _core.simulate(
            _document(scenario, "scenario"), _json(overrides or {}),
            None if seed is None else _seed(seed), None if samples is None else _samples(samples), _names(fixed),
            picture, requests, os.fspath(trace or ""),
            _page(report, "simulate", scenario, overrides), progress,
        )
    )


def explain(
    scenario: Named,
    overrides: Overrides | None = None,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Why a deployment is not faster: the kernels of each stage, and what a tenth more of each thing would bring."""
    return Explanation(
        _core.explain(
            _document(scenario, "scenario"), _json(overrides or {}),
            None if seed is None else _seed(seed), progress,
        )
    )


def largest_rate(
    scenario: Named,
    overrides: Overrides | None = None,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
) -> LargestRate:
    """The largest rate of arrivals at which a deployment holds its SLA, and every rate that was tried."""
    return LargestRate(
        _core.largest_rate(
            _document(scenario, "scenario"), _json(overrides or {}),
            None if seed is None else _seed(seed), progress,
        )
    )


def sweep(
    scenario: Named,
    overrides: Overrides | None = None,
    *,
    fixed: str | Sequence[str] = (),
    threads: int = 0,
    journal: str | os.PathLike[str] = "",
    report: Report = None,
    progress: Progress | None = None,
) -> Sweep:
    """One question along axes: a table of designs. `threads`: 0 for all cores; the answer is the same.

    `fixed`: one or several inputs that the draws of its points leave as they are, or "inputs" for all, in place of
    those that the base names. `journal`: a file that keeps every finished point, so that the same call goes on after
    whatever ended it. `report`: a file for the answer as a page.
    """
    if fixed:
        overrides = {**(overrides or {}), "/base/fixed": _names(fixed)}
    return Sweep(
        _core.sweep(
            _document(scenario, "sweep scenario"), _json(overrides or {}), os.fspath(journal), _threads(threads),
            _page(report, "sweep", scenario, overrides), progress,
        )
    )


def merge(
    journals: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    threads: int = 0,
    report: Report = None,
    progress: Progress | None = None,
) -> Sweep:
    """The sweep whose shards are in these journals, all of them: what one run would have answered.

    `ridge sweep --shard I/N --journal FILE` writes them. `report`: a file for the answer as a page.
    """
    files = _paths(journals)
    if not files:
        raise Error("journals: expected the files that ridge sweep --shard wrote, got none")
    page = _page(report, "merge", {"journals": files})
    return Sweep(_core.merge(files, _threads(threads), page, progress))


def plan(
    goal: Named,
    overrides: Overrides | None = None,
    *,
    samples: int = 100,
    fixed: str | Sequence[str] = (),
    top: int = 5,
    front: bool = False,
    exhaustive: bool = False,
    threads: int = 0,
    report: Report = None,
    progress: Progress | None = None,
) -> Plan:
    """The best deployments for a goal: models, chips, GPUs, context, SLA.

    `samples`: draws of the calibrations and of inputs that the goal leaves open, for the share that meets the SLA;
    0 for kernel times as fitted alone. `fixed`: one or several inputs that they leave as they are, by name, or
    "inputs" for all. `top`: how many to rank. `front`: also the best at other speeds than the SLA's. `exhaustive`
    tries every batch of every structure, to check the search. `report`: a file for the answer as a page. `progress`
    is told of each part of the work in turn.
    """
    return Plan(
        _core.plan(
            _document(goal, "goal"), _json(overrides or {}), _samples(samples), _names(fixed),
            _whole("top", top, 1, 1000), front, exhaustive, _threads(threads),
            _page(report, "plan", goal, overrides), progress,
        )
    )


def reproduce(
    published: str | os.PathLike[str] | None = None,
    *,
    measured: bool = False,
    serving: str | os.PathLike[str] | None = None,
    kernels: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    calibration: str | os.PathLike[str] | None = None,
    chip: str | os.PathLike[str] | None = None,
    samples: int = 100,
    fixed: str | Sequence[str] = (),
    report: Report = None,
    progress: Progress | None = None,
) -> Reproduction | KernelLedger:
    """A published report's figures beside ours; with `measured`, what was measured beside what we predict.

    `serving`: instead, a table of serving measurements (CSV) beside what we predict. `kernels`: instead, measured
    kernels (CSV files, ridge-bench's JSON, or folders of them) beside what a `calibration` says of them, transferred
    to `chip` where one is named. `samples`: draws behind each interval, of what was measured. `fixed`: one or
    several inputs that intervals of serving measurements draw, by their names in the answer, to be left as they are,
    or "inputs" for all. `report`: a file for the answer as a page.
    """
    if fixed and serving is None and not measured:
        raise Error("fixed: expected measured=True or serving= beside it")
    if [published, serving, kernels].count(None) != 2:
        raise Error(
            "expected one of the name of a report, serving=, a table of measurements, and kernels=, measured kernels"
        )
    if (kernels is None) != (calibration is None):
        raise Error("kernels and calibration: expected both or neither")
    if chip is not None and kernels is None:
        raise Error("chip: expected kernels= beside it")
    if kernels is not None and calibration is not None:
        files = _paths(kernels)
        page = _page(report, "reproduce", {"kernels": files})
        return KernelLedger(_core.judge(files, os.fspath(calibration), os.fspath(chip or ""), page, progress))
    if serving is not None:
        page = _page(report, "reproduce", {"serving": serving})
        return Ledger(_core.predict("", os.fspath(serving), _samples(samples), _names(fixed), page, progress))
    name = os.fspath(published or "")
    page = _page(report, "reproduce", name)
    if measured:
        return Ledger(_core.predict(name, "", _samples(samples), _names(fixed), page, progress))
    return Reproduction(_core.reproduce(name, page, progress))


def calibrate(
    measurements: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    chip: str | os.PathLike[str],
    *,
    name: str = "mine",
    source: str = "",
    base: str | os.PathLike[str] = "",
    prefer: str | Sequence[str] = (),
    threads: int = 0,
    seed: int = 1,
    report: Report = None,
    progress: Progress | None = None,
) -> Calibration:
    """Kernel models fitted to measurements (CSV files, ridge-bench's JSON, or folders of them).

    `report`: a file for the answer as a page.
    """
    return Calibration(
        _core.calibrate(
            _paths(measurements), os.fspath(chip), name, source, os.fspath(base),
            _names(prefer), _threads(threads), _seed(seed), _page(report, "calibrate", chip), progress,
        )
    )


def import_model(
    config: Named,
    *,
    name: str | None = None,
    precision: str | None = None,
    ignore: str | Sequence[str] = (),
    as_: str = "",
) -> Model:
    """A Hugging Face config.json (its path, its folder, or itself) turned into a model of Ridge.

    `precision`: the number format to serve in, or "checkpoint" for the checkpoint's own.
    """
    if name is None:
        name = "imported" if isinstance(config, Mapping) else _Path(config).stem
    imported = _core.import_model(_document(config, "config"), name, precision, _names(ignore), as_)
    return Model(imported.json, imported.assumptions)


def models() -> list[str]:
    """What may be asked for by name."""
    return _core.names("models")


def chips() -> list[str]:
    """What may be asked for by name."""
    return _core.names("chips")


def calibrations() -> list[str]:
    """What may be asked for by name."""
    return _core.names("calibrations")


def scenarios() -> list[str]:
    """What may be asked for by name."""
    return _core.names("scenarios")


def goals() -> list[str]:
    """What may be asked for by name."""
    return _core.names("goals")


def model(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The document behind a name or a path, to read or to change."""
    return json.loads(_core.document("models", os.fspath(name)))


def chip(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The document behind a name or a path, to read or to change."""
    return json.loads(_core.document("chips", os.fspath(name)))


def scenario(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The document behind a name or a path, to read or to change."""
    return json.loads(_core.document("scenarios", os.fspath(name)))


def goal(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The document behind a name or a path, to read or to change."""
    return json.loads(_core.document("goals", os.fspath(name)))


def check(path: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a file, each with its place; nothing where it is well."""
    return _core.check(os.fspath(path))
