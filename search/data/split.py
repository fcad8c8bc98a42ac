"""The split: which pictures are for training, for choosing and for the last word.

A picture's split is a threshold on its salted content hash. So adding pictures moves none of those that
are there, copies on two machines fall alike, and the shares hold in expectation.
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitRule:
    """Which share of the pictures goes where.

    Args:
        validation: Share of the validation split, in (0, 1).
        test: Share of the test split, in (0, 1).
        seed: Salt of the content hash.

    Raises:
        ValueError: A share is not positive, or nothing is left for training.
    """

    validation: float = 0.2
    test: float = 0.2
    seed: int = 42

    def __post_init__(self) -> None:
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            raise ValueError(
                "The shares of validation and test must be above 0 and leave some pictures for training, "
                f"got validation={self.validation} and test={self.test}."
            )


def split_of(content: str, given: Split, folders: Set[Split], rule: SplitRule) -> Split:
    """Tell the split of one picture.

    Args:
        content: The picture's content hash, or the name of its group.
        given: The split that its folder stands for; plain class folders stand for train.
        folders: The splits that have a folder; what is missing is taken from one that is there:
            validation from train, test from half of validation, or from train where both are missing.
        rule: The shares and the salt.
    """
    place = _place(content, rule.seed)
    if given == "train" and "validation" not in folders:
        test = 0.0 if "test" in folders else rule.test
        return "test" if place < test else "validation" if place < test + rule.validation else "train"
    if given == "validation" and "test" not in folders:
        return "test" if place < 0.5 else "validation"
    return given


def _place(content: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\0split\0{content}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
