"""Sections of the report on `select`: quality and time beside peers, and the whole call beside its graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import embeddings
from benchmarks.machine import all_threads, limited_threads, load_faiss
from benchmarks.timing import Timed, alternate
from pyredund.bench import NOT_BY_DEFAULT, SELECTORS, Quality, quality
from pyredund.bench._machine import installed
from pyredund.bench._selectors import apricot_on, symmetric_similarities

Kept = NDArray[np.int64]
REMOVAL, KCENTER = "pyredund removal", "pyredund kcenter"
APRICOT, MUNDIG = "apricot lazy facility location", "lightly-mundig k-center"
APRICOT_ALONE = "apricot on all similarities"  # the other is given pyredund's graph
APRICOT_FAISS = "apricot lazy facility location, neighbours by faiss"  # what there is without pyredund
K = 32  # of select's graph
LEFT_OUT = set(NOT_BY_DEFAULT) - {APRICOT_ALONE}
PEERS = {name: peer for name, peer in SELECTORS.items() if not peer.needs_groups and name not in LEFT_OUT}
PEER_ROWS = 10_000
WARM_ROWS = 1000
GRAPH = "knn_graph alone"
GRAPH_METHODS = ("removal", "insertion", "agglomerative")
GRAPH_GOAL = 1.25  # of the graph's time, for the whole calls of these
PEER_GOAL = 50  # times faster than these:
GOAL_PEERS = (APRICOT, APRICOT_ALONE, MUNDIG)
FEW_ROWS_ONLY = (APRICOT_ALONE,)  # n * n numbers of 8 bytes
KCENTER_GOAL = 20  # times faster than lightly-mundig, which picks the same rows


def report_select(rounds: int) -> list[Claim]:
    """Every method and peer on the same rows, then pyredund and those that it is to beat on all of them."""
    return _beside_peers(rounds) + _beside_graph(rounds)


def _beside_peers(rounds: int) -> list[Claim]:
    rows, threads = embeddings("pca64")[:PEER_ROWS], all_threads()
    keep = kept_count(len(rows))
    present = [name for name, peer in PEERS.items() if peer.installed]
    calls = {name: partial(PEERS[name], rows, keep, None, threads) for name in present}
    for name in present:  # compile and start threads
        PEERS[name](rows[:WARM_ROWS], kept_count(min(WARM_ROWS, len(rows))), None, threads)
    with limited_threads(threads):
        timed: dict[str, Timed[Kept]] = alternate(calls, rounds)
    found = {name: quality(rows, timed[name].result) for name in present}
    table = []
    for name in PEERS:
        if name not in found:
            table.append([name, "not installed", "", "", "", ""])
            continue
        costs = [
            f"{found[name].mean:.6f}",
            f"{found[name].largest:.5f}",
            f"{found[name].facility_location:.7f}",
        ]
        ratio = timed[name].median / timed[REMOVAL].median
        table.append([name, *costs, f"{timed[name].median:.3f} s", f"{ratio:.2f}"])
    header = ["method", "mean distance", "largest", "facility location", "time", "time / removal's"]
    title = f"select, {keep:,} of {len(rows):,} rows of Fashion-MNIST PCA-64, {threads} threads, {rounds} rounds"
    print_table(title, header, table)
    return _claims(timed, found, len(rows))


def _claims(timed: dict[str, Timed[Kept]], found: dict[str, Quality], n: int) -> list[Claim]:
    ours, claims = found[REMOVAL], []
    for name, peer in PEERS.items():
        if name in found and not peer.is_ours and found[name].n_kept == ours.n_kept:
            text = f"{REMOVAL} has a mean distance of {ours.mean:.6f}, {name} {found[name].mean:.6f}"
            claims.append(Claim(text, ours.mean <= found[name].mean))
    for name in GOAL_PEERS:
        if name in timed:
            claims.append(_speed_claim(name, timed[name].median / timed[REMOVAL].median, n))
    if MUNDIG in timed:
        ratio = timed[MUNDIG].median / timed[KCENTER].median
        text = f"{KCENTER} is {ratio:.1f} times faster than {MUNDIG}, goal {KCENTER_GOAL}"
        claims.append(Claim(text, ratio >= KCENTER_GOAL, required=False))
    return claims


def _beside_graph(rounds: int) -> list[Claim]:
    rows, threads = embeddings("pca64"), all_threads()
    calls: dict[str, Callable[[], object]] = {GRAPH: partial(pyredund.knn_graph, rows, K, n_threads=threads)}
    for method in (*GRAPH_METHODS, "kcenter", "random"):
        calls[method] = partial(pyredund.select, rows, keep=0.9, method=method, n_threads=threads)
    timed = alternate(calls, rounds)
    keep = kept_count(len(rows))
    able = [name for name in GOAL_PEERS if PEERS[name].installed and name not in FEW_ROWS_ONLY]
    slow = {name: partial(PEERS[name], rows, keep, None, threads) for name in able}
    if APRICOT in slow and installed("faiss"):
        slow[APRICOT_FAISS] = partial(_apricot_with_faiss, rows, keep)
    with limited_threads(threads):
        once: dict[str, Timed[Kept]] = alternate(slow, 1)
    table, claims = [], []
    for name, entry in (timed | once).items():
        costs = [""] * 3
        if name in once:
            found = quality(rows, once[name].result)
            costs = [f"{found.mean:.6f}", f"{found.largest:.5f}", f"{found.facility_location:.7f}"]
        if isinstance(entry.result, pyredund.Selection):
            found = _verified(entry.result, rows)
            costs = [f"{found.mean:.6f}", f"{found.largest:.5f}", f"{found.facility_location:.7f}"]
        ratio = entry.median / timed[GRAPH].median
        shown = name if name in timed else f"{name} (1 run)"
        table.append([shown, *costs, f"{entry.median:.3f} s", entry.spread, f"{ratio:.2f}"])
    header = ["call", "mean distance", "largest", "facility location", "median", "range, s", "time / graph's"]
    title = f"Whole calls, keep=0.9, {len(rows):,} rows of Fashion-MNIST PCA-64, {threads} threads, {rounds} rounds"
    print_table(title, header, table)
    claims.append(
        Claim(f"each method keeps exactly {keep:,} of {len(rows):,} rows, and `verify` passes", True)
    )  # or it raised
    for method in GRAPH_METHODS:
        ratio = timed[method].median / timed[GRAPH].median
        text = f"select, {method}, takes {ratio:.2f} of the time of the graph, goal {GRAPH_GOAL}"
        claims.append(Claim(text, ratio <= GRAPH_GOAL, required=False))
    for name, entry in once.items():
        claims.append(_speed_claim(name, entry.median / timed["removal"].median, len(rows)))
    return claims


def _apricot_with_faiss(rows: NDArray[np.float32], keep: int) -> Kept:
    """From rows to a selection: the neighbours that pyredund's graph has, and itself among them, found by faiss."""
    import scipy.sparse

    index = load_faiss().IndexFlatIP(rows.shape[1])
    index.add(rows)
    similarities, neighbours = index.search(rows, K + 1)
    n = len(rows)
    parts = similarities.reshape(-1), neighbours.reshape(-1), np.arange(n + 1) * (K + 1)
    return apricot_on(symmetric_similarities(scipy.sparse.csr_matrix(parts, shape=(n, n))), keep)


def _speed_claim(peer: str, ratio: float, n: int) -> Claim:
    text = f"{n:,} rows: {REMOVAL} is {ratio:.1f} times faster than {peer}, goal {PEER_GOAL}"
    return Claim(text, ratio >= PEER_GOAL, required=False)


def _verified(selection: pyredund.Selection, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Quality:
    selection.verify(rows)
    found = quality(rows, selection.indices)
    if found.n_kept != kept_count(len(rows)):
        raise AssertionError(f"{found.n_kept} rows kept instead of {kept_count(len(rows))}")
    return found


def kept_count(n: int, share: float = 0.9) -> int:
    """Round a share of n rows half up, as `keep` is defined."""
    return max(1, int(np.floor(n * share + 0.5)))
