from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from embeddings import ALL, half_duplicates, smooth

import pyredund


def own_neighbour() -> pyredund.NeighborGraph:
    indptr = np.array([0, 1, 1, 1, 1, 1, 1, 1])
    return pyredund.NeighborGraph(indptr, np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32), 7, 7)


def repeated_neighbour() -> pyredund.NeighborGraph:
    """As long as complete lists, and true in their first and last entries."""
    graph = pyredund.knn_graph(smooth(7), 6)
    ids = graph.indices.reshape(7, 6).copy()
    ids[:, 1] = ids[:, 0]
    return pyredund.NeighborGraph(graph.indptr, ids.reshape(-1), graph.similarities, 7, 7)


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter", "random"])
@pytest.mark.parametrize(
    ("keep", "n", "kept"),
    [
        (1.0, 7, 7),
        (1, 7, 1),
        (0.1, 7, 1),
        (0.001, 7, 1),
        (0.5, 7, 4),  # 3.5 rounds half up
        (0.29, 50, 15),  # 14.5, though 0.29 * 50 is less in binary
        (np.float32(0.5), 8, 4),
        (np.int64(3), 8, 3),
        (8, 8, 8),
    ],
)
def test_size_asked_for_is_size_returned(method: str, keep: float, n: int, kept: int) -> None:
    selection = pyredund.select(smooth(n), keep, method=method)
    assert len(selection.indices) == kept
    assert len(selection.removed) == n - kept


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (0, ValueError, "keep as a count must be at least 1, got 0"),
        (-3, ValueError, "got -3"),
        (8, ValueError, "keep must be at most the number of rows: 8 asked for, there are 7"),
        (0.0, ValueError, r"in \(0, 1\], got 0.0"),
        (1.5, ValueError, r"in \(0, 1\], got 1.5"),
        (float("nan"), ValueError, "got nan"),
        (float("inf"), ValueError, "got inf"),
        (True, TypeError, "got the bool True"),
        ("0.9", TypeError, "got '0.9' of type str"),
        (None, TypeError, "got None"),
    ],
)
def test_impossible_sizes_are_refused(keep: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.select(smooth(7), keep)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"method": "kmeans"},
            ValueError,
            "method must be one of removal, insertion, kcenter, agglomerative, random, got 'kmeans'",
        ),
        ({"method": 3}, TypeError, "method must be a string"),
        ({"device": "tpu"}, ValueError, "device must be one of"),
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 7}, ValueError, r"k must be at most 6 \(n - 1 for n=7 rows\), got 7"),
        ({"k": 2.0}, TypeError, "k must be an integer, got 2.0"),
        ({"k": 3, "method": "random"}, ValueError, "needs no graph"),
        ({"graph": "mine"}, TypeError, "graph must be a NeighborGraph, got str"),
        ({"graph": pyredund.knn_graph(smooth(5))}, ValueError, "must join the 7 rows"),
        (
            {"graph": pyredund.knn_graph(smooth(7)), "k": 3},
            ValueError,
            "k must be None where a graph is given",
        ),
        (
            {"graph": pyredund.knn_graph(smooth(7, seed=1))},
            ValueError,
            "graph must be that of these embeddings: it says",
        ),
        ({"graph": own_neighbour()}, ValueError, "own neighbours"),
        ({"graph": repeated_neighbour()}, ValueError, "graph must not list a neighbour twice, row 0 does"),
        ({"must_keep": np.ones(7, dtype=bool)}, TypeError, "got a mask"),
        ({"must_keep": 5}, TypeError, "must_keep must be a list of row numbers, got 5"),
        ({"k": np.array(2.5)}, TypeError, "k must be an integer"),
        ({"keep": np.array(0.5)}, TypeError, r"keep must be a share \(float\) or a count"),
        ({"must_keep": [7]}, ValueError, r"must_keep must hold row numbers in \[0, 7\), got 7"),
        ({"must_keep": [-1]}, ValueError, "got -1"),
        ({"must_keep": [0.5]}, TypeError, "must_keep must be a list of row numbers"),
        ({"must_keep": range(4), "keep": 3}, ValueError, "at least the number of must_keep rows, 4, got 3"),
        ({"priority": [1, 2]}, ValueError, r"priority must have one entry per row, shape \(7,\)"),
        ({"priority": [float("nan")] * 7}, ValueError, "priority must not be NaN, row 0 is"),
        ({"priority": ["a"] * 7}, TypeError, "priority must hold real numbers"),
        ({"priority": [1] * 7, "method": "random"}, ValueError, "breaks ties in removal and agglomerative only"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ({"progress": 1}, TypeError, "progress must be"),
        ({"max_memory": 100}, MemoryError, "more than max_memory"),
    ],
)
def test_mistakes_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.select(smooth(7), **{"keep": 4, **arguments})


def test_nothing_to_select_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 row to select from, got 0"):
        pyredund.select(np.empty((0, 4)))


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter", "random"])
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_rows(method: str, n: int) -> None:
    selection = pyredund.select(smooth(n), 1, method=method)
    assert len(selection.indices) == 1
    selection.verify(smooth(n))


@pytest.mark.parametrize("data", ALL)
def test_random_is_a_seeded_sample_with_exact_representatives(data: str) -> None:
    x = ALL[data](80)
    selection = pyredund.select(x, 0.4, method="random", seed=3, must_keep=[1, 5])
    assert {1, 5} <= set(selection.indices.tolist())
    selection.verify(x)
    again = pyredund.select(x, 0.4, method="random", seed=3, must_keep=[1, 5])
    np.testing.assert_array_equal(selection.indices, again.indices)
    assert (pyredund.select(x, 0.4, method="random", seed=4).indices != selection.indices).any()


def test_random_keeps_every_row_equally_often() -> None:
    counts = np.zeros(20)
    for seed in range(400):
        counts[pyredund.select(smooth(20), 5, method="random", seed=seed).indices] += 1
    assert (np.abs(counts - 100) < 45).all()  # 100 expected, standard deviation 8.7


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter", "random"])
def test_threads_do_not_change_a_byte(method: str, monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    x = half_duplicates(400)
    expected = pyredund.select(x, 0.3, method=method)
    monkeypatch.setitem(os.environ, "PYREDUND_ISA", isa)
    for n_threads in (1, 2, 3):
        other = pyredund.select(x, 0.3, method=method, n_threads=n_threads)
        for name in ("indices", "removed", "representatives", "similarities"):
            assert getattr(other, name).tobytes() == getattr(expected, name).tobytes(), name


def test_only_directions_count_and_input_is_untouched() -> None:
    x = smooth(50).astype(np.float32)
    before = x.copy()
    scaled = x * np.float32(2.0) ** np.arange(-25, 25, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(pyredund.select(x, 20).removed, pyredund.select(scaled, 20).removed)
    np.testing.assert_array_equal(x, before)


def test_zero_rows_stand_only_for_each_other() -> None:
    x = np.vstack([smooth(30), np.zeros((3, 5))])
    selection = pyredund.select(x, 20)
    assert set(selection.removed.tolist()) >= {31, 32}
    assert selection.representatives[[31, 32]].tolist() == [30, 30]
    selection.verify(x)
