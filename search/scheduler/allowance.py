"""Allowance: what is left of a study's epochs and seconds, and what work would take of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from search.config.trial_config import Stage, TrialConfig
from search.scheduler.trial import Trial
from search.training.segment import Epoch


@dataclass(frozen=True)
class Work:
    """Some epochs of a stage of a trial."""

    config: TrialConfig
    stage: Stage
    n_epochs: int


class Allowance:
    """Weighs work against what is left, by the seconds that epochs of the same kind took: their median, since
    the first one compiles.

    An epoch's kind is its stage, backbone, image size and, in stage 2, depth. Where none of that depth is
    known, those of all depths stand for it; where none of the backbone is, work seems to take no time: only
    doing it can tell.

    Args:
        most_epochs: How many epochs the study may train in all; None for no limit.
        seconds_left: Tells how much of its time is left; None where it has no limit.
    """

    def __init__(self, most_epochs: int | None, seconds_left: Callable[[], float] | None) -> None:
        self._most_epochs, self._seconds_left = most_epochs, seconds_left
        self._seconds: dict[tuple[object, ...], list[float]] = defaultdict(list)

    @property
    def is_timed(self) -> bool:
        """Whether the study's time is limited."""
        return self._seconds_left is not None

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.is_timed or self._most_epochs is not None

    def learn(self, trial: Trial, epoch: Epoch) -> None:
        """Learn what an epoch took. One that is known without its seconds teaches nothing."""
        if epoch.seconds > 0:
            for kind in _kinds(trial.config, epoch.stage):
                self._seconds[kind].append(epoch.seconds)

    def seconds_of(self, work: Iterable[Work]) -> float:
        """Estimate how long work takes."""
        return sum(self._seconds_an_epoch(part) * part.n_epochs for part in work)

    def covers(self, work: Sequence[Work], trials: Sequence[Trial]) -> bool:
        """Tell whether work fits into what the trials so far have left."""
        n_epochs = sum(part.n_epochs for part in work)
        if self._most_epochs is not None and n_epochs > self._most_epochs - _epochs_run(trials):
            return False
        return self._seconds_left is None or self.seconds_of(work) <= self._seconds_left()

    def is_spent(self, trials: Sequence[Trial]) -> bool:
        """Tell whether the trials so far have left no epoch or no time."""
        has_epochs = self._most_epochs is None or _epochs_run(trials) < self._most_epochs
        return not has_epochs or (self._seconds_left is not None and self._seconds_left() <= 0)

    def _seconds_an_epoch(self, part: Work) -> float:
        known = (self._seconds[kind] for kind in _kinds(part.config, part.stage))
        return next((median(seconds) for seconds in known if seconds), 0.0)


def _kinds(config: TrialConfig, stage: Stage) -> list[tuple[object, ...]]:
    """Name the kinds of an epoch, the narrowest first."""
    wide = (stage, config.backbone, config.image_size)
    return [wide] if stage == "head" else [(*wide, config.unfreeze), wide]


def _epochs_run(trials: Iterable[Trial]) -> int:
    return sum(trial.outcome.epochs_run if trial.outcome else trial.epochs_run for trial in trials)
