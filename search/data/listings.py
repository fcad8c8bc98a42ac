"""Listings of pictures: a CSV, TSV or Parquet file, or a table of pandas, with a row a picture.

Columns: `path` (relative ones against the file's folder) and `label`, and where they are wanted `split` and
`group`; others are passed over. A CSV file is read without pandas, so that a mistake is answered at once.
"""

import csv
import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.data.folders import SPLIT_FOLDERS, Picture, find_pictures
from search.data.split import Split
from search.errors import DataError, first_few
from search.store.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TABLES = (".parquet", ".pq")
LISTINGS = (*_SEPARATORS, *_TABLES)
_NEEDED = ("path", "label")
_WANTED = ("split", "group")

Row = Mapping[str, Any]


def find(place: Path) -> list[Picture]:
    """Find the pictures of a folder or of a listing.

    Raises:
        DataError: What is wrong with it.
    """
    is_listing = place.suffix.lower() in LISTINGS and not place.is_dir()
    return find_listed(place) if is_listing else find_pictures(place)


def find_listed(file: Path) -> list[Picture]:
    """Find the pictures of a listing, in its order.

    Labels are text, numbers too, in composed Unicode (NFC). Splits are called as split folders are; all rows
    have one or none has. Pictures of one group never fall into two splits.

    Raises:
        DataError: The file cannot be read, lacks a column, names a picture that is not there or has a cell
            that says nothing; there are fewer than two classes; or a group is in two splits.
    """
    rows = list(_rows(file))
    pictures, wrong = list[Picture](), list[str]()
    for number, row in enumerate(rows, start=1):
        try:
            pictures.append(_picture(file, number, row))
        except DataError as error:
            wrong += error.sentences
    _refuse(wrong or [*_half_split(file, rows), *_torn_groups(file, pictures)])
    classes = {picture.label for picture in pictures}
    if len(classes) < 2:
        got = f"{file} has {', '.join(map(repr, classes)) or 'no rows'}"
        raise DataError(f"A classifier needs at least two classes; {got}; add rows of another label.")
    return pictures


def _rows(file: Path) -> Iterator[Row]:
    try:
        names, rows = _read_table(file) if file.suffix.lower() in _TABLES else _read_text(file)
    except FileNotFoundError as error:
        raise DataError(f"The listing {file} does not exist; give the right path with --data.") from error
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"The listing {file} cannot be read ({reason}); mend it or give another.") from error
    _refuse_missing(str(file), names)
    yield from rows


def _refuse_missing(what: str, names: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise DataError(
            f"A listing must have the columns path and label; {what} has {', '.join(map(repr, names))}; "
            f"add {' and '.join(map(repr, missing))}."
        )


def _read_text(file: Path) -> tuple[list[str], list[Row]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter=_SEPARATORS[file.suffix.lower()], strict=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        return names, list(reader)


def _read_table(file: Path) -> tuple[list[str], list[Row]]:
    import pandas as pd

    table = pd.read_parquet(file)
    return [str(name) for name in table.columns], _rows_of(table)


def _rows_of(table: "pd.DataFrame") -> list[Row]:
    known = table[[name for name in (*_NEEDED, *_WANTED) if name in table.columns]]
    # a missing cell is None whatever the column's type
    cells = known.astype(object).where(known.notna(), None)
    return [dict(zip(known.columns, row, strict=True)) for row in cells.itertuples(index=False)]


def write_listing(table: "pd.DataFrame", folder: Path) -> Path:
    """Write a table of pictures as a listing, which says the same; its name is the digest of what it holds.

    Args:
        table: The columns of a listing; relative paths are against the working folder.
        folder: Where to; it is made.

    Raises:
        DataError: The table lacks a column, has one twice, or the folder cannot be written.
    """
    names = [str(name) for name in table.columns if name in (*_NEEDED, *_WANTED)]
    _refuse_missing("the DataFrame", [str(name) for name in table.columns])
    if len(set(names)) < len(names):
        raise DataError(f"A DataFrame must have each column once; it has {', '.join(names)}; drop one.")
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in _rows_of(table):
        cells = {name: _text(row[name]) for name in names}
        # an empty cell stays one, so that it is told as such
        cells["path"] = str(Path(cells["path"]).absolute()) if cells["path"] else ""
        writer.writerow(cells.values())
    file = folder / f"{hashlib.sha256(text.getvalue().encode()).hexdigest()[:16]}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.getvalue())
    except OSError as error:
        raise DataError(
            f"The table must be written to {file}; the system refused ({error.strerror}); "
            "choose another home."
        ) from error
    return file


def _picture(file: Path, number: int, row: Row) -> Picture:
    path, label = (_text(row.get(name)) for name in _NEEDED)
    split = _text(row.get("split"))
    if not path or not label:
        raise DataError(f"{file}, row {number}: {'label' if path else 'path'} is empty; fill it in.")
    if split and split.casefold() not in SPLIT_FOLDERS:
        names = ", ".join(SPLIT_FOLDERS)
        raise DataError(f"{file}, row {number}: split {split!r} is none of {names}; write one of them.")
    # what is not below the folder stands there as a whole: joining leaves an absolute path alone
    place = file.absolute().parent / path
    if not place.is_file():
        raise DataError(f"{file}, row {number}: the picture {place} does not exist; mend the path.")
    named: Split = SPLIT_FOLDERS[split.casefold()] if split else "train"
    return Picture(place, unicodedata.normalize("NFC", label), named, _text(row.get("group")) or None)


def _text(cell: Any) -> str:
    """Write a cell as text; a whole number without the point that a column with empty cells gives it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()


def _half_split(file: Path, rows: Sequence[Row]) -> list[str]:
    n_named = sum(bool(_text(row.get("split"))) for row in rows)
    if n_named in (0, len(rows)):
        return []
    return [f"{file}: {n_named} of {len(rows)} rows name a split; name it in all of them or in none."]


def _torn_groups(file: Path, pictures: Sequence[Picture]) -> list[str]:
    first: dict[str, Split] = {}
    torn: dict[str, Split] = {}
    for one in pictures:
        if one.group is not None and first.setdefault(one.group, one.split) != one.split:
            torn[one.group] = one.split
    return [
        f"{file}: group {group!r} is in {first[group]} and in {split}; a group must be in one split."
        for group, split in torn.items()
    ]


def _refuse(sentences: Sequence[str]) -> None:
    if sentences:
        raise DataError(*first_few(sentences))
