"""The table, and the contract that every row of it keeps, and every backbone beside it."""

import gc
import inspect
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest

from search.errors import SpaceError
from search.model.backbones import BACKBONES, AnyBackbone, backbone, check_image_size
from search.model.blocks import blocks, unfrozen_layers
from search.model.build import build_backbone, preprocess
from search.model.graph import Cut, cuts, graph_of, split

# What a person counts in the papers: stem, blocks or cells, transitions, last convolution.
N_BLOCKS = {
    "mobilenet": 1 + 13,
    "mobilenet_v2": 1 + 17 + 1,
    "mobilenet_v3_small": 1 + 11 + 1,
    "mobilenet_v3_large": 1 + 15 + 1,
    "efficientnet_b0": 1 + 16 + 1,
    "efficientnet_b1": 1 + 23 + 1,
    "efficientnet_b2": 1 + 23 + 1,
    "efficientnet_b3": 1 + 26 + 1,
    "efficientnet_b4": 1 + 32 + 1,
    "efficientnet_b5": 1 + 39 + 1,
    "efficientnet_b6": 1 + 45 + 1,
    "efficientnet_b7": 1 + 55 + 1,
    "efficientnet_v2_b0": 1 + 21 + 1,
    "efficientnet_v2_b1": 1 + 27 + 1,
    "efficientnet_v2_b2": 1 + 28 + 1,
    "efficientnet_v2_b3": 1 + 32 + 1,
    "efficientnet_v2_s": 1 + 40 + 1,
    "efficientnet_v2_m": 1 + 57 + 1,
    "efficientnet_v2_l": 1 + 79 + 1,
    "resnet50": 1 + 16,
    "resnet101": 1 + 33,
    "resnet152": 1 + 50,
    "resnet50_v2": 1 + 16,
    "resnet101_v2": 1 + 33,
    "resnet152_v2": 1 + 50,
    "densenet121": 1 + 58 + 3,
    "densenet169": 1 + 82 + 3,
    "densenet201": 1 + 98 + 3,
    "inception_v3": 5 + 11,
    "inception_resnet_v2": 5 + 1 + 10 + 1 + 20 + 1 + 10 + 1,
    "xception": 2 + 12 + 1,
    "vgg16": 13,
    "vgg19": 16,
    "nasnet_mobile": 1 + 2 + 3 * 4 + 2,
    "nasnet_large": 1 + 2 + 3 * 6 + 2,
    "convnext_tiny": 1 + 18 + 3,
    "convnext_small": 1 + 36 + 3,
    "convnext_base": 1 + 36 + 3,
    "convnext_large": 1 + 36 + 3,
    "convnext_xlarge": 1 + 36 + 3,
    "timm/resnet18": 1 + 8,
    "timm/resnet26": 1 + 8,
    "timm/resnet34": 1 + 16,
    "timm/resnet50": 1 + 16,
    "timm/resnetv2_50": 1 + 16,
    "timm/vgg11": 8,
    "timm/densenet121": 1 + 58 + 3,
    "timm/cspdarknet53": 1 + 5 * 3 + 1,
    "timm/cspresnet50": 1 + 4 * 2 + 1,
    "timm/cspresnext50": 1 + 4 * 2 + 1,
    "timm/darknet53": 1 + 5 + 23,
    "timm/mobilenetv3_small_050": 1 + 11 + 1,
    "timm/mobilenetv3_small_100": 1 + 11 + 1,
    "timm/mobilenetv3_large_100": 1 + 15 + 1,
    "timm/efficientnet_b0": 1 + 16 + 1,
    "timm/efficientnet_lite0": 1 + 16 + 1,
    "timm/efficientnet_es": 1 + 18 + 1,
    "timm/efficientnetv2_rw_t": 1 + 39 + 1,
    "timm/hgnetv2_b0": 13,
}
# At least one of each kind that KerasHub converts; the others differ in width and depth.
TIMM = [name for name in N_BLOCKS if name.startswith("timm/")]
N_CUTS = {
    "mobilenet": 84,
    "vgg16": 17,
    "vgg19": 20,
    "convnext_tiny": 23,
    "nasnet_mobile": 3,
    "nasnet_large": 3,
}

SLOW = {
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_m",
    "efficientnet_v2_l",
    "inception_resnet_v2",
    "nasnet_mobile",
    "nasnet_large",
    "convnext_large",
    "convnext_xlarge",
}
ONE_A_TIMM_FAMILY = [
    "timm/resnet18",
    "timm/cspresnet50",
    "timm/mobilenetv3_small_050",
    "timm/efficientnet_es",
    "timm/hgnetv2_b0",
]
ONE_A_FAMILY = {
    "mobilenet": "mobilenet_025",
    "mobilenet_v2": "mobilenet_v2_035",
    "mobilenet_v3": "mobilenet_v3_small",
    "efficientnet": "efficientnet_b0",
    "efficientnet_v2": "efficientnet_v2_b0",
    "resnet": "resnet50",
    "resnet_v2": "resnet50_v2",
    "densenet": "densenet121",
    "inception_v3": "inception_v3",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "xception",
    "vgg16": "vgg16",
    "vgg19": "vgg19",
    "nasnet": "nasnet_mobile",
    "convnext": "convnext_tiny",
}


def rows(names: Iterable[str], slow: set[str]) -> list[object]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in names]


every_row = pytest.mark.parametrize("name", rows([*BACKBONES, *TIMM], SLOW))


def layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in layers_of(model) if isinstance(layer, keras.layers.BatchNormalization)]


def is_bridge(sources: tuple[tuple[int, ...], ...], position: int) -> bool:
    """The definition of a cut, the slow way: without this operation nothing reaches the output."""
    reached = {0}
    for reader in range(1, len(sources)):
        if reader != position and reached.intersection(sources[reader]):
            reached.add(reader)
    return len(sources) - 1 not in reached


def batch_of(row: AnyBackbone, n: int = 2) -> np.ndarray:
    shape = (n, row.smallest_px, row.smallest_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def calibrate(model: keras.Model, pictures: np.ndarray) -> None:
    """Give BatchNormalization the statistics of these pictures: random weights would let the signal die."""
    for layer in normalizations(model):
        layer.trainable, layer.momentum = True, 0.0
    model(pictures, training=True)
    for layer in normalizations(model):
        layer.trainable = False


@contextmanager
def without_values() -> Iterator[None]:
    """Leave variables without values: to draw them takes most of the time, and structure needs none."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # They wait for the end of the next scope, which would draw them after all.
        keras.src.backend.common.global_state.set_global_attribute("uninitialized_variables", [])


@pytest.fixture(autouse=True)
def free_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """The largest rows take gigabytes; models hang on cycles that only the collector frees."""
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()


@pytest.fixture(scope="module", params=rows([*ONE_A_FAMILY.values(), *ONE_A_TIMM_FAMILY], SLOW))
def one_of_a_family(request: pytest.FixtureRequest) -> tuple[AnyBackbone, keras.Model]:
    row = backbone(request.param)
    model = build_backbone(row, row.smallest_px, None, seed=0)
    calibrate(model, batch_of(row, 8) / np.float32(128) - 1)
    return row, model


@every_row
def test_a_row_is_built_cut_and_counted(name: str) -> None:
    row = backbone(name)
    with without_values():
        model = build_backbone(row, row.smallest_px, None, seed=0)
    graph = graph_of(model)
    inner = set(range(1, len(graph.sources) - 1)) - graph.dividing
    bridges = [i for i in sorted(inner) if is_bridge(graph.sources, i)]
    assert [cut.position for cut in cuts(model)] == bridges
    assert len(bridges) == N_CUTS.get(name, len(bridges))

    parts = blocks(model)
    without_width = name.rpartition("_")[0]
    assert len(parts) == N_BLOCKS.get(name, N_BLOCKS.get(without_width))
    in_blocks = [operation for block in parts for operation in block.operations]
    assert len(in_blocks) == len(model.operations)
    assert set(in_blocks) == set(model.operations)

    assert all(not layer.trainable for layer in normalizations(model))
    assert all(getattr(layer, "rate", 0) == 0 for layer in layers_of(model))
    assert model.input_shape == (None, row.smallest_px, row.smallest_px, 3)
    assert len(model.output_shape) == 4

    not_a_cut = next(i for i in range(len(graph.operations)) if i not in bridges)
    with pytest.raises(ValueError, match="split only where one tensor carries everything"):
        split(model, Cut(graph.operations[not_a_cut].name, not_a_cut, (1, 1, 1)))


def test_prefix_and_tail_equal_the_whole_at_every_cut(
    one_of_a_family: tuple[AnyBackbone, keras.Model],
) -> None:
    row, model = one_of_a_family
    pictures = batch_of(row, 1) / np.float32(128) - 1
    places, graph = cuts(model), graph_of(model)
    everything = keras.Model(model.inputs[0], [graph.outputs[cut.position] for cut in places] + model.outputs)
    *carried, whole = everything(pictures)
    assert np.ptp(np.asarray(whole)) > 0
    # Every cut divides the very operations; some of the tails, from the first to the last, are computed too.
    step = max(1, len(places) * len(model.operations) // 2000)
    for i, (cut, tensor) in enumerate(zip(places, carried, strict=True)):
        prefix, tail = split(model, cut)
        assert tuple(tensor.shape[1:]) == cut.shape
        assert set(prefix.operations) == set(model.operations[: cut.position + 1])
        assert set(tail.operations[1:]) == set(model.operations[cut.position + 1 :])
        if i % step == 0:
            np.testing.assert_array_equal(np.asarray(tail(tensor)), np.asarray(whole), err_msg=cut.name)
        if i % (2 * step) == 0:
            np.testing.assert_array_equal(np.asarray(prefix(pictures)), np.asarray(tensor), err_msg=cut.name)


def test_batch_normalization_stays_bit_equal_through_stage_2(
    one_of_a_family: tuple[AnyBackbone, keras.Model],
) -> None:
    row, model = one_of_a_family
    pictures = keras.Input((row.smallest_px, row.smallest_px, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(model(preprocess(row, pictures), training=False))
    whole = keras.Model(pictures, keras.layers.Dense(2)(pooled))
    # Eager, since tracing takes longer than the step.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole.compile(keras.optimizers.Adam(1e-2), loss, run_eagerly=True)
    trained = [variable for layer in unfrozen_layers(model, 1.0) for variable in layer.trainable_variables]
    still = [variable for layer in normalizations(model) for variable in layer.variables]
    trained_before, still_before = ([np.array(v) for v in part] for part in (trained, still))

    whole.fit(batch_of(row, 8), np.arange(8) % 2, batch_size=8, verbose=0)

    assert len(still) >= 3 * len(normalizations(model))  # Inception's have no gamma
    for variable, value in zip(still, still_before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value, err_msg=variable.path)
    moved = [not np.array_equal(np.array(v), value) for v, value in zip(trained, trained_before, strict=True)]
    assert np.mean(moved) > 0.5  # gates of random weights pass next to no gradient


def test_keras_own_backbone_moves_its_batch_normalization_in_fit() -> None:
    """The trap that the contract guards against; should Keras mend it, this test says so."""
    model = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    pictures = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(model(pictures, training=False))
    whole = keras.Model(pictures, keras.layers.Dense(2)(pooled))
    whole.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    before = np.array(normalizations(model)[0].moving_mean)
    whole.fit(batch_of(backbone("mobilenet")).astype("float32"), np.arange(2), verbose=0)
    assert not np.array_equal(np.array(normalizations(model)[0].moving_mean), before)


@pytest.mark.parametrize("name", rows(ONE_A_FAMILY.values(), SLOW))
def test_files_and_addresses_are_those_that_keras_asks_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that refuses every connection makes Keras say which address it wanted.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path))
    row = BACKBONES[name]
    constructor = getattr(keras.applications, row.constructor)
    width = {} if row.alpha is None else {"alpha": row.alpha}
    for file in row.files:
        px = file.image_size_px if len(row.files) > 1 else row.smallest_px
        with without_values(), pytest.raises(Exception, match="URL fetch failure") as caught:
            constructor(include_top=False, weights="imagenet", input_shape=(px, px, 3), **width)
        assert f"failure on {file.address}:" in str(caught.value)


def test_hashes_are_those_that_keras_checks() -> None:
    for row in BACKBONES.values():
        module = keras.src.applications.resnet if row.family == "resnet_v2" else None
        source = inspect.getsource(module or getattr(keras.src.applications, row.family))
        has_hashes = "file_hash=" in source
        assert all((file.file_hash is not None) == has_hashes for file in row.files)
        assert all(file.file_hash in source for file in row.files if has_hashes)
    hashes = [file.file_hash for row in BACKBONES.values() for file in row.files if file.file_hash]
    assert len(hashes) == len(set(hashes))


def test_every_row_has_a_name_of_its_own_and_a_family_of_keras() -> None:
    assert all(name == row.name for name, row in BACKBONES.items())
    assert all(hasattr(keras.applications, row.constructor) for row in BACKBONES.values())
    assert {row.family for row in BACKBONES.values()} == set(ONE_A_FAMILY)
    assert all(hasattr(keras.applications, family) for family in ONE_A_FAMILY)


def test_an_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        SpaceError, match=r"no backbone is called 'mobilnet_v2_35' \(did you mean mobilenet_v2_035\?\)"
    ):
        backbone("mobilnet_v2_35")


def test_a_name_like_no_other_is_refused_with_the_whole_list() -> None:
    with pytest.raises(SpaceError, match=r"there are convnext_base, .*, xception, and hub/PRESET, "):
        backbone("qqq")


def test_pictures_below_the_smallest_legal_size_are_refused() -> None:
    check_image_size(backbone("xception"), 71)
    with pytest.raises(SpaceError, match="xception takes pictures of at least 71 px, got 70"):
        check_image_size(backbone("xception"), 70)


def test_the_table_and_the_look_up_of_weights_load_no_heavy_library() -> None:
    code = (
        "import sys, search.model.backbones, search.model.weights\n"
        "sys.exit(bool({'keras', 'tensorflow', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
