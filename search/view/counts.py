"""The pictures of a data set, counted for people, and what follows where classes differ in size."""

import pandas as pd

from search.config.space import Space
from search.data.table import DataSet

# Classes that are shown, the largest and the smallest of them where there are more
_MOST_CLASSES = 40
# The largest class has so many times the training pictures of the smallest where they are said to be
# imbalanced: then accuracy says little of the smallest.
_IMBALANCED = 1.5


def counts_text(data: DataSet, space: Space) -> str:
    """Count pictures by class and split, and say where classes are imbalanced and what there is for that."""
    counts = data.counts()
    counts["all"] = counts.sum(axis=1)
    shown = counts
    if len(counts) > _MOST_CLASSES:
        by_size = counts.sort_values("all", ascending=False, kind="stable")
        shown = pd.concat([by_size[: _MOST_CLASSES // 2], by_size[-_MOST_CLASSES // 2 :]])
    total = counts.sum().to_frame(f"{len(counts)} classes").T
    lines = [pd.concat([shown, total]).rename_axis(columns=None).to_string()]
    if len(counts) > _MOST_CLASSES:
        lines.append(f"(the {_MOST_CLASSES // 2} largest classes and the {_MOST_CLASSES // 2} smallest)")
    return "\n".join([*lines, *_imbalance(counts["train"], space)])


def _imbalance(train: "pd.Series[int]", space: Space) -> list[str]:
    n_most, n_fewest = train.max(), train.min()
    if n_most < _IMBALANCED * n_fewest:
        return []
    most, fewest = train.idxmax(), train.idxmin()
    told = (
        f"The classes are imbalanced: {most!r} has {n_most / n_fewest:.1f} times the training pictures of "
        f"{fewest!r}, and always saying {most!r} would be right in {n_most / train.sum():.0%} of them."
    )
    if "class_weight" in space.dimensions:
        return [told, "class_weight is searched."]
    if space.fixed_settings.get("class_weight") == "balanced":
        return [told, "class_weight: balanced makes up for it in the training loss."]
    return [told, "--set fixed.class_weight=balanced makes up for it in the training loss."]
