"""Time and memory against the number of rows, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyredund._files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyredund.bench._scaling import Scaling

GREEN, GREYS = "#1b6e3c", ("#b3261e", "#8a5a00", "#31578f", "#6b4c9a", "#777777", "#444444")
PANELS = (("seconds", 1.0, "seconds"), ("extra_bytes", 1 << 20, "MiB beyond the input"))


def draw_scaling(path: Path, scaling: Scaling) -> None:
    """Draw both curves of every contender to a .png file, which appears only when complete.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"Agglomerative clustering by cosine distance, {scaling.linkage} linkage, n to {scaling.share:g} n clusters"
        + ("" if scaling.differing() else ": identical partitions"),
        fontsize=11,
    )
    for place, (what, unit, label) in enumerate(PANELS):
        axes = figure.add_subplot(1, 2, place + 1)
        _draw_panel(axes, scaling, what, unit)
        axes.set_xlabel("rows")
        axes.set_ylabel(label)
    with written_whole(path) as file:
        figure.savefig(file, format="png")


def _draw_panel(axes: Axes, scaling: Scaling, what: str, unit: float) -> None:
    others = iter(GREYS * len(scaling.names))
    for name in scaling.names:
        is_ours = name.startswith("pyredund")
        color = GREEN if is_ours else next(others)
        points = [point for point in scaling.measured(name) if getattr(point, what)]
        power = scaling.exponent(name, what)
        axes.loglog(
            [point.n for point in points],
            [getattr(point, what) / unit for point in points],
            marker="o",
            markersize=4 if is_ours else 3,
            linewidth=2.2 if is_ours else 1.3,
            linestyle="--" if "by class" in name else "-",
            color=color,
            label=name if power is None else f"{name}, n^{power:.2f}",
        )
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
