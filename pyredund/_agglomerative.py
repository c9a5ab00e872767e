"""Agglomerative clustering by cosine distance, exactly, without the matrix of distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from pyredund._agglomerative_stages import Candidates, merge_down
from pyredund._checks import check_choice, check_int
from pyredund._device import check_device
from pyredund._engine import Engine, Progress
from pyredund._inputs import row_source
from pyredund._knn_graph import graph_bytes
from pyredund._memory import check_memory, memory_limit
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows, padded, unit_rows

LINKAGES = ("average", "complete", "single")


@overload
def agglomerative_labels(
    embeddings: object,
    n_clusters: int,
    *,
    linkage: str = "average",
    return_merges: Literal[False] = False,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> NDArray[np.int64]: ...


@overload
def agglomerative_labels(
    embeddings: object,
    n_clusters: int,
    *,
    linkage: str = "average",
    return_merges: Literal[True],
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...


def agglomerative_labels(
    embeddings: object,
    n_clusters: int,
    *,
    linkage: str = "average",
    return_merges: bool = False,
    device: str = "auto",
    n_threads: int | None = None,
    max_memory: int | None = None,
    progress: bool | Progress = False,
) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cluster by cosine distance, bottom up: what SciPy's ``linkage`` gives on all distances, cut at `n_clusters`.

    In place of ``sklearn.cluster.AgglomerativeClustering(n_clusters, metric="cosine", linkage=linkage)``, whose time
    and memory grow with the square of the number of rows and more. The result is the same wherever heights differ.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `knn_graph`. Only the direction of a row counts; a zero row has distance 1 from all but zero rows.
    n_clusters : int
        Clusters to end with, from 1 to n: exactly so many.
    linkage : {"average", "complete", "single"}, default "average"
        The distance of two clusters: the mean, the largest or the smallest of their rows' distances.
    return_merges : bool, default False
        Whether to return the merges too.
    device : {"auto", "cpu"}, default "auto"
        Where to compute.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.
    max_memory : int, optional
        Bytes that the call may take. Default: what the machine has left, less 256 MiB.
    progress : bool or callable, default False
        True shows a bar on standard error; a callable receives (done, total) several times a second.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        Cluster of each row; clusters are numbered by their lowest rows.
    merges : ndarray of float64, shape (n - n_clusters, 4)
        Only where asked for: the first rows of SciPy's ``linkage``, in order. Two clusters, the lower first (below n: a
        row; n + i: what merge i made), the height at which they merged, a distance, and the number of rows together.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of range, or embeddings hold NaN or infinity.
    MemoryError
        If the computation would not fit.

    Notes
    -----
    Heights are float64 sums that are not rounded to float32 (of average linkage 1 less the product of two clusters'
    mean unit rows). Rows with identical unit rows merge first, at height 0, by (lowest row of the kind, row). Then the
    two clusters of least height merge; equal heights by the lowest row of either cluster, then that of the other.

    The pairs of rows within some distance hold every merge up to that height, so that all further ones are ruled out by
    bounds, as in `radius_graph`. Memory O(n d + n). The first tenth of the merges takes about the time of one
    `radius_graph`; each of the following stages, about one for every halving of the number of clusters, searches what
    is left. Cuts below about a hundredth of n get slow, with complete and single linkage above all, where bounds rule
    out little and a stage can cost n^2 d operations; the result stays exact.

    Lance and Williams (1967) for the update of heights; Bruynooghe (1977) for merging below a limit, which loses
    nothing where linkage is reducible, as all three are.

    Examples
    --------
    >>> import pyredund
    >>> embeddings = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]]
    >>> pyredund.agglomerative_labels(embeddings, 3)
    array([0, 0, 1, 1, 2])
    """
    check_device(device, has_cuda=False)
    check_choice("linkage", linkage, LINKAGES)
    if not isinstance(return_merges, (bool, np.bool_)):
        raise TypeError(f"return_merges must be True or False, got {return_merges!r}")
    engine = Engine.resolve(n_threads, progress)
    source = row_source("embeddings", embeddings)
    n = source.rows
    if n == 0:
        raise ValueError("embeddings must have at least 1 row to cluster, got 0")
    n_clusters = check_int("n_clusters", n_clusters, at_least=1, at_most=n, why_at_most=f" (the rows, n={n})")
    if max_memory is not None:
        max_memory = check_int("max_memory", max_memory, at_least=1)
    needed = graph_bytes(source, 0) + n * (padded(source.dim) * 4 + 64)
    check_memory(f"clustering {n} rows", needed, max_memory)
    rows = unit_rows("embeddings", source, engine)
    room = memory_limit(max_memory) - (needed if max_memory is not None else 0)
    clustering = cluster(rows, n_clusters, linkage, engine, room)
    return (clustering.labels, clustering.merges()) if return_merges else clustering.labels


@dataclass(frozen=True)
class Clustering:
    """Clusters of rows, and their merges by the lowest rows of both.

    `of_class` holds the cluster of each distinct row where copies are all merged; `near` all pairs of distinct rows up
    to a distance, where they were searched for.
    """

    labels: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    heights: NDArray[np.float64]
    of_class: NDArray[np.int32] | None = None
    near: Candidates | None = None

    def merges(self) -> NDArray[np.float64]:
        """As SciPy's ``linkage`` returns them: heights of at least 0 that rounding does not let fall."""
        n = len(self.labels)
        ids, sizes = list(range(n)), [1] * n
        table = np.empty((len(self.left), 4))
        table[:, 2] = np.maximum.accumulate(np.maximum(self.heights, 0.0)) if len(table) else 0
        for step, (a, b) in enumerate(zip(self.left.tolist(), self.right.tolist(), strict=True)):
            sizes[a] += sizes[b]
            table[step, :2] = (ids[a], ids[b]) if ids[a] < ids[b] else (ids[b], ids[a])
            table[step, 3] = sizes[a]
            ids[a] = n + step
        return table


def cluster(
    rows: UnitRows, n_clusters: int, linkage: str, engine: Engine, room: int, graph: NeighborGraph | None = None
) -> Clustering:
    """Cluster all rows; `graph`, where given, is that of the distinct rows."""
    first = rows.first.astype(np.int64)
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    member_ptr, members = rows.member_lists
    is_copy = np.ones(rows.n_rows, dtype=bool)
    is_copy[member_ptr[:-1]] = False
    copies = members[is_copy].astype(np.int64)[: rows.n_rows - n_clusters]
    of_copies = first[class_of[copies]]
    if n_clusters >= rows.n_distinct:
        lowest = np.arange(rows.n_rows)
        lowest[copies] = of_copies
        labels = np.unique(lowest, return_inverse=True)[1].astype(np.int64)
        return Clustering(labels, of_copies, copies, np.zeros(len(copies)))
    clusters, near = merge_down(rows, n_clusters, linkage, engine, room, graph)
    left, right, heights = clusters.merges()
    labels_of_classes = clusters.labels()
    return Clustering(
        labels_of_classes.astype(np.int64)[class_of],
        np.concatenate([of_copies, first[left]]),
        np.concatenate([copies, first[right]]),
        np.concatenate([np.zeros(len(copies)), heights]),
        labels_of_classes,
        near,
    )
