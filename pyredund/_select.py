"""The main job: which rows to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund._agglomerative import LINKAGES
from pyredund._checks import check_choice, check_int, count_to_keep
from pyredund._device import check_device
from pyredund._engine import Engine, Progress
from pyredund._given_graph import check_graph
from pyredund._groups import Seats, merge
from pyredund._inputs import RowSource, reference_source, row_source
from pyredund._knn_graph import DEFAULT_K, graph_needs, neighbor_count
from pyredund._methods import METHODS, Task, run
from pyredund._neighbor_graph import NeighborGraph
from pyredund._row_arguments import group_codes, priority_ranks, row_mask, sample_weights, weight_units
from pyredund._scratch import Needs, within_memory
from pyredund._selection import Selection
from pyredund._unit_rows import padded, unit_rows

SUMMING = ("removal", "insertion")  # the methods that go by a sum over the rows
SELECTING = 200  # bytes of a row, whatever k
QUERIES_AT_ONCE = 96  # rows of the smallest block in which nearest kept rows are searched
IN_MEMORY = ("insertion", "kcenter", "agglomerative")  # the methods that keep copies of unit rows or of the graph


def select(
    embeddings: object,
    keep: float | int | Mapping[Any, float | int] = 0.9,
    *,
    method: str = "removal",
    k: int | None = None,
    graph: NeighborGraph | None = None,
    groups: object = None,
    must_keep: Iterable[int] | None = None,
    priority: object = None,
    sample_weight: object = None,
    reference: object = None,
    linkage: str = "average",
    refine: bool = False,
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
    keep : float, int or dict, default 0.9
        A share in (0, 1] of the rows (rounded half up, at least 1), or a count from 1 to n. With `groups`, also a share
        or a count for each label.
    method : {"removal", "insertion", "kcenter", "agglomerative", "random"}, default "removal"
        ``"removal"`` starts from all rows and takes away, again and again, the one whose removal costs least: the
        loss, summed over all rows, of similarity to the closest kept row. Equal costs: lower `priority` goes first,
        then the lower similarity to the second-nearest row not identical to it, then the higher index.
        ``"insertion"`` starts from none and adds the row that gains most (greedy facility location on the symmetrised
        graph of the `k` nearest distinct rows; ties to the lowest index).
        ``"kcenter"`` starts from the row farthest from the mean of the unit rows (or with the `must_keep` rows) and
        adds the row least similar to its closest kept row, ties to the lowest index: exact farthest-first traversal.
        ``"agglomerative"`` merges rows into as many clusters as rows are kept, as `agglomerative_labels` does, and
        keeps of each the row with the largest sum of similarities to the others. Equal sums: higher `priority`, then
        the higher similarity to the second-nearest row not identical to it, then the lower index.
        ``"random"`` keeps a uniform random sample, the baseline for the others.
    k : int, optional
        Neighbours per row in the graph, at most n - 1 (a small group takes as many as it has). For insertion it is part
        of the definition; for the other methods it only affects speed. Default: 32, for insertion at least 1 / share
        kept, for kcenter and agglomerative no graph.
    graph : NeighborGraph, optional
        The graph that `knn_graph` returned for these very rows in this order, so that several selections can share it.
        A sample of its similarities is checked.
    groups : array_like of labels, shape (n,), optional
        Classes, or any other partition. Each group is selected on its own, and its rows are represented by its own.
        Each keeps at least one row; else groups share the kept rows in proportion to their sizes, by the divisor method
        of Sainte-Lague, so that `at` and larger or smaller `keep` stay nested.
    must_keep : iterable of int, optional
        Rows that are kept whatever they cost. Not for agglomerative, which keeps one row of each cluster: two such rows
        may fall into one.
    priority : array_like of real numbers, shape (n,), optional
        Removal and agglomerative only: among equal costs or sums, rows with a lower priority go first.
    sample_weight : array_like of real numbers, shape (n,), optional
        Removal and insertion: how often each row counts in the sum over all rows that costs and gains are made of.
        Whole numbers are exact up to a sum of 2^29; otherwise weights are rounded to about a 2^29th of their sum.
    reference : array_like, shape (m, d), optional
        Rows that you own already. They count as kept from the start, represent rows (row r has the number n + r), and
        have no part in sums; `keep` counts the others only. Not for agglomerative, whose clusters are of rows to choose
        from.
    linkage : {"average", "complete", "single"}, default "average"
        Agglomerative only: the distance of two clusters, as for `agglomerative_labels`.
    refine : bool, default False
        Removal and insertion: afterwards, visit the removed rows in ascending order, again and again until a round
        exchanges nothing. Each comes in for the kept row that is then cheapest to lose (the highest of equals) if it
        gains more than that one costs, in the sum over all rows of the similarity to the closest kept row. A smaller
        mean distance, often a larger maximum; no costs, no gains, no order, so no other sizes by `at`. Of a single
        kept row, nothing is exchanged.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to search for neighbours; the selection itself runs on the CPU.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take. Default: what the machine has left, less 256 MiB. Where that is not enough for
        all, removal and random keep unit rows and what is made of them in temporary files, as `knn_graph` does; the
        other methods say how much they need.
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
    Time O(n^2 d) for the graph (of n + m rows with a reference, of each group with groups) and, for removal and
    insertion, O(n k log n) in practice after it; memory O(n d + n k). Removal is reverse greedy; insertion is the
    greedy algorithm of Nemhauser, Wolsey and Fisher (1978) with the lazy evaluation of Minoux (1978); kcenter is the
    farthest-first traversal of Gonzalez (1985). For agglomerative, see `agglomerative_labels`.

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
    searches = method in ("removal", "insertion") or (method == "kcenter" and k is not None)
    device = check_device(device, has_cuda=searches)
    seed = check_int("seed", seed, at_least=0)
    engine = Engine.resolve(n_threads, progress, device)
    source = row_source("embeddings", embeddings)
    others = reference_source(reference, source.dim) if reference is not None else None
    n, m = source.rows, others.rows if others is not None else 0
    if n == 0:
        raise ValueError("embeddings must have at least 1 row to select from, got 0")
    if n + m >= 2**31:
        raise ValueError(f"embeddings and reference must have fewer than 2^31 rows together, got {n + m}")
    forced = row_mask("must_keep", must_keep, n)
    _check_linkage(linkage, method, must_keep=bool(forced.any()), extended=m > 0)
    if priority is not None and method not in ("removal", "agglomerative"):
        raise ValueError(
            f"priority must be None with method={method!r}: it breaks ties in removal and agglomerative only"
        )
    _check_refine(refine, method)
    ranks = priority_ranks(priority, n)
    weights = _weights(sample_weight, n, method)
    k = _check_k(k, method, n + m, grouped=groups is not None)
    if graph is not None:
        _check_alone(graph, k, method, grouped=groups is not None, extended=m > 0)
        graph = check_graph(graph, n)
    grouping = None if groups is None else group_codes(groups, n)
    counts = _counts(keep, forced, grouping, n)
    units, unit = (None, 1.0) if weights is None else weight_units(weights)
    n_neighbors = np.diff(graph.indptr).max(initial=0) if graph is not None else k or DEFAULT_K
    needs = _needs(source, method, int(n_neighbors), engine) + (
        Needs(0, 0) if others is None else _needs(others, method, int(n_neighbors), engine)
    )
    what = f"selecting from {n + m} rows with k={n_neighbors}"
    what += f" and method={method!r}" if method in IN_MEMORY else ""
    engine, room = within_memory(what, needs, max_memory, engine)
    rows = unit_rows("embeddings", source, engine, others)
    if grouping is None:
        task = Task(rows, m, int(counts.sum()), np.flatnonzero(forced), ranks, units, unit, linkage, room, refine)
        selection = run(method, task, k, graph, (seed,), engine)
        return replace(selection, sample_weight=weights)
    codes = grouping[1]
    by_group = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    parts = []
    for group, members in enumerate(by_group):
        own = rows.taken(np.concatenate([members, np.arange(n, n + m)]), engine)
        must = np.flatnonzero(forced[members])
        own_units = None if units is None else units[members]
        own_ranks = None if ranks is None else ranks[members]
        task = Task(own, m, int(counts[group]), must, own_ranks, own_units, unit, linkage, room, refine)
        parts.append(run(method, task, k, None, (seed, group), engine))
    seats = Seats.of(np.bincount(codes), np.bincount(codes[forced], minlength=len(by_group)))
    selection = merge(method, parts, by_group, codes, seats, keep_history=m == 0 and not isinstance(keep, Mapping))
    return replace(selection, sample_weight=weights)


def _needs(source: RowSource, method: str, n_neighbors: int, engine: Engine) -> Needs:
    n, row = source.rows, padded(source.dim) * 4
    needs = graph_needs(source, n_neighbors, engine)
    if method in IN_MEMORY:
        return Needs(needs.memory + (n * (row + 128) if method == "agglomerative" else 0))
    # What a selection takes beside the graph; copies of the rows: those that are kept, or of one group.
    assert needs.least is not None
    between_looks = engine.n_threads * QUERIES_AT_ONCE * row  # of very long rows more than every search may touch
    least = max(needs.least, n * (8 * n_neighbors + SELECTING)) + between_looks
    return Needs(needs.memory, least, needs.disk + 2 * n * row)


def _check_linkage(linkage: str, method: str, *, must_keep: bool, extended: bool) -> None:
    check_choice("linkage", linkage, LINKAGES)
    if method != "agglomerative":
        if linkage != "average":
            raise ValueError(
                f"linkage must be left out with method={method!r}, which makes no clusters, got {linkage!r}"
            )
        return
    if must_keep:
        raise ValueError(
            "must_keep must be None with method='agglomerative': two such rows may fall into one cluster, of which one "
            "row is kept"
        )
    if extended:
        raise ValueError(
            "reference must be None with method='agglomerative': its clusters are of rows to choose from; deduplicate "
            "takes a reference"
        )


def _check_refine(refine: object, method: str) -> None:
    if not isinstance(refine, bool):
        raise TypeError(f"refine must be True or False, got {type(refine).__name__}")
    if refine and method not in SUMMING:
        raise ValueError(
            f"refine must be False with method={method!r}: exchanges raise the sum that removal and insertion go by"
        )


def _counts(
    keep: object, forced: NDArray[np.bool_], grouping: tuple[NDArray[Any], NDArray[np.int64]] | None, n: int
) -> NDArray[np.int64]:
    """How many rows each group keeps; all rows are one group where there is no grouping."""
    if isinstance(keep, Mapping):
        if grouping is None:
            raise TypeError("keep must be a share (float) or a count (int) without groups, got a dict")
        return _counts_given(keep, forced, *grouping)
    n_keep, n_forced = count_to_keep(keep, n), int(forced.sum())
    if n_forced > n_keep:
        raise ValueError(
            f"keep must be at least the number of must_keep rows, {n_forced}, got {keep!r} ({n_keep} rows)"
        )
    if grouping is None:
        return np.array([n_keep])
    sizes = np.bincount(grouping[1])
    seats = Seats.of(sizes, np.bincount(grouping[1][forced], minlength=len(sizes)))
    if n_keep < seats.n_first:
        but = " with the must_keep rows" if n_forced else ""
        raise ValueError(
            f"keep must be at least {seats.n_first}, one row for each of the {len(sizes)} groups{but}, got {keep!r} "
            f"({n_keep} rows)"
        )
    return seats.counts(n_keep)


def _counts_given(
    keep: Mapping[Any, Any], forced: NDArray[np.bool_], labels: NDArray[Any], codes: NDArray[np.int64]
) -> NDArray[np.int64]:
    known = labels.tolist()
    missing, unknown = [label for label in known if label not in keep], [label for label in keep if label not in known]
    if missing or unknown:
        lacks = f"lacks {', '.join(map(repr, missing[:5]))}" if missing else ""
        has = f"has an entry for {', '.join(map(repr, unknown[:5]))}, which no row has" if unknown else ""
        what = " and ".join(filter(None, (lacks, has)))
        raise ValueError(f"keep as a dict must have an entry for each of the {len(known)} groups, but it {what}")
    sizes, n_forced = np.bincount(codes), np.bincount(codes[forced], minlength=len(known))
    counts = []
    for label, size, least in zip(known, sizes.tolist(), n_forced.tolist(), strict=True):
        count = count_to_keep(keep[label], size, name=f"keep[{label!r}]", of=f"rows of group {label!r}")
        if count < least:
            raise ValueError(
                f"keep[{label!r}] must be at least the number of must_keep rows in that group, {least}, got "
                f"{keep[label]!r} ({count} rows)"
            )
        counts.append(count)
    return np.array(counts)


def _weights(sample_weight: object, n: int, method: str) -> NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    if method not in SUMMING:
        raise ValueError(
            f"sample_weight must be None with method={method!r}: it weighs rows in the sum that removal and insertion "
            "go by"
        )
    return sample_weights(sample_weight, n)


def _check_k(k: int | None, method: str, n: int, *, grouped: bool) -> int | None:
    if k is None:
        return None
    if method == "random":
        raise ValueError(f"k must be None with method='random', which needs no graph, got k={k}")
    return check_int("k", k, at_least=1) if grouped else neighbor_count(k, n)


def _check_alone(graph: object, k: int | None, method: str, *, grouped: bool, extended: bool) -> None:
    if k is not None:
        raise ValueError(f"k must be None where a graph is given, got k={k}")
    if method == "random":
        raise ValueError("graph must be None with method='random', which needs no graph")
    if grouped:
        raise ValueError("graph must be None with groups: each group has a graph of its own")
    if extended:
        raise ValueError("graph must be None with reference: it does not join the rows with those of the reference")
