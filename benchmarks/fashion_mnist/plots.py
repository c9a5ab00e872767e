"""The article's three plots, and accuracy against the share kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fashion_mnist.analysis import Cell, difference
from benchmarks.fashion_mnist.arms import BASELINES, LIKE, LIST, SUPERVISED, title
from pyredund._files import written_whole

BLACK = "#000000"
COLOURS = {
    "full": BLACK,
    "random": "#9a9a9a",
    "stratified": "#5f5f5f",
    "removal": "#0a7d3c",
    "insertion": "#c2571a",
}
OTHERS = ("#2f6fb3", "#8e44ad", "#b8860b", "#c0392b", "#16a085", "#7f8c8d", "#34495e", "#d35400")


def style(arm: str, arms: list[str]) -> dict[str, Any]:
    """One colour a method, the same in every plot; random ones dashed, those in the supervised embedding dotted."""
    name = arm.removesuffix(SUPERVISED)
    others = list(dict.fromkeys(found for other in arms if (found := other.removesuffix(SUPERVISED)) not in COLOURS))
    colour = COLOURS.get(name) or OTHERS[others.index(name) % len(OTHERS)]
    drawn = arm in BASELINES[1:] or arm.startswith(LIKE)
    lines = ("-.", ":") if arm != name else ("--", "-")
    return {"color": colour, "linestyle": lines[not drawn], "linewidth": 1.6, "label": title(arm)}


def courses(entries: list[dict[str, Any]], keep: float, path: Path) -> None:
    """Draw training loss, test accuracy and its second half, round by round, of seed 0 of each arm at one size."""
    shown = [entry for entry in entries if entry["seed"] == 0 and entry["keep"] in (keep, 1.0)]
    shown += [entry for entry in entries if entry["seed"] == 0 and entry["arm"].removeprefix(LIKE) == LIST]
    shown = list({entry["arm"]: entry for entry in shown}.values())
    arms = [entry["arm"] for entry in shown]
    figure, panels = _figure(3, (15, 4.6))
    for entry in shown:
        rounds = np.arange(1, len(entry["losses"]) + 1)
        half = len(rounds) // 2
        for axes, values, part in (
            (panels[0], entry["losses"], slice(None)),
            (panels[1], _percent(entry["test"]), slice(None)),
            (panels[2], _percent(entry["test"]), slice(half, None)),
        ):
            axes.plot(rounds[part], values[part], **style(entry["arm"], arms))
    for axes, label in zip(panels, ("training loss", "test accuracy, %", "test accuracy, %, second half"), strict=True):
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(label, fontsize=10, loc="left")
    panels[0].set_yscale("log")
    _legend(figure, panels[0])
    figure.suptitle(f"keep = {keep}, one seed", fontsize=10)
    _save(figure, path)


def sizes(found: dict[tuple[str, float], Cell], path: Path) -> None:
    """Draw accuracy against the share kept, all arms, with one standard deviation of a seed."""
    arms = list(dict.fromkeys(arm for arm, _ in found if arm != "full"))
    keeps = sorted({keep for arm, keep in found if arm not in ("full", LIST, LIKE + LIST)})
    figure, panels = _figure(2, (13, 5.2))
    full = found.get(("full", 1.0))
    for number, arm in enumerate(arms):
        cells = [cell for (name, _), cell in sorted(found.items()) if name == arm]
        places = np.array([keeps.index(cell.keep) if cell.keep in keeps else np.nan for cell in cells], float)
        places += 0.05 * (number - len(arms) / 2)
        for axes, values in (
            (panels[0], [100 * cell.mean for cell in cells]),
            (panels[1], [_lead(cell, found.get(("stratified", cell.keep))) for cell in cells]),
        ):
            spread = [100 * cell.deviation for cell in cells]
            axes.errorbar(places, values, spread, marker="o", markersize=4, elinewidth=0.8, **style(arm, arms))
    if full is not None:
        panels[0].axhline(100 * full.mean, color=BLACK, linewidth=0.8)
        panels[0].annotate("all of them", (0, 100 * full.mean), fontsize=8, va="bottom")
    for axes, label in zip(
        panels, ("test accuracy, %", "less that of the stratified random sample, points"), strict=True
    ):
        axes.set_xticks(range(len(keeps)), [f"{keep:g}" for keep in keeps])
        axes.set_xlabel("share kept")
        axes.set_title(label, fontsize=10, loc="left")
    _legend(figure, panels[0])
    _save(figure, path)


def _lead(cell: Cell, control: Cell | None) -> float:
    """Points by which a cell is ahead, over the seeds that both have."""
    compared = difference(cell, control)
    return np.nan if compared is None else 100 * compared.mean


def _percent(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else 100 * value for value in values]


def _figure(columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, columns)
    for axes in panels:
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _save(figure: Any, path: Path) -> None:
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=110)
