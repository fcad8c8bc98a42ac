from dataclasses import replace

from search.config.trial_config import TrialConfig
from search.driver.totals import Totals
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch

PROPOSAL = Proposal(TrialConfig(backbone="a"), {}, {})


def trained(number: int, proposal: Proposal, ran: list[bool]) -> Trial:
    """A trial whose epochs took 2 s each, 0.5 s less than on pictures, and were trained for it or reused."""
    trial = Trial(number, proposal, started_ms=1)
    for at, is_new in enumerate(ran, start=1):
        epoch = Epoch("head", at, {"val_loss": 1.0 / at}, 2.0, 1.0, time_ms=0, saved_s=0.5)
        trial.epochs["head"].append(epoch)
        trial.count(epoch, is_new)
    return trial


def test_reused_epochs_save_what_they_took_and_what_stored_features_had_saved_in_them() -> None:
    trials = [trained(0, PROPOSAL, [True, True]), trained(1, PROPOSAL, [False, True])]
    trials[0].end("complete", None, "val_loss")
    assert Totals.of(trials) == Totals(3, 1, seconds_training=6.0, seconds_saved=4 * 0.5 + 2.0)


def test_epochs_that_a_trial_took_over_from_the_one_it_continues_count_once() -> None:
    closed = trained(0, PROPOSAL, [False, True])
    closed.close("val_loss")
    going_on = trained(1, replace(PROPOSAL, continues=0), [False, False, True])
    assert Totals.of([closed, going_on]) == Totals.of([trained(0, PROPOSAL, [False, True, True])])
