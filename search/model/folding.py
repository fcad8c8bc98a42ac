"""Folding: convolutions that take in the BatchNormalization after them.

BatchNormalization stands still in this program, in training too: it multiplies each channel by a number and
adds another. A convolution with its kernel multiplied and with a bias is the same function. It goes over the
memory half as often, and rounds otherwise.
"""

from collections import Counter

import keras
from keras import ops

from search.model.graph import graph_of


class FoldedConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A convolution and the BatchNormalization that reads it, whose variables it shares."""

    def __init__(self, convolution: keras.Layer, normalization: keras.layers.BatchNormalization) -> None:
        super().__init__(name=convolution.name)
        self.convolution, self.normalization = convolution, normalization
        self.built = True

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Give what the normalization would."""
        convolution, normalization = self.convolution, self.normalization
        scale = ops.rsqrt(normalization.moving_variance + normalization.epsilon)
        if normalization.scale:
            scale = scale * normalization.gamma
        offset = -normalization.moving_mean * scale
        if convolution.use_bias:
            offset = offset + convolution.bias * scale
        if normalization.center:
            offset = offset + normalization.beta
        return ops.add(self._convolved(inputs, scale), ops.reshape(offset, (1, 1, 1, -1)))

    def _convolved(self, inputs: keras.KerasTensor, scale: keras.KerasTensor) -> keras.KerasTensor:
        convolution = self.convolution
        if not isinstance(convolution, keras.layers.DepthwiseConv2D):
            return convolution.convolution_op(inputs, convolution.kernel * scale)
        # a depthwise kernel is (height, width, channels, 1)
        return ops.depthwise_conv(
            inputs,
            convolution.kernel * ops.reshape(scale, (1, 1, -1, 1)),
            convolution.strides,
            convolution.padding,
            dilation_rate=convolution.dilation_rate,
        )


def folded(model: keras.Model) -> keras.Model:
    """Fold each BatchNormalization of a model into the convolution before it, where nothing else reads that.

    Args:
        model: A functional model whose BatchNormalization stands still, channels last.

    Returns:
        A model of the same layers, which it shares.
    """
    taken_in = _foldable(model)
    into = {id(convolution): normalization for normalization, convolution in taken_in}
    gone = {id(normalization) for normalization, _ in taken_in}

    def call(layer: keras.Layer, *inputs: object, **settings: object) -> object:
        if id(layer) in gone:
            return inputs[0]
        if id(layer) in into:
            return FoldedConvolution(layer, into[id(layer)])(*inputs)
        return layer(*inputs, **settings)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _foldable(model: keras.Model) -> list[tuple[keras.layers.BatchNormalization, keras.Layer]]:
    graph = graph_of(model)
    n_readers = Counter(source for sources in graph.sources for source in sources)
    found = []
    for operation, sources in zip(graph.operations, graph.sources, strict=True):
        if isinstance(operation, keras.layers.BatchNormalization) and n_readers[sources[0]] == 1:
            before = graph.operations[sources[0]]
            if _takes_in(before):
                found.append((operation, before))
    return found


def _takes_in(operation: keras.Operation) -> bool:
    if isinstance(operation, keras.layers.DepthwiseConv2D):
        is_plain = operation.depth_multiplier == 1
    else:
        is_plain = type(operation) is keras.layers.Conv2D
    return is_plain and operation.activation is keras.activations.linear
