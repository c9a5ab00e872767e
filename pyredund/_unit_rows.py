"""Embeddings divided by their norms, with identical rows held once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._inputs import RowSource

BLOCK_BYTES = 32 << 20  # of the input, read and converted at a time
SCRATCH_BLOCK_BYTES = 8 << 20  # where memory is short


@dataclass
class Arrangement:
    """An order of rows for a while; it `stays` where nobody will ask for the rows again."""

    stays: bool = False


@dataclass(frozen=True)
class UnitRows:
    """Distinct unit rows and the rows that share them.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_distinct, stride)
        Distinct unit rows in the order in which each first occurs; `stride` is `dim` rounded up to a multiple of 8,
        filled with zeros.
    dim : int
        Coordinates per row.
    class_of : ndarray of int32, shape (n_rows,), or None
        Place of each row among the distinct ones; None when all rows are distinct.
    n_rows : int
        Rows of the input.
    """

    matrix: NDArray[np.float32]
    dim: int
    class_of: NDArray[np.int32] | None
    n_rows: int

    @contextmanager
    def arranged(self, order: NDArray[np.int32] | None, engine: Engine) -> Iterator[Arrangement]:
        """Meanwhile, `matrix` holds its rows in this order; None leaves them where they are."""
        arrangement = Arrangement()
        if order is not None:
            _core.arrange_rows(self.matrix, order, False, engine.n_threads)
        try:
            yield arrangement
        finally:
            if order is not None and not arrangement.stays:
                _core.arrange_rows(self.matrix, order, True, engine.n_threads)

    def gathered(self, which: NDArray[Any], engine: Engine) -> NDArray[np.float32]:
        """A copy of some of the distinct rows, which lies where the engine puts large arrays."""
        found = engine.large_floats(len(which), self.matrix.shape[1])
        _core.gather_rows(self.matrix, which.astype(np.int32), found)
        return found

    def taken(self, which: NDArray[np.int64], engine: Engine) -> UnitRows:
        """Some of the rows, with their numbers in `which` as they come."""
        if self.class_of is None:
            return UnitRows(self.gathered(which, engine), self.dim, None, len(which))
        classes, firsts, class_of = np.unique(self.class_of[which], return_index=True, return_inverse=True)
        order = np.argsort(firsts)  # the order in which each class first occurs
        matrix = self.gathered(classes[order], engine)
        if len(classes) == len(which):
            return UnitRows(matrix, self.dim, None, len(which))
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return UnitRows(matrix, self.dim, place[class_of], len(which))

    @property
    def n_distinct(self) -> int:
        """Number of distinct rows."""
        return len(self.matrix)

    # These are made anew each time they are asked for: who needs one holds it for as long as it does.

    @property
    def member_lists(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows of each class, ascending, as in CSR: where each class begins, and the rows, class after class."""
        if self.class_of is None:
            return np.arange(self.n_rows + 1, dtype=np.int32), np.arange(self.n_rows, dtype=np.int32)
        member_ptr, members = np.empty(self.n_distinct + 1, dtype=np.int32), np.empty(self.n_rows, dtype=np.int32)
        _core.member_lists(self.class_of, member_ptr, members)
        return member_ptr, members

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows that share each distinct row."""
        if self.class_of is None:
            return np.ones(self.n_rows, dtype=np.int64)
        return np.bincount(self.class_of, minlength=self.n_distinct).astype(np.int64, copy=False)

    @property
    def first(self) -> NDArray[np.int32]:
        """Lowest row of each class."""
        if self.class_of is None:
            return np.arange(self.n_rows, dtype=np.int32)
        return np.flatnonzero(self.is_first).astype(np.int32)

    @property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether each row is the lowest of its class: as classes are numbered in that order, a new highest number."""
        if self.class_of is None:
            return np.ones(self.n_rows, dtype=bool)
        is_first = np.ones(self.n_rows, dtype=bool)
        highest = np.maximum.accumulate(self.class_of)
        np.not_equal(highest[1:], highest[:-1], out=is_first[1:])
        return is_first


def padded(dim: int) -> int:
    """`dim` rounded up to the group of eight coordinates in which kernels read."""
    return (dim + 7) // 8 * 8


def unit_rows(name: str, source: RowSource, engine: Engine, reference: RowSource | None = None) -> UnitRows:
    """Divide every row of `source` by its norm, and hold identical ones once; zero rows stay zero.

    Rows of `reference` follow those of `source`.

    Raises
    ------
    ValueError
        If a row holds NaN or infinity; the message names `name`, the number of such rows and the first of them.
    """
    n, dim = source.rows + (reference.rows if reference is not None else 0), source.dim
    matrix = engine.large_floats(n, padded(dim))
    _normalize(name, source, engine, matrix[: source.rows])
    if reference is not None:
        _normalize("reference", reference, engine, matrix[source.rows :])
    if n == 0:
        return UnitRows(matrix, dim, None, 0)
    class_of = np.empty(n, dtype=np.int32)
    n_distinct = _core.collapse_identical_rows(matrix, class_of)
    return UnitRows(matrix[:n_distinct], dim, None if n_distinct == n else class_of, n)


def normalized(name: str, source: RowSource, engine: Engine) -> NDArray[np.float32]:
    """Unit rows of a source, one for each of its rows."""
    matrix = np.empty((source.rows, padded(source.dim)), dtype=np.float32)
    _normalize(name, source, engine, matrix)
    return matrix


def _normalize(name: str, source: RowSource, engine: Engine, matrix: NDArray[np.float32]) -> None:
    norms = np.empty(source.rows, dtype=np.float64)
    block_bytes = BLOCK_BYTES if engine.scratch is None else min(BLOCK_BYTES, SCRATCH_BLOCK_BYTES)
    rows_at_once = max(1, block_bytes // (8 * source.dim))
    for start in range(0, source.rows, rows_at_once):
        stop = min(source.rows, start + rows_at_once)
        block = source.block(start, stop)
        _core.unit_rows(block, matrix[start:stop], norms[start:stop], engine.n_threads, engine.isa)
        del block
        source.forget()
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        shown = ", ".join(str(row) for row in bad[:5]) + (", ..." if len(bad) > 5 else "")
        which = (
            f"rows hold NaN or infinity (rows {shown})" if len(bad) > 1 else f"rows holds NaN or infinity (row {shown})"
        )
        raise ValueError(f"{name} must be finite: {len(bad)} of {source.rows} {which}")
