"""A folded model is the same function as the model, and moves under training in the same way."""

import keras
import numpy as np
import pytest

from search.model.backbones import backbone
from search.model.build import build_backbone
from search.model.folding import FoldedConvolution, folded
from search.model.graph import cuts, split

# how many normalizations there are, and how many stand right after a convolution that nothing else reads
COUNTS = {
    "mobilenet_025": (27, 27),
    "mobilenet_v2_035": (52, 52),
    "mobilenet_v3_small": (34, 34),
    "efficientnet_b0": (49, 49),
    "resnet50": (53, 53),
    "resnet50_v2": (49, 32),
    "densenet121": (121, 59),
    "vgg16": (0, 0),
    "timm/resnet18": (20, 20),
    "timm/mobilenetv3_small_050": (34, 34),
}


def built(name: str) -> keras.Model:
    """A backbone whose normalizations do something: with fresh ones the fold would do nothing either."""
    model = build_backbone(backbone(name), 32, None, seed=0)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.variables:
                variable.assign(rng.uniform(0.8, 1.2, variable.shape))
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
    return model


def count(model: keras.Model, kind: type) -> int:
    return sum(isinstance(operation, kind) for operation in model.operations)


@pytest.mark.parametrize("name", COUNTS)
def test_a_folded_backbone_gives_the_same_feature_map(name: str) -> None:
    model = built(name)
    other = folded(model)
    n_normalizations, n_folded = COUNTS[name]
    assert count(model, keras.layers.BatchNormalization) == n_normalizations
    assert count(other, FoldedConvolution) == n_folded
    assert count(other, keras.layers.BatchNormalization) == n_normalizations - n_folded
    pictures = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype("float32")
    for training in (False, True):
        theirs, ours = (np.asarray(one(pictures, training=training)) for one in (model, other))
        # 50 to 120 layers one after the other, each a rounding apart
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_a_convolution_with_a_bias_and_one_that_is_read_twice() -> None:
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    one = layers.Conv2D(4, 3, bias_initializer="random_normal")(inputs)
    read_twice = layers.Conv2D(4, 3)(layers.BatchNormalization(scale=False, trainable=False)(one))
    outputs = layers.add([layers.BatchNormalization(trainable=False)(read_twice), read_twice])
    activated = layers.Conv2D(4, 1, activation="relu")(outputs)
    model = keras.Model(inputs, layers.BatchNormalization(center=False, trainable=False)(activated))
    other = folded(model)
    assert count(other, FoldedConvolution) == 1
    pictures = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(other(pictures)), np.asarray(model(pictures)), rtol=1e-4, atol=1e-5)


def test_gradients_of_shared_kernels_agree() -> None:
    import tensorflow as tf

    model = built("mobilenet_v2_035")
    other, kernels = folded(model), [variable.value for variable in model.trainable_variables]
    pictures = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype("float32")
    found = []
    for one in (model, other):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(one(pictures, training=True) ** 2)
        found.append(tape.gradient(loss, kernels))
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-4 * np.abs(theirs).max())


def test_both_parts_of_a_split_backbone_fold() -> None:
    model = built("mobilenet_025")
    cut = next(cut for cut in cuts(model) if cut.name == "conv_pw_6_relu")
    prefix, tail = (folded(part) for part in split(model, cut))
    assert count(prefix, FoldedConvolution) + count(tail, FoldedConvolution) == 27
    pictures = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype("float32")
    theirs = np.asarray(model(pictures))
    np.testing.assert_allclose(np.asarray(tail(prefix(pictures))), theirs, rtol=1e-3, atol=1e-5)
