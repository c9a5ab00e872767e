"""Farthest-first traversal: add what is least similar to all that is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._insertion import InsertionHistory
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows


def kcenter(
    rows: UnitRows, graph: NeighborGraph, n_keep: int, forced: NDArray[np.int64], engine: Engine
) -> tuple[NDArray[np.int64], InsertionHistory | None]:
    """Rows in the order in which farthest-first traversal picks them (Gonzalez 1985), and their history.

    First come the `forced` rows or, without any, the row farthest from the mean of the unit rows; then always the
    row with the lowest similarity to its closest kept row, the lowest of equals. Copies of a kept row, and whatever
    else has similarity 1, come last, by row. `graph` is that of the distinct rows and may be without edges: it only
    saves comparisons. Where a higher one of several identical rows is forced, there is no history: among equally
    similar rows, its class would change its place when the lowest follows.
    """
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[forced], return_index=True)
    leading = forced[np.sort(firsts)]
    n_forced = len(leading)
    with engine.reporting("kcenter") as report:
        classes, similarities, closest = _core.kcenter(
            rows.matrix,
            rows.dim,
            rows.counts,
            graph.indptr,
            graph.indices,
            graph.similarities,
            class_of[leading],
            min(n_keep - (len(forced) - n_forced), rows.n_distinct),
            engine.n_threads,
            engine.isa,
            engine.block,
            report,
        )
    n_apart = n_forced + int((similarities[n_forced:] < 1).sum())
    picked = np.concatenate([forced, rows.first[classes[n_forced:n_apart]].astype(np.int64)])
    if len(picked) < n_keep:  # only similarities of 1 are left: the lowest rows
        free = np.ones(rows.n_rows, dtype=bool)
        free[picked] = False
        picked = np.concatenate([picked, np.flatnonzero(free)[: n_keep - len(picked)]])
    _, firsts = np.unique(class_of[picked], return_index=True)
    entries = np.sort(firsts)  # places at which a class is entered
    if (rows.first[classes[: len(entries)]] != picked[entries]).any():
        return picked, None
    indptr, places, to_closest = closest
    place_of = np.concatenate([entries, np.full(len(classes) - len(entries), n_keep)])  # copies took the others' places
    return picked, InsertionHistory(picked, indptr, place_of[places], to_closest, class_of, len(forced))
