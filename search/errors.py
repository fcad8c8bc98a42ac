"""Everything that this package raises on purpose.

    SearchError
    ├── UserError            the user can mend it: printed as it is, exit 2, no traceback
    │   ├── SpaceError       a space file or an option says what cannot be
    │   ├── DataError        the pictures cannot be used as they are
    │   ├── WeightsError     a backbone's weights cannot be had
    │   ├── StudyError       the study that exists is another one, or cannot be opened
    │   ├── TrackingError    the tracking server or the registry refused
    │   └── MachineError     this machine cannot do what is asked of it
    ├── TrialError           this trial is lost, the study goes on
    │   └── OutOfMemory      unless it goes through the network in smaller parts
    └── WorkerLost           a worker died of a call, which another one may do

Anything else that comes out of the package is a bug and ends the run with its traceback.
"""

from collections.abc import Iterator, Sequence

MOST_NAMED = 5  # mistakes of one kind that one message names


class SearchError(Exception):
    """Base of all errors raised on purpose."""


class UserError(SearchError):
    """A mistake that the user can mend: the rule, what was got, what to do, in one sentence each."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences

    def __reduce__(self) -> "tuple[type[UserError], tuple[str, ...]]":
        """Let it be sent to another process."""
        return type(self), self.sentences


class SpaceError(UserError):
    """A space file, recipe or `--set` says what cannot be."""


class DataError(UserError):
    """The pictures cannot be used as they are."""


class WeightsError(UserError):
    """The weights of a backbone are neither at hand nor to be downloaded."""


class StudyError(UserError):
    """The study that exists is another one, or its database cannot be opened."""


class TrackingError(UserError):
    """The tracking server or the model registry refused what it was asked."""


class MachineError(UserError):
    """This machine has no such GPU, or what runs on it dies."""


class WorkerLost(SearchError):
    """A worker died of a call, or was ended in it; the message says how."""


class TrialError(SearchError):
    """This trial cannot go on (its loss is NaN, say); the study does."""


class OutOfMemory(TrialError):
    """The device or the machine has too little memory for this segment.

    The driver tries again with smaller parts.
    """


def first_few(sentences: Sequence[str]) -> Iterator[str]:
    """Give the first few sentences about mistakes of one kind, and one that counts the others."""
    yield from sentences[:MOST_NAMED]
    if len(sentences) > MOST_NAMED:
        yield f"... and {len(sentences) - MOST_NAMED} more of the same kind."
