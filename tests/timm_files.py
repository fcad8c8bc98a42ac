"""Checkpoints as timm keeps them, with random weights, and ResNet18 computed from one without Keras."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

Weights = dict[str, np.ndarray]
MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.2, 0.3)


def resnet18_weights(seed: int = 0) -> Weights:
    """Random weights under timm's names in torch's layout: `(out, in, h, w)`; the classifier is there too."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}

    def convolution(name: str, shape: tuple[int, ...]) -> None:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        weights[f"{name}.weight"] = (scale * rng.standard_normal(shape)).astype(np.float32)

    def normalization(name: str, n: int) -> None:
        weights[f"{name}.weight"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, n).astype(np.float32)
        weights[f"{name}.running_mean"] = rng.normal(0, 0.1, n).astype(np.float32)
        weights[f"{name}.running_var"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        weights[f"{name}.num_batches_tracked"] = np.array(1, np.int64)

    convolution("conv1", (64, 3, 7, 7))
    normalization("bn1", 64)
    before = 64
    for layer, n in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            place, n_in = f"layer{layer}.{block}", before if block == 0 else n
            convolution(f"{place}.conv1", (n, n_in, 3, 3))
            convolution(f"{place}.conv2", (n, n, 3, 3))
            normalization(f"{place}.bn1", n)
            normalization(f"{place}.bn2", n)
            if block == 0 and layer > 1:
                convolution(f"{place}.downsample.0", (n, n_in, 1, 1))
                normalization(f"{place}.downsample.1", n)
        before = n
    weights["fc.weight"] = rng.standard_normal((1000, 512)).astype(np.float32)
    weights["fc.bias"] = np.zeros(1000, np.float32)
    return weights


def save_timm(folder: Path, weights: Weights, architecture: str = "resnet18") -> Path:
    """Write a checkpoint as timm's repositories hold it."""
    folder.mkdir(parents=True)
    cut = {"mean": MEAN, "std": STD, "input_size": [3, 224, 224], "interpolation": "bicubic"}
    config = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": {"tag": "a1_in1k", **cut}}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")
    return folder


def resnet18(weights: Weights, pictures: np.ndarray) -> np.ndarray:
    """Compute the feature map of He et al. 2015 straight from timm's arrays.

    Args:
        weights: Under timm's names.
        pictures: `(n, px, px, 3) uint8`.

    Returns:
        `(n, px / 32, px / 32, 512) float32`.
    """
    x = ((pictures / 255.0 - MEAN) / STD).astype(np.float32)
    x = _activated(_normalized(weights, "bn1", _convolved(weights, "conv1", x, stride=2, padding=3)))
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-np.inf)
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    for layer in range(1, 5):
        for block in range(2):
            x = _block(weights, f"layer{layer}.{block}", x, stride=2 if block == 0 and layer > 1 else 1)
    return np.asarray(x)


def _block(weights: Weights, place: str, x: tf.Tensor, stride: int) -> tf.Tensor:
    y = _convolved(weights, f"{place}.conv1", x, stride, padding=1)
    y = _activated(_normalized(weights, f"{place}.bn1", y))
    y = _normalized(weights, f"{place}.bn2", _convolved(weights, f"{place}.conv2", y, 1, padding=1))
    if f"{place}.downsample.0.weight" in weights:
        x = _convolved(weights, f"{place}.downsample.0", x, stride, padding=0)
        x = _normalized(weights, f"{place}.downsample.1", x)
    return _activated(x + y)


def _convolved(weights: Weights, name: str, x: tf.Tensor, stride: int, padding: int) -> tf.Tensor:
    kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
    sides = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    return tf.nn.conv2d(x, kernel, stride, sides)


def _normalized(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    return (x - mean) / np.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _activated(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(x, 0)
