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


def advice(epoch_s: float | None = 8.74) -> dict[str, Any]:
    wide, high = {"least": 59, "median": 434, "most": 1050}, {"least": 41, "median": 374, "most": 702}
    looked = {"counts": {}, "n_measured": 1500, "width_px": wide, "height_px": high, "n_copies": 3}
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
    assert "mobilenet_v2 92.3% ± 0.6 0.201 87.1% -0.180 1280 2.3 8.7" in lines
    assert "block_7_add (codes 0.5) 79.0% ± 0.6 0.201 87.1% -0.180 1280 2.3 8.7" in lines
    assert lines[0] == (
        "3 duplicates and 1 broken pictures are set aside; pixels, of 1500 pictures: "
        "wide 59 to 1050 (median 434), high 41 to 702 (median 374)"
    )
    assert "92% [right]" in lines
    assert lines[-1] == (
        "first: fine-tuning of all blocks; backbones in the order mobilenet_v2, mobilenet_025"
    )


def test_what_was_not_measured_has_no_column() -> None:
    text = advice_text(advice(epoch_s=None))
    assert "epoch, s" not in text
    assert "forward, s" in text
