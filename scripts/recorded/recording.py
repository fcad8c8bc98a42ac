"""Recording: trains every point of the factorial with two seeds, as long as time allows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recorded.costs import Stopwatch
from recorded.factorial import Point, points_of
from recorded.measured import Measured
from search.config.space import Space
from search.config.trial_config import Stage, TrialConfig
from search.data.image_set import ImageSet
from search.errors import TrialError
from search.store.entries import Store
from search.training.rows import Rows
from search.training.segment import Epoch, Segment
from search.training.trainer import Trainer

# The replicates of the study's seed, as finalists have them: what schedulers see, and what judges them.
REPLICATES = (0, 1)


@dataclass(frozen=True)
class Run:
    """One training: a point of the factorial with one seed, all epochs of both stages.

    Attributes:
        point: The free settings.
        replicate: The seed.
        head: The epochs of stage 1; fewer than asked for where the loss was not finite.
        tune: The epochs of stage 2; the same.
    """

    point: Point
    replicate: int
    head: tuple[Epoch, ...]
    tune: tuple[Epoch, ...]


class Recording:
    """The trainings of one space, in a home that remembers them.

    Args:
        space: Its free settings make the factorial.
        head_epochs: Epochs of stage 1 to record; stage 2 starts from `head.epochs`.
        images: The pictures.
        weights: Gives the weights file of a config.
        home: Where epochs and checkpoints are kept.
    """

    def __init__(
        self,
        space: Space,
        head_epochs: int,
        images: ImageSet,
        weights: Callable[[TrialConfig], Path | None],
        home: Path,
    ) -> None:
        self._space, self._head_epochs = space, head_epochs
        self._images, self._weights = images, weights
        self.points = points_of(space)
        self._trainer = self._make(home)

    def measure(self, place: Path) -> list[Measured]:
        """Compile everything and time it, with an empty folder to work in."""
        workplace = self._make(place)
        workplace.workshop = self._trainer.workshop
        configs = [self._space.config(dict(point)) for point in self.points]
        return Stopwatch(workplace, self._images, self._weights).measure(configs)

    def runs(self, most_s: float) -> Iterator[Run]:
        """Train what is not known yet and replay the rest, until it is done or the time is over.

        Yields:
            Whole runs, both seeds of a point after each other.
        """
        deadline = time.monotonic() + most_s
        for point in self.points:
            for replicate in REPLICATES:
                run = self._run(point, replicate, deadline)
                if run is None:
                    return
                yield run

    def _run(self, point: Point, replicate: int, deadline: float) -> Run | None:
        config = self._space.config(dict(point))
        epochs: dict[Stage, list[Epoch]] = {"head": [], "tune": []}
        try:
            for stage, until in self._steps(config):
                if time.monotonic() > deadline:
                    return None
                segment = Segment(
                    config,
                    stage,
                    until,
                    until - 1,
                    config.head_epochs,
                    self._space.objective.metric,
                    self._space.seed,
                    replicate,
                )
                epochs[stage] += self._trainer.run(segment).epochs
        except TrialError as error:
            print(f"{dict(point)}: {error}")
        return Run(point, replicate, tuple(epochs["head"]), tuple(epochs["tune"]))

    def _steps(self, config: TrialConfig) -> list[tuple[Stage, int]]:
        head: list[tuple[Stage, int]] = [("head", until) for until in range(1, self._head_epochs + 1)]
        return head + [("tune", until) for until in range(1, config.tune_epochs + 1)]

    def _make(self, home: Path) -> Trainer:
        store, rows = Store(home / "store"), Rows(home / "epochs")
        return Trainer(store, rows, lambda px: self._images, self._weights, self._images.draw_seed)
