"""Ranking: the best trials of a study."""

from collections.abc import Iterator, Sequence
from itertools import islice

from search.scheduler.trial import Trial

# Trials that are looked at more closely at the end, beside the recipes
BEST_FEW = 3


def best_of(trials: Sequence[Trial], most: int, metric: str) -> Iterator[Trial]:
    """Give the best trials, the best one first, equals by number; recipes among them.

    One that is paused, or that the end of the budget stopped, counts with what it has come to; one that was
    pruned or failed does not. Of trials with the same settings only the best one.
    """
    sign = 1.0 if metric.endswith("loss") else -1.0
    known = [(trial.value(metric), trial) for trial in trials if trial.is_in]
    places = [(sign * value, trial) for value, trial in known if value is not None]
    ranked = [trial for _, trial in sorted(places, key=lambda place: place[0])]
    yield from islice(_once_each(ranked), most)


def _once_each(trials: Sequence[Trial]) -> Iterator[Trial]:
    seen: list[object] = []
    for trial in trials:
        settings = trial.config.flat()
        if settings not in seen:
            seen.append(settings)
            yield trial
