"""Race: the best few trials, run again from their beginning on fresh seeds, until the best mean is known.

A trial that is the best of many is in part the luckiest one. On fresh seeds the draws stay; initialisation,
order and dropout are renewed.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import mean, stdev
from typing import Literal

from search.scheduler.judge import Verdict
from search.scheduler.ranking import best_of
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch, Segment, better


@dataclass(frozen=True)
class Standing:
    """What became of a finalist.

    Attributes:
        trial: The trial of the search.
        runs: Its complete runs, by fresh seed; where time ran out, those on seeds on which all that were not
            stopped have run.
        stopped: Why it runs no more, None where it has run on all seeds.
    """

    trial: Trial
    runs: Sequence[Trial]
    stopped: str | None

    def values(self, metric: str) -> list[float]:
        """Give the objective of each complete run."""
        found = (run.value(metric) for run in self.runs)
        return [value for value in found if value is not None]

    def mean(self, metric: str) -> float | None:
        """Give the mean of the objective; None without a run."""
        values = self.values(metric)
        return mean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """Give the standard deviation of the objective over seeds; None with fewer than two runs."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class RaceResult:
    """How a race ended.

    Attributes:
        standings: The finalists, the best mean first; those that were stopped come last.
        runs: All runs, those that came to no end included.
        luck: The chance that the first two are in the wrong order, None where there are too few runs: the p
            value of Welch's t-test, one-sided (B. L. Welch 1947).
    """

    standings: Sequence[Standing]
    runs: Sequence[Trial]
    luck: float | None

    def best_run(self, metric: str) -> Trial:
        """Give the run of the winner whose model is to be kept: that with the best value."""
        best, *others = self.standings[0].runs
        for run in others:
            value = run.value(metric)
            assert value is not None, "a complete run has a value"
            best = run if better(metric, value, best.value(metric)) else best
        return best


def field(
    scheduler: Scheduler, most: int, metric: str, seconds_left: Callable[[], float] | None
) -> list[Trial]:
    """Choose the finalists: the best few, fewer where there is no time to run each of them once.

    Returns:
        The trials, the best one first; none where there is no time for two, or for one if no more are wanted.
    """
    best = list(best_of(scheduler.trials, most, metric))
    if seconds_left is None:
        return best
    ends = accumulate(scheduler.seconds_to_run(trial) for trial in best)
    few = best[: bisect_right(list(ends), seconds_left())]
    return few if len(few) >= min(2, most) else []


class Race:
    """Decides which finalist runs on which seed; the driver runs it like a study.

    Finalists take turns, a seed each. One stops that can no longer have the best mean, judged generously: its
    missing runs count as the best value of the whole study, against the mean of the leader whose missing runs
    count as its worst. A run that fails takes its finalist out. A seed is begun only where there is time for
    all that are still in, judged by the seconds that such epochs took.

    Args:
        scheduler: Knows the study, its segments and its steps.
        finalists: The trials, the best one first.
        n_seeds: How many fresh seeds each runs on.
        metric: The study's objective.
        seconds_left: Tells how much time is left; None where it has no limit.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        finalists: Sequence[Trial],
        n_seeds: int,
        metric: str,
        seconds_left: Callable[[], float] | None = None,
    ) -> None:
        self.trials: list[Trial] = []
        self._scheduler, self._finalists = scheduler, finalists
        self._n_seeds, self._metric, self._seconds_left = n_seeds, metric, seconds_left

    def next_trial(self) -> Proposal | None:
        """Give the next run, None where none is left."""
        for seed in range(1, self._n_seeds + 1):
            still_in = [finalist for finalist in self._finalists if self._stopped(finalist) is None]
            waiting = [finalist for finalist in still_in if seed not in self._seeds(finalist)]
            if not waiting:
                continue
            is_begun = any(seed in self._seeds(one) for one in self._finalists)
            if not is_begun and not self._has_time(waiting):
                return None
            first = waiting[0]
            # from the beginning: a trial that continues another does it all again
            return replace(
                first.proposal, repeats=first.number, replicate=seed, continues=None, promotions=()
            )
        return None

    def begin(self, trial: Trial) -> None:
        """Take a run in."""
        self.trials.append(trial)

    def next_segment(self, trial: Trial) -> Segment | None:
        """Give the next segment of a run, None where both stages are over."""
        return self._scheduler.next_segment(trial)

    def observe(self, trial: Trial, epoch: Epoch) -> Verdict | None:
        """Take in what an epoch gave. A run that has begun comes to its end."""
        trial.epochs[epoch.stage].append(epoch)
        return None

    def end(self, trial: Trial) -> None:
        """Take in that a run is over; its state says how."""

    def last_paused(self) -> Trial | None:
        """Nothing is paused in a race."""
        return None

    def unwanted(self) -> list[Trial]:
        """Any run may become the champion until the race is over."""
        return []

    def steps(self, trial: Trial, epoch: Epoch) -> list[int]:
        """Give the steps at which an epoch's value is reported."""
        return self._scheduler.steps(trial, epoch)

    def is_spent(self) -> bool:
        """Tell whether time is up; a race has no other budget."""
        return self._seconds_left is not None and self._seconds_left() <= 0

    def result(self) -> RaceResult | None:
        """Rank the finalists by the mean over runs on the same seeds; those that were stopped come last.

        Returns:
            None where there is no seed on which all that were not stopped have run.
        """
        standings = [Standing(one, self._complete(one), self._stopped(one)) for one in self._finalists]
        still_in = [one for one in standings if one.stopped is None]
        known = [{run.proposal.replicate for run in one.runs} for one in still_in]
        common = set[int]().union(*known).intersection(*known)
        if not common:
            return None
        fair = [
            replace(one, runs=[run for run in one.runs if run.proposal.replicate in common])
            for one in still_in
        ]
        out = [one for one in standings if one.stopped is not None]
        ranked = [*sorted(fair, key=self._place), *sorted(out, key=self._place)]
        return RaceResult(ranked, self.trials, self._luck(ranked))

    def _place(self, standing: Standing) -> tuple[bool, float]:
        found = standing.mean(self._metric)
        sign = 1.0 if self._metric.endswith("loss") else -1.0
        return found is None, sign * (found or 0.0)

    def _has_time(self, waiting: Sequence[Trial]) -> bool:
        """Tell whether there is time for a run of each."""
        seconds = sum(self._scheduler.seconds_to_run(finalist) for finalist in waiting)
        return self._seconds_left is None or seconds <= self._seconds_left()

    def _seeds(self, finalist: Trial) -> set[int]:
        """The seeds on which a finalist has begun."""
        return {run.proposal.replicate for run in self._runs(finalist)}

    def _runs(self, finalist: Trial) -> list[Trial]:
        return [run for run in self.trials if run.number == finalist.number]

    def _complete(self, finalist: Trial) -> list[Trial]:
        return [run for run in self._runs(finalist) if run.state == "complete"]

    def _values(self, finalist: Trial) -> list[float]:
        return Standing(finalist, self._complete(finalist), None).values(self._metric)

    def _stopped(self, finalist: Trial) -> str | None:
        failed = [run for run in self._runs(finalist) if run.state == "failed"]
        if failed:
            return f"seed {failed[0].proposal.replicate} failed: {failed[0].reason}"
        values = self._values(finalist)
        if not values or len(values) == self._n_seeds:
            return None
        hope = self._filled(values, self._best(self._all_values()))
        for rival in self._finalists:
            rivals = self._values(rival)
            if rival is finalist or not rivals or any(run.state == "failed" for run in self._runs(rival)):
                continue
            fear = self._filled(rivals, self._worst(rivals))
            if better(self._metric, fear, hope):
                return f"its mean can no longer be better than that of trial {rival.number}"
        return None

    def _filled(self, values: list[float], missing: float) -> float:
        return mean([*values, *[missing] * (self._n_seeds - len(values))])

    def _all_values(self) -> list[float]:
        searched = (trial.value(self._metric) for trial in self._scheduler.trials if trial.state != "failed")
        known = [value for value in searched if value is not None]
        return known + [value for finalist in self._finalists for value in self._values(finalist)]

    def _best(self, values: Sequence[float]) -> float:
        return min(values) if self._metric.endswith("loss") else max(values)

    def _worst(self, values: Sequence[float]) -> float:
        return max(values) if self._metric.endswith("loss") else min(values)

    def _luck(self, ranked: Sequence[Standing]) -> float | None:
        if len(ranked) < 2:
            return None
        first, second = (one.values(self._metric) for one in ranked[:2])
        if min(len(first), len(second)) < 2 or len({*first}) == len({*second}) == 1:
            return None
        from scipy.stats import ttest_ind

        side: Literal["less", "greater"] = "less" if self._metric.endswith("loss") else "greater"
        return float(ttest_ind(first, second, equal_var=False, alternative=side).pvalue)
