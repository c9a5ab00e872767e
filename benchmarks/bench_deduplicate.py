"""Deduplicating at a threshold: pyredund beside a NumPy loop and semhash, and beside a clump of near copies."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.datasets import embeddings
from benchmarks.deduplicate_peers import DEDUPLICATE_PEERS, PYREDUND, Faults, faults
from benchmarks.machine import all_threads, limited_threads
from benchmarks.timing import Benchmark
from pyredund.bench import description

PEER_ROWS = 20_000
THRESHOLD = 0.95
CLUMP = 10_000
ROUNDS = 3


def pca64(rows: int | None = None) -> NDArray[np.float32]:
    try:
        found = embeddings("pca64")[:rows]
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return unit(found)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    divided: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return divided


def measure(benchmark: Benchmark, name: str, rows: NDArray[np.float32], threshold: float, rounds: int) -> None:
    peer, threads = DEDUPLICATE_PEERS[name], all_threads()
    pytest.importorskip(peer.module)
    pytest.importorskip("threadpoolctl")
    with limited_threads(threads):
        peer.deduplicate(rows[:500], threshold, threads)
        kept = benchmark.pedantic(peer.deduplicate, args=(rows, threshold, threads), rounds=rounds)
    found = faults(rows, kept, threshold)
    if peer.is_exact and found != Faults(0, 0):
        raise AssertionError(f"{name}: {found}")
    benchmark.extra_info.update(asdict(found), kept=len(kept), threads=threads, machine=description())


@pytest.mark.parametrize("name", DEDUPLICATE_PEERS)
@pytest.mark.filterwarnings("ignore")  # peers' own warnings
def test_deduplicate(benchmark: Benchmark, name: str) -> None:
    rows = pca64(PEER_ROWS)
    benchmark.group = f"deduplicate, threshold {THRESHOLD}, {len(rows):,} rows"
    measure(benchmark, name, rows, THRESHOLD, ROUNDS if name == PYREDUND else 1)


@pytest.mark.parametrize("name", ["pyredund deduplicate", "NumPy loop"])
def test_deduplicate_all_rows(benchmark: Benchmark, name: str) -> None:
    rows = pca64()
    benchmark.group = f"deduplicate, threshold {THRESHOLD}, {len(rows):,} rows"
    measure(benchmark, name, rows, THRESHOLD, ROUNDS if name == PYREDUND else 1)


def test_deduplicate_beside_a_clump(benchmark: Benchmark) -> None:
    """The last rows give way to as many near copies of one row, whose pairs alone would take over a gigabyte."""
    rows, rng = pca64().copy(), np.random.default_rng(0)
    n_clump = min(CLUMP, len(rows) // 6)
    rows[-n_clump:] = rows[0] + 1e-3 * rng.standard_normal((n_clump, rows.shape[1]), dtype=np.float32)
    rows = unit(rows)[rng.permutation(len(rows))]
    benchmark.group = f"deduplicate, threshold 0.99, {len(rows):,} rows, {n_clump:,} of them one clump"
    measure(benchmark, PYREDUND, rows, 0.99, ROUNDS)
