from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference_selection as reference
from embeddings import ALL, half_duplicates, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

import pyredund
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._knn_graph import search_distinct
from pyredund._removal import in_similarity, removal
from pyredund._unit_rows import unit_rows


def assert_is_removal(selection: pyredund.Selection, expected: reference.Removal, x: np.ndarray) -> None:
    assert selection.removed.tolist() == expected.removed
    assert selection.costs is not None
    assert (selection.costs * 2**32).tolist() == expected.costs
    closest, similarities = reference.representatives(x, selection.indices.tolist())
    np.testing.assert_array_equal(selection.representatives, closest)
    np.testing.assert_array_equal(selection.similarities, similarities)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [1, 4, None])
def test_removes_the_rows_of_the_definition_down_to_one(data: str, k: int | None) -> None:
    for seed in range(3):
        x = ALL[data](40, seed)
        assert_is_removal(pyredund.select(x, 1, k=k), reference.removal(x, 1), x)


@pytest.mark.parametrize("keep", [1, 30, 99, 100])
def test_result_does_not_depend_on_k(keep: int) -> None:
    x = np.vstack([smooth(60), half_duplicates(40, 3)])
    few, all_others = pyredund.select(x, keep, k=4), pyredund.select(x, keep, k=99)
    np.testing.assert_array_equal(few.removed, all_others.removed)
    np.testing.assert_array_equal(few.costs, all_others.costs)
    np.testing.assert_array_equal(few.representatives, all_others.representatives)


def test_worn_lists_are_renewed_in_one_search() -> None:
    # 2,500 rows with lists of 2: far more than the few dozen renewals after which all rows are searched again.
    x = smooth(2500, dim=6)
    few, many = pyredund.select(x, 25, k=2), pyredund.select(x, 25, k=400)
    np.testing.assert_array_equal(few.removed, many.removed)
    np.testing.assert_array_equal(few.representatives, many.representatives)
    few.verify(x)


def test_near_equal_rows_may_go_in_any_order_of_priority() -> None:
    # Everybody is at similarity 1 of everybody, lists hold the lowest rows, and these go first: lists wear out at once.
    x = (1 + 1e-6 * np.random.default_rng(0).normal(size=(1200, 8))).astype(np.float32)
    few, many = (pyredund.select(x, 100, k=k, priority=np.arange(1200)) for k in (4, 1199))
    assert few.removed.tolist() == list(range(1100))
    np.testing.assert_array_equal(few.removed, many.removed)
    np.testing.assert_array_equal(few.representatives, many.representatives)
    few.verify(x)


@pytest.mark.parametrize("data", ALL)
def test_lower_priority_goes_first_among_equal_costs(data: str) -> None:
    for seed in range(3):
        x = ALL[data](30, seed)
        priority = np.random.default_rng(seed).integers(0, 3, size=30).astype(float)
        for keep in (3, 20):
            expected = reference.removal(x, keep, priority)
            assert_is_removal(pyredund.select(x, keep, priority=priority), expected, x)


def test_priority_never_outweighs_cost() -> None:
    x = [[1, 0], [1, 0.001], [0, 1], [0.5, 0.9]]
    assert pyredund.select(x, 3, priority=[9, 9, 0, 0]).removed.tolist() in ([0], [1])


@pytest.mark.parametrize("data", ALL)
def test_must_keep_rows_stay(data: str) -> None:
    for seed in range(3):
        x = ALL[data](30, seed)
        forced = (2, 3, 17, 29)
        selection = pyredund.select(x, 5, must_keep=forced)
        assert set(forced) <= set(selection.indices.tolist())
        assert_is_removal(selection, reference.removal(x, 5, must_keep=forced), x)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [1, 3, 20, 39])
def test_a_given_graph_with_copies_in_its_lists_gives_the_rows_of_the_definition(data: str, k: int) -> None:
    rng = np.random.default_rng(k)
    for seed in range(3):
        x = ALL[data](25, seed)[rng.integers(0, 25, size=40)]  # copies, shuffled
        priority = rng.integers(0, 3, size=40)
        found = pyredund.select(x, 1, graph=pyredund.knn_graph(x, k), priority=priority)
        assert_is_removal(found, reference.removal(x, 1, priority.astype(float)), x)


def test_a_given_list_of_nothing_but_copies_is_renewed() -> None:
    x = np.repeat(smooth(30), 6, axis=0)
    found = pyredund.select(x, 5, graph=pyredund.knn_graph(x, 4))
    assert_is_removal(found, reference.removal(x, 5), x)


def test_a_given_graph_may_list_all_other_distinct_rows() -> None:
    x = smooth(6)[[0, 1, 2, 3, 4, 5, 5, 4, 3, 0]]
    for k in (5, 7, 8, 9):
        found = pyredund.select(x, 1, graph=pyredund.knn_graph(x, k), must_keep=[7])
        assert_is_removal(found, reference.removal(x, 1, must_keep=(7,)), x)


def test_same_bytes_for_every_instruction_set_thread_count_and_tile(isa: str) -> None:
    x = np.vstack([smooth(150, dim=17), smooth(150, 1, dim=17)[:, ::-1]])
    expected = pyredund.select(x, 30, k=2)
    for n_threads, block in ((1, 7), (2, 32), (3, 1000)):
        engine = replace(Engine.resolve(n_threads), isa=isa, block=block)
        rows = unit_rows("x", row_source("x", x), engine)
        graph, ranks = search_distinct(rows, 2, engine), np.zeros(len(x), dtype=np.int32)
        history, units = removal(rows, graph, 30, ranks, np.array([], dtype=np.int64), rows.counts, engine)
        np.testing.assert_array_equal(history.removed, expected.removed)
        np.testing.assert_array_equal(in_similarity(units), expected.costs)
        np.testing.assert_array_equal(history.at(30)[0], expected.representatives)


def test_every_larger_size_is_in_the_log() -> None:
    for data in ALL.values():
        x = data(40, 7)
        priority = np.arange(40)[::-1] % 3
        deep = pyredund.select(x, 2, priority=priority)
        for keep in (2, 3, 11, 25, 39, 40):
            other = pyredund.select(x, keep, priority=priority)
            at = deep.at(keep)
            for name in ("indices", "removed", "representatives", "similarities", "costs", "mask"):
                np.testing.assert_array_equal(getattr(at, name), getattr(other, name), err_msg=f"{name} at {keep}")


def test_100_000_equal_rows_take_no_time() -> None:
    import time

    x = np.ones((100_000, 8), dtype=np.float32)
    start = time.perf_counter()
    selection = pyredund.select(x, 0.5)
    assert time.perf_counter() - start < 2
    assert selection.indices.tolist() == list(range(50_000))
    assert (selection.similarities == 1).all()
    assert (selection.representatives[50_000:] == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.data())
def test_any_small_input_matches_the_definition(n: int, dim: int, data: st.DataObject) -> None:
    values = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 1e-30, 0.1])
    x = np.array(data.draw(st.lists(st.lists(values, min_size=dim, max_size=dim), min_size=n, max_size=n)))
    keep = data.draw(st.integers(1, n))
    priority = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), dtype=float)
    selection = pyredund.select(x, keep, priority=priority)
    assert_is_removal(selection, reference.removal(x, keep, priority), x)
    selection.verify(x)
