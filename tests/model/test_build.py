import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest

from search.errors import SpaceError, WeightsError
from search.model.backbones import BACKBONES, backbone
from search.model.build import build_backbone, preprocess
from search.model.weights import SHAPES_FILE, find_weights

FAMILIES = {row.family: row for row in BACKBONES.values()}


def pictures(n: int = 3, px: int = 32) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (n, px, px, 3), dtype=np.uint8)


def preprocessing_model(family: str, dtype: str = "uint8") -> keras.Model:
    inputs = keras.Input((32, 32, 3), dtype=dtype)
    return keras.Model(inputs, preprocess(FAMILIES[family], inputs))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_preprocessing_equals_that_of_keras_applications(family: str, dtype: str) -> None:
    theirs = getattr(keras.applications, family).preprocess_input(pictures().astype("float32"))
    ours = np.asarray(preprocessing_model(family, dtype)(pictures().astype(dtype)))
    # One multiplication and one addition where Keras divides and subtracts: a rounding apart, at most 2e-5 of
    # values up to 151 (caffe) and 1e-6 of values up to 3.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 if np.ptp(theirs) > 100 else 1e-6)


@pytest.mark.parametrize("family", ["mobilenet", "densenet", "resnet", "convnext"])
def test_a_saved_model_loads_in_safe_mode_and_gives_the_same_bits(family: str, tmp_path: Path) -> None:
    row = FAMILIES[family] if family != "convnext" else backbone("convnext_tiny")
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    core = (
        build_backbone(row, 32, None, seed=0) if family in ("mobilenet", "convnext") else keras.layers.ReLU()
    )
    model = keras.Model(inputs, core(preprocess(row, inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(pictures())), np.asarray(model(pictures())))


def test_random_weights_are_a_function_of_the_seed_alone() -> None:
    row = backbone("mobilenet_025")
    first = build_backbone(row, 32, None, seed=1)
    keras.utils.set_random_seed(99)
    second, other = build_backbone(row, 64, None, seed=1), build_backbone(row, 32, None, seed=2)
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_no_two_layers_start_from_the_same_random_numbers() -> None:
    kernels = [layer.kernel for layer in build_backbone(backbone("vgg16"), 32, None, seed=0).layers[8:10]]
    assert kernels[0].shape == kernels[1].shape
    assert not np.array_equal(np.array(kernels[0]), np.array(kernels[1]))


def test_a_nested_layer_is_seeded_too() -> None:
    row = backbone("convnext_tiny")
    one, two = (build_backbone(row, 32, None, seed=5).get_layer("convnext_tiny_stem") for _ in range(2))
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])
    assert np.ptp(one.get_weights()[0]) > 0


def test_names_that_keras_numbers_count_from_zero_in_every_model() -> None:
    keras.layers.Conv2D(1, 1)
    models = [build_backbone(backbone("inception_v3"), 75, None, seed=0) for _ in range(2)]
    first, second = ([operation.name for operation in model.operations] for model in models)
    assert first == second
    assert {"input_layer", "conv2d", "conv2d_93", "batch_normalization_93", "mixed10"} <= set(first)
    assert "conv2d_94" not in first
    assert models[0].name == "inception_v3"


def test_layers_stand_in_the_order_of_keras_applications() -> None:
    theirs = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(96, 96, 3)
    )
    ours = build_backbone(backbone("mobilenet_v2_035"), 96, None, seed=0)
    assert [layer.name for layer in ours.layers[1:]] == [layer.name for layer in theirs.layers[1:]]


def test_stochastic_depth_is_off_in_training_too() -> None:
    model = build_backbone(backbone("efficientnet_b0"), 32, None, seed=0)
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(drops) == 9
    inputs = pictures().astype("float32")
    np.testing.assert_array_equal(np.asarray(model(inputs, training=True)), np.asarray(model(inputs)))


@pytest.mark.parametrize("name", ["mobilenet_025", "mobilenet_v2_035"])
@pytest.mark.parametrize("px", [96, 160])
def test_real_weights_give_the_features_of_keras_applications(
    name: str, px: int, weights_folder: Path
) -> None:
    row = backbone(name)
    path = find_weights(row, px, "imagenet", weights_folder)
    constructor = getattr(keras.applications, row.constructor)
    theirs = constructor(alpha=row.alpha, include_top=False, weights=path, input_shape=(px, px, 3))
    ours = build_backbone(row, px, path, seed=0)
    inputs = pictures(2, px) / np.float32(127.5) - 1
    np.testing.assert_array_equal(np.asarray(ours(inputs)), np.asarray(theirs(inputs)))


def test_weights_saved_from_a_backbone_come_back(tmp_path: Path) -> None:
    row = backbone("mobilenet_025")
    first = build_backbone(row, 32, None, seed=1)
    first.save_weights(tmp_path / "mine.weights.h5")
    again = build_backbone(row, 64, tmp_path / "mine.weights.h5", seed=2)
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_file_of_the_first_efficientnet_gives_what_keras_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keras' own files hold the deviation as variance, and only its constructor knows.
    source = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    values = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    source.get_layer(index=2).set_weights([*values, np.int32(0)])
    models = tmp_path / "models"
    models.mkdir()
    path = models / "efficientnetb0_notop.h5"
    source.save(path)
    module = keras.src.applications.efficientnet
    monkeypatch.setitem(module.WEIGHTS_HASHES, "b0", ("", hashlib.md5(path.read_bytes()).hexdigest()))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path))
    theirs = keras.applications.EfficientNetB0(include_top=False, input_shape=(32, 32, 3))
    ours = build_backbone(backbone("efficientnet_b0"), 32, path, seed=0)
    without = keras.applications.EfficientNetB0(include_top=False, weights=path, input_shape=(32, 32, 3))
    inputs = pictures().astype("float32")
    expected = np.asarray(theirs(inputs))
    # Two divisions by the root of the deviation against one by it: a rounding at the input, carried through.
    np.testing.assert_allclose(
        np.asarray(ours(inputs)), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )
    assert not np.allclose(np.asarray(without(inputs)), expected, rtol=0.05)


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    build_backbone(backbone("mobilenet_050"), 32, None, seed=0).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match=r"mobilenet_025: .*other.weights.h5 does not hold its weights"):
        build_backbone(backbone("mobilenet_025"), 32, tmp_path / "other.weights.h5", seed=0)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"half a file")
    with pytest.raises(WeightsError, match="or remove it if its download broke off"):
        build_backbone(backbone("mobilenet_025"), 32, path, seed=0)


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(SpaceError, match="inception_v3 takes pictures of at least 75 px, got 32"):
        build_backbone(backbone("inception_v3"), 32, None, seed=0)


def test_the_packaged_weights_fit_their_backbone() -> None:
    model = build_backbone(backbone("mobilenet_025"), 96, SHAPES_FILE, seed=0)
    random = build_backbone(backbone("mobilenet_025"), 96, None, seed=0)
    assert not np.array_equal(model.get_weights()[0], random.get_weights()[0])
