"""The recorded table read back: what schedulers are shown, what judges them, and what time costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recorded.factorial import points_of
from recorded.measured import Measured
from search.config.space import Space
from search.config.trial_config import Stage, TrialConfig
from search.errors import SpaceError, TrialError
from search.training.keys import checkpoint_key
from search.training.segment import Segment

Metrics = Mapping[str, float]

# The parts of a space that say what was trained. The others say how one searches, and may have other fields
# by the time the table is read.
_TRAINED = ("study", "data", "objective", "fixed", "free", "reuse")

_STAGE_ROWS: dict[Stage, str] = {"head": "heads", "tune": "tunes"}


class Curves:
    """The recorded epochs of one seed.

    An epoch is found by the key that its checkpoint would have in a store, so that only what is the very same
    training is taken for it.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, Metrics | None] = {}

    def add(self, segment: Segment, epochs: list[Metrics]) -> None:
        """Take the epochs of one stage in; if there are fewer than `segment.until`, the loss became NaN."""
        for number, metrics in enumerate(epochs, 1):
            self._epochs[_key(replace(segment, until=number))] = metrics
        if len(epochs) < segment.until:
            self._epochs[_key(replace(segment, until=len(epochs) + 1))] = None

    def metrics(self, segment: Segment) -> Metrics:
        """Give what the last epoch of a segment gave.

        Raises:
            SpaceError: It was not recorded.
            TrialError: The loss was not finite.
        """
        key = _key(segment)
        if key not in self._epochs:
            raise SpaceError(
                f"Only what was recorded can be replayed, and epoch {segment.until} of stage {segment.stage} "
                f"of {segment.config.flat()} was not; leave free.* and fixed.* as the table has them."
            )
        metrics = self._epochs[key]
        if metrics is None:
            raise TrialError("the loss is not finite")
        return metrics

    def values(self, config: TrialConfig, stage: Stage, until: int, metric: str) -> list[float]:
        """Give a metric after each epoch of a stage, as far as its loss was finite.

        Raises:
            SpaceError: An epoch was not recorded.
        """
        values: list[float] = []
        try:
            for number in range(1, until + 1):
                values.append(self.metrics(_segment(config, stage, number, metric))[metric])
        except TrialError:
            pass
        return values


@dataclass(frozen=True)
class Table:
    """A recorded table.

    Attributes:
        space: What was recorded: all points of its grid.
        shown: The curves of the first seed, which schedulers see.
        judging: The curves of the second seed, which they never see.
        costs: What trainings cost.
    """

    space: Space
    shown: Curves
    judging: Curves
    costs: tuple[Measured, ...]

    def check(self, space: Space) -> None:
        """Find out whether every trial that a space can have was recorded.

        Raises:
            SpaceError: One was not, or the space has no grid.
        """
        metric = space.objective.metric
        for config in (space.config(dict(point)) for point in points_of(space)):
            for stage in config.stages:
                self.shown.values(config, stage, config.epochs(stage), metric)


def read_table(path: Path) -> Table:
    """Read a table that `scripts/record_table` wrote.

    Raises:
        SpaceError: The file is not there, or its recording is not complete.
    """
    if not path.is_file():
        raise SpaceError(f"A recorded table is needed, and {path} is no file; run scripts/record_table.")
    form = json.loads(path.read_text(encoding="utf-8"))
    header = form["header"]
    if not header["complete"]:
        raise SpaceError(f"The recording of {path} is not complete; run scripts/record_table again.")
    space = Space.model_validate({key: header["space"][key] for key in _TRAINED})
    curves = {replicate: _curves(form, space, replicate) for replicate in (0, 1)}
    return Table(space, curves[0], curves[1], tuple(Measured(**cost) for cost in form["costs"]))


def _curves(form: dict[str, Any], space: Space, replicate: int) -> Curves:
    curves, metric = Curves(), space.objective.metric
    for stage, rows in _STAGE_ROWS.items():
        for row in form[rows]:
            if row["replicate"] == replicate:
                # the row of a head says nothing of stage 2, on which no head hangs
                config = space.config({key: row[key] for key in space.dimensions if key in row})
                until = form["header"]["head_epochs"] if stage == "head" else config.tune_epochs
                curves.add(_segment(config, stage, until, metric), _epochs(row))
    return curves


def _epochs(row: Mapping[str, Any]) -> list[Metrics]:
    pairs = zip(row["val_loss"], row["val_accuracy"], strict=True)
    return [{"val_loss": loss, "val_accuracy": accuracy} for loss, accuracy in pairs]


def _segment(config: TrialConfig, stage: Stage, until: int, metric: str) -> Segment:
    return Segment(config, stage, until, until - 1, config.head_epochs, metric, 0)


def _key(segment: Segment) -> str:
    """Name what a segment reaches, whichever study asks for it; each has its own seed."""
    shared = replace(segment, study_seed=0, replicate=0, owner=None)
    return checkpoint_key(shared, segment.stage, segment.until, 0, {})
