"""What the picture files hold: their content hashes, and which of them cannot be decoded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL

from search.data.pictures import DECODING, why_unreadable
from search.data.threads import Progress, in_threads
from search.digests import digest_of, digest_of_file
from search.store.entries import Store

UNREADABLE = "unreadable.json"


@dataclass(frozen=True)
class Contents:
    """The content hash of each whole picture, and the reason why each of the others cannot be read."""

    digests: Mapping[Path, str]
    unreadable: Mapping[Path, str]


def read_contents(
    paths: Sequence[Path], store: Store | None = None, progress: Progress | None = None
) -> Contents:
    """Hash every file and find out which are no whole pictures.

    Hashing is done at every start. Decoding is done once: the store remembers which pictures of a set do
    not decode, until a picture or the version of Pillow changes.
    """
    digests: dict[Path, str] = {}
    reasons: dict[Path, str] = {}
    for path, (digest, reason) in zip(paths, in_threads(_digest, paths), strict=True):
        if reason is None:
            digests[path] = digest
        else:
            reasons[path] = reason
    broken = _broken({digest: path for path, digest in digests.items()}, store, progress)
    reasons |= {path: broken[digest] for path, digest in digests.items() if digest in broken}
    whole = {path: digest for path, digest in digests.items() if digest not in broken}
    return Contents(whole, reasons)


def _digest(path: Path) -> tuple[str, str | None]:
    """Give the content hash, and the reason where there is none."""
    try:
        str(path).encode()
        return digest_of_file(path), None
    except UnicodeEncodeError:
        return "", "its name is not UTF-8"
    except OSError as error:
        return "", error.strerror or type(error).__name__


def _broken(files: Mapping[str, Path], store: Store | None, progress: Progress | None) -> dict[str, str]:
    """Give the reason for each content hash that does not decode, from the store where it is known."""
    if store is None:
        return _decode_all(files, progress)
    contents = sorted(files)
    key = digest_of({"unreadable of": contents, "decoding": DECODING, "pillow": PIL.__version__})
    with store.alone("contents", key):
        if (entry := store.find("contents", key)) is None:
            broken = _decode_all(files, progress)
            with store.build("contents", key) as draft:
                (draft / UNREADABLE).write_text(json.dumps(broken))
            return broken
    known: dict[str, str] = json.loads((entry / UNREADABLE).read_text())
    return known


def _decode_all(files: Mapping[str, Path], progress: Progress | None) -> dict[str, str]:
    reasons = in_threads(_why_unreadable, list(files.values()), progress)
    return {content: reason for content, reason in zip(files, reasons, strict=True) if reason is not None}


def _why_unreadable(path: Path) -> str | None:
    try:
        return why_unreadable(path.read_bytes())
    except OSError as error:
        return error.strerror or type(error).__name__
