"""Where a study's pictures come from: `--data`, then `$SEARCH_DATA/<name>`, then a download, then the sample.

Nothing here imports pandas or Pillow, so a wrong path is answered at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.data.download import Archive, ByteProgress, NoConnectionError, download
from search.data.named import NAMED
from search.errors import DataError

SAMPLE: Literal["sample"] = "sample"


@dataclass(frozen=True)
class Source:
    """Where the pictures are, and why there.

    Attributes:
        name: The data set's name; `sample` for the sample, whatever was asked for.
        kind: `folder` (`--data`), `environment` (`$SEARCH_DATA`), `download` or `sample`.
        place: The folder or listing of the pictures. The sample's folder may have to be drawn still.
        reason: One sentence that says why it is this one.
    """

    name: str
    kind: Literal["folder", "environment", "download", "sample"]
    place: Path
    reason: str


def find_source(
    name: str,
    data: Path | Literal["sample"] | None,
    home: Path,
    env: Mapping[str, str],
    *,
    study_exists: bool,
    progress: ByteProgress | None = None,
    named: Mapping[str, Archive] = NAMED,
) -> Source:
    """Find the pictures of a data set, and download them where they are nowhere else.

    Args:
        name: The data set's name, as the space file's `data.source` says.
        data: What `--data` says: a folder or listing, `sample`, or None.
        home: `$SEARCH_HOME`; downloads go to `home/data/<name>`.
        env: The environment.
        study_exists: Whether a study on this data exists. If so, the sample never stands in for it.
        progress: Called with (bytes so far, bytes in all) during a download.
        named: The data sets that can be downloaded.

    Raises:
        DataError: The pictures are nowhere, or the download failed after it had begun.
    """
    source = local_source(name, data, home, env, named=named)
    if source is not None:
        return source
    archive = named[name]
    place = home / "data" / name
    try:
        download(archive, place, progress)
    except NoConnectionError as error:
        return _without_connection(name, archive, home, str(error), study_exists)
    return Source(name, "download", place, f"downloaded from {archive.address}")


def local_source(
    name: str,
    data: Path | Literal["sample"] | None,
    home: Path,
    env: Mapping[str, str],
    *,
    named: Mapping[str, Archive] = NAMED,
) -> Source | None:
    """Find the pictures on this machine, at once; None means that they have to be downloaded.

    A place given with `--data` is not looked at here; `find` tells what is wrong with it.

    Raises:
        DataError: The pictures are nowhere, and no download of that name is known.
    """
    if data == SAMPLE or (data is None and name == SAMPLE):
        return _sample(home, "the sample was asked for by name")
    if data is not None:
        return Source(name, "folder", Path(data), "given with --data")
    searched = env.get("SEARCH_DATA")
    if searched and (Path(searched) / name).is_dir():
        return Source(name, "environment", Path(searched) / name, f"found as $SEARCH_DATA/{name}")
    place = home / "data" / name
    if name in named:
        return Source(name, "download", place, "downloaded before") if place.is_dir() else None
    where = f"{Path(searched) / name} does not exist" if searched else "SEARCH_DATA is not set"
    raise DataError(
        f"The pictures of {name!r} must be given; there is no --data, {where}, and only "
        f"{', '.join(sorted(named))} can be downloaded; give a folder with --data."
    )


def _without_connection(name: str, archive: Archive, home: Path, why: str, study_exists: bool) -> Source:
    if study_exists:
        raise DataError(
            f"The pictures of {name!r} must be at hand to go on with its study; there is no connection to "
            f"{archive.address} ({why}); give their folder with --data."
        )
    if not archive.has_sample:
        raise DataError(
            f"The pictures of {name!r} must be downloaded; there is no connection to {archive.address} "
            f"({why}); give their folder with --data, or run the sample with --data sample."
        )
    return _sample(home, f"no connection to {archive.address} ({why})")


def _sample(home: Path, reason: str) -> Source:
    return Source(SAMPLE, "sample", home / "data" / SAMPLE, reason)
