from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._unit_rows import UnitRows, normalized, padded, unit_rows


def unit(x: Any, n_threads: int = 1) -> NDArray[np.float32]:
    return normalized("embeddings", row_source("embeddings", x), Engine(n_threads=n_threads))


def collapsed(x: Any) -> UnitRows:
    return unit_rows("embeddings", row_source("embeddings", x), Engine())


def assert_equals_the_definition(x: NDArray[Any]) -> None:
    rows, expected = unit(x), reference.unit_rows(x)
    dim = x.shape[1]
    assert rows.shape == (len(x), padded(dim))
    assert rows[:, :dim].tobytes() == expected.tobytes()
    assert not rows[:, dim:].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_unit_rows_are_the_bits_of_the_definition(dtype: type, dim: int) -> None:
    assert_equals_the_definition(np.random.default_rng(dim).normal(size=(50, dim)).astype(dtype))


@pytest.mark.parametrize("magnitude", [1e300, 1e-300, 1.7e308, 5e-324, 2.0**400, 2.0**401, 2.0**-400, 2.0**-401])
def test_float64_rows_of_extreme_magnitude_keep_their_direction(magnitude: float, dim: int) -> None:
    x = np.random.default_rng(dim).uniform(-1, 1, size=(20, dim)) * magnitude
    x[:, 0] = magnitude
    assert_equals_the_definition(x)
    assert np.allclose(np.linalg.norm(unit(x), axis=1), 1)


def test_coordinates_of_very_different_magnitude_neither_overflow_nor_vanish() -> None:
    x = np.array([[1e308, 1e-308, 1.0], [5e-324, 0.0, -5e-324], [1e-310, 1e-300, 1e-305], [1e300, 1e150, 1.0]])
    assert_equals_the_definition(x)


@pytest.mark.parametrize("magnitude", [1e-45, 1e-40, 1.2e-38, 3e38])
def test_float32_rows_of_extreme_magnitude_keep_their_direction(magnitude: float) -> None:
    x = (np.random.default_rng(0).choice([-1.0, 0.0, 1.0], size=(50, 5)) * magnitude).astype(np.float32)
    x[:, 0] = magnitude
    assert_equals_the_definition(x)
    assert np.allclose(np.linalg.norm(unit(x), axis=1), 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_zero_rows_stay_zero_and_negative_zero_becomes_positive(dtype: type) -> None:
    x: NDArray[Any] = np.array([[0.0, 0.0, 0.0], [-0.0, 0.0, -0.0], [-0.0, 3.0, -4.0]], dtype=dtype)
    assert_equals_the_definition(x)
    assert not np.signbit(unit(x)[:2]).any()
    assert unit(x)[2, :3].tobytes() == np.array([0.0, 0.6, -0.8], dtype=np.float32).tobytes()


def test_a_coordinate_that_underflows_to_negative_zero_becomes_positive() -> None:
    rows = unit(np.array([[1.0, -1e-300]]))
    assert rows[0, 1] == 0
    assert not np.signbit(rows[0, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_that_are_not_finite_are_counted_and_the_first_are_named(bad: float, dtype: type) -> None:
    x: NDArray[Any] = np.ones((4000, 3), dtype=dtype)
    x[[7, 1500], [0, 2]] = bad
    with pytest.raises(ValueError, match=r"embeddings must be finite: 2 of 4000 rows .*\(rows 7, 1500\)"):
        unit(x)
    x[100:110, 1] = bad
    with pytest.raises(ValueError, match=r"12 of 4000 rows .*\(rows 7, 100, 101, 102, 103, \.\.\.\)"):
        unit(x)


def test_infinity_is_found_beside_numbers_that_are_scaled() -> None:
    with pytest.raises(ValueError, match=r"2 of 3 rows .*\(rows 0, 2\)"):
        unit(np.array([[1e308, np.nan], [1e308, 1e308], [-np.inf, 1e-320]]))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same_bytes(n_threads: int) -> None:
    x = np.random.default_rng(1).normal(size=(5000, 7))  # five chunks of 1024 rows
    assert unit(x, n_threads).tobytes() == unit(x).tobytes()


def test_identical_unit_rows_are_held_once_in_order_of_first_occurrence() -> None:
    x = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 7.0], [-0.0, 0.0], [4.0, -0.0], [0.0, 0.0], [-1.0, 0.0]])
    rows = collapsed(x)
    assert rows.n_rows == 7
    assert rows.n_distinct == 4
    assert rows.class_of is not None
    assert rows.class_of.tolist() == [0, 1, 0, 2, 1, 2, 3]
    assert rows.matrix[:, :2].tolist() == [[0, 1], [1, 0], [0, 0], [-1, 0]]
    member_ptr, members = rows.member_lists
    assert members.tolist() == [0, 2, 1, 4, 3, 5, 6]
    assert member_ptr.tolist() == [0, 2, 4, 6, 7]
    assert rows.counts.tolist() == [2, 2, 2, 1]
    assert rows.first.tolist() == [0, 1, 3, 6]


def test_distinct_rows_are_their_own_classes() -> None:
    rows = collapsed(np.eye(3))
    assert rows.class_of is None
    assert rows.member_lists[1].tolist() == rows.first.tolist() == [0, 1, 2]
    assert rows.counts.tolist() == [1, 1, 1]


def test_classes_are_those_of_numpy_unique() -> None:
    x = np.random.default_rng(2).integers(-2, 3, size=(20_000, 3))
    rows = collapsed(x)
    assert rows.class_of is not None
    units = reference.unit_rows(x)
    assert rows.matrix[rows.class_of][:, :3].tobytes() == units.tobytes()
    assert rows.n_distinct == len(np.unique(units, axis=0))
    assert np.array_equal(rows.first, np.sort(np.unique(units, axis=0, return_index=True)[1]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_norms_are_summed_in_the_order_of_the_definition(dim: int, dtype: type[np.floating], isa: str) -> None:
    x = np.random.default_rng(dim).normal(size=(50, dim)).astype(dtype)
    norms, units = np.empty(50), np.empty((50, padded(dim)), dtype=np.float32)
    _core.unit_rows(x, units, norms, 1, isa)
    wide = x.astype(np.float64)
    assert norms.tobytes() == np.sqrt(reference.lane_sum(wide * wide)).tobytes()
    assert units[:, :dim].tobytes() == ((wide / norms[:, None]).astype(np.float32) + np.float32(0)).tobytes()
    assert not units[:, dim:].any()
