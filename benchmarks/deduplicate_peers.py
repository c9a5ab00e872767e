"""Ways to deduplicate at a threshold, pyredund's and others', each from unit rows to the numbers of those kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund

Rows = NDArray[np.float32]
Kept = NDArray[np.int64]
BLOCK = 1000  # rows that the NumPy loop compares at once
TIE = 1e-6  # of the threshold: float32 may decide either way


@dataclass(frozen=True)
class DeduplicatePeer:
    """A way to deduplicate.

    Parameters
    ----------
    module : str
        What must be importable.
    is_exact : bool
        Whether its result must cover and pack.
    deduplicate : callable
        From unit rows, the threshold and the number of threads to the rows kept.
    """

    module: str
    is_exact: bool
    deduplicate: Callable[[Rows, float, int], Kept]


@dataclass(frozen=True)
class Faults:
    """What is wrong with a deduplication, by brute force in float64; similarities within `TIE` of the threshold pass.

    Parameters
    ----------
    uncovered : int
        Removed rows without a kept one within the threshold: their content is lost.
    duplicates : int
        Kept rows with another kept one within the threshold.
    """

    uncovered: int
    duplicates: int


def faults(rows: Rows, kept: Kept, threshold: float) -> Faults:
    is_kept = np.zeros(len(rows), dtype=bool)
    is_kept[kept] = True
    kept_rows = rows[is_kept].astype(np.float64)
    place = np.cumsum(is_kept) - 1
    uncovered = duplicates = 0
    for start in range(0, len(rows), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(rows)))
        scores = rows[block].astype(np.float64) @ kept_rows.T
        own = is_kept[block]
        scores[np.flatnonzero(own), place[block[own]]] = -np.inf
        closest = scores.max(axis=1)
        uncovered += int((closest[~own] < threshold - TIE).sum())
        duplicates += int((closest[own] > threshold + TIE).sum())
    return Faults(uncovered, duplicates)


def by_pyredund(rows: Rows, threshold: float, n_threads: int) -> Kept:
    return pyredund.deduplicate(rows, threshold, n_threads=n_threads).indices


def by_numpy(rows: Rows, threshold: float, n_threads: int) -> Kept:
    """The greedy visit, a block of rows at a time against all that are kept."""
    kept_rows, kept = np.empty_like(rows), np.empty(len(rows), dtype=np.int64)
    n_kept = 0
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        gone = np.zeros(len(block), dtype=bool)
        for first in range(0, n_kept, 8 * BLOCK):
            gone |= (block @ kept_rows[first : min(n_kept, first + 8 * BLOCK)].T >= threshold).any(axis=1)
        near = block @ block.T >= threshold
        for i in range(len(block)):
            if not gone[i]:
                gone[i + 1 :] |= near[i, i + 1 :]
                kept_rows[n_kept], kept[n_kept] = block[i], start + i
                n_kept += 1
    return kept[:n_kept]


def by_semhash(rows: Rows, threshold: float, n_threads: int, *, backend: str) -> Kept:
    """Records are row numbers; the model is never asked, since the embeddings are given."""
    from semhash import SemHash

    no_model: Any = None
    hashed = SemHash.from_embeddings(rows, [str(row) for row in range(len(rows))], no_model, ann_backend=backend)
    return np.sort(np.array([int(record) for record in hashed.self_deduplicate(threshold).selected], dtype=np.int64))


PYREDUND = "pyredund deduplicate"
DEDUPLICATE_PEERS = {
    PYREDUND: DeduplicatePeer("pyredund", True, by_pyredund),
    "NumPy loop": DeduplicatePeer("numpy", True, by_numpy),
    "semhash, usearch": DeduplicatePeer("semhash", False, partial(by_semhash, backend="usearch")),
    "semhash, exact search": DeduplicatePeer("semhash", False, partial(by_semhash, backend="basic")),
}
