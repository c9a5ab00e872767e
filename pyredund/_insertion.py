"""Greedy insertion: start from nothing, add what gains most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph
from pyredund._removal import lowest_rows
from pyredund._unit_rows import UnitRows


@dataclass(frozen=True)
class InsertionHistory:
    """What every prefix of an insertion looked like: which rows had been picked, and who stood for the others.

    Classes are sets of identical rows. The closest pick of class c changed to ``picked[places[e]]`` when that row was
    picked, for e from ``indptr[c]`` to ``indptr[c + 1]``. The first `n_forced` picks were forced; there is no history
    within them.
    """

    picked: NDArray[np.int64]
    indptr: NDArray[np.int64]
    places: NDArray[np.int64]
    similarities: NDArray[np.float32]
    class_of: NDArray[np.int32]
    n_forced: int

    def at(self, n_keep: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Representatives and similarities of all rows when the first `n_keep` were picked."""
        n_changes = np.add.reduceat(self.places < n_keep, self.indptr[:-1], dtype=np.int64)
        last = self.indptr[:-1] + n_changes - 1
        server, similarity = self.picked[self.places[last]], self.similarities[last]
        picked = self.picked[:n_keep]
        lowest = lowest_rows(self.class_of, picked)
        has_pick = lowest < len(self.class_of)
        server[has_pick] = lowest[has_pick]
        similarity[has_pick] = 1.0
        representatives = server[self.class_of]
        representatives[picked] = picked
        return representatives, similarity[self.class_of]


def history_of(
    picked: NDArray[np.int64], n_forced: int, rows: UnitRows, graph: NeighborGraph, engine: Engine
) -> InsertionHistory | None:
    """The history of picking rows in this order; None where a class is not entered by its lowest row.

    That happens when `must_keep` forces a higher one of several identical rows: a class's place among equally similar
    ones would change when its lowest row follows.
    """
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[picked], return_index=True)
    entries = np.sort(firsts)  # places at which a class is entered
    entered = class_of[picked[entries]]
    if (rows.first[entered] != picked[entries]).any():
        return None
    with engine.reporting("representatives") as report:
        indptr, places, similarities = _core.closest_prefix(
            rows.matrix,
            rows.dim,
            graph.indptr,
            graph.indices,
            graph.similarities,
            entered,
            int((entries < n_forced).sum()),
            picked[entries],
            engine.n_threads,
            engine.isa,
            engine.block,
            report,
        )
    return InsertionHistory(picked, indptr, entries[places], similarities, class_of, n_forced)


def insertion(
    rows: UnitRows,
    graph: NeighborGraph,
    n_keep: int,
    forced: NDArray[np.int64],
    weights: NDArray[np.int64],
    engine: Engine,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order in which they are picked, `forced` ones first, and what each gained, in units.

    `graph` is that of the distinct rows, `weights` are theirs.
    """
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[forced], return_index=True)
    leading = forced[np.sort(firsts)]  # the first forced row of each class gains, its copies gain nothing
    with engine.reporting("insertion") as report:
        classes, gained = _core.insertion(
            graph.indptr,
            graph.indices,
            graph.similarities,
            weights,
            class_of[leading],
            min(n_keep, rows.n_distinct),
            engine.n_threads,
            report,
        )
    # The first row of a class is its lowest; that a class was forced into the selection makes it the forced row.
    picked = rows.first[classes].astype(np.int64)
    picked[: len(leading)] = leading
    if len(leading) < len(forced):  # put the copies in their places among the forced rows
        gain_of = dict(zip(leading.tolist(), gained[: len(leading)].tolist(), strict=True))
        picked = np.concatenate([forced, picked[len(leading) :]])
        copies = np.array([gain_of.get(row, 0) for row in forced.tolist()], dtype=np.int64)
        gained = np.concatenate([copies, gained[len(leading) :]])
    picked, gained = picked[:n_keep], gained[:n_keep]
    if len(picked) < n_keep:  # no gain is left: the lowest rows
        rest = np.setdiff1d(np.arange(rows.n_rows), picked)[: n_keep - len(picked)]
        picked = np.concatenate([picked, rest])
        gained = np.concatenate([gained, np.zeros(len(rest), dtype=np.int64)])
    return picked, gained
