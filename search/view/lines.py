"""Trials and estimates in lines of text."""

from search.driver.estimate import Estimate
from search.scheduler.trial import Trial


def settings_text(trial: Trial) -> str:
    """Name what makes a trial the one it is: `mobilenet_v2 unfreeze 0.5 lr 0.001 x 0.1 epochs 5+3`."""
    config = trial.config
    depth = f"{config.unfreeze:g}" if isinstance(config.unfreeze, float) else config.unfreeze
    linear = f" {config.classifier} C {config.head_c:g}" if config.is_linear else ""
    if not config.tunes and linear:
        return f"{config.backbone}{linear}"
    rates = f"lr {config.head_lr:.2g}" + (f" x {config.tune_lr_ratio:.2g}" if config.tunes else "")
    epochs = f"epochs {config.epochs('head')}" + (f"+{config.tune_epochs}" if config.tunes else "")
    return f"{config.backbone}{linear} unfreeze {depth} {rates} {epochs}"


def result_text(trial: Trial) -> str:
    """Say how a trial ended: `complete val_loss 0.0612 val_accuracy 97.8 % (tune 3) 41 s`."""
    parts: list[str] = [trial.state]
    if trial.outcome:
        metrics = trial.outcome.metrics
        parts += [f"val_loss {metrics['val_loss']:.4f}", f"val_accuracy {metrics['val_accuracy']:.1%}"]
        parts += [f"({trial.outcome.stage} {trial.outcome.epoch})", f"{trial.outcome.seconds:.0f} s"]
    if trial.reason:
        parts.append(f"- {trial.reason}")
    return " ".join(parts)


def duration_text(seconds: float) -> str:
    """Write a duration so that it can be read at a glance: `41 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def estimate_text(found: Estimate) -> str:
    """Say what a study will take: a line for each backbone, one for the time, one for the disk."""
    lines = [
        f"{name}: {1000 * cost.seconds_a_picture:.1f} ms a picture forward"
        for name, cost in found.costs.items()
    ]
    what = "a trial" if found.trials is None else f"{found.trials} trials"
    limit = f", at most {duration_text(found.timeout_s)} by --timeout" if found.timeout_s else ""
    lines.append(f"time: about {duration_text(found.seconds)} for {what} before pruning{limit}")
    if found.finalists_s:
        lines.append(f"finalists: about {duration_text(found.finalists_s)} more, if none stops early")
    return "\n".join([*lines, f"disk: about {found.disk_bytes / 1e6:.0f} MB"])
