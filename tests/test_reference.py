from __future__ import annotations

import numpy as np
import pytest
import reference_selection as definition
from embeddings import ALL, half_duplicates, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyredund

METHODS = ["removal", "insertion", "kcenter", "random"]


def kept_and_reference(data: str, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows, some of which are identical to one of the reference."""
    both = ALL[data](55, seed)
    return both[:40], np.vstack([both[40:], both[[3, 4, 4]]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ALL)
def test_reference_rows_count_as_kept_from_the_start(method: str, data: str) -> None:
    for seed in range(3):
        x, owned = kept_and_reference(data, seed)
        both, own = np.vstack([x, owned]), tuple(range(40, 58))
        forced = (2, 33)
        for keep in (2, 3, 20, 40):
            selection = pyredund.select(x, keep, method=method, reference=owned, must_keep=forced, k=None)
            assert selection.n_reference == 18
            assert len(selection.indices) == keep
            assert len(selection.mask) == len(selection.representatives) == 40
            selection.verify(x, reference=owned)
            total, all_forced = keep + 18, (*own, *forced)
            weights = np.repeat([1, 0], [40, 18])
            if method == "removal":
                expected = definition.removal(both, total, must_keep=all_forced)
                assert selection.removed.tolist() == expected.removed
                assert selection.costs is not None
                assert (selection.costs * 2**32).tolist() == expected.costs
            elif method == "insertion":
                assert selection.k is not None
                picks = definition.insertion(both, total, selection.k, all_forced, weights)
                assert selection.picked is not None
                assert selection.gains is not None
                assert selection.picked.tolist() == picks.picked[18:]
                assert (selection.gains * 2**32).tolist() == picks.gains[18:]
            elif method == "kcenter":
                expected_picks = definition.kcenter(both, total, all_forced)
                assert selection.picked is not None
                assert selection.picked.tolist() == [row for row in expected_picks if row < 40]
            kept = selection.indices.tolist() + list(own)
            closest, similarities = definition.representatives(both, kept)
            np.testing.assert_array_equal(selection.representatives, closest[:40])
            np.testing.assert_array_equal(selection.similarities, similarities[:40])


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter"])
def test_other_sizes_are_in_the_log(method: str) -> None:
    x, owned = smooth(60), smooth(25, 1)
    made = pyredund.select(x, 10 if method == "removal" else 50, method=method, reference=owned, k=9, must_keep=[7])
    for keep in (10, 23, 50):
        at, other = made.at(keep), pyredund.select(x, keep, method=method, reference=owned, k=9, must_keep=[7])
        for name in ("indices", "removed", "representatives", "similarities", "costs", "picked", "gains"):
            np.testing.assert_array_equal(getattr(at, name), getattr(other, name), err_msg=f"{name} at {keep}")
        assert at.n_reference == 25
        at.verify(x, reference=owned)


def test_what_the_reference_has_goes_first() -> None:
    x = np.vstack([smooth(30), smooth(10, 1)])
    selection = pyredund.select(x, 30, reference=smooth(10, 1) * 3)
    assert selection.indices.tolist() == list(range(30))
    assert selection.representatives[30:].tolist() == list(range(40, 50))


def test_an_empty_reference_changes_nothing() -> None:
    x = smooth(30)
    for method in METHODS:
        with_empty = pyredund.select(x, 20, method=method, reference=np.empty((0, 5)))
        np.testing.assert_array_equal(with_empty.removed, pyredund.select(x, 20, method=method).removed)


@pytest.mark.parametrize("method", METHODS)
def test_groups_share_the_reference(method: str) -> None:
    x, owned = kept_and_reference("half_duplicates")
    groups = np.arange(40) % 3
    selection = pyredund.select(x, 20, method=method, groups=groups, reference=owned)
    selection.verify(x, reference=owned)
    for group in range(3):
        rows = np.flatnonzero(groups == group)
        if method == "random":
            continue
        own = pyredund.select(x[rows], int(selection.mask[rows].sum()), method=method, reference=owned)
        np.testing.assert_array_equal(selection.mask[rows], own.mask)
        numbers = np.concatenate([rows, np.arange(40, 58)])
        np.testing.assert_array_equal(selection.representatives[rows], numbers[own.representatives])
    with pytest.raises(ValueError, match="keep must be 20 here"):
        selection.at(30)


def test_mistakes_get_a_sentence() -> None:
    x = smooth(12)
    with pytest.raises(ValueError, match="reference must have as many coordinates per row as embeddings, 5"):
        pyredund.select(x, 6, reference=np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"reference must be finite: 1 of 3 rows holds NaN or infinity \(row 1\)"):
        pyredund.select(x, 6, reference=[[1] * 5, [np.nan] * 5, [2] * 5])
    with pytest.raises(ValueError, match="graph must be None with reference"):
        pyredund.select(x, 6, reference=x, graph=pyredund.knn_graph(x))
    selection = pyredund.select(x, 6, reference=smooth(3, 1))
    with pytest.raises(ValueError, match="reference must be what the selection was made with, 3 rows"):
        selection.verify(x)


@pytest.mark.parametrize("data", ALL)
def test_weights_count_rows_in_the_sum(data: str) -> None:
    for seed in range(3):
        x = ALL[data](40, seed)
        weights = np.random.default_rng(seed).integers(0, 5, size=40)
        for keep in (1, 12, 35):
            removal, expected = (
                pyredund.select(x, keep, sample_weight=weights),
                definition.removal(x, keep, weights=weights),
            )
            assert removal.removed.tolist() == expected.removed
            assert removal.costs is not None
            assert (removal.costs * 2**32).tolist() == expected.costs
            removal.verify(x)
            added = pyredund.select(x, keep, method="insertion", sample_weight=weights, k=5)
            picks = definition.insertion(x, keep, 5, weights=weights)
            assert added.picked is not None
            assert added.gains is not None
            assert added.picked.tolist() == picks.picked
            assert (added.gains * 2**32).tolist() == picks.gains


def test_only_proportions_of_weights_count() -> None:
    x, weights = smooth(50), np.random.default_rng(0).integers(1, 9, size=50)
    expected = pyredund.select(x, 20, sample_weight=weights)
    for factor in (2.0**-600, 1e-3, 1.0, 3.0, 2.0**600):
        with np.errstate(all="raise"):
            other = pyredund.select(x, 20, sample_weight=weights * factor)
        np.testing.assert_array_equal(other.removed, expected.removed)
        other.verify(x)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any))
def test_whole_weights_are_exact(weights: list[int]) -> None:
    from pyredund._row_arguments import HEAVIEST, weight_units

    units, unit = weight_units(np.array(weights, dtype=np.float64))
    assert (units * unit).tolist() == weights
    assert HEAVIEST / 2 < units.sum() <= HEAVIEST


def test_weights_can_be_grouped_saved_and_refused(tmp_path: pytest.TempPathFactory) -> None:
    x, weights = half_duplicates(40), np.linspace(0.1, 2, 40)
    selection = pyredund.select(x, 20, sample_weight=weights, groups=np.arange(40) % 2)
    selection.verify(x)
    selection.save(tmp_path / "selection.npz")  # type: ignore[operator]
    loaded = pyredund.Selection.load(tmp_path / "selection.npz")  # type: ignore[operator]
    loaded.verify(x)
    loaded.at(30).verify(x)
    for method in ("kcenter", "random"):
        with pytest.raises(ValueError, match=f"sample_weight must be None with method='{method}'"):
            pyredund.select(x, 20, method=method, sample_weight=weights)
    for bad, message in (
        (-weights, "finite and at least 0, row 0 has -0.1"),
        (weights * 0, "above 0 for at least one row"),
        (weights * 1e-300, "largest value from 1e-200 to 1e200"),
        (weights * np.inf, "finite and at least 0, row 0 has inf"),
        (weights[1:], r"sample_weight must have one entry per row, shape \(40,\)"),
        (np.where(weights > 1, np.nan, 1), "sample_weight must not be NaN, row"),
    ):
        with pytest.raises(ValueError, match=message):
            pyredund.select(x, 20, sample_weight=bad)
