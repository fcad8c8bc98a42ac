"""What a backend says where a device has too little memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

# What TensorFlow says, as an InternalError, where inputs find no place on a GPU that is full.
_NO_PLACE = "Dst tensor is not initialized"


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a backend's own errors into MemoryError.

    Raises:
        MemoryError: A device has too little of it.
    """
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise MemoryError(str(error)) from error


def _is_out_of_memory(error: Exception) -> bool:
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    import tensorflow as tf

    if isinstance(error, tf.errors.InternalError):
        return _NO_PLACE in str(error)
    return isinstance(error, tf.errors.ResourceExhaustedError)
