"""Summary: what a run came to, as JSON values and as text."""

import shlex
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.data.table import DataSet
from search.driver.finish import fresh_seeds
from search.driver.request import Request
from search.driver.study import Outcome, sizes
from search.driver.totals import Totals
from search.scheduler.trial import Trial


def summary(request: Request, data: DataSet, outcome: Outcome) -> dict[str, Any]:
    """Sum a run up; every value has a JSON form."""
    states = Counter(trial.state for trial in outcome.trials)
    return {
        "study": request.file.space.study,
        "data": {
            "source": data.source,
            "fingerprint": data.fingerprint,
            **sizes(data),
            "quarantined": [{"path": item.path, "reason": item.reason} for item in data.quarantined],
        },
        "advice": outcome.advice,
        "trials": {state: states[state] for state in ("complete", "pruned", "failed", "paused", "running")},
        "best": _best(outcome.best, request.file.space.objective.metric) if outcome.best else None,
        "champion": _champion(request, outcome),
        "finalists": _finalists(request, outcome),
        "baselines": _baselines(outcome),
        "left_out": [{"recipe": name, "reason": why} for name, why in request.file.left_out.items()],
        "stopped": outcome.stopped,
        "seconds": round(outcome.seconds, 3),
        **outcome.totals.figures(),
        "store_bytes": outcome.store_bytes,
        "programs": outcome.programs,
        "tracking": {"waiting": outcome.waiting, "problems": outcome.problems},
    }


def _best(trial: Trial, metric: str) -> dict[str, Any]:
    metrics = trial.best_metrics(metric)
    return {
        "number": trial.number,
        "recipe": trial.proposal.recipe,
        "params": trial.config.flat(),
        "val_loss": metrics["val_loss"],
        "val_accuracy": metrics["val_accuracy"],
        "stages": [asdict(stage) for stage in trial.outcome.stages] if trial.outcome else [],
    }


def _champion(request: Request, outcome: Outcome) -> dict[str, Any] | None:
    if outcome.results is None:
        return None
    champion = outcome.results.champion
    return {
        "name": request.file.space.study,
        "version": champion.version,
        "alias": champion.alias,
        "trial": champion.trial.number,
        "params": champion.trial.config.flat(),
        "seed": champion.trial.proposal.replicate,
        "outcome": champion.outcome,
        "test_accuracy": champion.test.accuracy,
        "test_accuracy_interval": list(champion.test.interval),
        "test_loss": champion.test.loss,
    }


def _finalists(request: Request, outcome: Outcome) -> dict[str, Any] | None:
    """How the best trials did on fresh seeds, the winner first."""
    if outcome.results is None or outcome.results.race is None:
        return None
    found = fresh_seeds(outcome.results.race, request.file.space.objective.metric)
    rows = [asdict(row) for row in found.rows]
    cost = Totals.of(outcome.results.race.runs)
    return {"rows": rows, "luck": found.luck, **cost.figures()}


def _baselines(outcome: Outcome) -> list[dict[str, Any]]:
    """The recipes that ran. One that has no complete trial has no test figures."""
    tested = outcome.results.baselines if outcome.results else {}
    rows = []
    for trial in outcome.trials:
        if trial.proposal.recipe is None or trial.state == "running":
            continue
        metrics = trial.outcome.metrics if trial.outcome else {}
        found = tested.get(trial.number)
        rows.append(
            {
                "recipe": trial.proposal.recipe,
                "number": trial.number,
                "state": trial.state,
                "val_loss": metrics.get("val_loss"),
                "val_accuracy": metrics.get("val_accuracy"),
                "test_accuracy": found.test.accuracy if found else None,
                "test_loss": found.test.loss if found else None,
                "champion_ahead": found.ahead.value if found else None,
                "champion_ahead_interval": [found.ahead.low, found.ahead.high] if found else None,
            }
        )
    return rows


def summary_text(request: Request, found: dict[str, Any]) -> str:
    """Write a summary for people, with the commands that show more."""
    parts = [_counts_text(found)]
    parts += _best_text(found) if found["best"] else ["No trial has an epoch, so there is no champion."]
    parts += [f"left out: {item['recipe']} ({item['reason']})" for item in found["left_out"]]
    parts += found["tracking"]["problems"]
    if found["tracking"]["waiting"]:
        parts.append(
            f"{found['tracking']['waiting']} records wait for MLflow and are sent at the next start."
        )
    return "\n".join([*parts, "", *_commands(request)])


def _counts_text(found: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items() if count)
    epochs = f"{found['epochs_run']} epochs trained, {found['epochs_reused']} reused"
    saved = f"{found['seconds_training']:.0f} s of training, {found['seconds_saved']:.0f} s saved by reuse"
    store = f"store {found['store_bytes'] / 1e6:.0f} MB"
    return (
        f"study {found['study']}: {counts or 'no trials'}; {found['seconds']:.0f} s\n"
        f"  {epochs}; {saved}; {found['programs']} programs compiled; {store}"
    )


def _best_text(found: dict[str, Any]) -> list[str]:
    best, champion = found["best"], found["champion"]
    lines = [f"best trial {best['number']}: {_validation_text(best)}", f"  {_settings(best['params'])}"]
    lines += [_stage_text(row) for row in best["stages"]]
    lines += _finalists_text(found["finalists"]) if found["finalists"] else []
    # of a recipe that is the best trial itself all is said
    others = [row for row in found["baselines"] if row["number"] != best["number"] or found["finalists"]]
    lines += [_baseline_text(row) for row in others]
    return lines + (_champion_text(champion, best) if champion else [])


def _stage_text(row: dict[str, Any]) -> str:
    figures = _validation_text(row["metrics"])
    if not row["epoch"]:
        return f"  before training: {figures}"
    return f"  {row['stage']} {row['epoch']}: {figures}; {row['trained_parameters']:,} parameters trained"


def _champion_text(champion: dict[str, Any], best: dict[str, Any]) -> list[str]:
    version = f" version {champion['version']}" if champion["version"] else ""
    seed = f" on fresh seed {champion['seed']}" if champion["seed"] else ""
    low, high = champion["test_accuracy_interval"]
    accuracy = f"{champion['test_accuracy']:.2%} [{low:.2%}, {high:.2%}]"
    lines = [
        f"champion {champion['name']}{version}: trial {champion['trial']}{seed}; {champion['outcome']}",
        f"  test: loss {champion['test_loss']:.4f}, accuracy {accuracy}",
    ]
    return lines if champion["trial"] == best["number"] else [*lines, f"  {_settings(champion['params'])}"]


def _finalists_text(found: dict[str, Any]) -> list[str]:
    lines = []
    for row in found["rows"]:
        spread = "" if row["spread"] is None else f", spread {row['spread']:.4f}"
        mean = "no run" if row["mean"] is None else f"mean {row['mean']:.4f}{spread}"
        stopped = f"; {row['stopped']}" if row["stopped"] else ""
        lines.append(f"finalist {row['trial']}: {mean} over {len(row['values'])} fresh seeds{stopped}")
    cost = f"{found['epochs_run']} epochs trained, {found['seconds_training']:.0f} s of training"
    lines.append(f"  the finalists took {cost}, which come on top")
    if found["luck"] is not None:
        chance = f"{found['luck']:.0%} by Welch's t-test"
        lines.append(f"  the chance that the first two are in the wrong order: {chance}")
    return lines


def _baseline_text(row: dict[str, Any]) -> str:
    if row["val_loss"] is None:
        return f"recipe {row['recipe']}: {row['state']}"
    text = f"recipe {row['recipe']}: {_validation_text(row)}"
    if row["test_loss"] is None:
        return text
    low, high = row["champion_ahead_interval"]
    ahead = f"{100 * row['champion_ahead']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    test = f"test loss {row['test_loss']:.4f}, accuracy {row['test_accuracy']:.2%}"
    return f"{text}, {test}; champion ahead by {ahead}"


def _validation_text(row: dict[str, Any]) -> str:
    return f"val_loss {row['val_loss']:.4f}, val_accuracy {row['val_accuracy']:.2%}"


def _settings(params: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_number(value)}" for key, value in params.items())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commands(request: Request) -> list[str]:
    options = request.options
    lines = [
        "Look at it (each runs until Ctrl-C):",
        f"  {_program('optuna-dashboard')} {shlex.quote(options.shown_storage_url)}",
    ]
    if options.tracking is None or not options.tracking_uri.startswith("http"):
        store = shlex.quote(options.shown_tracking_uri)
        artifacts = shlex.quote(str(options.home / "mlartifacts"))
        lines.append(
            f"  MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {_program('mlflow')} server "
            f"--backend-store-uri {store} --default-artifact-root {artifacts}"
        )
    return lines


def _program(name: str) -> str:
    """Name a program so that the user's shell finds it: it may lie in an environment that is not active."""
    return name if shutil.which(name) else shlex.quote(str(Path(sys.executable).with_name(name)))
