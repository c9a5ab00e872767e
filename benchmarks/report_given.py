"""Section of the report on selections that are given their graph: a million rows, each call in a process of its own."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np

import pyredund
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import TITLES, embeddings
from benchmarks.machine import all_threads
from benchmarks.report_select import K
from benchmarks.selection_alone import selection_alone

NAME = "augmented64"
THRESHOLD = 0.98
# Method, share that it keeps or threshold, whether one thread has to do, and the goal in seconds at a million rows.
CALLS = (
    ("removal", 0.9, True, 2.0),
    ("insertion", 0.1, False, 10.0),
    ("deduplicate", THRESHOLD, True, 1.0),
)
ROWS_OF_GOALS = 1_000_000
BYTES_GOAL = 64  # of a row, beside rows, unit rows and graph


def report_given(rounds: int) -> list[Claim]:
    """Time and memory of selecting, the graph aside; deduplicating takes a radius graph."""
    table, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        rows_path, knn_path, radius_path = (Path(folder) / name for name in ("rows.npy", "knn.npz", "radius.npz"))
        rows = embeddings(NAME)
        n, unit_bytes = len(rows), rows.nbytes
        np.save(rows_path, rows)
        pyredund.knn_graph(rows, K).save(knn_path)
        pyredund.radius_graph(rows, THRESHOLD).save(radius_path)
        del rows
        embeddings.cache_clear()
        for method, value, is_single, goal in CALLS:
            threads = 1 if is_single else all_threads()
            graph = radius_path if method == "deduplicate" else knn_path
            found = [selection_alone(rows_path, graph, method, value, threads) for _ in range(rounds)]
            seconds = statistics.median(one.seconds for one in found)
            row_bytes = (statistics.median(one.extra_bytes - one.index_bytes for one in found) - unit_bytes) / n
            spread = f"{min(one.seconds for one in found):.2f}-{max(one.seconds for one in found):.2f}"
            call = f"{method}, {'threshold' if method == 'deduplicate' else 'keep'} {value}"
            table.append([call, str(threads), f"{found[0].n_kept:,}", f"{seconds:.2f} s", spread, f"{row_bytes:.0f}"])
            table[-1].append(f"{found[0].index_bytes / n:.0f}")
            text = f"{call}: {n:,} rows, graph given, in {seconds:.2f} s on {threads} threads, goal {goal:.0f} s"
            claims.append(Claim(text, seconds <= goal * n / ROWS_OF_GOALS, required=False))
            beside = "rows, unit rows and graph" + (" and its index" if found[0].index_bytes else "")
            text = f"{call}: {row_bytes:.0f} bytes a row beside {beside}, goal {BYTES_GOAL}"
            claims.append(Claim(text, row_bytes <= BYTES_GOAL, required=False))
    header = [
        "call",
        "threads",
        "kept",
        "median",
        "range, s",
        "bytes a row beside rows, unit rows, graph and index",
        "of the index",
    ]
    print_table(f"Graph given, {TITLES[NAME]}, n = {n:,}, k = {K}, {rounds} rounds", header, table)
    return claims
