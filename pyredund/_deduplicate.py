"""Deduplication: every row but those that a kept row stands for at a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_threshold
from pyredund._closest import Listed, closest_listed
from pyredund._device import check_device, pairs_on_gpu
from pyredund._engine import Engine, Progress
from pyredund._given_graph import check_belongs, check_graph, similar_lists
from pyredund._inputs import reference_source, row_source
from pyredund._knn_graph import graph_needs, query, reference_needs
from pyredund._neighbor_graph import NeighborGraph, unchecked_graph
from pyredund._removal import lowest_rows
from pyredund._row_arguments import priority_ranks, row_mask
from pyredund._scratch import Needs, within_memory
from pyredund._selection import Selection
from pyredund._sketch import layout_of, sketch_of
from pyredund._unit_rows import UnitRows, padded, unit_rows

UNDECIDED, KEPT, DROPPED = 0, 1, 2  # the core's fates
PAIR_BYTES = 40  # of a pair found: two rows and a similarity while they are collected, then two entries of lists
COPIED_EDGE_BYTES = 8  # of an entry of a given graph
FEW_PAIRS, MANY_PAIRS = 4, 64  # of a row, above which it counts as crowded: a matter of memory and speed only


def deduplicate(
    embeddings: object,
    threshold: float = 0.95,
    *,
    graph: NeighborGraph | None = None,
    priority: object = None,
    must_keep: Iterable[int] | None = None,
    reference: object = None,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> Selection:
    """Keep rows of which no two are as similar as `threshold`; every other row is that similar to a kept one.

    Rows are visited by `priority`, highest first, then by index; a row is kept unless a row kept so far has a
    similarity of `threshold` or more to it. So a row is never removed because of one that is itself removed.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `select`.
    threshold : float, default 0.95
        Similarity from which on rows count as duplicates, in (0, 1]; compared with the reported float32 similarity.
        With 1, rows go whose similarity rounds to 1.
    graph : NeighborGraph, optional
        What `radius_graph` or `knn_graph` returned for these very rows in this order, so that several calls can share
        it. A radius graph with a threshold no higher than this one holds all pairs. Of `knn_graph`'s, those of two rows
        are searched for whose lists are too short to reach the threshold, or full of similar rows; a graph that lacks
        much is no help. A sample of it is checked.
    priority : array_like of real numbers, shape (n,), optional
        Rows with a higher priority are visited first. Default: all equal.
    must_keep : iterable of int, optional
        Rows that are kept whatever they resemble. They count as kept from the start.
    reference : array_like, shape (m, d), optional
        Rows that you own already: they count as kept from the start, so that what stays is new. With the training set
        as reference, what goes from a test set is what leaks into it.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to search for similar rows where no graph is given; the visit itself runs on the CPU.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take, as for `knn_graph`.
    progress : bool or callable, default False
        True shows a bar on standard error; a callable receives (done, total) several times a second.

    Returns
    -------
    Selection
        The representative of a row is its closest kept row; row r of `reference` has the number n + r.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of range or does not fit the embeddings, or if these hold NaN or infinity or no rows.
    MemoryError
        If the computation would not fit.

    Notes
    -----
    A zero row has no direction and is kept, unless it equals a kept zero row: identical rows have similarity 1. Time
    O(n^2 d), much less where bounds rule most pairs out, and O(n m d) for the reference; memory O((n + m) d), up to 64
    pairs a row, and a copy of a given graph of nearest neighbours where rows repeat. What is kept is the greedy maximal
    independent set, in the order of the visit, of the graph of similar pairs.

    Examples
    --------
    >>> import pyredund
    >>> embeddings = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]]
    >>> selection = pyredund.deduplicate(embeddings, threshold=0.99)
    >>> selection.indices, selection.representatives
    (array([0, 2, 3]), array([0, 0, 2, 3]))
    >>> pyredund.deduplicate(embeddings, threshold=0.99, reference=[[0.0, 2.0]]).indices
    array([0, 3])
    """
    device = check_device(device)
    lowest = check_threshold(threshold, positive=True)
    engine = Engine.resolve(n_threads, progress, device)
    source = row_source("embeddings", embeddings)
    n = source.rows
    if n == 0:
        raise ValueError("embeddings must have at least 1 row to deduplicate, got 0")
    others = reference_source(reference, source.dim) if reference is not None else None
    if graph is not None:
        graph = check_graph(graph, n)
    forced = row_mask("must_keep", must_keep, n)
    ranks = priority_ranks(priority, n)
    few = n * FEW_PAIRS * PAIR_BYTES
    needs = graph_needs(source, 0, engine) + Needs(few, few, n * padded(source.dim) * 4)
    if others is not None:
        needs += reference_needs(others)
    if graph is not None and graph.threshold is None:  # as a graph of distinct rows
        needs += Needs(COPIED_EDGE_BYTES * len(graph.indices), COPIED_EDGE_BYTES * len(graph.indices))
    engine, room = within_memory(f"deduplicating {n} rows", needs, max_memory, engine)
    rows = unit_rows("embeddings", source, engine)
    owned = unit_rows("reference", others, engine) if others is not None and others.rows else None
    most = min(MANY_PAIRS, FEW_PAIRS + room // (PAIR_BYTES * n))
    if graph is not None:
        check_belongs(graph, rows, engine)
    kept, representatives, similarities = _visit(rows, owned, lowest, ranks, forced, most, engine, graph)
    n_reference = others.rows if others is not None else 0
    must = np.flatnonzero(forced) if forced.any() else None
    selection = Selection.from_kept("deduplicate", kept, representatives, similarities)
    return replace(selection, threshold=lowest, must_keep=must, n_reference=n_reference)


def _visit(
    rows: UnitRows,
    owned: UnitRows | None,
    threshold: float,
    ranks: NDArray[np.int32] | None,
    forced: NDArray[np.bool_],
    most: int,
    engine: Engine,
    given: NeighborGraph | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Kept rows, representatives and similarities; rows in `most` pairs or more are searched while they are visited."""
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    of_class, order = _visits(rows, class_of, ranks)
    fates = np.zeros(rows.n_distinct, dtype=np.uint8)
    near = _closest_owned(rows, owned, engine) if owned is not None else None
    if near is not None:
        fates[near.similarities.astype(np.float64) >= threshold] = DROPPED
    forced_rows = np.flatnonzero(forced)
    fates[class_of[forced_rows]] = KEPT
    found = similar_lists(rows, given, threshold, most, engine) if given is not None else None
    lists, crowded = found if found is not None else _pairs(rows, threshold, most, engine)
    with engine.reporting("visit") as report:
        _core.deduplicate(
            rows.matrix,
            rows.dim,
            lists.graph.indptr,
            lists.graph.indices,
            lists.graph.similarities,
            *lists.names(rows),
            crowded,
            order,
            threshold,
            fates,
            engine.n_threads,
            engine.isa,
            engine.block,
            report,
        )
    del order
    is_kept = fates == KEPT
    lone = is_kept.copy()
    lone[class_of[forced_rows]] = False  # of these, the forced rows stay
    stays = forced.copy()
    stays[of_class[lone]] = True
    kept = np.flatnonzero(stays)

    names = lowest_rows(class_of, stays)  # of each class that has a kept row, -1 where there is none
    names[~is_kept] = -1
    closest, similarities = closest_listed(rows, lists, names)
    _add_closest_of_crowd(rows, crowded, fates, names, closest, similarities, engine)
    representatives = closest[class_of].astype(np.int64)
    if near is not None:
        closer = (fates == DROPPED) & (near.is_identical | (near.similarities > similarities) | (closest < 0))
        similarities[closer] = near.similarities[closer]
        of_rows = closer[class_of]
        representatives[of_rows] = rows.n_rows + near.rows[class_of[of_rows]]
    representatives[kept] = kept
    return kept, representatives, similarities if rows.class_of is None else similarities[class_of]


def _visits(
    rows: UnitRows, class_of: NDArray[np.int32], ranks: NDArray[np.int32] | None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Which row of each class is visited first, and the order in which the classes are visited."""
    if ranks is None:  # that in which they are numbered
        return rows.first, np.arange(rows.n_distinct, dtype=np.int32)
    visits = np.argsort(-ranks, kind="stable").astype(np.int32)
    visited, first_visits = np.unique(class_of[visits], return_index=True)
    assert len(visited) == rows.n_distinct
    return visits[first_visits], np.argsort(first_visits).astype(np.int32)


def _pairs(rows: UnitRows, threshold: float, most: int, engine: Engine) -> tuple[Listed, NDArray[np.uint8]]:
    """The lists of similar rows, without most pairs of crowded rows, and which rows are crowded."""
    crowded = np.zeros(rows.n_distinct, dtype=np.uint8)

    def search(sketch: tuple[object, ...] | None) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        with engine.reporting("pairs", "tile") as report:
            return _core.uncrowded_pairs(
                rows.matrix,
                rows.dim,
                sketch,
                threshold,
                most,
                crowded,
                engine.n_threads,
                engine.isa,
                engine.block,
                report,
            )

    pairs = None
    if engine.device == "cuda":  # which marks no crowded rows: where there are more pairs, the CPU does
        with suppress(MemoryError):
            pairs = pairs_on_gpu(rows.matrix, None, threshold, rows.n_distinct * most, engine)
    layout = layout_of(rows, 1, engine, threshold) if pairs is None else None
    if layout is not None:
        with rows.arranged(layout.order, engine):
            sketch = sketch_of(rows, layout, engine)
            if sketch is not None:
                pairs = search(sketch)
    if pairs is None:
        pairs = search(None)
    indptr = np.empty(rows.n_distinct + 1, dtype=np.int64)
    indices = np.empty(2 * len(pairs[0]), dtype=np.int32)
    similarities = np.empty(len(indices), dtype=np.float32)
    _core.lists_of_pairs(*pairs, True, indptr, indices, similarities)
    graph = unchecked_graph(indptr, indices, similarities, rows.n_distinct, rows.n_distinct)
    return Listed(graph, are_even=True), crowded


def _add_closest_of_crowd(
    rows: UnitRows,
    crowded: NDArray[np.uint8],
    fates: NDArray[np.uint8],
    names: NDArray[np.int32],
    closest: NDArray[np.int32],
    similarities: NDArray[np.float32],
    engine: Engine,
) -> None:
    """Let kept crowded rows stand for dropped crowded ones, where they are closer than what is listed."""
    kept = np.flatnonzero((crowded != 0) & (fates == KEPT))
    dropped = np.flatnonzero((crowded != 0) & (fates == DROPPED))
    if not len(kept) or not len(dropped):
        return
    kept = kept[np.argsort(names[kept])]  # the order in which ties are to be broken
    queries, others = rows.gathered(dropped, engine), rows.gathered(kept, engine)
    found, scores = query(queries, others, rows.dim, 1, engine.quiet())
    name, score = names[kept[found[:, 0]]], scores[:, 0]
    listed, listed_score = closest[dropped], similarities[dropped]
    closer = (listed < 0) | (score > listed_score) | ((score == listed_score) & (name < listed))
    closest[dropped[closer]] = name[closer]
    similarities[dropped[closer]] = score[closer]


@dataclass(frozen=True)
class _Owned:
    """The closest row of the reference to each distinct row, its similarity, and whether the two are identical."""

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]
    is_identical: NDArray[np.bool_]


def _closest_owned(rows: UnitRows, owned: UnitRows, engine: Engine) -> _Owned:
    n = rows.n_distinct
    found, scores = query(rows.matrix, owned.matrix, rows.dim, 1, engine)
    closest, is_owned = found[:, 0].astype(np.int64), np.zeros(n, dtype=bool)
    alike = np.flatnonzero(scores[:, 0] == 1)  # of several such rows, an identical one is the closest
    if len(alike):
        both = engine.large_floats(owned.n_distinct + len(alike), owned.matrix.shape[1])
        _core.gather_rows(owned.matrix, np.arange(owned.n_distinct, dtype=np.int32), both[: owned.n_distinct])
        _core.gather_rows(rows.matrix, alike.astype(np.int32), both[owned.n_distinct :])
        class_of = np.empty(len(both), dtype=np.int32)
        _core.collapse_identical_rows(both, class_of)
        same = class_of[owned.n_distinct :]
        identical = same < owned.n_distinct
        closest[alike[identical]] = same[identical]
        is_owned[alike[identical]] = True
    return _Owned(owned.first[closest].astype(np.int64), scores[:, 0], is_owned)
