from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_selection as reference
from embeddings import ALL, clumps, half_duplicates, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from reference import similarity_matrix

import pyredund
from pyredund import _core, _given_graph
from pyredund._deduplicate import DROPPED, KEPT, _visit
from pyredund._engine import Engine
from pyredund._given_graph import similar_lists
from pyredund._inputs import row_source
from pyredund._unit_rows import unit_rows

AT_ONCE = 50_000  # random graphs, and as many for every so many in PYREDUND_TRIALS
THRESHOLDS = [0.01, 0.5, 0.9, 0.99999994, 1.0]


def assert_is_deduplicated(selection: pyredund.Selection, x: Any, threshold: float, **options: Any) -> None:
    expected = reference.deduplicate(x, threshold, **options)
    assert selection.indices.tolist() == expected
    owned = options.get("reference")
    n_owned = 0 if owned is None else len(owned)
    both = x if not n_owned else np.concatenate([x, owned])
    closest, similarities = reference.representatives(both, expected + list(range(len(x), len(x) + n_owned)))
    np.testing.assert_array_equal(selection.representatives, closest[: len(x)])
    np.testing.assert_array_equal(selection.similarities, similarities[: len(x)])
    lost = selection.similarities[selection.removed]
    assert (np.diff(lost) <= 0).all()
    selection.verify(x, owned if n_owned else None)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_keeps_the_rows_of_the_definition(data: str, threshold: float) -> None:
    for n, seed in ((1, 0), (2, 0), (45, 1), (45, 2)):
        x = ALL[data](n, seed)
        assert_is_deduplicated(pyredund.deduplicate(x, threshold), x, threshold)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.0])
def test_priority_must_keep_and_reference(data: str, threshold: float) -> None:
    for seed in range(4):
        x, owned = ALL[data](40, seed), ALL[data](90, seed)[30:60]
        priority = np.random.default_rng(seed).integers(0, 4, size=40).astype(float)
        for options in (
            {"priority": priority},
            {"must_keep": (39, 3, 4, 17)},
            {"reference": owned},
            {"priority": priority, "must_keep": (39, 3), "reference": owned},
        ):
            selection = pyredund.deduplicate(x, threshold, **options)
            assert_is_deduplicated(selection, x, threshold, **options)


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 3, 500])
def test_crowds_threads_and_instruction_sets_change_nothing(data: str, most: int, chunk: int, isa: str) -> None:
    x, forced = ALL[data](120, 3), np.zeros(120, dtype=bool)
    forced[[7, 8, 60, 110]] = True
    owned = ALL[data](130, 4)[120:]
    equalled = np.unique(similarity_matrix(x)[:9, 9:])  # by a similarity, which is within it
    for threshold in (0.5, 0.95, *(float(score) for score in equalled[equalled > 0.6][::40])):
        expected = reference.deduplicate(x, threshold, None, (7, 8, 60, 110), owned)
        both, and_owned = np.concatenate([x, owned]), [*expected, *range(120, 130)]
        representatives, to_closest = reference.representatives(both, and_owned)
        for n_threads, sketch_from in ((1, 8_000), (3, 0)):
            engine = replace(Engine.resolve(n_threads), isa=isa, block=chunk, sketch_from=sketch_from)
            rows, of_reference = (unit_rows("x", row_source("x", part), engine) for part in (x, owned))
            kept, closest, similarities = _visit(
                rows, of_reference, threshold, np.zeros(120, dtype=np.int32), forced, most, engine
            )
            assert kept.tolist() == expected
            np.testing.assert_array_equal(closest, representatives[:120])
            np.testing.assert_array_equal(similarities, to_closest[:120])


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.0])
def test_a_given_graph_changes_nothing(data: str, threshold: float) -> None:
    for n, seed in ((1, 0), (2, 0), (45, 1), (120, 2)):
        x, owned = ALL[data](n, seed), ALL[data](n + 60, seed + 7)[n:]
        options: dict[str, Any] = {"must_keep": (0, n - 1), "reference": owned, "priority": np.arange(n) % 3}
        graphs = [pyredund.radius_graph(x, at) for at in (-1.0, 0.4, threshold, 1.0)]
        graphs += [pyredund.knn_graph(x, min(k, n - 1)) for k in (1, 5, n) if n > 1]
        for chosen in ({}, options):
            expected = pyredund.deduplicate(x, threshold, **chosen)
            for graph in graphs:
                found = pyredund.deduplicate(x, threshold, graph=graph, **chosen)
                assert found.indices.tolist() == expected.indices.tolist()
                np.testing.assert_array_equal(found.representatives, expected.representatives)
                np.testing.assert_array_equal(found.similarities, expected.similarities)


def test_lists_of_a_given_graph_lack_crowded_pairs_only(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_given_graph, "FEW_LISTED", 0)
    for data, k, most in (("clumps", 3, 64), ("clumps", 3, 2), ("smooth", 4, 64), ("half_duplicates", 3, 2)):
        x = ALL[data](150, 5)
        engine = replace(Engine.resolve(2), isa=isa)
        rows, graph = unit_rows("x", row_source("x", x), engine), pyredund.knn_graph(x, k)
        for threshold in (0.6, 0.95):
            found = similar_lists(rows, graph, threshold, most, engine)
            assert found is not None
            lists, crowded = found
            scores = similarity_matrix(x[rows.first]).astype(np.float64)
            np.fill_diagonal(scores, -1)
            listed = lists.graph.to_scipy().toarray().astype(np.float64)
            wanted = (scores >= threshold) & ~np.outer(crowded, crowded).astype(bool)
            np.testing.assert_array_equal(listed[wanted], scores[wanted])
            assert (listed[listed != 0] == scores[listed != 0]).all()


def test_a_graph_that_lacks_much_is_not_used() -> None:
    x = clumps(200, 3)
    engine = Engine.resolve(1)
    rows = unit_rows("x", row_source("x", x), engine)
    assert similar_lists(rows, pyredund.radius_graph(x, 0.95), 0.9, 64, engine) is None  # pairs below its threshold
    assert similar_lists(rows, pyredund.knn_graph(x, 1), 0.5, 64, engine) is None  # rows that are in no crowd
    assert similar_lists(rows, pyredund.radius_graph(x, 0.9), 0.95, 64, engine) is not None


def test_a_radius_graph_of_other_rows_is_refused_though_it_has_no_edge_to_compare() -> None:
    x = np.repeat(np.eye(12), 5, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(60, 12))
    apart = pyredund.radius_graph(np.eye(60), 0.9)
    assert len(apart.indices) == 0
    with pytest.raises(ValueError, match="graph must be that of these embeddings: it lists 0 rows for row 0 with"):
        pyredund.deduplicate(x, 0.95, graph=apart)


coordinates = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 1.0000001])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_cover_and_packing_hold(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 14))
    x = data.draw(arrays(np.float64, (n, 3), elements=coordinates))
    threshold = data.draw(st.sampled_from([0.3, 0.8, 0.95, 1.0]))
    priority = data.draw(arrays(np.int64, n, elements=st.integers(0, 2)))
    must_keep = data.draw(st.lists(st.integers(0, n - 1), max_size=3))
    selection = pyredund.deduplicate(x, threshold, priority=priority, must_keep=must_keep)
    scores = similarity_matrix(x).astype(np.float64)
    np.fill_diagonal(scores, -1)
    kept, free = selection.mask, selection.mask.copy()
    free[must_keep] = False
    assert (scores[:, kept].max(axis=1, initial=-1)[~kept] >= threshold).all()  # cover
    assert (scores[free][:, kept] < threshold).all()  # packing


def visit_graphs(n_graphs: int, seed: int) -> None:
    """Random graphs of up to 9 rows, visited as parts of one; cover, packing and the order of the visit are checked."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 10, size=n_graphs)
    n = int(sizes.sum())
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)  # of the graph of each row
    sizes_of = np.repeat(sizes, sizes)
    joined = rng.random(n_graphs)[np.repeat(np.arange(n_graphs), sizes)] ** 2
    a = np.repeat(np.arange(n), sizes_of)
    b = starts[a] + np.arange(len(a)) - np.repeat(np.cumsum(sizes_of) - sizes_of, sizes_of)
    chosen = (a < b) & (rng.random(len(a)) < joined[a])
    a, b = a[chosen], b[chosen]
    pairs = a.astype(np.int32), b.astype(np.int32), np.full(len(a), 0.9, dtype=np.float32)
    indptr, indices = np.empty(n + 1, dtype=np.int64), np.empty(2 * len(a), dtype=np.int32)
    similarities = np.empty(len(indices), dtype=np.float32)
    _core.lists_of_pairs(*pairs, True, indptr, indices, similarities)
    order = rng.permutation(n).astype(np.int32)
    fates = np.where(rng.random(n) < 0.05, KEPT, 0).astype(np.uint8)  # must_keep
    fates[(rng.random(n) < 0.05) & (fates != KEPT)] = DROPPED  # near the reference
    forced, owned = fates == KEPT, fates == DROPPED
    rows = np.zeros((n, 8), dtype=np.float32)
    crowded = np.zeros(n, dtype=np.uint8)
    _core.deduplicate(
        rows, 1, indptr, indices, similarities, None, None, crowded, order, 0.5, fates, 2, "auto", 0, None
    )
    assert set(np.unique(fates)) <= {KEPT, DROPPED}
    kept = fates == KEPT
    assert kept[forced].all()
    assert not kept[owned].any()
    assert not (kept[a] & kept[b] & ~(forced[a] & forced[b])).any()  # packing
    turn = np.empty(n, dtype=np.int64)
    turn[order] = np.arange(n)
    turn[forced] = -1
    first = np.full(n, n)
    for x, y in ((a, b), (b, a)):
        np.minimum.at(first, x[kept[y]], turn[y[kept[y]]])
    gone = ~kept & ~owned
    assert (first[gone] < turn[gone]).all()  # cover, by a row visited before: so the visit was greedy


def test_cover_and_packing_hold_on_many_small_graphs() -> None:
    for seed in range(0, int(os.environ.get("PYREDUND_TRIALS", AT_ONCE)), AT_ONCE):
        visit_graphs(AT_ONCE, seed)


def at_angles(degrees: list[float]) -> NDArray[np.float64]:
    radians = np.deg2rad(degrees)
    return np.column_stack([np.cos(radians), np.sin(radians)])


def test_what_a_removed_row_resembles_stays() -> None:
    """A~B~C: C goes only if B, which resembles it, is kept."""
    x = at_angles([0, 10, 20])
    threshold = float(np.cos(np.deg2rad(15)))
    assert pyredund.deduplicate(x, threshold).indices.tolist() == [0, 2]
    assert pyredund.deduplicate(x, threshold, priority=[0, 1, 0]).indices.tolist() == [1]
    assert pyredund.deduplicate(x, threshold, must_keep=[1]).indices.tolist() == [1]
    chain = at_angles([10.0 * i for i in range(9)])
    assert pyredund.deduplicate(chain, threshold).indices.tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("n_rays", [3, 300])
def test_stars_keep_the_centre_or_every_ray(n_rays: int) -> None:
    centre = np.zeros((1, n_rays + 1))
    centre[0, 0] = 1
    rays = np.hstack([np.ones((n_rays, 1)), np.eye(n_rays)])  # 0.71 to the centre, 0.5 to each other
    x = np.concatenate([rays, centre])
    assert pyredund.deduplicate(x, 0.6).indices.tolist() == list(range(n_rays))
    assert pyredund.deduplicate(x, 0.6, priority=[0] * n_rays + [1]).indices.tolist() == [n_rays]
    assert pyredund.deduplicate(x, 0.6, must_keep=[n_rays]).indices.tolist() == [n_rays]
    assert pyredund.deduplicate(x, 0.6, must_keep=[n_rays, 1]).indices.tolist() == [1, n_rays]


def test_a_clump_needs_no_memory_for_its_pairs() -> None:
    rng = np.random.default_rng(0)
    clump = rng.normal(size=(1, 16)) + 1e-4 * rng.normal(size=(4000, 16))
    x = np.concatenate([rng.normal(size=(4000, 16)), clump])[rng.permutation(8000)].astype(np.float32)
    selection = pyredund.deduplicate(x, 0.99, max_memory=16 << 20)  # its pairs would take 14 times that
    selection.verify(x)
    assert 4000 <= len(selection.indices) <= 4001
    with pytest.raises(MemoryError, match="a higher threshold leaves fewer|more than max_memory"):
        pyredund.radius_graph(x, 0.99, max_memory=16 << 20)


def test_zero_rows_resemble_only_each_other() -> None:
    x = np.vstack([smooth(20), np.zeros((3, 5))])
    selection = pyredund.deduplicate(x, 0.001)
    assert selection.mask[[20, 21, 22]].tolist() == [True, False, False]
    assert not pyredund.deduplicate(x, 0.9, reference=np.zeros((1, 5))).mask[20:].any()
    selection.verify(x)


def test_an_identical_row_of_the_reference_is_the_representative() -> None:
    near = np.array([[1.0, 1e-5], [1.0, 2e-5], [1.0, 3e-5]])  # similarity 1, to float32
    selection = pyredund.deduplicate(near[2:], 1.0, reference=near)
    assert selection.representatives.tolist() == [1 + 2]
    assert pyredund.deduplicate(near[2:], 1.0, reference=near[:2]).representatives.tolist() == [1 + 0]


def test_it_is_saved_with_what_verify_needs(tmp_path: Path) -> None:
    x, owned = half_duplicates(60), smooth(20, 3)
    selection = pyredund.deduplicate(x, 0.9, must_keep=[5, 50], reference=owned)
    selection.save(tmp_path / "selection.npz")
    loaded = pyredund.Selection.load(tmp_path / "selection.npz")
    loaded.verify(x, owned)
    assert (loaded.threshold, loaded.n_reference) == (0.9, 20)
    assert loaded.must_keep is not None
    assert loaded.must_keep.tolist() == [5, 50]
    with pytest.raises(ValueError, match="reference must be what the selection was made with, 20 rows"):
        loaded.verify(x)
    with pytest.raises(ValueError, match="20 rows of the selection's, got 3"):
        loaded.verify(x, owned[:3])
    with pytest.raises(ValueError, match="keep must be"):
        loaded.at(3)


def test_verify_finds_what_breaks_the_promise() -> None:
    x = at_angles([0, 10, 20, 90])
    selection = pyredund.deduplicate(x, 0.98)  # 10 degrees are within it, 20 are not
    assert selection.indices.tolist() == [0, 2, 3]
    with pytest.raises(ValueError, match="row 1: was removed, but no kept row has a similarity of 0.99"):
        replace(selection, threshold=0.99).verify(x)
    with pytest.raises(ValueError, match=r"rows 0 and 2: both are kept, with a similarity of 0\.9 or more"):
        replace(selection, threshold=0.9).verify(x)
    replace(selection, threshold=0.9, must_keep=np.array([0, 2])).verify(x)
    with pytest.raises(ValueError, match="rows 2 and 0"):
        replace(selection, threshold=0.9, must_keep=np.array([0])).verify(x)
    with pytest.raises(ValueError, match="row 1: must be kept, but was removed"):
        replace(selection, must_keep=np.array([1])).verify(x)
    zeros = pyredund.deduplicate(np.zeros((2, 3)), 0.9, must_keep=[0, 1])
    with pytest.raises(ValueError, match="rows 0 and 1: both are kept"):
        replace(zeros, must_keep=None).verify(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"threshold": 0}, ValueError, r"threshold must be in \(0, 1\], got 0"),
        ({"threshold": 1.5}, ValueError, r"threshold must be in \(0, 1\], got 1.5"),
        ({"threshold": float("nan")}, ValueError, "got nan"),
        ({"threshold": "high"}, TypeError, "threshold must be a number, got .high. of type str"),
        ({"threshold": True}, TypeError, "threshold must be a number, got True of type bool"),
        ({"device": "gpu"}, ValueError, "device must be one of auto, cpu, cuda, got .gpu."),
        ({"graph": "a file"}, TypeError, "graph must be a NeighborGraph, got str"),
        ({"graph": pyredund.knn_graph(smooth(6))}, ValueError, "graph must join the 7 rows of embeddings"),
        ({"graph": pyredund.knn_graph(clumps(7))}, ValueError, "graph must be that of these embeddings"),
        ({"must_keep": [7]}, ValueError, r"must_keep must hold row numbers in \[0, 7\), got 7"),
        ({"priority": [1, 2]}, ValueError, "priority must have one entry per row"),
        (
            {"reference": np.ones((3, 4))},
            ValueError,
            "reference must have as many coordinates per row as embeddings, 5",
        ),
        ({"max_memory": 100}, MemoryError, "more than max_memory"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
    ],
)
def test_mistakes_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.deduplicate(smooth(7), **arguments)


def test_nothing_to_deduplicate_is_refused_and_an_empty_reference_is_none() -> None:
    with pytest.raises(ValueError, match="at least 1 row to deduplicate, got 0"):
        pyredund.deduplicate(np.empty((0, 4)))
    x = clumps(30)
    selection = pyredund.deduplicate(x, 0.9, reference=np.empty((0, 4)))
    np.testing.assert_array_equal(selection.indices, pyredund.deduplicate(x, 0.9).indices)


def test_100_000_equal_rows_take_no_time() -> None:
    import time

    x = np.ones((100_000, 8), dtype=np.float32)
    start = time.perf_counter()
    assert pyredund.deduplicate(x).indices.tolist() == [0]
    assert time.perf_counter() - start < 2
