"""Sections of the report on `knn_graph`: ratios to peers, share of the GEMM rate, gain from more threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.accuracy import check_graph, recall
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import TITLES, embeddings
from benchmarks.knn_peers import KNN_PEERS, K, Neighbours
from benchmarks.machine import all_threads, limited_threads
from benchmarks.timing import Timed, alternate, gemm
from pyredund.bench import installed

OURS, FAISS, GEMM = "pyredund", "faiss IndexFlatIP", "NumPy GEMM of n x n x d"
WARM_ROWS = 5000
GOALS = {"noise": 3.0, "pca64": 15.0, "learned64": 15.0, "raw784": 10.0, "features1280": 5.0}  # times faster than faiss
THREAD_GOAL = 0.95  # of what a GEMM gains
RECALL_GOAL = 0.95  # of an approximate peer that should not be faster
MANY, MANY_GOAL = 128, 2.0  # neighbours, and what they may cost beside K

Rows = NDArray[np.float32]


def report_knn(data: Sequence[str], rounds: int, wide_rounds: int, all_peers: bool) -> list[Claim]:
    """Ratios to faiss, or to all peers, one table for each data set."""
    claims = []
    for name in data:
        claims += _one_data_set(name, rounds, wide_rounds, all_peers)
    return claims


def _one_data_set(name: str, rounds: int, wide_rounds: int, all_peers: bool) -> list[Claim]:
    rows, threads = embeddings(name), all_threads()
    if rows.shape[1] > 128:
        rounds = min(rounds, wide_rounds)
    chosen = [peer for peer in KNN_PEERS if all_peers or peer in (OURS, FAISS)]
    present = [peer for peer in chosen if installed(KNN_PEERS[peer].module)]
    calls: dict[str, Callable[[], Neighbours | None]] = {
        peer: partial(KNN_PEERS[peer].search, rows, K, threads) for peer in present
    }
    calls[GEMM] = partial(gemm, rows)
    for peer in present:  # compile and start threads
        KNN_PEERS[peer].search(rows[:WARM_ROWS], K, threads)
    with limited_threads(threads):
        often = {peer: call for peer, call in calls.items() if peer in (OURS, FAISS, GEMM)}
        once = {peer: call for peer, call in calls.items() if peer not in often}
        timed = alternate(often, rounds) | alternate(once, 1)

    graph = pyredund.knn_graph(rows, K)
    check_graph(graph, rows)
    found = {peer: _recall(timed[peer].result, graph, rows) for peer in present}
    table = []
    for peer in [*chosen, GEMM]:
        if peer not in timed:
            table.append([peer, "not installed", "", "", "", ""])
            continue
        entry = timed[peer]
        table.append(
            [
                peer if len(entry.seconds) == rounds else f"{peer} (1 run)",
                f"{entry.median:.2f} s",
                entry.spread,
                f"{entry.median / timed[OURS].median:.2f}",
                f"{found[peer]:.4f}" if peer in found else "",
                f"{timed[GEMM].median / entry.median:.0%}",
            ]
        )
    header = ["engine", "median", "range, s", "time / pyredund's", "recall", "share of the GEMM rate"]
    title = f"knn_graph, {TITLES[name]}, n = {len(rows):,}, k = {K}, {threads} threads, {rounds} rounds"
    print_table(title, header, table)
    return _claims(name, timed, found)


def _recall(found: Neighbours | None, graph: pyredund.NeighborGraph, rows: Rows) -> float:
    assert found is not None
    return recall(found, graph, rows)


def _claims(name: str, timed: dict[str, Timed[Neighbours | None]], found: dict[str, float]) -> list[Claim]:
    text = f"{TITLES[name]}: brute force in float64 confirms pyredund's neighbours on 200 random rows"
    claims = [Claim(text, found[OURS] == 1)]
    for peer, share in found.items():
        if KNN_PEERS[peer].exact and peer != OURS:
            text = f"{TITLES[name]}: {peer} finds the same neighbours, ties within 1e-6 aside ({share:.6f})"
            claims.append(Claim(text, share == 1))
        if not KNN_PEERS[peer].exact and share >= RECALL_GOAL:
            ratio = timed[peer].median / timed[OURS].median
            text = f"{TITLES[name]}: {ratio:.2f} times faster than {peer}, which has a recall of {share:.3f}, and exact"
            claims.append(Claim(text, ratio >= 1, required=False))
    if FAISS in timed and name in GOALS:
        ratio = timed[FAISS].median / timed[OURS].median
        text = f"{TITLES[name]}: {ratio:.2f} times faster than {FAISS}, goal {GOALS[name]}"
        claims.append(Claim(text, ratio >= GOALS[name], required=False))
    return claims


def report_threads(data: Sequence[str], rounds: int) -> list[Claim]:
    """Compare what all threads gain over one with what a matrix product gains."""
    threads = all_threads()
    if threads == 1:
        print("\nOnly one thread is available: nothing to gain from more.")
        return []
    table, claims = [], []
    for name in data:
        rows = embeddings(name)
        calls: dict[str, Callable[[], None]] = {}
        for count in (1, threads):
            calls[f"{OURS} {count}"] = partial(_graph, rows, count)
            calls[f"{GEMM} {count}"] = partial(_limited_gemm, rows, count)
        _graph(rows[:WARM_ROWS], threads)
        timed = alternate(calls, rounds)
        gains = {}
        for entry in (OURS, GEMM):
            one, many = timed[f"{entry} 1"].median, timed[f"{entry} {threads}"].median
            gains[entry] = one / many
            table.append([f"{TITLES[name]}: {entry}", f"{one:.2f} s", f"{many:.2f} s", f"{gains[entry]:.3f}"])
        share = gains[OURS] / gains[GEMM]
        table.append([f"{TITLES[name]}: gain / GEMM's gain", "", "", f"{share:.3f}"])
        text = f"{TITLES[name]}: {threads} threads gain {share:.3f} of what a GEMM gains, goal {THREAD_GOAL}"
        claims.append(Claim(text, share >= THREAD_GOAL, required=False))
    print_table(f"Threads, {rounds} rounds, alternating", ["", "1 thread", f"{threads} threads", "gain"], table)
    return claims


def report_many(data: Sequence[str], rounds: int) -> list[Claim]:
    """What more neighbours cost."""
    table, claims = [], []
    for name in data:
        rows = embeddings(name)
        calls = {str(k): partial(pyredund.knn_graph, rows, k) for k in (K, MANY)}
        pyredund.knn_graph(rows[:WARM_ROWS], K)
        timed = alternate(calls, rounds)
        few, many = timed[str(K)].median, timed[str(MANY)].median
        table.append([TITLES[name], f"{few:.2f} s", f"{many:.2f} s", f"{many / few:.2f}"])
        text = f"{TITLES[name]}: {MANY} neighbours take {many / few:.2f} of the time of {K}, goal {MANY_GOAL}"
        claims.append(Claim(text, many <= MANY_GOAL * few, required=False))
    print_table(f"More neighbours, {rounds} rounds, alternating", ["", f"k = {K}", f"k = {MANY}", "ratio"], table)
    return claims


def _graph(rows: Rows, n_threads: int) -> None:
    pyredund.knn_graph(rows, K, n_threads=n_threads)


def _limited_gemm(rows: Rows, n_threads: int) -> None:
    with limited_threads(n_threads):
        gemm(rows)
