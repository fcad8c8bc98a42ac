"""The four cases of the CS231n notes, told from the size and from probes."""

import pytest

from search.driver.case import Case, case_of
from search.training.probe import Probe


def probe(accuracy: float, codes: float = 1.0, error: float = 0.01) -> Probe:
    return Probe("net", codes, f"layer {codes}", 64, 96, 500, accuracy, error, 0.3, accuracy, -0.2, 1.0)


def case(n_train: int, top: float, *earlier: float, majority: float = 0.5) -> Case:
    depths = [probe(one, codes) for one, codes in zip(earlier, (0.75, 0.5, 0.25), strict=False)]
    return case_of(n_train, majority, probe(top), depths)


@pytest.mark.parametrize(
    ("n_train", "top", "earlier", "name", "unfreeze", "first"),
    [
        (999, 0.92, (0.88, 0.8, 0.7), "small and similar", 0.0, "a linear classifier on the codes"),
        (1000, 0.92, (0.88, 0.8, 0.7), "large and similar", 1.0, "fine-tuning of all blocks"),
        (
            999,
            0.92,
            (0.88, 0.95, 0.7),
            "small and different",
            0.5,
            "the activations of layer 0.5 (codes 0.5)",
        ),
        (1000, 0.92, (0.88, 0.95, 0.7), "large and different", 1.0, "still from the pretrained weights"),
        (999, 0.7, (0.69, 0.6, 0.5), "small and different", 0.25, "or training from there up"),
        (999, 0.7, (), "small and different", 0.0, "a linear classifier on the codes"),
        (1000, 0.92, (), "large and similar", 1.0, "fine-tuning of all blocks"),
    ],
)
def test_size_and_probes_tell_the_case_and_what_comes_first(
    n_train: int, top: float, earlier: tuple[float, ...], name: str, unfreeze: float, first: str
) -> None:
    found = case(n_train, top, *earlier)
    codes = 1.0 - unfreeze if name == "small and different" else 1.0
    assert (found.name, found.unfreeze, found.codes) == (name, unfreeze, codes)
    assert first in found.first


def test_an_earlier_layer_must_be_better_by_more_than_chance() -> None:
    assert case(2000, 0.92, 0.93).name == "large and similar"
    assert case(2000, 0.92, 0.935).name == "large and different"


def test_accuracy_counts_from_the_most_frequent_class() -> None:
    assert case(2000, 0.92, majority=0.9).name == "large and different"
    assert case(2000, 0.55, majority=0.01).name == "large and similar"
    # worse than always naming one class is nothing of the way
    assert "which is 0% of the way" in case(2000, 0.4).reasons[1]


def test_reasons_say_what_was_found() -> None:
    found = case(2000, 0.92, 0.88)
    assert found.reasons[0] == "2000 training pictures; 1000 or more are large"
    assert found.reasons[1] == (
        "a linear classifier on the codes of net gets 92.0% right, which is 84% of the way from always "
        "naming the most frequent class (50.0%), and no earlier layer does better"
    )
    assert "at layer 0.75, it gets 99.0%" in case(2000, 0.92, 0.99).reasons[1]
    assert "below 50% pictures are different" in case(2000, 0.6).reasons[1]
