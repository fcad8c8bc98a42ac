"""Sends MLflow what it could not take while studies ran; they need not run again for that.

python -m search.sync
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from search.errors import UserError
from search.session import WRONG, answered

LEFT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all arrived, 1 when some records wait still, 2 for a mistake of the user's or a study that is
        being run, 130 after Ctrl-C.
    """
    asked = _parser().parse_args(arguments)
    return answered(lambda: _sync(asked), "stopped; what has not arrived waits still")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.sync", allow_abbrev=False, description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--home", metavar="DIR", help="where all is kept ($SEARCH_HOME, else ./search-home)")
    parser.add_argument("--study", metavar="NAME", help="the one study to send; by default all of the home")
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow's database or server; by default the one the study was run with",
    )
    return parser


def _sync(asked: argparse.Namespace) -> int:
    from search.driver.spooled import find_spools

    home = Path(asked.home or os.environ.get("SEARCH_HOME") or "search-home").absolute()
    found = find_spools(home, asked.study)
    if not found:
        print("nothing waits")
    return max((_send(home, *one, asked.tracking_uri) for one in found), default=0)


def _send(home: Path, study: str, uid: str, path: Path, uri: str | None) -> int:
    """Send one study's records and tell of it; a study that cannot be sent does not keep back the others."""
    from search.driver.spooled import send

    try:
        sent = send(home, study, uid, path, uri)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG
    for problem in sent.problems:
        print(f"{study}: {problem}", file=sys.stderr)
    left = f", {sent.waiting} wait still" if sent.waiting else ""
    print(f"{study}: {sent.sent} records arrived at {sent.place}{left}")
    return LEFT if sent.waiting else 0


if __name__ == "__main__":
    sys.exit(main())
