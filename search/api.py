"""The way from Python: a study of a DataFrame, a folder or a listing of pictures, to its champion.

from search.api import run

found = run(table, name="birds", trials=20)  # columns path and label, where wanted split and group
found.summary["champion"]["test_accuracy"]
model = found.load_champion()
"""

import os
import shlex
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import yaml

from search.data.sources import SAMPLE
from search.driver.request import Options, Request, check, locate, with_weights
from search.errors import TrackingError
from search.executor.devices import Workers

if TYPE_CHECKING:
    import pandas as pd

    from search.data.table import DataSet

# Where tables are kept as listings, below the home.
_TABLES = Path("data") / "tables"


@dataclass(frozen=True)
class Found:
    """What a study came to.

    Attributes:
        summary: What `--json` prints, of the command's summary.
        tracking_uri: Where MLflow holds its runs and its champion.
    """

    summary: dict[str, Any]
    tracking_uri: str

    def load_champion(self) -> Any:
        """Load the champion from the registry.

        Returns:
            A standard Keras model: `(n, px, px, 3) uint8` pictures to `(n, classes) float32` probabilities,
            in the order of `summary["data"]["classes"]`.

        Raises:
            TrackingError: The study has none there.
        """
        from search.registry.saved import load_registered

        champion = self.summary["champion"]
        if champion is None or champion["version"] is None:
            raise TrackingError(
                "The study must have registered a champion to load it; it has none; run it on."
            )
        return load_registered(self.tracking_uri, champion["name"], champion["version"])


def run(
    data: "pd.DataFrame | Path | str | None" = None,
    study: str | Path = "cats_dogs",
    *,
    name: str | None = None,
    trials: int | None = None,
    timeout: str | None = None,
    finalists: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    home: Path | str | None = None,
    weights: Path | str | None = None,
    storage: str | None = None,
    tracking_uri: str | None = None,
    fresh: bool = False,
    workers: Workers = "inline",
    out: TextIO | None = None,
) -> Found:
    """Run a study, or go on with it, as `python -m search.run` does.

    An interrupt ends it at once; the same call goes on from the last stored epoch. A DataFrame is kept as a
    listing in the home, with absolute paths, so that the command can go on with the study too.

    Args:
        data: A DataFrame with the columns `path` (relative ones against the working folder) and `label`, and
            where wanted `split` and `group`; a folder; a listing; `sample`; None for what the space names.
        study: The space: a name in `spaces/`, or a YAML file.
        name: The study's name, if not that of the space.
        trials: Trials in all.
        timeout: Wall time, such as `2h`.
        finalists: How many of the best trials run again on fresh seeds.
        seed: The study's seed.
        settings: Any keys of the space file, such as `{"fixed.image_size": 96}`.
        home: Where everything is kept; by default `$SEARCH_HOME`, or `./search-home`.
        weights: Folder of weights files; by default `$SEARCH_WEIGHTS`.
        storage: Optuna's database; by default one in the home.
        tracking_uri: MLflow's database or server; by default a database in the home.
        fresh: Whether a study of this name is discarded first.
        workers: How many processes train, or `auto`: one a GPU, else one. Each of them imports the script
            that asks for them, so what that does must stand below `if __name__ == "__main__":`. `inline`
            trains in this process.
        out: Where progress is told; by default standard output.

    Raises:
        UserError: What the user can mend, one sentence a mistake.
    """
    given = {"study": name, "budget.trials": trials, "budget.timeout": timeout}
    given |= {"finalists.k": finalists, "seed": seed}
    chosen = {**(settings or {}), **{key: value for key, value in given.items() if value is not None}}
    home = Path(home or os.environ.get("SEARCH_HOME") or "search-home").absolute()
    found_weights = weights or os.environ.get("SEARCH_WEIGHTS")
    place = _place(data, home)
    assignments = tuple(f"{key}={_as_yaml(value)}" for key, value in chosen.items())
    options = Options(
        study=str(study),
        data=place,
        home=home,
        weights=Path(found_weights) if found_weights else None,
        assignments=assignments,
        storage=storage,
        tracking=tracking_uri,
        command=_command(str(study), place, home, assignments),
        fresh=fresh,
        workers=workers,
    )
    return _run(check(options), out or sys.stdout)


def _run(request: Request, out: TextIO) -> Found:
    from search.driver.lease import held
    from search.driver.study import check_stored, discard, run_study
    from search.driver.summary import summary
    from search.executor.opening import opened
    from search.view.plain import PlainView

    options = request.options
    with held(request), opened(options.workers, options.gpus, options.gpu_share) as executor:
        is_begun = check_stored(request)
        request = with_weights(locate(request, os.environ, progress=None))
        data = _read(request, out)
        if request.options.fresh and is_begun:
            discard(request)
        most = request.file.space.budget.trials
        watched = PlainView(out, most)
        outcome = run_study(request, data, lambda trials, deadline: watched, threading.Event(), executor)
    return Found(summary(request, data, outcome), request.options.tracking_uri)


def _read(request: Request, out: TextIO) -> "DataSet":
    from search.driver.study import read_data
    from search.store.entries import Store
    from search.view.counts import counts_text
    from search.view.plain import PlainView

    source = request.source
    assert source is not None, "the pictures are located"
    PlainView(out, None).say(f"data {source.place} ({source.reason})")
    data = read_data(request, Store(request.options.home / "store"), progress=None)
    for item in data.quarantined:
        PlainView(out, None).say(f"set aside: {item.path} ({item.reason})")
    PlainView(out, None).say(counts_text(data, request.file.space))
    return data


def _place(data: "pd.DataFrame | Path | str | None", home: Path) -> Path | Literal["sample"] | None:
    if data is None or isinstance(data, str | Path):
        return SAMPLE if data == SAMPLE else None if data is None else Path(data)
    from search.data.listings import write_listing

    return write_listing(data, home / _TABLES)


def _as_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _command(study: str, place: Path | str | None, home: Path, assignments: tuple[str, ...]) -> str:
    """Write the command that does the same."""
    words = ["python", "-m", "search.run", "--study", study, "--home", str(home)]
    words += [] if place is None else ["--data", str(place)]
    return shlex.join([*words, *(word for one in assignments for word in ("--set", one))])
