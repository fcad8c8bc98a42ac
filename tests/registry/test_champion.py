import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow import MlflowClient
from real_mlflow import Server

from search.errors import TrackingError
from search.registry.champion import ALIAS, Candidate, Registered, register
from search.registry.saved import load_model, save_model
from search.registry.scores import Score

PX = 16
CLASSES = ["cat", "dög"]
NUMBERS = np.random.default_rng(0)
PICTURES = NUMBERS.integers(0, 256, (2, PX, PX, 3), dtype=np.uint8)


def small_model(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    images = keras.Input((PX, PX, 3), dtype="uint8")
    features = keras.layers.Rescaling(1 / 127.5, -1)(images)
    features = keras.layers.Conv2D(4, 3, activation="relu")(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(images, keras.layers.Dense(2, activation="softmax")(features))


def candidate(trial: int = 0, loss: float = 0.5, fingerprint: str = "a" * 64, **changes: object) -> Candidate:
    whole = Candidate(
        name="cats",
        study="cats",
        trial=trial,
        classes=CLASSES,
        example=PICTURES,
        card="# cats\n\nA model.\n",
        score=Score(100, 90, loss),
        test_fingerprint=fingerprint,
    )
    return replace(whole, **changes)


class Place:
    def __init__(self, uri: str, name: str, artifacts: Path | None) -> None:
        self.uri = uri
        self.name = name
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        location = None if artifacts is None else str(artifacts / name)
        self.experiment_id = self.client.create_experiment(name, artifact_location=location)
        self.run_id = self.client.create_run(self.experiment_id).info.run_id

    def register(self, model: keras.Model, **changes: object) -> Registered:
        return register(self.uri, self.run_id, model, candidate(name=self.name, **changes))

    def champion(self) -> int:
        return int(self.client.get_model_version_by_alias(self.name, ALIAS).version)


@pytest.fixture
def database(home: Path) -> Place:
    return Place(f"sqlite:///{home}/mlflow.db", "cats", home / "mlartifacts")


@pytest.fixture(params=["database", "server"])
def place(request: pytest.FixtureRequest, home: Path) -> Place:
    if request.param == "database":
        return Place(f"sqlite:///{home}/mlflow.db", "cats", home / "mlartifacts")
    server: Server = request.getfixturevalue("server")
    return Place(server.uri, f"cats{home.parent.name}", None)


LOAD_PLAINLY = """
import sys
sys.modules["search"] = None  # importing it, or anything below it, fails
import keras, mlflow, numpy as np
uri, out = sys.argv[1:]
folder = mlflow.artifacts.download_artifacts(uri)
pictures = np.load(out + "/pictures.npy")
model = keras.models.load_model(folder + "/data/model.keras", safe_mode=True)
np.save(out + "/plain.npy", model.predict(pictures, verbose=0))
loaded = mlflow.pyfunc.load_model(uri)
np.save(out + "/pyfunc.npy", loaded.predict(pictures))
example = loaded.metadata.load_input_example(folder)
np.save(out + "/example.npy", example)
print(loaded.metadata.signature.inputs, loaded.metadata.metadata)
"""


@pytest.mark.slow
def test_the_champion_loads_without_this_package_and_predicts_the_same(place: Place, tmp_path: Path) -> None:
    model = small_model()
    model.compile(loss="sparse_categorical_crossentropy", jit_compile=True)
    place.register(model)
    np.save(tmp_path / "pictures.npy", PICTURES)
    output = subprocess.run(
        [sys.executable, "-c", LOAD_PLAINLY, f"models:/{place.name}@champion", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ
        | {
            "MLFLOW_TRACKING_URI": place.uri,
            "MLFLOW_REGISTRY_URI": place.uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
    )
    assert output.returncode == 0, output.stderr[-3000:]
    expected = small_model().predict(PICTURES, verbose=0)
    assert expected.std() > 0
    for way in ("plain", "pyfunc"):
        np.testing.assert_array_equal(np.load(tmp_path / f"{way}.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "example.npy"), PICTURES)
    assert "uint8" in output.stdout
    assert str({"classes": CLASSES}) in output.stdout


def test_a_version_carries_card_classes_and_scores(place: Place, tmp_path: Path) -> None:
    found = place.register(small_model(), trial=3)
    version = place.client.get_model_version(place.name, str(found.version))
    assert version.run_id == place.run_id
    assert version.description.startswith(f"# cats\n\n> {found.outcome}\n")
    assert version.tags["search.test_loss"] == "0.5"
    assert version.tags["search.test_accuracy"] == "0.9"
    assert version.tags["search.trial"] == "3"
    (logged,) = place.client.search_logged_models([place.experiment_id])
    assert str(logged.status) == "READY"
    assert {metric.key: metric.value for metric in logged.metrics} == {"test_loss": 0.5, "test_accuracy": 0.9}


def test_the_first_model_becomes_champion(database: Place) -> None:
    found = database.register(small_model())
    assert (found.version, found.alias, found.is_new) == (1, ALIAS, True)
    assert found.outcome == "It became champion: no older champion was measured on these test pictures."
    assert database.champion() == 1


def test_a_better_model_takes_the_alias_and_a_worse_one_does_not(database: Place) -> None:
    database.register(small_model(0), trial=0, loss=0.5)
    worse = database.register(small_model(1), trial=1, loss=0.5)
    assert (worse.version, worse.alias, database.champion()) == (2, None, 1)
    assert "its test loss (0.5000) is not lower than that of version 1" in worse.outcome
    better = database.register(small_model(2), trial=2, loss=0.4)
    assert (better.version, better.alias, database.champion()) == (3, ALIAS, 3)
    assert "its test loss (0.4000) is lower than that of version 1" in better.outcome


def test_on_other_test_pictures_the_alias_moves_whatever_the_loss(database: Place) -> None:
    database.register(small_model(0), trial=0, loss=0.5)
    other = database.register(small_model(1), trial=1, loss=0.9, fingerprint="b" * 64)
    assert (other.alias, database.champion()) == (ALIAS, 2)
    assert "(version 1, measured on others, was champion)" in other.outcome
    # Back on the first pictures, the champion there still counts, though it has lost the alias.
    again = database.register(small_model(2), trial=2, loss=0.6)
    assert (again.alias, database.champion()) == (None, 2)
    assert "version 1" in again.outcome


def test_an_alias_that_somebody_set_by_hand_counts_as_champion(database: Place) -> None:
    database.register(small_model(0), trial=0, loss=0.5)
    database.register(small_model(1), trial=1, loss=0.7)
    database.client.delete_model_version("cats", "1")
    database.client.set_registered_model_alias("cats", ALIAS, "2")
    third = database.register(small_model(2), trial=2, loss=0.8)
    assert (third.alias, database.champion()) == (None, 2)


def test_the_same_trial_makes_no_second_version(place: Place) -> None:
    first = place.register(small_model(0), trial=0, loss=0.5)
    again = place.register(small_model(0), trial=0, loss=0.5)
    assert again == replace(first, is_new=False)
    assert len(place.client.search_model_versions(f"name='{place.name}'")) == 1
    assert len(place.client.search_logged_models([place.experiment_id])) == 1


def test_a_former_champion_registered_again_does_not_take_the_alias_back(database: Place) -> None:
    database.register(small_model(0), trial=0, loss=0.5)
    database.register(small_model(1), trial=1, loss=0.9, fingerprint="b" * 64)
    again = database.register(small_model(0), trial=0, loss=0.5)
    assert (again.version, again.alias, again.is_new, database.champion()) == (1, None, False, 2)


def test_a_version_left_without_outcome_by_a_kill_is_finished(database: Place) -> None:
    database.register(small_model(0), trial=0, loss=0.5)
    for tag in ("search.outcome", "search.was_champion"):
        database.client.delete_model_version_tag("cats", "1", tag)
    database.client.delete_registered_model_alias("cats", ALIAS)
    again = database.register(small_model(0), trial=0, loss=0.5)
    assert (again.version, again.alias, again.is_new, database.champion()) == (1, ALIAS, False, 1)
    assert len(database.client.search_model_versions("name='cats'")) == 1


def test_a_long_card_is_whole_among_the_files_and_short_in_the_registry(database: Place) -> None:
    card = "# cats\n\n" + "word " * 4000
    database.register(small_model(), card=card)
    version = database.client.get_model_version("cats", "1")
    assert len(version.description) == 5000
    assert version.description.endswith("`card.md` among the model's files.)")
    stored = Path(version.source, "card.md").read_text()
    assert stored.endswith("word " * 4000)
    assert json.loads(Path(version.source, "classes.json").read_text()) == CLASSES


def test_the_saved_model_holds_no_compile_settings(tmp_path: Path) -> None:
    model = small_model()
    model.compile(loss="sparse_categorical_crossentropy", jit_compile=True)
    save_model(tmp_path / "model", model, PICTURES, CLASSES, "card")
    assert not keras.models.load_model(tmp_path / "model" / "data" / "model.keras").compiled
    assert model.compiled


def test_a_file_is_loaded_in_safe_mode_and_not_compiled(tmp_path: Path) -> None:
    model = small_model()
    model.compile(loss="sparse_categorical_crossentropy", jit_compile=True)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    np.testing.assert_array_equal(
        loaded.predict(PICTURES, verbose=0), small_model().predict(PICTURES, verbose=0)
    )
    unsafe = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    unsafe.save(tmp_path / "unsafe.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_model(tmp_path / "unsafe.keras")


class Own(keras.layers.Layer):
    def call(self, inputs: object) -> object:
        return inputs


def test_a_layer_of_our_own_is_refused_by_name(tmp_path: Path) -> None:
    model = small_model()
    wrapped = keras.Model(model.inputs, Own()(model.outputs[0]))
    nested = keras.Sequential([keras.Input((PX, PX, 3), dtype="uint8"), wrapped])
    for foreign in (wrapped, nested):
        with pytest.raises(ValueError, match="plain Keras cannot load Own"):
            save_model(tmp_path / "model", foreign, PICTURES, CLASSES, "card")


def test_a_lambda_is_refused_by_name(tmp_path: Path) -> None:
    model = small_model()
    wrapped = keras.Model(model.inputs, keras.layers.Lambda(lambda x: x)(model.outputs[0]))
    with pytest.raises(ValueError, match="plain Keras cannot load Lambda"):
        save_model(tmp_path / "model", wrapped, PICTURES, CLASSES, "card")


@pytest.mark.parametrize(
    ("example", "classes", "sentence"),
    [
        (PICTURES.astype(np.float32), CLASSES, "uint8; got"),
        (PICTURES[:, :8, :8], CLASSES, "the example is"),
        (PICTURES[:0], CLASSES, "the example must be"),
        (PICTURES, ["cat"], "must give 1 probabilities"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    tmp_path: Path, example: np.ndarray, classes: list[str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        save_model(tmp_path / "model", small_model(), example, classes, "card")


def test_a_loss_that_is_not_finite_is_refused(database: Place) -> None:
    with pytest.raises(ValueError, match="finite test loss; got nan"):
        database.register(small_model(), loss=float("nan"))


def test_a_registry_that_does_not_answer_is_one_sentence(home: Path) -> None:
    with pytest.raises(TrackingError, match=r"at http://u:\*\*\*@127.0.0.1:9: .*; run the command again"):
        register("http://u:hush@127.0.0.1:9", "0" * 32, small_model(), candidate())
