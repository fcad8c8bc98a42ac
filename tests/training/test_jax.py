"""The same segments under JAX, in a process that never loads TensorFlow."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from search.data.image_set import ImageSet

SCRIPT = """
import json, os, sys
from pathlib import Path
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[2])
from conftest import make_images
from search.config.trial_config import TrialConfig
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.environment import environment
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.trainer import Trainer

images = make_images()
config = TrialConfig.model_validate(json.loads(sys.argv[3]))
def run(home, starts):
    found = []
    for steps in starts:
        store, rows = Store(home / "store"), Rows(home / "epochs")
        trainer = Trainer(store, rows, lambda px: images, lambda config: SHAPES_FILE, 0)
        for stage, until in steps:
            result = trainer.run(Segment(config, stage, until, 0, 2, "val_loss", 0))
            found += [dict(epoch.metrics) for epoch in result.epochs if epoch.epoch in result.ran]
    return found
home = Path(sys.argv[1])
whole = run(home / "whole", [[("head", 2), ("tune", 2)]])
split = run(home / "split", [[("head", 1)], [("head", 2), ("tune", 1)], [("tune", 2)]])
before = environment()
os.environ["XLA_FLAGS"] = "--xla_cpu_enable_fast_math=true"
print(json.dumps([whole, split, before != environment()]))
"""


@pytest.mark.slow
def test_segments_under_jax_resume_to_the_bit_and_agree_with_tensorflow(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, images: ImageSet
) -> None:
    from search.training.segment import Segment

    # Dropout is the one thing whose random numbers differ between backends.
    reducing = {"keras.callbacks.ReduceLROnPlateau": {"patience": 1, "min_delta": 10.0}}
    config = make_config(
        dropout=0.0,
        augment=0.5,
        weight_decay=0.01,
        optimizer="adam",
        tune__lr_ratio=0.1,
        callbacks=[reducing],
    )
    settings = json.dumps(config.flat())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent), settings],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            # The three trainers compile the same programs, which takes most of the time.
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    whole, split, is_minded = json.loads(done.stdout.splitlines()[-1])
    assert whole == split
    assert is_minded, "flags that change numbers are not in the key"
    trainer = make_light_trainer(tmp_path / "tensorflow")
    for number, (stage, until) in enumerate([("head", 1), ("head", 2), ("tune", 1), ("tune", 2)]):
        ours = trainer.run(Segment(config, stage, until, until - 1, 2, "val_loss", 0)).epochs[0].metrics  # type: ignore[arg-type]
        # Sums in another order: float32's rounding, which training carries on and makes larger.
        assert whole[number]["val_loss"] == pytest.approx(ours["val_loss"], rel=2e-2)
