"""The main job: which rows to keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_choice, check_device, check_int, count_to_keep
from pyredund._closest import closest_kept
from pyredund._engine import Engine, Progress
from pyredund._inputs import row_source
from pyredund._insertion import history_of, insertion
from pyredund._kcenter import kcenter
from pyredund._knn_graph import DEFAULT_K, graph_bytes, neighbor_count, search_distinct
from pyredund._memory import check_memory
from pyredund._neighbor_graph import NeighborGraph
from pyredund._removal import removal
from pyredund._selection import Selection
from pyredund._unit_rows import UnitRows, unit_rows

METHODS = ("removal", "insertion", "kcenter", "random")


def select(
    embeddings: object,
    keep: float | int = 0.9,
    *,
    method: str = "removal",
    k: int | None = None,
    graph: NeighborGraph | None = None,
    must_keep: Iterable[int] | None = None,
    priority: object = None,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Selection:
    """Choose the rows worth keeping; every removed row names the kept row that stands for it.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        Real and finite; anything with ``__array__`` or ``__dlpack__``, or nested lists. Never written to. Only the
        direction of a row counts.
    keep : float or int, default 0.9
        A share in (0, 1] of the rows (rounded half up, at least 1), or a count from 1 to n.
    method : {"removal", "insertion", "kcenter", "random"}, default "removal"
        ``"removal"`` starts from all rows and takes away, again and again, the one whose removal costs least: the
        loss, summed over all rows, of similarity to the closest kept row. Equal costs: lower `priority` goes first,
        then the lower similarity to the second-nearest row not identical to it, then the higher index.
        ``"insertion"`` starts from none and adds the row that gains most (greedy facility location on the symmetrised
        graph of the `k` nearest distinct rows; ties to the lowest index).
        ``"kcenter"`` starts from the row farthest from the mean of the unit rows (or with the `must_keep` rows) and
        adds the row least similar to its closest kept row, ties to the lowest index: exact farthest-first traversal.
        ``"random"`` keeps a uniform random sample, the baseline for the others.
    k : int, optional
        Neighbours per row in the graph, at most n - 1. For removal and kcenter it only affects speed. For insertion
        it is part of the definition. Default: 32, for insertion at least 1 / share kept, for kcenter no graph.
    graph : NeighborGraph, optional
        The graph that `knn_graph` returned for these very rows in this order, so that several selections can share it.
        A sample of its similarities is checked.
    must_keep : iterable of int, optional
        Rows that are kept whatever they cost.
    priority : array_like of real numbers, shape (n,), optional
        Removal only: among equal costs, rows with a lower priority go first.
    device : {"auto", "cpu"}, default "auto"
        Where to compute.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take. Default: what the machine has left, less 256 MiB.
    seed : int, default 0
        Of the random numbers of ``"random"``; the other methods use none.
    progress : bool or callable, default False
        True shows a bar on standard error; a callable receives (done, total) several times a second.

    Returns
    -------
    Selection
        Kept and removed rows, representatives, costs or gains; the same for any number of threads.

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
    Time O(n^2 d) for the graph and, for removal and insertion, O(n k log n) in practice after it; memory
    O(n d + n k). Removal is reverse greedy; insertion is the greedy algorithm of Nemhauser, Wolsey and Fisher (1978)
    with the lazy evaluation of Minoux (1978); kcenter is the farthest-first traversal of Gonzalez (1985).

    Examples
    --------
    >>> import pyredund
    >>> embeddings = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]]
    >>> selection = pyredund.select(embeddings, keep=3)
    >>> selection.indices
    array([1, 2, 3])
    >>> selection.removed, selection.representatives[selection.removed]
    (array([0]), array([1]))
    """
    check_choice("method", method, METHODS)
    check_device(device)
    seed = check_int("seed", seed, at_least=0)
    engine = Engine.resolve(n_threads, progress)
    source = row_source("embeddings", embeddings)
    n = source.rows
    if n == 0:
        raise ValueError("embeddings must have at least 1 row to select from, got 0")
    n_keep = count_to_keep(keep, n)
    forced = _row_mask("must_keep", must_keep, n)
    if int(forced.sum()) > n_keep:
        raise ValueError(
            f"keep must be at least the number of must_keep rows, {int(forced.sum())}, got {keep!r} ({n_keep} rows)"
        )
    ranks = _priority_ranks(priority, n, method)
    k = _graph_size(k, graph, method, n, n_keep)
    if graph is not None and (graph.n_rows, graph.n_columns) != (n, n):
        raise ValueError(
            f"graph must join the {n} rows of embeddings with each other, got {graph.n_rows} rows and "
            f"{graph.n_columns} columns"
        )
    if graph is not None and (graph.indices == np.repeat(np.arange(n, dtype=np.int32), np.diff(graph.indptr))).any():
        raise ValueError("graph must not list a row among its own neighbours")
    check_memory(f"selecting from {n} rows with k={k}", graph_bytes(source, k), max_memory)
    rows = unit_rows("embeddings", source, engine)
    if method == "random":
        return _random(rows, n_keep, forced, seed, engine)
    if graph is not None:
        _check_belongs(graph, rows, engine)
    joined = (
        _distinct_graph(rows, graph)
        if graph is not None
        else search_distinct(rows, min(k, rows.n_distinct - 1), engine)
    )
    if method == "removal":
        history, costs = removal(rows, joined, n_keep, ranks, forced, engine)
        return Selection.from_removal(history, costs, k)
    if method == "kcenter":
        return kcenter(rows, joined, n_keep, forced, k or None, engine)
    picked, gains = insertion(rows, joined, n_keep, forced, engine)
    log = history_of(picked, int(forced.sum()), rows, joined, engine)
    if log is not None:
        return Selection.from_picks("insertion", log, n_keep, gains, k)
    kept = np.sort(picked)
    return Selection.from_kept("insertion", kept, *closest_kept(rows, kept, engine), picked, gains, k)


def _random(rows: UnitRows, n_keep: int, forced: NDArray[np.bool_], seed: int, engine: Engine) -> Selection:
    free = np.flatnonzero(~forced)
    drawn = np.random.default_rng(seed).permutation(free)[: n_keep - (rows.n_rows - len(free))]
    kept = np.sort(np.concatenate([np.flatnonzero(forced), drawn])).astype(np.int64)
    return Selection.from_kept("random", kept, *closest_kept(rows, kept, engine))


def _row_mask(name: str, rows: Iterable[int] | None, n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    if rows is None:
        return mask
    try:
        indices = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a list of row numbers, got {rows!r}") from None
    if indices.size == 0:
        return mask
    if indices.dtype.kind == "b":
        raise TypeError(f"{name} must be a list of row numbers, got a mask: use np.flatnonzero(mask)")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a list of row numbers, got {indices.dtype} of shape {indices.shape}")
    outside = indices[(indices < 0) | (indices >= n)]
    if len(outside):
        raise ValueError(f"{name} must hold row numbers in [0, {n}), got {outside[0]}")
    mask[indices] = True
    return mask


def _priority_ranks(priority: object, n: int, method: str) -> NDArray[np.int32]:
    if priority is None:
        return np.zeros(n, dtype=np.int32)
    if method != "removal":
        raise ValueError(f"priority must be None with method={method!r}: it breaks ties in removal only")
    try:
        values = np.asarray(priority)
    except ValueError as error:
        raise ValueError(f"priority must be a list of numbers: {error}") from None
    if values.dtype.kind not in "fiub":
        raise TypeError(f"priority must hold real numbers, got dtype {values.dtype}")
    if values.shape != (n,):
        raise ValueError(f"priority must have one entry per row, shape ({n},), got shape {values.shape}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(f"priority must not be NaN, row {int(np.flatnonzero(np.isnan(values))[0])} is")
    return cast("NDArray[np.int32]", np.unique(values, return_inverse=True)[1].astype(np.int32))


def _graph_size(k: int | None, graph: NeighborGraph | None, method: str, n: int, n_keep: int) -> int:
    if graph is not None:
        if not isinstance(graph, NeighborGraph):
            raise TypeError(f"graph must be a NeighborGraph, got {type(graph).__name__}")
        if k is not None:
            raise ValueError(f"k must be None where a graph is given, got k={k}")
        return int(np.diff(graph.indptr).max(initial=0))
    if method == "kcenter" and k is None:
        return 0  # measured: bounds on groups of rows do more than a graph is worth
    if method == "random":
        if k is not None:
            raise ValueError(f"k must be None with method='random', which needs no graph, got k={k}")
        return 0
    if k is None and method == "insertion":  # each kept row stands for n / n_keep rows, and should see as many
        return min(max(DEFAULT_K, -(-n // n_keep)), max(0, n - 1))
    return neighbor_count(k, n)


def _check_belongs(graph: NeighborGraph, rows: UnitRows, engine: Engine) -> None:
    """Refuse a graph of other rows: the first and last similarities of up to 4,096 rows must be theirs, exactly."""
    some = np.flatnonzero(np.diff(graph.indptr) > 0)
    some = some[:: max(1, len(some) // 4096)]
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    for edges in (graph.indptr[some], graph.indptr[some + 1] - 1):
        scores = np.empty(len(some), dtype=np.float32)
        neighbours = class_of[graph.indices[edges]]
        _core.similarities(rows.matrix[class_of[some]], rows.matrix[neighbours], scores, engine.isa)
        for at in np.flatnonzero(scores != graph.similarities[edges])[:1]:
            raise ValueError(
                f"graph must be that of these embeddings: it says {float(graph.similarities[edges[at]]):.6f} for the "
                f"similarity of rows {some[at]} and {graph.indices[edges[at]]}, which is {float(scores[at]):.6f}"
            )


def _distinct_graph(rows: UnitRows, graph: NeighborGraph) -> NeighborGraph:
    """The graph of all rows as a graph of the distinct ones: each keeps its first row's list, a class counting once."""
    if rows.class_of is None:
        return graph
    lengths = np.diff(graph.indptr)[rows.first]
    starts = np.repeat(graph.indptr[rows.first], lengths)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    edges = starts + within
    source = np.repeat(np.arange(rows.n_distinct, dtype=np.int64), lengths)
    target = rows.class_of[graph.indices[edges]]
    _, first_seen = np.unique(source * rows.n_distinct + target, return_index=True)
    chosen = np.sort(first_seen)
    chosen = chosen[source[chosen] != target[chosen]]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(source[chosen], minlength=rows.n_distinct))])
    return NeighborGraph(indptr, target[chosen], graph.similarities[edges[chosen]], rows.n_distinct, rows.n_distinct)
