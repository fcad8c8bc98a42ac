"""Model card: what a registered model is, how good it is and what it is not, in Markdown.

The parts follow M. Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.registry.scores import Difference, Score

# A card with a thousand classes is read by nobody; `classes.json` names them all.
_MOST_CLASSES = 50


@dataclass(frozen=True)
class Baseline:
    """A recipe beside the champion, on the same test pictures.

    Attributes:
        recipe: Name of the recipe.
        test: Its score on the test split.
        ahead: Accuracy of the champion less the recipe's, paired.
    """

    recipe: str
    test: Score
    ahead: Difference


@dataclass(frozen=True)
class SeedRow:
    """A finalist on fresh seeds.

    Attributes:
        trial: Number of its trial.
        recipe: The recipe's name, None for a trial of the search.
        values: The objective of each complete run, by seed.
        mean: Their mean, None without a run.
        spread: Their standard deviation, None with fewer than two runs.
        stopped: Why it ran no more, or None.
    """

    trial: int
    recipe: str | None
    values: Sequence[float]
    mean: float | None
    spread: float | None
    stopped: str | None


@dataclass(frozen=True)
class FreshSeeds:
    """How the best trials did when they were run again on fresh seeds.

    Attributes:
        rows: The finalists, the winner first.
        kept: The winner's seed whose model is registered, from 1.
        luck: The chance that the first two are in the wrong order: the p value of Welch's t-test, one-sided.
    """

    rows: Sequence[SeedRow]
    kept: int
    luck: float | None


@dataclass(frozen=True)
class Facts:
    """All that a card says, as plain values.

    Attributes:
        name: Name under which the model is registered.
        study: The study that found it.
        trial: Number of its trial.
        params: The trial's parameters, the resolved ones too.
        classes: Names of the classes, by index.
        px: Side of the pictures that the model takes.
        source: Where the data came from.
        fingerprint: Digest of the data.
        counts: Number of pictures by split.
        validation: Score on the split by which the model was chosen.
        test: Score on the untouched split.
        baselines: The recipes on the same test pictures.
        versions: Versions of the libraries that trained it, by name.
        objective: The metric by which it was chosen.
        seeds: How it and its rivals did on fresh seeds; None where they were not run again.
    """

    name: str
    study: str
    trial: int
    params: Mapping[str, object]
    classes: Sequence[str]
    px: int
    source: str
    fingerprint: str
    counts: Mapping[str, int]
    validation: Score
    test: Score
    baselines: Sequence[Baseline]
    versions: Mapping[str, str]
    objective: str = "val_loss"
    seeds: FreshSeeds | None = None


def model_card(facts: Facts) -> str:
    """Write the card; where it was registered is added by the registry."""
    parts = [
        f"# {facts.name}\n\n{_summary(facts)}",
        f"## How good it is\n\n{_scores(facts)}",
        f"## On fresh seeds\n\n{_seeds(facts)}",
        f"## Beside the recipes\n\n{_baselines(facts)}",
        f"## How it was trained\n\n{_table(('parameter', 'value'), facts.params.items())}",
        f"## Data\n\n{_data(facts)}",
        f"## Use\n\n{_use(facts)}",
        f"## Limits\n\n{_limits(facts)}",
        f"## Versions\n\n{_table(('library', 'version'), facts.versions.items())}",
    ]
    return "\n\n".join(parts) + "\n"


def _summary(facts: Facts) -> str:
    backbone = facts.params.get("backbone")
    base = f" fine-tuned from `{backbone}`" if backbone else ""
    return (
        f"An image classifier for {len(facts.classes)} classes{base}: the best of study `{facts.study}`, "
        f"trial {facts.trial}, by its `{facts.objective}`."
    )


def _scores(facts: Facts) -> str:
    rows = [
        (split, *_cells(score)) for split, score in (("validation", facts.validation), ("test", facts.test))
    ]
    head = ("split", "pictures", "accuracy", "95 % interval", "loss")
    return (
        f"{_table(head, rows)}\n\n"
        "The trial was chosen by the validation split, so its figures there are too good; the test split "
        "took no part in the choice. Intervals are Wilson's."
    )


def _seeds(facts: Facts) -> str:
    if facts.seeds is None:
        return "Its settings were not run again on other seeds, so a part of its figures may be luck."
    rows = [
        (
            f"{row.trial}" + (f" (`{row.recipe}`)" if row.recipe else ""),
            len(row.values),
            _number(row.mean),
            _number(row.spread),
            row.stopped or "",
        )
        for row in facts.seeds.rows
    ]
    luck = facts.seeds.luck
    chance = "" if luck is None else f" The chance that the first two are in the wrong order is {luck:.0%}"
    test = "" if luck is None else " (Welch's t-test, one-sided)."
    return (
        f"{_table(('trial', 'runs', f'mean {facts.objective}', 'spread', 'stopped since'), rows)}\n\n"
        "The best trials were run again from their beginning with other initial weights, order and dropout; "
        f"the best mean won, and of its runs that of seed {facts.seeds.kept} is kept, which had the best "
        f"{facts.objective}. Spread is the standard deviation over runs.{chance}{test}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _baselines(facts: Facts) -> str:
    if not facts.baselines:
        return "No recipe was run in this study."
    rows = [(f"`{base.recipe}`", *_cells(base.test)[1:], _ahead(base.ahead)) for base in facts.baselines]
    head = ("recipe", "test accuracy", "95 % interval", "test loss", "this model is ahead by")
    return (
        f"{_table(head, rows)}\n\n"
        "Differences are in points of accuracy on the same test pictures, with Newcombe's paired 95 % "
        "interval; where it holds 0, these pictures do not tell the two apart."
    )


def _data(facts: Facts) -> str:
    rows = list(facts.counts.items())
    return (
        f"From `{facts.source}`, fingerprint `{facts.fingerprint}`.\n\n{_table(('split', 'pictures'), rows)}"
    )


def _use(facts: Facts) -> str:
    shown = ", ".join(f"`{name}`" for name in facts.classes[:_MOST_CLASSES])
    rest = len(facts.classes) - _MOST_CLASSES
    more = f" and {rest} more" if rest > 0 else ""
    return f"""Pictures go in as `uint8` arrays of shape `(n, {facts.px}, {facts.px}, 3)`, red, green and blue
from 0 to 255; preprocessing is part of the model. Probabilities come out, a column a class, in the order of
`classes.json`: {shown}{more}.

```python
import keras
import mlflow

folder = mlflow.artifacts.download_artifacts("models:/{facts.name}@champion")
model = keras.models.load_model(f"{{folder}}/data/model.keras")
```

`MLFLOW_TRACKING_URI` must name the place where it is registered. Neither the program that made it nor custom
objects are needed; `mlflow.pyfunc.load_model` works as well."""


def _limits(facts: Facts) -> str:
    return f"""It knows only these {len(facts.classes)} classes and gives one of them for any picture, one of
something else too. The figures hold for pictures like those of the data above; for others, of another camera
or place, measure again. Its probabilities are not calibrated. It was not checked for fairness between groups
of people, and is not meant for decisions about people or for safety."""


def _cells(score: Score) -> tuple[str, str, str, str]:
    low, high = score.interval
    return str(score.n), f"{score.accuracy:.2%}", f"{low:.2%} to {high:.2%}", f"{score.loss:.4f}"


def _ahead(ahead: Difference) -> str:
    return f"{100 * ahead.value:+.2f} ({100 * ahead.low:+.2f} to {100 * ahead.high:+.2f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
