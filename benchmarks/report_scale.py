"""Sections of the report on where the time goes: pairs that come how far, and cost against the number of rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import ROWS, TITLES, embeddings, fashion_mnist, pca, row_limit
from benchmarks.knn_peers import K
from benchmarks.machine import all_threads, limited_threads, load_faiss
from benchmarks.timing import gemm
from pyredund._engine import Engine
from pyredund._files import written_whole
from pyredund._inputs import row_source
from pyredund._knn_graph import search
from pyredund._unit_rows import unit_rows
from pyredund.bench import installed

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
DIMS = (8, 16, 32, 64, 128, 256, 512)
QUERIES = 2048  # of faiss, whose time for all rows is in proportion


def report_levels(data: Sequence[str]) -> list[Claim]:
    """How many pairs each level of bounds leaves, and the time beside that of a matrix product."""
    table = []
    for name in data:
        rows = embeddings(name)
        counts: list[dict[str, int]] = []
        engine = replace(Engine.resolve(), count=counts.append)
        begin = time.perf_counter()
        search(unit_rows("embeddings", row_source("embeddings", rows), engine), K, engine)
        seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        with limited_threads(all_threads()):
            gemm(rows)
        product = time.perf_counter() - begin
        found = counts[0]
        levels = [found[level] / found["pairs"] for level in ("near", "survived_scan", "survived_bounds", "scored")]
        skipped = found["tiles_apart"] / max(1, found["tiles"])
        empty = found["empty_panels"] / max(1, found["panels"])
        row = [TITLES[name], *(f"{share:.2%}" for share in levels), f"{skipped:.1%}", f"{empty:.0%}"]
        table.append([*row, f"{seconds / product:.2f}"])
    header = ["", "scanned", "after bytes", "after bounds", "scored exactly", "tiles skipped", "panels skipped"]
    print_table(
        f"Share of the pairs that each level leaves, k = {K}, and time / that of a float32 GEMM of n x n x d",
        [*header, "time / GEMM"],
        table,
    )
    return []


@dataclass(frozen=True)
class Cost:
    """Seconds of a graph, and what faiss would take by a part of the queries (None: not installed)."""

    seconds: float
    of_faiss: float | None
    differs: float = 0.0  # the k-th similarity, at most

    def columns(self) -> list[str]:
        """As a table shows it."""
        if self.of_faiss is None:
            return [f"{self.seconds:.2f} s", "not installed", "", ""]
        ratio = self.of_faiss / self.seconds
        return [f"{self.seconds:.2f} s", f"{self.of_faiss:.1f} s", f"{ratio:.1f}", f"{self.differs:.0e}"]


def report_scale(figure: Path | None) -> list[Claim]:
    """Time against the number of rows and of dimensions, with the exponent, faiss beside it; drawn to a .png file."""
    threads = all_threads()
    sizes = sorted({min(size, row_limit()) for size in SIZES})
    rows = embeddings("augmented64", sizes[-1])
    by_rows = {n: _cost(rows[:n], threads) for n in sizes}
    images = fashion_mnist("train")[0][: min(ROWS, row_limit())]
    by_dims = {d: _cost(_directions_only(pca(images, d)), threads) for d in DIMS}
    header = ["pyredund", f"faiss IndexFlatIP, from {QUERIES} queries", "ratio", "k-th similarity differs by"]
    print_table(
        f"knn_graph, {TITLES['augmented64']}, k = {K}, {threads} threads, one run",
        ["rows", *header],
        [[f"{n:,}", *cost.columns()] for n, cost in by_rows.items()],
    )
    print_table(
        f"knn_graph, Fashion-MNIST by PCA, n = {len(images):,}, k = {K}, {threads} threads, one run",
        ["dimensions", *header],
        [[f"{d}", *cost.columns()] for d, cost in by_dims.items()],
    )
    if figure is not None:
        draw_costs(figure, by_rows, by_dims)
    if len(sizes) > 2:
        print(f"From {sizes[1]:,} rows on, pyredund's time grows as the rows to the power {_exponent(by_rows):.2f}.")
        print(f"From {DIMS[1]} dimensions on, it grows as the dimensions to the power {_exponent(by_dims):.2f}.\n")
    return []


def _directions_only(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(norms > 0, norms, 1), dtype=np.float32)


def _cost(part: NDArray[np.float32], threads: int) -> Cost:
    n = len(part)
    begin = time.perf_counter()
    graph = pyredund.knn_graph(part, K)
    seconds = time.perf_counter() - begin
    if not installed("faiss"):
        return Cost(seconds, None)
    index = load_faiss().IndexFlatIP(part.shape[1])
    index.add(part)
    queries = np.ascontiguousarray(part[:: max(1, n // QUERIES)][:QUERIES])
    with limited_threads(threads):
        begin = time.perf_counter()
        found = index.search(queries, K + 1)[0]
        expected = (time.perf_counter() - begin) * n / len(queries)
    worst = graph.similarities.reshape(n, K)[:: max(1, n // QUERIES)][:QUERIES, -1]
    return Cost(
        seconds, expected, float(np.abs(np.minimum(found[:, K], 1) - worst).max())
    )  # the row itself comes first


def _exponent(costs: Mapping[int, Cost], of_faiss: bool = False) -> float:
    """Of a power of the size, fitted to all costs but the first."""
    at = list(costs)[1:]
    seconds = [(costs[size].of_faiss if of_faiss else costs[size].seconds) or 0.0 for size in at]
    return float(np.polyfit(np.log(at), np.log(seconds), 1)[0])


def draw_costs(path: Path, by_rows: Mapping[int, Cost], by_dims: Mapping[int, Cost]) -> None:
    """Draw seconds against rows and against dimensions, both on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = zip(figure.subplots(1, 2), (by_rows, by_dims), ("rows", "dimensions"), ("n", "d"), strict=True)
    for axes, costs, label, letter in panels:
        for name, color, of_faiss in (("pyredund", "#1b6e3c", False), ("faiss IndexFlatIP", "#b3261e", True)):
            if of_faiss and any(cost.of_faiss is None for cost in costs.values()):
                continue
            times = [cost.of_faiss if of_faiss else cost.seconds for cost in costs.values()]
            slope = f", {letter}^{_exponent(costs, of_faiss):.2f}" if len(costs) > 2 else ""
            axes.loglog(list(costs), times, marker="o", color=color, label=name + slope)
        axes.set_xlabel(label)
        axes.set_ylabel("seconds")
        axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    figure.suptitle(f"Exact cosine graph, k = {K}", fontsize=11)
    with written_whole(path) as file:
        figure.savefig(file, format="png")
