"""Sentences that the results bear out, the negative ones included."""

from __future__ import annotations

from benchmarks.fashion_mnist.analysis import UNDECIDED, Cell, difference, matched
from benchmarks.fashion_mnist.arms import BASELINES, LIKE, LIST, title

Cells = dict[tuple[str, float], Cell]


def against_stratified(found: Cells, keep: float) -> str:
    """Which of our selections beat a stratified random sample of the same size, and which lose to it."""
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": [], UNDECIDED: []}
    for arm in selections(found, keep):
        compared = difference(found[(arm, keep)], found.get(("stratified", keep)))
        if compared is not None:
            verdicts[compared.verdict].append(f"{title(arm)} by {compared} points")
    if not any(verdicts.values()):
        return f"At keep {keep:g}, nothing can be said yet."
    said = {verdict: "; ".join(arms) or "none" for verdict, arms in verdicts.items()}
    sentence = (
        f"At keep {keep:g}, better than the stratified random sample beyond the interval: "
        f"{said['better'] if verdicts['better'] else '**none of our selections**'}. "
        f"Worse: {said['worse']}. Not told apart: {said['not told apart']}."
    )
    return sentence if not verdicts[UNDECIDED] else f"{sentence} Too few seeds for a verdict: {said[UNDECIDED]}."


def redundancy_or_balance(found: Cells, arm: str, keep: float) -> str | None:
    """Split what a selection gains over a random sample into its class counts and its choice within the classes."""
    cell, control = found.get((arm, keep)), found.get((str(matched(arm)), keep))
    counts = difference(control, found.get(("random", keep)))
    within = difference(cell, control)
    whole = difference(cell, found.get(("random", keep)))
    if cell is None or counts is None or within is None or whole is None:
        return None
    return (
        f"{title(arm)} at keep {keep:g}, against random: {whole} points, of which its class counts make {counts} and "
        f"its choice within the classes {within}; one seed alone is off by {100 * cell.deviation:.2f} (its standard "
        "deviation)."
    )


def selections(found: Cells, keep: float) -> list[str]:
    """Arms that choose, of those with results at a size."""
    return [arm for arm, size in found if size == keep and arm not in (*BASELINES, LIST) and not arm.startswith(LIKE)]
