"""Checks of what was timed, by brute force in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund

TIE = 1e-6  # float32 engines may swap neighbours whose similarities differ by less
BLOCK_SCORES = 1 << 24  # scores in memory at a time


def check_farthest_first(rows: NDArray[np.float32], kept: NDArray[Any], largest: float, sample: int = 2000) -> None:
    """Raise AssertionError if two kept rows lie closer than the farthest removed one, `largest`; on a sample of them.

    In a farthest-first traversal every pick lay at least as far from those before as any row does from all of them.
    """
    kept = np.asarray(kept)
    chosen = np.random.default_rng(0).permutation(len(kept))[:sample]
    kept_rows = rows[kept].astype(np.float64)
    step = max(1, BLOCK_SCORES // len(kept))
    for start in range(0, len(chosen), step):
        some = chosen[start : start + step]
        scores = kept_rows[some] @ kept_rows.T
        scores[np.arange(len(some)), some] = -np.inf
        if 1 - scores.max() < largest - TIE:
            raise AssertionError(f"two kept rows have a distance of {1 - scores.max()}, a removed one {largest}")


def recall(found: NDArray[np.integer[Any]], graph: pyredund.NeighborGraph, rows: NDArray[np.float32]) -> float:
    """Share of the exact neighbours that were found; one as close as the exact last one, ties aside, counts.

    Parameters
    ----------
    found : ndarray of integers, shape (n, m)
        Neighbours, best first; the row itself may be among them, -1 stands for none.
    graph : NeighborGraph
        The exact answer.
    rows : ndarray of float32, shape (n, d)
        Unit rows.
    """
    n, k = graph.n_rows, len(graph.indices) // graph.n_rows
    own, found = np.arange(n)[:, None], found.astype(np.int64)
    usable = (found != own) & (found >= 0)
    usable &= np.cumsum(usable, axis=1) <= k
    row, column = np.divmod(np.unique((own * n + found)[usable]), n)
    exact = np.repeat(np.arange(n), k) * n + graph.indices
    missed = ~np.isin(row * n + column, exact)
    last = graph.similarities.reshape(n, k)[:, -1].astype(np.float64)
    close = similarities(rows, row[missed], column[missed]) >= last[row[missed]] - TIE
    return float((np.count_nonzero(~missed) + np.count_nonzero(close)) / (n * k))


def similarities(rows: NDArray[np.float32], left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Similarity of each pair of rows."""
    result = np.empty(len(left))
    step = max(1, BLOCK_SCORES // rows.shape[1])
    for start in range(0, len(left), step):
        pairs = slice(start, start + step)
        a, b = rows[left[pairs]].astype(np.float64), rows[right[pairs]].astype(np.float64)
        result[pairs] = np.einsum("ij,ij->i", a, b)
    return result


def check_graph(graph: pyredund.NeighborGraph, rows: NDArray[np.float32], sample: int = 200) -> None:
    """Raise AssertionError unless a graph holds the true neighbours, by brute force on a random sample of its rows."""
    n, k = graph.n_rows, len(graph.indices) // graph.n_rows
    chosen = np.sort(np.random.default_rng(0).choice(n, min(n, sample), replace=False))
    queries = rows[chosen].astype(np.float64)
    scores = np.empty((len(chosen), n))
    step = max(1, BLOCK_SCORES // rows.shape[1])
    for start in range(0, n, step):
        scores[:, start : start + step] = queries @ rows[start : start + step].astype(np.float64).T
    scores[np.arange(len(chosen)), chosen] = -np.inf
    best = -np.sort(-scores, axis=1)[:, :k]
    ids = graph.indices.reshape(n, k)[chosen]
    if any(len(np.unique(neighbours)) != k for neighbours in ids):
        raise AssertionError("a neighbour is listed twice")
    of_ids = np.take_along_axis(scores, ids.astype(np.int64), axis=1)
    np.testing.assert_allclose(of_ids, best, rtol=0, atol=TIE, err_msg="not the nearest neighbours")
    np.testing.assert_allclose(graph.similarities.reshape(n, k)[chosen], best, rtol=0, atol=TIE)
