"""Regret: how far from the best that a table holds what a scheduler chose is, by a seed it never saw."""

from recorded.curves import Table
from recorded.factorial import points_of
from recorded.replay import Incumbent
from search.config.trial_config import STAGES, TrialConfig
from search.training.segment import better


class Referee:
    """Judges incumbents by the second seed.

    Args:
        table: The table.
        in_hand: Whether an incumbent is worth what it came to by its last epoch, the model that is there,
            and not what its settings come to when both stages are trained to their end.

    Attributes:
        best: The best value of the table.
        worst: The worst value of the table, that of having nothing.
    """

    def __init__(self, table: Table, in_hand: bool = False) -> None:
        self._table, self._in_hand = table, in_hand
        self._metric = table.space.objective.metric
        self._known: dict[tuple[TrialConfig, int, int], float | None] = {}
        configs = [table.space.config(dict(point)) for point in points_of(table.space)]
        values = [self._value(config, config.head_epochs, config.tune_epochs) for config in configs]
        ranked = sorted(value for value in values if value is not None)
        low, high = ranked[0], ranked[-1]
        self.best, self.worst = (low, high) if self._metric.endswith("loss") else (high, low)

    def regret(self, incumbent: Incumbent | None) -> float:
        """Give the distance to the best value of the table, 0 or more; before the first epoch the largest."""
        if incumbent is None:
            return abs(self.worst - self.best)
        config, n_head, n_tune = incumbent.config, incumbent.head_epochs, incumbent.tune_epochs
        if not self._in_hand:
            n_head, n_tune = config.head_epochs, config.tune_epochs
        place = (config, n_head, n_tune)
        if place not in self._known:
            self._known[place] = self._value(*place)
        value = self._known[place]
        return abs((self.worst if value is None else value) - self.best)

    def _value(self, config: TrialConfig, n_head: int, n_tune: int) -> float | None:
        """Give a trial's value by the second seed; None if its loss was never finite."""
        best: float | None = None
        for stage, until in zip(STAGES, (n_head, n_tune), strict=True):
            if stage not in config.stages:
                continue
            for value in self._table.judging.values(config, stage, until, self._metric):
                best = value if better(self._metric, value, best) else best
        return best
