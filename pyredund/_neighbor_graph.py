"""The neighbour graph that everything is selected on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import itemgetter
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyredund._arrays import handed_over, is_handed_over, read_only
from pyredund._checks import check_int, check_threshold
from pyredund._files import load_arrays, naming, save_arrays

if TYPE_CHECKING:
    import scipy.sparse


@dataclass(frozen=True, repr=False, eq=False)
class NeighborGraph:
    """Most similar rows of every row, in SciPy's CSR form; the arrays are read-only.

    Parameters
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Row i's neighbours lie at ``indptr[i]:indptr[i + 1]``.
    indices : ndarray of int32, shape (n_edges,)
        Neighbours, most similar first, equals by index. A row is no neighbour of itself.
    similarities : ndarray of float32, shape (n_edges,)
        Cosine similarity of row and neighbour, in [-1, 1]; exactly 1 for identical unit rows.
    n_rows : int
        Number of rows.
    n_columns : int
        Number of rows that neighbours are taken from: `n_rows`, or that of `reference` where one was given.
    threshold : float or None
        Similarity from which on lists are complete; None where they hold the nearest rows, however similar.

    Examples
    --------
    >>> import pyredund
    >>> graph = pyredund.knn_graph([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], k=1)
    >>> graph
    NeighborGraph(3 rows, 3 edges, similarity 0.1104 to 0.9939)
    >>> graph.indices
    array([1, 0, 1], dtype=int32)
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    similarities: NDArray[np.float32]
    n_rows: int
    n_columns: int
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_rows", check_int("n_rows", self.n_rows, at_least=0))
        object.__setattr__(self, "n_columns", check_int("n_columns", self.n_columns, at_least=0))
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("similarities", np.float32)):
            own = getattr(self, name)
            if not is_handed_over(own, dtype):  # what somebody else may change must not lead beyond the rows later on
                own = handed_over(read_only(name, own, dtype).copy())
            object.__setattr__(self, name, own)
        if self.threshold is not None:
            object.__setattr__(self, "threshold", check_threshold(self.threshold))
        if self.indptr.shape != (self.n_rows + 1,):
            raise ValueError(
                f"indptr must have shape ({self.n_rows + 1},) for n_rows={self.n_rows}, got {self.indptr.shape}"
            )
        n_edges = len(self.indices)
        if self.indptr[0] != 0 or self.indptr[-1] != n_edges or (np.diff(self.indptr) < 0).any():
            raise ValueError(f"indptr must rise from 0 to the number of edges, {n_edges}")
        if self.similarities.shape != self.indices.shape:
            raise ValueError(
                f"similarities must have one entry per edge ({n_edges}), got shape {self.similarities.shape}"
            )
        if n_edges and not (self.indices.min() >= 0 and self.indices.max() < self.n_columns):
            raise ValueError(
                f"indices must be in [0, {self.n_columns}), got {self.indices.min()} to {self.indices.max()}"
            )
        if n_edges and not (self.similarities.min() >= -1 and self.similarities.max() <= 1):  # nor is NaN
            raise ValueError("similarities must be in [-1, 1]")
        if n_edges and self.threshold is not None and float(self.similarities.min()) < self.threshold:
            raise ValueError(
                f"similarities must be at least threshold, {self.threshold}, got {float(self.similarities.min())}"
            )
        tied = self.similarities[1:] == self.similarities[:-1]
        rises = (self.similarities[1:] > self.similarities[:-1]) | (tied & (self.indices[1:] <= self.indices[:-1]))
        rises[self.indptr[(self.indptr > 0) & (self.indptr < n_edges)] - 1] = False  # from one row to the next
        if rises.any():
            row = int(np.searchsorted(self.indptr, np.flatnonzero(rises)[0], side="right")) - 1
            raise ValueError(
                f"neighbours must be sorted by similarity, descending, then by index; those of row {row} are not"
            )

    def __reduce__(self) -> tuple[type[NeighborGraph], tuple[object, ...]]:
        return NeighborGraph, tuple(getattr(self, part.name) for part in fields(self))

    def __repr__(self) -> str:
        size = f"{self.n_rows} rows, {len(self.indices)} edges"
        if len(self.indices):
            size += f", similarity {self.similarities.min():.4f} to {self.similarities.max():.4f}"
        return f"NeighborGraph({size})"

    def to_scipy(self) -> scipy.sparse.csr_array:
        """The graph as a SciPy CSR array of similarities, which shares memory with it.

        Returns
        -------
        scipy.sparse.csr_array of float32, shape (n_rows, n_columns)
            Rows keep their order by similarity, so its indices are not sorted.

        Raises
        ------
        ImportError
            If SciPy is not installed.

        Examples
        --------
        >>> import pyredund
        >>> pyredund.knn_graph([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], k=1).to_scipy().toarray().round(2)
        array([[0. , 0.6, 0. ],
               [0. , 0. , 0.8],
               [0. , 0.8, 0. ]], dtype=float32)
        """
        try:
            import scipy.sparse
        except ImportError:
            raise ImportError("to_scipy needs SciPy: pip install scipy") from None

        data = (self.similarities, self.indices, self.indptr)
        return scipy.sparse.csr_array(data, shape=(self.n_rows, self.n_columns))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph to an .npz file, which appears under its name only when complete.

        Parameters
        ----------
        path : str or path-like
            File to write, by custom an .npz.

        Raises
        ------
        ValueError
            If the name ends like that of a file of another kind, such as .txt or .npy.

        Examples
        --------
        >>> import pyredund, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "graph.npz"
        >>> pyredund.knn_graph([[1.0, 0.0], [0.6, 0.8]]).save(path)
        >>> pyredund.NeighborGraph.load(path)
        NeighborGraph(2 rows, 2 edges, similarity 0.6000 to 0.6000)
        """
        arrays: dict[str, object] = {name: getattr(self, name) for name in ("indptr", "indices", "similarities")}
        arrays |= {"n_rows": np.int64(self.n_rows), "n_columns": np.int64(self.n_columns)}
        if self.threshold is not None:
            arrays["threshold"] = np.float64(self.threshold)
        save_arrays(path, "NeighborGraph", arrays)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> NeighborGraph:
        """Read a graph that `save` wrote; nothing in the file is unpickled.

        Parameters
        ----------
        path : str or path-like
            File to read.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        arrays = load_arrays(path, "NeighborGraph", ["indptr", "indices", "similarities", "n_rows", "n_columns"])
        with naming(path, "NeighborGraph"):
            size = int(arrays["n_rows"]), int(arrays["n_columns"])
            threshold = float(arrays["threshold"]) if "threshold" in arrays else None
            indptr, indices, similarities = map(handed_over, itemgetter("indptr", "indices", "similarities")(arrays))
            return cls(indptr, indices, similarities, *size, threshold)


def regular_graph(indices: NDArray[np.int32], similarities: NDArray[np.float32], n_columns: int) -> NeighborGraph:
    """A graph in which every row has the same number of neighbours, from the core's arrays of shape (n_rows, k)."""
    n_rows, k = indices.shape
    indices.flags.writeable = similarities.flags.writeable = False  # so that no view of them can be made writable
    indptr = np.arange(n_rows + 1, dtype=np.int64) * k
    return unchecked_graph(indptr, indices.reshape(-1), similarities.reshape(-1), n_rows, n_columns)


def unchecked_graph(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    n_rows: int,
    n_columns: int,
    threshold: float | None = None,
) -> NeighborGraph:
    """A graph from lists that the core has made; to check them takes a while, and a byte or two an edge."""
    graph = object.__new__(NeighborGraph)
    arrays = [handed_over(array) for array in (indptr, indices, similarities)]
    for part, value in zip(fields(NeighborGraph), (*arrays, n_rows, n_columns, threshold), strict=True):
        object.__setattr__(graph, part.name, value)
    return graph
