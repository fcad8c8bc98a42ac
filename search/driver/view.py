"""View: what a driver tells whoever watches."""

from collections.abc import Mapping
from typing import Any, Protocol

from search.config.trial_config import Stage
from search.scheduler.trial import Trial
from search.training.segment import Epoch


class View(Protocol):
    """Someone who watches a study run."""

    def say(self, sentence: str) -> None:
        """Take a remark that is not about one trial."""
        ...

    def advised(self, advice: Mapping[str, Any]) -> None:
        """Learn what the data say, before the first trial; `Advice` as JSON values."""
        ...

    def began(self, trial: Trial, resumed: bool) -> None:
        """Learn that a trial begins or goes on."""
        ...

    def assigned(self, slot: int, trial: Trial) -> None:
        """Learn which trial a slot works on from now on."""
        ...

    def progress(self, slot: int, stage: Stage, epoch: int, share: float) -> None:
        """Learn how much of a slot's running epoch is done, in [0, 1]; called from any thread."""
        ...

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Learn what an epoch gave."""
        ...

    def paused(self, trial: Trial) -> None:
        """Learn that a trial is paused, and why."""
        ...

    def promoted(self, trial: Trial) -> None:
        """Learn that a paused trial goes on."""
        ...

    def ended(self, trial: Trial) -> None:
        """Learn how a trial ended."""
        ...
