"""Comparison: arms run with many seeds against one table, and what they came to in print."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorded.arms import OURS, Arm
from recorded.curves import Table
from recorded.regret import Referee
from recorded.replay import Replay, replay
from search.config.space import Space

# Shares of the full budget at which arms are compared.
SHARES = (0.125, 0.25, 0.5, 1.0)

# A scheduler that asks for nothing new, all of whose epochs are stored, would stop the clock.
_MOST_TRIALS_A_TRIAL = 10

# Places on the axis of the plot.
_PLACES = 200

# The studies of an arm, one a seed, by the share of the budget at which they are judged.
Studies = Mapping[float, Sequence[Replay]]


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        table: The table.
        file: The space file that arms change.
        changes: Changes that all arms share.
        n_seeds: Studies of each arm, each with samplers of its own.
        trials: The full budget is what so many random trials cost that nobody prunes.
        timed: Whether each share of the budget is that of studies of their own, which know it, instead of a
            moment in those that go on.
    """

    table: Table
    file: Path
    changes: Sequence[str]
    n_seeds: int
    trials: int
    timed: bool = False

    def spaces(self, arm: Arm) -> list[Space]:
        """Give an arm's space once a seed, as a study of its own.

        Raises:
            SpaceError: The table does not have what the arm needs.
        """
        space = arm.space(self.file, self.changes)
        self.table.check(space)
        # Hyperband draws from the study's name
        return [
            space.model_copy(update={"seed": seed, "study": f"{space.study}-{seed}"})
            for seed in range(self.n_seeds)
        ]

    def full_s(self) -> float:
        """Simulate the full budget: seconds, the mean over the seeds."""
        unpruned = Arm("unpruned", ("sampler.name=random", "pruner.name=none"))
        replays = [replay(space, self.table, most_trials=self.trials) for space in self.spaces(unpruned)]
        return statistics.fmean(one.seconds for one in replays)

    def run(self, arm: Arm, full_s: float) -> Studies:
        """Run all studies of an arm."""
        if self.timed:
            return {share: self._run(arm, share * full_s) for share in SHARES}
        return dict.fromkeys(SHARES, self._run(arm, full_s))

    def _run(self, arm: Arm, most_s: float) -> list[Replay]:
        most_trials = _MOST_TRIALS_A_TRIAL * self.trials
        return [
            replay(space, self.table, most_s, most_trials, arm.make_sampler, self.timed)
            for space in self.spaces(arm)
        ]


@dataclass(frozen=True)
class Regrets:
    """Regrets of one arm at one cost, one a seed."""

    values: tuple[float, ...]

    @classmethod
    def at(cls, replays: Sequence[Replay], cost_s: float, referee: Referee) -> "Regrets":
        """Judge the studies of an arm at a cost."""
        return cls(tuple(referee.regret(one.at(cost_s)) for one in replays))

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def error(self) -> float:
        """The standard error of the mean; 0 for one value."""
        return statistics.stdev(self.values) / len(self.values) ** 0.5 if len(self.values) > 1 else 0.0


def lines(arms: Mapping[str, Studies], full_s: float, referee: Referee) -> Iterator[str]:
    """Print the regrets of all arms, a line each: median, mean and its error at each share of the budget."""
    width = max(len(name) for name in arms)
    cells = "  ".join(f"{f'{share:g} of the budget':>21}" for share in SHARES)
    yield f"{'':{width}}  trials  {cells}"
    cells = "  ".join(f"{'median':>7} {'mean':>6} {'error':>6}" for _ in SHARES)
    yield f"{'arm':{width}}          {cells}"
    for name, studies in arms.items():
        regrets = [Regrets.at(studies[share], share * full_s, referee) for share in SHARES]
        cells = "  ".join(f"{one.median:7.4f} {one.mean:6.4f} {one.error:6.4f}" for one in regrets)
        n_trials = statistics.fmean(study.n_trials for study in studies[1.0])
        yield f"{name:{width}}  {n_trials:6.1f}  {cells}"


def verdicts(arms: Mapping[str, Studies], full_s: float, referee: Referee) -> Iterator[str]:
    """Say whether ours at a quarter of the budget is no worse than the best competitor at all of it."""
    quarter = Regrets.at(arms[OURS][0.25], 0.25 * full_s, referee)
    others = {
        name: Regrets.at(studies[1.0], full_s, referee) for name, studies in arms.items() if name != OURS
    }
    for what in ("median", "mean"):
        best = min(others, key=lambda name: float(getattr(others[name], what)))
        mine, theirs = getattr(quarter, what), getattr(others[best], what)
        holds = "no worse" if mine <= theirs else "WORSE"
        yield (
            f"{what} regret of {OURS} at a quarter of the budget {mine:.4f}: {holds} than {theirs:.4f} "
            f"of {best}, the best competitor, at all of it"
        )


def write_plot(path: Path, arms: Mapping[str, Studies], full_s: float, referee: Referee) -> None:
    """Write mean regret against cost, of studies with the full budget, as a page that holds all it needs."""
    import plotly.graph_objects as go

    figure = go.Figure()
    costs = [full_s * place / _PLACES for place in range(1, _PLACES + 1)]
    for name, studies in arms.items():
        means = [Regrets.at(studies[1.0], cost, referee).mean for cost in costs]
        figure.add_scatter(x=costs, y=means, name=name, mode="lines", line_shape="hv")
    figure.update_layout(title="Mean regret by the second seed", template="plotly_white")
    figure.update_xaxes(title="simulated seconds").update_yaxes(title="regret", type="log")
    figure.write_html(path)
