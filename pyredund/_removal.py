"""Greedy removal: start from all rows, take away what costs least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._device import removal_on_gpu
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows


def in_similarity(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Costs and gains, integers in units of 2^-32 in the core, as the sums of similarities that they are."""
    return units.astype(np.float64) * np.float64(2.0**-32)


def lowest_rows(class_of: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lowest of `rows` in each class; the number of all rows where a class has none."""
    lowest = np.full(int(class_of.max()) + 1, len(class_of), dtype=np.int64)
    np.minimum.at(lowest, class_of[rows], rows)
    return lowest


@dataclass(frozen=True)
class RemovalHistory:
    """What every prefix of a removal looked like: which rows had gone, and who stood for them.

    Classes are sets of identical rows; a class without a live row is served by the class of its closest kept row.
    """

    removed: NDArray[np.int64]
    moved_ptr: NDArray[np.int64]
    moved: NDArray[np.int32]
    nearest: NDArray[np.int32]
    similarities: NDArray[np.float32]
    class_of: NDArray[np.int32]

    def at(self, n_keep: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Representatives and similarities of all rows when `n_keep` were left."""
        n = len(self.class_of)
        n_removed = n - n_keep
        n_classes = int(self.class_of.max()) + 1
        n_moved = int(self.moved_ptr[n_removed])
        server = np.arange(n_classes)
        similarity = np.ones(n_classes, dtype=np.float32)
        server[self.moved[:n_moved]] = self.nearest[:n_moved]  # the last of several moves counts
        similarity[self.moved[:n_moved]] = self.similarities[:n_moved]

        live = np.ones(n, dtype=bool)
        live[self.removed[:n_removed]] = False
        rows = np.arange(n)
        lowest_live = lowest_rows(self.class_of, rows[live])
        has_live = lowest_live < n
        server[has_live] = np.flatnonzero(has_live)
        similarity[has_live] = 1.0
        representatives = lowest_live[server[self.class_of]]
        representatives[live] = rows[live]
        return representatives, similarity[self.class_of]


def removal(
    rows: UnitRows,
    graph: NeighborGraph,
    n_keep: int,
    priority: NDArray[np.int32],
    forced: NDArray[np.int64],
    weights: NDArray[np.int64],
    engine: Engine,
    room: int = 1 << 62,
    *,
    of_rows: bool = False,
) -> tuple[RemovalHistory, NDArray[np.int64]]:
    """Remove rows, but none of `forced`, until `n_keep` are left; what each removal cost is in units.

    `priority` holds ranks, `graph` is that of the distinct rows or (`of_rows`) of all, `weights` are those of the
    distinct ones. Lists that replace those that run out take up to `room` bytes.
    """
    must_keep = np.zeros(rows.n_rows, dtype=bool)
    must_keep[forced] = True
    member_ptr, members, class_of = rows.member_ptr, rows.members, rows.class_of
    if class_of is None:
        class_of = np.arange(rows.n_rows, dtype=np.int32)
    else:  # in each class the order in which rows go: must_keep never, lower priority first, then the higher row
        members = members[np.lexsort((-members, priority[members], must_keep[members], class_of[members]))]
    removable = np.bincount(class_of[~must_keep], minlength=rows.n_distinct).astype(np.int32)
    n_remove = rows.n_rows - n_keep
    log: _core._RemovalLog | None = None
    if engine.device == "cuda" and engine.cuda_selectors and rows.class_of is None:
        log = removal_on_gpu(graph, removable, priority, weights, n_remove, engine)
    if log is None:
        with engine.reporting("removal") as report:
            log = _core.removal(
                rows.matrix,
                rows.dim,
                graph.indptr,
                graph.indices,
                graph.similarities,
                rows.first if of_rows else None,
                class_of if of_rows else None,
                member_ptr,
                members,
                removable,
                priority,
                weights,
                n_remove,
                engine.n_threads,
                engine.isa,
                engine.block,
                report,
                room,
            )
    history = RemovalHistory(
        log["removed"].astype(np.int64),
        log["moved_ptr"],
        log["moved"],
        log["nearest"],
        log["similarities"],
        class_of,
    )
    return history, log["costs"]
