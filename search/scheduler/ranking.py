"""Ranking: the best trials of a study."""

from collections.abc import Iterator, Sequence
from itertools import islice

from search.scheduler.trial import Trial

# Trials that are looked at more closely at the end, beside the recipes
BEST_FEW = 3


def best_of(trials: Sequence[Trial], most: int, metric: str) -> Iterator[Trial]:
    """Give the best complete trials, the best one first, equals by number; recipes among them.

    Of trials with the same settings, which have the same value, only the first one.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    sign = 1.0 if metric.endswith("loss") else -1.0
    ranked = sorted(complete, key=lambda trial: sign * (trial.value(metric) or 0.0))
    yield from islice(_once_each(ranked), most)


def _once_each(trials: Sequence[Trial]) -> Iterator[Trial]:
    seen: list[object] = []
    for trial in trials:
        settings = trial.config.flat()
        if settings not in seen:
            seen.append(settings)
            yield trial
