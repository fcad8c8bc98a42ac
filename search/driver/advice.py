"""Advice: what the data say before anything is trained, and what is to be tried first because of that."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.data.overview import Overview, overview
from search.data.table import DataSet
from search.data.threads import Progress
from search.driver.case import Case, case_of, is_small
from search.driver.request import Request
from search.executor.executor import Executor, InlineExecutor
from search.seeds import seed_for
from search.training.probe import Probe
from search.training.worker import WorkerPlan

# Where the best backbone is probed besides its top, as shares of its blocks from below
DEPTHS = (0.75, 0.5, 0.25)


@dataclass(frozen=True)
class Probed:
    """A probe, and what comes on top of what is probed.

    Attributes:
        probe: The probe.
        epoch_s: Seconds that an epoch of stage 2 takes that trains all above; None where not measured.
    """

    probe: Probe
    epoch_s: float | None


@dataclass(frozen=True)
class Advice:
    """What the data say.

    Attributes:
        overview: What they are like.
        backbones: The codes of each backbone, the best one first; their epochs train all blocks.
        depths: Activations earlier in the best backbone, from the top down.
        case: Which case of the CS231n notes it is.
    """

    overview: Overview
    backbones: tuple[Probed, ...]
    depths: tuple[Probed, ...]
    case: Case

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


def wants_advice(space: Space, data: DataSet) -> bool:
    """Tell whether a study is to ask: it may, has backbones to choose from, and can store and probe codes."""
    may = space.advice.enabled and space.reuse.enabled
    n_probed_classes = int((data.counts()["train"] > 1).sum())
    return may and len(space.backbones) > 1 and n_probed_classes > 1


def advice_for(request: Request, data: DataSet, progress: Progress | None = None) -> Advice:
    """Advise on a request whose pictures are located and whose weights are at hand; no study is begun.

    Args:
        request: The request.
        data: Its pictures.
        progress: Called with (measurements done, measurements to do).

    Raises:
        DataError: There are too few training pictures.
    """
    space, options = request.file.space, request.options
    plan = WorkerPlan(data, space.data.draw_seed, options.home / "store", options.weights, space.reuse)
    executor = InlineExecutor(plan, lambda stage, epoch, share: None)
    found = advise(space, data, executor, is_brief=False, progress=progress)
    executor.close()
    return found


def advise(
    space: Space, data: DataSet, executor: Executor, is_brief: bool, progress: Progress | None = None
) -> Advice:
    """Look at the data, and probe the backbones of a space on the training pictures.

    Args:
        space: The space.
        data: The pictures.
        executor: Where probes are computed.
        is_brief: Whether only that is asked which decides what is tried first: no epoch is measured, which
            takes a compiled program each, and nothing deeper is probed where the data are large.
        progress: Called with (measurements done, measurements to do).

    Raises:
        DataError: There are too few training pictures.
    """
    looked = overview(data)
    configs = {name: space.config_of_recipe({"backbone": name}) for name in space.backbones}
    is_deep = not is_brief or is_small(looked.total("train"))
    # where the space itself takes codes from within, there is no top to compare with
    depths = DEPTHS if is_deep and all(config.codes == 1.0 for config in configs.values()) else ()
    ask = _Counting(executor, (len(configs) + len(depths)) * (1 if is_brief else 2), progress)
    seed = seed_for(space.seed, "probe")
    probes = [ask("probe", config, seed) for config in configs.values()]
    ranked = sorted(probes, key=lambda probe: (-probe.accuracy, probe.loss))
    best = configs[ranked[0].backbone]
    deeper = _of_other_layers(ask("probe", _with(best, codes=codes), seed) for codes in depths)
    case = case_of(looked.total("train"), looked.majority, ranked[0], deeper)

    def costed(probe: Probe, unfreeze: float) -> Probed:
        config = _with(configs[probe.backbone], unfreeze=unfreeze)
        return Probed(probe, None if is_brief else ask("epoch_seconds", config))

    backbones = tuple(costed(probe, 1.0) for probe in ranked)
    below = tuple(costed(probe, 1.0 - float(probe.codes)) for probe in deeper)
    return Advice(looked, backbones, below, case)


def _with(config: TrialConfig, **settings: float) -> TrialConfig:
    return config.model_copy(update=settings)


def _of_other_layers(probes: Iterable[Probe | None]) -> list[Probe]:
    """Keep the first probe of each layer: a backbone may have few places to probe, or none."""
    found: dict[str, Probe] = {}
    for probe in probes:
        if probe is not None:
            found.setdefault(probe.layer, probe)
    return list(found.values())


class _Counting:
    """Has work done, and counts it."""

    def __init__(self, executor: Executor, n_steps: int, progress: Progress | None) -> None:
        self._executor, self._n_steps, self._progress, self._done = executor, n_steps, progress, 0

    def __call__(self, task: str, *arguments: Any) -> Any:
        found = self._executor.submit(task, *arguments).result()
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._n_steps)
        return found
