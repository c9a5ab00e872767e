"""Tables in GitHub's Markdown, and the numbers in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MIB = 1 << 20


def markdown(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table: the first column to the left, numbers to the right."""
    lines = [f"### {title}", "", _line(header), _line(["---"] + ["---:"] * (len(header) - 1))]
    return "\n".join([*lines, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def seconds(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value:.3g} s" if value < 999.5 else f"{value:,.0f} s"


def mebibytes(value: int | None) -> str:
    """Whole ones, or one digit more where they are few."""
    if value is None:
        return ""
    return f"{value / MIB:.1f}" if value < 10 * MIB else f"{value / MIB:,.0f}"
