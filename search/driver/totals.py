"""Totals: what a study's trials cost, and what reuse has saved them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from search.scheduler.trial import Trial


@dataclass(frozen=True)
class Totals:
    """Sums over the trials of a study, over all its starts; runs on fresh seeds are not among them.

    Attributes:
        epochs_run: Epochs trained.
        epochs_reused: Epochs taken from the store.
        seconds_training: Measured seconds of the epochs trained.
        seconds_saved: Seconds that they would have taken more if nothing had been reused: those of the reused
            epochs as they were measured, and what stored features saved, as measured when they were computed.
    """

    epochs_run: int
    epochs_reused: int
    seconds_training: float
    seconds_saved: float

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "Totals":
        """Sum trials up."""
        counts = [trial.outcome or trial for trial in trials]
        return cls(
            sum(one.epochs_run for one in counts),
            sum(one.epochs_reused for one in counts),
            round(sum(one.spent_s for one in counts), 3),
            round(sum(one.saved_s for one in counts), 3),
        )

    def figures(self) -> dict[str, float]:
        """Give all sums by name."""
        return asdict(self)
