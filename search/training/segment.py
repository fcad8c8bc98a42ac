"""Segment: the unit of work. Training of one stage of one trial from one checkpoint to a later one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search.config.trial_config import STAGES, Stage, TrialConfig

# told after each part of an epoch: stage, epoch, share of the epoch done
Progress = Callable[[Stage, int, float], None]


@dataclass(frozen=True)
class Accumulation:
    """From an epoch of a trial on, each step's batch goes through the network in parts.

    The gradients of the parts are added up, so a step needs the memory of one part and is still one step of
    the whole batch. Dropout draws other numbers, and sums are rounded in another order.

    Attributes:
        stage: The stage of that epoch; a later stage is in parts from its first epoch on.
        epoch: Its number within the stage, from 1.
        parts: How many parts a batch goes through in.
    """

    stage: Stage
    epoch: int
    parts: int

    def first_epoch(self, stage: Stage) -> int | None:
        """Give the first epoch of a stage that is in parts, from 1; None where none is."""
        if STAGES.index(stage) < STAGES.index(self.stage):
            return None
        return self.epoch if stage == self.stage else 1


@dataclass(frozen=True)
class Segment:
    """What a worker is asked to do; all of it can be pickled.

    Attributes:
        config: The trial's settings.
        stage: The stage to train.
        until: The epoch to reach, counted from 1.
        after: The epoch of this stage up to which the asker already knows the metrics.
        head_epochs: Epochs that stage 1 had when it ended; where stage 2 starts.
        metric: The study's objective, which says what the best weights are.
        study_seed: The study's seed.
        replicate: 0 in the search; fresh seeds have 1 and more.
        owner: None where stored work of other trials may be taken up; else the trial that alone may.
        files: The name of the folder in which the trial's callbacks write, which is its own; so are its
            epochs then, but not its features. None where its callbacks, if any, leave nothing but numbers.
        accumulation: From where on in the trial batches go through the network in parts; None where they
            never do.
        asker: The trial that it is done for, which decides nothing.
    """

    config: TrialConfig
    stage: Stage
    until: int
    after: int
    head_epochs: int
    metric: str
    study_seed: int
    replicate: int = 0
    owner: str | None = None
    files: str | None = None
    accumulation: Accumulation | None = None
    asker: str = ""

    def parts(self, stage: Stage, epoch: int) -> int:
        """Count the parts in which batches go through the network in an epoch of the trial.

        A batch of 4 rows asked for in 3 parts goes through in 2, since a part has `ceil(4 / 3)` rows. It is
        1 where scikit-learn fits the classifier, which takes no steps.
        """
        accumulation, size = self.accumulation, self.config.batch_size
        if accumulation is None or (stage == "head" and self.config.is_linear):
            return 1
        first = accumulation.first_epoch(stage)
        if first is None or epoch < first:
            return 1
        return math.ceil(size / math.ceil(size / accumulation.parts))


@dataclass(frozen=True)
class Epoch:
    """What one epoch of a stage gave.

    Attributes:
        stage: The stage.
        epoch: Its number within the stage, from 1.
        metrics: `loss`, `accuracy`, `f1` (macro) and, for two classes, `auc`, over the training pictures as
            they were seen in the epoch, and with the prefix `val_` over the validation pictures after it.
        seconds: Wall time of training and validation.
        pictures_per_s: Training pictures a second of that.
        time_ms: When it ended, milliseconds since 1970; the same for ever, however often it is replayed.
        trained_layers: Layers that the stage trains.
        trained_parameters: Numbers that the stage trains.
        runs: How often it was trained; more than 1 only where a checkpoint was lost.
        saved_s: Seconds that it would have taken more if no features had been stored.
        before: Of a trial's first epoch, the validation metrics before it; else empty.
        stops: Whether a callback ended the stage after it.
        asker: The trial that it was first trained for.
    """

    stage: Stage
    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    pictures_per_s: float
    time_ms: int
    trained_layers: int = 0
    trained_parameters: int = 0
    runs: int = 1
    saved_s: float = 0.0
    before: Mapping[str, float] = field(default_factory=dict)
    stops: bool = False
    asker: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the epoch as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Epoch":
        """Make the epoch from its JSON values."""
        return cls(**value)


@dataclass(frozen=True)
class SegmentResult:
    """What a segment came to.

    Attributes:
        epochs: The epochs after `Segment.after`.
        ran: Which epochs were trained for it rather than replayed.
        checkpoint: Key of the checkpoint that the segment ends in, from which the trial goes on; to be pinned
            while the trial may. It need not be there: then the trial goes on from an earlier one.
        programs: How many training programs were compiled for it.
        files: The folder of what its callbacks wrote, None where they write nothing.
    """

    epochs: tuple[Epoch, ...]
    ran: frozenset[int]
    checkpoint: str
    programs: int
    files: Path | None = None


@dataclass(frozen=True)
class Cost:
    """What a backbone costs on this machine.

    Attributes:
        seconds_a_picture: Forward pass of one picture, in a batch.
        width: Numbers that its pooled features have.
        parameters: Numbers that it has.
    """

    seconds_a_picture: float
    width: int
    parameters: int


@dataclass(frozen=True)
class Size:
    """How large and how slow a network is.

    Attributes:
        parameters: Numbers that it has, the classifier's included.
        latency_ms: Time for one picture on this machine, milliseconds, the median of several.
    """

    parameters: int
    latency_ms: float


def better(metric: str, value: float, than: float | None) -> bool:
    """Tell whether a value of a metric beats another; anything beats None, equal does not beat."""
    if than is None:
        return True
    return value < than if metric.endswith("loss") else value > than


def stage_ended(
    config: TrialConfig, stage: Stage, values: list[float], metric: str, stopped: bool = False
) -> bool:
    """Tell whether a stage is over: its epochs are done, a callback ended it, or its patience is.

    Args:
        config: The trial's settings.
        stage: The stage.
        values: The metric after each epoch of the stage so far.
        metric: The study's objective.
        stopped: Whether a callback ended it after the last of these epochs (`Epoch.stops`).
    """
    if stopped or len(values) >= config.epochs(stage):
        return True
    if config.patience == 0 or not values:
        return False
    best = 0
    for epoch, value in enumerate(values):
        if better(metric, value, values[best]):
            best = epoch
    return len(values) - 1 - best >= config.patience
