"""The exact cosine nearest-neighbour graph beside exact and approximate peers, with the same threads."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import pyredund
from benchmarks.accuracy import check_graph, recall
from benchmarks.datasets import NAMES, TITLES, embeddings
from benchmarks.knn_peers import KNN_PEERS, K
from benchmarks.machine import all_threads, limited_threads
from benchmarks.timing import Benchmark
from pyredund.bench import description

WARM_ROWS = 5000  # enough for compilation at first use and for starting threads


@cache
def exact_graph(name: str) -> pyredund.NeighborGraph:
    graph = pyredund.knn_graph(embeddings(name), K)
    check_graph(graph, embeddings(name))
    return graph


@pytest.fixture
def rows(data: str) -> NDArray[np.float32]:
    try:
        return embeddings(data)
    except (FileNotFoundError, ModuleNotFoundError) as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("peer_name", KNN_PEERS)
@pytest.mark.parametrize("data", NAMES)
@pytest.mark.filterwarnings("ignore")  # peers' own warnings, numba's above all
def test_knn_graph(benchmark: Benchmark, rows: NDArray[np.float32], data: str, peer_name: str) -> None:
    peer = KNN_PEERS[peer_name]
    pytest.importorskip(peer.module)
    pytest.importorskip("threadpoolctl")
    threads = all_threads()
    benchmark.group = f"knn_graph k={K}, {len(rows):,} rows, {TITLES[data]}"
    with limited_threads(threads):
        peer.search(rows[:WARM_ROWS], K, threads)
        found = benchmark.pedantic(peer.search, args=(rows, K, threads), rounds=peer.rounds_for(rows))
    share = recall(found, exact_graph(data), rows)
    benchmark.extra_info.update(recall=share, threads=threads, machine=description())
    assert share >= (0.999 if peer.exact else 0.3)  # an approximate one with less is misused
