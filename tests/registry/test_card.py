from dataclasses import replace

from search.registry.card import Baseline, Facts, FreshSeeds, SeedRow, model_card
from search.registry.scores import Difference, Score

FACTS = Facts(
    name="cats_dogs",
    study="cats_dogs",
    trial=7,
    objective="val_auc",
    params={"backbone": "mobilenet_v2", "head.lr": 0.001, "odd": "a|b"},
    classes=["cat", "dog"],
    px=96,
    source="/data/cats_dogs",
    fingerprint="f" * 64,
    counts={"train": 2000, "validation": 500, "test": 500},
    validation=Score(500, 490, 0.0612),
    test=Score(500, 485, 0.0734),
    baselines=[Baseline("tutorial_tenth", Score(500, 480, 0.0951), Difference(0.01, -0.004, 0.0251))],
    versions={"keras": "3.15.1"},
)


def test_the_card_shows_scores_with_their_intervals() -> None:
    card = model_card(FACTS)
    assert "| validation | 500 | 98.00% | 96.36% to 98.91% | 0.0612 |" in card
    assert "| test | 500 | 97.00% | 95.11% to 98.17% | 0.0734 |" in card


def test_the_card_shows_each_recipe_with_the_paired_difference() -> None:
    row = "| `tutorial_tenth` | 96.00% | 93.90% to 97.40% | 0.0951 | +1.00 (-0.40 to +2.51) |"
    assert row in model_card(FACTS)
    assert "No recipe was run in this study." in model_card(replace(FACTS, baselines=[]))


def test_the_card_shows_how_the_finalists_did_on_fresh_seeds() -> None:
    rows = [
        SeedRow(7, None, [0.1, 0.2], 0.15, 0.0707, None),
        SeedRow(0, "tutorial_tenth", [0.9], 0.9, None, "seed 2 failed"),
    ]
    card = model_card(replace(FACTS, seeds=FreshSeeds(rows, kept=2, luck=0.124)))
    assert "| 7 | 2 | 0.1500 | 0.0707 |  |" in card
    assert "| 0 (`tutorial_tenth`) | 1 | 0.9000 |  | seed 2 failed |" in card
    assert "its runs that of seed 2 is kept" in card
    assert "wrong order is 12% (Welch's t-test, one-sided)." in card
    assert "wrong order" not in model_card(replace(FACTS, seeds=FreshSeeds(rows, kept=2, luck=None)))
    assert "may be luck" in model_card(FACTS)


def test_the_card_says_what_the_model_is_and_how_to_load_it() -> None:
    card = model_card(FACTS)
    assert card.startswith("# cats_dogs\n\nAn image classifier for 2 classes fine-tuned from `mobilenet_v2`")
    assert "the best of study `cats_dogs`, trial 7, by its `val_auc`." in card
    assert 'download_artifacts("models:/cats_dogs@champion")' in card
    assert "(n, 96, 96, 3)" in card
    assert "`cat`, `dog`" in card


def test_a_bar_in_a_value_does_not_break_the_table() -> None:
    assert "| odd | a\\|b |" in model_card(FACTS)


def test_a_thousand_classes_are_not_all_named() -> None:
    card = model_card(replace(FACTS, classes=[f"class {n}" for n in range(1000)]))
    assert "`class 49` and 950 more" in card
    assert "class 50" not in card
