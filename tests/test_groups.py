from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embeddings import ALL, half_duplicates, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyredund
from pyredund._groups import Seats

METHODS = ["removal", "insertion", "kcenter", "random"]


def labels(n: int, seed: int = 0) -> NDArray[np.str_]:
    chosen: NDArray[np.str_] = np.random.default_rng(seed).choice(["cat", "dog", "eel"], size=n, p=[0.6, 0.3, 0.1])
    chosen[:3] = ["eel", "dog", "cat"]
    return chosen


def counts_by_divisors(sizes: list[int], forced: list[int], n_keep: int) -> list[int]:
    """One place for each group and each row that must be kept; then, one by one, to the group with the best claim."""
    counts = [max(1, own) for own in forced]
    while sum(counts) < n_keep:
        claims = [
            (Fraction(2 * c + 1, size), g) for g, (c, size) in enumerate(zip(counts, sizes, strict=True)) if c < size
        ]
        counts[min(claims)[1]] += 1
    return counts


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_places_are_those_of_the_divisor_method(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    forced = [data.draw(st.integers(0, min(3, size))) for size in sizes]
    seats = Seats.of(np.array(sizes), np.array(forced))
    assert seats.n_first == sum(max(1, own) for own in forced)
    before = None
    for n_keep in range(seats.n_first, sum(sizes) + 1):
        counts = seats.counts(n_keep)
        assert counts.tolist() == counts_by_divisors(sizes, forced, n_keep)
        assert before is None or (counts >= before).all()
        before = counts


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ALL)
def test_each_group_is_selected_on_its_own(method: str, data: str) -> None:
    x, groups = ALL[data](90), labels(90)
    forced = [4, 5, 17, 88]
    selection = pyredund.select(
        x, 0.4, method=method, groups=groups, must_keep=forced, k=3 if method != "random" else None
    )
    assert len(selection.indices) == 36
    assert set(forced) <= set(selection.indices.tolist())
    selection.verify(x)
    assert selection.groups is not None
    sizes = np.bincount(selection.groups)
    must = np.bincount(selection.groups[forced], minlength=3)
    counts = counts_by_divisors(sizes.tolist(), must.tolist(), 36)
    for group, label in enumerate(["cat", "dog", "eel"]):
        rows = np.flatnonzero(groups == label)
        assert (selection.groups[rows] == group).all()
        assert selection.mask[rows].sum() == counts[group]
        if method == "random":
            continue
        inside = [rows.tolist().index(row) for row in forced if groups[row] == label]
        own = pyredund.select(x[rows], counts[group], method=method, must_keep=inside, k=min(3, len(rows) - 1))
        np.testing.assert_array_equal(selection.mask[rows], own.mask)
        np.testing.assert_array_equal(selection.representatives[rows], rows[own.representatives])
        np.testing.assert_array_equal(selection.similarities[rows], own.similarities)
        if method == "removal":
            np.testing.assert_array_equal(selection.removed[np.isin(selection.removed, rows)], rows[own.removed])
        else:
            assert selection.picked is not None
            assert own.picked is not None
            np.testing.assert_array_equal(selection.picked[np.isin(selection.picked, rows)], rows[own.picked])


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter"])
@pytest.mark.parametrize("data", ALL)
def test_other_sizes_are_in_the_log(method: str, data: str, tmp_path: Path) -> None:
    x, groups = ALL[data](80, 5), labels(80)
    forced = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in x[[0, 40]]]  # the lowest of identical rows
    arguments: dict[str, Any] = {"method": method, "groups": groups, "must_keep": forced, "k": 4}
    made = pyredund.select(x, 10 if method == "removal" else 70, **arguments)
    made.save(tmp_path / "selection.npz")
    for selection in (made, pyredund.Selection.load(tmp_path / "selection.npz")):
        for keep in (10, 11, 30, 0.7, 70):
            at, other = selection.at(keep), pyredund.select(x, keep, **arguments)
            for name in ("indices", "removed", "representatives", "similarities", "costs", "picked", "gains", "groups"):
                np.testing.assert_array_equal(getattr(at, name), getattr(other, name), err_msg=f"{name} at {keep}")
    if method == "removal":
        np.testing.assert_array_equal(made.removed[:10], made.at(70).removed)
    else:
        assert made.picked is not None
        np.testing.assert_array_equal(np.sort(made.picked[:10]), made.at(10).indices)
        fewest = len(set(forced) | {"cat", "dog", "eel"} - set(groups[forced]))
        with pytest.raises(ValueError, match=rf"from {fewest} \(must_keep, groups\) to 70"):
            made.at(fewest - 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_share_or_a_count_for_each_group(method: str) -> None:
    x, groups = smooth(90), labels(90)
    keep = {"cat": 0.5, "dog": 3, "eel": 1.0}
    selection = pyredund.select(x, keep, method=method, groups=groups)
    n_cats, n_eels = int((groups == "cat").sum()), int((groups == "eel").sum())
    kept = [int(selection.mask[groups == label].sum()) for label in ("cat", "dog", "eel")]
    assert kept == [(n_cats + 1) // 2, 3, n_eels]
    selection.verify(x)
    assert len(selection.removed) == 90 - sum(kept)
    with pytest.raises(ValueError, match="keep must be"):
        selection.at(80)


def test_labels_can_be_numbers_or_truths() -> None:
    x = smooth(30)
    for groups in ([0, 7, 7] * 10, [0.5, 1.5] * 15, [True, False, True] * 10, np.arange(30)):
        selection = pyredund.select(x, 30 if isinstance(groups, np.ndarray) else 12, groups=groups)
        expected = np.unique(np.asarray(groups), return_inverse=True)[1]
        np.testing.assert_array_equal(selection.groups, expected)
        selection.verify(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"keep": 2}, ValueError, "keep must be at least 3, one row for each of the 3 groups, got 2"),
        (
            {"keep": 4, "must_keep": [1, 4]},
            ValueError,
            "keep must be at least 4, one row for each of the 3 groups with the must_keep rows",
        ),
        ({"keep": 3, "must_keep": [1, 4, 7, 10]}, ValueError, "at least the number of must_keep rows, 4"),
        ({"groups": None, "keep": {0: 1}}, TypeError, "without groups, got a dict"),
        ({"groups": [0, 1]}, ValueError, r"groups must have one label per row, shape \(12,\), got shape \(2,\)"),
        ({"groups": [0.0] * 11 + [float("nan")]}, ValueError, "groups must not be NaN, row 11 is"),
        ({"groups": np.array([0, "a"] * 6, dtype=object)}, TypeError, "groups must hold labels of one kind"),
        ({"keep": {0: 1, 1: 1}}, ValueError, "an entry for each of the 3 groups, but it lacks 2"),
        ({"keep": {0: 1, 1: 1, 2: 1, 3: 1}}, ValueError, "but it has an entry for 3, which no row has"),
        ({"keep": {0: 1, 1: 5, 2: 1}}, ValueError, r"keep\[1\] must be at most the number of rows of group 1: 5 asked"),
        ({"keep": {0: 0.0, 1: 1, 2: 1}}, ValueError, r"keep\[0\] as a share must be in"),
        (
            {"keep": {0: 1, 1: 1, 2: 1}, "must_keep": [0, 3]},
            ValueError,
            r"keep\[0\] must be at least the number of must_keep rows in that group, 2, got 1",
        ),
        ({"graph": pyredund.knn_graph(smooth(12))}, ValueError, "graph must be None with groups"),
    ],
)
def test_mistakes_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    if arguments == {"keep": 4, "must_keep": [1, 4]}:
        arguments = {"keep": 3, "must_keep": [1, 4]}
    with pytest.raises(error, match=message):
        pyredund.select(smooth(12), **{"keep": 6, "groups": [0, 1, 2] * 4, **arguments})


def test_rows_with_nan_are_named_by_their_own_numbers() -> None:
    x = smooth(12)
    x[7] = np.nan
    with pytest.raises(ValueError, match=r"row 7\)"):
        pyredund.select(x, 6, groups=[0, 1, 2] * 4)


def test_verify_finds_a_representative_of_another_group() -> None:
    import dataclasses

    x = half_duplicates(40)
    selection = pyredund.select(x, 20, groups=[0, 1] * 20)
    without = dataclasses.replace(selection, groups=None)
    wrong = dataclasses.replace(pyredund.select(x, 20), groups=selection.groups)
    with pytest.raises(ValueError, match="is of another group|is closer|is identical"):
        wrong.verify(x)
    with pytest.raises(ValueError, match="is closer|is identical"):
        without.verify(x)


def test_many_small_groups_are_quick() -> None:
    import time

    x, groups = smooth(3000, dim=8), np.arange(3000) // 3
    start = time.perf_counter()
    selection = pyredund.select(x, 2000, groups=groups)
    assert time.perf_counter() - start < 10
    assert (np.bincount(groups[selection.indices]) == 2).all()
