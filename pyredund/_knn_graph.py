"""Exact cosine nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_int
from pyredund._device import check_device, knn_on_gpu
from pyredund._device_array import DeviceArray, device_array, knn_of_device_array
from pyredund._engine import SPARE_BYTES, Engine, Progress
from pyredund._inputs import RowSource, reference_source, row_source
from pyredund._memory import check_memory
from pyredund._neighbor_graph import NeighborGraph, regular_graph
from pyredund._scratch import Needs, within_memory
from pyredund._sketch import PAIRS, SHORT_OF_MEMORY, Sketch, layout_of, sketch_of
from pyredund._unit_rows import UnitRows, padded, unit_rows

DEFAULT_K = 32

Lists = tuple[NDArray[np.int32], NDArray[np.float32]]  # indices and similarities, one row each


def knn_graph(
    embeddings: object,
    k: int | None = None,
    *,
    reference: object = None,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> NeighborGraph:
    """The k most similar rows of every row, by cosine: exactly, and the same bytes for any number of threads.

    Similarities are float64 sums in a fixed order, rounded to float32. The search scores each pair of rows once in
    float32, without ever storing the similarity matrix, and computes the exact similarity only where float32 rounding
    leaves a chance.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        Real and finite; anything with ``__array__`` or ``__dlpack__``, or nested lists. Never written to. A zero row
        has similarity 0 to every row but another zero row.
    k : int, optional
        Neighbours per row, at most n - 1 (with `reference`: its number of rows). Default: 32, or as many as there are.
    reference : array_like, shape (m, d), optional
        Take the neighbours from these rows instead of from `embeddings`.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where to compute: "cuda" is a GPU of NVIDIA's, and embeddings that lie on one (torch, CuPy) are read there;
        "auto" is the CPU, for the time being.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take. Default: what the machine has left, less 256 MiB. Where that is not enough for
        all, unit rows and what is made of them go to temporary files (in the folder that ``TMPDIR`` names); the graph
        has to fit.
    progress : bool or callable, default False
        True shows a bar on standard error; a callable receives (done, total) several times a second.

    Returns
    -------
    NeighborGraph
        Neighbours of each row, most similar first, equals by index; no row is its own neighbour.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, for example complex or sparse embeddings.
    ValueError
        If an argument is out of range, shapes do not fit, or embeddings hold NaN or infinity.
    MemoryError
        If the result would not fit; the message says how much would do.

    Notes
    -----
    Time O(n^2 d), memory O(n d + n k).

    Examples
    --------
    >>> import numpy as np, pyredund
    >>> angles = np.deg2rad([0, 10, 30, 90])
    >>> graph = pyredund.knn_graph(np.column_stack([np.cos(angles), np.sin(angles)]), k=2)
    >>> graph.indices.reshape(4, 2)
    array([[1, 2],
           [0, 2],
           [1, 0],
           [2, 1]], dtype=int32)
    """
    device = check_device(device)
    engine = Engine.resolve(n_threads, progress, device)
    if device == "cuda" and reference is None and (array := device_array(embeddings)) is not None:
        graph = search_where_they_lie(array, k, max_memory, engine)
        if graph is not None:
            return graph
    source = row_source("embeddings", embeddings)
    if reference is None:
        k = neighbor_count(k, source.rows)
        what = f"a graph of {source.rows} rows with k={k}"
        engine, _ = within_memory(what, graph_needs(source, k, engine), max_memory, engine)
        return search(unit_rows("embeddings", source, engine), k, engine, last=True)
    others = reference_source(reference, source.dim)
    if k is None:
        k = min(DEFAULT_K, others.rows)
    else:
        k = check_int("k", k, at_least=1, at_most=others.rows, why_at_most=" (the rows of reference)")
    what = f"a graph of {source.rows} rows with k={k} and reference"
    engine, _ = within_memory(what, graph_needs(source, k, engine) + reference_needs(others), max_memory, engine)
    return search_reference(unit_rows("embeddings", source, engine), unit_rows("reference", others, engine), k, engine)


def search_where_they_lie(
    array: DeviceArray, k: object, max_memory: int | None, engine: Engine
) -> NeighborGraph | None:
    """The graph of embeddings that lie on a GPU; None if they are not finite, which the CPU says in detail."""
    count = neighbor_count(k, array.rows)
    check_memory(f"a graph of {array.rows} rows with k={count}", array.rows * (16 * count + 160), max_memory)
    found = knn_of_device_array(array, count, engine)
    if found is None:
        return None
    indices, similarities, class_of = found
    if class_of is None:
        return regular_graph(indices, similarities, array.rows)
    no_coordinates = np.empty((len(indices), 0), dtype=np.float32)
    rows = UnitRows(no_coordinates, array.dim, class_of, array.rows)
    return _expand((indices, similarities), class_of, rows, True, _empty_lists(array.rows, count))


def neighbor_count(k: object, n: int) -> int:
    """The k that is meant for n rows."""
    if k is None:
        return max(0, min(DEFAULT_K, n - 1))
    if n == 0:  # there is no neighbour to ask for too many of
        check_int("k", k, at_least=1)
        return 0
    return check_int("k", k, at_least=1, at_most=n - 1, why_at_most=f" (n - 1 for n={n} rows)")


def graph_bytes(source: RowSource, k: int) -> int:
    """Memory of unit rows and their sketch, the graph, its lists, and the table that finds identical rows."""
    products = min(SPARE_BYTES // 4, source.rows**2 // 24)  # with the centres of blocks of 96 rows and more
    spare = min(SPARE_BYTES, source.rows * 8 * (1 + max(8, min(k // 2, 256))) + products)
    return source.rows * (padded(source.dim) * 8 + 8 * k + 160) + spare  # cells, while they are made: 144 bytes a row


def graph_needs(source: RowSource, k: int, engine: Engine) -> Needs:
    """The same where memory may be short."""
    n, row = source.rows, padded(source.dim) * 4
    layout = 0
    if n >= engine.sketch_from:
        # Short rows and their order; a 64th of the rows, at most, with its scores; the directions that come of it.
        layout = n * (100 + 48) + 4 * min(n * row, max(PAIRS * row, SHORT_OF_MEMORY)) + 1400 * row
    search = n * (8 * k + 72)  # lists, two places to wait, bars, and a few numbers a row
    tiles = n * n >> 18
    return Needs(graph_bytes(source, k) + tiles, max(layout, search) + tiles, n * (3 * row + 320))


def reference_needs(others: RowSource) -> Needs:
    """Memory of unit rows alone."""
    row = padded(others.dim) * 4
    return Needs(others.rows * row, others.rows * 24, others.rows * row)


def search(rows: UnitRows, k: int, engine: Engine, *, last: bool = False) -> NeighborGraph:
    """The k nearest other rows of every row, identical ones included; see `fill_lists` for `last`."""
    width = min(k, max(0, rows.n_distinct - 1))
    if rows.class_of is None:
        return search_distinct(rows, width, engine, last=last)
    lists = _empty_lists(rows.n_rows, k)
    # Lists of the distinct rows lie where those of all rows will, if they are as long: a second graph saved.
    distinct = _first(lists, rows.n_distinct) if width == k else _empty_lists(rows.n_distinct, width)
    fill_lists(rows, *distinct, engine, last=last)
    return _expand(distinct, rows.class_of, rows, True, lists)


def search_distinct(rows: UnitRows, k: int, engine: Engine, *, last: bool = False) -> NeighborGraph:
    """The k nearest other distinct rows of every distinct row; see `fill_lists` for `last`."""
    lists = _empty_lists(rows.n_distinct, k)
    fill_lists(rows, *lists, engine, last=last)
    return regular_graph(*lists, rows.n_distinct)


def _empty_lists(n: int, k: int) -> Lists:
    return np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)


def _first(lists: Lists, n: int) -> Lists:
    return lists[0][:n], lists[1][:n]


def fill_lists(
    rows: UnitRows,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    engine: Engine,
    *,
    last: bool = False,
) -> None:
    """Put the nearest other distinct rows of every distinct row into its list, as many as it takes.

    Where this is the `last` that is asked of the rows, they may be left in another order.
    """
    k = indices.shape[1]
    if k == 0:
        return
    if engine.device == "cuda":
        knn_on_gpu(rows.matrix, None, None, indices, similarities, engine)
        return

    def search_with(sketch: Sketch | None) -> None:
        # In an order by locality, a row's own surroundings give a floor.
        floors = guessed_floors(rows, k, engine) if sketch is None or sketch.order is None else None
        with engine.reporting("neighbours", "tile") as report:
            counts = _core.knn_graph(
                rows.matrix,
                rows.dim,
                sketch,
                floors,
                indices,
                similarities,
                engine.n_threads,
                engine.isa,
                engine.block,
                report,
                engine.spare_bytes,
            )
        if engine.count is not None:
            engine.count(counts)

    layout = layout_of(rows, k, engine)
    sketch = None
    if layout is not None:
        with rows.arranged(layout.order, engine) as arrangement:
            sketch = sketch_of(rows, layout, engine)
            if sketch is not None:
                arrangement.stays = last
                search_with(sketch)
    if sketch is None:
        search_with(None)


def guessed_floors(rows: UnitRows, k: int, engine: Engine) -> NDArray[np.float32] | None:
    """A guess, a little below, of each row's similarity to its k-th nearest row, from a sample of the rows.

    The r-th nearest row of a sample of m rows is about the (r n / m)-th nearest of all. With such a floor, a list need
    not be filled with whatever comes first. Where the guess is too high, which r makes rare, the row is searched again.
    """
    n = rows.n_distinct
    m = max(1024 if engine.sketch_from else 8, n // 32)
    if n < max(2 * m, engine.sketch_from) or k * m > 4 * n:
        return None
    expected = k * m / n  # of the k nearest rows in the sample
    r = round(expected + 3.0 * expected**0.5 + 1)
    if r > m - 1:  # a row of the sample has no more others
        return None
    sample = np.sort(np.random.default_rng(3).choice(n, m, replace=False)).astype(np.int32)
    place = np.full(n, -1, dtype=np.int32)
    place[sample] = np.arange(m, dtype=np.int32)
    found = query(rows.matrix, rows.gathered(sample, engine), rows.dim, r, engine.quiet(), place)
    return np.ascontiguousarray(found[1][:, -1])


def search_reference(rows: UnitRows, reference: UnitRows, k: int, engine: Engine) -> NeighborGraph:
    """The k nearest rows of `reference` for every row."""
    width = min(k, reference.n_distinct)
    lists = _empty_lists(rows.n_rows, k)
    distinct = _first(lists, rows.n_distinct) if width == k else _empty_lists(rows.n_distinct, width)
    fill_query(rows.matrix, reference.matrix, rows.dim, *distinct, engine)
    if rows.class_of is None and reference.class_of is None:
        return regular_graph(*lists, reference.n_rows)
    class_of = rows.class_of if rows.class_of is not None else np.arange(rows.n_rows, dtype=np.int32)
    return _expand(distinct, class_of, reference, False, lists)


def query(
    queries: NDArray[np.float32],
    reference: NDArray[np.float32],
    dim: int,
    k: int,
    engine: Engine,
    excluded: NDArray[np.int32] | None = None,
) -> Lists:
    """Indices and similarities, both of shape (n, k), of the k rows of `reference` nearest to each query.

    Query i leaves out row ``excluded[i]`` of `reference`; -1 leaves out none.
    """
    lists = _empty_lists(len(queries), k)
    fill_query(queries, reference, dim, *lists, engine, excluded)
    return lists


def fill_query(
    queries: NDArray[np.float32],
    reference: NDArray[np.float32],
    dim: int,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    engine: Engine,
    excluded: NDArray[np.int32] | None = None,
) -> None:
    """Put what `query` returns into lists that are there."""
    if engine.device == "cuda":
        knn_on_gpu(queries, reference, excluded, indices, similarities, engine)
        return
    with engine.reporting("neighbours", "tile") as report:
        _core.knn_query(
            queries,
            reference,
            dim,
            excluded,
            indices,
            similarities,
            engine.n_threads,
            engine.isa,
            engine.block,
            report,
            engine.spare_bytes,
        )


def _expand(
    distinct: Lists, class_of: NDArray[np.int32], members: UnitRows, self_join: bool, lists: Lists
) -> NeighborGraph:
    """Fill the lists of all rows from those of the distinct ones, in the place of which they may lie."""
    _core.expand_identical_rows(*distinct, class_of, *members.member_lists, self_join, *lists)
    return regular_graph(*lists, members.n_rows)
