from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference_selection as reference
from embeddings import ALL, clumps, half_duplicates, smooth
from numpy.typing import NDArray

import pyredund
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._methods import Task, run
from pyredund._unit_rows import unit_rows


def select_in_batches(x: object, n_keep: int, k: int, engine: Engine, must_keep: tuple[int, ...]) -> pyredund.Selection:
    rows = unit_rows("x", row_source("x", x), engine)
    task = Task(rows, 0, n_keep, np.array(sorted(must_keep), dtype=np.int64), np.zeros(rows.n_rows, dtype=np.int32))
    return run("kcenter", task, k, None, (0,), engine)


def assert_is_kcenter(selection: pyredund.Selection, x: object, n_keep: int, must_keep: tuple[int, ...] = ()) -> None:
    assert selection.picked is not None
    expected = reference.kcenter(x, n_keep, must_keep)  # type: ignore[arg-type]
    assert selection.picked.tolist() == expected
    assert selection.indices.tolist() == sorted(expected)
    closest, similarities = reference.representatives(x, sorted(expected))  # type: ignore[arg-type]
    np.testing.assert_array_equal(selection.representatives, closest)
    np.testing.assert_array_equal(selection.similarities, similarities)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [None, 1, 3, 39])
def test_picks_the_rows_of_the_definition(data: str, k: int | None) -> None:
    for seed in range(4):
        x = ALL[data](40, seed)
        for keep in (1, 2, 7, 30, 40):
            assert_is_kcenter(pyredund.select(x, keep, method="kcenter", k=k), x, keep)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("batch", [1, 2, 7, 500])
def test_batches_threads_and_instruction_sets_change_nothing(data: str, batch: int, isa: str) -> None:
    x = ALL[data](300, 1)
    for k, n_threads in ((0, 2), (1, 1), (5, 3)):
        engine = replace(Engine.resolve(n_threads), isa=isa, block=batch)
        for must_keep in ((), (280, 3, 4)):
            assert_is_kcenter(select_in_batches(x, 200, k, engine, must_keep), x, 200, must_keep)


@pytest.mark.parametrize("data", ALL)
def test_must_keep_rows_come_first(data: str) -> None:
    for seed in range(4):
        x = ALL[data](30, seed)
        for keep in (4, 9, 30):
            assert_is_kcenter(
                pyredund.select(x, keep, method="kcenter", k=4, must_keep=(29, 2, 3, 17)), x, keep, (29, 2, 3, 17)
            )


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [None, 1, 6])
def test_every_smaller_size_is_in_the_log(data: str, k: int | None) -> None:
    for seed, forced in ((0, ()), (1, ()), (2, (9, 4))):
        x = ALL[data](40, seed)
        full = pyredund.select(x, 40, method="kcenter", k=k, must_keep=forced)
        if full._history is None:
            continue  # identical rows, a higher one of them forced: refused below
        for keep in (2, 3, 11, 25, 39, 40):
            other = pyredund.select(x, keep, method="kcenter", k=k, must_keep=forced)
            at = full.at(keep)
            for name in ("indices", "removed", "picked", "representatives", "similarities", "mask"):
                np.testing.assert_array_equal(getattr(at, name), getattr(other, name), err_msg=f"{name} at {keep}")


def test_sizes_that_the_log_does_not_hold_are_refused() -> None:
    x = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    selection = pyredund.select(x, 3, method="kcenter", must_keep=[1])
    with pytest.raises(ValueError, match=r"keep must be 3 here.*select\(embeddings, keep=2, method='kcenter'\)"):
        selection.at(2)
    with pytest.raises(ValueError, match="keep must be at most 5 here"):
        pyredund.select(smooth(9), 5, method="kcenter").at(6)
    with pytest.raises(ValueError, match=r"from 2 \(must_keep\) to 5"):
        pyredund.select(smooth(9), 5, method="kcenter", must_keep=[1, 8]).at(1)


def test_the_log_is_saved(tmp_path: Path) -> None:
    selection = pyredund.select(half_duplicates(50), 40, method="kcenter")
    selection.save(tmp_path / "selection.npz")
    loaded = pyredund.Selection.load(tmp_path / "selection.npz")
    np.testing.assert_array_equal(loaded.at(11).picked, selection.at(11).picked)
    np.testing.assert_array_equal(loaded.at(11).representatives, selection.at(11).representatives)


def test_k_changes_nothing_and_a_graph_can_be_shared() -> None:
    for x in (smooth(800), clumps(800), half_duplicates(800)):
        picked = pyredund.select(x, 0.7, method="kcenter").picked
        for k in (1, 4, 799):
            np.testing.assert_array_equal(pyredund.select(x, 0.7, method="kcenter", k=k).picked, picked)
        assert pyredund.select(x, 0.7, method="kcenter").k is None
        shared = pyredund.select(x, 0.7, method="kcenter", graph=pyredund.knn_graph(x, 9))
        np.testing.assert_array_equal(shared.picked, picked)


def test_no_group_that_a_pick_reaches_is_passed_over() -> None:
    """Tight groups far apart: most are ruled out by the triangle inequality, some only just not."""
    rng = np.random.default_rng(0)
    spread = rng.choice([1e-3, 1e-2, 0.1, 0.3], size=(600, 1))
    x = rng.normal(size=(30, 6))[rng.integers(30, size=600)] + rng.normal(size=(600, 6)) * spread
    for k, must_keep in ((None, ()), (2, ()), (2, (5, 100, 101, 102))):
        assert_is_kcenter(pyredund.select(x, 400, method="kcenter", k=k, must_keep=must_keep), x, 400, must_keep)


def test_100_000_equal_rows_take_no_time() -> None:
    import time

    x = np.ones((100_000, 8), dtype=np.float32)
    start = time.perf_counter()
    selection = pyredund.select(x, 0.5, method="kcenter")
    assert time.perf_counter() - start < 2
    assert selection.indices.tolist() == list(range(50_000))


def agreed_until_a_near_tie(x: NDArray[np.float32], ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> int:
    """Picks before the first at which two rows are equally far to 1e-5; AssertionError if they differ before that.

    The peer was seen to prefer a row that is nearer by 4e-6, in float64, than the one that it passed over.
    """
    scores = x.astype(np.float64) @ x.astype(np.float64).T
    closest = scores[ours[0]].copy()
    for place in range(1, len(ours)):
        closest[ours[:place]] = 2
        lowest = np.partition(closest, 1)[:2]
        if lowest[1] - lowest[0] < 1e-5:
            return place
        assert ours[place] == theirs[place], place
        closest = np.maximum(closest, scores[ours[place]])
    return len(ours)


def test_the_sequence_is_that_of_a_peer() -> None:
    lightly_mundig = pytest.importorskip("lightly_mundig")
    for seed in range(5):
        x = smooth(300, seed, dim=12).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        selection = lightly_mundig.Selection()
        selection.add_diversifying_strategy(embeddings=x, strength=1.0)
        theirs = np.asarray(selection.run_selection([0], len(x), 100), dtype=np.int64)
        theirs = theirs if theirs[0] == 0 else np.concatenate([[0], theirs])
        ours = pyredund.select(x, 100, method="kcenter", must_keep=[0]).picked
        assert ours is not None
        assert agreed_until_a_near_tie(x, ours, theirs) >= 20
