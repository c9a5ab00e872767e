from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from embeddings import ALL
from numpy.typing import NDArray
from reference import similarity_matrix

import pyredund
from pyredund import _radius_graph
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._unit_rows import unit_rows

ALWAYS = replace(Engine.resolve(), sketch_from=0, block=40)


def expected_lists(scores: NDArray[np.float32], threshold: float, self_join: bool) -> list[list[tuple[int, float]]]:
    """The definition, row by row."""
    lists = []
    for i, row in enumerate(scores):
        near = [j for j in range(len(row)) if float(row[j]) >= threshold and not (self_join and i == j)]
        lists.append([(j, float(row[j])) for j in sorted(near, key=lambda j: (-float(row[j]), j))])
    return lists


def check(graph: pyredund.NeighborGraph, expected: list[list[tuple[int, float]]]) -> None:
    assert np.diff(graph.indptr).tolist() == [len(row) for row in expected]
    assert graph.indices.tolist() == [j for row in expected for j, _ in row]
    assert graph.similarities.tolist() == [score for row in expected for _, score in row]


def rows_on_an_arc(dim: int, width: float, seed: int) -> NDArray[np.float32]:
    """Clusters of 16 rows, each a cell of the search, `width` degrees wide, somewhere on 100 degrees of a great circle.

    There the triangle inequality of angles is an equality, so that nothing hides a cap or a reach that is too small.
    """
    rng = np.random.default_rng(seed)
    middles = np.sort(rng.uniform(0, 100, 64))
    angles = np.deg2rad(middles[:, None] + np.linspace(-width, width, 16)).ravel()
    plane: NDArray[np.float64] = np.linalg.qr(rng.normal(size=(dim, 2)))[0].T
    return (np.column_stack([np.cos(angles), np.sin(angles)]) @ plane).astype(np.float32)


@pytest.mark.parametrize("degrees", [30, 60, 80])
@pytest.mark.parametrize("width", [0.4, 1.0, 8.0])
@pytest.mark.parametrize("dim", [64, 300, 1280])
def test_no_pair_is_lost_where_angles_add_up(dim: int, width: float, degrees: float, isa: str) -> None:
    threshold = float(np.cos(np.deg2rad(degrees)))
    for seed in range(2):
        rows = unit_rows("x", row_source("x", rows_on_an_arc(dim, width, seed)), ALWAYS)
        found, expected = (
            _radius_graph._search(
                rows, rows, True, threshold, 1 << 40, replace(ALWAYS, isa=isa, block=0, sketch_from=n)
            )
            for n in (0, 1 << 30)
        )
        np.testing.assert_array_equal(found.indptr, expected.indptr)
        np.testing.assert_array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5, 0.9, 0.9999999, 1.0])
def test_all_pairs_above_a_threshold_are_found(name: str, threshold: float) -> None:
    for seed in range(3):
        x = ALL[name](90, seed)
        check(pyredund.radius_graph(x, threshold), expected_lists(similarity_matrix(x), threshold, True))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("threshold", [-0.2, 0.5, 0.97, 1.0])
def test_a_sketch_loses_no_pair(name: str, threshold: float, isa: str) -> None:
    x = ALL[name](150, 5)
    rows = unit_rows("x", row_source("x", x), ALWAYS)
    graph = _radius_graph._search(rows, rows, True, threshold, 1 << 40, replace(ALWAYS, isa=isa))
    check(graph, expected_lists(similarity_matrix(x), threshold, True))


def test_a_threshold_that_a_similarity_equals_takes_it_in() -> None:
    x = np.random.default_rng(1).normal(size=(60, 9))
    scores = similarity_matrix(x)
    for threshold in np.unique(scores[:5, 5:])[::20]:
        check(pyredund.radius_graph(x, threshold), expected_lists(scores, float(threshold), True))
        above = float(np.nextafter(np.float64(threshold), 2))
        if above <= 1:
            check(pyredund.radius_graph(x, above), expected_lists(scores, above, True))


@pytest.mark.parametrize("name", ALL)
def test_pairs_with_a_reference(name: str) -> None:
    x, y = ALL[name](50, 1), ALL[name](70, 2)
    scores = similarity_matrix(np.concatenate([x, y]))[:50, 50:]
    graph = pyredund.radius_graph(x, 0.6, reference=y)
    assert graph.n_columns == 70
    check(graph, expected_lists(scores, 0.6, False))


def test_it_agrees_with_the_k_nearest_on_many_rows() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(21_000, 5)) @ rng.normal(size=(5, 24)) + 0.05 * rng.normal(size=(21_000, 24))
    near = pyredund.knn_graph(x, 16)
    threshold = float(np.quantile(near.similarities, 0.6))
    graph = pyredund.radius_graph(x, threshold)
    lengths = np.diff(graph.indptr)
    listed = near.similarities.reshape(-1, 16) >= threshold
    np.testing.assert_array_equal(np.minimum(lengths, 16), listed.sum(axis=1))
    first = graph.indptr[:-1][lengths > 0]
    np.testing.assert_array_equal(graph.indices[first], near.indices.reshape(-1, 16)[lengths > 0, 0])
    assert graph.indptr[-1] > 21_000


def test_threads_never_change_a_byte() -> None:
    x = ALL["clumps"](3000, 3)
    graphs = [pyredund.radius_graph(x, 0.8, n_threads=threads) for threads in (1, 2, 5)]
    for graph in graphs[1:]:
        assert graph.indices.tobytes() == graphs[0].indices.tobytes()
        assert graph.similarities.tobytes() == graphs[0].similarities.tobytes()


def test_more_pairs_than_memory_are_refused_with_an_estimate() -> None:
    x = np.random.default_rng(4).normal(size=(6000, 4))
    with pytest.raises(MemoryError, match=r"threshold=-1.0 leaves about 3\.\de\+07 edges between 6000 rows"):
        pyredund.radius_graph(x, -1.0, max_memory=100 << 20)
    with pytest.raises(MemoryError, match="a higher threshold leaves fewer"):  # found out on the way
        pyredund.radius_graph(x[:3000], -1.0, max_memory=20 << 20)


def test_no_rows_and_no_pairs_give_a_graph_without_edges() -> None:
    assert len(pyredund.radius_graph(np.empty((0, 3)), 0.5).indices) == 0
    assert len(pyredund.radius_graph(np.eye(5), 0.5).indices) == 0
    assert pyredund.radius_graph(np.eye(3), 0.5, reference=np.empty((0, 3))).n_columns == 0


@pytest.mark.parametrize(
    ("threshold", "error", "message"),
    [
        (1.5, ValueError, r"threshold must be in \[-1, 1\], got 1.5"),
        (float("nan"), ValueError, r"threshold must be in \[-1, 1\], got nan"),
        ("0.9", TypeError, "threshold must be a number, got '0.9' of type str"),
        (True, TypeError, "threshold must be a number, got True of type bool"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(threshold: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.radius_graph(np.eye(3), threshold)
