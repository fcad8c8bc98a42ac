"""A study of backbones beside the table: from the space file to the registered champion."""

from pathlib import Path

import keras
import pytest
from command import Command
from mlflow import MlflowClient
from reading import trials_of
from timm_files import resnet18_weights, save_timm

MODULE = """
import keras
from keras import layers


def build(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    x = layers.Rescaling(1 / 255)(pictures)
    kernel = keras.initializers.HeNormal(0)
    x = layers.Conv2D(8, 3, strides=4, activation="relu", kernel_initializer=kernel)(x)
    return keras.Model(pictures, x)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a module and a folder of weights."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "my_net.py").write_text(MODULE)
    save_timm(tmp_path / "here" / "weights" / "timm" / "resnet18.a1_in1k", resnet18_weights())
    return tmp_path / "here"


@pytest.mark.slow
def test_a_study_over_timm_and_a_function_ends_in_a_champion_of_plain_keras(
    command: Command, folder: Path
) -> None:
    sets = [
        "free.backbone=[timm/resnet18,my_net:build]",
        "fixed.weights=imagenet",
        "recipes=[]",
        "free.head.lr={per_backbone: {timm/resnet18: {choice: [1.0e-3]}, other: {choice: [3.0e-3]}}}",
        "start=[{unfreeze: 0.5, head.epochs: 1, tune.epochs: 1}]",
    ]
    given = [word for one in sets for word in ("--set", one)]
    done = command.run(*given, "--weights", "weights", "--trials", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    trials = trials_of(command.home)
    assert {trial.params["backbone"] for trial in trials} == {"timm/resnet18", "my_net:build"}
    client = MlflowClient(f"sqlite:///{command.home / 'mlflow.db'}")
    assert [model.name for model in client.search_registered_models()] == ["small"]
    (path,) = (command.home / "mlartifacts").rglob("model.keras")
    assert keras.models.load_model(path).name in {"timm_resnet18", "my_net_build"}


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("fixed.backbone=timm/resnt18", "KerasHub converts no 'resnt18' of timm (did you mean resnet18?)"),
        ("fixed.backbone=not_there:build", "there is no module 'not_there' for not_there:build"),
        ("fixed.backbone=my_net:built", "module my_net has no 'built'"),
    ],
)
def test_a_backbone_that_is_not_there_is_one_line(
    setting: str, what: str, command: Command, folder: Path
) -> None:
    done = command.run("--set", setting, "--set", "fixed.weights=imagenet", "--dry-run", cwd=folder)
    assert done.returncode == 2, done.stderr
    assert what in done.stderr
    assert "Traceback" not in done.stderr
