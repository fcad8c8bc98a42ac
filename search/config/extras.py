"""Extras: what some settings need beyond the program's own dependencies."""

from importlib.util import find_spec

from search.errors import SpaceError


def check_sampler(name: str) -> None:
    """Refuse a sampler whose extra dependency is not installed; nothing is imported for that.

    Raises:
        SpaceError: `gp` without PyTorch.
    """
    if name == "gp" and find_spec("torch") is None:
        raise SpaceError(
            "sampler.name: gp needs PyTorch, which is not installed; pip install torch, or take tpe."
        )


MISSING_HUB = "needs KerasHub, which is not installed; pip install 'fine-tune-search[hub]', or leave it out"


def has_hub() -> bool:
    """Tell whether KerasHub and safetensors, which holds timm's files, are installed; imports nothing."""
    return all(find_spec(module) is not None for module in ("keras_hub", "safetensors"))
