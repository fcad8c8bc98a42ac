"""A whole study under JAX, where TensorFlow is not installed, against the same one under TensorFlow.

Equal under both are what comes from numpy and from files: pictures, draws' numbers, the order of pictures, a
head's first weights, backbones from files or from a function such as those of `tiny_net`. What a backend's
own generator draws is not: dropout's masks, and a backbone's random weights (`weights: none`). So dropout is
0 here.
"""

import json
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Command
from mlflow import MlflowClient
from reading import epochs_trained, table_of

from search.data.pictures import decode

pytestmark = pytest.mark.slow

# Sums in another order round otherwise, in float32. On one processor that came to 4e-7 of a loss, and to 4e-6
# where scikit-learn's L-BFGS stops at its tolerance; others may sum in yet another order.
ROUNDING = 1e-4

SPACE = """\
study: small
data: {source: listed}
pruner: {name: none}
sampler: {name: random}
budget: {trials: 5}
finalists: {k: 2, seeds: 1}
fixed:
  image_size: 32
  batch_size: 16
  weights: imagenet
  dropout: 0.0
  head.epochs: 2
  tune.epochs: 2
  tune.lr_ratio: 0.3
  weight_decay: 0.01
  label_smoothing: 0.1
  class_weight: balanced
free:
  backbone: {choice: ["tiny_net:straight", "tiny_net:branching"]}
  unfreeze: {choice: [0.0, 0.5, 1.0]}
  optimizer: {choice: [sgd, adam]}
  augment: {choice: [0.0, 0.5]}
  head.lr: {choice: [3.0e-2]}
start:
  - {backbone: "tiny_net:branching", unfreeze: 0.0, optimizer: sgd, augment: 0.0}
  - {backbone: "tiny_net:branching", unfreeze: 0.5, optimizer: sgd, augment: 0.5}
  - {backbone: "tiny_net:straight", unfreeze: 0.5, optimizer: adam, augment: 0.0}
  - {backbone: "tiny_net:branching", unfreeze: 1.0, optimizer: adam, augment: 0.5}
callbacks:
  - keras.callbacks.ReduceLROnPlateau: {patience: 1, min_delta: 10.0}
  - keras.callbacks.CSVLogger: {filename: log.csv}
  - keras.callbacks.ModelCheckpoint: {filepath: best.keras, save_best_only: true}
recipes: [fitted.yaml]
"""
RECIPE = """\
summary: a linear classifier on the codes
fixed:
  backbone: tiny_net:branching
  classifier: logistic
  unfreeze: 0.0
  optimizer: sgd
  augment: 0.0
  head.lr: 3.0e-2
"""


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to all that is installed but TensorFlow."""
    folder = tmp_path_factory.mktemp("without TensorFlow") / "site-packages"
    folder.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if not entry.name.startswith("tensorflow"):
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def here(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the space, and a listing of so many pictures that all steps are full."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "fitted.yaml").write_text(RECIPE)
    (folder / "small.yaml").write_text(SPACE.replace("[fitted.yaml]", f"[{folder / 'fitted.yaml'}]"))
    splits = ["train"] * 3 + ["validation", "test"]
    rows = [
        f"{path},{path.parent.name},{splits[i % 5]}" for i, path in enumerate(sorted(small_data.glob("*/*")))
    ]
    (folder / "listed.csv").write_text("\n".join(["path,label,split", *rows]))
    return folder


@dataclass
class Study:
    """The study under one backend: the command's home, and the summary."""

    home: Path
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def under_tensorflow(here: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    home = tmp_path_factory.mktemp("TensorFlow") / "home"
    return Study(home, summary_of(started(here, home)))


@pytest.fixture(scope="module")
def under_jax(
    here: Path, without_tensorflow: Path, under_tensorflow: Study, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """The same, begun with the pictures that were decoded under TensorFlow."""
    home = tmp_path_factory.mktemp("JAX") / "home"
    shutil.copytree(under_tensorflow.home / "store" / "arrays", home / "store" / "arrays")
    return Study(home, summary_of(started(here, home, packages=without_tensorflow)))


def started(
    here: Path, home: Path, *options: str, packages: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; with `packages` under JAX, and nothing else is installed."""
    command = Command(here / "small.yaml", here / "listed.csv", home)
    line, environment = command.line("--json", *options), command.env()
    tests = Path(__file__).parents[1]
    found = [tests, tests.parent]
    if packages is not None:
        line.insert(1, "-S")  # without the folder of all that is installed
        found.append(packages)
        environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, found))
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600, check=False)


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def values_of(home: Path) -> dict[tuple[str, str, int], float]:
    """All that MLflow holds of all runs, by run, metric and step, but what is a time or a size."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    return {
        (str(run.info.run_name), name, point.step): point.value
        for run in client.search_runs([experiment.experiment_id])
        for name in run.data.metrics
        if not any(word in name for word in ("seconds", "_per_s", "bytes"))
        for point in client.get_metric_history(run.info.run_id, name)
    }


def test_every_value_of_every_run_is_that_under_tensorflow(under_tensorflow: Study, under_jax: Study) -> None:
    expected, got = values_of(under_tensorflow.home), values_of(under_jax.home)
    assert got.keys() == expected.keys()
    losses = {key: value for key, value in expected.items() if key[1].endswith("loss")}
    assert {key: got[key] for key in losses} == pytest.approx(losses, rel=ROUNDING)
    # One of 16 pictures may stand on the border between the classes; counts and rates are the same.
    shares = {key: value for key, value in expected.items() if key not in losses}
    assert {key: got[key] for key in shares} == pytest.approx(shares, abs=1 / 16)


def test_training_moves_the_values_that_are_compared(under_tensorflow: Study) -> None:
    for row in table_of(under_tensorflow.home):
        number, steps = row[0], row[4]
        assert isinstance(steps, dict)
        if number:  # of the fitted one there is only one epoch
            assert max(steps.values()) > (1 + 20 * ROUNDING) * min(steps.values()), number


def test_advice_and_the_order_that_it_gives_are_the_same(under_tensorflow: Study, under_jax: Study) -> None:
    for expected, got in zip(probes_of(under_tensorflow), probes_of(under_jax), strict=True):
        numbers = {name for name, value in expected.items() if isinstance(value, float)} - {"forward_s"}
        assert {name: got[name] for name in numbers} == pytest.approx(
            {name: expected[name] for name in numbers}, rel=ROUNDING
        )
        for name in expected.keys() - numbers - {"forward_s"}:
            assert got[name] == expected[name]
    orders = [[row[5] for row in table_of(study.home)] for study in (under_tensorflow, under_jax)]
    assert orders[0] == orders[1]


def probes_of(study: Study) -> list[dict[str, Any]]:
    advice = study.summary["advice"]
    return [row["probe"] for row in [*advice["backbones"], *advice["depths"]]]


def test_decoded_pictures_are_taken_from_a_store_that_tensorflow_filled(
    under_tensorflow: Study, under_jax: Study
) -> None:
    arrays = [
        {path.relative_to(study.home) for path in study.home.glob("store/arrays/*/*")}
        for study in (under_tensorflow, under_jax)
    ]
    assert arrays[0] == arrays[1]
    (pictures,) = under_jax.home.glob("store/arrays/*/pictures.npy")
    assert pictures.stat().st_mtime < (under_jax.home / "optuna.db").stat().st_mtime


def test_the_champion_of_jax_names_what_it_needs_and_predicts_under_tensorflow(
    under_tensorflow: Study, under_jax: Study, small_data: Path
) -> None:
    client = MlflowClient(f"sqlite:///{under_jax.home / 'mlflow.db'}")
    card = client.get_model_version_by_alias("small", "champion").description
    assert card is not None
    assert "| jax |" in card
    assert "tensorflow" not in card
    (requirements,) = (under_jax.home / "mlartifacts").rglob("requirements.txt")
    named = {line.partition("==")[0] for line in requirements.read_text().split()}
    assert named >= {"keras", "jax"}
    assert "tensorflow" not in named
    pictures = np.stack([decode(path.read_bytes(), 32) for path in sorted(small_data.glob("*/*"))[:8]])
    predicted = []
    for study in (under_tensorflow, under_jax):
        (file,) = study.home.glob("mlartifacts/**/model.keras")
        predicted.append(keras.models.load_model(file).predict(pictures, verbose=0))
    np.testing.assert_allclose(predicted[1], predicted[0], atol=1e-4)


def test_a_study_that_is_over_trains_nothing_again_under_jax(
    here: Path, without_tensorflow: Path, under_jax: Study
) -> None:
    trained = epochs_trained(under_jax.home)
    again = summary_of(started(here, under_jax.home, packages=without_tensorflow))
    assert epochs_trained(under_jax.home) == trained
    for part in ("best", "champion", "finalists", "baselines", "advice"):
        assert again[part] == under_jax.summary[part]


def test_what_needs_tensorflow_is_told_where_it_is_not_installed(
    here: Path, without_tensorflow: Path, tmp_path: Path
) -> None:
    board = ("--set", "callbacks=[{keras.callbacks.TensorBoard: {}}]")
    done = started(here, tmp_path / "home", *board, packages=without_tensorflow)
    told = "callbacks: keras.callbacks.TensorBoard writes by TensorFlow under every backend, and that is not"
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {told} installed; leave it out."
