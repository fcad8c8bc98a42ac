"""Plans and small segments for workers."""

from collections.abc import Callable
from pathlib import Path

from search.config.trial_config import Stage, TrialConfig
from search.training.segment import Segment
from search.training.worker import WorkerPlan

MakePlan = Callable[[Path], WorkerPlan]


def config(**settings: object) -> TrialConfig:
    values: dict[str, object] = {
        "backbone": "mobilenet_025",
        "weights": "shapes",
        "image_size": 32,
        "batch_size": 16,
        "unfreeze": 0.5,
        "head.epochs": 2,
        "tune.epochs": 2,
        "augment": 0.5,
    }
    return TrialConfig.model_validate(
        values | {key.replace("__", "."): value for key, value in settings.items()}
    )


def segment(stage: Stage = "head", until: int = 1, **settings: object) -> Segment:
    return Segment(config(**settings), stage, until, after=0, head_epochs=2, metric="val_loss", study_seed=0)
