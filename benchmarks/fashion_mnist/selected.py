"""What a selection is made of, to explain its accuracy: classes, coverage, rows at the border of their class."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.fashion_mnist.embedding import embedding
from benchmarks.fashion_mnist.images import LabelledImages

NEIGHBOURS = 10


@dataclass(frozen=True)
class Make:
    """Of the rows kept: smallest and largest class, mean distance from pool to kept, and how typical they are.

    `border` is the share of kept rows most of whose ten nearest neighbours in the pool are of other classes, `crowding`
    the mean similarity to these neighbours.
    """

    smallest: int
    largest: int
    distance: float
    border: float
    crowding: float


def makes(data: LabelledImages, pool: NDArray[np.int64], selections: dict[str, NDArray[np.int64]]) -> dict[str, Make]:
    """Describe selections in the contrastive embedding, whatever they were made in."""
    rows = embedding(data)[pool]
    labels = data.labels[pool]
    graph = pyredund.knn_graph(rows, NEIGHBOURS)
    others = labels[graph.indices.reshape(len(pool), -1)] != labels[:, None]
    border = others.mean(axis=1) > 0.5
    crowding = graph.similarities.reshape(len(pool), -1).mean(axis=1)
    found = {}
    for name, selection in selections.items():
        kept = np.searchsorted(pool, selection)
        removed = np.setdiff1d(np.arange(len(pool)), kept)
        nearest = pyredund.knn_graph(rows[removed], 1, reference=rows[kept]).similarities
        counts = np.bincount(labels[kept], minlength=data.n_classes)
        found[name] = Make(
            smallest=int(counts.min()),
            largest=int(counts.max()),
            distance=float(np.sum(1 - nearest.astype(np.float64))) / len(pool),
            border=float(border[kept].mean()),
            crowding=float(crowding[kept].mean()),
        )
    return found


def write(made: dict[str, dict[float, dict[str, Make]]], path: Path) -> None:
    """Keep descriptions, by data set, size and arm."""
    plain = {
        data: {str(keep): {arm: asdict(make) for arm, make in arms.items()} for keep, arms in sizes.items()}
        for data, sizes in made.items()
    }
    path.write_text(json.dumps(plain, indent=1) + "\n")


def read(path: Path) -> dict[str, dict[float, dict[str, Make]]]:
    """Read what `write` wrote; nothing where there is no file."""
    if not path.exists():
        return {}
    return {
        data: {float(keep): {arm: Make(**make) for arm, make in arms.items()} for keep, arms in sizes.items()}
        for data, sizes in json.loads(path.read_text()).items()
    }
