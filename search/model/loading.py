"""Loading Keras and its backend without the dozen lines they print about themselves."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

# Where this is set, TensorFlow takes at most so much of a GPU's memory, at once; else what it needs, as it
# needs it.
GPU_MEMORY_BYTES = "SEARCH_GPU_MEMORY_BYTES"


def load_keras() -> None:
    """Import Keras and its backend, and let TensorFlow look for devices.

    What they write meanwhile to the process's standard error is dropped, warnings that TensorFlow prints
    whatever its log level is. An import that fails raises as always.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _muted():
        import keras

        if keras.backend.backend() == "tensorflow":
            _set_up_gpus()


def load_keras_on_processor() -> None:
    """Load Keras where it is not loaded yet, and leave the GPUs to the processes that train on them."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    with environment({} if "keras" in sys.modules else hidden):
        load_keras()


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while; processes that are started meanwhile inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def _set_up_gpus() -> None:
    """Say how much of each GPU TensorFlow takes; that cannot be changed once it computes."""
    import tensorflow as tf

    most_bytes = os.environ.get(GPU_MEMORY_BYTES)
    for gpu in tf.config.list_physical_devices("GPU"):
        if most_bytes is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(most_bytes) >> 20)
            tf.config.set_logical_device_configuration(gpu, [limit])


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
