from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from pyredund import _core


def scores(x: NDArray[np.float64], y: NDArray[np.float64], isa: str) -> NDArray[np.float32]:
    return scores_of_units(in_eights(x), in_eights(y), isa)


def scores_of_units(x: NDArray[np.float32], y: NDArray[np.float32], isa: str) -> NDArray[np.float32]:
    out = np.full(len(x), np.nan, dtype=np.float32)
    _core.similarities(x, y, out, isa)
    return out


def in_eights(x: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.pad(reference.unit_rows(x), ((0, 0), (0, -x.shape[1] % 8)))


def pairs(dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(dim)
    x = rng.normal(size=(60, dim))
    nearness = np.repeat([0.0, 1e-7, 1e-4, 1.0], 15)[:, None]
    return x, np.where(nearness == 0, rng.normal(size=x.shape), x + nearness * rng.normal(size=x.shape))


def test_scores_are_the_bits_of_the_definition(isa: str, dim: int) -> None:
    x, y = pairs(dim)
    assert scores(x, y, isa).tobytes() == reference.similarity_matrix(x, y).diagonal().tobytes()


def test_scores_are_the_rounded_sum_of_exact_products(isa: str, dim: int) -> None:
    x, y = pairs(dim)
    left, right = reference.unit_rows(x).astype(np.float64), reference.unit_rows(y).astype(np.float64)
    exact = np.array([math.fsum(a * b) for a, b in zip(left, right, strict=True)])
    rounding_to_float32, sum_in_float64 = 2.0**-25, dim * 2.0**-52
    error = np.abs(scores(x, y, isa) - np.clip(exact, -1, 1))
    different = (left != right).any(axis=1)
    assert (error[different] <= rounding_to_float32 + sum_in_float64).all()


def test_a_row_has_exactly_similarity_1_to_itself(isa: str, dim: int) -> None:
    x, _ = pairs(dim)
    x[3] = 0
    assert (scores(x, x.copy(), isa) == 1).all()
    assert scores(x, -x, isa)[3] == 1  # -0 is folded into +0, so these zero rows are identical


def test_scores_stay_within_minus_1_and_1(isa: str) -> None:
    units = in_eights(np.random.default_rng(0).uniform(0.1, 1, size=(20_000, 3)))
    longest = units[np.argsort(-(units.astype(np.float64) ** 2).sum(axis=1))[:50]]
    nudged = longest.copy()
    nudged[:, 0] = np.nextafter(nudged[:, 0], np.float32(2))
    overshoot = reference.lane_sum(longest.astype(np.float64) * nudged.astype(np.float64))
    assert (overshoot.astype(np.float32) > 1).all()  # else the clamp is not reached
    assert (scores_of_units(longest, nudged, isa) == 1).all()
    assert (scores_of_units(longest, -nudged, isa) == -1).all()


def test_a_zero_row_scores_0_against_any_other(isa: str, dim: int) -> None:
    x, _ = pairs(dim)
    out = scores(x, np.zeros_like(x), isa)
    assert not out.any()
    assert not np.signbit(out).any()


def test_a_score_too_small_for_float32_is_positive_zero_and_a_subnormal_one_is_kept(isa: str) -> None:
    x = np.array([[-1e-30, 0.0, 1.0], [-1e-40, 0.0, 1.0]])
    y = np.array([[1e-30, 1.0, 0.0], [1.0, 0.0, 0.0]])
    out = scores(x, y, isa)  # of exact sums -1e-60 and -1e-40
    assert out.tolist() == [0.0, float(np.float32(-1e-40))]
    assert not np.signbit(out[0])


def test_an_unknown_instruction_set_is_refused_and_the_known_ones_are_named() -> None:
    assert _core.chosen_isa("auto") in _core.isas()
    with pytest.raises(ValueError, match=r"isa must be one of auto, baseline.*, got 'sse9'"):
        _core.chosen_isa("sse9")
