"""Section of the report on agglomerative clustering: time and memory against the number of rows, one partition."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.claims import Claim
from benchmarks.datasets import embeddings
from pyredund.bench import Scaling, draw_scaling, scaling

LINKAGES = ("average", "complete")
OURS, PEER = "pyredund", "fastcluster"
GOAL_ROWS, GOAL = 20_000, 50  # times faster than the peer, its distances included


def report_agglomerative(
    time_limit: float, journal: Path | None, figure: Path | None, linkages: Sequence[str] = LINKAGES
) -> list[Claim]:
    """Each library to its limits on augmented Fashion-MNIST, pyredund to all rows; the figure is of the first."""
    claims = []
    for linkage in linkages:
        found = scaling(
            embeddings("augmented64"),
            linkage=linkage,
            time_limit=time_limit,
            journal=journal,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(f"\n{found}\n", flush=True)
        if figure is not None and linkage == linkages[0]:
            draw_scaling(figure, found)
        claims += _claims(found)
    return claims


def _claims(found: Scaling) -> list[Claim]:
    text = f"{found.linkage} linkage: partitions are identical at each of {found.n_agreeing} sizes"
    claims = [Claim(text, not found.differing())]
    seconds = {point.name: point.seconds for point in found.points if point.n == GOAL_ROWS and point.seconds}
    if {OURS, PEER} <= set(seconds):
        ratio = (seconds[PEER] or 0) / (seconds[OURS] or 1)
        text = f"{found.linkage} linkage, {GOAL_ROWS:,} rows: {ratio:.1f} times faster than {PEER}, goal {GOAL}"
        claims.append(Claim(text, ratio >= GOAL, required=False))
    return claims
