"""Heads other than one layer of softmax: trained, resumed, exported; and stage 1 below the head."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from test_oracle import run_segments

from search.errors import SpaceError
from search.model.head import Head, HeadPlan
from search.model.weights import SHAPES_FILE
from search.training.export import save_model
from search.training.linear import fit_linear
from search.training.metrics import measure, probabilities
from search.training.segment import Segment
from search.training.workshop import Workshop


@pytest.mark.parametrize(
    "settings",
    [
        {"classifier": "sigmoid", "head__hidden": "8,4"},
        {"classifier": "svm", "codes": 0.5, "batch_norm": "scale"},
    ],
    ids=str,
)
def test_an_exported_model_is_of_keras_own_layers_and_predicts_what_the_trial_does(
    settings: dict[str, object], tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer, config = make_light_trainer(tmp_path), make_config(**settings)
    _, last = run_segments(trainer, config)
    logits = trainer.predict_best(last, "test")
    save_model(trainer.load_best(last).network, config, tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    images = trainer._images(32)
    assert logits.shape == (len(images.rows["test"]), 2)
    np.testing.assert_allclose(
        model.predict(images.images_of("test"), verbose=0), probabilities(logits), atol=1e-6
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"head__last_layers": 10, "unfreeze": "re:conv_pw_13/", "augment": 0.5},
        {"classifier": "logistic", "batch_norm": "scale", "unfreeze": 0.2},
        {"classifier": "sigmoid", "head__hidden": 8},
    ],
    ids=str,
)
def test_a_trial_resumed_after_every_epoch_is_the_same(
    settings: dict[str, object], tmp_path: Path, make_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(**settings)
    undisturbed = make_trainer(tmp_path / "whole")
    expected, last = run_segments(undisturbed, config)
    got = []
    for epoch in expected:
        trainer = make_trainer(tmp_path / "parts")  # nothing in memory is left of the one before
        head_epochs = config.epochs("head")
        segment = Segment(config, epoch.stage, epoch.epoch, epoch.epoch - 1, head_epochs, "val_loss", 0)
        got += trainer.run(segment).epochs
    assert [one.metrics for one in got] == [one.metrics for one in expected]
    assert [one.before for one in got] == [one.before for one in expected]
    logits = [trainer.predict_best(last, "test") for trainer in (trainer, undisturbed)]
    np.testing.assert_array_equal(*logits)


def test_nothing_that_stage_1_moved_is_below_the_cut_of_stage_2(
    workshop: Workshop, make_config: Callable
) -> None:
    shallow = make_config(unfreeze="re:conv_pw_13/")
    deep = make_config(unfreeze="re:conv_pw_13/", head__last_layers=10)
    bench = workshop.bench(shallow, SHAPES_FILE, 2)
    positions = [bench.network.cut_in(config, "tune").position for config in (shallow, deep)]
    assert positions[1] < positions[0]
    assert workshop.way(bench, shallow, "head") is bench.head
    assert workshop.way(bench, deep, "head") is workshop.way(bench, deep, "tune")


@pytest.mark.parametrize(("hidden", "n_layers"), [((), 3), ((8,), 4), ((8, 4), 6)])
def test_a_head_counts_its_layers_as_a_tutorial_does(hidden: tuple[int, ...], n_layers: int) -> None:
    # pooling and the classifier, and dropout: one, or one after each hidden layer
    assert Head(HeadPlan(2, hidden=hidden), width=16).n_layers == n_layers


def test_all_layers_of_a_head_are_drawn_apart_within_the_limits_of_glorot_and_bengio() -> None:
    head = Head(HeadPlan(16, hidden=(16, 16)), width=16)
    head.reset(seed=3)
    kernels = [np.array(layer.kernel) for layer in head.trained_layers]
    limit = np.sqrt(6 / (16 + 16))
    assert all(0.9 * limit < np.abs(kernel).max() <= limit for kernel in kernels)
    assert len({kernel.tobytes() for kernel in kernels}) == 3
    assert not any(np.array(layer.bias).any() for layer in head.trained_layers)


def test_hidden_layers_are_followed_by_dropout_and_one_output_is_that_of_the_second_class() -> None:
    codes = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    head = Head(HeadPlan(2, one_logit=True, hidden=(8,)), width=16)
    head.reset(seed=3)
    logits = np.array(head.model(codes))
    hidden = np.maximum(codes @ np.array(head.trained_layers[0].kernel), 0)
    np.testing.assert_allclose(logits[:, 1:], hidden @ np.array(head.classifier.kernel), rtol=1e-4, atol=1e-6)
    assert not logits[:, 0].any()
    head.dropout.reset(0.5, seed=0)
    assert (np.array(head.model(codes, training=True)) != logits).any()


def test_one_output_is_for_two_classes_only(workshop: Workshop, make_config: Callable) -> None:
    with pytest.raises(SpaceError, match="sigmoid is for two classes, and there are 3; take softmax"):
        workshop.bench(make_config(classifier="sigmoid"), SHAPES_FILE, 3)


def test_the_first_epoch_knows_how_the_model_was_before_it(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    epochs, _ = run_segments(trainer, make_config())
    assert [bool(epoch.before) for epoch in epochs] == [True, False, False, False]
    assert epochs[0].before.keys() == {"val_loss", "val_accuracy", "val_f1", "val_auc"}
    assert epochs[0].before["val_loss"] > epochs[0].metrics["val_loss"]


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_linear_classifier_of_three_classes_knows_them_and_how_sure_it_is(name: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    codes = (rng.normal(size=(150, 5)) + 2.0 * np.eye(3, 5)[labels]).astype(np.float32)
    kernel, bias = fit_linear(codes[:90], labels[:90], np.ones(90, np.float32), name, 1.0, 3)
    assert (kernel.shape, bias.shape) == ((5, 3), (3,))
    found = measure(codes[90:] @ kernel + bias, labels[90:])
    assert found["accuracy"] > 0.8
    # with the scores of an SVM as they come it is 0.39
    assert found["loss"] < 0.37


def test_a_rare_class_counts_as_much_where_classes_are_balanced(
    tmp_path: Path, make_config: Callable
) -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 10 == 0).astype(np.int64)
    codes = (rng.normal(size=(200, 3)) + labels[:, None]).astype(np.float32)
    recalls = []
    for weights in (np.ones(200), np.where(labels == 1, 5.0, 5 / 9)):
        kernel, bias = fit_linear(codes, labels, weights.astype(np.float32), "logistic", 1.0, 2)
        recalls.append((codes @ kernel + bias).argmax(axis=1)[labels == 1].mean())
    assert recalls[1] > recalls[0] + 0.2


def test_an_svm_on_one_picture_a_class_is_fitted_without_folds() -> None:
    codes = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    kernel, bias = fit_linear(codes, np.array([0, 1]), np.ones(2, np.float32), "svm", 1.0, 2)
    assert list((codes @ kernel + bias).argmax(axis=1)) == [0, 1]


def test_hidden_layers_and_one_output_change_the_count_of_parameters(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    sizes = [
        trainer.size(config).parameters
        for config in (make_config(), make_config(classifier="sigmoid", head__hidden=8))
    ]
    width = 256  # of mobilenet_025
    assert sizes[1] - sizes[0] == (width * 8 + 8 + 8 + 1) - (width * 2 + 2)
