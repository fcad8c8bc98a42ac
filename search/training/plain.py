"""Plain: the straightforward way. The whole Keras model, compiled and fitted anew for each stage, no reuse.

It is the oracle for every shortcut, and the baseline that a benchmark compares with. It shares with the
search what decides the numbers - seeds, draws, order, dropout - and nothing of how they are computed.
"""

import time
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
from search.training.metrics import measure, picture_weights, smoothed
from search.training.schedule import learning_rates
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
) -> tuple[list[Epoch], keras.Model]:
    """Train both stages of a trial.

    Args:
        config: The trial's settings.
        images: The pictures.
        weights: The backbone's weights file, or None for random weights.
        metric: The study's objective.
        study_seed: The study's seed.
        replicate: As in `Segment`.

    Raises:
        ValueError: `fit` cannot do it: scikit-learn fits the classifier, or gamma and beta of a
            BatchNormalization that stands still are trained.

    Returns:
        The epochs, whose only training metric is `loss`, and the model with the weights of the best epoch,
        `(n, px, px, 3) uint8` to logits.
    """
    if config.is_linear or config.batch_norm != "frozen":
        raise ValueError(
            f"fit does not train classifier {config.classifier} with batch_norm {config.batch_norm}; take "
            "softmax or sigmoid with batch_norm frozen."
        )
    plain = _Plain(config, images, weights, metric, seed_for(study_seed, "replicate", replicate))
    for stage in config.stages:
        plain.train(stage)
    return plain.epochs, plain.network.whole


class _Plain:
    def __init__(
        self, config: TrialConfig, images: ImageSet, weights: Path | None, metric: str, seed: int
    ) -> None:
        self.epochs: list[Epoch] = []
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
        while not stage_ended(self._config, stage, values, self._metric):
            epoch = self._fit(model, stage, len(values) + 1)
            self.epochs.append(epoch)
            values.append(epoch.metrics[self._metric])
            if better(self._metric, values[-1], self._best_value):
                self._best, self._best_value = model.get_weights(), values[-1]
        model.set_weights(self._best)

    def _compiled(self, stage: Stage) -> keras.Model:
        for layer in self.network.backbone.layers:
            layer.trainable = any(id(variable) in self._trained[stage] for variable in layer.weights)
        self.network.head.dropout.reset(self._config.dropout, seed_for(self._seed, f"{stage} dropout"))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        self.network.whole.compile(_optimizer(self._config, stage), loss)
        return self.network.whole

    def _fit(self, model: keras.Model, stage: Stage, number: int) -> Epoch:
        started = time.monotonic()
        config, rows = self._config, self._images.rows["train"]
        order = np.random.default_rng(seed_for(self._seed, f"{stage} order", number)).permutation(len(rows))
        rows = rows[order]
        draw = draw_of_epoch(number - 1, config.n_draws, config.augment)
        pictures = self._augmentation(
            self._images.images[rows], self._images.content[rows], draw, config.strength
        )
        targets = smoothed(self._images.labels[rows], len(self._images.classes), config.label_smoothing)
        rates = learning_rates(config, stage, number, -(-len(rows) // config.batch_size))
        labels, n_classes = self._images.labels[rows], len(self._images.classes)
        history = model.fit(
            pictures,
            targets,
            config.batch_size,
            sample_weight=picture_weights(labels, n_classes, config.class_weight),
            shuffle=False,
            verbose=0,
            callbacks=[_Rates(rates)],
        )
        validation = model.predict(self._images.images_of("validation"), _PREDICT_BATCH, verbose=0)
        found = measure(validation, self._images.labels_of("validation"))
        metrics = {"loss": history.history["loss"][0], **{f"val_{name}": found[name] for name in found}}
        seconds = time.monotonic() - started
        return Epoch(stage, number, metrics, seconds, len(rows) / seconds, time.time_ns() // 1_000_000)


class _Rates(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate of each step."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__()
        self._rates = rates

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate = float(self._rates[batch])


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
