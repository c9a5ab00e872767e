"""Greedy insertion: start from nothing, add what gains most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph
from pyredund._removal import UNIT
from pyredund._unit_rows import UnitRows


def insertion(
    rows: UnitRows, graph: NeighborGraph, n_keep: int, must_keep: NDArray[np.bool_], engine: Engine
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows in the order in which they are picked, and what each gained; `graph` is that of the distinct rows."""
    forced_rows = np.flatnonzero(must_keep)
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[forced_rows], return_index=True)
    leading = forced_rows[np.sort(firsts)]  # the first forced row of each class gains, its copies gain nothing
    with engine.reporting("insertion") as report:
        classes, gains = _core.insertion(
            graph.indptr,
            graph.indices,
            graph.similarities,
            rows.counts,
            class_of[leading],
            min(n_keep, rows.n_distinct),
            report,
        )
    # The first row of a class is its lowest; that a class was forced into the selection makes it the forced row.
    picked = rows.first[classes].astype(np.int64)
    picked[: len(leading)] = leading
    gained: NDArray[np.float64] = gains * UNIT
    if len(leading) < len(forced_rows):  # put the copies in their places among the forced rows
        gain_of = dict(zip(leading.tolist(), gained[: len(leading)].tolist(), strict=True))
        picked = np.concatenate([forced_rows, picked[len(leading) :]])
        copies = np.array([gain_of.get(row, 0.0) for row in forced_rows.tolist()])
        gained = np.concatenate([copies, gained[len(leading) :]])
    picked, gained = picked[:n_keep], gained[:n_keep]
    if len(picked) < n_keep:  # no gain is left: the lowest rows
        rest = np.setdiff1d(np.arange(rows.n_rows), picked)[: n_keep - len(picked)]
        picked = np.concatenate([picked, rest])
        gained = np.concatenate([gained, np.zeros(len(rest))])
    return picked, gained
