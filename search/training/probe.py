"""Probe: what codes are worth to a linear classifier, as values. It needs neither Keras nor scikit-learn."""

from dataclasses import dataclass

# Training pictures that a probe looks at; a larger set gives a sample of so many. The standard error of an
# accuracy is then at most 0.7 points, and all probes of a backbone take seconds.
MOST_PROBED = 5_000


@dataclass(frozen=True)
class Probe:
    """What the frozen part of a backbone gives to a linear classifier, by cross-validation.

    Attributes:
        backbone: The backbone.
        codes: Where the codes are taken, as the setting of this name says it; 1.0 is the top.
        layer: The layer whose pooled activations are the codes.
        width: Numbers in one picture's codes.
        image_size_px: Side of the square pictures.
        n_pictures: Training pictures probed.
        accuracy: Share of them that logistic regression gets right when it has not seen them.
        error: The accuracy's standard error.
        loss: Its mean cross-entropy on them, nats.
        neighbour_accuracy: Share of them whose nearest neighbour has the same label.
        logme: Evidence of a linear model a picture (You et al. 2021); more is better.
        forward_s: Seconds for all training pictures to go through the frozen part, on this machine.
    """

    backbone: str
    codes: float | str
    layer: str
    width: int
    image_size_px: int
    n_pictures: int
    accuracy: float
    error: float
    loss: float
    neighbour_accuracy: float
    logme: float
    forward_s: float
