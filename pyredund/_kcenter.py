"""Farthest-first traversal: add what is least similar to all that is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._closest import closest_kept
from pyredund._engine import Engine
from pyredund._insertion import InsertionHistory
from pyredund._neighbor_graph import NeighborGraph
from pyredund._selection import Selection
from pyredund._unit_rows import UnitRows


def kcenter(
    rows: UnitRows, graph: NeighborGraph, n_keep: int, must_keep: NDArray[np.bool_], k: int | None, engine: Engine
) -> Selection:
    """Select by farthest-first traversal (Gonzalez 1985).

    First come the `must_keep` rows or, without any, the row farthest from the mean of the unit rows; then always the
    row with the lowest similarity to its closest kept row, the lowest of equals. Copies of a kept row, and whatever
    else has similarity 1, come last, by row. `graph` is that of the distinct rows and may be without edges: it only
    saves comparisons.
    """
    forced_rows = np.flatnonzero(must_keep)
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[forced_rows], return_index=True)
    leading = forced_rows[np.sort(firsts)]
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
            min(n_keep - (len(forced_rows) - n_forced), rows.n_distinct),
            engine.n_threads,
            engine.isa,
            engine.block,
            report,
        )
    n_apart = n_forced + int((similarities[n_forced:] < 1).sum())
    picked = np.concatenate([forced_rows, rows.first[classes[n_forced:n_apart]].astype(np.int64)])
    if len(picked) < n_keep:  # only similarities of 1 are left: the lowest rows
        free = np.ones(rows.n_rows, dtype=bool)
        free[picked] = False
        picked = np.concatenate([picked, np.flatnonzero(free)[: n_keep - len(picked)]])
    _, firsts = np.unique(class_of[picked], return_index=True)
    entries = np.sort(firsts)  # places at which a class is entered
    if (rows.first[classes[: len(entries)]] != picked[entries]).any():
        # A higher one of several identical rows was forced: among equally similar ones, its class would change its
        # place when the lowest follows.
        kept = np.sort(picked)
        return Selection.from_kept("kcenter", kept, *closest_kept(rows, kept, engine), picked, k=k)
    indptr, places, to_closest = closest
    place_of = np.concatenate([entries, np.full(len(classes) - len(entries), n_keep)])  # copies took the others' places
    history = InsertionHistory(picked, indptr, place_of[places], to_closest, class_of, len(forced_rows))
    return Selection.from_picks("kcenter", history, n_keep, None, k)
