"""Programs under JAX: one scan over the full batches, and one step for the rest."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from search.model.memory import memory_errors


class Forward:
    """A model in inference. See `ForwardProgram`."""

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        self._model, self._batch_size = model, batch_size
        self._run = jax.jit(
            lambda trainable, others, inputs: model.stateless_call(trainable, others, inputs, training=False)[
                0
            ]
        )

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Run the model over all inputs, `batch_size` at a time."""
        trainable = [variable.value for variable in self._model.trainable_variables]
        others = [variable.value for variable in self._model.non_trainable_variables]
        starts = range(0, len(inputs), self._batch_size)
        batches = (inputs[start : start + self._batch_size] for start in starts)
        with memory_errors():
            return np.concatenate([np.asarray(self._run(trainable, others, batch)) for batch in batches])


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
        # Keras would bake its value into the compiled step, so the decay is applied here.
        self._decay, optimizer.weight_decay = optimizer.weight_decay, None
        self._model, self._trained, self._batch_size = model, trained, batch_size
        self._part_size = math.ceil(batch_size / parts)
        chosen = {id(variable) for variable in trained}
        self._others = [variable for variable in model.variables if id(variable) not in chosen]
        self._loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        self._lr = next(
            i for i, variable in enumerate(optimizer.variables) if variable is optimizer._learning_rate
        )
        self._scan = jax.jit(lambda state, decay, batches: jax.lax.scan(self._stepper(decay), state, batches))

    def reset(self, weight_decay: float) -> None:
        """Empty the optimizer's state and set its decoupled weight decay."""
        for variable in self.optimizer.variables:
            variable.assign(jnp.zeros(variable.shape, variable.dtype))
        self._decay.assign(weight_decay)

    def run(
        self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, lrs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train one step for each batch of the inputs, in order."""
        state = tuple(
            [v.value for v in group] for group in (self._trained, self._others, self.optimizer.variables)
        )
        n_full = len(inputs) // self._batch_size
        logits, losses = [], []
        for first, last, size in (
            (0, n_full, self._batch_size),
            (n_full, len(lrs), len(inputs) % self._batch_size),
        ):
            if first == last:
                continue
            rows = slice(first * self._batch_size, first * self._batch_size + (last - first) * size)
            pictures = (_in_batches(values[rows], size) for values in (inputs, targets, weights))
            batches = (*pictures, lrs[first:last])
            state, (outputs, loss) = self._scan_in_memory(state, batches)
            logits.append(np.asarray(outputs).reshape(-1, targets.shape[1]))
            losses.append(np.asarray(loss))
        for group, values in zip((self._trained, self._others, self.optimizer.variables), state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return np.concatenate(logits), np.concatenate(losses)

    def _scan_in_memory(self, state: Any, batches: Any) -> Any:
        with memory_errors():
            return jax.block_until_ready(self._scan(state, self._decay.value, batches))

    def _stepper(self, decay: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            trained, others, optimizer = state
            *pictures, lr = batch
            (loss, (outputs, others)), gradients = self._in_parts(trained, others, pictures)
            optimizer = [*optimizer[: self._lr], lr, *optimizer[self._lr + 1 :]]
            decayed = [value - value * decay * lr for value in trained]
            trained, optimizer = self.optimizer.stateless_apply(optimizer, gradients, decayed)
            return (trained, others, optimizer), (outputs, loss)

        return step

    def _in_parts(self, trained: Any, others: Any, pictures: Any) -> Any:
        """Differentiate the mean loss of a batch, one part of it after the other."""
        gradients_of = jax.value_and_grad(self._forward, has_aux=True)
        n_rows, size = len(pictures[0]), self._part_size
        if n_rows <= size:
            return gradients_of(trained, others, *pictures)

        def add(so_far: Any, part: Any) -> Any:
            others, loss, gradients = so_far
            (its_loss, (outputs, others)), its_gradients = gradients_of(trained, others, *part)
            share = len(outputs) / n_rows
            pairs = zip(gradients, its_gradients, strict=True)
            return (others, loss + share * its_loss, [total + share * own for total, own in pairs]), outputs

        full = n_rows - n_rows % size
        nothing = (others, jnp.zeros(()), [jnp.zeros_like(value) for value in trained])
        parts = [_in_batches(values[:full], size) for values in pictures]
        so_far, outputs = jax.lax.scan(add, nothing, parts)
        outputs = outputs.reshape(full, -1)
        if full < n_rows:
            so_far, last = add(so_far, [values[full:] for values in pictures])
            outputs = jnp.concatenate([outputs, last])
        others, loss, gradients = so_far
        return (loss, (outputs, others)), gradients

    def _forward(self, trained: Any, others: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        pairs = [*zip(self._trained, trained, strict=True), *zip(self._others, others, strict=True)]
        with keras.StatelessScope(state_mapping=pairs) as scope:
            outputs = self._model(inputs, training=True)
            loss = self._loss(targets, outputs, weights)
        return loss, (outputs, [scope.get_current_value(variable) for variable in self._others])


def _in_batches(values: Any, size: int) -> Any:
    return values.reshape(-1, size, *values.shape[1:])
