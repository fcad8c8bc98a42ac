"""What a trial's settings give when they are run alone, in the test's own process and an empty store."""

from functools import cache
from pathlib import Path

from optuna.trial import FrozenTrial

from search.config.read import read_space
from search.config.trial_config import STAGES, TrialConfig
from search.data.split import SplitRule
from search.data.table import read_pictures
from search.model.backbones import BACKBONES
from search.scheduler.steps import most_epochs, step_of
from search.store.entries import Store
from search.training.segment import Accumulation, Segment
from search.training.worker import Worker, WorkerPlan


class Alone:
    """Trains settings one after another.

    Args:
        space: The space file of the study.
        data: Its pictures.
        folder: An empty folder.
    """

    def __init__(self, space: Path, data: Path, folder: Path) -> None:
        self._space = read_space(str(space), ("recipes=[]",), BACKBONES, False).space
        split = self._space.data.split
        store, rule = Store(folder / "store"), SplitRule(split.validation, split.test, split.seed)
        table = read_pictures(data, rule, name="small", source=str(data), store=store)
        plan = WorkerPlan(table, self._space.data.draw_seed, store.root, None, self._space.reuse)
        self._worker = Worker(plan, lambda stage, epoch, share: None)
        self._most_head = most_epochs(self._space, "head")
        self.values = cache(self._values)

    def expects(self, trial: FrozenTrial) -> dict[int, float]:
        """Give what a trial should have reported, at the steps of whole epochs at which it did."""
        config = TrialConfig.model_validate(trial.user_attrs["config"])
        accumulation = trial.user_attrs.get("accumulation")
        found = self.values(config, Accumulation(**accumulation) if accumulation else None)
        return {step: found[step] for step in trial.intermediate_values if step in found}

    def _values(self, config: TrialConfig, accumulation: Accumulation | None) -> dict[int, float]:
        metric, found = self._space.objective.metric, {}
        for stage in STAGES[: 1 + config.tunes]:
            until, head = config.epochs(stage), config.head_epochs
            asked = Segment(
                config, stage, until, 0, head, metric, self._space.seed, accumulation=accumulation
            )
            for epoch in self._worker.run(asked).epochs:
                found[step_of(stage, epoch.epoch, self._most_head)] = epoch.metrics[metric]
                last = epoch.metrics[metric]
            if stage == "head":
                found.setdefault(4 * self._most_head, last)
        return found


def check_values(alone: Alone, trials: list[FrozenTrial]) -> None:
    """Hold every reported value of every trial against those of its settings alone."""
    for trial in trials:
        assert trial.intermediate_values, f"trial {trial.number} has no epoch"
        assert dict(trial.intermediate_values) == alone.expects(trial), trial.number
