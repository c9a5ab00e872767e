"""What was kept, what went, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyredund._checks import check_int, count_to_keep
from pyredund._curve import Curve, curve_of
from pyredund._files import naming
from pyredund._insertion import InsertionHistory
from pyredund._removal import RemovalHistory
from pyredund._selection_archive import read_archive, write_archive
from pyredund._selection_fields import SelectionFields
from pyredund._verify import verify_selection, verify_sums
from pyredund._verify_clusters import verify_clusters
from pyredund._verify_threshold import verify_threshold

if TYPE_CHECKING:
    from torch.utils.data import Dataset, Subset


@dataclass(frozen=True, repr=False, eq=False)
class Selection(SelectionFields):
    """Result of a selection; its arrays are read-only.

    Parameters
    ----------
    method : str
        The method that made it.
    indices : ndarray of int64
        Kept rows, ascending.
    removed : ndarray of int64
        Removed rows. Removal: in the order in which they went, most redundant first. Other methods: by similarity to
        what is kept, the least similar last.
    mask : ndarray of bool, shape (n,)
        True for kept rows.
    representatives : ndarray of int64, shape (n,)
        The closest kept row of each row: itself if kept, then a row identical to it, then the most similar one, the
        lowest among equals.
    similarities : ndarray of float32, shape (n,)
        Cosine similarity of each row to its representative; 1 for kept rows.
    picked : ndarray of int64 or None
        Insertion and kcenter: kept rows in the order in which they were chosen.
    costs : ndarray of float64 or None
        Removal: what each removal cost, in the order of `removed`: the loss, summed over all rows, of similarity to
        the closest kept row.
    gains : ndarray of float64 or None
        Insertion: what each pick gained, in the order of `picked`.
    k : int or None
        Neighbours per row in the graph that was used.
    threshold : float or None
        Of `deduplicate`.
    must_keep : ndarray of int64 or None
        Of `deduplicate`: rows that were kept whatever they resemble, ascending.
    n_reference : int
        Rows of the reference; its row r has the number n + r as a representative.
    groups : ndarray of int64, shape (n,), or None
        The group of each row: the place of its label among all labels in ascending order.
    sample_weight : ndarray of float64, shape (n,), or None
        How often each row counted in costs and gains.
    labels : ndarray of int64, shape (n,), or None
        Agglomerative: the cluster of each row, as `agglomerative_labels` returns them.
    linkage : str or None
        Agglomerative: what the distance of two clusters was.
    refined : bool
        Whether exchanges followed, which leave no order, costs or gains.

    Examples
    --------
    >>> import pyredund
    >>> pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]], keep=3)
    Selection(removal: 3 of 4 rows kept; similarity of the 1 removed to what is kept: mean 0.99995, lowest 0.99995)
    """

    def __repr__(self) -> str:
        text = f"{self.method}: {len(self.indices)} of {len(self.mask)} rows kept"
        if len(self.removed):
            to_kept = self.similarities[self.removed]
            text += f"; similarity of the {len(self.removed)} removed to what is kept: "
            text += f"mean {to_kept.mean(dtype=np.float64):.5f}, lowest {to_kept.min():.5f}"
        return f"Selection({text})"

    def at(self, keep: float | int) -> Selection:
        """The selection of another size, from the log of this one instead of a new computation.

        Parameters
        ----------
        keep : float or int
            A share or a count, as for `select`. Removal answers sizes from this one's up, insertion and
            kcenter down.

        Returns
        -------
        Selection
            What `select` would return for that size with the same other arguments. (The default `k` of
            insertion grows where a small share is kept; `at` stays with the `k` of this selection.)

        Raises
        ------
        ValueError
            If the log does not reach that size; the message says what to call instead.

        Notes
        -----
        Time and memory O(n). Insertion makes its log at the first call of `at`, `curve` or `save`, which takes longer
        than the selection after its graph, and holds the unit rows and the graph until then.

        Examples
        --------
        >>> import pyredund
        >>> selection = pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]], keep=2)
        >>> selection.at(3).indices
        array([1, 2, 3])
        """
        n_keep, size = count_to_keep(keep, len(self.mask)), len(self.indices)
        if n_keep == size:
            return self
        if isinstance(self._history, RemovalHistory) and self.costs is not None and n_keep > size:
            costs = self.costs[: len(self.mask) - n_keep]
            return self._sized(Selection.from_removal(self._history, costs, self.k, self.n_reference))
        fewest = self._history.n_forced - self.n_reference if isinstance(self._history, InsertionHistory) else 0
        if isinstance(self._history, InsertionHistory) and max(1, fewest) <= n_keep < size:
            parts = self.method, self._history, n_keep, self.gains, self.k, self.n_reference
            return self._sized(Selection.from_picks(*parts))
        why = "must_keep" if self.groups is None else "must_keep, groups"
        downwards = f"from {fewest} ({why}) to {size}" if fewest else f"at most {size}"
        bounds = {RemovalHistory: f"at least {size}", InsertionHistory: downwards}
        bound = next((bounds[kind] for kind in bounds if isinstance(self._history, kind)), f"{size}")
        refine = ", refine=True" if self.refined else ""
        instead = f"call select(embeddings, keep={keep!r}, method={self.method!r}{refine}) instead"
        if self.threshold is not None:
            instead = f"deduplicate has a threshold instead of a size, here {self.threshold}: call it with another"
        raise ValueError(
            f"keep must be {bound} here, where {self.method} kept {size} rows, got {keep!r} ({n_keep} rows); {instead}"
        )

    def curve(self) -> Curve:
        """Similarity lost at every size that `at` answers: the curve from which to choose how much to keep.

        Returns
        -------
        Curve
            ``kept`` and ``share`` against ``lost``, and ``knee``, a suggestion. Removal: from this size up to all rows.
            Insertion and kcenter: from the fewest rows up to this size.

        Raises
        ------
        ValueError
            If there is no log of other sizes.

        Notes
        -----
        Time and memory O(n).

        Examples
        --------
        >>> import pyredund
        >>> pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]], keep=1).curve().knee
        2
        """
        return curve_of(self)

    def _sized(self, other: Selection) -> Selection:
        """Another size of this selection."""
        return replace(other, groups=self.groups, sample_weight=self.sample_weight)

    def members(self) -> dict[int, NDArray[np.int64]]:
        """Removed rows by the kept row that stands for them.

        Returns
        -------
        dict of int to ndarray of int64
            Only representatives of at least one removed row, ascending; their members ascending.

        Examples
        --------
        >>> import pyredund
        >>> pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]], keep=3).members()
        {1: array([0])}
        """
        removed = np.sort(self.removed)
        by_representative = removed[np.argsort(self.representatives[removed], kind="stable")]
        found, starts = np.unique(self.representatives[by_representative], return_index=True)
        return dict(zip(found.tolist(), np.split(by_representative, starts[1:]), strict=True)) if len(found) else {}

    def closest(self, n: int = 10) -> list[tuple[int, int, float]]:
        """Removed rows most similar to their representatives, the first to look at.

        Parameters
        ----------
        n : int, default 10
            How many at most.

        Returns
        -------
        list of (removed row, representative, similarity)
            Most similar first, equals by row.

        Examples
        --------
        >>> import pyredund
        >>> pairs = pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]], keep=2).closest(1)
        >>> [(row, representative, round(similarity, 4)) for row, representative, similarity in pairs]
        [(0, 1, 0.9999)]
        """
        return self._pairs(n, np.argsort(-self.similarities[np.sort(self.removed)], kind="stable"))

    def farthest(self, n: int = 10) -> list[tuple[int, int, float]]:
        """Removed rows least similar to their representatives: where most was lost.

        Parameters
        ----------
        n : int, default 10
            How many at most.

        Returns
        -------
        list of (removed row, representative, similarity)
            Least similar first, equals by row.
        """
        return self._pairs(n, np.argsort(self.similarities[np.sort(self.removed)], kind="stable"))

    def _pairs(self, n: int, order: NDArray[np.intp]) -> list[tuple[int, int, float]]:
        rows = np.sort(self.removed)[order[: check_int("n", n, at_least=0)]]
        return [(int(row), int(self.representatives[row]), float(self.similarities[row])) for row in rows]

    def subset(self, dataset: Dataset[Any]) -> Subset[Any]:
        """The kept part of a torch dataset with one sample per row.

        Parameters
        ----------
        dataset : torch.utils.data.Dataset
            As many samples as the selection has rows.

        Raises
        ------
        ImportError
            If torch is not installed.
        ValueError
            If the number of samples differs from the number of rows.
        """
        try:
            from torch.utils.data import Subset
        except ImportError:
            raise ImportError(
                "subset needs torch (pip install torch); without it: [samples[row] for row in selection.indices]"
            ) from None
        if hasattr(dataset, "__len__") and len(dataset) != len(self.mask):
            raise ValueError(f"dataset must have one sample per row, {len(self.mask)}, got {len(dataset)}")
        return Subset(dataset, self.indices.tolist())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the selection, its log included, to an .npz file, which appears only when complete.

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
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "selection.npz"
        >>> pyredund.select([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]], keep=2).save(path)
        >>> pyredund.Selection.load(path).indices
        array([1, 2])
        """
        write_archive(path, self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Selection:
        """Read a selection that `save` wrote; nothing in the file is unpickled.

        Parameters
        ----------
        path : str or path-like
            File to read.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        parts = read_archive(path)
        with naming(path, "Selection"):
            return cls(**parts)

    def verify(self, embeddings: object, reference: object = None) -> None:
        """Check every claim of this selection by brute force against the embeddings that it was made from.

        Kept and removed rows make up all rows, once each; every representative is a kept row; every similarity is that
        of the definition, and no kept row is more similar, or equally similar and lower. Costs add up to what all rows
        lost. With groups, each row is represented by its own group or by the reference. Of `deduplicate`: every removed
        row is as similar as the threshold to its representative, and no two kept rows are, `must_keep` rows with each
        other aside. Of agglomerative: each cluster has one kept row, and no other has a larger sum of similarities.
        (The order of a removal, gains and clusters are not computed again.)

        Parameters
        ----------
        embeddings : array_like, shape (n, d)
            What `select` or `deduplicate` was given.
        reference : array_like, shape (m, d), optional
            What `select` or `deduplicate` was given, if so.

        Raises
        ------
        ValueError
            With the first row that fails and what is wrong with it.

        Notes
        -----
        Written in NumPy, without the compiled core. Time O(n_removed n_kept d), memory O(n d) and blocks of 64 MiB.

        Examples
        --------
        >>> import numpy as np, pyredund
        >>> embeddings = np.random.default_rng(0).normal(size=(200, 8))
        >>> pyredund.select(embeddings, keep=0.5).verify(embeddings)
        """
        arrays = self.indices, self.removed, self.mask, self.representatives, self.similarities
        rows = verify_selection(embeddings, reference, self.n_reference, self.groups, *arrays)
        if self.threshold is not None:
            verify_threshold(rows, self.threshold, self.mask, self.must_keep, self.similarities)
        if self.labels is not None:
            verify_clusters(rows, self.labels, self.indices)
        verify_sums(self.similarities, self.costs, self.removed, self.sample_weight)
        if self.picked is not None and not np.array_equal(np.sort(self.picked), self.indices):
            raise ValueError("picked must hold the kept rows, once each")
