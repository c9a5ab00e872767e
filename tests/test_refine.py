from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_selection as reference
from embeddings import ALL, half_duplicates, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

import pyredund


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("method", ["removal", "insertion"])
@pytest.mark.parametrize("k", [1, 6])
def test_exchanges_the_rows_of_the_definition(data: str, method: str, k: int) -> None:
    for seed in range(3):
        x = ALL[data](36, seed)
        for keep in (1, 2, 9, 30):
            start = pyredund.select(x, keep, method=method, k=k)
            refined = pyredund.select(x, keep, method=method, k=k, refine=True)
            assert refined.indices.tolist() == reference.refine(x, start.indices.tolist())
            refined.verify(x)


@pytest.mark.parametrize("data", ALL)
def test_must_keep_rows_reference_and_weights_are_respected(data: str) -> None:
    for seed in range(3):
        x, own = ALL[data](30, seed), ALL[data](6, seed + 9)
        forced, weights = (3, 17, 29), np.random.default_rng(seed).integers(0, 4, size=30)
        options: dict[str, Any] = {"must_keep": forced, "reference": own, "sample_weight": weights}
        start = pyredund.select(x, 8, **options)
        refined = pyredund.select(x, 8, refine=True, **options)
        both = np.concatenate([x, own])
        must, weight = (*forced, *range(30, 36)), np.concatenate([weights, np.zeros(6, dtype=np.int64)])
        expected = reference.refine(both, [*start.indices.tolist(), *range(30, 36)], must, weight)
        assert refined.indices.tolist() == [row for row in expected if row < 30]
        refined.verify(x, own)


def test_each_group_is_refined_on_its_own() -> None:
    x, groups = smooth(60), np.arange(60) % 3
    refined = pyredund.select(x, 21, groups=groups, refine=True)
    for group in range(3):
        alone = pyredund.select(x[groups == group], 7, refine=True)
        assert refined.indices[groups[refined.indices] == group].tolist() == (alone.indices * 3 + group).tolist()
    refined.verify(x)


def test_the_mean_distance_shrinks() -> None:
    x = smooth(600, dim=8)
    for keep in (0.5, 0.2, 0.05):
        plain, refined = pyredund.select(x, keep), pyredund.select(x, keep, refine=True)
        assert len(refined.indices) == len(plain.indices)
        assert refined.similarities.mean(dtype=np.float64) > plain.similarities.mean(dtype=np.float64)


def test_the_result_does_not_depend_on_k_nor_threads() -> None:
    x = np.vstack([smooth(250), half_duplicates(50, 3), smooth(100) + 1e-7])
    expected = pyredund.select(x, 40, k=399, refine=True)
    for k, n_threads in ((1, 1), (7, 2), (64, 3)):
        found = pyredund.select(x, 40, k=k, refine=True, n_threads=n_threads)
        np.testing.assert_array_equal(found.indices, expected.indices)


def test_other_sizes_are_refused_with_what_to_call(tmp_path: Path) -> None:
    refined = pyredund.select(smooth(30), 10, refine=True)
    assert refined.refined
    assert pickle.loads(pickle.dumps(refined)).refined
    refined.save(tmp_path / "refined.npz")
    assert pyredund.Selection.load(tmp_path / "refined.npz").refined
    assert (refined.costs, refined.gains, refined.picked) == (None, None, None)
    with pytest.raises(ValueError, match=r"keep must be 10 here.*select\(embeddings, keep=20, .*refine=True\)"):
        refined.at(20)
    with pytest.raises(ValueError, match="refine=True leaves none"):
        refined.curve()


@pytest.mark.parametrize("method", ["kcenter", "agglomerative", "random"])
def test_only_what_goes_by_the_sum_is_refined(method: str) -> None:
    with pytest.raises(ValueError, match=f"refine must be False with method='{method}'"):
        pyredund.select(smooth(10), 5, method=method, refine=True)
    with pytest.raises(TypeError, match="refine must be True or False, got int"):
        pyredund.select(smooth(10), 5, refine=1)  # type: ignore[arg-type]


def test_many_equal_rows_take_no_time() -> None:
    import time

    x = np.concatenate([np.ones((50_000, 8)), smooth(1000, dim=8)]).astype(np.float32)
    start = time.perf_counter()
    selection = pyredund.select(x, 0.9, refine=True)
    assert time.perf_counter() - start < 5
    assert len(selection.indices) == 45_900


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(1, 3), st.data())
def test_any_small_input_matches_the_definition(n: int, dim: int, data: st.DataObject) -> None:
    values = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 1e-30, 0.1])
    x = np.array(data.draw(st.lists(st.lists(values, min_size=dim, max_size=dim), min_size=n, max_size=n)))
    keep = data.draw(st.integers(2, n))
    weights = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    start = pyredund.select(x, keep, sample_weight=weights + (weights.sum() == 0))
    refined = pyredund.select(x, keep, sample_weight=weights + (weights.sum() == 0), refine=True)
    weight = weights + (weights.sum() == 0)
    assert refined.indices.tolist() == reference.refine(x, start.indices.tolist(), weights=weight.astype(np.int64))
