"""Case: which of the four cases of the CS231n notes on transfer learning a data set is.

The notes ask two questions: is the new data set small or large, and is it similar to what the backbone was
trained on or different? Their answers are a linear classifier on the codes (small, similar), fine-tuning all
(large), and a linear classifier on activations from earlier in the network (small, different).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.training.probe import Probe

# Training pictures below which a data set is small. VTAB (Zhai et al. 2019) takes 1,000 for few, and up to
# some 800 logistic regression on the codes does as well as fine-tuning (Kornblith et al. 2019).
SMALL = 1_000

# Share of the way from always naming the most frequent class to making no mistake that a linear classifier
# on the codes must come, or the pictures are different. On the photographs of cats and dogs pretrained
# backbones come 0.7 to 0.95 of the way, random weights 0.05 to 0.1.
SIMILAR = 0.5


@dataclass(frozen=True)
class Case:
    """One of the four cases.

    Attributes:
        name: Such as `large and similar`.
        reasons: Why, a sentence for each of the two questions.
        codes: Where a linear classifier reads by the notes, as a share of the blocks from below.
        unfreeze: How deep stage 2 is to train, as a share of the blocks from the top.
        first: What that means, in words.
    """

    name: str
    reasons: tuple[str, str]
    codes: float
    unfreeze: float
    first: str


def is_small(n_train: int) -> bool:
    """Answer the first question; where it is large, all is fine-tuned whatever the second answer is."""
    return n_train < SMALL


def case_of(n_train: int, majority: float, top: Probe, earlier: Sequence[Probe]) -> Case:
    """Tell the case.

    Args:
        n_train: The training pictures.
        majority: The share of them that the most frequent class has.
        top: The best backbone's codes.
        earlier: Its activations from earlier in the network, some or none.
    """
    size = f"{n_train} training pictures; {SMALL} or more are large"
    is_similar, likeness = _similar(majority, top, earlier)
    name = f"{'small' if is_small(n_train) else 'large'} and {'similar' if is_similar else 'different'}"
    codes, unfreeze, first = _answer(is_small(n_train), is_similar, earlier)
    return Case(name, (size, likeness), codes, unfreeze, first)


def _similar(majority: float, top: Probe, earlier: Sequence[Probe]) -> tuple[bool, str]:
    """Answer the second question, with the reason."""
    gain = (top.accuracy - majority) / (1 - majority)
    far = (
        f"a linear classifier on the codes of {top.backbone} gets {top.accuracy:.1%} right, which is "
        f"{max(0.0, gain):.0%} of the way from always naming the most frequent class ({majority:.1%})"
    )
    if gain < SIMILAR:
        return False, f"{far}; below {SIMILAR:.0%} pictures are different"
    better = _best(earlier)
    if better and better.accuracy - top.accuracy > math.hypot(better.error, top.error):
        return False, f"{far}; but earlier in the network, at {better.layer}, it gets {better.accuracy:.1%}"
    no_better = ", and no earlier layer does better" if earlier else ""
    return True, f"{far}{no_better}"


def _best(probes: Sequence[Probe]) -> Probe | None:
    return max(probes, key=lambda probe: probe.accuracy, default=None)


def _answer(small: bool, similar: bool, earlier: Sequence[Probe]) -> tuple[float, float, str]:
    best = _best(earlier)
    if not small:
        start = "" if similar else ", still from the pretrained weights"
        return 1.0, 1.0, f"fine-tuning of all blocks{start}"
    if similar or best is None:
        return 1.0, 0.0, "a linear classifier on the codes, nothing unfrozen"
    codes = float(best.codes)
    said = (
        f"a linear classifier on the activations of {best.layer} (codes {codes:g}), or training from there up"
    )
    return codes, 1.0 - codes, said
