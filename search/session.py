"""Session: what the commands that work on a space have in common, from options to pictures."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from search.config.read import spaces_folder
from search.driver.request import Options, Request, locate
from search.errors import UserError

if TYPE_CHECKING:
    from search.data.table import DataSet

WRONG = 2
INTERRUPTED = 130


def parser_for(command: str, doc: str | None) -> argparse.ArgumentParser:
    """Make a command's parser, with the options that say which space, which pictures and where.

    Args:
        command: Its module, such as `search.run`.
        doc: Its docstring, whose first line describes it.
    """
    names = ", ".join(sorted(path.stem for path in spaces_folder().glob("*.yaml")))
    parser = argparse.ArgumentParser(
        prog=f"python -m {command}", allow_abbrev=False, description=(doc or "").split("\n")[0]
    )
    parser.add_argument("--study", metavar="NAME|FILE", help=f"a space: {names}, or a YAML file")
    parser.add_argument(
        "--data",
        metavar="PLACE",
        help="folder of pictures, a folder a class; a CSV or Parquet file; or 'sample'",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the study's seed")
    parser.add_argument("--home", metavar="DIR", help="where all is kept ($SEARCH_HOME, else ./search-home)")
    parser.add_argument("--weights", metavar="DIR", help="folder of weights files ($SEARCH_WEIGHTS)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="any key of the space file, such as fixed.image_size=96; repeatable",
    )
    return parser


def options_of(asked: argparse.Namespace, command: str, assignments: Sequence[str] = ()) -> Options:
    """Read the options of `parser_for`.

    Args:
        asked: What was parsed.
        command: The command as it was typed, for advice; without passwords.
        assignments: What goes before `--set`.
    """
    weights = asked.weights or os.environ.get("SEARCH_WEIGHTS")
    seed = () if asked.seed is None else (f"seed={asked.seed}",)
    return Options(
        study=asked.study or "cats_dogs",
        data=asked.data if asked.data in (None, "sample") else Path(asked.data),
        home=Path(asked.home or os.environ.get("SEARCH_HOME") or "search-home").absolute(),
        weights=Path(weights) if weights else None,
        assignments=(*assignments, *asked.assignments, *seed),
        storage=None,
        tracking=None,
        command=command,
    )


def answered(work: Callable[[], int], interrupted: str) -> int:
    """Do a command's work, and tell the user's mistakes in a sentence each.

    Args:
        work: Gives the exit status.
        interrupted: What to say after Ctrl-C.

    Returns:
        That of the work, 2 for a mistake of the user's, 130 after Ctrl-C.
    """
    try:
        return work()
    except UserError as error:
        print(*(f"error: {sentence}" for sentence in error.sentences), sep="\n", file=sys.stderr)
        return WRONG
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = f": {error.filename} cannot be written" if error.filename else ""
        print(
            f"error: The disk is full{where}; make room, and run the same command again to go on.",
            file=sys.stderr,
        )
        return WRONG
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED


def located(request: Request, out: TextIO) -> Request:
    """Find the pictures or download them, and say where they are."""
    named = request.file.space.study
    with progress("download", out, in_bytes=True) as told:
        request = locate(request, os.environ, told)
    source = request.source
    assert source is not None, "the pictures are located"
    if source.kind == "sample" and named != request.file.space.study:
        line = "!" * 100
        print(
            f"{line}\nNO PICTURES: {source.reason}.\nRunning the embedded sample instead, as study "
            f"{request.file.space.study}: cats and dogs drawn by this program.\n"
            f"Give your own pictures with --data DIR.\n{line}",
            file=sys.stderr,
        )
    print(f"data {source.place} ({source.reason})", file=out)
    return request


def read_pictures(request: Request, out: TextIO) -> "DataSet":
    """Read the pictures' table, decode them at the sizes of the space, and name those that are set aside."""
    from search.data.image_set import image_set
    from search.driver.study import read_data
    from search.store.entries import Store

    store, space = Store(request.options.home / "store"), request.file.space
    with progress("reading pictures", out) as told:
        data = read_data(request, store, told)
    for item in data.quarantined:
        print(f"set aside: {item.path} ({item.reason})", file=sys.stderr)
    dimension = space.dimensions.get("image_size")
    typical = space.config({"backbone": space.backbones[0]}).image_size
    for px in dimension.ends() if dimension else [typical]:
        with progress(f"decoding at {px} px", out) as told:
            image_set(data, int(px), space.data.draw_seed, store, told)
    return data


@contextmanager
def progress(what: str, out: TextIO, in_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while something is counted; nothing is shown for what takes no time, or on a pipe."""
    if not out.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn(what), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=out), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
