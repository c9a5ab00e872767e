"""All pairs of rows above a similarity, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_threshold
from pyredund._device import Pairs, check_device, pairs_on_gpu
from pyredund._device_array import DeviceArray, device_array, pairs_of_device_array
from pyredund._directions import products
from pyredund._engine import Engine, Progress
from pyredund._inputs import reference_source, row_source
from pyredund._knn_graph import graph_needs, reference_needs
from pyredund._memory import readable
from pyredund._neighbor_graph import NeighborGraph, unchecked_graph
from pyredund._scratch import Needs, within_memory
from pyredund._sketch import layout_of, sketch_of
from pyredund._unit_rows import UnitRows, unit_rows

PAIR_BYTES = 40  # of a pair found: two rows and a similarity in arrays that grow, then two entries of lists
EDGE_BYTES = 16  # of an entry while identical rows are put back in: what it was, and what it becomes
BYTES_BESIDE_PAIRS = 64  # of a row, where unit rows lie on a GPU
SAMPLED = 1 << 24  # scores from which the number of pairs is estimated
BYTES_AT_ONCE = 8 << 20  # of the rows that they are made from


def radius_graph(
    embeddings: object,
    threshold: float,
    *,
    reference: object = None,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> NeighborGraph:
    """All rows whose cosine similarity to a row is at least `threshold`, for every row, exactly.

    The same similarities as `knn_graph`, to the bit, and the same bounds to avoid computing most of them.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `knn_graph`.
    threshold : float
        Lowest similarity, in [-1, 1]; compared with the reported float32 similarity.
    reference : array_like, shape (m, d), optional
        Take the neighbours from these rows instead of from `embeddings`.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to compute, as for `knn_graph`.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take, as for `knn_graph`.
    progress : bool or callable, default False
        True shows a bar on standard error; a callable receives (done, total) several times a second.

    Returns
    -------
    NeighborGraph
        Neighbours of each row, most similar first, equals by index; lists may be empty. No row is its own neighbour.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of range, shapes do not fit, or embeddings hold NaN or infinity.
    MemoryError
        If there are more pairs than memory for them; where there are many rows, the message estimates how many, from a
        sample.

    Notes
    -----
    Time O(n^2 d), much less where bounds rule most pairs out; memory O(n d + pairs).

    Examples
    --------
    >>> import numpy as np, pyredund
    >>> angles = np.deg2rad([0, 10, 30, 90])
    >>> graph = pyredund.radius_graph(np.column_stack([np.cos(angles), np.sin(angles)]), threshold=0.9)
    >>> np.diff(graph.indptr), graph.indices
    (array([1, 2, 1, 0]), array([1, 0, 2, 1], dtype=int32))
    """
    device = check_device(device)
    lowest = check_threshold(threshold)
    engine = Engine.resolve(n_threads, progress, device)
    if device == "cuda" and reference is None and (array := device_array(embeddings)) is not None:
        graph = _search_where_they_lie(array, lowest, max_memory, engine)
        if graph is not None:
            return graph
    source = row_source("embeddings", embeddings)
    others = reference_source(reference, source.dim) if reference is not None else None
    needs = graph_needs(source, 0, engine)
    if others is not None:
        needs += reference_needs(others)
    engine, room = within_memory(f"a graph of {source.rows} rows", needs, max_memory, engine)
    rows = unit_rows("embeddings", source, engine)
    columns = unit_rows("reference", others, engine) if others is not None else rows
    return _search(rows, columns, others is None, lowest, room, engine)


def _search(
    rows: UnitRows, columns: UnitRows, self_join: bool, threshold: float, room: int, engine: Engine
) -> NeighborGraph:
    expected, edge_bytes = _estimated_edges(rows, columns, self_join, threshold, engine), _bytes_of_edge(self_join)
    if expected * edge_bytes > room:
        raise _too_many(rows, threshold, f"about {expected:.2g}", expected * edge_bytes, room)
    pairs = _pairs(rows, columns, self_join, threshold, max(0, room // PAIR_BYTES), engine)
    return _graph_of(pairs, rows, columns, self_join, threshold, room)


def _bytes_of_edge(self_join: bool) -> float:
    return PAIR_BYTES / (2 if self_join else 1)


def _search_where_they_lie(
    array: DeviceArray, threshold: float, max_memory: int | None, engine: Engine
) -> NeighborGraph | None:
    """The graph of embeddings that lie on a GPU; None if they are not finite, which the CPU says in detail."""
    needs = Needs(array.rows * BYTES_BESIDE_PAIRS)
    engine, room = within_memory(f"a graph of {array.rows} rows", needs, max_memory, engine)
    found = pairs_of_device_array(array, threshold, max(0, room // PAIR_BYTES), engine)
    if found is None:
        return None
    pairs, n_distinct, class_of = found
    rows = UnitRows(np.empty((n_distinct, 0), dtype=np.float32), array.dim, class_of, array.rows)
    return _graph_of(pairs, rows, rows, True, threshold, room)


def _graph_of(
    pairs: Pairs | None,
    rows: UnitRows,
    columns: UnitRows,
    self_join: bool,
    threshold: float,
    room: int,
) -> NeighborGraph:
    if pairs is None:  # the search stopped when it had found as many as there is room for
        most = max(0, room) / _bytes_of_edge(self_join)
        raise _too_many(rows, threshold, f"more than {most:.2g}", max(0, room) + 1, room)
    n_edges = len(pairs[0]) * (2 if self_join else 1)
    indptr = np.empty(rows.n_distinct + 1, dtype=np.int64)
    indices, similarities = np.empty(n_edges, dtype=np.int32), np.empty(n_edges, dtype=np.float32)
    _core.lists_of_pairs(*pairs, self_join, indptr, indices, similarities)
    del pairs
    if rows.class_of is None and columns.class_of is None:
        return unchecked_graph(indptr, indices, similarities, rows.n_rows, columns.n_rows, threshold)
    return _expand(rows, columns, self_join, (indptr, indices, similarities), threshold, room)


Found = TypeVar("Found")


def _pairs(
    rows: UnitRows, columns: UnitRows, self_join: bool, threshold: float, most: int, engine: Engine
) -> Pairs | None:
    if engine.device == "cuda":
        return pairs_on_gpu(rows.matrix, None if self_join else columns.matrix, threshold, most, engine)

    def search(sketch: tuple[object, ...] | None) -> Pairs | None:
        with engine.reporting("pairs", "tile") as report:
            return _core.similar_pairs(
                rows.matrix,
                rows.dim,
                sketch,
                None if self_join else columns.matrix,
                threshold,
                most,
                engine.n_threads,
                engine.isa,
                engine.block,
                report,
            )

    return with_sketch(rows, threshold, engine, search) if self_join else search(None)


def with_sketch(
    rows: UnitRows, threshold: float, engine: Engine, search: Callable[[tuple[object, ...] | None], Found]
) -> Found:
    """What a search among `rows` for pairs from a threshold on finds; it is given a sketch where that saves time."""
    layout = layout_of(rows, 1, engine, threshold)
    if layout is not None:
        with rows.arranged(layout.order, engine):
            sketch = sketch_of(rows, layout, engine)
            if sketch is not None:
                return search(sketch)
    return search(None)


def _estimated_edges(rows: UnitRows, columns: UnitRows, self_join: bool, threshold: float, engine: Engine) -> float:
    """About how many edges there are, by a sample of the rows; 0 where there are few rows."""
    if rows.n_rows == 0 or rows.n_rows * columns.n_rows < SAMPLED:
        return 0.0
    count = max(16, min(rows.n_distinct, SAMPLED // columns.n_distinct))
    sample = np.sort(np.random.default_rng(4).choice(rows.n_distinct, min(count, rows.n_distinct), replace=False))
    multiplicity, own = columns.counts, rows.counts[sample]
    queries, found = rows.gathered(sample, engine), 0.0
    at_once = max(256, BYTES_AT_ONCE // (4 * columns.matrix.shape[1]))
    for start in range(0, columns.n_distinct, at_once):
        part = np.arange(start, min(start + at_once, columns.n_distinct))
        near = products(queries, columns.gathered(part, engine), engine) >= threshold - 1e-6
        found += float(own @ (near @ multiplicity[part]))
    return found / float(own.sum()) * rows.n_rows - (rows.n_rows if self_join else 0)


def _too_many(rows: UnitRows, threshold: float, what: str, taken: float, room: int) -> MemoryError:
    return MemoryError(
        f"threshold={threshold} leaves {what} edges between {rows.n_rows} rows, which would take "
        f"{readable(int(taken))}, more than the {readable(max(0, room))} there is room for: a higher threshold leaves "
        "fewer"
    )


def _expand(
    rows: UnitRows,
    columns: UnitRows,
    self_join: bool,
    lists: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    threshold: float,
    room: int,
) -> NeighborGraph:
    """Put identical rows back: every member has its class's neighbours, all members of them, and its own class."""
    class_of = rows.class_of if rows.class_of is not None else np.arange(rows.n_rows, dtype=np.int32)
    given = (*lists, class_of, *columns.member_lists, self_join)
    indptr = np.empty(rows.n_rows + 1, dtype=np.int64)
    _core.expanded_indptr(*given, indptr)
    n_edges = int(indptr[-1])
    if n_edges * EDGE_BYTES > room:
        raise _too_many(rows, threshold, str(n_edges), n_edges * EDGE_BYTES, room)
    indices, similarities = np.empty(n_edges, dtype=np.int32), np.empty(n_edges, dtype=np.float32)
    _core.expand_lists(*given, indptr, indices, similarities)
    return unchecked_graph(indptr, indices, similarities, rows.n_rows, columns.n_rows, threshold)
