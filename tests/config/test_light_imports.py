"""What answers at once imports nothing heavy: each row is run in a process of its own."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "optuna", "keras", "tensorflow", "mlflow", "sklearn", "scipy", "sqlalchemy", "torch")
BACKENDS = ("keras", "tensorflow", "mlflow", "pandas", "sklearn")

ROWS = [
    ("search.config.read, search.config.schema", HEAVY),
    ("search.driver.request, search.driver.study_file", HEAVY),
    ("search.scheduler.steps, search.scheduler.trial, search.training.segment", HEAVY),
    ("search.scheduler.scheduler, search.scheduler.samplers, search.scheduler.pruning", BACKENDS),
    ("search.recorder.optuna_half", BACKENDS),
]


@pytest.mark.parametrize(("modules", "forbidden"), ROWS)
def test_a_module_imports_nothing_that_is_too_heavy_for_it(modules: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {modules}\nprint(*sorted(set({forbidden!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_wrong_space_is_told_without_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from search.driver.request import Options, check\n"
        "from search.errors import SpaceError\n"
        "options = Options('cats_dogs', None, Path('home'), None, ('seed=x',), None, None, 'run')\n"
        "try:\n    check(options)\n"
        "except SpaceError as error:\n    print(error)\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "--set: seed: expected a whole number, got 'x'.\n\n"
