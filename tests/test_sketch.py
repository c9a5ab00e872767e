from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from embeddings import ALL
from numpy.typing import NDArray
from reference import knn, similarity_matrix

from pyredund import _core
from pyredund._directions import departure, leading_directions, random_rotation
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._knn_graph import search
from pyredund._sketch import Sketch, layout_of, sketch_of
from pyredund._unit_rows import UnitRows, unit_rows

WORD_SCALE = 46140.0  # kWordScale of sketch.hpp
ALWAYS = replace(Engine.resolve(), sketch_from=0, block=40)


def units(x: NDArray[Any]) -> UnitRows:
    return unit_rows("x", row_source("x", x), ALWAYS)


def low_rank(n: int, dim: int, rest: float = 1e-3) -> NDArray[np.float64]:
    """Rows near a few directions: bounds in fewer coordinates are tight."""
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 6)) @ rng.normal(size=(6, dim)) + rest * rng.normal(size=(n, dim))


def one_large(n: int, dim: int) -> NDArray[np.float64]:
    """One coordinate holds nearly everything, some rows are a single one: badly rounded, hence marked."""
    x = np.random.default_rng(6).normal(size=(n, dim))
    x[:, 0] += 30
    x[: min(3, dim)] = np.eye(dim)[: min(3, dim)]
    return x


def near_ties(n: int, dim: int) -> NDArray[np.float32]:
    """Rows that differ in the last bit of one coordinate: similarities that only the exact score tells apart."""
    rng = np.random.default_rng(7)
    x = np.repeat(rng.normal(size=(n // 8 + 1, dim)).astype(np.float32), 8, axis=0)[:n]
    rows = np.arange(n)
    x[rows, rows % dim] = np.nextafter(x[rows, rows % dim], np.float32(np.inf))
    return x


Made = Callable[[int, int], NDArray[Any]]
SETS: dict[str, Made] = {
    "low rank": low_rank,
    "exactly low rank": lambda n, dim: low_rank(n, dim, 0.0),
    "one large coordinate": one_large,
    "near ties": near_ties,
    "noise": lambda n, dim: np.random.default_rng(8).normal(size=(n, dim)),
    "tiny": lambda n, dim: np.random.default_rng(9).normal(size=(n, dim)) * 1e-300,
    "collinear": lambda n, dim: np.outer(np.where(np.arange(n) % 3, 1.0, -1.0), np.ones(dim)) + np.eye(n, dim) * 1e-4,
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dim", [1, 8, 31, 97, 300])
def test_a_sketch_loses_no_neighbour(name: str, dim: int, isa: str) -> None:
    x = SETS[name](100, dim)
    scores = similarity_matrix(x)
    for k in (1, 5, 60):
        graph = search(units(x), k, replace(ALWAYS, isa=isa))
        indices, similarities = knn(scores, k, exclude_self=True)
        np.testing.assert_array_equal(graph.indices.reshape(100, k), indices)
        np.testing.assert_array_equal(graph.similarities.reshape(100, k), similarities)


@pytest.mark.parametrize("name", ALL)
def test_a_sketch_loses_no_neighbour_among_ties(name: str) -> None:
    for seed in range(4):
        x = ALL[name](90, seed)
        graph = search(units(x), 7, ALWAYS)
        np.testing.assert_array_equal(graph.indices.reshape(90, 7), knn(similarity_matrix(x), 7, exclude_self=True)[0])


def test_sizes_that_would_read_beyond_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = units(low_rank(300, 300))
    layout = layout_of(rows, 5, ALWAYS)
    if layout is None:
        pytest.skip("no instruction set here scans bytes")
    with rows.arranged(layout.order, ALWAYS):
        sketch = sketch_of(rows, layout, ALWAYS)
    assert sketch is not None
    assert sketch.bounds is not None
    assert sketch.lengths
    last, centres = sketch.lengths[-1], sketch.cell_centres
    assert centres is not None
    for wrong, message in (
        ({"lengths": (sketch.bounds.shape[1] + 8,)}, "bounds that hold all lengths"),
        ({"lengths": (last + 1,)}, "ascending lengths"),
        ({"lengths": (last, last)}, "ascending lengths"),
        ({"z_dim": sketch.centres.shape[1] + 1}, "centres that hold all coordinates"),
        ({"block": 0}, "blocks of at least one row"),
        ({"bytes": np.zeros((300, 6), dtype=np.uint8)}, "rows of 4, 8, ... or 256 bytes"),
        ({"words": np.zeros((300, 40), dtype=np.int16)}, "whole groups of words"),
        ({"cell_cosines": np.ones(3, dtype=np.float32)}, "a centre as long as a short row for every cell"),
        ({"cell_cosines": np.ones(3, dtype=np.float32), "cell_centres": centres[:3]}, "a cell for every panel"),
    ):
        monkeypatch.setattr("pyredund._knn_graph.sketch_of", lambda *_, wrong=wrong: sketch._replace(**wrong))
        with pytest.raises(ValueError, match=f"a sketch must have {message}"):
            search(rows, 5, ALWAYS)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dim", [2, 64, 300])
def test_every_pair_keeps_to_the_margins(name: str, dim: int, isa: str) -> None:
    rows, engine = units(SETS[name](150, dim)), replace(ALWAYS, isa=isa)
    layout = layout_of(rows, 5, engine)
    if layout is None:
        assert rows.n_distinct < 2 or not _core.scans_bytes(isa)
        return
    before = rows.matrix.copy()
    with rows.arranged(layout.order, engine):
        assert layout.order is not None
        np.testing.assert_array_equal(rows.matrix, before[layout.order])
        sketch = sketch_of(rows, layout, engine)
        assert sketch is not None
        wide = rows.matrix.astype(np.float64)
        exact = wide @ wide.T
        assert (upper_bound_by_bytes(sketch, wide) >= exact).all()
        for upper in upper_bounds(sketch):
            assert (upper >= exact).all()
        assert (sketch.words is not None) == (dim >= 256)
        if sketch.words is not None:
            assert sketch.words.min() > -(2**15)
            words = sketch.words[:, :dim].astype(np.float64) / WORD_SCALE
            errors = sketch.word_errors.astype(np.float64)
            assert (np.linalg.norm(wide[:, :dim] - words, axis=1) <= errors).all()
            assert not sketch.words[:, dim:].any()
            whole = sketch.words.astype(np.int64)
            assert (np.abs(whole) @ np.abs(whole).T).max() < 2**31
            slack = 1.000001 * np.add.outer(errors, errors) + np.outer(errors, errors)
            assert (np.abs(words @ words.T - exact) <= slack).all()
        assert sketch.cells is not None
        cells = sketch.cells.astype(np.float64)
        # Norms may exceed 1 by what the slack holds twice, and fall short of it by a rounding.
        squared = (cells**2).sum(axis=1)
        assert (squared >= 1 - 1e-6).all()
        assert (squared <= 1 + sketch.cells_slack / 2 + 1e-6).all()
        cells /= np.sqrt(squared)[:, None]
        cosines = cells @ cells.T
        assert (cosines + sketch.cells_slack - (squared.max() - 1) >= exact)[exact >= 0].all()
        assert sketch.cell_centres is not None
        assert sketch.cell_cosines is not None
        centres, own = sketch.cell_centres.astype(np.float64), np.arange(len(cells)) // _core.panel_width(isa)
        np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
        assert ((cells * centres[own]).sum(axis=1) >= sketch.cell_cosines.astype(np.float64)[own] - 1e-6).all()
    np.testing.assert_array_equal(rows.matrix, before)
    check_bytes(sketch.bytes.astype(np.int64) - 128, _core.has_narrow_sums(isa))


def test_caps_are_close_to_the_smallest(isa: str) -> None:
    """No cap is smaller than that of the best centre, and none much larger; rows need not have norm 1."""
    width, rng = _core.panel_width(isa), np.random.default_rng(4)
    rows = rng.normal(size=(5 * width, 16)) + rng.normal(scale=4, size=(1, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    longer = rows * rng.uniform(1, 1.001, size=(len(rows), 1))
    for count in (5 * width, 4 * width + 1):
        _, cosines = _core.cell_caps(longer[:count].astype(np.float32), 2, isa)
        assert cosines.shape == (5,)
        for cell, cosine in enumerate(cosines):
            own = rows[:count][cell * width : (cell + 1) * width]
            smallest = smallest_cap(own)
            angle = float(np.arccos(min(1.0, cosine)))
            assert smallest - 1e-4 <= angle <= 1.03 * smallest + 1e-4
    opposite = np.zeros((2, 8), dtype=np.float32)
    opposite[:, 0] = 1, -1
    assert _core.cell_caps(opposite, 1, isa)[1][0] <= 0


def smallest_cap(rows: NDArray[np.float64]) -> float:
    """The angle of the smallest cap around some rows, by many small steps towards the farthest."""
    centre = rows.mean(axis=0)
    for step in range(1, 5000):
        centre = centre + (rows[(rows @ centre).argmin()] - centre) / (step + 1)
    return float(np.arccos((rows @ (centre / np.linalg.norm(centre))).min()))


def upper_bound_by_bytes(sketch: Sketch, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bound that every pair of places gets, as the comment in byte_bounds.hpp states it but in float64."""
    z = rows[:, : sketch.z_dim] if sketch.bounds is None else sketch.bounds[:, : sketch.z_dim].astype(np.float64)
    block = np.arange(len(rows)) // sketch.block
    centres = sketch.centres[:, : sketch.z_dim].astype(np.float64)[block]
    values = (sketch.bytes.astype(np.float64) - 128) / sketch.scales.astype(np.float64)[block][:, None]
    norms, errors = sketch.norms.astype(np.float64), sketch.errors.astype(np.float64)
    assert (np.linalg.norm(z - centres, axis=1) <= norms + 1e-5).all()
    rounding = np.outer(errors, norms) + np.outer(norms + errors, errors)
    around = z @ centres.T + (centres @ z.T) - centres @ centres.T
    bound: NDArray[np.float64] = around + values @ values.T + rounding + sketch.margin
    return bound


def upper_bounds(sketch: Sketch) -> Iterator[NDArray[np.float64]]:
    """The bounds of every length."""
    if sketch.bounds is None:
        return
    bounds = sketch.bounds.astype(np.float64)
    longest, short = sketch.lengths[-1], sketch.lengths[0]
    yield bounds[:, :short] @ bounds[:, :short].T + sketch.bounds_slack
    for level, length in enumerate(sketch.lengths[1:]):
        held = np.delete(bounds[:, :length], short - 1, axis=1)
        norm = bounds[:, longest + level]
        yield held @ held.T + np.outer(norm, norm) + sketch.bounds_slack


def check_bytes(values: NDArray[np.int64], narrow_sums: bool) -> None:
    """What the scanner of bytes asks for, so that no sum of 16 bits overflows."""
    assert values.min() >= -127
    if not narrow_sums:
        return
    assert np.abs(values).reshape(len(values), -1, 2).sum(axis=2).max() <= 128
    for half in (0, 1):
        part = values[:, np.arange(values.shape[1]) % 4 // 2 == half]
        assert (part**2).sum(axis=1).max() < 2**15


def graph_with_floors(x: NDArray[Any], k: int, floors: NDArray[np.float32]) -> NDArray[np.int32]:
    rows = units(x)
    indices = np.empty((rows.n_distinct, k), dtype=np.int32)
    scores = np.empty((rows.n_distinct, k), dtype=np.float32)
    layout = layout_of(rows, k, ALWAYS)
    sketch = sketch_of(rows, layout._replace(order=None, cells=None), ALWAYS) if layout is not None else None
    _core.knn_graph(rows.matrix, rows.dim, sketch, floors, indices, scores, 2, "auto", 16, None)
    return indices


def test_guesses_that_are_too_high_change_nothing() -> None:
    x = np.random.default_rng(10).normal(size=(120, 12))
    scores = similarity_matrix(x)
    expected, similarities = knn(scores, 9, exclude_self=True)
    worst = similarities[:, -1]
    up = np.nextafter(worst, np.float32(2))
    for floors in (worst, up, np.where(np.arange(120) % 2, up, worst), np.full(120, 2.0), np.full(120, -2.0)):
        np.testing.assert_array_equal(graph_with_floors(x, 9, floors.astype(np.float32)), expected)


def test_a_large_graph_is_the_same_with_and_without() -> None:
    rng = np.random.default_rng(11)
    for x in (rng.normal(size=(9000, 40)), low_rank(9000, 100, 0.05)):
        rows = units(x)
        engine = replace(Engine.resolve(), sketch_from=4096)
        assert (layout_of(rows, 10, engine) is None) == (not _core.scans_bytes("auto"))
        plain, sketched = (search(rows, 10, replace(engine, sketch_from=at)) for at in (10**9, 4096))
        assert plain.indices.tobytes() == sketched.indices.tobytes()
        assert plain.similarities.tobytes() == sketched.similarities.tobytes()


def test_rows_become_orthonormal_and_those_that_depend_on_others_are_marked() -> None:
    rows = np.random.default_rng(3).normal(size=(6, 11))
    rows[2], rows[4] = 0, rows[0] - 3 * rows[1]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    given, depends = rows.copy(), np.ones(6, dtype=bool)
    assert _core.orthonormal_rows(rows, depends) == 2
    assert depends.tolist() == [False, False, True, False, True, False]
    assert (rows[depends] == 0).all()
    np.testing.assert_allclose(rows[~depends] @ rows[~depends].T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(given @ rows.T @ rows, given, atol=1e-12)  # the same span


def test_directions_are_orthonormal_and_lead() -> None:
    for x in (low_rank(500, 60), low_rank(500, 60, 0.0), np.outer(np.ones(50), np.arange(60.0)), np.zeros((50, 60))):
        sample = x.astype(np.float32)
        basis = leading_directions(sample, 40, ALWAYS)
        assert np.abs(basis.T @ basis - np.eye(40)).max() < 1e-5
        values = np.linalg.eigvalsh(x.T @ x)[::-1]
        for count in (1, 6, 39):  # directions that hold as much as the best do, up to 5 % of what these leave
            left = (x**2).sum() - ((x @ basis[:, :count]) ** 2).sum()
            assert left <= 1.05 * values[count:].sum() + 1e-5 * values.sum()


def test_the_departure_from_orthonormal_rows_is_that_of_their_products() -> None:
    for shape in ((1, 1), (3, 70), (64, 64), (65, 130), (130, 70)):
        rows = np.random.default_rng(12).normal(size=shape).astype(np.float32)
        wide = rows.astype(np.float64)
        assert departure(rows) == pytest.approx(np.linalg.norm(wide @ wide.T - np.eye(len(rows))), rel=1e-12)
    assert departure(random_rotation(97).astype(np.float32)) < 1e-5
