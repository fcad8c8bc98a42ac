"""What trainings cost on this machine, with compilation apart.

Measured before the recording, in a store that is thrown away, so that no recorded epoch compiles anything
and its seconds are those of every later epoch.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recorded.measured import Measured
from search.config.trial_config import Stage, TrialConfig
from search.data.image_set import ImageSet
from search.training.features import Features
from search.training.segment import Segment
from search.training.stage_training import predict
from search.training.trainer import Trainer
from search.training.workshop import Bench, Way

# Epochs timed after the one that compiles; their median is taken.
_TIMED = 2

_SPLITS = ("train", "validation")


class Stopwatch:
    """Compiles what a set of configurations needs in a trainer's workshop, and times it.

    Args:
        workplace: A trainer with a store of its own and the workshop that the recording will use.
        images: The pictures.
        weights: The weights file of a config.
    """

    def __init__(
        self, workplace: Trainer, images: ImageSet, weights: Callable[[TrialConfig], Path | None]
    ) -> None:
        self._trainer, self._images, self._weights = workplace, images, weights
        self._features = Features(None, workplace.workshop.augmentation, {}, "float32")

    def measure(self, configs: Sequence[TrialConfig]) -> list[Measured]:
        """Measure each (backbone, unfreeze, augment) that occurs."""
        kinds = {(c.backbone, str(c.unfreeze), c.augment): c for c in configs}
        of_backbone = {c.backbone: self._compile_backbone(c) for c in kinds.values()}
        compiled: dict[tuple[str, str], float] = {}
        measured = []
        for (name, depth, _), config in sorted(kinds.items()):
            parts = self._of(config)
            compiled.setdefault((name, depth), parts.pop("compile_tune"))
            measured.append(
                Measured(
                    backbone=name,
                    unfreeze=config.unfreeze,
                    augment=config.augment,
                    compile_backbone=of_backbone[name],
                    compile_tune=compiled[name, depth],
                    **parts,
                )
            )
        return measured

    def _compile_backbone(self, config: TrialConfig) -> float:
        build_s = _seconds(lambda: self._bench(config))
        bench = self._bench(config)
        plain = config.model_copy(update={"augment": 0.0})
        forward = _excess(lambda: self._pass(bench.head, plain, "validation"))
        whole = _excess(lambda: predict(bench, self._images, "validation"))
        features_s = sum(self._pass_s(bench.head, plain, split) for split in _SPLITS)
        first, *later = self._epochs(plain, "head")
        return build_s + forward + whole + max(0.0, first - features_s - statistics.median(later))

    def _of(self, config: TrialConfig) -> dict[str, Any]:
        bench = self._bench(config)
        self._pass(bench.head, config, "train")
        head = self._epochs(config.model_copy(update={"augment": 0.0}), "head")
        # one draw, so that all epochs but the first find it stored
        first, *later = self._epochs(config.model_copy(update={"n_draws": 1}), "tune")
        way = self._trainer.workshop.way(bench, config, "tune")
        train_s, validation_s = (self._pass_s(way, config, split) if way.pays else 0.0 for split in _SPLITS)
        return {
            "compile_tune": max(0.0, first - statistics.median(later) - train_s - validation_s),
            "features_train": self._pass_s(bench.head, config, "train"),
            "features_validation": self._pass_s(bench.head, config, "validation"),
            "head": statistics.median(head[1:]),
            "cut_train": train_s,
            "cut_validation": validation_s,
            "tune": statistics.median(later),
        }

    def _pass_s(self, way: Way, config: TrialConfig, split: str) -> float:
        return _seconds(lambda: self._pass(way, config, split))

    def _pass(self, way: Way, config: TrialConfig, split: str) -> None:
        """Compute the features of a split."""
        if split == "train":
            source = self._features.of_epoch(way, config, self._images, 1)
        else:
            source = self._features.of_validation(way, config, self._images)
        source.take(np.arange(len(self._images.rows[split])))

    def _bench(self, config: TrialConfig) -> Bench:
        return self._trainer.workshop.bench(config, self._weights(config), len(self._images.classes))

    def _epochs(self, config: TrialConfig, stage: Stage) -> list[float]:
        """Train one epoch more than is timed; replayed epochs give the seconds of their first run."""
        until = 1 + _TIMED
        segment = Segment(config, stage, until, 0, 1, "val_loss", 0)
        return [epoch.seconds for epoch in self._trainer.run(segment).epochs]


def _excess(call: Callable[[], object]) -> float:
    """How much longer the first call takes than the second."""
    return max(0.0, _seconds(call) - _seconds(call))


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started
