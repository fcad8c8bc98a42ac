"""Comparison: ratios of this program to each peer, from what was measured."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from peers.measured import ARMS, Measured

# The loss of a network that knows nothing of two classes, which an arm has before its first epoch
_UNTRAINED = math.log(2)


def ratio(peer: Measured, own: Measured) -> float:
    """How many times sooner this program had the loss that a peer ended with; 0 where it never had it."""
    peers_s, own_s = peer.seconds_to(peer.best), own.seconds_to(peer.best)
    return 0.0 if peers_s is None or own_s is None else peers_s / own_s


def area(one: Measured) -> float:
    """The mean over the time of the best validation loss so far."""
    total, now, best = 0.0, 0.0, _UNTRAINED
    for seconds, value in [*one.counted, (one.limit_s, math.inf)]:
        total += best * (seconds - now)
        now, best = seconds, min(best, value)
    return total / one.limit_s


def is_confirmed(peer: Measured, own: Measured, n_test: int) -> bool:
    """Whether the test split bears it out: not worse than the peer's model by more than a standard error."""
    error = math.sqrt(peer.test_accuracy * (1 - peer.test_accuracy) / n_test)
    return own.test_accuracy >= peer.test_accuracy - error


def lines(found: Sequence[Measured], n_test: int) -> list[str]:
    """Write the runs, and for each arm the ratio by the median over the seeds."""
    owns = {one.seed: one for one in found if one.arm == "ours"}
    ordered = sorted(found, key=lambda one: (ARMS.index(one.arm), one.seed))
    header = (
        "arm  seed  wall_s  best_val_loss  after_s  area  test_loss  test_accuracy  peak_GB  ratio  confirmed"
    )
    rows = [header.split(), *(_row(one, owns.get(one.seed), n_test) for one in ordered)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    return [
        *table,
        "",
        "times sooner than a peer at the loss that it ends with (bar 10):",
        *_medians(ordered, owns),
    ]


def _row(one: Measured, own: Measured | None, n_test: int) -> list[str]:
    is_peer = own is not None and one.arm != "ours"
    after_s = one.seconds_to(one.best)
    return [
        one.arm,
        str(one.seed),
        f"{one.seconds:.0f}",
        f"{one.best:.4f}",
        "-" if after_s is None else f"{after_s:.0f}",
        f"{area(one):.4f}",
        f"{one.test_loss:.4f}",
        f"{one.test_accuracy:.4f}",
        f"{one.peak_bytes / 1e9:.2f}",
        f"{ratio(one, own):.2f}" if own and is_peer else "-",
        ("yes" if is_confirmed(one, own, n_test) else "no") if own and is_peer else "-",
    ]


def _medians(found: Sequence[Measured], owns: dict[int, Measured]) -> list[str]:
    texts = []
    for arm in ARMS[:-1]:
        ratios = [ratio(one, owns[one.seed]) for one in found if one.arm == arm and one.seed in owns]
        if ratios:
            each = ", ".join(f"{one:.2f}" for one in ratios)
            texts.append(f"  {arm}: {median(ratios):.2f} by the median of {each}")
    return texts


def write_plot(path: Path, found: Sequence[Measured]) -> None:
    """Draw the best validation loss so far against time, a panel a seed."""
    import plotly.graph_objects as go
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    seeds = sorted({one.seed for one in found})
    figure = make_subplots(
        rows=1, cols=len(seeds), shared_yaxes=True, subplot_titles=[f"seed {s}" for s in seeds]
    )
    for one in found:
        seconds, values = zip(*one.counted, strict=True) if one.counted else ((), ())
        figure.add_trace(
            go.Scatter(
                x=seconds,
                y=np.minimum.accumulate(values) if values else [],
                name=one.arm,
                legendgroup=one.arm,
                showlegend=one.seed == seeds[0],
                line={"shape": "hv", "color": qualitative.Safe[ARMS.index(one.arm)]},
            ),
            row=1,
            col=seeds.index(one.seed) + 1,
        )
    figure.update_xaxes(title="seconds since the process was started")
    figure.update_yaxes(title="best validation loss so far", type="log", col=1)
    figure.write_html(path, include_plotlyjs=True)
