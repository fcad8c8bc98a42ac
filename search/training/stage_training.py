"""StageTraining: one stage of one trial in memory, epoch by epoch."""

import math
from pathlib import Path
from typing import Literal

import numpy as np

from search.data.image_set import ImageSet
from search.errors import TrialError
from search.seeds import seed_for
from search.store.mapped import read_rows
from search.training.callbacks import StageCallbacks
from search.training.checkpoint import Checkpoint
from search.training.features import Features
from search.training.linear import fit_linear
from search.training.metrics import measure, picture_weights, smoothed
from search.training.schedule import learning_rates
from search.training.segment import Progress, Segment, better
from search.training.sources import PICTURES_A_PART
from search.training.workshop import Bench, Workshop

# Steps in one call of a program of stage 2: bounds the memory, and the time until an interrupt is seen.
_STEPS_A_CALL = 16
# Features in one call of a program of stage 1
_MOST_BYTES_A_CALL = 64 << 20


class StageTraining:
    """The variables of a network while a stage trains them.

    Args:
        segment: The settings and seeds.
        images: The pictures.
        bench: The network and its programs. It serves one stage at a time.
        workshop: Where the stage's program comes from.
        features: Where the stage's inputs come from.
        start: Where stage 2 starts; None for stage 1, and for a stage 2 that is resumed next.
        progress: Told after each part of an epoch: stage, epoch, share done.
        folder: Where the trial's callbacks write; None where they write nothing.
        parts: In how many parts a batch goes through the network.

    Attributes:
        parts: The same.
        trained_layers: How many layers the stage trains, the classifier included.
        trained_parameters: How many numbers the stage trains.
        last: The checkpoint that was taken or resumed from last.
        saved_s: Seconds that the last epoch would have taken more if no features were stored.
        before: The validation metrics before the last epoch, if it was the trial's first; else empty.
    """

    def __init__(
        self,
        segment: Segment,
        images: ImageSet,
        bench: Bench,
        workshop: Workshop,
        features: Features,
        start: Checkpoint | None,
        progress: Progress,
        folder: Path | None = None,
        parts: int = 1,
    ) -> None:
        self._segment, self._config, self._stage = segment, segment.config, segment.stage
        self._images, self._bench = images, bench
        self._features, self._progress = features, progress
        self._seed = seed_for(segment.study_seed, "replicate", segment.replicate)
        self._trained = bench.network.trained_in(self._config, self._stage)
        self._way = workshop.way(bench, self._config, self._stage)
        self._program = workshop.training(bench, self._config, self._stage, parts)
        self.parts = parts
        self.trained_layers = bench.network.n_trained_layers(self._config, self._stage)
        self.trained_parameters = sum(math.prod(variable.shape) for variable in self._trained.values())
        self.last = start
        self.saved_s = 0.0
        self.before: dict[str, float] = {}
        self._steps = math.ceil(len(images.rows["train"]) / self._config.batch_size)
        optimizer = self._program.optimizer
        self._callbacks = StageCallbacks(segment, bench.network, optimizer, folder, self._steps)
        self._begin(start)

    @property
    def stops(self) -> bool:
        """Whether a callback ended the stage after the last epoch."""
        return self._callbacks.stops

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go to where a checkpoint of this stage was taken."""
        self._bench.network.assign(checkpoint.running)
        for variable, value in zip(self._program.optimizer.variables, checkpoint.optimizer, strict=True):
            variable.assign(value)
        self._bench.network.head.dropout.seed_generator.state.assign(checkpoint.dropout)
        self._callbacks.resume(checkpoint.callbacks)
        self.last = checkpoint

    def end(self) -> None:
        """Tell the callbacks that the stage is over."""
        self._callbacks.end()

    def train_epoch(self, number: int) -> dict[str, float]:
        """Train one epoch and validate.

        Returns:
            The metrics of `Epoch`.

        Raises:
            TrialError: The loss is not finite.
            SpaceError: A callback does what cannot be kept.
        """
        self.saved_s = 0.0
        is_first = self._stage == "head" and number == 1
        self.before = {f"val_{name}": value for name, value in self._validate().items()} if is_first else {}
        if number == 1:
            self._callbacks.begin(b"" if self.last is None else self.last.callbacks)
        metrics = self._train(number)
        metrics |= {f"val_{name}": value for name, value in self._validate().items()}
        for name in ("loss", "val_loss"):
            if not math.isfinite(metrics[name]):
                rate = f"learning rate {self._config.lr(self._stage):.3g}"
                raise TrialError(
                    f"{name} is {metrics[name]} in epoch {number} of stage {self._stage}, {rate}"
                )
        return self._callbacks.end_epoch(number, metrics)

    def checkpoint(self, number: int, value: float) -> Checkpoint:
        """Take the state after an epoch, and the best weights so far.

        Args:
            number: The epoch, from 1.
            value: The objective after it.
        """
        best = self.last
        # stage 1 may have moved what stage 2 does not train
        names = self._trained.keys() | (best.best.keys() if best else set())
        variables = self._bench.network.variables
        running = {name: np.array(variables[name]) for name in sorted(names)}
        is_best = best is None or better(self._segment.metric, value, best.best_value)
        self.last = Checkpoint(
            running=running,
            optimizer=tuple(np.array(variable) for variable in self._program.optimizer.variables),
            dropout=np.array(self._bench.network.head.dropout.seed_generator.state),
            best=running if best is None or is_best else best.best,
            best_value=value if best is None or is_best else best.best_value,
            best_stage=self._stage if best is None or is_best else best.best_stage,
            best_epoch=number if best is None or is_best else best.best_epoch,
            callbacks=self._callbacks.state(),
        )
        return self.last

    def _begin(self, start: Checkpoint | None) -> None:
        network = self._bench.network
        network.reset(seed_for(self._seed, "head init"))
        if start is not None:
            network.assign(start.best)
        network.moves(list(self._trained))
        network.head.dropout.reset(self._config.dropout, seed_for(self._seed, f"{self._stage} dropout"))
        self._program.reset(self._config.weight_decay)
        self._program.optimizer.learning_rate = self._config.lr(self._stage)

    def _train(self, number: int) -> dict[str, float]:
        if self._stage == "head" and self._config.is_linear:
            return self._fit()
        rows = self._images.rows["train"]
        order = np.random.default_rng(seed_for(self._seed, f"{self._stage} order", number)).permutation(
            len(rows)
        )
        labels = self._images.labels_of("train")[order]
        steps, lr = self._steps, self._callbacks.begin_epoch(number)
        lrs = learning_rates(self._config, self._stage, number, steps, lr)
        weights = picture_weights(labels, len(self._images.classes), self._config.class_weight)
        logits, losses = self._run(number, order, labels, weights, lrs)
        sizes = np.full(steps, self._config.batch_size)
        sizes[-1] = len(rows) - (steps - 1) * self._config.batch_size
        return {
            **measure(logits, labels),
            "loss": float(np.average(losses.astype(np.float64), weights=sizes)),
        }

    def _run(
        self, number: int, order: np.ndarray, labels: np.ndarray, weights: np.ndarray, lrs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        source = self._features.of_epoch(self._way, self._config, self._images, number)
        steps = self._steps_a_call()
        size = steps * self._config.batch_size
        logits, losses = [], []
        for call, at in enumerate(range(0, len(order), size)):
            part = slice(at, at + size)
            inputs, its_lrs = source.take(order[part]), lrs[call * steps : (call + 1) * steps]
            targets = smoothed(labels[part], len(self._images.classes), self._config.label_smoothing)
            outputs, loss = self._program.run(inputs, targets, weights[part], its_lrs)
            logits.append(outputs)
            losses.append(loss)
            self._progress(self._stage, number, min(1.0, (at + size) / len(order)))
        self.saved_s += source.saved_s
        return np.concatenate(logits), np.concatenate(losses)

    def _fit(self) -> dict[str, float]:
        """Fit a linear classifier to the codes of the first draw."""
        config, head = self._config, self._bench.network.head
        labels = self._images.labels_of("train")
        source = self._features.of_epoch(self._way, config, self._images, 1)
        codes = source.take(np.arange(len(labels)))
        weights = picture_weights(labels, len(self._images.classes), config.class_weight)
        name: Literal["logistic", "svm"] = "svm" if config.classifier == "svm" else "logistic"
        kernel, bias = fit_linear(codes, labels, weights, name, config.head_c, head.plan.n_classes)
        head.classifier.kernel.assign(kernel)
        head.classifier.bias.assign(bias)
        self.saved_s += source.saved_s
        self._progress(self._stage, 1, 1.0)
        return measure(self._way.forward(codes), labels)

    def _steps_a_call(self) -> int:
        """A head's epoch is over in no time, so it is one call where its features are small enough."""
        if self._way.name != "head":
            return _STEPS_A_CALL
        step_bytes = self._config.batch_size * math.prod(self._way.shape) * np.dtype(np.float32).itemsize
        return max(1, _MOST_BYTES_A_CALL // step_bytes)

    def _validate(self) -> dict[str, float]:
        source = self._features.of_validation(self._way, self._config, self._images)
        every = np.arange(len(self._images.rows["validation"]))
        parts = (every[at : at + PICTURES_A_PART] for at in range(0, len(every), PICTURES_A_PART))
        logits = np.concatenate([self._way.forward(source.take(part)) for part in parts])
        self.saved_s += source.saved_s
        return measure(logits, self._images.labels_of("validation"))


def predict(bench: Bench, images: ImageSet, split: str) -> np.ndarray:
    """Run the whole network as it stands over the pictures of a split.

    Returns:
        Logits, `(n of the split, classes) float32`.
    """
    rows = images.rows[split]
    parts = (rows[at : at + PICTURES_A_PART] for at in range(0, len(rows), PICTURES_A_PART))
    return np.concatenate([bench.whole.forward(read_rows(images.images, part)) for part in parts])
