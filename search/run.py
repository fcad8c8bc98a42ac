"""The main job: from a folder of pictures to a registered champion.

python -m search.run --study cats_dogs
"""

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from search.config.read import shipped_recipes
from search.driver.request import Options, Request, check, with_weights
from search.errors import SpaceError, UserError
from search.executor.devices import share_of, workers_of
from search.session import INTERRUPTED, answered, located, options_of, parser_for, read_pictures
from search.urls import without_password

if TYPE_CHECKING:
    from search.data.table import DataSet
    from search.executor.executor import Executor
    from search.scheduler.trial import Trial

NOTHING_FOUND = 1
# EX_TEMPFAIL of sysexits.h, which schedulers can be told to start again
TO_BE_CONTINUED = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when a champion was found, 1 when no trial came to an end or nothing was discarded, 2 for a mistake
        of the user's, 75 after SIGTERM where the same command goes on, 130 after Ctrl-C.
    """
    asked = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(asked)
    if options.list_recipes:
        print(*_recipe_lines(), sep="\n")
        return 0
    if options.list_data:
        print(*_data_lines(), sep="\n")
        return 0
    # advice on how to go on must not discard what there is to go on with
    command = without_password(shlex.join(word for word in asked if word != "--fresh"))
    return answered(
        lambda: _run(options, f"python -m search.run {command}"),
        "stopped at once; the same command goes on from the last stored epoch",
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_for("search.run", __doc__)
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="run this recipe alone, on the pictures of cats_dogs or of --study",
    )
    parser.add_argument("--register", action="store_true", help="with --recipe: register its model")
    parser.add_argument("--list-recipes", action="store_true", help="show the recipes, and run nothing")
    parser.add_argument(
        "--list-data", action="store_true", help="show the data sets that can be downloaded, and run nothing"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="trials in all; run again to go on")
    parser.add_argument("--timeout", metavar="2h", help="wall time, such as 90s, 45m, 2h")
    parser.add_argument("--finalists", type=int, metavar="K", help="best trials run on fresh seeds; 0 = none")
    parser.add_argument(
        "--storage", metavar="URL", help="Optuna's database; by default optuna.db in the home"
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow's database or server; by default mlflow.db"
    )
    parser.add_argument(
        "--workers",
        default="auto",
        metavar="N|auto|inline",
        help="processes that train; auto: one a GPU, else one; inline: none but this one, to debug",
    )
    parser.add_argument("--gpus", metavar="0,1", help="the GPUs to take, by number; by default all")
    parser.add_argument(
        "--gpu-share",
        default="1",
        metavar="0.5",
        help="what a worker takes of a GPU: 0.5 is two workers a GPU",
    )
    parser.add_argument(
        "--ray",
        metavar="HOST:PORT|auto",
        help="run the workers on the machines of this Ray cluster (extra ray)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check all, show space, data, time and disk; train nothing"
    )
    parser.add_argument(
        "--show-augment", metavar="FILE.png", help="draw what augmentation does to a picture; train nothing"
    )
    parser.add_argument(
        "--attach", action="store_true", help="show this study while another process runs it; run nothing"
    )
    parser.add_argument("--fresh", action="store_true", help="discard the study of this name first (asks)")
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one line of JSON, and nothing else"
    )
    return parser


def _recipe_lines() -> list[str]:
    from search.model.backbones import BACKBONES

    recipes = shipped_recipes(BACKBONES)
    width = max(len(recipe.name) for recipe in recipes)
    return [f"{recipe.name:{width}}  {recipe.summary}" for recipe in recipes]


def _data_lines() -> list[str]:
    from search.data.named import NAMED

    width = max(map(len, NAMED))
    return [
        f"{name:{width}}  {row.totals.pictures:6} pictures of {row.totals.classes:2} classes, "
        f"{row.size_bytes / 1e6:3.0f} MB, {row.address}; licence: {row.licence}"
        for name, row in NAMED.items()
    ]


def _one_recipe(asked: argparse.Namespace) -> tuple[str, ...]:
    """Give what makes a study of one recipe of a space.

    Raises:
        SpaceError: Neither a study nor a recipe is named, or an option has no meaning with what is.
    """
    if asked.recipe is None:
        if asked.study is None:
            raise SpaceError("Nothing says what to run; give --study NAME, or --recipe NAME.")
        if asked.register:
            raise SpaceError("--register goes with --recipe; the champion of a study is always registered.")
        return ()
    if asked.trials is not None or asked.finalists is not None:
        raise SpaceError("--recipe runs one trial; leave --trials and --finalists out.")
    one = ("budget.trials=1", "finalists.k=0", "start=[]", "constraints={}", "advice.enabled=false")
    return (f"study={Path(asked.recipe).stem}", f"recipes=[{json.dumps(asked.recipe)}]", *one)


def _options(asked: argparse.Namespace, command: str) -> Options:
    given = {"budget.trials": asked.trials, "budget.timeout": asked.timeout, "finalists.k": asked.finalists}
    said = tuple(f"{key}={value}" for key, value in given.items() if value is not None)
    found = options_of(asked, command, _one_recipe(asked))
    return replace(
        found,
        assignments=(*found.assignments, *said),
        storage=asked.storage,
        tracking=asked.tracking_uri,
        fresh=asked.fresh,
        recipe=asked.recipe,
        register=asked.register or asked.recipe is None,
        workers=workers_of(asked.workers),
        gpus=None if asked.gpus is None else tuple(name.strip() for name in asked.gpus.split(",")),
        gpu_share=share_of(asked.gpu_share),
        ray=asked.ray,
    )


def _run(asked: argparse.Namespace, command: str) -> int:
    if asked.fresh and asked.dry_run:
        raise UserError("--fresh discards and --dry-run changes nothing; give one of them.")
    request = check(_options(asked, command))
    if asked.attach:
        return _attach(request)
    # With --json, standard output holds the summary and nothing else.
    out = sys.stderr if asked.json else sys.stdout
    print(f"home {request.options.home}", file=out)
    from search.driver.lease import held
    from search.driver.study import check_stored
    from search.view.counts import counts_text

    trains = not (asked.dry_run or asked.show_augment)
    # workers load Keras while the pictures are read
    with held(request), _opened(request.options, trains) as executor:
        is_begun = check_stored(request)
        request = located(request, out)
        data = read_pictures(request, out)
        print(counts_text(data, request.file.space), file=out)
        if asked.show_augment:
            return _show_augment(request, data, Path(asked.show_augment), out)
        if asked.dry_run:
            return _dry_run(request, data, out)
        request = with_weights(request)
        if asked.fresh and is_begun and not _discard(request, out):
            return NOTHING_FOUND
        return _search(request, data, asked.json, out, executor)


def _attach(request: Request) -> int:
    from search.driver.watching import watch

    stop = threading.Event()
    with _interruptible(stop, "no longer watching; the study goes on"):
        watch(request, _view_opener(request, sys.stdout), stop)
    return 0


def _opened(options: Options, trains: bool) -> "AbstractContextManager[Executor]":
    from search.executor.opening import opened

    if not trains:
        return opened("inline")
    return opened(options.workers, options.gpus, options.gpu_share, options.ray)


def _show_augment(request: Request, data: "DataSet", path: Path, out: TextIO) -> int:
    from search.driver.show import N_DRAWS, show_augmentation

    strengths = show_augmentation(request, data, path)
    print(f"a picture at strengths {', '.join(map(str, strengths))}, {N_DRAWS} draws each: {path}", file=out)
    return 0


def _dry_run(request: Request, data: "DataSet", out: TextIO) -> int:
    from search.driver.estimate import estimate
    from search.driver.own_functions import remarks_on_reuse
    from search.view.lines import estimate_text

    print(json.dumps(request.file.space.identity(), indent=1), file=out)
    for name, reason in request.file.left_out.items():
        print(f"left out: recipe {name} ({reason})", file=out)
    for remark in remarks_on_reuse(request.file.space, list(request.recipes.values())):
        print(remark, file=out)
    print(estimate_text(estimate(with_weights(request), data)), file=out)
    print("nothing was trained", file=out)
    return 0


def _search(request: Request, data: "DataSet", as_json: bool, out: TextIO, executor: "Executor") -> int:
    from search.driver.study import run_study
    from search.driver.summary import summary, summary_text

    stop = threading.Event()
    with _interruptible(stop, "stopping after what is running; Ctrl-C again stops at once") as heard:
        outcome = run_study(request, data, _view_opener(request, out), stop, executor)
    found = summary(request, data, outcome)
    if as_json:
        print(json.dumps(found, ensure_ascii=False), flush=True)
    else:
        print(summary_text(request, found))
    if outcome.stopped:
        print(f"stopped; go on with: {request.options.command}", file=sys.stderr)
        return TO_BE_CONTINUED if signal.SIGTERM in heard else INTERRUPTED
    return 0 if found["best"] else NOTHING_FOUND


def _view_opener(request: Request, out: TextIO) -> Callable[["list[Trial]", float | None], Any]:
    space = request.file.space

    def open_view(trials: "list[Trial]", deadline: float | None) -> Any:
        if not out.isatty():
            from search.view.plain import PlainView

            return PlainView(out, space.budget.trials)
        from rich.console import Console

        from search.view.live import LiveView

        return LiveView(
            Console(file=out), space.study, space.objective.metric, space.budget.trials, trials, deadline
        )

    return open_view


@contextmanager
def _interruptible(stop: threading.Event, saying: str) -> Iterator[set[int]]:
    """Let the first Ctrl-C, or SIGTERM, set `stop`, and the second Ctrl-C end at once.

    Yields:
        The signals that came.
    """
    heard = set[int]()

    def interrupted(number: int, frame: object) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        heard.add(number)
        if not stop.is_set():
            stop.set()  # first: whoever reads the line may press again before it is printed to its end
            print(saying, file=sys.stderr, flush=True)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _discard(request: Request, out: TextIO) -> bool:
    """Ask, then discard a study; tells whether it was."""
    from search.driver.study import discard

    study = request.file.space.study
    print(
        f"Discard study {study} in {request.options.shown_storage_url}? Its trials are deleted; "
        "its MLflow runs and models stay. [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        print("nothing was discarded", file=sys.stderr)
        return False
    discard(request)
    print(f"study {study} is discarded", file=out)
    return True


if __name__ == "__main__":
    sys.exit(main())
