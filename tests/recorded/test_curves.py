import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from recorded.curves import Table, read_table
from search.config.space import Space
from search.errors import SpaceError

MakeTable = Callable[..., Table]
MakeSpace = Callable[..., Space]


def test_every_epoch_of_every_point_and_seed_is_found_where_it_was_recorded(make_table: MakeTable) -> None:
    numbers: dict[tuple[object, ...], float] = {}

    def another(point: dict[str, object], replicate: int, stage: str, epoch: int) -> float:
        return numbers.setdefault((*point.values(), replicate, stage, epoch), float(len(numbers)))

    table = make_table(another)
    grid = itertools.product(("mobilenet_025", "mobilenet_v2_035"), (0.5, 1.0), (0.1, 0.3), (0.0, 0.5))
    for backbone, unfreeze, ratio, augment in grid:
        point = {"backbone": backbone, "unfreeze": unfreeze, "tune.lr_ratio": ratio, "augment": augment}
        config = table.space.config(dict(point))
        for replicate, curves in enumerate((table.shown, table.judging)):
            heads = curves.values(config, "head", 2, "val_loss")
            assert heads == [numbers[backbone, augment, replicate, "head", epoch] for epoch in (1, 2)]
            tunes = curves.values(config, "tune", 3, "val_loss")
            assert tunes == [numbers[(*point_of(point), replicate, "tune", epoch)] for epoch in (1, 2, 3)]


def point_of(point: dict[str, object]) -> tuple[object, ...]:
    """The values of a point in the order of the space's dimensions."""
    return tuple(point[key] for key in ("backbone", "unfreeze", "tune.lr_ratio", "augment"))


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ("fixed.dropout=0.4", "head"),  # another training
        ("fixed.head.lr_schedule=cosine", "head"),
        ("reuse.n_draws=2", "head"),
        ("fixed.head.epochs=4", "head"),  # longer than what was recorded
        ("fixed.head.epochs=1", "tune"),  # stage 2 was recorded from two epochs of stage 1
        ("fixed.tune.epochs=4", "tune"),
        ("free.tune.lr_ratio={choice: [0.1, 0.2]}", "tune"),
        ("objective.metric=val_accuracy", "head"),  # stage 2 starts from the best weights by this
    ],
)
def test_what_was_not_recorded_is_refused(
    make_table: MakeTable, make_space: MakeSpace, change: str, stage: str
) -> None:
    with pytest.raises(SpaceError, match=f"Only what was recorded can be replayed.* of stage {stage}"):
        make_table().check(make_space(change))


@pytest.mark.parametrize(
    "change",
    [
        "seed=7",
        "sampler.name=random",
        "fixed.tune.epochs=2",
        "free.augment={choice: [0.5]}",
        "free.unfreeze={choice: [0.0, 1.0]}",  # depth 0 is the head alone
        "reuse.enabled=false",
    ],
)
def test_whatever_trains_the_same_is_accepted(
    make_table: MakeTable, make_space: MakeSpace, change: str
) -> None:
    make_table().check(make_space(change))


def test_a_table_that_is_not_complete_is_refused(table_file: Callable[..., Path]) -> None:
    with pytest.raises(SpaceError, match="is not complete; run scripts/record_table again"):
        read_table(table_file(complete=False))


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="is no file; run scripts/record_table"):
        read_table(tmp_path / "none.json")
