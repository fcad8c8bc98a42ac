"""Advice before a search: what the pictures are like, which backbone suits them, and what to try first.

python -m search.advise --data FOLDER --study cats_dogs
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from search.driver.request import check, with_weights
from search.session import answered, located, options_of, parser_for, progress, read_pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, 2 for a mistake of the user's, 130 after Ctrl-C.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(asked)
    command = f"python -m search.advise {shlex.join(asked)}"
    return answered(lambda: _advise(options, command), "stopped; what was measured is kept")


def _parser() -> argparse.ArgumentParser:
    parser = parser_for("search.advise", __doc__)
    parser.add_argument(
        "--json", action="store_true", help="print the advice as one line of JSON, and nothing else"
    )
    return parser


def _advise(asked: argparse.Namespace, command: str) -> int:
    # no study is begun, so one of that name need not agree
    request = check(replace(options_of(asked, command), fresh=True))
    # With --json, standard output holds the advice and nothing else.
    out = sys.stderr if asked.json else sys.stdout
    print(f"home {request.options.home}", file=out)
    from search.driver.study import check_home
    from search.view.counts import counts_text

    check_home(request)
    request = located(request, out)
    data = read_pictures(request, out)
    print(counts_text(data, request.file.space), file=out)
    request = with_weights(request)
    from search.driver.advice import advice_for

    with progress("probing backbones", out) as told:
        found = advice_for(request, data, told).to_json()
    if asked.json:
        print(json.dumps(found, ensure_ascii=False), flush=True)
        return 0
    from search.view.advice import advice_text

    print(advice_text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
