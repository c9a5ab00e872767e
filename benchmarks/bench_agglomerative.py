"""Agglomerative clustering cut at 90 % of the rows beside its peers, and a whole selection beside a graph."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import pyredund
from benchmarks.datasets import embeddings
from benchmarks.machine import all_threads, limited_threads
from benchmarks.report_select import kept_count
from benchmarks.timing import Benchmark
from pyredund.bench import canonical, clusterings, description

PEER_ROWS = {"fastcluster": 20_000, "SciPy": 20_000, "scikit-learn": 5000, "textbook": 2000}
WARM_ROWS = 500
ROUNDS = 3
GOAL_ROWS, GOAL = 20_000, 50  # times as fast as fastcluster with its distances
GRAPH_RATIO = 1.25  # of the time of a graph of 32 neighbours, for a whole selection
LINKAGES = ("average", "complete", "single")


def pca64(rows: int | None = None) -> NDArray[np.float32]:
    try:
        return embeddings("pca64")[:rows]
    except FileNotFoundError as error:
        pytest.skip(str(error))


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("peer", PEER_ROWS)
def test_agglomerative(benchmark: Benchmark, peer: str, linkage: str) -> None:
    """The peer is timed by the fixture; ours, whose time goes beside it, finds the same clusters."""
    pytest.importorskip("threadpoolctl")
    known = clusterings(linkage)
    if not known[peer].installed:
        pytest.skip(f"{peer} is not installed")
    rows, threads = pca64(PEER_ROWS[peer]), all_threads()
    n_clusters = kept_count(len(rows))
    benchmark.group = f"agglomerative, {linkage} linkage, {len(rows):,} rows"
    with limited_threads(threads):
        for name in ("pyredund", peer):
            known[name](rows[:WARM_ROWS], kept_count(WARM_ROWS), None, threads)
        ours = min(seconds(lambda: known["pyredund"](rows, n_clusters, None, threads)) for _ in range(ROUNDS))
        begin = time.perf_counter()
        labels = benchmark.pedantic(known[peer], args=(rows, n_clusters, None, threads), rounds=1)
        ratio = (time.perf_counter() - begin) / ours
        found = known["pyredund"](rows, n_clusters, None, threads)
    np.testing.assert_array_equal(canonical(found), canonical(labels))
    benchmark.extra_info.update(pyredund=ours, ratio=ratio, threads=threads, machine=description())
    if len(rows) == GOAL_ROWS and linkage != "single":  # single linkage needs no more than a spanning tree of a peer
        assert ratio >= GOAL, f"{ratio:.0f} times as fast as {peer}"


@pytest.mark.parametrize("linkage", LINKAGES)
def test_select_all_rows(benchmark: Benchmark, linkage: str) -> None:
    rows = pca64()
    keep = kept_count(len(rows))
    benchmark.group = f"select, agglomerative, {len(rows):,} rows"
    graph = min(seconds(lambda: pyredund.knn_graph(rows, 32)) for _ in range(ROUNDS))

    def choose() -> pyredund.Selection:
        return pyredund.select(rows, keep, method="agglomerative", linkage=linkage)

    ours = min(seconds(choose) for _ in range(ROUNDS))
    selection = benchmark.pedantic(choose, args=(), rounds=1)
    selection.verify(rows)
    benchmark.extra_info.update(graph=graph, ratio=ours / graph, threads=all_threads(), machine=description())
    if len(rows) >= GOAL_ROWS:
        assert ours <= GRAPH_RATIO * graph, f"{ours / graph:.2f} times the graph"
