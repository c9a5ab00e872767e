"""Sections of the report on where the time goes: pairs that come how far, and cost against the number of rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import pyredund
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import TITLES, embeddings, row_limit
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


def report_scale(figure: Path | None) -> list[Claim]:
    """Time against the number of rows, with the exponent, and faiss beside it; drawn to `figure`, a .png file."""
    name, threads = "augmented64", all_threads()
    sizes = sorted({min(size, row_limit()) for size in SIZES})
    table, seconds, of_faiss = [], [], []
    rows = embeddings(name, sizes[-1])
    for n in sizes:
        part = rows[:n]
        begin = time.perf_counter()
        graph = pyredund.knn_graph(part, K)
        seconds.append(time.perf_counter() - begin)
        line = [f"{n:,}", f"{seconds[-1]:.2f} s"]
        if installed("faiss"):
            index = load_faiss().IndexFlatIP(part.shape[1])
            index.add(part)
            queries = np.ascontiguousarray(part[:: max(1, n // QUERIES)][:QUERIES])
            with limited_threads(threads):
                begin = time.perf_counter()
                found = index.search(queries, K + 1)[0]
                expected = (time.perf_counter() - begin) * n / len(queries)
            of_faiss.append(expected)
            worst = graph.similarities.reshape(n, K)[:: max(1, n // QUERIES)][:QUERIES, -1]
            agree = np.abs(np.minimum(found[:, K], 1) - worst).max()  # the row itself comes first
            line += [f"{expected:.1f} s", f"{expected / seconds[-1]:.1f}", f"{agree:.0e}"]
        else:
            line += ["not installed", "", ""]
        table.append(line)
    header = ["rows", "pyredund", f"faiss IndexFlatIP, from {QUERIES} queries", "ratio", "k-th similarity differs by"]
    print_table(f"knn_graph, {TITLES[name]}, k = {K}, {threads} threads, one run", header, table)
    if figure is not None:
        draw_times(figure, sizes, {"pyredund": seconds, f"faiss IndexFlatIP, from {QUERIES} queries": of_faiss})
    if len(sizes) > 2:
        exponent = float(np.polyfit(np.log(sizes[1:]), np.log(seconds[1:]), 1)[0])
        print(f"From {sizes[1]:,} rows on, pyredund's time grows as the number of rows to the power {exponent:.2f}.\n")
    return []


def draw_times(path: Path, sizes: Sequence[int], seconds: Mapping[str, Sequence[float]]) -> None:
    """Draw seconds against rows, both on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, times), color in zip(seconds.items(), ("#1b6e3c", "#b3261e"), strict=True):
        if not times:
            continue
        slope = f", n^{np.polyfit(np.log(sizes[1:]), np.log(times[1:]), 1)[0]:.2f}" if len(sizes) > 2 else ""
        axes.loglog(sizes, times, marker="o", color=color, label=name + slope)
    axes.set_xlabel("rows")
    axes.set_ylabel("seconds")
    axes.set_title(f"Exact cosine graph, k = {K}", fontsize=11)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    with written_whole(path) as file:
        figure.savefig(file, format="png")
