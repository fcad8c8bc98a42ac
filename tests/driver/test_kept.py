"""What a study still needs is pinned, and nothing else of it."""

import uuid
from pathlib import Path

from search.config.trial_config import TrialConfig
from search.driver.kept import Kept, forget_pins
from search.scheduler.trial import Proposal, Trial
from search.store.entries import Store
from search.store.pins import Pins

CONFIG = TrialConfig(backbone="a")


def trial(number: int, replicate: int = 0) -> Trial:
    return Trial(number, Proposal(CONFIG, {}, {}, replicate=replicate), 0)


def names(store: Store, owner: str = "small.uid") -> list[str]:
    return Pins(store.root, owner).names()


def put(store: Store, key: str, n_bytes: int) -> None:
    with store.build("checkpoints", key) as draft:
        (draft / "arrays").write_bytes(b"x" * n_bytes)


def test_the_last_checkpoint_of_a_trial_is_held_until_it_is_released(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = Kept(store, "small.uid")
    kept.hold(trial(1), "first")
    kept.hold(trial(1), "second")
    kept.hold(trial(1, replicate=2), "other")
    assert names(store) == ["trial 1", "trial 1/2"]

    again = Kept(store, "small.uid")
    again.release(trial(1))
    again.release(trial(9))
    assert names(store) == ["trial 1/2"]


def test_at_the_end_all_go_but_those_that_are_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = Kept(store, "small.uid")
    for number in range(4):
        kept.hold(trial(number), f"key {number}")
    kept.keep_only([trial(2), trial(7)])
    assert names(store) == ["trial 2"]


def test_pins_that_pass_the_limit_by_themselves_are_too_much(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    kept = Kept(store, "small.uid")
    for number in range(3):
        put(store, f"key{number}", 4000)
        kept.hold(trial(number), f"key{number}")
        assert kept.is_too_much() == (number == 2)
    kept.release(trial(0))
    assert not kept.is_too_much()


def test_a_discarded_study_pins_nothing_any_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    owners = [f"{study}.{uuid.uuid4().hex}" for study in ("small", "small", "smaller", "small.v2")]
    for owner in owners:
        Kept(store, owner).hold(trial(0), "key")
    forget_pins(tmp_path, "small")
    assert [names(store, owner) for owner in owners] == [[], [], ["trial 0"], ["trial 0"]]
