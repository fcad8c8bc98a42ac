"""Simulated time: what the segments of a study would have taken, one after the other."""

from collections.abc import Hashable, Iterable

from recorded.measured import Measured
from search.data.draws import draw_of_epoch
from search.training.keys import checkpoint_key
from search.training.segment import Segment


class Clock:
    """The clock of one study that starts from an empty store, with one worker.

    Args:
        costs: What was measured.

    Attributes:
        now_s: Seconds that have passed.
    """

    def __init__(self, costs: Iterable[Measured]) -> None:
        self.now_s = 0.0
        self._heads: dict[tuple[str, float], Measured] = {}
        self._tunes: dict[tuple[str, float | str, float], Measured] = {}
        self._done: set[Hashable] = set()
        self._seconds: dict[str, float] = {}
        for one in costs:
            self._heads.setdefault((one.backbone, one.augment), one)
            self._tunes[one.backbone, one.unfreeze, one.augment] = one

    def train(self, segment: Segment) -> tuple[float, bool]:
        """Let the last epoch of a segment take its time, unless the study may take it from its store.

        Returns:
            The seconds that it took when it was trained, and whether that was now.
        """
        key = checkpoint_key(segment, segment.stage, segment.until, 0, {})
        if key in self._seconds:
            return self._seconds[key], False
        seconds = self._head_s(segment) if segment.stage == "head" else self._tune_s(segment)
        self._seconds[key] = seconds
        self.now_s += seconds
        return seconds, True

    def _head_s(self, segment: Segment) -> float:
        config = segment.config
        cost = self._heads[config.backbone, config.augment]
        seconds = cost.head + self._once(cost.compile_backbone, "backbone", config.backbone)
        seconds += self._once(cost.features_validation, "validation", config.backbone, _owned(segment))
        return seconds + self._once(
            cost.features_train, "train", config.backbone, config.augment, _draw(segment), _owned(segment)
        )

    def _tune_s(self, segment: Segment) -> float:
        config = segment.config
        cost = self._tunes[config.backbone, config.unfreeze, config.augment]
        kind = (config.backbone, config.unfreeze)
        seconds = cost.tune + self._once(cost.compile_tune, "tune", *kind)
        seconds += self._once(cost.cut_validation, "cut", *kind, _owned(segment))
        return seconds + self._once(
            cost.cut_train, "cut", *kind, config.augment, _draw(segment), _owned(segment)
        )

    def _once(self, seconds: float, *what: Hashable) -> float:
        if what in self._done:
            return 0.0
        self._done.add(what)
        return seconds


def _draw(segment: Segment) -> int:
    """Which draw the last epoch of a segment takes."""
    config = segment.config
    return draw_of_epoch(segment.until - 1, config.n_draws, config.augment)


def _owned(segment: Segment) -> Hashable:
    """Who alone may use what is computed: with an owner nothing is stored, so each epoch computes its own."""
    return segment.owner and (segment.owner, segment.until)
