"""Advice as people read it."""

from typing import Any

from search.view.advice import advice_text


def row(backbone: str, accuracy: float, epoch_s: float | None, codes: float = 1.0) -> dict[str, Any]:
    probe = {
        "backbone": backbone,
        "codes": codes,
        "layer": "block_7_add",
        "width": 1280,
        "image_size_px": 96,
        "n_pictures": 2000,
        "accuracy": accuracy,
        "error": 0.0062,
        "loss": 0.2013,
        "neighbour_accuracy": 0.871,
        "logme": -0.1804,
        "forward_s": 2.31,
    }
    return {"probe": probe, "epoch_s": epoch_s}


def advice(n_classes: int = 2, epoch_s: float | None = 8.74) -> dict[str, Any]:
    counts = {f"class {i}": {"train": 100 - i, "validation": 20, "test": 10} for i in range(n_classes)}
    side = {"least": 59, "median": 434, "most": 1050}
    looked = {"counts": counts, "n_measured": 1500, "width_px": side, "height_px": side, "n_copies": 3}
    return {
        "overview": {**looked, "broken": ["cats/[1].jpg"]},
        "backbones": [row("mobilenet_v2", 0.9234, epoch_s), row("mobilenet_025", 0.857, epoch_s)],
        "depths": [row("mobilenet_v2", 0.79, epoch_s, 0.5)],
        "case": {
            "name": "large and similar",
            "reasons": ["2000 training pictures", "92% [right]"],
            "unfreeze": 1.0,
            "first": "fine-tuning of all blocks",
        },
    }


def test_all_that_was_found_is_in_the_tables() -> None:
    lines = [" ".join(line.split()) for line in advice_text(advice()).splitlines()]
    assert "class 0 100 20 10" in lines
    assert "all 199 40 20" in lines
    assert "mobilenet_v2 92.3% ± 0.6 0.201 87.1% -0.180 1280 2.3 8.7" in lines
    assert "block_7_add (codes 0.5) 79.0% ± 0.6 0.201 87.1% -0.180 1280 2.3 8.7" in lines
    assert "set aside: 3 duplicates, 1 broken" in lines
    assert "92% [right]" in lines
    assert lines[-1] == (
        "first: fine-tuning of all blocks; backbones in the order mobilenet_v2, mobilenet_025"
    )


def test_what_was_not_measured_has_no_column() -> None:
    text = advice_text(advice(epoch_s=None))
    assert "epoch, s" not in text
    assert "forward, s" in text


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    lines = [" ".join(line.split()) for line in advice_text(advice(n_classes=40)).splitlines()]
    shown = [line for line in lines if line.startswith(("class ", "... "))]
    assert shown[1] == "class 0 100 20 10"
    assert shown[6] == f"... 30 more classes {sum(100 - i for i in range(5, 35))} 600 300"
    assert shown[-1] == "class 39 61 20 10"
    assert len(shown) == 12
