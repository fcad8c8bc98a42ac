"""Advice as text: tables of backbones and of layers earlier in the best one, and what follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

# A line is no longer than this: tables are read on a terminal and in log files.
_WIDTH = 110

_NUMBERS = ("accuracy", "loss", "nearest", "LogME", "width", "forward, s", "epoch, s")


def advice_text(advice: Mapping[str, Any]) -> str:
    """Write advice for people, who have seen the counts of the pictures.

    Args:
        advice: `Advice` as JSON values.
    """
    stream = StringIO()
    console = Console(file=stream, width=_WIDTH, force_terminal=False, markup=False, highlight=False)
    console.print(_data(advice["overview"]), soft_wrap=True)
    has_costs = all(row["epoch_s"] is not None for row in advice["backbones"])
    console.print(_probes("backbone", map(_of_backbone, advice["backbones"]), has_costs))
    if advice["depths"]:
        console.print(_probes("earlier in the best one", map(_of_depth, advice["depths"]), has_costs))
    console.print(*_conclusion(advice), sep="\n", soft_wrap=True)
    lines = (line.rstrip() for line in stream.getvalue().splitlines())
    return "\n".join(line for line in lines if line)


def _data(looked: Mapping[str, Any]) -> str:
    width, height = (
        f"{looked[side]['least']} to {looked[side]['most']} (median {looked[side]['median']})"
        for side in ("width_px", "height_px")
    )
    return (
        f"{looked['n_copies']} duplicates and {len(looked['broken'])} broken pictures are set aside; "
        f"pixels, of {looked['n_measured']} pictures: wide {width}, high {height}"
    )


def _of_backbone(row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return row["probe"]["backbone"], row


def _of_depth(row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return f"{row['probe']['layer']} (codes {row['probe']['codes']:g})", row


def _probes(title: str, rows: Iterable[tuple[str, Mapping[str, Any]]], has_costs: bool) -> Table:
    table = _table(title, _NUMBERS if has_costs else _NUMBERS[:-1])
    for name, row in rows:
        probe = row["probe"]
        cells = [
            f"{probe['accuracy']:.1%} ± {100 * probe['error']:.1f}",
            f"{probe['loss']:.3f}",
            f"{probe['neighbour_accuracy']:.1%}",
            f"{probe['logme']:.3f}",
            str(probe["width"]),
            f"{probe['forward_s']:.1f}",
        ]
        table.add_row(name, *cells, *([f"{row['epoch_s']:.1f}"] if has_costs else []))
    return table


def _table(first: str, numbers: Sequence[str]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column(first, min_width=24, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _conclusion(advice: Mapping[str, Any]) -> list[str]:
    case, backbones = advice["case"], [row["probe"]["backbone"] for row in advice["backbones"]]
    named = f"the pictures are {case['name']}" + " (the cases are those of the CS231n notes):"
    order = f"; backbones in the order {', '.join(backbones)}" if len(backbones) > 1 else ""
    return [named, *(f"  {reason}" for reason in case["reasons"]), f"first: {case['first']}{order}"]
