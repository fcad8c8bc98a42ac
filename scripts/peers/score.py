"""Scores the model that a peer has chosen on the test split: python -m peers.score SETTING"""

import json
import sys
from pathlib import Path

import numpy as np

from search.model.loading import load_keras

load_keras()

from peers.journal import read_best  # noqa: E402
from peers.setting import Setting  # noqa: E402
from peers.two_stages import Pictures, TwoStages  # noqa: E402
from search.registry.scores import score  # noqa: E402
from search.training.metrics import probabilities  # noqa: E402


def main(setting: Setting) -> None:
    """Print loss and accuracy as JSON."""
    home = Path(setting.home)
    best = read_best(home)
    assert best is not None, "the arm has finished an epoch"
    config = setting.space.config(best.settings)
    images = setting.images(config.image_size)
    model = TwoStages(config, setting, Pictures(images, setting.seed)).model
    with np.load(best.weights_of(home)) as kept:
        model.set_weights([kept[name] for name in kept.files])
    logits = model.predict(images.images_of("test"), verbose=0)
    found = score(images.labels_of("test"), probabilities(logits))
    print(json.dumps({"test_loss": found.loss, "test_accuracy": found.accuracy}))


if __name__ == "__main__":
    main(Setting.load(sys.argv[1]))
