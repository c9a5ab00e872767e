"""Greedy removal: start from all rows, take away what costs least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._device import LongerLists, removal_on_gpu
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows

STARTS = 24  # of a removal on the GPU, each of a few rounds: lists grow fourfold, but not all at once
LONGEST = 1024  # neighbours of a list on the GPU: its quick search finds no more
MORE_EDGES = 1 << 20  # that lists may be longer by, or by as many as there are
ROWS_AT_ONCE = 1 << 16  # so that what is looked up for rows takes no memory beside what is made of it


def in_similarity(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Costs and gains, integers in units of 2^-32 in the core, as the sums of similarities that they are."""
    return units.astype(np.float64) * np.float64(2.0**-32)


def lowest_rows(class_of: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The lowest row of the mask in each class; the number of all rows where a class has none."""
    lowest = np.full(int(class_of.max()) + 1, len(class_of), dtype=np.int32)
    for start in range(0, len(mask), ROWS_AT_ONCE):
        some = start + np.flatnonzero(mask[start : start + ROWS_AT_ONCE])
        np.minimum.at(lowest, class_of[some], some.astype(np.int32))
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
        n_moved = int(self.moved_ptr[n_removed])
        live = np.ones(n, dtype=bool)
        live[self.removed[:n_removed]] = False
        lowest_live = lowest_rows(self.class_of, live)
        similarity = np.ones(len(lowest_live), dtype=np.float32)
        similarity[self.moved[:n_moved]] = self.similarities[:n_moved]  # the last of several moves counts
        server = np.arange(len(lowest_live), dtype=np.int32)
        server[self.moved[:n_moved]] = self.nearest[:n_moved]
        server = lowest_live[server]
        representatives = np.arange(n)
        for start in range(0, n, ROWS_AT_ONCE):
            gone = start + np.flatnonzero(~live[start : start + ROWS_AT_ONCE])
            representatives[gone] = server[self.class_of[gone]]
        return representatives, similarity[self.class_of]


def removal(
    rows: UnitRows,
    graph: NeighborGraph,
    n_keep: int,
    priority: NDArray[np.int32] | None,
    forced: NDArray[np.int64],
    weights: NDArray[np.int64] | None,
    engine: Engine,
    room: int = 1 << 62,
    *,
    of_rows: bool = False,
) -> tuple[RemovalHistory, NDArray[np.int64]]:
    """Remove rows, but none of `forced`, until `n_keep` are left; what each removal cost is in units.

    `priority` holds ranks, `graph` is that of the distinct rows or (`of_rows`) of all, `weights` are those of the
    distinct ones, None their numbers of rows. Lists that replace those that run out take up to `room` bytes.
    """
    n_remove = rows.n_rows - n_keep
    removable = None
    if len(forced):
        of_forced = forced if rows.class_of is None else rows.class_of[forced]
        removable = (rows.counts - np.bincount(of_forced, minlength=rows.n_distinct)).astype(np.int32)
    log: _core._RemovalLog | None = None
    if engine.device == "cuda" and engine.cuda_selectors and rows.class_of is None:
        log = removal_by_rounds(rows, graph, removable, priority, weights, n_remove, engine)
    if log is None:
        member_ptr, members = None, None
        if rows.class_of is not None:
            member_ptr, members = rows.member_lists
            _put_in_order_of_going(rows, member_ptr, members, priority, forced)
        with engine.reporting("removal") as report:
            log = _core.removal(
                rows.matrix,
                rows.dim,
                graph.indptr,
                graph.indices,
                graph.similarities,
                of_rows,
                rows.class_of,
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
        np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of,
    )
    return history, log["costs"]


def removal_by_rounds(
    rows: UnitRows,
    graph: NeighborGraph,
    removable: NDArray[np.int32] | None,
    priority: NDArray[np.int32] | None,
    weights: NDArray[np.int64] | None,
    n_remove: int,
    engine: Engine,
) -> _core._RemovalLog | None:
    """The log of a removal on a GPU, of rows of which no two are identical; None where the CPU has to do it.

    A list has to hold two kept rows to the end. Where one does not, all that come close to that are made longer, and
    the removal starts again.
    """
    longer, lengths = LongerLists.none(), np.diff(graph.indptr)
    most = max(len(graph.indices), MORE_EDGES)
    for _ in range(STARTS):
        found = removal_on_gpu(graph, longer, removable, priority, weights, n_remove, engine)
        if isinstance(found, dict):
            return found
        worn = found[lengths[found] < min(rows.n_rows - 1, LONGEST)]
        if not len(worn):  # complete, or as long as they may become
            return None
        length = min(rows.n_rows - 1, LONGEST, 4 * max(1, int(lengths[worn].max())))
        if len(longer.indices) + length * len(worn) > most:
            return None
        try:
            lists = query(rows.gathered(worn, engine), rows.matrix, rows.dim, length, engine.quiet(), worn)
        except MemoryError:  # the GPU's
            return None
        if not _continue(graph, worn, *lists):
            return None
        longer = longer.and_these(worn, lists)
        lengths[worn] = length
    return None


def _continue(
    graph: NeighborGraph, rows: NDArray[np.int32], indices: NDArray[np.int32], similarities: NDArray[np.float32]
) -> bool:
    """Whether lists begin as the graph's do, which they replace: those of a graph made by others may not."""
    begin, end = graph.indptr[rows], graph.indptr[rows + 1]
    places = np.arange(indices.shape[1])
    listed = places < (end - begin)[:, None]
    if not listed.any():
        return True
    at = np.minimum(begin[:, None] + places, len(graph.indices) - 1)[listed]
    same = (graph.indices[at] == indices[listed]) & (graph.similarities[at] == similarities[listed])
    return bool(same.all())


def _put_in_order_of_going(
    rows: UnitRows,
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    priority: NDArray[np.int32] | None,
    forced: NDArray[np.int64],
) -> None:
    """Order the members of each class as they go: forced ones never, lower priority first, then the higher row."""
    sizes = np.diff(member_ptr)
    many = np.flatnonzero(sizes > 1)  # the other classes have one order only
    lengths = sizes[many].astype(np.int64)
    places = np.repeat(member_ptr[many] - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    some = members[places]
    must_keep = np.zeros(rows.n_rows, dtype=bool)
    must_keep[forced] = True
    keys: list[NDArray[Any]] = [-some, must_keep[some], np.repeat(many, lengths)]
    if priority is not None:
        keys.insert(1, priority[some])
    members[places] = some[np.lexsort(keys)]
