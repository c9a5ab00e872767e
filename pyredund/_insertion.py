"""Greedy insertion: start from nothing, add what gains most."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._device import insertion_on_gpu
from pyredund._engine import Engine
from pyredund._given_graph import distinct_graph
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
        is_picked = np.zeros(len(self.class_of), dtype=bool)
        is_picked[picked] = True
        lowest = lowest_rows(self.class_of, is_picked)
        has_pick = lowest < len(self.class_of)
        server[has_pick] = lowest[has_pick]
        similarity[has_pick] = 1.0
        representatives = server[self.class_of]
        representatives[picked] = picked
        return representatives, similarity[self.class_of]


@dataclass(frozen=True)
class _Source:
    """What the log of an insertion is made from.

    Classes are entered in the order of `entered`, by the picks at places `entries`, the first `n_forced` by force.
    """

    entered: NDArray[np.int32]
    entries: NDArray[np.int64]
    n_forced: int
    tie_order: NDArray[np.int64]
    rows: UnitRows
    graph: NeighborGraph
    of_rows: bool
    engine: Engine

    def log(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Changes of the closest picks: `indptr`, `places` and `similarities` of a history."""
        graph = distinct_graph(self.rows, self.graph) if self.of_rows else self.graph
        with self.engine.reporting("representatives", "tile") as report:
            indptr, places, similarities = _core.closest_prefix(
                self.rows.matrix,
                self.rows.dim,
                graph.indptr,
                graph.indices,
                graph.similarities,
                self.entered,
                self.n_forced,
                self.tie_order,
                self.engine.n_threads,
                self.engine.isa,
                self.engine.block,
                report,
            )
        return indptr, self.entries[places], similarities


class PendingHistory(InsertionHistory):
    """A history that makes its log when it is first asked for it, which takes longer than to pick the rows.

    Until then it holds on to the rows and the graph.
    """

    def __init__(self, picked: NDArray[np.int64], class_of: NDArray[np.int32], n_forced: int, source: _Source) -> None:
        vars(self).update(picked=picked, class_of=class_of, n_forced=n_forced, _source=source)

    def __getattr__(self, name: str) -> object:  # of what is not there yet
        if name not in ("indptr", "places", "similarities"):
            raise AttributeError(name)
        source = vars(self)["_source"]
        if source is not None:  # else another thread has made it just now
            vars(self).update(zip(("indptr", "places", "similarities"), source.log(), strict=True))
            vars(self)["_source"] = None
        return vars(self)[name]

    def __reduce__(self) -> tuple[type[InsertionHistory], tuple[object, ...]]:
        return InsertionHistory, tuple(getattr(self, part.name) for part in fields(InsertionHistory))


def history_of(
    picked: NDArray[np.int64], n_forced: int, rows: UnitRows, graph: NeighborGraph, engine: Engine, *, of_rows: bool
) -> InsertionHistory | None:
    """The history of picking rows in this order; None where a class is not entered by its lowest row.

    That happens when `must_keep` forces a higher one of several identical rows: a class's place among equally similar
    ones would change when its lowest row follows.
    """
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    entries = np.arange(len(picked))  # places at which a class is entered
    if rows.class_of is not None:
        _, firsts = np.unique(class_of[picked], return_index=True)
        entries = np.sort(firsts)
    entered = class_of[picked[entries]]
    if (rows.first[entered] != picked[entries]).any():
        return None
    n_entered = int((entries < n_forced).sum())
    source = _Source(entered, entries, n_entered, picked[entries], rows, graph, of_rows, engine.quiet())
    return PendingHistory(picked, class_of, n_forced, source)


def insertion(
    rows: UnitRows,
    graph: NeighborGraph,
    n_keep: int,
    forced: NDArray[np.int64],
    weights: NDArray[np.int64] | None,
    engine: Engine,
    *,
    of_rows: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order in which they are picked, `forced` ones first, and what each gained, in units.

    `graph` is that of the distinct rows or (`of_rows`) of all, `weights` are those of the distinct ones, None their
    numbers of rows.
    """
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    _, firsts = np.unique(class_of[forced], return_index=True)
    leading = forced[np.sort(firsts)]  # the first forced row of each class gains, its copies gain nothing
    # In a graph of rows, the first row of a class is in the place of the class: it counts as often as all of them.
    nodes = rows.first[class_of[leading]] if of_rows else class_of[leading]
    counts = node_weights(rows, weights, of_rows=of_rows)
    if engine.device == "cuda" and engine.cuda_selectors and not len(leading):
        found, gained = insertion_on_gpu(graph, counts, min(n_keep, rows.n_distinct), engine)
    else:
        with engine.reporting("insertion") as report:
            found, gained = _core.insertion(
                graph.indptr,
                graph.indices,
                graph.similarities,
                counts,
                nodes,
                min(n_keep, rows.n_distinct),
                engine.n_threads,
                report,
            )
    # The first row of a class is its lowest; that a class was forced into the selection makes it the forced row.
    picked = (found if of_rows else rows.first[found]).astype(np.int64)
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


def node_weights(rows: UnitRows, weights: NDArray[np.int64] | None, *, of_rows: bool) -> NDArray[np.int32] | None:
    """Weights of what the graph joins, below 0 for rows that are not the first of their class; None: 1 each."""
    if weights is None and rows.class_of is None:
        return None
    of_classes = (rows.counts if weights is None else weights).astype(np.int32)  # with a sum of at most 2^31
    if not of_rows:
        return of_classes
    of_nodes = np.full(rows.n_rows, -1, dtype=np.int32)
    of_nodes[rows.is_first] = of_classes
    return of_nodes
