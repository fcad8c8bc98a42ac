from collections.abc import Callable

import keras
import numpy as np
import pytest

from search.model.graph import Cut, cut_positions, cuts, graph_of, split

RandomBackbone = Callable[[str], keras.Model]


def two_branches() -> keras.Model:
    pictures = keras.Input((8, 8, 3), name="pictures")
    stem = keras.layers.Conv2D(4, 3, name="stem")(pictures)
    branch = keras.layers.Conv2D(4, 1, name="branch")(stem)
    joined = branch + stem
    return keras.Model(pictures, keras.layers.ReLU(name="out")(joined))


def test_a_bridged_operation_is_no_cut_even_if_the_bridge_is_no_layer() -> None:
    model = two_branches()
    names = [cut.name for cut in cuts(model)]
    assert names[0] == "stem"
    assert "branch" not in names
    assert len(names) == 2


def test_input_and_output_bound_the_inner_cuts() -> None:
    graph = graph_of(two_branches())
    assert cut_positions(graph) == (0, 1, 3, 4)


def test_a_cut_tells_the_shape_of_its_tensor() -> None:
    assert cuts(two_branches())[0] == Cut("stem", 1, (6, 6, 4))


def test_a_place_inside_of_branches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 'branch' at position 2 of .*; take one of cuts"):
        split(two_branches(), Cut("branch", 2, (6, 6, 4)))


def test_a_cut_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'stranger'"):
        split(two_branches(), Cut("stranger", 1, (6, 6, 4)))


def test_a_split_model_keeps_its_cuts_and_can_be_split_again(random_backbone: RandomBackbone) -> None:
    model = random_backbone("mobilenet_025")
    before = cuts(model)
    _, tail = split(model, before[40])
    assert cuts(model) == before
    # The tail starts with an input of its own in the place of the operation that the cut follows.
    assert [cut.name for cut in cuts(tail)] == [cut.name for cut in before[41:]]


def test_prefix_and_tail_see_the_weights_that_the_whole_gets(random_backbone: RandomBackbone) -> None:
    model = random_backbone("vgg16")
    prefix, tail = split(model, cuts(model)[5])
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    kernel = model.layers[1].kernel
    first = np.array(kernel)
    kernel.assign(first * 2)
    doubled = np.asarray(tail(prefix(pictures)))
    np.testing.assert_array_equal(doubled, np.asarray(model(pictures)))
    kernel.assign(first)
    assert not np.array_equal(doubled, np.asarray(model(pictures)))


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "resnet50"])
def test_compiled_prefix_and_tail_equal_the_compiled_whole(
    name: str, random_backbone: RandomBackbone
) -> None:
    # TensorFlow fuses convolution, normalisation and activation; a cut between them must not change the bits.
    model = random_backbone(name)
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    whole = model.predict(pictures, verbose=0)
    for cut in cuts(model)[5::30]:
        prefix, tail = split(model, cut)
        np.testing.assert_array_equal(tail.predict(prefix.predict(pictures, verbose=0), verbose=0), whole)
