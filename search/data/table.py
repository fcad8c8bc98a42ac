"""The table of a data set: one row a picture, with its label, its split and its content hash.

Whatever the pictures come from, this is the one form that the rest of the program sees.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from search.data.contents import read_contents
from search.data.folders import Picture
from search.data.listings import find
from search.data.split import SPLITS, Split, SplitRule, split_of
from search.data.threads import Progress
from search.digests import digest_of
from search.errors import DataError, first_few
from search.store.entries import Store

COLUMNS = ("path", "label", "split", "content")
COPY_OF = "the same picture as "  # how the reason of a picture begins that is there twice
MOST_UNREADABLE = 0.05  # share of the pictures found; above it the folder itself is in doubt


@dataclass(frozen=True)
class Quarantined:
    """A picture set aside, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled pictures.

    Attributes:
        name: Its name, as `cats_dogs`.
        source: What was used, as the folder's path.
        table: One row a picture, ordered by content: `path` (absolute), `label`, `split` (`train`,
            `validation`, `test`) and `content` (64 hexadecimal digits of SHA-256), all text.
        classes: The labels, sorted, whole numbers by their size; a class's index is its position.
        quarantined: The pictures set aside, ordered by path.
        fingerprint: Digest of contents, labels and splits; it holds nothing of paths or machines.
    """

    name: str
    source: str
    table: pd.DataFrame
    classes: tuple[str, ...]
    quarantined: tuple[Quarantined, ...]
    fingerprint: str

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Give the rows of one split, ascending: (n of the split,) int64."""
        return np.flatnonzero(self.table["split"].to_numpy() == split).astype(np.int64)

    def labels(self) -> NDArray[np.int64]:
        """Give each row's class index: (n,) int64."""
        return pd.Categorical(self.table["label"], categories=list(self.classes)).codes.astype(np.int64)

    def counts(self) -> pd.DataFrame:
        """Count the pictures: one row a class, one column a split, int64."""
        counted = pd.crosstab(self.table["label"], self.table["split"])
        return counted.reindex(index=list(self.classes), columns=list(SPLITS), fill_value=0).astype(np.int64)


@dataclass(frozen=True)
class _Whole:
    """A picture that decodes, with its content hash."""

    picture: Picture
    content: str


def read_pictures(
    place: Path,
    split: SplitRule,
    *,
    name: str | None = None,
    source: str | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Read class folders, train/validation/test folders, or a listing.

    Every file is hashed; every picture is decoded once to see that it is whole, which the store remembers.
    Unreadable pictures are set aside, and so are further copies of a picture in one class and split.

    Args:
        place: What `find` accepts.
        split: The shares of the splits that have no folder of their own, or that the listing does not name.
        name: The data set's name; that of the folder or file by default.
        source: What to call the place; its path by default.
        store: Where to remember which pictures decode; None decodes them every time.
        progress: Called with (pictures checked, pictures to check) when they have to be decoded.

    Raises:
        DataError: What `find` refuses, more than 5 % unreadable pictures, the same picture in
            two splits or under two labels, or a class without pictures in a split.
    """
    found = find(place)
    contents = read_contents([picture.path for picture in found], store, progress)
    _refuse_many_unreadable(contents.unreadable, len(found))
    whole = [_Whole(one, contents.digests[one.path]) for one in found if one.path in contents.digests]
    _refuse_conflicts(whole)
    kept, copies = _without_copies(whole)
    quarantined = [Quarantined(_printable(path), reason) for path, reason in contents.unreadable.items()]
    classes = _sorted({picture.label for picture in found})
    return _data_set(
        name or (place.stem if place.is_file() else place.resolve().name),
        source or str(place.absolute()),
        _table(kept, {picture.split for picture in found}, split),
        classes,
        tuple(sorted([*quarantined, *copies], key=lambda one: one.path)),
    )


def _sorted(labels: Set[str]) -> tuple[str, ...]:
    """Sort labels: as numbers if all are whole ones, else as text."""
    are_numbers = all(re.fullmatch(r"-?\d+", label) for label in labels)
    return tuple(sorted(labels, key=lambda label: (int(label), label) if are_numbers else label))


def _data_set(
    name: str,
    source: str,
    table: pd.DataFrame,
    classes: tuple[str, ...],
    quarantined: tuple[Quarantined, ...],
) -> DataSet:
    rows = table[["content", "label", "split"]].to_numpy().tolist()
    data = DataSet(name, source, table, classes, quarantined, digest_of({"rows": rows}))
    _refuse_empty(data)
    return data


def _table(kept: Sequence[_Whole], folders: Set[Split], rule: SplitRule) -> pd.DataFrame:
    rows = [
        (
            str(one.picture.path),
            one.picture.label,
            split_of(one.picture.group or one.content, one.picture.split, folders, rule),
            one.content,
        )
        for one in sorted(kept, key=lambda one: one.content)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")


def _without_copies(whole: Sequence[_Whole]) -> tuple[list[_Whole], list[Quarantined]]:
    """Keep the first by path of the pictures that are equal byte for byte."""
    firsts: dict[str, _Whole] = {}
    copies: list[Quarantined] = []
    for one in sorted(whole, key=lambda one: one.picture.path):
        first = firsts.setdefault(one.content, one)
        if first is not one:
            copies.append(Quarantined(str(one.picture.path), f"{COPY_OF}{first.picture.path}"))
    return list(firsts.values()), copies


def _refuse_conflicts(whole: Sequence[_Whole]) -> None:
    firsts: dict[str, _Whole] = {}
    sentences: list[str] = []
    for one in sorted(whole, key=lambda one: one.picture.path):
        first = firsts.setdefault(one.content, one)
        places = f"{first.picture.path} and {one.picture.path} are the same bytes; remove one of them."
        if first.picture.split != one.picture.split:
            sentences.append(f"A picture must be in one split only; {places}")
        elif first.picture.label != one.picture.label:
            sentences.append(f"A picture must have one label only; {places}")
    if sentences:
        raise DataError(*first_few(sentences))


def _refuse_many_unreadable(unreadable: Mapping[Path, str], n_found: int) -> None:
    if len(unreadable) <= MOST_UNREADABLE * n_found:
        return
    named = [f"{_printable(path)} cannot be used: {reason}." for path, reason in sorted(unreadable.items())]
    raise DataError(
        f"At most {MOST_UNREADABLE:.0%} of the pictures may be unreadable; {len(unreadable)} of {n_found} "
        "are; replace or remove them.",
        *first_few(named),
    )


def _refuse_empty(data: DataSet) -> None:
    counts = data.counts()
    sentences = [
        f"Every class must have pictures in every split; {label!r} has none in {split} "
        f"({counts.loc[label].sum()} in all); add pictures or change data.split."
        for label in data.classes
        for split in SPLITS
        if not counts.loc[label, split]
    ]
    if sentences:
        raise DataError(*first_few(sentences))


def _printable(path: Path) -> str:
    return str(path).encode(errors="replace").decode()
