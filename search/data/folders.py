"""Folders of pictures: one folder a class, or one a split (train, validation, test) with such folders in it.

Everything here answers at once and imports neither pandas nor Pillow.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.data.split import Split
from search.errors import DataError

EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
# What macOS leaves beside the pictures in an archive.
IGNORED_PREFIXES = (".", "__MACOSX")


@dataclass(frozen=True)
class Picture:
    """One picture file: where it is, its class, and the split that it is given to.

    Plain class folders stand for train, from which the split rule then takes the other two. Pictures of one
    group fall into one split together.
    """

    path: Path
    label: str
    split: Split
    group: str | None = None


def find_pictures(folder: Path) -> list[Picture]:
    """Find the pictures of a class folder or a split folder, ordered by path within each class.

    The label is the class folder's name in composed Unicode (NFC), so that it is the same on every file
    system. Folders inside a class folder belong to the class. Hidden files, files with other extensions
    and files that lie above the class folders are passed over. Links are followed.

    Raises:
        DataError: No such folder, fewer than two classes, a class folder without pictures, split folders
            beside others, or something that the system does not let us read.
    """
    _refuse_no_folder(folder)
    try:
        pictures = list(_find(folder.absolute()))
    except OSError as error:
        raise DataError(
            f"The pictures must be readable; {error.filename} is not ({error.strerror}); "
            "change its permissions or move it away."
        ) from error
    classes = sorted({picture.label for picture in pictures})
    if len(classes) < 2:
        raise DataError(_one_class(folder, classes[0]))
    return pictures


def _refuse_no_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    got = "is a file" if folder.exists() else "does not exist"
    raise DataError(
        f"The data must be a folder of class folders, or of train, validation and test folders, or a CSV, "
        f"TSV or Parquet file; {folder} {got}; give the right path with --data."
    )


def _find(folder: Path) -> Iterator[Picture]:
    for split, place in _split_folders(folder).items():
        for class_folder in _class_folders(place):
            label = _label(class_folder)
            paths = list(_walk(class_folder, set()))
            if not paths:
                raise DataError(
                    f"A class folder must hold pictures ({' '.join(EXTENSIONS)}); {class_folder} holds none; "
                    "add some or remove the folder."
                )
            yield from (Picture(path, label, split) for path in paths)


def _label(class_folder: Path) -> str:
    try:
        class_folder.name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"A class folder's name must be UTF-8; {class_folder.name!r} is not; rename the folder."
        ) from error
    return unicodedata.normalize("NFC", class_folder.name)


def _split_folders(folder: Path) -> dict[Split, Path]:
    """Tell which folder stands for which split; class folders alone stand for train."""
    inner = _folders_in(folder)
    # A class may be called "train" (beside "bus" and "tram"): then it holds pictures, not folders.
    named = [place for place in inner if place.name.casefold() in SPLIT_FOLDERS]
    if not any(_folders_in(place) for place in named):
        return {"train": folder}
    _refuse_mixed(folder, [place for place in inner if place not in named])
    splits: dict[Split, Path] = {}
    for place in named:
        split = SPLIT_FOLDERS[place.name.casefold()]
        if split in splits:
            raise DataError(
                f"Each split must have one folder; {splits[split]} and {place} both stand for {split}; "
                "merge them or move one away."
            )
        splits[split] = place
    if "train" not in splits:
        names = ", ".join(repr(place.name) for place in named)
        raise DataError(f"Split folders must include 'train'; {folder} has {names} only; add 'train'.")
    return splits


def _refuse_mixed(folder: Path, others: Sequence[Path]) -> None:
    strays = [place.name for place in others if any(_walk(place, set()))]
    if strays:
        raise DataError(
            f"A folder must hold either split folders or class folders; {folder} holds split folders "
            f"and also {', '.join(map(repr, strays))}; move one kind away."
        )


def _class_folders(place: Path) -> list[Path]:
    folders = _folders_in(place)
    if not folders:
        raise DataError(
            f"Pictures must lie in one folder a class; {place} holds no folders; "
            f"put them into folders named for their classes, such as {place / 'cats'}."
        )
    return folders


def _folders_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not _is_ignored(entry.name) and entry.is_dir())
    return [folder / name for name in names]


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield the pictures below a folder; one that links back to a folder above it is not entered twice."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if _is_ignored(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, seen)
        elif entry.name.lower().endswith(EXTENSIONS) and _is_file_or_dead_link(entry):
            yield folder / entry.name


def _is_ignored(name: str) -> bool:
    return name.startswith(IGNORED_PREFIXES)


def _is_file_or_dead_link(entry: os.DirEntry[str]) -> bool:
    """Pass over pipes and devices, which would be read for ever; a dead link is kept, to be named later."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except FileNotFoundError:
        return True


def _one_class(folder: Path, label: str) -> str:
    text = f"A classifier needs at least two classes; {folder} holds one class folder, {label!r}"
    inner = folder / label
    if inner.is_dir() and _folders_in(inner):
        return f"{text}; did you mean --data {inner}?"
    return f"{text}; add the folder of another class."
