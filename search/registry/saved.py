"""Saved model: a folder that MLflow, plain Keras and a reader can open."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.model.loading import load_keras_on_processor
from search.recorder.client import open_client


def save_model(
    folder: Path,
    model: Any,
    example: npt.NDArray[np.uint8],
    classes: Sequence[str],
    card: str,
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Save a Keras model as an MLflow model with signature, input example, class names and card.

    `data/model.keras` in it opens with plain `keras.models.load_model`. It is saved without its optimizer
    and without the `compile` settings: a compiled-for-GPU flag would make it slow on a CPU.

    Args:
        folder: Where to; must not exist.
        model: A `keras.Model` of standard layers: (n, px, px, 3) uint8 in, (n, classes) probabilities out.
        example: (k, px, px, 3) uint8, one to three pictures.
        classes: Names of the classes, by index.
        card: The model card, Markdown.
        model_id: MLflow's id of the model, if it has one.
        run_id: MLflow's id of the run that trained it, if there is one.

    Raises:
        ValueError: The model holds layers that plain Keras cannot load, or does not fit example and classes.
    """
    import mlflow.keras
    from mlflow.models import Model

    _check_fit(model, example, classes)
    _check_standard(model)
    # MLflow writes the example before it makes the folder, and fails; it minds no folder that is there.
    folder.mkdir(parents=True)
    mlflow.keras.save_model(
        _uncompiled(model),
        str(folder),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=_signature(example.shape[1:], len(classes)),
        input_example=np.asarray(example),
        pip_requirements=pip_requirements(),
        metadata={"classes": list(classes)},
    )
    (folder / "classes.json").write_text(json.dumps(list(classes), ensure_ascii=False, indent=1) + "\n")
    (folder / "card.md").write_text(card)


def load_model(path: Path) -> Any:
    """Load a `.keras` file as anybody would, in safe mode and without its `compile` settings.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is no Keras file, or holds what safe mode refuses.
    """
    load_keras_on_processor()
    import keras

    return keras.models.load_model(path, compile=False, safe_mode=True)


def load_registered(uri: str, name: str, version: int) -> Any:
    """Load a registered model.

    Args:
        uri: Tracking URI; the registry is there too.
        name: The registered model's name.
        version: Number of its version.
    """
    import mlflow

    source = open_client(uri).get_model_version_download_uri(name, str(version))
    folder = mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=uri)
    return load_model(Path(folder) / "data" / "model.keras")


def libraries() -> dict[str, str]:
    """Name what runs a saved model, Keras, its backend and numpy, with the versions of this machine."""
    load_keras_on_processor()
    import keras

    modules = ("keras", keras.backend.backend(), "numpy")
    return {name: import_module(name).__version__ for name in modules}


def pip_requirements() -> list[str]:
    """List what a machine must install to run a saved model, as this one has it."""
    return [f"{name}=={found}" for name, found in libraries().items()]


def _check_fit(model: Any, example: npt.NDArray[np.uint8], classes: Sequence[str]) -> None:
    if example.dtype != np.uint8 or example.ndim != 4 or not len(example):
        raise ValueError(f"the example must be (k, px, px, 3) uint8; got {example.shape} {example.dtype}")
    if len(model.inputs) != 1 or model.inputs[0].dtype != "uint8":
        raise ValueError(f"the model must take uint8 pictures; it takes {[i.dtype for i in model.inputs]}")
    if tuple(model.inputs[0].shape[1:]) != example.shape[1:]:
        raise ValueError(f"the model takes {model.inputs[0].shape[1:]}, the example is {example.shape[1:]}")
    if model.output_shape != (None, len(classes)):
        raise ValueError(f"the model must give {len(classes)} probabilities; it gives {model.output_shape}")


def _check_standard(model: Any) -> None:
    """Refuse what only this program could load: Keras names the module of every object it saves."""
    from search.model.standard import foreign_objects

    foreign = foreign_objects(model)
    if foreign:
        raise ValueError(f"plain Keras cannot load {', '.join(foreign)}; put standard layers in place")


def _uncompiled(model: Any) -> Any:
    import keras

    return keras.Model(model.inputs, model.outputs, name=model.name) if model.compiled else model


def _signature(shape: tuple[int, ...], n_classes: int) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pictures = TensorSpec(np.dtype(np.uint8), (-1, *shape))
    probabilities = TensorSpec(np.dtype(np.float32), (-1, n_classes))
    return ModelSignature(Schema([pictures]), Schema([probabilities]))
