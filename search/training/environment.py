"""The environment of training: what of the machine and the libraries can change a number."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import keras


def environment() -> dict[str, str | int]:
    """Name everything of the environment that belongs into a key."""
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "backend_version": version(backend) if backend == "jax" else _tensorflow_version(),
        "keras": version("keras"),
        "device": _device_kind(backend),
        "machine": _machine(),
        "cores": _cores(),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", ""),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
        "precision": keras.config.floatx(),
        **(_xla() if backend == "jax" else {}),
    }


def _cores() -> int:
    """The cores that this process may use, which is how many threads TensorFlow takes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machine() -> str:
    """The processor's model, whose instructions decide the order of sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _xla() -> dict[str, str]:
    """What compiles under JAX, and what it is told from outside."""
    import jax

    return {
        "jaxlib": version("jaxlib"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul": str(jax.config.jax_default_matmul_precision),
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
