"""Two-stage fine-tuning as a careful user of Keras writes it, for the arms that bring only a search.

Decoded pictures in memory, augmentation layers in a tf.data pipeline, BatchNormalization frozen layer by
layer, the same network and course of the learning rate as this program has.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from peers.setting import Setting
from search.config.trial_config import Stage, TrialConfig
from search.data import draws
from search.data.image_set import ImageSet
from search.model.backbones import backbone
from search.model.blocks import unfrozen_layers
from search.model.head import HeadPlan
from search.model.network import Network
from search.training.schedule import learning_rates

_PREDICT_BATCH = 64


class Pictures:
    """Pipelines over the decoded pictures.

    Args:
        images: The pictures; training and validation are held in memory.
        seed: Of order and augmentation.
    """

    def __init__(self, images: ImageSet, seed: int) -> None:
        self.images, self._seed = images, seed
        self._train, self._validation = (self._arrays(split) for split in ("train", "validation"))

    def training(self, batch_size: int, strength: float) -> tf.data.Dataset:
        """Give shuffled, augmented batches."""
        pictures, _ = self._train
        found = tf.data.Dataset.from_tensor_slices(self._train).shuffle(len(pictures), self._seed)
        found = found.batch(batch_size)
        if strength > 0:
            change = augmentation(strength, self._seed)
            found = found.map(lambda x, y: (change(x), y), tf.data.AUTOTUNE)
        return found.prefetch(tf.data.AUTOTUNE)

    @cached_property
    def validation(self) -> tf.data.Dataset:
        """Give the validation pictures in batches."""
        return tf.data.Dataset.from_tensor_slices(self._validation).batch(_PREDICT_BATCH)

    def steps(self, batch_size: int) -> int:
        """Count the steps of an epoch."""
        return -(-len(self._train[0]) // batch_size)

    def _arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        targets = np.eye(len(self.images.classes), dtype=np.float32)
        return self.images.images_of(split), targets[self.images.labels_of(split)]


def augmentation(strength: float, seed: int) -> keras.Sequential:
    """Make Keras' layers for the changes that this program's augmentation makes at a strength."""
    layers = keras.layers
    changes = [
        layers.RandomRotation(draws.ROTATION_TURNS * strength, fill_mode="reflect", seed=seed),
        layers.RandomZoom(draws.ZOOM * strength, fill_mode="reflect", seed=seed),
        layers.RandomTranslation(
            draws.SHIFT * strength, draws.SHIFT * strength, fill_mode="reflect", seed=seed
        ),
        layers.RandomBrightness(draws.BRIGHTNESS * strength, seed=seed),
        layers.RandomContrast(draws.CONTRAST * strength, seed=seed),
    ]
    return keras.Sequential([layers.RandomFlip("horizontal", seed=seed), *changes])


class TwoStages:
    """One trial: a fresh network that is trained stage by stage.

    Args:
        config: Its settings.
        setting: The run that it belongs to.
        pictures: Its pictures.
    """

    def __init__(self, config: TrialConfig, setting: Setting, pictures: Pictures) -> None:
        self.config, self._pictures = config, pictures
        keras.utils.set_random_seed(setting.seed)
        head = HeadPlan(len(pictures.images.classes))
        self._network = Network(
            backbone(config.backbone), config.image_size, setting.weights_of(config), head
        )
        self._network.reset(setting.seed)
        self._network.head.dropout.reset(config.dropout, setting.seed)
        self.model = self._network.whole

    def fit(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Train both stages."""
        for stage in self.config.stages:
            self.fit_stage(stage, 0, self.config.epochs(stage), callbacks)

    def train(self) -> Iterator[float]:
        """Train both stages epoch by epoch; gives the validation loss of each."""
        config, pictures = self.config, self._pictures
        steps, batches = (
            pictures.steps(config.batch_size),
            pictures.training(config.batch_size, config.augment),
        )
        for stage in config.stages:
            self._compile(stage)
            best = _BestWeights()
            for number in range(1, config.epochs(stage) + 1):
                rates = _Rates(learning_rates(config, stage, number, steps))
                yield self._fit(batches, 1, [rates, best])
            best.restore(self.model)

    def fit_stage(
        self, stage: Stage, done: int, until: int, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        """Train some epochs of a stage: those after the first `done`, up to and with the epoch `until`.

        The model is left with the weights of the best of them.
        """
        self._compile(stage)
        best = _BestWeights()
        config, pictures = self.config, self._pictures
        steps = pictures.steps(config.batch_size)
        rates = np.concatenate([learning_rates(config, stage, e, steps) for e in range(done + 1, until + 1)])
        batches = pictures.training(config.batch_size, config.augment)
        self._fit(batches, until - done, [_Rates(rates), best, *callbacks])
        best.restore(self.model)

    def _fit(
        self, batches: tf.data.Dataset, epochs: int, callbacks: Sequence[keras.callbacks.Callback]
    ) -> float:
        """Train some epochs; gives the validation loss of the last one."""
        history = self.model.fit(
            batches,
            validation_data=self._pictures.validation,
            epochs=epochs,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=0,
        )
        return float(history.history["val_loss"][-1])

    def _compile(self, stage: Stage) -> None:
        depth = self.config.unfreeze if stage == "tune" else 0.0
        # BatchNormalization is never among them: a frozen model alone does not keep its statistics in Keras 3
        unfrozen = {id(layer) for layer in unfrozen_layers(self._network.backbone, depth)}
        for layer in self._network.backbone.layers:
            layer.trainable = id(layer) in unfrozen
        optimizer = keras.optimizers.Adam(self.config.lr(stage))
        self.model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))


class _Rates(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate of each step."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__()
        self._rates = iter(rates)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate = float(next(self._rates))


class _BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the epoch with the lowest validation loss."""

    def __init__(self) -> None:
        super().__init__()
        self._value, self._weights = float("inf"), list[np.ndarray]()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if logs["val_loss"] < self._value:
            self._value, self._weights = logs["val_loss"], self.model.get_weights()

    def restore(self, model: keras.Model) -> None:
        if self._weights:
            model.set_weights(self._weights)
