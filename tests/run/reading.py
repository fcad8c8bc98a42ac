"""Reading a home from outside."""

from pathlib import Path

import optuna

from search.training.rows import Rows


def trials_of(home: Path, study: str = "small") -> list[optuna.trial.FrozenTrial]:
    """The trials of a study."""
    return trials_at(f"sqlite:///{home / 'optuna.db'}", study)


def trials_at(storage: str, study: str = "small") -> list[optuna.trial.FrozenTrial]:
    """The trials of a study in any database."""
    return optuna.load_study(study_name=study, storage=storage).trials


def table_of(home: Path, study: str = "small") -> list[tuple[object, ...]]:
    """All that must be equal in two runs of one study; nothing that is a time."""
    return table_at(f"sqlite:///{home / 'optuna.db'}", study)


def table_at(storage: str, study: str = "small") -> list[tuple[object, ...]]:
    """The same of a study in any database."""
    return [
        (
            trial.number,
            trial.state.name,
            trial.params,
            trial.value,
            trial.intermediate_values,
            trial.user_attrs["config"],
        )
        for trial in trials_at(storage, study)
    ]


def epochs_trained(home: Path) -> int:
    """How many epochs were trained in a home, over all starts."""
    return Rows(home / "store" / "epochs").runs()
