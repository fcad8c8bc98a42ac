"""Which slot a segment goes to."""

from search.config.trial_config import TrialConfig
from search.driver.slots import Slots
from search.scheduler.trial import Proposal, Trial


def trial(number: int, backbone: str) -> Trial:
    config = TrialConfig.model_validate({"backbone": backbone, "image_size": 96})
    return Trial(number, Proposal(config, {}, {}), started_ms=0)


def test_a_trial_goes_back_to_the_worker_that_holds_its_checkpoint() -> None:
    slots = Slots(3)
    first, second, third = trial(0, "mobilenet_v2"), trial(1, "mobilenet_v2"), trial(2, "mobilenet_v2")
    assert [slots.take(one) for one in (first, second, third)] == [0, 1, 2]
    assert not slots.any_free
    for slot in (0, 1, 2):
        slots.give_back(slot)

    assert [slots.take(one) for one in (third, first, second)] == [2, 0, 1]


def test_another_trial_goes_to_a_worker_that_holds_its_network_else_to_one_that_holds_little() -> None:
    slots = Slots(3)
    assert slots.take(trial(0, "mobilenet_v2")) == 0
    assert slots.take(trial(1, "resnet50")) == 1
    for slot in (0, 1):
        slots.give_back(slot)

    assert slots.take(trial(2, "resnet50")) == 1
    assert slots.take(trial(3, "resnet50")) == 2
    assert slots.take(trial(4, "resnet50")) == 0


def test_what_a_dead_worker_held_is_forgotten() -> None:
    slots = Slots(2)
    held = trial(0, "mobilenet_v2")
    assert slots.take(held) == 0
    slots.forget(0)
    slots.give_back(0)
    assert slots.take(trial(1, "resnet50")) == 0
    slots.give_back(0)

    assert slots.take(held) == 1
