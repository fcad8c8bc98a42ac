import math
from collections.abc import Callable

import keras
import pytest

from search.errors import SpaceError
from search.model.blocks import blocks, storable_cut, trained_of, unfrozen_layers, up_to
from search.model.graph import Cut, cuts, split

RandomBackbone = Callable[[str], keras.Model]


def names(layers: tuple[keras.Layer, ...]) -> list[str]:
    return [layer.name for layer in layers]


def frozen_cuts(model: keras.Model, unfreeze: float | str) -> list[Cut]:
    """All cuts below which nothing is trained, the lowest first."""
    chosen = set(unfrozen_layers(model, unfreeze))
    return [cut for cut in cuts(model) if not chosen & set(split(model, cut)[0].layers)]


def test_a_bottleneck_without_addition_is_one_block(random_backbone: RandomBackbone) -> None:
    block = blocks(random_backbone("mobilenet_v2_035"))[2]
    assert block.name == "block_1_project_BN"
    assert names(block.layers)[0] == "block_1_expand"


def test_padding_goes_with_the_convolution_that_needs_it(random_backbone: RandomBackbone) -> None:
    assert names(blocks(random_backbone("mobilenet_025"))[2].layers)[:2] == ["conv_pad_2", "conv_dw_2"]


def test_pooling_belongs_to_the_convolution_before_it(random_backbone: RandomBackbone) -> None:
    assert names(blocks(random_backbone("vgg16"))[-1].layers) == ["block5_conv3", "block5_pool"]


def test_a_block_holds_operations_that_are_no_layers(random_backbone: RandomBackbone) -> None:
    block = blocks(random_backbone("convnext_tiny"))[1]
    assert block.name == "add"
    assert len(block.operations) == len(block.layers) + 1


def test_the_cells_of_nasnet_are_blocks_though_no_cut_parts_them(random_backbone: RandomBackbone) -> None:
    parts = blocks(random_backbone("nasnet_mobile"))
    assert parts[1].name == "reduction_concat_stem_1"
    assert parts[4].name == "normal_concat_1"


def test_unfreeze_0_trains_nothing(random_backbone: RandomBackbone) -> None:
    assert unfrozen_layers(random_backbone("mobilenet_025"), 0.0) == ()


def test_unfreeze_1_trains_every_layer_with_weights_but_batch_normalization(
    random_backbone: RandomBackbone,
) -> None:
    model = random_backbone("mobilenet_v2_035")
    expected = [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    ]
    assert names(unfrozen_layers(model, 1.0)) == expected
    assert unfrozen_layers(model, 1) == unfrozen_layers(model, 1.0)


@pytest.mark.parametrize(
    ("unfreeze", "n_blocks"), [(0.001, 1), (0.05, 1), (0.25, 5), (0.5, 10), (0.75, 14), (0.99, 19)]
)
def test_a_share_is_rounded_to_whole_blocks_but_at_least_one(
    unfreeze: float, n_blocks: int, random_backbone: RandomBackbone
) -> None:
    model = random_backbone("mobilenet_v2_035")
    chosen = set(unfrozen_layers(model, unfreeze))
    touched = [i for i, block in enumerate(blocks(model)) if chosen & set(block.layers)]
    assert touched == list(range(19 - n_blocks, 19))


def test_a_layer_name_trains_from_that_layer_on(random_backbone: RandomBackbone) -> None:
    chosen = unfrozen_layers(random_backbone("vgg16"), "block5_conv1")
    assert names(chosen) == ["block5_conv1", "block5_conv2", "block5_conv3"]


def test_a_layer_index_trains_what_the_tutorial_trains(random_backbone: RandomBackbone) -> None:
    model = random_backbone("mobilenet_v2_035")
    chosen = unfrozen_layers(model, "layer:120")
    assert names(chosen)[:2] == ["block_13_depthwise", "block_13_project"]
    assert set(chosen) < set(model.layers[120:])


def test_a_pattern_trains_the_layers_whose_parameters_match_wherever_they_stand(
    random_backbone: RandomBackbone,
) -> None:
    model = random_backbone("mobilenet_v2_035")
    chosen = unfrozen_layers(model, "re:^block_(3|16)_.*kernel")
    assert names(chosen) == [
        f"block_{number}_{part}" for number in (3, 16) for part in ("expand", "depthwise", "project")
    ]
    # whatever matches, BatchNormalization stands still
    assert unfrozen_layers(model, "re:.") == unfrozen_layers(model, 1.0)
    cut = storable_cut(model, *unfrozen_layers(model, "re:^block_16_"))
    assert cut is not None
    assert model.operations.index(chosen[-3]) > cut.position > model.operations.index(chosen[2])


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (
            "re:block9",
            "no parameter of vgg16 that can be trained matches 'block9'; the last ones are block5_conv2",
        ),
        ("block5_con1", "vgg16 has no layer 'block5_con1'; did you mean block5_conv1"),
        ("%%%", "vgg16 has no layer '%%%'; the last ones are block5_conv2, block5_conv3, block5_pool"),
        ("layer:19", "'layer:19' is no layer of vgg16; write layer:0 to layer:18"),
        ("layer:-4", "'layer:-4' is no layer of vgg16; write layer:0 to layer:18"),
        ("layer:x", "'layer:x' is no layer of vgg16"),
        ("block5_pool", "no layer of vgg16 from 'block5_pool' on can be trained"),
        (1.5, "must be in 0.0 to 1.0, .*, got 1.5"),
        (-0.1, "must be in 0.0 to 1.0, .*, got -0.1"),
        (float("nan"), "must be in 0.0 to 1.0, .*, got nan"),
    ],
)
def test_an_unfreeze_that_cannot_be_is_refused(
    unfreeze: float | str, message: str, random_backbone: RandomBackbone
) -> None:
    with pytest.raises(SpaceError, match=message):
        unfrozen_layers(random_backbone("vgg16"), unfreeze)


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "resnet50", "convnext_tiny", "inception_v3", "vgg16"])
def test_a_storable_cut_is_the_highest_frozen_one_past_the_first_block_that_is_no_larger_than_the_picture(
    name: str, random_backbone: RandomBackbone
) -> None:
    model = random_backbone(name)
    first = blocks(model)[0].operations
    for unfreeze in (0.1, 0.3, 0.5, 0.7, 0.9):
        worth = [
            cut
            for cut in frozen_cuts(model, unfreeze)
            if math.prod(cut.shape) <= math.prod(model.input_shape[1:])
            and set(first) <= set(model.operations[: cut.position + 1])
        ]
        assert storable_cut(model, *unfrozen_layers(model, unfreeze)) == (worth[-1] if worth else None)
    assert storable_cut(model, *model.layers) is None
    assert storable_cut(model, *unfrozen_layers(model, 0.1)) == frozen_cuts(model, 0.1)[-1]


def test_a_storable_cut_lies_lower_where_the_nearest_tensor_is_larger_than_the_picture(
    random_backbone: RandomBackbone,
) -> None:
    model = random_backbone("mobilenet_v2_035")
    places = ("block_1_depthwise", "block_3_expand")
    found = {place: storable_cut(model, *unfrozen_layers(model, place)) for place in places}
    nearest = frozen_cuts(model, "block_1_depthwise")[-1]
    assert math.prod(nearest.shape) > math.prod(model.input_shape[1:])
    assert found["block_1_depthwise"].name == "expanded_conv_project_BN"
    assert found["block_3_expand"] == frozen_cuts(model, "block_3_expand")[-1]


def test_a_network_without_inner_cuts_has_none_to_store(random_backbone: RandomBackbone) -> None:
    model = random_backbone("nasnet_mobile")
    assert storable_cut(model, *unfrozen_layers(model, 0.25)) is None


def test_gamma_and_beta_of_what_is_unfrozen_are_trained_where_they_are_asked_for(
    random_backbone: RandomBackbone,
) -> None:
    model = random_backbone("mobilenet_v2_035")
    without, chosen = unfrozen_layers(model, 0.1), unfrozen_layers(model, 0.1, norms=True)
    added = [layer for layer in chosen if layer not in without]
    assert added
    assert all(isinstance(layer, keras.layers.BatchNormalization) for layer in added)
    assert [one.name for one in trained_of(added[0], norms=True)] == ["gamma", "beta"]
    assert trained_of(added[0]) == []
    assert [layer for layer in chosen if layer not in added] == list(without)


@pytest.mark.parametrize(("unfreeze", "expected"), [("last:1", []), ("last:3", ["Conv_1"])])
def test_the_last_layers_are_counted_whether_or_not_they_have_something_to_train(
    unfreeze: str, expected: list[str], random_backbone: RandomBackbone
) -> None:
    assert names(unfrozen_layers(random_backbone("mobilenet_v2_035"), unfreeze)) == expected


def test_codes_are_taken_at_the_end_of_a_block_or_of_a_layer(random_backbone: RandomBackbone) -> None:
    model = random_backbone("mobilenet_v2_035")
    everything = blocks(model)
    assert up_to(model, 1.0) is model
    half = up_to(model, 0.5)
    assert half.layers[-1].name == everything[round(0.5 * len(everything)) - 1].name
    assert up_to(model, 0.001).layers[-1].name == everything[0].name
    at = up_to(model, "block_3_add" if "block_3_add" in names(tuple(model.layers)) else "block_2_add")
    assert at.output_shape[1:] == model.get_layer(at.layers[-1].name).output.shape[1:]
    assert blocks(half) == everything[: len(blocks(half))]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ("block_2_ad", "codes: mobilenet_v2_035 has no layer 'block_2_ad'; did you mean block_2_add"),
        ("layer:999", "codes: 'layer:999' is no layer of mobilenet_v2_035; write layer:0 to layer:"),
    ],
)
def test_codes_from_a_place_that_is_not_there_are_refused(
    codes: str, message: str, random_backbone: RandomBackbone
) -> None:
    with pytest.raises(SpaceError, match=message):
        up_to(random_backbone("mobilenet_v2_035"), codes)


def test_codes_that_are_no_feature_map_are_refused(random_backbone: RandomBackbone) -> None:
    model = random_backbone("efficientnet_b0")
    (squeezed, *_) = [name for name in names(tuple(model.layers)) if name.endswith("_se_squeeze")]
    with pytest.raises(SpaceError, match="no feature map; name a layer whose output has height"):
        up_to(model, squeezed)
