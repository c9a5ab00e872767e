from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_selection as reference
from embeddings import ALL, half_duplicates, smooth

import pyredund
from pyredund import _core


def assert_is_insertion(selection: pyredund.Selection, expected: reference.Insertion, x: np.ndarray) -> None:
    assert selection.picked is not None
    assert selection.gains is not None
    assert selection.picked.tolist() == expected.picked
    assert (selection.gains * 2**32).tolist() == expected.gains
    assert selection.indices.tolist() == sorted(expected.picked)
    closest, similarities = reference.representatives(x, selection.indices.tolist())
    np.testing.assert_array_equal(selection.representatives, closest)
    np.testing.assert_array_equal(selection.similarities, similarities)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [1, 3, 39])
def test_picks_the_rows_of_the_definition(data: str, k: int) -> None:
    for seed in range(3):
        x = ALL[data](40, seed)
        for keep in (1, 7, 40):
            assert_is_insertion(pyredund.select(x, keep, method="insertion", k=k), reference.insertion(x, keep, k), x)


@pytest.mark.parametrize("data", ALL)
def test_must_keep_rows_come_first(data: str) -> None:
    for seed in range(3):
        x = ALL[data](30, seed)
        forced = (29, 2, 3, 17)
        selection = pyredund.select(x, 9, method="insertion", k=4, must_keep=forced)
        assert_is_insertion(selection, reference.insertion(x, 9, 4, tuple(sorted(forced))), x)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [1, 6])
def test_every_smaller_size_is_in_the_log(data: str, k: int) -> None:
    for seed, forced in ((0, ()), (1, ()), (2, (9, 4))):
        x = ALL[data](40, seed)
        full = pyredund.select(x, 40, method="insertion", k=k, must_keep=forced)
        if full._history is None:
            continue  # identical rows, a higher one of them forced: refused below
        for keep in (2, 3, 11, 25, 39, 40):
            other = pyredund.select(x, keep, method="insertion", k=k, must_keep=forced)
            at = full.at(keep)
            for name in ("indices", "removed", "picked", "representatives", "similarities", "gains", "mask"):
                np.testing.assert_array_equal(getattr(at, name), getattr(other, name), err_msg=f"{name} at {keep}")


@pytest.mark.parametrize("ask", ["at", "curve", "save", "pickle"])
def test_the_log_is_made_once_when_it_is_asked_for(ask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, made = half_duplicates(60), 0

    def counted(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        return core(*arguments)

    core = _core.closest_prefix
    monkeypatch.setattr(_core, "closest_prefix", counted)
    selection = pyredund.select(x, 20, method="insertion", k=4, progress=lambda done, total: None)
    assert made == 0
    other = selection
    if ask == "at":
        selection.at(5)
    elif ask == "curve":
        selection.curve()
    elif ask == "save":
        selection.save(tmp_path / "selection.npz")
        other = pyredund.Selection.load(tmp_path / "selection.npz")
    else:
        other = pickle.loads(pickle.dumps(selection))
    assert made == 1
    expected = pyredund.select(x, 7, method="insertion", k=4)
    for found in (selection.at(7), other.at(7)):
        np.testing.assert_array_equal(found.representatives, expected.representatives)
        np.testing.assert_array_equal(found.similarities, expected.similarities)
    assert made == 1


def test_sizes_whose_ties_the_log_cannot_decide_are_refused() -> None:
    x = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    selection = pyredund.select(x, 3, method="insertion", must_keep=[1])
    with pytest.raises(ValueError, match=r"keep must be 3 here.*select\(embeddings, keep=2, method='insertion'\)"):
        selection.at(2)
    assert pyredund.select(x, 3, method="insertion", must_keep=[0]).at(2).indices.tolist() == [0, 2]


def test_forced_rows_stay_in_every_size() -> None:
    forced = [3, 7, 9, 11, 30]
    selection = pyredund.select(smooth(60), 20, method="insertion", must_keep=forced)
    assert selection.at(5).indices.tolist() == forced
    with pytest.raises(ValueError, match=r"keep must be from 5 \(must_keep\) to 20 here"):
        selection.at(3)


def test_k_grows_with_what_a_kept_row_stands_for_and_is_recorded() -> None:
    x = smooth(500)
    assert pyredund.select(x, 0.9, method="insertion").k == 32
    assert pyredund.select(x, 10, method="insertion").k == 50
    assert pyredund.select(x, 1, method="insertion").k == 499
    assert pyredund.select(x[:8], 4, method="insertion").k == 7


def test_a_shared_graph_gives_the_same_selection() -> None:
    x = smooth(60)
    graph = pyredund.knn_graph(x, 5)
    shared = pyredund.select(x, 20, method="insertion", graph=graph)
    np.testing.assert_array_equal(shared.picked, pyredund.select(x, 20, method="insertion", k=5).picked)
    assert shared.k == 5


def test_representatives_are_exact_where_the_graph_reaches_no_kept_row() -> None:
    for x in (smooth(300), half_duplicates(300)):
        pyredund.select(x, 4, method="insertion", k=1).verify(x)


def test_opposite_rows_gain_nothing_from_each_other() -> None:
    selection = pyredund.select([[1.0], [-1.0]], 2, method="insertion")
    assert selection.gains is not None
    assert selection.gains.tolist() == [1.0, 1.0]


def test_100_000_equal_rows_take_no_time() -> None:
    import time

    x = np.ones((100_000, 8), dtype=np.float32)
    start = time.perf_counter()
    selection = pyredund.select(x, 0.5, method="insertion")
    assert time.perf_counter() - start < 2
    assert selection.indices.tolist() == list(range(50_000))
