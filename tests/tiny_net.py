"""Backbones that are built and compiled in no time, for tests of what does not hang on the backbone.

Their weights come from numpy, so they are the same under every backend and in every process.
"""

import keras
import numpy as np
from keras import layers


def straight(image_size_px: int) -> keras.Model:
    """Three convolutions, one of them depthwise, one after the other."""
    pictures = keras.Input((image_size_px, image_size_px, 3))
    x = _convolved(pictures, 8, strides=2)
    x = _convolved(x, 8, is_depthwise=True)
    return _filled(keras.Model(pictures, _convolved(x, 16, strides=2)))


def branching(image_size_px: int) -> keras.Model:
    """Four convolutions, two of them on branches that are added."""
    pictures = keras.Input((image_size_px, image_size_px, 3))
    x = _convolved(pictures, 16, strides=2)
    x = layers.Add()([x, _convolved(x, 16, is_depthwise=True)])
    x = layers.Add()([x, _convolved(x, 16)])
    return _filled(keras.Model(pictures, _convolved(x, 32, strides=2)))


straight.preprocessing = branching.preprocessing = "tf"  # type: ignore[attr-defined]


def _convolved(
    x: keras.KerasTensor, width: int, strides: int = 1, is_depthwise: bool = False
) -> keras.KerasTensor:
    if is_depthwise:
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    else:
        x = layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def _filled(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.ndim == 4:  # He et al. 2015; a depthwise kernel reads one channel
            n_read = 9 * (weight.shape[2] if weight.shape[3] > 1 else 1)
            weight.assign(rng.normal(0.0, (2 / n_read) ** 0.5, weight.shape).astype("float32"))
        else:
            weight.assign(rng.normal(1.0, 0.1, weight.shape).astype("float32"))
    return model
