"""Section of the report on quality: every way to select, at four sizes, whoever wins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.claims import Claim
from benchmarks.datasets import embeddings, fashion_mnist, row_limit
from pyredund.bench import Comparison, compare

SHARES = (0.9, 0.75, 0.5, 0.1)
SIZES = (10_000, 60_000)
REMOVAL = "pyredund removal"


def report_quality(time_limit: float, journal: Path | None, sizes: Sequence[int] = SIZES) -> list[Claim]:
    """Tables of quality, time and memory on Fashion-MNIST PCA-64, and whether removal loses least at keep=0.9."""
    claims = []
    for n in sorted({min(size, row_limit()) for size in sizes}):
        rows, labels = embeddings("pca64")[:n], fashion_mnist("train")[1][:n]
        found = compare(
            rows,
            SHARES,
            groups=labels,
            time_limit=time_limit,
            journal=journal,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(f"\n{found}\n", flush=True)
        claims += _claims(found)
    return claims


def _claims(found: Comparison) -> list[Claim]:
    entries = [entry for entry in found.at(found.entries[0].keep) if entry.is_comparable]
    means = {entry.contender.name: entry.quality.mean for entry in entries if entry.quality is not None}
    ours = means.pop(REMOVAL)
    text = f"{found.n_rows:,} rows, keep=0.9: {REMOVAL} has a mean distance of {ours:.6f}, the best peer"
    peers = [entry.contender.name for entry in entries if not entry.contender.is_ours]
    best = min(peers, key=lambda name: means[name])
    return [Claim(f"{text} {means[best]:.6f} ({best})", ours <= means[best])]
