"""A preprocessing function of the user's own as a part of networks and of what is exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.config.trial_config import TrialConfig
from search.errors import SpaceError
from search.model.backbones import backbone
from search.model.head import HeadPlan
from search.model.network import Network
from search.model.own_preprocessing import own_preprocessing
from search.model.weights import SHAPES_FILE
from search.training.export import save_model
from search.user_function import UserFunction

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def own(call: Callable[..., Any]) -> UserFunction:
    return UserFunction("mine:f", call, "digest")


@pytest.mark.parametrize("family", ["mobilenet", "resnet50", "densenet", "vgg16", "efficientnet"])
def test_preprocess_input_of_keras_applications_becomes_a_part_of_the_network(family: str) -> None:
    function = getattr(keras.applications, family).preprocess_input
    found = own_preprocessing(own(function), 32)(PICTURES)
    np.testing.assert_allclose(found, function(PICTURES.astype(np.float32)), rtol=1e-5, atol=1e-5)


def test_it_replaces_the_backbones_own_and_the_exported_model_holds_it(tmp_path: Path) -> None:
    def halves(pictures: Any) -> Any:
        return keras.ops.flip(pictures, axis=-1) / 255.0 - 0.5

    row = backbone("mobilenet_025")
    network = Network(row, 32, SHAPES_FILE, HeadPlan(2), own_preprocess=own(halves))
    network.reset(0)
    as_it_is = Network(row, 32, SHAPES_FILE, HeadPlan(2))
    as_it_is.reset(0)
    prepared = PICTURES[..., ::-1] / np.float32(255.0) - np.float32(0.5)
    codes = network.backbone(prepared).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(network.features(PICTURES), codes, rtol=1e-5, atol=1e-6)
    assert np.abs(network.features(PICTURES) - as_it_is.features(PICTURES)).max() > 0.01

    config = TrialConfig(backbone="mobilenet_025", image_size=32)
    save_model(network, config, tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    expected = keras.ops.softmax(network.whole(PICTURES))
    np.testing.assert_allclose(saved(PICTURES), expected, rtol=1e-5, atol=1e-6)


class Half(keras.layers.Layer):  # type: ignore[misc]
    def call(self, pictures: Any) -> Any:
        return pictures * 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda pictures: np.asarray(pictures) / 255, "it failed with ValueError: .*KerasTensor"),
        (lambda pictures: pictures.astype("float32"), "it failed with AttributeError"),
        (lambda pictures: np.zeros((1, 32, 32, 3)), "it gave ndarray"),
        (
            lambda pictures: keras.ops.mean(pictures, axis=-1),
            r"it gave \(None, 32, 32\) float32 for \(None, 32",
        ),
        (lambda pictures: keras.ops.cast(pictures, "int32"), r"it gave \(None, 32, 32, 3\) int32 for"),
        (Half(), "it uses Half, which plain Keras cannot load"),
        (keras.layers.Lambda(lambda pictures: pictures * 2.0), "it uses Lambda"),
        (keras.layers.GaussianNoise(1.0), "it has variables"),
        (keras.layers.Dense(3), "it has variables .*kernel"),
    ],
)
def test_what_cannot_be_a_fixed_part_of_a_network_is_one_sentence(
    call: Callable[..., Any], message: str
) -> None:
    with pytest.raises(SpaceError, match="^preprocess: mine:f is called once.*" + message) as caught:
        own_preprocessing(own(call), 32)
    assert len(caught.value.sentences) == 1
