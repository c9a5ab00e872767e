"""Section of the report on memory: peaks of `select` and of large graphs, each case in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.claims import Claim, print_table
from benchmarks.datasets import TITLES, embeddings, isotropic_noise, row_limit
from benchmarks.graph_alone import graph_alone
from benchmarks.machine import all_threads
from benchmarks.report_select import REMOVAL, K, kept_count
from pyredund.bench import SELECTORS, run_alone

ALLOWANCE = 256 * 10**6
LARGE_ROWS = 200_000
MIB = 1 << 20


def report_memory() -> list[Claim]:
    """Peak memory of `select` against the promise: input + 2 n d 4 bytes + graph + 256 MB."""
    cases = {}
    try:
        cases[TITLES["pca64"]] = embeddings("pca64")
    except FileNotFoundError as error:
        print(f"\n{error}")
    cases[TITLES["noise"]] = isotropic_noise(min(LARGE_ROWS, row_limit()), 64, seed=0)
    table, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for title, rows in cases.items():
            path = Path(folder) / "rows.npy"
            np.save(path, rows)
            found = run_alone(SELECTORS[REMOVAL], path, len(rows), kept_count(len(rows)), n_threads=all_threads())
            if found.extra_bytes is None:
                raise RuntimeError(f"select on {title}: {found.failure}")
            promise = 2 * rows.nbytes + len(rows) * K * 8 + ALLOWANCE
            numbers = [rows.nbytes, found.extra_bytes, promise]
            case = f"{title}, n = {len(rows):,}"
            table.append([case, *(f"{number / MIB:.0f}" for number in numbers)])
            taken = f"{found.extra_bytes / MIB:.0f} MiB"
            text = f"{case}: select takes {taken} beside its input, promised {promise / MIB:.0f}"
            claims.append(Claim(text, found.extra_bytes <= promise))
    header = ["MiB", "input", "taken by the call at its peak", "promised beside the input"]
    print_table("Memory of select(keep=0.9)", header, table)
    return claims


def report_large(names: Sequence[str]) -> list[Claim]:
    """Graphs of large mapped files, with the memory that is promised and with half of it."""
    table, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / "rows.npy"
            rows = embeddings(name)
            np.save(path, rows)
            n, case = len(rows), f"{TITLES[name]}, n = {len(rows):,}"
            promise = 2 * rows.nbytes + n * K * 8 + ALLOWANCE
            del rows
            embeddings.cache_clear()
            whole, half = (graph_alone(path, n, K, limit) for limit in (None, promise // 2))
            for what, allowed, found in (("", promise, whole), (", max_memory half of it", promise // 2, half)):
                numbers = [f"{bytes_ / MIB:.0f}" for bytes_ in (found.extra_bytes, allowed)]
                table.append([case + what, f"{found.seconds:.1f} s", *numbers, f"{found.seconds / whole.seconds:.2f}"])
                text = f"{case}{what}: knn_graph takes {numbers[0]} MiB, of {numbers[1]}"
                claims.append(Claim(text, found.extra_bytes <= allowed))
            claims.append(Claim(f"{case}: the same graph with half of the memory", whole.digest == half.digest))
    header = ["", "time", "MiB taken at the peak", "MiB promised or allowed", "time / that without a limit"]
    print_table(f"knn_graph of a mapped file, k = {K}, {all_threads()} threads, one run", header, table)
    return claims
