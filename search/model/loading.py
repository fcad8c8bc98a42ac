"""Loading Keras and its backend without the dozen lines they print about themselves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def load_keras() -> None:
    """Import Keras and its backend, and let TensorFlow look for devices.

    What they write meanwhile to the process's standard error is dropped, warnings that TensorFlow prints
    whatever its log level is. An import that fails raises as always.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _muted():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            for gpu in tf.config.list_physical_devices("GPU"):
                # Memory is taken as it is needed, so that others can use the GPU as well.
                tf.config.experimental.set_memory_growth(gpu, True)


@contextmanager
def _muted() -> Iterator[None]:
    """Point file descriptor 2 at nothing; C++ code writes there past `sys.stderr`."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nothing)
        os.close(kept)
