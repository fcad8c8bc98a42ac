"""Keys: the digests under which checkpoints and features are found again.

A key holds everything that can change what it names and nothing that cannot: the epoch reached, never how
the way there was cut into segments; no setting of stage 2 in a key of stage 1; no trial's number.
"""

from collections.abc import Mapping
from typing import Any

from search.config.trial_config import Stage, TrialConfig
from search.digests import digest_of
from search.training.segment import Segment

# Raised whenever a change of the training code changes its numbers.
FORMAT = 5

Facts = Mapping[str, Any]


def checkpoint_key(segment: Segment, stage: Stage, epoch: int, draw_seed: int, facts: Facts) -> str:
    """Name the checkpoint that a trial reaches at an epoch of a stage.

    Args:
        segment: The trial's settings and seeds.
        stage: The stage.
        epoch: The epoch reached, from 1.
        draw_seed: The data's draw seed, which decides where pictures are augmented.
        facts: What else decides: the pictures, the weights, the environment, callbacks, and where there are
            any the functions of the user's own.
    """
    if stage == "head":
        start: Any = {"facts": dict(facts), "trial": _of_trial(segment, draw_seed), "format": FORMAT}
    else:
        start = checkpoint_key(segment, "head", segment.head_epochs, draw_seed, facts)
    settings = {**_of_stage(segment.config, stage), **_of_parts(segment, stage, epoch)}
    return digest_of({"start": start, "stage": stage, "epoch": epoch, **settings})


def draw_key(draw: int, strength: float, draw_seed: int, facts: Facts) -> str:
    """Name the training pictures as one draw of some strength makes them; no backbone has to do with that."""
    augmented = {"strength": strength, "draw": draw, "seed": draw_seed}
    deciding = {name: facts[name] for name in ("pictures", "environment", "augmentor") if name in facts}
    return digest_of({"augment": augmented, "facts": deciding, "format": FORMAT})


def features_key(
    backbone: str,
    codes: float | str,
    part: str,
    split: str,
    draw: int,
    strength: float,
    draw_seed: int,
    facts: Facts,
) -> str:
    """Name the features that a frozen part of a backbone gives for one draw of a split."""
    augmented = {"strength": strength, "draw": draw, "seed": draw_seed} if strength > 0 else {}
    of = {"backbone": backbone, "codes": codes, "part": part, "split": split, "augment": augmented}
    deciding = {name: fact for name, fact in facts.items() if strength > 0 or name != "augmentor"}
    return digest_of({**of, "facts": deciding, "format": FORMAT})


def _of_trial(segment: Segment, draw_seed: int) -> dict[str, Any]:
    config = segment.config
    files = {} if segment.files is None else {"files": segment.files}
    drawn = {"draws": config.n_draws, "draw_seed": draw_seed} if config.augment > 0 else {}
    return {
        **drawn,
        **files,
        "backbone": config.backbone,
        "batch_size": config.batch_size,
        "optimizer": config.optimizer,
        "loss": "categorical cross-entropy",
        "head": {"classifier": config.classifier, "hidden": config.hidden},
        "codes": config.codes,
        "dropout": config.dropout,
        "augment": config.strength,
        "weight_decay": config.weight_decay,
        "label_smoothing": config.label_smoothing,
        "class_weight": config.class_weight,
        "metric": segment.metric,
        "seed": segment.study_seed,
        "replicate": segment.replicate,
        "owner": segment.owner,
    }


def _of_parts(segment: Segment, stage: Stage, epoch: int) -> dict[str, Any]:
    """From where on in a stage batches go through in parts; nothing for an epoch before that."""
    parts = segment.parts(stage, epoch)
    if segment.accumulation is None or parts == 1:
        return {}
    return {"accumulation": {"from": segment.accumulation.first_epoch(stage), "parts": parts}}


def _of_stage(config: TrialConfig, stage: Stage) -> dict[str, Any]:
    """The stage's own settings; its length only where the learning rate hangs on it."""
    course: dict[str, Any] = {"schedule": config.lr_schedule(stage), "warmup": config.warmup(stage)}
    if config.lr_schedule(stage) != "constant" or config.warmup(stage) > 0:
        course["epochs"] = config.epochs(stage)
    trained: dict[str, Any] = {"depth": config.depth(stage)}
    if stage == "tune":
        trained["batch_norm"] = config.batch_norm
    elif config.is_linear:
        trained["c"] = config.head_c
    return {"lr": config.lr(stage), **course, **trained}
