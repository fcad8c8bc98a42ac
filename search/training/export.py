"""Export: the best weights of a trial as one standard Keras model, which needs nothing of this package."""

from pathlib import Path

import keras

from search.config.trial_config import TrialConfig
from search.model.network import Network


def standard_model(network: Network, config: TrialConfig) -> keras.Model:
    """Put a network together from Keras' own layers only.

    Returns:
        `(n, px, px, 3) uint8` pictures to `(n, classes) float32` probabilities; it shares the network's
        variables.
    """
    px = config.image_size
    pictures = keras.Input((px, px, 3), dtype="uint8", name="pictures")
    maps = network.backbone(network.preprocess(pictures))
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = network.head.standard(pooled, config.dropout)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(pictures, probabilities, name=config.backbone)


def save_model(network: Network, config: TrialConfig, path: Path) -> None:
    """Save the standard model as a `.keras` file; it is not compiled, so no XLA flag travels with it."""
    standard_model(network, config).save(path)
