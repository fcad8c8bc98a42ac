"""The recorded table as a file: learning curves, costs, and how they came about."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recorded.factorial import head_of
from recorded.measured import Measured
from recorded.recording import Run
from search.config.space import Space
from search.store.files import write_whole
from search.training.segment import Epoch

_METRICS = ("val_loss", "val_accuracy")


def write_table(
    path: Path, header: dict[str, Any], space: Space, runs: Sequence[Run], costs: Iterable[Measured]
) -> None:
    """Write the table as JSON, one row a line.

    Args:
        path: The file.
        header: What it is and how it was made.
        space: The space whose grid was recorded.
        runs: The trainings.
        costs: What was measured before them; seconds an epoch are replaced by the recording's medians.
    """
    parts = {
        "header": {**header, "space": space.identity()},
        "costs": _costs(space, runs, costs),
        "heads": _heads(runs),
        "tunes": [{**run.point, "replicate": run.replicate, **_curves(run.tune)} for run in runs],
    }
    write_whole(path, _text(parts))


def _text(parts: dict[str, Any]) -> str:
    lines = [f'"header": {json.dumps(parts["header"], indent=1)}']
    for name in ("costs", "heads", "tunes"):
        rows = ",\n".join(json.dumps(row) for row in parts[name])
        lines.append(f'"{name}": [\n{rows}\n]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _heads(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The heads, once each: points that differ in stage 2 only share theirs."""
    heads: dict[str, dict[str, Any]] = {}
    for run in runs:
        head = {**head_of(run.point), "replicate": run.replicate}
        heads.setdefault(json.dumps(head), {**head, **_curves(run.head)})
    return list(heads.values())


def _curves(epochs: Sequence[Epoch]) -> dict[str, Any]:
    curves: dict[str, Any] = {name: [epoch.metrics[name] for epoch in epochs] for name in _METRICS}
    return {**curves, "seconds": [round(epoch.seconds, 4) for epoch in epochs]}


def _costs(space: Space, runs: Sequence[Run], costs: Iterable[Measured]) -> list[dict[str, Any]]:
    heads: dict[object, list[float]] = {}
    tunes: dict[object, list[float]] = {}
    for run in runs:
        config = space.config(dict(run.point))
        heads.setdefault(config.backbone, []).extend(epoch.seconds for epoch in run.head)
        kind = (config.backbone, config.unfreeze, config.augment)
        tunes.setdefault(kind, []).extend(epoch.seconds for epoch in run.tune)
    rows = []
    for measured in costs:
        head = heads.get(measured.backbone) or [measured.head]
        tune = tunes.get((measured.backbone, measured.unfreeze, measured.augment)) or [measured.tune]
        medians = {"head": statistics.median(head), "tune": statistics.median(tune)}
        rows.append({key: _rounded(value) for key, value in (asdict(measured) | medians).items()})
    return rows


def _rounded(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
