"""Embeddings and groups as files of unit rows, which processes of their own can read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._row_arguments import group_codes
from pyredund._unit_rows import unit_rows
from pyredund.bench._journal import fingerprint


@dataclass(frozen=True)
class Field:
    """What contenders compete on.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
        Unit rows.
    groups : ndarray of int64, shape (n,), or None
        Number of each row's group.
    n_threads : int
        Threads for everybody.
    rows_file, groups_file : Path
        The same in files.
    mark : str
        Differs for other data, another number of threads or another version.
    """

    rows: NDArray[np.float32]
    groups: NDArray[np.int64] | None
    n_threads: int
    rows_file: Path
    groups_file: Path | None
    mark: str


@contextmanager
def field_of(embeddings: object, groups: object, n_threads: int | None, shuffle: int | None = None) -> Iterator[Field]:
    """Unit rows of `embeddings`, in random order if there is a seed for it, in files for as long as the block lasts."""
    engine = Engine.resolve(n_threads)
    found = unit_rows("embeddings", row_source("embeddings", embeddings), engine)
    if found.n_rows < 2:
        raise ValueError(f"embeddings must have at least 2 rows for a comparison, got {found.n_rows}")
    codes = None if groups is None else group_codes(groups, found.n_rows)[1].astype(np.int64)
    order = np.arange(found.n_rows) if shuffle is None else np.random.default_rng(shuffle).permutation(found.n_rows)
    rows = found.matrix[order if found.class_of is None else found.class_of[order], : found.dim]
    codes = None if codes is None else codes[order]
    with tempfile.TemporaryDirectory(prefix="pyredund-bench-") as name:
        rows_file, groups_file = Path(name) / "rows.npy", Path(name) / "groups.npy"
        np.save(rows_file, rows)
        if codes is not None:
            np.save(groups_file, codes)
        mark = f"{fingerprint(rows, codes)}, {engine.n_threads} threads"
        yield Field(rows, codes, engine.n_threads, rows_file, None if codes is None else groups_file, mark)
