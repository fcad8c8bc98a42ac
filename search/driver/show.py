"""Show: what a study would do to its pictures, without training anything."""

from collections.abc import Sequence
from pathlib import Path

from search.data.table import DataSet
from search.driver.own_functions import own_points
from search.driver.request import Request
from search.errors import UserError
from search.executor.executor import ask
from search.executor.inline import inline
from search.recorder.figures import augmentation_sheet
from search.training.worker import WorkerPlan

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
N_DRAWS = 8


def show_augmentation(request: Request, data: DataSet, path: Path) -> Sequence[float]:
    """Draw one training picture at four strengths in eight draws each; an augmentor of one's own has one.

    Returns:
        The strengths.

    Raises:
        UserError: The file cannot be written, or the augmentor does not do.
    """
    space, options = request.file.space, request.options
    plan = WorkerPlan(data, space.data.draw_seed, options.home / "store", options.weights, space.reuse)
    config = space.config({"backbone": space.backbones[0], **own_points(space)[0]})
    strengths = STRENGTHS if "augmentor" not in config.own_functions else STRENGTHS[-1:]
    pictures = ask(inline(plan), "augmented", config, strengths, N_DRAWS)
    try:
        augmentation_sheet(path, pictures, strengths)
    except OSError as error:
        raise UserError(
            f"--show-augment: {path} cannot be written ({error.strerror}); give another file."
        ) from error
    return strengths
