"""Backbones beside the table in training: the same numbers as `plain`, and keys that know what made them."""

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.store.entries import Store
from search.training.backbone_facts import BackboneFacts
from search.training.export import save_model
from search.training.own_functions import why_not_reused
from search.training.plain import run_plain
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.trainer import Trainer

MODULE = """
import keras
from keras import layers


def seeded(seed):
    return keras.initializers.HeNormal(seed)


class Block(layers.Layer):
    def __init__(self, n, **settings):
        super().__init__(**settings)
        self.first = layers.Conv2D(n, 3, padding="same", kernel_initializer=seeded(1))
        self.normal = layers.BatchNormalization()
        self.second = layers.Conv2D(n, 3, padding="same", kernel_initializer=seeded(2))
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=False):
        y = keras.ops.relu(self.normal(self.first(x), training=training))
        return x + self.drop(self.second(y), training=training)


def build(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    x = layers.Rescaling(1 / 255)(pictures)
    x = layers.Conv2D(8, 3, strides=4, activation="relu", kernel_initializer=seeded(0))(x)
    return keras.Model(pictures, Block(8, name="two")(Block(8, name="one")(x)))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the module `trained_for_tests`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "trained_for_tests.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield folder / "trained_for_tests.py"
    sys.path.remove(str(folder))
    sys.modules.pop("trained_for_tests", None)
    importlib.invalidate_caches()


def trainer_of(home: Path, images: ImageSet) -> Trainer:
    reuse = Reuse.model_validate({"fold_batch_norm": False})
    store, rows = Store(home / "store", reuse.limit_bytes), Rows(home / "epochs")
    return Trainer(store, rows, lambda px: images, lambda config: None, 0, reuse=reuse)


@pytest.mark.parametrize(
    ("backbone", "weights", "unfreeze"),
    [
        ("trained_for_tests:build", "imagenet", 1.0),
        ("trained_for_tests:build", "imagenet", "re:^two_"),
        pytest.param("timm/mobilenetv3_small_050", "none", 0.25, marks=pytest.mark.slow),
    ],
)
def test_segments_give_the_numbers_of_plain(
    backbone: str,
    weights: str,
    unfreeze: float | str,
    module: Path,
    tmp_path: Path,
    images: ImageSet,
    make_config: Callable[..., TrialConfig],
) -> None:
    config = make_config(backbone=backbone, weights=weights, unfreeze=unfreeze, augment=0.5)
    expected, model = run_plain(config, images, None, "val_loss", 0)
    trainer = trainer_of(tmp_path / "home", images)
    head = trainer.run(Segment(config, "head", 2, 0, 0, "val_loss", 0)).epochs
    last = Segment(config, "tune", 2, 0, 2, "val_loss", 0)
    epochs = [*head, *trainer.run(last).epochs]
    assert [epoch.metrics["val_loss"] for epoch in epochs] == [one.metrics["val_loss"] for one in expected]
    logits = model.predict(images.images_of("test"), 64, verbose=0)
    np.testing.assert_array_equal(trainer.predict_best(last, "test"), logits)

    path = tmp_path / "champion.keras"
    save_model(trainer.load_best(last).network, config, path)
    assert path.is_file()


def test_the_source_of_a_function_and_what_it_gives_are_in_the_keys(
    module: Path, tmp_path: Path, images: ImageSet, make_config: Callable[..., TrialConfig]
) -> None:
    config = make_config(backbone="trained_for_tests:build", weights="imagenet")
    segment = Segment(config, "head", 1, 0, 0, "val_loss", 0)
    home = tmp_path / "home"
    assert trainer_of(home, images).run(segment).ran == {1}
    assert trainer_of(home, images).run(segment).ran == frozenset()

    for change in (("seeded(2)", "seeded(3)"), ("import keras\n", "import keras  # the same network\n")):
        module.write_text(module.read_text().replace(*change))
        sys.modules.pop("trained_for_tests")
        importlib.invalidate_caches()
        assert trainer_of(home, images).run(segment).ran == {1}, change


def test_trials_whose_function_has_no_source_are_not_reused(
    make_config: Callable[..., TrialConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("typed_in")
    exec(MODULE, vars(module))
    monkeypatch.setitem(sys.modules, "typed_in", module)
    assert why_not_reused(make_config(backbone="typed_in:build", weights="imagenet")) == (
        "backbone: the source of typed_in:build cannot be read, so no trial that calls it is reused"
    )
    assert why_not_reused(make_config()) is None


def test_kerashubs_version_is_in_the_keys_of_its_backbones_alone(
    make_config: Callable[..., TrialConfig],
) -> None:
    def facts(**settings: object) -> set[str]:
        def network() -> None:
            raise AssertionError("files say what this backbone is")

        return set(BackboneFacts().of(make_config(**settings), None, network))  # type: ignore[arg-type]

    assert facts(backbone="timm/resnet18", weights="none") == {"weights", "keras_hub"}
    assert facts() == {"weights"}
