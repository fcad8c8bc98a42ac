"""Judge: whoever decides after an epoch whether a trial goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from search.scheduler.trial import Trial, Way
from search.training.segment import Epoch


@dataclass(frozen=True)
class Verdict:
    """That a trial does not go on.

    Attributes:
        state: `paused` until it is promoted, or `pruned` for good.
        reason: Why.
    """

    state: Literal["paused", "pruned"]
    reason: str


class Judge(Protocol):
    """Sees every trial's epochs in the order in which they are observed."""

    def begin(self, trial: Trial) -> None:
        """Take a trial in; they come in the order of their numbers."""
        ...

    def observe(self, trial: Trial, epoch: Epoch) -> Verdict | None:
        """Judge a trial after an epoch, its last one; None lets it go on."""
        ...

    def go_on(self, trial: Trial, epoch: Epoch) -> None:
        """Note that a trial goes on after an epoch, or is complete with it."""
        ...

    def end(self, trial: Trial) -> None:
        """Note that a trial is over; its state says how."""
        ...

    def due(self) -> Iterator[list[tuple[Trial, Way]]]:
        """Give the waiting trials that are to be taken up again before a new one starts, and why each is.

        They come in groups, the one that is to go first before the others; so do the trials of a group.
        """
        ...

    def last(self) -> Trial | None:
        """Give the waiting trial that is to end where there is no room for all."""
        ...

    def leader(self) -> Trial | None:
        """Give the waiting trial that would go on first if no new one could start any more."""
        ...
