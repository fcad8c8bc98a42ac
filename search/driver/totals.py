"""Totals: what a study's trials cost, and what reuse has saved them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from search.scheduler.trial import Trial


@dataclass(frozen=True)
class Totals:
    """Sums over the trials of a study, or over the runs of its finalists; over all starts.

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
    def of(cls, trials: Sequence[Trial]) -> "Totals":
        """Sum trials up. The epochs that a trial took over from the one that it continues count once."""
        counts = [trial.outcome or trial for trial in trials]
        taken_over = [
            counts[trial.proposal.continues] for trial in trials if trial.proposal.continues is not None
        ]
        reused = sum(one.epochs_reused for one in counts)
        saved_s = sum(one.saved_s for one in counts)
        return cls(
            sum(one.epochs_run for one in counts),
            reused - sum(one.epochs_run + one.epochs_reused for one in taken_over),
            round(sum(one.spent_s for one in counts), 3),
            round(saved_s - sum(one.spent_s + one.saved_s for one in taken_over), 3),
        )

    def figures(self) -> dict[str, float]:
        """Give all sums by name."""
        return asdict(self)
