"""The environment of training: what of the machine and the libraries can change a number."""

import os
from importlib.metadata import version

import keras


def environment() -> dict[str, str | int]:
    """Name everything of the environment that belongs into a key."""
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "backend_version": version(backend) if backend == "jax" else _tensorflow_version(),
        "keras": version("keras"),
        "device": _device_kind(backend),
        "threads": len(os.sched_getaffinity(0)),
        "precision": "float32",
    }


def _tensorflow_version() -> str:
    import tensorflow as tf

    return str(tf.__version__)


def _device_kind(backend: str) -> str:
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu"))
