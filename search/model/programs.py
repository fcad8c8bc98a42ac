"""Programs: what is compiled once and run for every trial; a new trial resets variables and builds nothing.

The backend decides which of two modules holds them; both have the same two classes, `Forward` and
`Training`, and the same numbers within the accuracy of float32.
"""

from typing import Protocol

import keras
import numpy as np

from search.config.trial_config import OptimizerName


class ForwardProgram(Protocol):
    """A model in inference, compiled."""

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Run the model over all inputs, `batch_size` at a time.

        Raises:
            MemoryError: The device has not enough of it.
        """
        ...


class TrainingProgram(Protocol):
    """Training steps of a model under one optimizer, compiled."""

    optimizer: keras.optimizers.Optimizer

    def reset(self, weight_decay: float) -> None:
        """Empty the optimizer's state and set its decoupled weight decay."""
        ...

    def run(
        self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, lrs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train one step for each batch of the inputs, in order.

        Args:
            inputs: `(n, ...)`, what the model takes.
            targets: `(n, classes) float32`, each row a distribution.
            weights: `(n,) float32`, by which the losses of the pictures are multiplied.
            lrs: `(steps,) float32`, one learning rate a step, `steps = ceil(n / batch_size)`.

        Returns:
            The logits that each picture got in its step, `(n, classes) float32`, and each step's mean loss,
            `(steps,) float32`.

        Raises:
            MemoryError: The device has not enough of it.
        """
        ...


def make_optimizer(name: OptimizerName) -> keras.optimizers.Optimizer:
    """Make an optimizer whose learning rate and weight decay are variables.

    Adam, SGD with momentum 0.9 and RMSprop have Keras' own defaults; weight decay is decoupled from the
    gradient (Loshchilov and Hutter 2019), which makes Adam what is called AdamW.
    """
    makers = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": lambda learning_rate: keras.optimizers.SGD(learning_rate, momentum=0.9),
    }
    optimizer = makers[name](learning_rate=0.0)
    optimizer.weight_decay = keras.Variable(0.0, trainable=False, name="weight_decay")
    return optimizer


def forward_program(model: keras.Model, batch_size: int) -> ForwardProgram:
    """Compile a model for inference."""
    if keras.backend.backend() == "jax":
        from search.model.programs_jax import Forward as JaxForward

        return JaxForward(model, batch_size)
    from search.model.programs_tensorflow import Forward

    return Forward(model, batch_size)


def training_program(
    model: keras.Model,
    trained: list[keras.Variable],
    optimizer: OptimizerName,
    batch_size: int,
    parts: int = 1,
) -> TrainingProgram:
    """Compile the training of some variables of a model.

    Args:
        model: The model.
        trained: Its variables that are trained.
        optimizer: What trains them.
        batch_size: Rows whose mean loss one step lowers.
        parts: How many parts a batch goes through the model in, so that the memory of one is enough. Each
            has `ceil(batch_size / parts)` rows, or what is left of the batch. Their gradients add up to those
            of the whole batch, whose sums are rounded in another order; dropout draws other numbers.
    """
    if keras.backend.backend() == "jax":
        from search.model.programs_jax import Training as JaxTraining

        return JaxTraining(model, trained, make_optimizer(optimizer), batch_size, parts)
    from search.model.programs_tensorflow import Training

    return Training(model, trained, make_optimizer(optimizer), batch_size, parts)
