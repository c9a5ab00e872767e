"""Keeping 90 % of the rows: pyredund's methods beside peers at 10,000 rows, and alone at 60,000."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

import pyredund
from benchmarks.accuracy import check_farthest_first, check_graph
from benchmarks.datasets import embeddings
from benchmarks.machine import all_threads, limited_threads
from benchmarks.report_select import KCENTER, K, kept_count
from benchmarks.timing import Benchmark
from pyredund.bench import SELECTORS, Contender, description, quality

WITHOUT_GROUPS = [name for name, peer in SELECTORS.items() if not peer.needs_groups and "textbook" not in name]
OURS = [name for name in WITHOUT_GROUPS if SELECTORS[name].module == "pyredund"]
PEER_ROWS = 10_000
WARM_ROWS = 1000
ROUNDS = 3


def pca64(rows: int | None = None) -> NDArray[np.float32]:
    try:
        return embeddings("pca64")[:rows]
    except FileNotFoundError as error:
        pytest.skip(str(error))


def measure(benchmark: Benchmark, peer: Contender, rows: NDArray[np.float32], rounds: int) -> None:
    threads, keep = all_threads(), kept_count(len(rows))
    benchmark.group = f"select keep=0.9, {len(rows):,} rows"
    with limited_threads(threads):
        peer(rows[:WARM_ROWS], kept_count(min(WARM_ROWS, len(rows))), None, threads)
        kept = benchmark.pedantic(peer, args=(rows, keep, None, threads), rounds=rounds)
    found = quality(rows, kept)
    if found.n_kept != keep and "semhash" not in peer.name:
        raise AssertionError(f"{peer.name} kept {found.n_kept} rows instead of {keep}")
    if peer.name == KCENTER:
        check_farthest_first(rows, kept, found.largest)
    benchmark.extra_info.update(asdict(found), threads=threads, machine=description())


@pytest.mark.parametrize("peer_name", WITHOUT_GROUPS)
@pytest.mark.filterwarnings("ignore")  # peers' own warnings, numba's above all
def test_select(benchmark: Benchmark, peer_name: str) -> None:
    peer = SELECTORS[peer_name]
    if not peer.installed:
        pytest.skip(f"{peer_name} is not installed")
    pytest.importorskip("threadpoolctl")
    measure(benchmark, peer, pca64(PEER_ROWS), ROUNDS if peer_name in OURS else 1)


@pytest.mark.parametrize("peer_name", [name for name in OURS if SELECTORS[name].is_there])
def test_select_all_rows(benchmark: Benchmark, peer_name: str) -> None:
    pytest.importorskip("threadpoolctl")
    measure(benchmark, SELECTORS[peer_name], pca64(), ROUNDS)


def test_graph_of_all_rows(benchmark: Benchmark) -> None:
    """In the group of `test_select_all_rows`, so that the cost of selecting beside its graph is visible."""
    rows = pca64()
    benchmark.group = f"select keep=0.9, {len(rows):,} rows"
    graph = benchmark.pedantic(pyredund.knn_graph, args=(rows, K), rounds=ROUNDS, warmup_rounds=1)
    check_graph(graph, rows)
