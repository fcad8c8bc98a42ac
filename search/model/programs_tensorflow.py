"""Programs under TensorFlow: one graph for many steps, the loop inside it."""

import math

import keras
import numpy as np
import tensorflow as tf

from search.model.memory import memory_errors


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
        with memory_errors():
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
        parts: int,
    ) -> None:
        self.optimizer = optimizer
        optimizer.build(trained)
        self._model, self._trained, self._batch_size = model, trained, batch_size
        self._part_size = math.ceil(batch_size / parts)
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
        with memory_errors():
            logits, losses = self._steps(inputs, targets, weights, lrs)
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
        differentiate = self._whole if self._part_size >= self._batch_size else self._in_parts
        outputs, loss, gradients = differentiate(inputs, targets, weights)
        self.optimizer.apply(gradients, self._trained)
        return outputs, loss

    def _in_parts(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Differentiate the mean loss of a batch, one part of it after the other."""
        n_rows = tf.shape(inputs)[0]
        n_parts = -(-n_rows // self._part_size)
        logits = tf.TensorArray(tf.float32, n_parts, infer_shape=False, element_shape=targets.shape)
        loss = tf.constant(0.0)
        gradients = [tf.zeros_like(variable.value) for variable in self._trained]
        for part in tf.range(n_parts):
            # Else the next part is in memory before this one is done.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            rows = slice(part * self._part_size, (part + 1) * self._part_size)
            outputs, its_loss, its_gradients = self._whole(inputs[rows], targets[rows], weights[rows])
            share = tf.cast(tf.shape(outputs)[0], tf.float32) / tf.cast(n_rows, tf.float32)
            logits, loss = logits.write(part, outputs), loss + share * its_loss
            gradients = [total + share * own for total, own in zip(gradients, its_gradients, strict=True)]
        return logits.concat(), loss, gradients

    def _whole(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Differentiate the mean loss of some rows, all at once."""
        trained = [variable.value for variable in self._trained]
        with tf.GradientTape() as tape:
            # those of BatchNormalization are not watched by themselves, since the layer stands still
            tape.watch(trained)
            outputs = self._model(inputs, training=True)
            loss = self._loss(targets, outputs, weights)
        return outputs, loss, tape.gradient(loss, trained)
