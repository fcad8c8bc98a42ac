"""The learning rate of every step of a stage."""

import numpy as np

from search.config.trial_config import Stage, TrialConfig


def is_scheduled(config: TrialConfig, stage: Stage) -> bool:
    """Tell whether the learning rate of a stage changes from step to step, so that no callback may."""
    return config.lr_schedule(stage) != "constant" or config.warmup(stage) > 0


def learning_rates(
    config: TrialConfig, stage: Stage, epoch: int, steps: int, lr: float | None = None
) -> np.ndarray:
    """Give the learning rates of one epoch.

    Warm-up rises in a straight line over its share of all steps of the stage; cosine then falls to 0 at
    the stage's end (Loshchilov and Hutter 2017, without restarts).

    Args:
        config: The trial's settings.
        stage: The stage.
        epoch: From 1.
        steps: Steps an epoch.
        lr: The rate that a callback has set in place of the stage's own; None for that.

    Returns:
        `(steps,) float32`.
    """
    total = steps * config.epochs(stage)
    position = np.arange((epoch - 1) * steps, epoch * steps)
    rising = config.warmup(stage) * total
    factor = np.minimum(1.0, (position + 1) / rising) if rising >= 1 else np.ones(steps)
    if config.lr_schedule(stage) == "cosine":
        done = np.clip((position - rising) / (total - rising), 0.0, 1.0)
        factor = factor * 0.5 * (1.0 + np.cos(np.pi * done))
    return ((config.lr(stage) if lr is None else lr) * factor).astype(np.float32)
