"""Stage 2 from a cut on: features at the cut, stored or computed, give what the whole network gives.

Both sides start from separate empty stores.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_oracle import run_segments

import search.training.features
from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.store.entries import Store
from search.training.plain import run_plain
from search.training.rows import Rows
from search.training.segment import Epoch
from search.training.trainer import Trainer


def run_both(home: Path, config: TrialConfig, images: ImageSet) -> tuple[list[Epoch], list[Epoch]]:
    """A trial in segments and by plain, on random weights."""
    store, rows = Store(home / "store"), Rows(home / "epochs")
    reuse = Reuse(fold_batch_norm=False)
    trainer = Trainer(store, rows, lambda px: images, lambda config: None, 0, reuse=reuse)
    ours, _ = run_segments(trainer, config)
    return ours, run_plain(config, images, None, "val_loss", study_seed=0)[0]


def values(epochs: list[Epoch]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.metrics.items() if name.startswith("val_")} for epoch in epochs
    ]


def shapes_of(home: Path) -> set[tuple[int, ...]]:
    return {np.load(file, mmap_mode="r").shape for file in home.glob("store/features/*/features.npy")}


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", [0.05, "block_9_depthwise"])
def test_a_tail_equals_the_whole_network(
    unfreeze: float | str, tmp_path: Path, images: ImageSet, make_config: Callable
) -> None:
    config = make_config(
        backbone="mobilenet_v2_035", weights="none", unfreeze=unfreeze, head__epochs=1, tune__epochs=3,
        augment=0.5, n_draws=2, weight_decay=0.01,
    )  # fmt: skip
    ours, plain = run_both(tmp_path, config, images)
    # On a CPU in float32 to the bit: the same sums in the same order, in two programs instead of one.
    assert values(ours) == values(plain)
    # two draws and the validation pictures, pooled and at the cut
    assert sorted(len(shape) for shape in shapes_of(tmp_path)) == [2, 2, 4, 4]


@pytest.mark.slow
def test_a_tail_of_an_efficientnet_equals_the_whole_network_but_for_rounding(
    tmp_path: Path, images: ImageSet, make_config: Callable
) -> None:
    config = make_config(
        backbone="efficientnet_b0", weights="none", unfreeze=0.25, head__epochs=1, tune__epochs=2, augment=0.5
    )
    ours, plain = run_both(tmp_path, config, images)
    for got, expected in zip(values(ours), values(plain), strict=True):
        # Logits differ by 3e-8: in one program TensorFlow fuses what in two it does not. Training on carries
        # that on.
        assert got["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-4)


def test_features_at_a_cut_are_shared_by_all_that_train_nothing_below_it(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer, config = make_light_trainer(tmp_path), make_config(unfreeze=0.5)
    run_segments(trainer, config)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("store/features/*/features.npy")}
    assert len(files) == 4
    other = config.model_copy(update={"tune_lr_ratio": 0.1, "dropout": 0.4})
    found = run_segments(trainer, other)[0]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("store/features/*/features.npy")} == files
    apart = run_segments(make_light_trainer(tmp_path / "apart"), other)[0]
    assert values(found) == values(apart)


@pytest.mark.parametrize("why", ["nothing is stored", "reading takes too long", "the store is too small"])
def test_features_that_are_computed_each_time_give_the_same_numbers(
    why: str,
    tmp_path: Path,
    make_light_trainer: Callable,
    make_config: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config(augment=0.5, n_draws=2, tune__epochs=3)
    stored = run_segments(make_light_trainer(tmp_path / "stored"), config)[0]
    trainer, owner = make_light_trainer(tmp_path / "computed"), None
    for bench in trainer.workshop._benches.values():
        for way in bench.cuts.values():
            monkeypatch.setattr(way, "pays", None)
    if why == "nothing is stored":
        owner = "study/1"
    elif why == "reading takes too long":
        monkeypatch.setattr(search.training.features, "_seconds_on_disk", lambda folder, codes: 1e9)
    else:
        # pooled features of two draws take 131 kB, those at the cut 524 kB
        trainer = make_light_trainer(tmp_path / "computed", limit="300kB")
    computed = run_segments(trainer, config, owner)[0]
    assert values(computed) == values(stored)
    assert {shape[1:] for shape in shapes_of(tmp_path / "stored")} == {(256,), (2, 2, 128)}
    assert (2, 2, 128) not in {shape[1:] for shape in shapes_of(tmp_path / "computed")}


def test_an_epoch_on_stored_features_says_what_it_saved(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(head__epochs=2, tune__epochs=2)
    epochs, _ = run_segments(make_light_trainer(tmp_path), config)
    first, second = epochs[::2], epochs[1::2]
    # the first epoch of all is validated before it as well, on the same features
    assert first[0].saved_s < min(epoch.saved_s for epoch in second)
    assert first[1].saved_s == 0.0
    assert all(0 < epoch.saved_s < 60 for epoch in second)
