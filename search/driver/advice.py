"""Advice: what the data say before anything is trained, and what is to be tried first because of that."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.data.overview import Overview, overview
from search.data.table import DataSet
from search.data.threads import Progress
from search.driver.case import Case, case_of, is_small
from search.driver.request import Request
from search.errors import SpaceError
from search.executor.executor import Executor, ask
from search.executor.inline import inline
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
    return advise(space, data, inline(plan), is_brief=False, progress=progress)


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
    n_steps = (len(configs) + len(depths)) * (1 if is_brief else 2)
    prober = _Prober(executor, seed_for(space.seed, "probe"), is_brief, n_steps, progress)
    rows = [prober.probed(config, trained=config) for config in configs.values()]
    ranked = sorted(rows, key=lambda row: (-row.probe.accuracy, row.probe.loss))
    deeper = prober.deeper(configs[ranked[0].probe.backbone], depths)
    earlier = [row.probe for row in deeper]
    case = case_of(looked.total("train"), looked.majority, ranked[0].probe, earlier)
    return Advice(looked, tuple(ranked), tuple(deeper), case)


class _Prober:
    """Has probes computed, and right after each the epoch measured: few networks are in memory at a time."""

    def __init__(
        self, executor: Executor, seed: int, is_brief: bool, n_steps: int, progress: Progress | None
    ) -> None:
        self._executor, self._seed, self._is_brief = executor, seed, is_brief
        self._n_steps, self._done, self._progress = n_steps, 0, progress

    def probed(self, config: TrialConfig, trained: TrialConfig, unfreeze: float = 1.0) -> Probed:
        """Probe the codes of one config, and measure an epoch of another that trains the blocks above."""
        probe: Probe = self._ask("probe", config, self._seed)
        if self._is_brief:
            return Probed(probe, None)
        return Probed(probe, self._ask("epoch_seconds", _with(trained, unfreeze=unfreeze)))

    def deeper(self, best: TrialConfig, depths: Sequence[float]) -> list[Probed]:
        """Probe earlier layers, each once; where a part of the backbone gives no feature map, it has none."""
        found: dict[str, Probed] = {}
        for codes in depths:
            with suppress(SpaceError):
                row = self.probed(_with(best, codes=codes), best, 1.0 - codes)
                found.setdefault(row.probe.layer, row)
        return list(found.values())

    def _ask(self, task: str, *arguments: Any) -> Any:
        found = ask(self._executor, task, *arguments)
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._n_steps)
        return found


def _with(config: TrialConfig, **settings: float) -> TrialConfig:
    return config.model_copy(update=settings)
