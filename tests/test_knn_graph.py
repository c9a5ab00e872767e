from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
from exact_graphs import AWKWARD, assert_is_exact, bytes_of, units
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pyredund
from pyredund import _core
from pyredund._engine import Engine
from pyredund._knn_graph import search, search_reference


def engine(isa: str, block: int, n_threads: int = 1) -> Engine:
    return replace(Engine.resolve(n_threads), isa=isa, block=block)


def test_neighbours_are_exact_in_any_dimension(isa: str, dim: int) -> None:
    x = np.random.default_rng(dim).normal(size=(130, dim))
    for block in (0, 48):
        assert_is_exact(search(units(x), 7, engine(isa, block)), x, 7)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("block", [0, 1, 16, 50])
def test_neighbours_are_exact_on_awkward_rows(name: str, block: int, isa: str) -> None:
    x = AWKWARD[name](np.random.default_rng(5))
    for k in (1, 10, len(x) - 1):
        assert_is_exact(search(units(x), k, engine(isa, block, n_threads=2)), x, k)


@pytest.mark.parametrize("name", AWKWARD)
def test_neighbours_of_a_reference_are_exact_on_awkward_rows(name: str, isa: str) -> None:
    x = AWKWARD[name](np.random.default_rng(6))
    others = AWKWARD[name](np.random.default_rng(7))[: len(x) // 2 + 3]
    for queries in (x, np.unique(x, axis=0)):
        for k in (1, 9, len(others)):
            graph = search_reference(units(queries), units(others), k, engine(isa, 16))
            assert_is_exact(graph, queries, k, others)


# Around one and two strips (6, 14 rows), panels (8, 16, 32 columns) and blocks of 16.
@pytest.mark.parametrize("n", [2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 28, 29, 31, 32, 33, 47, 48, 49, 64, 65])
def test_sizes_around_tiles_are_exact(n: int, isa: str) -> None:
    rng = np.random.default_rng(n)
    x, others = rng.normal(size=(n, 5)), rng.normal(size=(n, 5))
    for block in (0, 16):
        for k in {1, n // 2, n - 1} - {0}:
            assert_is_exact(search(units(x), k, engine(isa, block)), x, k)
        for queries in (x[:1], x):
            graph = search_reference(units(queries), units(others), n, engine(isa, block))
            assert_is_exact(graph, queries, n, others)


def test_more_survivors_than_the_buffer_holds_are_all_resolved(isa: str) -> None:
    x = np.random.default_rng(8).integers(-3, 4, size=(700, 4))
    rows = np.unique(reference.unit_rows(x), axis=0)
    k = len(rows) - 1  # no bar is ever set: every pair survives
    assert_is_exact(search(units(rows), k, engine(isa, 512)), rows, k)


@pytest.mark.parametrize("k", [1, 40])
def test_threads_and_blocks_never_change_a_byte(k: int) -> None:
    rng = np.random.default_rng(9)
    x = np.concatenate([rng.normal(size=(1500, 9)), rng.integers(-1, 2, size=(500, 9))])
    others = x[rng.permutation(2000)[:700]]
    engines = [engine(isa, block, n) for isa in _core.isas() for block in (0, 70) for n in (1, 2, 3)]
    rows, reference_rows = units(x), units(others)
    assert len({bytes_of(search(rows, k, one)) for one in engines}) == 1
    assert len({bytes_of(search_reference(rows, reference_rows, k, one)) for one in engines}) == 1
    assert_is_exact(pyredund.knn_graph(x[1300:1700], k), x[1300:1700], k)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_small_input_is_exact(data: st.DataObject) -> None:
    above_1 = float(np.nextafter(np.float32(1), np.float32(2)))
    values = st.sampled_from([-3.0, -1.0, -0.0, 0.0, 1e-30, 0.5, 1.0, above_1, 3.0])
    dim = data.draw(st.integers(1, 9), label="dim")
    matrices = st.integers(2, 20).flatmap(lambda n: arrays.arrays(np.float64, (n, dim), elements=values))
    x, others = data.draw(matrices, label="x"), data.draw(matrices, label="others")
    how = engine(
        data.draw(st.sampled_from(_core.isas()), label="isa"),
        data.draw(st.integers(0, 9), label="block"),
        data.draw(st.integers(1, 3), label="n_threads"),
    )
    k = data.draw(st.integers(1, len(x) - 1), label="k")
    assert_is_exact(search(units(x), k, how), x, k)
    k = data.draw(st.integers(1, len(others)), label="k of reference")
    assert_is_exact(search_reference(units(x), units(others), k, how), x, k, others)


def test_no_rows_and_a_single_row_give_a_graph_without_edges() -> None:
    for n in (0, 1):
        graph = pyredund.knn_graph(np.ones((n, 4)))
        assert (graph.n_rows, len(graph.indices)) == (n, 0)
        assert graph.indptr.tolist() == [0] * (n + 1)
    assert pyredund.knn_graph(np.ones((0, 4)), k=5).n_rows == 0
    empty_reference = pyredund.knn_graph(np.ones((3, 4)), reference=np.ones((0, 4)))
    assert (empty_reference.n_rows, empty_reference.n_columns, len(empty_reference.indices)) == (3, 0, 0)
    no_queries = pyredund.knn_graph(np.ones((0, 4)), k=2, reference=np.ones((3, 4)))
    assert (no_queries.n_rows, no_queries.n_columns) == (0, 3)


def test_k_is_32_or_as_many_as_there_are() -> None:
    x = np.random.default_rng(10).normal(size=(50, 3))
    assert_is_exact(pyredund.knn_graph(x), x, 32)
    assert_is_exact(pyredund.knn_graph(x[:20]), x[:20], 19)
    assert_is_exact(pyredund.knn_graph(x, reference=x[:40]), x, 32, x[:40])
    assert_is_exact(pyredund.knn_graph(x, reference=x[:5]), x, 5, x[:5])


def test_100_000_equal_rows_cost_nothing_special() -> None:
    x = np.ones((100_000, 16), dtype=np.float32)
    start = time.perf_counter()
    graph = pyredund.knn_graph(x, k=32)
    assert time.perf_counter() - start < 2
    lists = graph.indices.reshape(-1, 32)
    assert (graph.similarities == 1).all()
    assert (lists[33:] == np.arange(32)).all()
    assert all(lists[row].tolist() == [other for other in range(33) if other != row] for row in range(33))


def test_the_arrays_given_are_never_written() -> None:
    rng = np.random.default_rng(11)
    for dtype in (np.float16, np.float32, np.float64):
        x, others = rng.normal(size=(90, 8)).astype(dtype), rng.normal(size=(40, 8)).astype(dtype)
        x[50:] = -0.0
        before = x.tobytes(), others.tobytes()
        pyredund.knn_graph(x, k=3)
        pyredund.knn_graph(x, k=3, reference=others)
        assert (x.tobytes(), others.tobytes()) == before


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, r"k must be at least 1, got 0"),
        (-1, ValueError, r"k must be at least 1, got -1"),
        (10, ValueError, r"k must be at most 9 .*n=10.*, got 10"),
        (2**70, ValueError, rf"k must be at most 9 .*, got {2**70}"),
        (True, TypeError, r"k must be an integer, got True"),
        (2.5, TypeError, r"k must be an integer, got 2\.5"),
        ("3", TypeError, r"k must be an integer, got '3'"),
    ],
)
def test_a_k_that_cannot_be_is_refused(k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.knn_graph(np.ones((10, 2)), k)
    with pytest.raises(error, match=message.replace("9 .*n=10.*", "9 .*reference.*")):
        pyredund.knn_graph(np.ones((10, 2)), k, reference=np.ones((9, 2)))


@pytest.mark.parametrize("k", [-1, "3", 2.5])
@pytest.mark.parametrize("others", [None, np.ones((4, 2))])
def test_a_k_that_cannot_be_is_refused_without_rows_too(k: Any, others: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="k must be"):
        pyredund.knn_graph(np.ones((0, 2)), k, reference=others)


def test_numpy_integers_are_integers() -> None:
    x = np.random.default_rng(12).normal(size=(20, 3))
    assert_is_exact(pyredund.knn_graph(x, np.int16(4), n_threads=np.int64(1)), x, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("gpu", ValueError, r"device must be one of auto, cpu, cuda, got 'gpu'"),
        (0, TypeError, r"device must be a string, one of auto, cpu, cuda, got int"),
    ],
)
def test_a_device_that_cannot_be_is_refused(device: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.knn_graph(np.ones((10, 2)), device=device)


def test_a_reference_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reference must have as many coordinates .*, 4, got shape \(2, 3\)"):
        pyredund.knn_graph(np.ones((5, 4)), reference=np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"reference must be finite: 1 of 2 rows .*\(row 1\)"):
        pyredund.knn_graph(np.ones((5, 2)), reference=np.array([[1, 2], [np.nan, 1]]))
