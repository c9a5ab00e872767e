"""The methods of `select`, one set of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyredund._agglomerative_select import agglomerative
from pyredund._closest import Listed, closest_kept
from pyredund._engine import Engine
from pyredund._given_graph import check_belongs, distinct_graph
from pyredund._insertion import history_of, insertion
from pyredund._kcenter import kcenter
from pyredund._knn_graph import DEFAULT_K, search_distinct
from pyredund._neighbor_graph import NeighborGraph
from pyredund._refine import refine
from pyredund._removal import in_similarity, removal
from pyredund._selection import Selection
from pyredund._unit_rows import UnitRows

METHODS = ("removal", "insertion", "kcenter", "agglomerative", "random")


@dataclass(frozen=True)
class Task:
    """What is to be selected from one set of rows.

    Parameters
    ----------
    rows : UnitRows
        The rows, and behind them those of the reference.
    n_reference : int
        Rows of the reference.
    n_keep : int
        Rows to keep, those of the reference aside.
    must_keep : ndarray of int64
        Rows that stay, ascending.
    priority : ndarray of int32, or None
        Ranks, of all rows but the reference's; None where all are equal.
    weights : ndarray of int64, or None
        Of the same rows, in units of `weight_unit`; None where each counts once.
    weight_unit : float
        A power of two.
    linkage : str
        Of agglomerative.
    room : int
        Bytes that agglomerative may take for pairs of rows, and removal for lists that replace those that run out.
    refine : bool
        Whether exchanges follow, for removal and insertion.
    """

    rows: UnitRows
    n_reference: int
    n_keep: int
    must_keep: NDArray[np.int64]
    priority: NDArray[np.int32] | None
    weights: NDArray[np.int64] | None = None
    weight_unit: float = 1.0
    linkage: str = "average"
    room: int = 1 << 62
    refine: bool = False

    @property
    def n_rows(self) -> int:
        """Rows, those of the reference aside."""
        return self.rows.n_rows - self.n_reference

    @property
    def forced(self) -> NDArray[np.int64]:
        """Rows that are kept from the start: those of the reference first."""
        return np.concatenate([np.arange(self.n_rows, self.rows.n_rows), self.must_keep])

    @property
    def class_weights(self) -> NDArray[np.int64] | None:
        """What each distinct row weighs, None: its number of rows; nothing is lost in a row of the reference."""
        if self.weights is None and self.n_reference == 0:
            return None
        weights = np.ones(self.n_rows, dtype=np.int64) if self.weights is None else self.weights
        class_of = np.arange(self.n_rows) if self.rows.class_of is None else self.rows.class_of[: self.n_rows]
        sums = np.zeros(self.rows.n_distinct, dtype=np.int64)
        np.add.at(sums, class_of, weights)
        return sums

    def in_similarity(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """Costs and gains as sums of similarities."""
        return in_similarity(units) * self.weight_unit


def neighbors_wanted(method: str, k: int | None, task: Task) -> int:
    """The k that is meant; 0 where the method needs no graph."""
    n, others = task.rows.n_rows, max(0, task.rows.n_rows - 1)
    if method == "random" or (method in ("kcenter", "agglomerative") and k is None):
        return 0  # measured: bounds on groups of rows, and on all pairs, do more than a graph is worth
    if k is None and method == "insertion":  # each kept row stands for n / n_keep rows, and should see as many
        return min(max(DEFAULT_K, -(-n // (task.n_keep + task.n_reference))), others)
    return min(DEFAULT_K if k is None else k, others)


def run(
    method: str, task: Task, k: int | None, graph: NeighborGraph | None, seed: tuple[int, ...], engine: Engine
) -> Selection:
    """Select from one set of rows."""
    rows, forced, m = task.rows, task.forced, task.n_reference
    if method == "random":
        free = np.setdiff1d(np.arange(task.n_rows), task.must_keep)
        drawn = np.random.default_rng(seed).permutation(free)[: task.n_keep - len(task.must_keep)]
        kept = np.sort(np.concatenate([forced, drawn]))
        return Selection.from_kept(method, kept, *closest_kept(rows, kept, engine), n_reference=m)
    # Removal and insertion read lists of rows as they are: those of distinct rows would be as large again.
    by_rows = graph is not None and rows.class_of is not None and method in ("removal", "insertion")
    by_rows &= not task.refine and engine.device == "cpu"
    if graph is not None:
        check_belongs(graph, rows, engine)
        k = int(np.diff(graph.indptr).max(initial=0))
        joined = graph if by_rows else distinct_graph(rows, graph)
    else:
        k = neighbors_wanted(method, k, task)
        joined = search_distinct(rows, min(k, rows.n_distinct - 1), engine)
    if method == "agglomerative":
        near = joined if k else None
        selection = agglomerative(rows, task.n_keep, task.linkage, task.priority, near, task.room, engine)
        return replace(selection, k=k or None)
    if method == "removal":
        priority = task.priority
        if priority is not None:
            priority = np.concatenate([priority, np.zeros(m, dtype=np.int32)])
        n_keep = task.n_keep + m
        weights = task.class_weights
        log, costs = removal(rows, joined, n_keep, priority, forced, weights, engine, task.room, of_rows=by_rows)
        if task.refine:
            gone = np.zeros(rows.n_rows, dtype=bool)
            gone[log.removed] = True
            return _refined(method, task, np.flatnonzero(~gone), joined, k, engine)
        return Selection.from_removal(log, task.in_similarity(costs), k, m)
    if method == "kcenter":
        picked, history = kcenter(rows, joined, task.n_keep + m, forced, engine)
        if history is not None:
            return Selection.from_picks(method, history, task.n_keep, None, k or None, m)
        kept, gains = _ascending(picked, rows.n_rows), None
        closest = closest_kept(rows, kept, engine)
    else:
        picked, gained = insertion(rows, joined, task.n_keep + m, forced, task.class_weights, engine, of_rows=by_rows)
        if task.refine:
            return _refined(method, task, _ascending(picked, rows.n_rows), joined, k, engine)
        gains = task.in_similarity(gained)[picked < task.n_rows]
        history = history_of(picked, len(forced), rows, joined, engine, of_rows=by_rows)
        kept = _ascending(picked, rows.n_rows)
        closest = closest_kept(rows, kept, engine, Listed(joined, are_even=False, of_rows=by_rows))
    return Selection.from_kept(method, kept, *closest, picked, gains, k or None, history, m)


def _ascending(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Some of n rows, none twice, in order: faster than sorting where they are many."""
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return np.flatnonzero(mask)


def _refined(
    method: str, task: Task, kept: NDArray[np.int64], graph: NeighborGraph, k: int, engine: Engine
) -> Selection:
    """The selection after exchanges, which leave neither an order nor costs."""
    weights = task.class_weights
    weights = task.rows.counts if weights is None else weights
    kept = refine(task.rows, graph, kept, task.forced, weights, engine)
    closest = closest_kept(task.rows, kept, engine, Listed(graph, are_even=False))
    return replace(Selection.from_kept(method, kept, *closest, k=k, n_reference=task.n_reference), refined=True)
