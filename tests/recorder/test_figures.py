import csv
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.recorder.figures import (
    confusion_matrix,
    count_pairs,
    most_confident_mistakes,
    worst_mistakes,
    write_history,
)


def test_the_history_has_a_row_an_epoch_and_a_column_a_metric(tmp_path: Path) -> None:
    epochs = [{"step": 4, "val_loss": 0.5}, {"step": 8, "val_loss": 0.25, "val_auc": 0.75}]
    write_history(tmp_path / "history.csv", epochs)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [["step", "val_loss", "val_auc"], ["4", "0.5", ""], ["8", "0.25", "0.75"]]


def test_a_history_without_epochs_is_an_empty_file(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [])
    assert (tmp_path / "history.csv").read_bytes() == b""


def test_pairs_are_counted_with_the_true_class_in_rows() -> None:
    counts = count_pairs(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_no_pictures_make_no_pairs() -> None:
    empty = np.array([], dtype=np.int64)
    assert count_pairs(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("labels", "predicted"), [([0, 3], [0, 0]), ([0, 1], [-1, 0])])
def test_an_index_that_is_no_class_is_refused(labels: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"class indices must lie in \[0, 3\)"):
        count_pairs(np.array(labels), np.array(predicted), 3)


def test_mistakes_come_with_the_surest_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.01, 0.99], [0.8, 0.2], [0.4, 0.6]])
    assert most_confident_mistakes(np.array([1, 0, 1, 1, 0]), probabilities).tolist() == [0, 3, 1, 4]


@pytest.mark.parametrize("n_classes", [2, 37, 120])
def test_a_confusion_matrix_is_drawn_in_any_thread(tmp_path: Path, n_classes: int) -> None:
    numbers = np.random.default_rng(0)
    labels = numbers.integers(0, n_classes, 500)
    predicted = np.where(numbers.random(500) < 0.9, labels, numbers.integers(0, n_classes, 500))
    classes = [f"class $x_{n}$ with a very long name" for n in range(n_classes)]
    arguments = (tmp_path / "confusion.png", labels, predicted, classes)
    thread = threading.Thread(target=confusion_matrix, args=arguments)
    thread.start()
    thread.join()
    picture = np.asarray(Image.open(tmp_path / "confusion.png").convert("RGB"))
    assert min(picture.shape[:2]) > 250
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 60
    assert blue.any()


def test_a_diagonal_is_dark_only_where_the_model_is_right(tmp_path: Path) -> None:
    labels = np.array([0] * 50 + [1] * 50)
    confusion_matrix(tmp_path / "right.png", labels, labels, ["cat", "dog"])
    confusion_matrix(tmp_path / "wrong.png", labels, 1 - labels, ["cat", "dog"])
    right, wrong = (
        np.asarray(Image.open(tmp_path / name).convert("L"), float) for name in ("right.png", "wrong.png")
    )
    assert right.shape == wrong.shape
    assert (abs(right - wrong) > 100).mean() > 0.2


def test_the_grid_of_mistakes_shows_their_pixels_and_no_others(tmp_path: Path) -> None:
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[0, ..., 0] = 255
    images[1, ..., 1] = 255
    images[2, ..., 2] = 255
    probabilities = np.array([[0.1, 0.9], [0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    shown = worst_mistakes(
        tmp_path / "worst.png", images, np.array([0, 0, 0, 0]), probabilities, ["cat", "dog"]
    )
    assert shown == 2
    picture = np.asarray(Image.open(tmp_path / "worst.png").convert("RGB"))
    has = [bool((picture == colour).all(axis=-1).any()) for colour in ([255, 0, 0], [0, 255, 0], [0, 0, 255])]
    assert has == [True, False, True]


def test_the_grid_holds_at_most_so_many(tmp_path: Path) -> None:
    images = np.zeros((40, 8, 8, 3), np.uint8)
    probabilities = np.tile([[0.2, 0.8]], (40, 1))
    labels = np.zeros(40, int)
    assert worst_mistakes(tmp_path / "worst.png", images, labels, probabilities, ["cat", "dog"], most=7) == 7


def test_a_model_without_mistakes_gets_no_grid(tmp_path: Path) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    assert worst_mistakes(tmp_path / "w.png", images, np.array([0]), np.array([[0.9, 0.1]]), ["a", "b"]) == 0
    assert not (tmp_path / "w.png").exists()
