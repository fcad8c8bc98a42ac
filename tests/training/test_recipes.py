"""Each shipped recipe against a program that does by hand what its author does, on the same arrays.

The program is Keras as the tutorial writes it. It shares with the recipe the pictures, their order and the
initial weights of the new layers, and nothing else; both train an epoch of each stage.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import make_images
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from search.config.read import shipped_recipes
from search.config.sections import Reuse
from search.config.trial_config import Stage, TrialConfig
from search.data.image_set import ImageSet
from search.model.backbones import BACKBONES, backbone
from search.model.build import build_backbone, preprocess
from search.seeds import seed_for
from search.store.entries import Store
from search.training.checkpoint import Checkpoint
from search.training.metrics import probabilities
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.trainer import Trainer

BATCH = 16
SMALL = {"image_size": 32, "batch_size": BATCH, "weights": "none", "head.epochs": 1, "tune.epochs": 1}
# so small a network that rounding stays far below a step of the optimizer
BACKBONE = "mobilenet_025"


@dataclass
class Done:
    """What an epoch of one stage came to."""

    n_trained: int
    lr: float
    n_steps: int
    loss: float
    val_loss: float
    weights: list[np.ndarray] = field(repr=False)
    before: float | None = None


@pytest.fixture(scope="module")
def few() -> ImageSet:
    """Three batches of training pictures, the last one smaller."""
    return make_images(n_train=2 * BATCH + 4, n_validation=12, n_test=4)


def config_of(name: str, **changes: object) -> TrialConfig:
    (recipe,) = [one for one in shipped_recipes(BACKBONES) if one.name == name]
    settings = {"backbone": BACKBONE, **recipe.settings, **SMALL, **changes}
    return TrialConfig.model_validate(settings)


# ------------------------------------------------------------------------------------------- the tutorials


class ByHand:
    """A backbone and a new top, put together as the tutorials do."""

    def __init__(self, config: TrialConfig, images: ImageSet, one_output: bool, dropout: bool) -> None:
        row = backbone(config.backbone)
        self.config, self.images = config, images
        base = build_backbone(row, config.image_size, None, seed=0)
        pictures = keras.Input(base.input_shape[1:])
        x = keras.layers.GlobalAveragePooling2D()(base.output)
        if dropout:
            x = keras.layers.Dropout(0.0)(x)
        top = keras.layers.Dense(1 if one_output else 2)
        self.base, self.top = base, top
        self.model = keras.Model(base.inputs, top(x))
        self.preprocess = keras.Model(pictures, preprocess(row, pictures))
        self.loss = (
            keras.losses.BinaryCrossentropy(from_logits=True)
            if one_output
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        limit = np.sqrt(6.0 / (top.kernel.shape[0] + top.kernel.shape[1]))
        seed = seed_for(seed_for(0, "replicate", 0), "head init")
        kernel = np.random.default_rng(seed).uniform(-limit, limit, top.kernel.shape)
        top.set_weights([kernel.astype("float32"), np.zeros(top.bias.shape, "float32")])

    def arrays(self, split: str, stage: Stage = "head") -> tuple[np.ndarray, np.ndarray]:
        rows = self.images.rows[split]
        if split == "train":
            seed = seed_for(seed_for(0, "replicate", 0), f"{stage} order", 1)
            rows = rows[np.random.default_rng(seed).permutation(len(rows))]
        pictures = self.images.images[rows].astype("float32")
        return np.array(self.preprocess(pictures)), self.images.labels[rows]

    def validation_loss(self) -> float:
        self.model.compile(loss=self.loss)
        return float(self.model.evaluate(*self.arrays("validation"), verbose=0))

    def fit(self, stage: Stage, optimizer: keras.optimizers.Optimizer) -> Done:
        self.model.compile(optimizer, self.loss)
        before = [np.array(variable) for variable in self.model.trainable_variables]
        pictures, labels = self.arrays("train", stage)
        history = self.model.fit(pictures, labels, BATCH, epochs=1, shuffle=False, verbose=0)
        return Done(
            n_trained=sum(value.size for value in before),
            lr=float(optimizer.learning_rate),
            n_steps=int(optimizer.iterations),
            loss=history.history["loss"][0],
            val_loss=self.validation_loss(),
            weights=[np.array(variable) for variable in self.model.trainable_variables],
        )


def all_but_norms(layers: list[keras.Layer]) -> None:
    for layer in layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def feature_extraction(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=False, dropout=True)
    hand.base.trainable = False
    return [hand.fit("head", keras.optimizers.Adam(1e-3))]


def fine_tune_late_layers(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=False, dropout=False)
    hand.base.trainable = False
    head = hand.fit("head", keras.optimizers.Adam(1e-3))
    hand.base.trainable = True
    # half of the 14 blocks of MobileNet: the convolution and 13 separable ones
    first = [layer.name for layer in hand.base.layers].index("conv_dw_7")
    hand.base.trainable = True
    for layer in hand.base.layers[:first]:
        layer.trainable = False
    all_but_norms(hand.base.layers[first:])
    return [head, hand.fit("tune", keras.optimizers.Adam(1e-3 * 0.01))]


def tutorial_tenth(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=False, dropout=True)
    hand.base.trainable = False
    head = hand.fit("head", keras.optimizers.Adam(1e-3))
    all_but_norms(hand.base.layers)
    return [head, hand.fit("tune", keras.optimizers.Adam(1e-3 / 10))]


def cnd_full_unfreeze(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=True, dropout=True)
    for layer in hand.model.layers[:-4]:
        layer.trainable = False
    head = hand.fit("head", keras.optimizers.Adam(1e-4))
    all_but_norms(hand.model.layers)
    return [head, hand.fit("tune", keras.optimizers.Adam(1e-5))]


def vgg16_block5(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=False, dropout=False)
    chance = hand.validation_loss()
    hand.base.trainable = False
    head = hand.fit("head", keras.optimizers.Adam(1e-4))
    head.before = chance
    is_late = False
    hand.base.trainable = True
    for layer in hand.base.layers:
        is_late = is_late or layer.name == "block5_conv1"
        layer.trainable = is_late
    return [head, hand.fit("tune", keras.optimizers.Adam(1e-4))]


def mobilenet_alpaca(config: TrialConfig, images: ImageSet) -> list[Done]:
    hand = ByHand(config, images, one_output=True, dropout=True)
    hand.base.trainable = False
    head = hand.fit("head", keras.optimizers.Adam(1e-3))
    hand.base.trainable = True
    for layer in hand.base.layers[:120]:
        layer.trainable = False
    # what `base_model(x, training=False)` is for, step by step: in `fit` Keras 3 does not keep it
    optimizer = keras.optimizers.Adam(1e-3 / 10)
    trained, losses = hand.model.trainable_variables, []
    pictures, labels = hand.arrays("train", "tune")
    for at in range(0, len(labels), BATCH):
        with tf.GradientTape() as tape:
            logits = hand.model(pictures[at : at + BATCH], training=False)
            losses.append(hand.loss(labels[at : at + BATCH, None], logits))
        optimizer.apply(tape.gradient(losses[-1], [one.value for one in trained]), trained)
    sizes = [len(labels[at : at + BATCH]) for at in range(0, len(labels), BATCH)]
    loss = float(np.average(losses, weights=sizes))
    weights = [np.array(variable) for variable in trained]
    n_trained = sum(value.size for value in weights)
    steps = int(optimizer.iterations)
    return [
        head,
        Done(n_trained, float(optimizer.learning_rate), steps, loss, hand.validation_loss(), weights),
    ]


# ---------------------------------------------------------------------------------------------- the recipes


def by_recipe(trainer: Trainer, config: TrialConfig) -> list[Done]:
    return [epoch_of(trainer, Segment(config, stage, 1, 0, 1, "val_loss", 0)) for stage in config.stages]


def epoch_of(trainer: Trainer, segment: Segment) -> Done:
    result = trainer.run(segment)
    (epoch,) = result.epochs
    checkpoint = trainer._store.read("checkpoints", result.checkpoint, Checkpoint.load)
    assert checkpoint is not None
    steps, lr, *_ = checkpoint.optimizer
    return Done(
        n_trained=epoch.trained_parameters,
        lr=float(lr),
        n_steps=int(steps),
        loss=epoch.metrics["loss"],
        val_loss=epoch.metrics["val_loss"],
        weights=[checkpoint.running[name] for name in sorted(checkpoint.running, key=place_of)],
        before=epoch.before.get("val_loss"),
    )


def place_of(name: str) -> tuple[bool, int, bool]:
    """Keras lists the variables of a model from its input to its output, kernels before biases."""
    number = name.removeprefix("backbone/")
    return number == name, int(number) if number != name else 0, name.endswith("bias")


@pytest.mark.parametrize(
    ("name", "by_hand", "changes"),
    [
        ("feature_extraction", feature_extraction, {"dropout": 0.0}),
        ("fine_tune_late_layers", fine_tune_late_layers, {}),
        ("tutorial_tenth", tutorial_tenth, {"dropout": 0.0, "augment": 0.0}),
        ("cnd_full_unfreeze", cnd_full_unfreeze, {}),
        ("vgg16_block5", vgg16_block5, {}),
        ("mobilenet_alpaca", mobilenet_alpaca, {"dropout": 0.0, "augment": 0.0}),
    ],
)
def test_a_recipe_does_what_its_author_does_by_hand(
    name: str,
    by_hand: Callable[[TrialConfig, ImageSet], list[Done]],
    changes: dict[str, object],
    few: ImageSet,
    tmp_path: Path,
) -> None:
    # what is random in it, dropout and augmentation, is off: the random numbers are not the same
    config = config_of(name, **changes)
    settings = Reuse(fold_batch_norm=False)
    trainer = Trainer(
        Store(tmp_path), Rows(tmp_path / "epochs"), lambda px: few, lambda _: None, 0, reuse=settings
    )
    ours, theirs = by_recipe(trainer, config), by_hand(config, few)
    assert len(ours) == len(theirs)
    for got, expected in zip(ours, theirs, strict=True):
        assert (got.n_trained, got.n_steps) == (expected.n_trained, expected.n_steps)
        assert got.lr == pytest.approx(expected.lr)
        # float32 rounding: a sigmoid is written as a softmax of two, and losses are summed in another order
        assert got.loss == pytest.approx(expected.loss, rel=1e-5)
        assert got.val_loss == pytest.approx(expected.val_loss, rel=1e-4)
        if expected.before is not None:
            assert got.before == pytest.approx(expected.before, rel=1e-5)
        assert [one.shape for one in got.weights] == [one.shape for one in expected.weights]
        # Adam's first steps are a whole learning rate long, whatever the gradient
        differences = [np.abs(a - b).max() for a, b in zip(got.weights, expected.weights, strict=True)]
        assert max(differences) < 0.01 * got.lr, name


@pytest.mark.parametrize(
    ("classifier", "by_hand"),
    [
        ("logistic", lambda: LogisticRegression(max_iter=1000)),
        ("svm", lambda: LinearSVC(max_iter=1000, dual=False)),
    ],
)
@pytest.mark.parametrize("codes", [1.0, "conv_pw_6_relu"])
def test_linear_on_codes_is_scikit_learn_on_what_the_network_gives(
    classifier: str, by_hand: Callable, codes: float | str, few: ImageSet, tmp_path: Path
) -> None:
    config = config_of("linear_on_codes", classifier=classifier, codes=codes)
    trainer = Trainer(Store(tmp_path), Rows(tmp_path / "epochs"), lambda px: few, lambda _: None, 0)
    result = trainer.run(Segment(config, "head", 1, 0, 1, "val_loss", 0))
    hand = ByHand(config, few, one_output=False, dropout=False)
    maps = hand.base.output if codes == 1.0 else hand.base.get_layer(str(codes)).output
    network = keras.Model(hand.base.inputs, keras.layers.GlobalAveragePooling2D()(maps))
    pictures, labels = hand.arrays("train")
    model = by_hand().fit(network.predict(pictures, verbose=0), labels)
    pictures, labels = hand.arrays("validation")
    found = model.predict(network.predict(pictures, verbose=0))
    logits = trainer.predict_best(Segment(config, "head", 1, 0, 1, "val_loss", 0), "validation")
    np.testing.assert_array_equal(logits.argmax(axis=1), found)
    assert result.epochs[0].metrics["val_accuracy"] == (found == labels).mean()
    if classifier == "logistic":
        expected = model.predict_proba(network.predict(pictures, verbose=0))
        np.testing.assert_allclose(probabilities(logits), expected, atol=1e-4)


def test_every_shipped_recipe_is_in_the_table() -> None:
    known = {"feature_extraction", "fine_tune_late_layers", "tutorial_tenth", "cnd_full_unfreeze"}
    known |= {"vgg16_block5", "mobilenet_alpaca", "linear_on_codes"}
    assert {one.name for one in shipped_recipes(BACKBONES)} == known
