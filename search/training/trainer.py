"""Trainer: runs segments. It knows neither Optuna nor MLflow."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from search.config.sections import Reuse
from search.config.trial_config import FLIP_ROTATION, Stage, TrialConfig
from search.data.image_set import ImageSet
from search.data.own_augmentor import OwnAugmentor
from search.errors import OutOfMemory
from search.model.memory import memory_errors
from search.model.network import Network
from search.model.programs import forward_program
from search.store.entries import Store
from search.training.backbone_facts import BackboneFacts
from search.training.callback_making import check_callbacks, identity_of
from search.training.callbacks import files_of, folder_of
from search.training.checkpoint import Checkpoint
from search.training.environment import environment
from search.training.features import Features
from search.training.keys import Facts, checkpoint_key
from search.training.own_functions import ingredients
from search.training.prober import Prober
from search.training.rows import Rows
from search.training.segment import Cost, Epoch, Progress, Segment, SegmentResult, Size, stage_ended
from search.training.stage_training import StageTraining, predict
from search.training.workshop import FORWARD_BATCH, Bench, Workshop

_REUSE = Reuse()

_T = TypeVar("_T")

# Pictures whose median time is a network's latency
_TIMED_PICTURES = 15


@dataclass(frozen=True)
class _Stage:
    """One stage of one trial, with all that its keys are made of."""

    segment: Segment
    images: ImageSet
    facts: Facts
    callbacks: Sequence[Any]

    def key(self, epoch: int) -> str:
        # no feature hangs on callbacks, so they are not among the facts of all keys
        facts = {**self.facts, "callbacks": self.callbacks} if self.callbacks else self.facts
        return checkpoint_key(self.segment, self.segment.stage, epoch, self.images.draw_seed, facts)


class Trainer:
    """Runs the segments of one process.

    Args:
        store: Where features and checkpoints are.
        rows: Where the metrics of epochs are.
        images: Gives the pictures at a size in pixels.
        weights: Gives the weights file or folder of a config, None for random weights.
        draw_seed: The data's draw seed.
        progress: Told after each part of an epoch: stage, epoch, share done.
        reuse: How work is stored.
    """

    def __init__(
        self,
        store: Store,
        rows: Rows,
        images: Callable[[int], ImageSet],
        weights: Callable[[TrialConfig], Path | None],
        draw_seed: int,
        progress: Progress = lambda stage, epoch, share: None,
        reuse: Reuse = _REUSE,
    ) -> None:
        self._store, self._rows, self._reuse = store, rows, reuse
        self._images, self._weights, self._progress = images, weights, progress
        self._environment = environment()
        self._backbones = BackboneFacts()
        self._own: dict[tuple[object, ...], Facts] = {}
        self._written: dict[str, TrialConfig] = {}
        self._live: tuple[str, StageTraining] | None = None
        self.workshop = Workshop(draw_seed, reuse.fold_batch_norm)

    def run(self, segment: Segment) -> SegmentResult:
        """Bring a trial to an epoch of a stage: replay what is stored, train the rest.

        A stage that a callback ends stays there.

        Raises:
            TrialError: The loss is not finite.
            OutOfMemory: There is too little memory; by then no network is in it.
            SpaceError: A callback does what cannot be kept.
        """
        return self._in_memory(segment, segment.until, lambda: self._run(segment))

    def _run(self, segment: Segment) -> SegmentResult:
        stage, n_programs = self._stage(segment), self.workshop.compiled
        self._store.touch("arrays", stage.images.key)
        epochs = self._stored_rows(stage)
        start = len(epochs)
        if start < segment.until:
            start = self._last_checkpoint(stage, start)
            epochs = epochs[:start]
        ran = set()
        while len(epochs) < segment.until and not (epochs and epochs[-1].stops):
            epoch, is_new = self._reach(stage, len(epochs) + 1)
            epochs.append(epoch)
            ran |= {epoch.epoch} if is_new else set()
        files = files_of(self._store.root, segment)
        n_programs = self.workshop.compiled - n_programs
        checkpoint = stage.key(len(epochs))
        return SegmentResult(tuple(epochs[segment.after :]), frozenset(ran), checkpoint, n_programs, files)

    def predict_best(self, segment: Segment, split: str) -> np.ndarray:
        """Predict a split with the best weights that a trial had by the end of a segment.

        Returns:
            Logits, `(n of the split, classes) float32`.

        Raises:
            OutOfMemory: As in `run`.
        """
        images = self._images(segment.config.image_size)
        return self._in_memory(
            segment, segment.until, lambda: predict(self.load_best(segment), images, split)
        )

    def load_best(self, segment: Segment) -> Bench:
        """Load the best weights that a trial had by the end of a segment; what is lost is trained again.

        Raises:
            OutOfMemory: As in `run`.
        """
        return self._in_memory(segment, segment.until, lambda: self._load_best(segment))

    def _load_best(self, segment: Segment) -> Bench:
        stage = self._stage(segment)
        checkpoint = self._checkpoint(stage, segment.until)
        self._live = None
        bench = self._bench(stage)
        bench.network.restore_backbone()
        bench.network.assign(checkpoint.best)
        return bench

    def check(self, config: TrialConfig, metric: str) -> None:
        """Build the network of a config, find what it unfreezes, and try what is of the user's own.

        Raises:
            UserError: The weights are another network's, the backbone has no such layer, or a callback or a
                function of the user's own does not do.
        """
        images = self._images(config.image_size)
        check_callbacks(config, metric, len(images.classes))
        bench = self.workshop.bench(config, self._weights(config), len(images.classes))
        for stage in config.stages:
            bench.network.trained_in(config, stage)
        augmentation = self.workshop.augmentation_of(config)
        if isinstance(augmentation, OwnAugmentor):
            augmentation.check(images.images[images.rows["train"][0]])

    def cost(self, config: TrialConfig) -> Cost:
        """Time the forward pass of a config's backbone, after one that compiles it."""
        images = self._images(config.image_size)
        bench = self.workshop.bench(config, self._weights(config), len(images.classes))
        pictures = images.images[:FORWARD_BATCH]
        features = bench.head.frozen
        assert features is not None, "a head is trained on features"
        features(pictures)
        started = time.perf_counter()
        width = features(pictures).shape[1]
        seconds = (time.perf_counter() - started) / len(pictures)
        return Cost(seconds, width, bench.network.backbone.count_params())

    def size(self, config: TrialConfig) -> Size:
        """Measure a config's network; a picture at a time, compiled."""
        images = self._images(config.image_size)
        network = self.workshop.bench(config, self._weights(config), len(images.classes)).network
        program, picture = forward_program(network.whole, 1), images.images[:1]
        program(picture)
        seconds = []
        for _ in range(_TIMED_PICTURES):
            started = time.perf_counter()
            program(picture)
            seconds.append(time.perf_counter() - started)
        parameters = network.backbone.count_params() + network.head.n_parameters
        return Size(parameters, 1000 * median(seconds))

    def prober(self, config: TrialConfig) -> Prober:
        """Give what probes a config's backbone and measures its epochs; no stage is in memory after that."""
        config = config.model_copy(update={"augment": 0.0})
        images, weights = self._images(config.image_size), self._weights(config)
        store = self._store if self._reuse.enabled else None
        facts, self._live = self._facts(config, images), None
        return Prober(store, self.workshop, config, images, weights, facts, self._reuse.features)

    def _stage(self, segment: Segment) -> _Stage:
        config, images = segment.config, self._images(segment.config.image_size)
        return _Stage(segment, images, self._facts(config, images), identity_of(config))

    def _facts(self, config: TrialConfig, images: ImageSet) -> Facts:
        weights = self._weights(config)

        def network() -> Network:
            return self.workshop.bench(config, weights, len(images.classes)).network

        return {
            "pictures": images.key,
            **self._backbones.of(config, weights, network),
            "environment": self._environment,
            "features": self._reuse.features,
            "batch_norm": "folded" if self._reuse.fold_batch_norm else "layers",
            **self._ingredients(config),
        }

    def _ingredients(self, config: TrialConfig) -> Facts:
        """Name the user's own functions, with what they were made of when loaded, and other draws."""
        called = (config.backbone, config.augmentor, config.preprocess, config.augment > 0)
        if called not in self._own:
            drawn = config.augmentor == FLIP_ROTATION and config.augment > 0
            other = {"augmentor": FLIP_ROTATION} if drawn else {}
            self._own[called] = {**other, **ingredients(config)}
        return self._own[called]

    def _bench(self, stage: _Stage) -> Bench:
        config = stage.segment.config
        return self.workshop.bench(config, self._weights(config), len(stage.images.classes))

    def _stored_rows(self, stage: _Stage) -> list[Epoch]:
        """The epochs that are known without a gap from the first one on."""
        rows: list[Epoch] = []
        for number in range(1, stage.segment.until + 1):
            row = self._rows.get(stage.key(number))
            if row is None:
                break
            rows.append(row)
        return rows

    def _last_checkpoint(self, stage: _Stage, most: int) -> int:
        """The last epoch, at most this one, from which the stage can go on; 0 is its start."""
        live = self._live[0] if self._live else None
        for number in range(most, 0, -1):
            key = stage.key(number)
            if key == live or self._store.find("checkpoints", key):
                return number
        return 0

    def _reach(self, stage: _Stage, number: int) -> tuple[Epoch, bool]:
        """Give one epoch, and whether it was trained now rather than by another worker meanwhile."""
        key = stage.key(number)
        with self._store.alone("checkpoints", key):
            known = self._rows.get(key)
            if known is not None and self._store.find("checkpoints", key):
                return known, False
            return self._advance(stage, number), True

    def _advance(self, stage: _Stage, number: int) -> Epoch:
        """Train one epoch from where the one before ended."""
        # What is trained may be the end of stage 1, lost, in a segment of stage 2.
        return self._in_memory(stage.segment, number, lambda: self._train(stage, number))

    def _train(self, stage: _Stage, number: int) -> Epoch:
        training = self._at(stage, number - 1)
        self._live = None
        started = time.monotonic()
        metrics = training.train_epoch(number)
        seconds = time.monotonic() - started
        row = Epoch(
            stage=stage.segment.stage,
            epoch=number,
            metrics=metrics,
            seconds=seconds,
            pictures_per_s=len(stage.images.rows["train"]) / seconds,
            time_ms=time.time_ns() // 1_000_000,
            trained_layers=training.trained_layers,
            trained_parameters=training.trained_parameters,
            saved_s=training.saved_s,
            before=training.before,
            stops=training.stops,
            asker=stage.segment.asker,
        )
        kept = self._rows.put(stage.key(number), row)
        if self._is_over(stage, row):
            training.end()
        self._save(stage, number, training.checkpoint(number, metrics[stage.segment.metric]))
        self._live = (stage.key(number), training)
        return kept

    def _is_over(self, stage: _Stage, last: Epoch) -> bool:
        """Tell whether a stage ends with an epoch; only callbacks want to know."""
        if not stage.callbacks:
            return False
        config, metric = stage.segment.config, stage.segment.metric
        rows = [self._rows.get(stage.key(number)) for number in range(1, last.epoch + 1)]
        values = [row.metrics[metric] for row in rows if row is not None]
        return stage_ended(config, stage.segment.stage, values, metric, last.stops)

    def _at(self, stage: _Stage, number: int) -> StageTraining:
        """Bring the stage to an epoch in memory, in the program of the next one; 0 is its start."""
        reached = self._checkpoint(stage, number) if number > 0 and not self._is_live(stage, number) else None
        parts = stage.segment.parts(stage.segment.stage, number + 1)
        if self._live and self._is_live(stage, number):
            if self._live[1].parts == parts:
                return self._live[1]
            reached = self._live[1].last
        # Asked for only where the stage begins: it may be gone by the time the stage goes on.
        start = self._end_of_head(stage) if stage.segment.stage == "tune" and number == 0 else None
        store = self._store if stage.segment.owner is None else None
        augmentation = self.workshop.augmentation_of(stage.segment.config)
        features = Features(store, augmentation, stage.facts, self._reuse.features)
        training = StageTraining(
            stage.segment,
            stage.images,
            self._bench(stage),
            self.workshop,
            features,
            start,
            self._progress,
            folder_of(self._store.root, stage.segment),
            parts,
        )
        if reached is not None:
            training.resume(reached)
        return training

    def _in_memory(self, segment: Segment, epoch: int, work: Callable[[], _T]) -> _T:
        """Do some work; where memory is too small for it, let go of all that is in it."""
        try:
            with memory_errors():
                return work()
        except MemoryError:
            parts = segment.parts(segment.stage, epoch)
        # Past the handler, since the error's traceback holds on to what was being trained.
        self._live = None
        self.workshop.clear()
        size = segment.config.batch_size
        raise OutOfMemory(f"out of memory in stage {segment.stage} at batch_size {size}, parts {parts}")

    def _is_live(self, stage: _Stage, number: int) -> bool:
        """Tell whether the network in memory stands where the stage was after an epoch, from 1."""
        return number > 0 and self._live is not None and self._live[0] == stage.key(number)

    def _end_of_head(self, stage: _Stage) -> Checkpoint:
        epochs = stage.segment.head_epochs
        head: Stage = "head"
        return self._checkpoint(replace(stage, segment=replace(stage.segment, stage=head)), epochs)

    def _checkpoint(self, stage: _Stage, number: int) -> Checkpoint:
        """Load a checkpoint; one that is lost is trained again from the last one before it."""
        found = self._store.read("checkpoints", stage.key(number), Checkpoint.load)
        if found is not None:
            return found
        for missing in range(self._last_checkpoint(stage, number - 1) + 1, number + 1):
            self._advance(stage, missing)
        assert self._live is not None, "an epoch was trained just now"
        last = self._live[1].last
        assert last is not None, "a trained epoch ends in a checkpoint"
        return last

    def _save(self, stage: _Stage, number: int, checkpoint: Checkpoint) -> None:
        key = stage.key(number)
        with self._store.build("checkpoints", key, checkpoint.n_bytes) as draft:
            checkpoint.save(draft)
        self._written[key] = stage.segment.config
        before = stage.key(number - 1)
        # Those of stage 2 are large, so only the last one of a trial stays. One that was written for another
        # trial, which ended there, is that trial's last one.
        if stage.segment.stage == "tune" and self._written.get(before) == stage.segment.config:
            self._store.discard("checkpoints", before)
