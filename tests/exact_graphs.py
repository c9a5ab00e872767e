"""What tests of neighbour graphs share: awkward rows, and the comparison with the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import reference
from numpy.typing import NDArray

from pyredund import NeighborGraph
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._unit_rows import UnitRows, unit_rows


def units(x: Any) -> UnitRows:
    return unit_rows("embeddings", row_source("embeddings", x), Engine())


def assert_is_exact(graph: NeighborGraph, x: Any, k: int, others: Any = None) -> None:
    scores = reference.similarity_matrix(x, others)
    indices, similarities = reference.knn(scores, k, exclude_self=others is None)
    assert np.array_equal(graph.indices.reshape(len(x), k), indices)
    assert np.array_equal(graph.similarities.reshape(len(x), k), similarities)
    assert not np.signbit(graph.similarities[graph.similarities == 0]).any()
    assert np.array_equal(graph.indptr, np.arange(len(x) + 1) * k)
    assert (graph.n_rows, graph.n_columns) == (len(x), len(x) if others is None else len(others))


def bytes_of(graph: NeighborGraph) -> tuple[bytes, bytes, bytes]:
    return graph.indptr.tobytes(), graph.indices.tobytes(), graph.similarities.tobytes()


AWKWARD: dict[str, Callable[[np.random.Generator], NDArray[Any]]] = {
    "integer grid with many ties": lambda rng: rng.integers(-2, 3, size=(150, 3)),
    "signs only": lambda rng: rng.choice([-1.0, 1.0], size=(120, 8)),
    "one coordinate": lambda rng: rng.integers(-2, 3, size=(60, 1)),
    "half of the rows zero": lambda rng: rng.normal(size=(90, 5)) * rng.integers(0, 2, size=(90, 1)),
    "opposite rows": lambda rng: np.concatenate([a := rng.normal(size=(50, 6)), -a]),
    "each row three times": lambda rng: np.tile(rng.normal(size=(40, 9)), (3, 1)),
    "one class and strangers": lambda rng: np.concatenate([np.ones((100, 4)), rng.normal(size=(20, 4))]),
    "rows that differ by ulps": lambda rng: ulps_apart(rng, 120, 16),
    "rows that differ by ulps, 3-d": lambda rng: ulps_apart(rng, 120, 3),
    "orthogonal": lambda rng: np.eye(70),
    "subnormal": lambda rng: rng.integers(-3, 4, size=(80, 4)).astype(np.float32) * np.float32(1e-44),
}


def ulps_apart(rng: np.random.Generator, n: int, dim: int) -> NDArray[np.float32]:
    rows = np.tile(rng.normal(size=dim).astype(np.float32), (n, 1))
    steps = rng.integers(-2, 3, size=rows.shape) * (rng.random(rows.shape) < 0.3)
    return rows + steps.astype(np.float32) * np.spacing(np.abs(rows))
