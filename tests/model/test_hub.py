"""Backbones by KerasHub: timm's checkpoints and presets, from files as their makers keep them."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
from timm_files import MEAN, STD, resnet18, resnet18_weights, save_timm

from search.errors import SpaceError, WeightsError
from search.model.backbones import HubBackbone, backbone
from search.model.blocks import unfrozen_layers
from search.model.build import build_backbone, preprocess
from search.model.hub_files import digest_of_preset
from search.model.weights import find_weights, weights_at_hand

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`timm/resnet18.a1_in1k` in a folder of weights."""
    return save_timm(tmp_path_factory.mktemp("weights") / "timm/resnet18.a1_in1k", resnet18_weights())


def maps(name: str, folder: Path, pictures: np.ndarray = PICTURES) -> np.ndarray:
    """What a backbone gives for pictures, its preprocessing included."""
    row = backbone(name)
    core = build_backbone(row, pictures.shape[1], folder, seed=0)
    inputs = keras.Input(pictures.shape[1:], dtype="uint8")
    return np.asarray(keras.Model(inputs, core(preprocess(row, inputs, folder)))(pictures))


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/resnet18.a1_in1k"])
def test_a_checkpoint_of_timm_gives_what_its_arrays_say(name: str, checkpoint: Path) -> None:
    folder = find_weights(backbone(name), 64, "imagenet", checkpoint.parents[1])
    assert folder == checkpoint
    expected = resnet18(resnet18_weights(), PICTURES)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(maps(name, folder), expected, rtol=1e-3, atol=1e-4 * np.ptp(expected))


def test_other_weights_give_another_feature_map(checkpoint: Path) -> None:
    # else the comparison above could not fail
    expected = resnet18(resnet18_weights(seed=1), PICTURES)
    assert not np.allclose(maps("timm/resnet18", checkpoint), expected, atol=0.1 * np.ptp(expected))


def test_pictures_are_mapped_as_the_files_of_timm_say(checkpoint: Path) -> None:
    inputs = keras.Input((64, 64, 3), dtype="uint8")
    mapped = keras.Model(inputs, preprocess(backbone("timm/resnet18"), inputs, checkpoint))(PICTURES)
    expected = (PICTURES / 255.0 - MEAN) / STD
    np.testing.assert_allclose(np.asarray(mapped), expected, rtol=1e-5, atol=1e-5)


def test_layers_are_unfrozen_by_the_names_that_kerashub_gives(checkpoint: Path) -> None:
    model = build_backbone(backbone("timm/resnet18"), 64, checkpoint, seed=0)
    assert {layer.name for layer in unfrozen_layers(model, "re:^stack3_")} == {
        "stack3_block0_0_conv",
        "stack3_block0_1_conv",
        "stack3_block0_2_conv",
        "stack3_block1_1_conv",
        "stack3_block1_2_conv",
    }
    with pytest.raises(SpaceError, match=r"no parameter .* matches 'layer4'; the last ones are .*stack3"):
        unfrozen_layers(model, "re:layer4")


def preset_of(folder: Path) -> tuple[Path, Callable[[np.ndarray], keras.KerasTensor]]:
    """A preset with another way of mapping pictures, saved by KerasHub under the name of a real one."""
    core = keras_hub.models.ResNetBackbone(
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
    )
    place = folder / "hub" / "resnet_18_imagenet"
    core.save_to_preset(str(place))
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=[0.01, 0.02, 0.03], offset=[-1.0, 0.0, 1.0]
    )
    converter.save_to_preset(str(place))
    return place, lambda pictures: core(converter(pictures))


def test_a_preset_gives_what_kerashub_gives_with_its_own_preprocessing(tmp_path: Path) -> None:
    place, theirs = preset_of(tmp_path)
    name = "hub/resnet_18_imagenet"
    assert find_weights(backbone(name), 64, "imagenet", tmp_path) == place
    np.testing.assert_allclose(maps(name, place), np.asarray(theirs(PICTURES)), rtol=1e-5, atol=1e-5)


def test_a_champion_of_kerashub_loads_with_keras_alone(checkpoint: Path, tmp_path: Path) -> None:
    model = build_backbone(backbone("timm/mobilenetv3_small_050"), 32, None, seed=0)
    modules = {type(operation).__module__.partition(".")[0] for operation in model.operations}
    assert modules == {"keras"}
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.models.load_model(path, safe_mode=True)
    pictures = PICTURES[:, :32, :32].astype("float32")
    np.testing.assert_array_equal(np.asarray(again(pictures)), np.asarray(model(pictures)))


def test_names_do_not_hang_on_what_was_built_before() -> None:
    row = backbone("timm/mobilenetv3_small_050")
    first = build_backbone(row, 32, None, seed=0)
    keras.layers.ReLU(), keras.layers.Activation("relu")
    again = build_backbone(row, 32, None, seed=0)
    assert [one.name for one in first.operations] == [one.name for one in again.operations]
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True))


def broken(checkpoint: Path, folder: Path, how: str) -> Path:
    weights = resnet18_weights()
    architecture = "resnet34" if how == "another architecture" else "resnet18"
    if how == "a parameter is missing":
        del weights["layer3.1.conv2.weight"]
    if how == "a shape is another":
        weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"][:32]
    save_timm(folder, weights, architecture)
    if how == "cut off":
        os.truncate(folder / "model.safetensors", 1000)
    if how == "no JSON":
        (folder / "config.json").write_text("{")
    return folder


@pytest.mark.parametrize(
    "how",
    ["another architecture", "a parameter is missing", "a shape is another", "cut off", "no JSON"],
)
def test_files_that_hold_something_else_are_one_sentence(how: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = broken(checkpoint, tmp_path / "timm/resnet18.a1_in1k", how)
    match = rf"timm/resnet18: {re.escape(str(folder))} does not hold it"
    with pytest.raises(WeightsError, match=match) as told:
        build_backbone(backbone("timm/resnet18"), 64, folder, seed=0)
    assert "\n" not in str(told.value)


def test_files_that_do_not_say_how_pictures_are_mapped_are_refused(tmp_path: Path) -> None:
    folder = save_timm(tmp_path / "timm/resnet18.a1_in1k", resnet18_weights())
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    with pytest.raises(WeightsError, match=r"does not say how pictures are mapped"):
        preprocess(backbone("timm/resnet18"), keras.Input((64, 64, 3)), folder)


def test_a_layer_that_plain_keras_lacks_is_refused() -> None:
    # timm's later HGNetV2 scales each activation by a layer of KerasHub's
    with pytest.raises(SpaceError, match=r"holds HGNetV2LearnableAffineBlock, without which"):
        build_backbone(backbone("timm/hgnetv2_b0.ra_in1k"), 32, None, seed=0)


def test_a_folder_that_lacks_a_file_is_not_there(checkpoint: Path, tmp_path: Path) -> None:
    row = backbone("timm/resnet18")
    assert isinstance(row, HubBackbone)
    folder = save_timm(tmp_path / row.folder, resnet18_weights())
    assert weights_at_hand(row, 64, "imagenet", tmp_path)
    assert weights_at_hand(row, 64, str(folder), None)
    (folder / "config.json").unlink()
    assert not weights_at_hand(row, 64, "imagenet", tmp_path)
    with pytest.raises(WeightsError, match=r"'.*' lacks config\.json"):
        find_weights(row, 64, str(folder), None)


def test_random_weights_need_no_files_but_for_presets() -> None:
    assert weights_at_hand(backbone("timm/resnet18"), 64, "none", None)
    with pytest.raises(WeightsError, match=r"weights: none is not possible for hub/resnet_18_imagenet"):
        find_weights(backbone("hub/resnet_18_imagenet"), 64, "none", None)


def test_every_file_that_decides_is_in_the_digest_and_no_other(tmp_path: Path) -> None:
    folder = save_timm(tmp_path / "one", {"a": np.zeros(3, np.float32)})
    before = digest_of_preset(folder)
    (folder / "README.md").write_text("read me")
    assert digest_of_preset(folder) == before
    (folder / "config.json").write_text("{}")
    changed = digest_of_preset(folder)
    save_timm(tmp_path / "two", {"a": np.ones(3, np.float32)})
    assert len({before, changed, digest_of_preset(tmp_path / "two")}) == 3
