"""Promotion: asynchronous successive halving that pauses trials and promotes them, but ends none.

After L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), with three differences: a
paused trial keeps its place; one rung lies between the stages; and some promotions past it go to trials that
rank badly there. What is decided hangs on where the trials stand and on nothing else, not on how they came
there, so a study that is taken up again decides as it would have.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from search.config.space import Space
from search.scheduler.judge import Verdict
from search.scheduler.rungs import reached, rungs_of, value_at
from search.scheduler.trial import Trial, Way
from search.seeds import seed_for
from search.training.segment import Epoch


class Promotion:
    """Holds a trial at a rung against all trials that reached the same rung.

    In the best share (one in `pruner.reduction_factor`) of them it goes on, else it is paused. Recipes count
    but are never paused; points at which the search begins are not at the end of stage 1, since they were
    named for what they come to, and not at a later rung where they are the best so far, although the first
    few have no best third. Failed trials do not count. Of equals the one with the lower number is better.

    Args:
        space: The search space.
        is_last_call: Tells whether no new trial will start. Then the best trial of the search at each rung
            goes on even where a third of the trials there is less than one, so the best one comes to its end.
    """

    def __init__(self, space: Space, is_last_call: Callable[[], bool]) -> None:
        self._metric, self._seed = space.objective.metric, space.seed
        self._sign = 1.0 if space.objective.direction == "minimize" else -1.0
        self._long_shot_every = space.pruner.long_shot_every
        self._rungs, self._is_last_call = rungs_of(space.pruner), is_last_call
        later = [space.pruner.reduction_factor for _ in self._rungs[1:]]
        self._factors = [space.pruner.head_reduction_factor, *later]
        self._trials: dict[int, Trial] = {}
        self._n_starts, self._starts = len(space.starts), set[int]()
        # by rung: the value of each trial that reached it, by number
        self._values: list[dict[int, float]] = [{} for _ in self._rungs]

    def begin(self, trial: Trial) -> None:
        """Take a trial in; one that continues another stands in its place."""
        self._trials[trial.number] = trial
        is_of_search = trial.proposal.recipe is None and trial.proposal.continues is None
        if is_of_search and len(self._starts) < self._n_starts:
            self._starts.add(trial.number)
        for values in self._values:
            if trial.proposal.continues in values:
                values[trial.number] = values.pop(trial.proposal.continues)

    def observe(self, trial: Trial, epoch: Epoch) -> Verdict | None:
        """Judge a trial after an epoch; one that was promoted past this rung before goes on."""
        rung = reached(self._rungs, trial, epoch, self._metric)
        if rung is None:
            return None
        self._values[rung][trial.number] = value_at(trial, epoch.stage, self._metric)
        has_rest = trial.current_stage(self._metric) is not None
        is_start = trial.number in self._starts
        is_named = trial.proposal.recipe or (is_start and (rung == 0 or self._ranked(rung)[0] is trial))
        if is_named or not has_rest or rung < len(trial.promotions):
            return None
        if self._belongs_on(trial, rung):
            return None
        return Verdict("paused", f"paused at {self._rungs[rung]}, {self._standing(trial, rung)}")

    def go_on(self, trial: Trial, epoch: Epoch) -> None:
        """Note that a trial gets past a rung, if this is one."""
        rung = reached(self._rungs, trial, epoch, self._metric)
        is_new = rung is not None and rung == len(trial.promotions)
        if is_new and not trial.proposal.recipe and trial.current_stage(self._metric) is not None:
            trial.promotions.append("rank")

    def end(self, trial: Trial) -> None:
        """Take a trial that failed off its rungs."""
        if trial.state == "failed":
            for values in self._values:
                values.pop(trial.number, None)

    def due(self) -> Iterator[list[tuple[Trial, Way]]]:
        """Find the waiting trials that belong among the best of their rung by now, the highest rung first."""
        for rung in reversed(range(len(self._rungs))):
            waiting = self._waiting(rung)
            best = [trial for trial in waiting if self._belongs_on(trial, rung)]
            if rung == 0 and len(best) < len(waiting) and self._long_shot_is_due():
                yield [(self._drawn([trial for trial in waiting if trial not in best]), "long shot")]
            if best:
                yield [(trial, "rank") for trial in best]

    def last(self) -> Trial | None:
        """Give the worst of the lowest rung of stage 2, then that of stage 1, whose checkpoints are small.

        One that is closed waits no more.
        """
        for rung in (*range(1, len(self._rungs)), 0):
            open_ones = [trial for trial in self._waiting(rung) if not trial.closed]
            if open_ones:
                return open_ones[-1]
        return None

    def leader(self) -> Trial | None:
        """Give the first waiting trial of the highest rung that would go on in a last call."""
        for rung in reversed(range(len(self._rungs))):
            for trial in self._waiting(rung):
                if self._is_in_best_share(trial, rung) or self._leads(trial, rung):
                    return trial
        return None

    def _waiting(self, rung: int) -> list[Trial]:
        return [trial for trial in self._ranked(rung) if self._waits_at(trial, rung)]

    def _belongs_on(self, trial: Trial, rung: int) -> bool:
        if self._is_in_best_share(trial, rung):
            return True
        return self._leads(trial, rung) and self._is_last_call()

    def _is_in_best_share(self, trial: Trial, rung: int) -> bool:
        ranked = self._ranked(rung)
        return ranked.index(trial) < len(ranked) // self._factors[rung]

    def _leads(self, trial: Trial, rung: int) -> bool:
        """Tell whether a trial is the best of the search at a rung."""
        ranked = self._ranked(rung)
        return next(one for one in ranked if one is trial or self._goes_beyond(one, rung)) is trial

    def _goes_beyond(self, trial: Trial, rung: int) -> bool:
        """Tell whether a trial of the search got past a rung or waits there to."""
        return len(trial.promotions) > rung or self._waits_at(trial, rung)

    def _waits_at(self, trial: Trial, rung: int) -> bool:
        return (trial.state == "paused" or trial.closed) and len(trial.promotions) == rung

    def _ranked(self, rung: int) -> list[Trial]:
        values = self._values[rung]
        return [
            self._trials[number]
            for number in sorted(values, key=lambda number: (self._sign * values[number], number))
        ]

    def _standing(self, trial: Trial, rung: int) -> str:
        ranked, value = self._ranked(rung), self._values[rung][trial.number]
        return f"rank {ranked.index(trial) + 1} of {len(ranked)}: {self._metric} {value:.4g}"

    def _long_shot_is_due(self) -> bool:
        if self._long_shot_every == 0:
            return False
        ways = Counter(trial.promotions[0] for trial in self._ranked(0) if trial.promotions)
        return ways["rank"] // (self._long_shot_every - 1) > ways["long shot"]

    def _drawn(self, shots: list[Trial]) -> Trial:
        n_promoted = sum(bool(trial.promotions) for trial in self._ranked(0))
        draw = np.random.default_rng(seed_for(self._seed, "long shot", n_promoted))
        return shots[int(draw.integers(len(shots)))]
