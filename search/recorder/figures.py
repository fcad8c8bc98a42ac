"""Figures: a trial's history as CSV, its confusion matrix and its worst mistakes as pictures.

Drawn with matplotlib's objects, without its global state, so that they can be drawn in any thread.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Above this many classes, numbers in the cells and names at every row can no longer be read.
_MOST_NUMBERED = 20
_MOST_NAMED = 60
_CAPTION_LETTERS = 18
_DPI = 120


def write_history(path: Path, epochs: Sequence[Mapping[str, object]]) -> None:
    """Write a trial's epochs as a CSV file, one row an epoch.

    Args:
        path: The file.
        epochs: Values by column name; the columns are those of all epochs, in the order they appear. An
            epoch without a value leaves its cell empty; no epochs make an empty file.
    """
    columns = list(dict.fromkeys(name for epoch in epochs for name in epoch))
    with path.open("w", newline="", encoding="utf-8") as file:
        if columns:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(epochs)


def augmentation_sheet(path: Path, pictures: npt.NDArray[np.uint8], strengths: Sequence[float]) -> None:
    """Draw what augmentation makes of a picture, a row a strength and a column a draw, as a PNG file.

    Args:
        path: The file.
        pictures: (strengths, draws, px, px, 3) uint8.
        strengths: The strength of each row.
    """
    n_rows, n_columns = pictures.shape[:2]
    figure = Figure(figsize=(1.2 * n_columns + 0.6, 1.2 * n_rows), dpi=_DPI, layout="constrained")
    places = figure.subplots(n_rows, n_columns, squeeze=False)
    for row, strength in enumerate(strengths):
        for column in range(n_columns):
            axes = places[row, column]
            axes.imshow(pictures[row, column])
            axes.set_xticks([])
            axes.set_yticks([])
        places[row, 0].set_ylabel(f"augment {strength:g}")
    _save(figure, path)


def confusion_matrix(
    path: Path, labels: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], classes: Sequence[str]
) -> None:
    """Draw how often each class was taken for which, as a PNG file.

    A cell's colour is its share of the row's true class; a class without pictures stays blank.

    Args:
        path: The file.
        labels: (n,) integers, the true class of each picture.
        predicted: (n,) integers, the class that the model gives.
        classes: Names of the classes, by index.

    Raises:
        ValueError: The two arrays differ in length, or hold an index that is no class.
    """
    counts = count_pairs(labels, predicted, len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * min(len(classes), _MOST_NUMBERED) + 0.1 * len(classes[_MOST_NUMBERED:_MOST_NAMED])
    figure = Figure(figsize=(side + 0.5, side), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    _name_classes(axes, classes)
    if len(classes) <= _MOST_NUMBERED:
        _number_cells(axes, counts, shares)
    n_right = int(np.trace(counts))
    axes.set_title(f"{n_right} of {len(labels)} right", fontsize=10)
    _save(figure, path)


def count_pairs(
    labels: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], n_classes: int
) -> npt.NDArray[np.int64]:
    """Count pairs of true and predicted class.

    Args:
        labels: (n,) integers.
        predicted: (n,) integers.
        n_classes: Number of classes.

    Returns:
        (n_classes, n_classes) int64; rows are the true class. Zeros where n is 0.

    Raises:
        ValueError: The two arrays differ in length, or hold an index that is no class.
    """
    both = np.stack([np.asarray(labels, np.int64), np.asarray(predicted, np.int64)])
    if both.size and not (both.min() >= 0 and both.max() < n_classes):
        raise ValueError(f"class indices must lie in [0, {n_classes}); got {both.min()} to {both.max()}")
    counts = np.bincount(both[0] * n_classes + both[1], minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def worst_mistakes(
    path: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    probabilities: npt.NDArray[np.floating],
    classes: Sequence[str],
    most: int = 25,
    rows_of: npt.NDArray[np.integer] | None = None,
) -> int:
    """Draw the mistakes that the model was surest of as a grid of thumbnails, in a PNG file.

    Args:
        path: The file; it is written only if there is a mistake.
        images: (n, px, px, 3) uint8, or more of them; may be a memory map, only the mistakes are read.
        labels: (n,) integers, the true class of each picture.
        probabilities: (n, c) floats, the model's probability of each class.
        classes: Names of the c classes, by index.
        most: How many thumbnails at most.
        rows_of: (n,) integers, where each picture stands in `images`; None where they are in the same order.

    Returns:
        How many mistakes are shown; 0 if the model made none.
    """
    rows = most_confident_mistakes(labels, probabilities)[:most]
    if not len(rows):
        return 0
    n_columns = min(5, len(rows))
    n_lines = -(-len(rows) // n_columns)
    # placed by hand: to find places for so many takes matplotlib a second
    figure = Figure(figsize=(1.9 * n_columns, 2.25 * n_lines), dpi=_DPI)
    places = {"left": 0.01, "right": 0.99, "bottom": 0.01, "wspace": 0.06, "hspace": 0.24}
    places["top"] = 1 - 0.36 / (2.25 * n_lines)  # two lines of text above the first row, inches
    grid = figure.subplots(n_lines, n_columns, squeeze=False, gridspec_kw=places)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, row in zip(grid.flat, rows, strict=False):
        guess = int(np.argmax(probabilities[row]))
        axes.imshow(np.asarray(images[row if rows_of is None else rows_of[row]]))
        caption = f"is {_short(classes[int(labels[row])])}\nsaid {_short(classes[guess])}"
        axes.set_title(f"{caption} {probabilities[row][guess]:.0%}", fontsize=8, parse_math=False)
    _save(figure, path)
    return len(rows)


def most_confident_mistakes(
    labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]
) -> npt.NDArray[np.intp]:
    """Find the pictures whose predicted class is wrong, the surest first; ties in their order.

    Args:
        labels: (n,) integers, the true class of each picture.
        probabilities: (n, c) floats; a row with NaN counts as its first NaN's class.

    Returns:
        Row numbers, as many as there are mistakes.
    """
    predicted = np.argmax(probabilities, axis=1)
    (wrong,) = np.nonzero(predicted != np.asarray(labels))
    sureness = probabilities[wrong, predicted[wrong]]
    return wrong[np.argsort(-sureness, kind="stable")]


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) > _MOST_NAMED:
        return
    names = [_short(name) for name in classes]
    places = range(len(classes))
    axes.set_xticks(places, names, rotation=45, ha="right", fontsize=8, parse_math=False)
    axes.set_yticks(places, names, fontsize=8, parse_math=False)


def _number_cells(axes: Axes, counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def _short(name: str) -> str:
    return name if len(name) <= _CAPTION_LETTERS else name[: _CAPTION_LETTERS - 1] + "…"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")
