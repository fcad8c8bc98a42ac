"""Records: where a driver has written down what happens."""

from typing import Protocol

from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch


class Records(Protocol):
    """The recorder, or the notes of a simulation."""

    def add(self, proposal: Proposal) -> Trial:
        """Make a proposal a trial, with the next number."""
        ...

    def begin(self, trial: Trial) -> None:
        """Note that a trial begins or is taken up again."""
        ...

    def epoch(self, trial: Trial, epoch: Epoch, steps: list[int], metric: str) -> None:
        """Note what an epoch gave, and the steps at which it stands."""
        ...

    def retried(self, trial: Trial, note: str) -> None:
        """Note that a segment of a trial runs again, and why."""
        ...

    def pause(self, trial: Trial) -> None:
        """Note that a trial is paused, and why."""
        ...

    def promote(self, trial: Trial) -> None:
        """Note that a paused trial goes on."""
        ...

    def close(self, trial: Trial) -> None:
        """Note that a stored trial is over, which a dead driver could not note any more."""
        ...

    def end(self, trial: Trial) -> None:
        """Note how a trial ended."""
        ...

    def finish(self) -> None:
        """Note that no more comes."""
        ...
