"""Dropout whose rate and random numbers are variables, so that a new trial resets them and traces nothing."""

import keras
from keras import ops


class VariableDropout(keras.layers.Layer):  # type: ignore[misc]
    """Sets a share of its inputs to zero while training and scales the others up.

    Keras' own layer bakes its rate into the program. This one serves during the search, in `plain` as well;
    a model that is saved gets Keras' own in its place.
    """

    def __init__(self) -> None:
        super().__init__(name="dropout")
        self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")
        self.seed_generator = keras.random.SeedGenerator(0)

    def reset(self, rate: float, seed: int) -> None:
        """Set the rate, in [0, 1), and begin the random numbers anew from a seed in [0, 2**32)."""
        self.rate.assign(rate)
        # The state is an int32 on some backends; the bits are what counts.
        self.seed_generator.state.assign([(seed & 0x7FFFFFFF), 0])

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Drop, if training; the identity otherwise."""
        if not training:
            return inputs
        keep = 1.0 - self.rate
        kept = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator) < keep
        return ops.where(kept, inputs / keep, ops.zeros_like(inputs))
