"""Prober: measures what the codes of a backbone are worth, and what its epochs cost, before any training."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from search.config.sections import Precision
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.digests import digest_of
from search.errors import DataError
from search.store.entries import Store
from search.training.features import Features
from search.training.keys import Facts
from search.training.metrics import smoothed
from search.training.probe import MOST_PROBED, Probe
from search.training.workshop import FORWARD_BATCH, Bench, Workshop

# Raised whenever a change of this code changes what it measures.
_FORMAT = 1

# Calls that are timed; the first one may compile and does not count.
_TIMED_CALLS, _TIMED_STEPS = 4, 6

_FILE = "measured.json"


class Prober:
    """Measures one backbone on the training pictures; validation and test pictures are not looked at.

    What was measured is kept in the store for ever: seconds would be others the next time.

    Args:
        store: Where features and measurements are; None measures anew each time.
        workshop: Where networks and programs come from.
        config: Names the backbone, where its codes are taken, and what stage 2 trains; with `augment` 0.
        images: The pictures.
        weights: The file of its weights.
        facts: What else decides.
        precision: What features are kept in.
    """

    def __init__(
        self,
        store: Store | None,
        workshop: Workshop,
        config: TrialConfig,
        images: ImageSet,
        weights: Path | None,
        facts: Facts,
        precision: Precision,
    ) -> None:
        self._store, self._workshop, self._images, self._weights = store, workshop, images, weights
        self._config = config
        self._facts = {
            "backbone": config.backbone,
            "codes": config.codes,
            "facts": dict(facts),
            "format": _FORMAT,
        }
        self._features = Features(store, workshop.augmentation, facts, precision)

    def probe(self, seed: int) -> Probe:
        """Probe the codes.

        Args:
            seed: Decides the parts of the cross-validation, and which pictures a large set is probed on.

        Raises:
            SpaceError: What the backbone gives where `codes` says is no feature map.
            DataError: There are not two classes with two training pictures each.
        """
        asked = {"probe": {"seed": seed, "most": MOST_PROBED}}
        return Probe(**self._kept(asked, lambda: self._probed(seed)))

    def epoch_seconds(self) -> float:
        """Time some training steps of stage 2, and scale them to an epoch.

        The learning rate is 0, so no weight moves. Where the frozen part can be stored, the steps go through
        what is trained only.
        """
        config = self._config
        asked = {"epoch": [config.unfreeze, config.batch_norm, config.batch_size, config.optimizer]}
        found = self._kept(asked, lambda: {"seconds": self._timed_epoch()})
        return float(found["seconds"])

    def _kept(self, asked: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Read what was measured, or measure and keep it."""
        if self._store is None:
            return measure()
        key = digest_of({**self._facts, **asked})
        known: dict[str, Any] | None = self._store.read("probes", key, _read)
        if known is None:
            known = measure()
            with self._store.build("probes", key) as draft:
                (draft / _FILE).write_text(json.dumps(known))
        return known

    def _probed(self, seed: int) -> dict[str, Any]:
        # loaded here: what takes a second, and only advice needs
        from search.training.linear_probe import linear_probe, neighbour_accuracy
        from search.training.logme import logme

        labels = self._images.labels_of("train")
        positions = _sample(len(labels), seed)
        common = in_common_classes(labels[positions])
        bench = self._workshop.bench(self._config, self._weights, len(self._images.classes))
        bench.network.restore_backbone()
        codes = self._features.of_some(bench.head, self._config, self._images, positions)[common]
        labels = labels[positions][common]
        linear = linear_probe(codes, labels, seed)
        found = Probe(
            backbone=self._config.backbone,
            codes=self._config.codes,
            layer=bench.network.backbone.operations[-1].name,
            width=codes.shape[1],
            image_size_px=self._config.image_size,
            n_pictures=len(labels),
            accuracy=linear.accuracy,
            error=linear.error,
            loss=linear.loss,
            neighbour_accuracy=neighbour_accuracy(codes, labels),
            logme=logme(codes, labels),
            forward_s=self._forward_seconds(bench),
        )
        return asdict(found)

    def _forward_seconds(self, bench: Bench) -> float:
        program = bench.head.frozen
        assert program is not None, "a head is trained on features"
        rows = self._images.rows["train"]
        pictures = self._images.images[rows[:FORWARD_BATCH]]
        seconds = [_seconds(lambda: program(pictures)) for _ in range(_TIMED_CALLS)]
        return median(seconds[1:]) * len(rows) / len(pictures)

    def _timed_epoch(self) -> float:
        config, n_classes = self._config, len(self._images.classes)
        bench = self._workshop.bench(config, self._weights, n_classes)
        way = self._workshop.way(bench, config, "tune")
        program = self._workshop.training(bench, config, "tune")
        rows = self._images.rows["train"]
        some = np.resize(rows, config.batch_size)  # over and over where there are fewer
        inputs = self._images.images[some]
        inputs = inputs if way.frozen is None else way.frozen(inputs)
        targets = smoothed(self._images.labels[some], n_classes, 0.0)
        weights, still = np.ones(len(some), np.float32), np.zeros(1, np.float32)
        program.reset(weight_decay=0.0)

        def step() -> None:
            program.run(inputs, targets, weights, still)

        seconds = [_seconds(step) for _ in range(_TIMED_STEPS)]
        # the first step compiles
        return median(seconds[1:]) * math.ceil(len(rows) / config.batch_size)


def _sample(n: int, seed: int) -> np.ndarray:
    """Choose which of `n` pictures are probed, ascending: all, or `MOST_PROBED` of them."""
    if n <= MOST_PROBED:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST_PROBED])


def in_common_classes(labels: np.ndarray) -> np.ndarray:
    """Tell which pictures can be probed: one that is the only one of its class cannot be left out in turn.

    Args:
        labels: `(n,) int`.

    Returns:
        `(n,) bool`.

    Raises:
        DataError: There are not two classes with two pictures each.
    """
    classes, counts = np.unique(labels, return_counts=True)
    common = classes[counts > 1]
    if len(common) < 2:
        raise DataError(
            "Advice needs two classes with two training pictures each, and the pictures have "
            f"{len(common)} such; add pictures, or search without it: --set advice.enabled=false."
        )
    return np.isin(labels, common)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _read(entry: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((entry / _FILE).read_text())
    return found
