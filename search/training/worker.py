"""Worker: one process's hands. It is made from a plan that can be sent to it, and answers calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet, image_set
from search.data.table import DataSet
from search.model.backbones import backbone
from search.model.loading import load_keras
from search.model.weights import find_weights
from search.store.entries import Store
from search.training.probe import Probe
from search.training.segment import Cost, Progress, Segment, SegmentResult, Size

if TYPE_CHECKING:
    from search.training.trainer import Trainer


@dataclass(frozen=True)
class WorkerPlan:
    """All that a worker needs to know.

    Attributes:
        data: The table of the pictures.
        draw_seed: The data's draw seed.
        store: Folder of the store.
        weights: The user's folder of weights.
        reuse: How work is stored.
    """

    data: DataSet
    draw_seed: int
    store: Path
    weights: Path | None
    reuse: Reuse = field(default_factory=Reuse)


class Worker:
    """Trains, predicts and exports. Keras is loaded at the first call that needs it.

    Args:
        plan: What it needs to know.
        progress: Told after each part of an epoch: stage, epoch, share done.
    """

    def __init__(self, plan: WorkerPlan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._store = Store(plan.store, plan.reuse.limit_bytes)
        self._images: dict[int, ImageSet] = {}

    def run(self, segment: Segment) -> SegmentResult:
        """Bring a trial to an epoch of a stage.

        Raises:
            TrialError: The trial is lost.
        """
        return self._trainer.run(segment)

    def predict(self, segment: Segment, split: str) -> np.ndarray:
        """Predict a split with the best weights by the end of a segment: `(n, classes) float32` logits."""
        return self._trainer.predict_best(segment, split)

    def export(self, segment: Segment, path: Path) -> None:
        """Save the best weights by the end of a segment as a standard `.keras` model."""
        from search.training.export import save_model

        save_model(self._trainer.load_best(segment).network, segment.config, path)

    def cost(self, config: TrialConfig) -> Cost:
        """Time a backbone's forward pass."""
        return self._trainer.cost(config)

    def size(self, config: TrialConfig) -> Size:
        """Measure a network's parameters and its time for one picture."""
        return self._trainer.size(config)

    def probe(self, config: TrialConfig, seed: int) -> Probe:
        """Probe the codes of a config's backbone.

        Raises:
            SpaceError: It has none where `codes` says.
            DataError: There are too few training pictures.
        """
        return self._trainer.prober(config).probe(seed)

    def epoch_seconds(self, config: TrialConfig) -> float:
        """Measure the training of one epoch of a config's stage 2, from some of its steps."""
        return self._trainer.prober(config).epoch_seconds()

    def check(self, config: TrialConfig, metric: str) -> None:
        """Build the network of a config, find what it unfreezes, and make its callbacks.

        Raises:
            UserError: The weights are another network's, the backbone has no such layer, or a callback does
                not fit.
        """
        self._trainer.check(config, metric)

    def augmented(self, config: TrialConfig, strengths: Sequence[float], n_draws: int) -> np.ndarray:
        """Change the first training picture as trials of a config do.

        Returns:
            `(strengths, n_draws, px, px, 3) uint8`.
        """
        images = self.images(config.image_size)
        rows, augmentation = images.rows["train"][:1], self._trainer.workshop.augmentation_of(config)
        pictures, content = images.images[rows], images.content[rows]
        return np.stack(
            [
                np.concatenate([augmentation(pictures, content, draw, strength) for draw in range(n_draws)])
                for strength in strengths
            ]
        )

    def images(self, image_size_px: int) -> ImageSet:
        """Give the pictures at a size."""
        if image_size_px not in self._images:
            plan = self._plan
            self._images[image_size_px] = image_set(plan.data, image_size_px, plan.draw_seed, self._store)
        return self._images[image_size_px]

    @cached_property
    def _trainer(self) -> "Trainer":
        load_keras()
        from search.training.rows import Rows
        from search.training.trainer import Trainer

        plan, rows = self._plan, Rows(self._plan.store / "epochs")
        weights, progress = self._weights_of, self._progress
        return Trainer(self._store, rows, self.images, weights, plan.draw_seed, progress, plan.reuse)

    def _weights_of(self, config: TrialConfig) -> Path | None:
        return find_weights(backbone(config.backbone), config.image_size, config.weights, self._plan.weights)
