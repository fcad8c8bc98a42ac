"""Finish: the choice is made, so the test split is looked at, once; the champion is registered."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from search.data.image_set import ImageSet, image_set
from search.data.split import SPLITS
from search.data.table import DataSet
from search.digests import digest_of
from search.driver.request import Request
from search.driver.view import View
from search.errors import TrackingError
from search.executor.executor import Executor, ask
from search.recorder.tracking import Tracking
from search.registry.card import Baseline, Facts, FreshSeeds, SeedRow, model_card
from search.registry.scores import Score, is_right, paired_difference, score
from search.scheduler.race import RaceResult
from search.scheduler.ranking import BEST_FEW, best_of
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Trial
from search.store.entries import Store
from search.training.segment import Epoch

# How long the registry waits for MLflow to say which run the champion is.
_LONGEST_WAIT_S = 30.0
_EXAMPLES = 2


@dataclass(frozen=True)
class Champion:
    """The best trial and where it stands.

    Attributes:
        trial: The trial; where finalists ran on fresh seeds, the run of the best of them whose model is kept.
        test: Its score on the test split.
        version: Its version in the registry, None if that could not be reached.
        alias: `champion`, or None if an older one keeps it.
        outcome: What became of the alias and why, in a sentence.
    """

    trial: Trial
    test: Score
    version: int | None
    alias: str | None
    outcome: str

    def figures(self) -> dict[str, float]:
        """Give the figures that the study's own run shows."""
        return {
            "trial": float(self.trial.number),
            "test_loss": self.test.loss,
            "test_accuracy": self.test.accuracy,
        }


@dataclass(frozen=True)
class Results:
    """The champion, the recipes it had to beat, by the trial that ran each, and how the finalists did."""

    champion: Champion
    baselines: dict[int, Baseline]
    race: RaceResult | None


class _Finish:
    """Looks at the best trials of a study."""

    def __init__(
        self,
        request: Request,
        data: DataSet,
        scheduler: Scheduler,
        executor: Executor,
        tracking: Tracking,
        view: View,
        race: RaceResult | None,
    ) -> None:
        self._race = race
        self._request, self._data, self._scheduler = request, data, scheduler
        self._executor, self._tracking, self._view = executor, tracking, view
        self._space = request.file.space
        self._store = Store(request.options.home / "store")

    def results(self, best: Trial) -> Results:
        recipes = [t for t in self._scheduler.trials if t.proposal.recipe and t.state == "complete"]
        best_few = best_of(self._scheduler.trials, BEST_FEW, self._space.objective.metric)
        for trial in _each_once([best, *best_few, *recipes]):
            self._keep_artifacts(trial)
        labels = self._labels("test")
        predicted = {t.key: self._probabilities(t, "test") for t in _each_once([best, *recipes])}
        for trial in _each_once([best, *recipes]):
            self._show_test(trial, score(labels, predicted[trial.key]))
        right = is_right(labels, predicted[best.key])
        baselines = {
            t.number: Baseline(
                str(t.proposal.recipe),
                score(labels, predicted[t.key]),
                paired_difference(right, is_right(labels, predicted[t.key])),
            )
            for t in recipes
        }
        champion = self._register(best, score(labels, predicted[best.key]), list(baselines.values()))
        return Results(champion, baselines, self._race)

    def _labels(self, split: str) -> np.ndarray:
        return self._data.labels()[self._data.indices(split)]  # type: ignore[arg-type]

    def _probabilities(self, trial: Trial, split: str) -> np.ndarray:
        from search.training.metrics import probabilities

        segment = self._scheduler.last_segment(trial)
        return probabilities(ask(self._executor, "predict", segment, split))

    def _show_test(self, trial: Trial, found: Score) -> None:
        """Put the test figures beside the trial's last epoch, at that epoch's own time."""
        last = self._history(trial)[-1]
        step = self._scheduler.steps(trial, last)[0]
        metrics = {"test_loss": found.loss, "test_accuracy": found.accuracy}
        self._tracking.log_epoch(trial.key, step, last.time_ms, metrics)

    def _history(self, trial: Trial) -> list[Epoch]:
        """All epochs of a trial with all their metrics, from the store."""
        epochs = []
        for stage in (stage for stage in trial.config.stages if trial.epochs[stage]):
            segment = self._scheduler.segment_from_start(trial, stage)
            epochs += ask(self._executor, "run", segment).epochs
        return epochs

    def _keep_artifacts(self, trial: Trial) -> None:
        from search.recorder import figures

        found, labels = self._probabilities(trial, "validation"), self._labels("validation")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            rows: list[dict[str, object]] = [
                {"stage": epoch.stage, "epoch": epoch.epoch, **epoch.metrics, "seconds": epoch.seconds}
                for epoch in self._history(trial)
            ]
            figures.write_history(folder / "history.csv", rows)
            figures.confusion_matrix(
                folder / "confusion_validation.png", labels, found.argmax(axis=1), self._data.classes
            )
            images = self._image_set(trial)
            figures.worst_mistakes(
                folder / "mistakes_validation.png",
                images.images,
                labels,
                found,
                self._data.classes,
                rows_of=images.rows["validation"],
            )
            self._tracking.log_artifacts(trial.key, folder)

    def _image_set(self, trial: Trial) -> ImageSet:
        return image_set(self._data, trial.config.image_size, self._space.data.draw_seed, self._store)

    def _register(self, trial: Trial, test: Score, baselines: list[Baseline]) -> Champion:
        if not self._request.options.register:
            return Champion(trial, test, None, None, "not registered; --register does that")
        try:
            return self._registered(trial, test, baselines)
        except TrackingError as error:
            return Champion(trial, test, None, None, str(error))

    def _registered(self, trial: Trial, test: Score, baselines: list[Baseline]) -> Champion:
        from search.registry import champion, saved

        run_id = trial.run_id or self._tracking.run_id(trial.key, _LONGEST_WAIT_S)
        if run_id is None:
            raise TrackingError(
                "The champion is not registered: MLflow does not answer; run the command again."
            )
        self._view.say(f"registering trial {trial.number}")
        images = self._image_set(trial)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model.keras"
            ask(self._executor, "export", self._scheduler.last_segment(trial), path)
            candidate = champion.Candidate(
                name=self._space.study,
                study=self._space.study,
                trial=trial.number,
                classes=self._data.classes,
                example=np.array(images.images[images.rows["validation"][:_EXAMPLES]]),
                card=model_card(self._facts(trial, test, baselines)),
                score=test,
                test_fingerprint=self._test_fingerprint(),
            )
            done = champion.register(
                self._request.options.tracking_uri, run_id, saved.load_model(path), candidate
            )
        return Champion(trial, test, done.version, done.alias, done.outcome)

    def _facts(self, trial: Trial, test: Score, baselines: list[Baseline]) -> Facts:
        from search.registry.saved import libraries

        config, data = trial.config, self._data
        resolved: dict[str, Any] = {"tune.lr": config.lr("tune")} if config.tunes else {}
        validation = score(self._labels("validation"), self._probabilities(trial, "validation"))
        return Facts(
            name=self._space.study,
            study=self._space.study,
            trial=trial.number,
            params={**config.flat(), **resolved},
            classes=data.classes,
            px=config.image_size,
            source=data.source,
            fingerprint=data.fingerprint,
            counts={split: len(data.indices(split)) for split in SPLITS},
            validation=validation,
            test=test,
            baselines=baselines,
            objective=self._space.objective.metric,
            seeds=None if self._race is None else fresh_seeds(self._race, self._space.objective.metric),
            versions={**libraries(), **{name: version(name) for name in ("optuna", "mlflow", "pillow")}},
        )

    def _test_fingerprint(self) -> str:
        rows = self._data.table[self._data.table["split"] == "test"]
        return digest_of({"pictures": rows["content"].tolist(), "labels": rows["label"].tolist()})


def finish(
    request: Request,
    data: DataSet,
    scheduler: Scheduler,
    executor: Executor,
    tracking: Tracking,
    view: View,
    race: RaceResult | None,
) -> Results | None:
    """Score the best trial and the recipes on the test split, keep artifacts, register the champion.

    Where finalists ran on fresh seeds, the champion is the best run of the winner.

    Returns:
        None where there is no trial to choose.
    """
    best = race.best_run(request.file.space.objective.metric) if race else scheduler.best()
    if best is None:
        return None
    return _Finish(request, data, scheduler, executor, tracking, view, race).results(best)


def fresh_seeds(race: RaceResult, metric: str) -> FreshSeeds:
    """Sum up for people how the finalists did on fresh seeds."""
    rows = [
        SeedRow(
            one.trial.number,
            one.trial.proposal.recipe,
            one.values(metric),
            one.mean(metric),
            one.spread(metric),
            one.stopped,
        )
        for one in race.standings
    ]
    return FreshSeeds(rows, race.best_run(metric).proposal.replicate, race.luck)


def _each_once(trials: list[Trial]) -> list[Trial]:
    return list({trial.key: trial for trial in trials}.values())
