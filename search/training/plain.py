"""Plain: the straightforward way. The whole Keras model, compiled and fitted anew for each stage, no reuse.

It is the oracle for every shortcut, and the baseline that a benchmark compares with. It shares with the
search what decides the numbers - seeds, draws, order, dropout - and nothing of how they are computed.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from search.config.trial_config import Stage, TrialConfig
from search.data.draws import draw_of_epoch
from search.data.image_set import ImageSet
from search.model.augmentation import augmentation_of
from search.model.backbones import backbone
from search.model.head import HeadPlan
from search.model.network import Network
from search.seeds import seed_for
from search.training.callback_making import make_callback
from search.training.metrics import measure, picture_weights, smoothed
from search.training.schedule import is_scheduled, learning_rates
from search.training.segment import Epoch, better, stage_ended
from search.training.workshop import own_preprocess

_PREDICT_BATCH = 64


def run_plain(
    config: TrialConfig,
    images: ImageSet,
    weights: Path | None,
    metric: str,
    study_seed: int,
    replicate: int = 0,
    folder: Path | None = None,
) -> tuple[list[Epoch], keras.Model]:
    """Train both stages of a trial.

    Args:
        config: The trial's settings.
        images: The pictures.
        weights: The backbone's weights file, or None for random weights.
        metric: The study's objective.
        study_seed: The study's seed.
        replicate: As in `Segment`.
        folder: Where callbacks write.

    Raises:
        ValueError: `fit` cannot do it: scikit-learn fits the classifier, or gamma and beta of a
            BatchNormalization that stands still are trained.

    Returns:
        The epochs, whose only training metric is `loss` (and `learning_rate` where there are callbacks), and
        the model with the weights of the best epoch, `(n, px, px, 3) uint8` to logits.
    """
    if config.is_linear or config.batch_norm != "frozen":
        raise ValueError(
            f"fit does not train classifier {config.classifier} with batch_norm {config.batch_norm}; take "
            "softmax or sigmoid with batch_norm frozen."
        )
    plain = _Plain(config, images, weights, metric, seed_for(study_seed, "replicate", replicate), folder)
    for stage in config.stages:
        plain.train(stage)
    return plain.epochs, plain.network.whole


class _Plain:
    def __init__(
        self,
        config: TrialConfig,
        images: ImageSet,
        weights: Path | None,
        metric: str,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.epochs: list[Epoch] = []
        self.callbacks = [make_callback(setting, folder) for setting in config.callbacks]
        self._config, self._images, self._metric, self._seed = config, images, metric, seed
        self._augmentation = augmentation_of(config, images.draw_seed)
        self._best_value: float | None = None
        plan = HeadPlan.of(config, len(images.classes))
        row, own = backbone(config.backbone), own_preprocess(config)
        self.network = Network(row, config.image_size, weights, plan, config.codes, own_preprocess=own)
        self.network.reset(seed_for(seed, "head init"))
        self._best = self.network.whole.get_weights()
        # asked before any layer is held still
        self._trained = {
            stage: {id(variable) for variable in self.network.trained_in(config, stage).values()}
            for stage in config.stages
        }

    def train(self, stage: Stage) -> None:
        """Train a stage from the best weights so far, and leave the model with the best weights."""
        model, values = self._compiled(stage), list[float]()
        if self.callbacks:
            self._fit_whole(model, stage)
        while not self.callbacks and not stage_ended(self._config, stage, values, self._metric):
            epoch = self._fit(model, stage, len(values) + 1)
            values.append(epoch.metrics[self._metric])
            self._take(model, epoch)
        model.set_weights(self._best)

    def _take(self, model: keras.Model, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        value = epoch.metrics[self._metric]
        if better(self._metric, value, self._best_value):
            self._best, self._best_value = model.get_weights(), value

    def _compiled(self, stage: Stage) -> keras.Model:
        for layer in self.network.backbone.layers:
            layer.trainable = any(id(variable) in self._trained[stage] for variable in layer.weights)
        self.network.head.dropout.reset(self._config.dropout, seed_for(self._seed, f"{stage} dropout"))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        metrics = ["accuracy"] if self.callbacks else None
        self.network.whole.compile(_optimizer(self._config, stage), loss, metrics=metrics)
        return self.network.whole

    def _fit(self, model: keras.Model, stage: Stage, number: int) -> Epoch:
        started = time.monotonic()
        pictures, targets, weights = self._inputs(stage, number)
        history = model.fit(
            pictures,
            targets,
            self._config.batch_size,
            sample_weight=weights,
            shuffle=False,
            verbose=0,
            callbacks=[_Rates(self._rates(stage, number))],
        )
        return self._epoch(stage, number, history.history["loss"][0], started)

    def _fit_whole(self, model: keras.Model, stage: Stage) -> None:
        """Train a stage in one fit, as callbacks want it; epochs are counted on from stage 1."""
        before, numbers = len(self.epochs), range(1, self._config.epochs(stage) + 1)
        rates = [self._rates(stage, number) for number in numbers]
        setting = [_Rates(np.concatenate(rates))] if is_scheduled(self._config, stage) else []
        model.fit(
            (batch for number in numbers for batch in self._batches(stage, number)),
            steps_per_epoch=len(rates[0]),
            shuffle=False,
            initial_epoch=before,
            epochs=before + len(numbers),
            verbose=0,
            callbacks=[*setting, _Watch(self, stage), *self.callbacks],
        )

    def _batches(self, stage: Stage, number: int) -> Iterator[tuple[np.ndarray, ...]]:
        inputs, size = self._inputs(stage, number), self._config.batch_size
        for at in range(0, len(inputs[0]), size):
            yield tuple(values[at : at + size] for values in inputs)

    def watch(self, stage: Stage, number: int, loss: float, lr: float, started: float) -> tuple[Epoch, bool]:
        """Take an epoch of a whole fit in: what it came to, and whether patience ends the stage."""
        epoch = self._epoch(stage, number, loss, started)
        epoch = replace(epoch, metrics={**epoch.metrics, "learning_rate": lr})
        self._take(self.network.whole, epoch)
        values = [one.metrics[self._metric] for one in self.epochs if one.stage == stage]
        return epoch, stage_ended(self._config, stage, values, self._metric)

    def _rates(self, stage: Stage, number: int) -> np.ndarray:
        n_steps = -(-len(self._images.rows["train"]) // self._config.batch_size)
        return learning_rates(self._config, stage, number, n_steps)

    def _inputs(self, stage: Stage, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the pictures, targets and weights of an epoch, in its order."""
        config, rows = self._config, self._images.rows["train"]
        order = np.random.default_rng(seed_for(self._seed, f"{stage} order", number)).permutation(len(rows))
        rows = rows[order]
        draw = draw_of_epoch(number - 1, config.n_draws, config.augment)
        pictures = self._augmentation(
            self._images.images[rows], self._images.content[rows], draw, config.strength
        )
        labels, n_classes = self._images.labels[rows], len(self._images.classes)
        targets = smoothed(labels, n_classes, config.label_smoothing)
        return pictures, targets, picture_weights(labels, n_classes, config.class_weight)

    def _epoch(self, stage: Stage, number: int, loss: float, started: float) -> Epoch:
        """Validate, and give what an epoch came to that began at a time of the monotonic clock."""
        whole, rows = self.network.whole, self._images.rows["train"]
        validation = whole.predict(self._images.images_of("validation"), _PREDICT_BATCH, verbose=0)
        found = measure(validation, self._images.labels_of("validation"))
        metrics = {"loss": loss, **{f"val_{name}": found[name] for name in found}}
        seconds = time.monotonic() - started
        return Epoch(stage, number, metrics, seconds, len(rows) / seconds, time.time_ns() // 1_000_000)


class _Rates(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate of each step, one after the other."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__()
        self._rates = iter(rates)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate = float(next(self._rates))


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates after each epoch of a whole fit and shows other callbacks what that gives."""

    def __init__(self, plain: _Plain, stage: Stage) -> None:
        super().__init__()
        self._plain, self._stage, self._number, self._started = plain, stage, 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._number, self._started = self._number + 1, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        lr = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        found, is_over = self._plain.watch(self._stage, self._number, logs["loss"], lr, self._started)
        logs.update({name: value for name, value in found.metrics.items() if name != "loss"})
        self.model.stop_training = self.model.stop_training or is_over


def _optimizer(config: TrialConfig, stage: Stage) -> keras.optimizers.Optimizer:
    decay = config.weight_decay or None
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.lr(stage), momentum=0.9, weight_decay=decay)
    makers = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
    }
    return makers[config.optimizer](config.lr(stage), weight_decay=decay)
