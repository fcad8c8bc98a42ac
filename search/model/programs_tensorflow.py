"""Programs under TensorFlow: one graph for many steps, the loop inside it."""

import keras
import numpy as np
import tensorflow as tf


class Forward:
    """A model in inference. See `ForwardProgram`."""

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        self._batch_size = batch_size
        self._run = tf.function(
            lambda inputs: model(inputs, training=False),
            input_signature=[tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)],
        )

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Run the model over all inputs, `batch_size` at a time."""
        starts = range(0, len(inputs), self._batch_size)
        return np.concatenate(
            [self._run(inputs[start : start + self._batch_size]).numpy() for start in starts]
        )


class Training:
    """Training steps of a model under one optimizer. See `TrainingProgram`."""

    def __init__(
        self,
        model: keras.Model,
        trained: list[keras.Variable],
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
    ) -> None:
        self.optimizer = optimizer
        optimizer.build(trained)
        self._model, self._trained, self._batch_size = model, trained, batch_size
        self._loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        self._steps = tf.function(
            self._loop,
            input_signature=[
                tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype),
                tf.TensorSpec(model.outputs[0].shape, tf.float32),
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((None,), tf.float32),
            ],
        )

    def reset(self, weight_decay: float) -> None:
        """Empty the optimizer's state and set its decoupled weight decay."""
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        self.optimizer.weight_decay.assign(weight_decay)

    def run(
        self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, lrs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train one step for each batch of the inputs, in order."""
        try:
            logits, losses = self._steps(inputs, targets, weights, lrs)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(error.message) from error
        return logits.numpy(), losses.numpy()

    def _loop(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, lrs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        n_steps = tf.shape(lrs)[0]
        logits = tf.TensorArray(tf.float32, n_steps, infer_shape=False, element_shape=targets.shape)
        losses = tf.TensorArray(tf.float32, n_steps)
        for step in tf.range(n_steps):
            start = step * self._batch_size
            batch = slice(start, start + self._batch_size)
            outputs, loss = self._step(inputs[batch], targets[batch], weights[batch], lrs[step])
            logits, losses = logits.write(step, outputs), losses.write(step, loss)
        return logits.concat(), losses.stack()

    def _step(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, lr: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        self.optimizer.learning_rate.assign(lr)
        trained = [variable.value for variable in self._trained]
        with tf.GradientTape() as tape:
            # those of BatchNormalization are not watched by themselves, since the layer stands still
            tape.watch(trained)
            outputs = self._model(inputs, training=True)
            loss = self._loss(targets, outputs, weights)
        gradients = tape.gradient(loss, trained)
        self.optimizer.apply(gradients, self._trained)
        return outputs, loss
