"""A coarse copy of the unit rows that rules most pairs out before they are scored.

Each step can only raise the bound of a pair, by an amount that is known:

1. *Fewer coordinates.* With directions D (rows, orthonormal up to rounding) and p about D x, the rest of a unit row,
   r = x - D'p, has |r|^2 = |x|^2 - |p|^2 - 2 p.(Dx - p) + p.(DD' - 1)p. Let eps >= |DD' - 1| and eta >= |Dx - p|. Then
   with norm = (1 + norm_slack - |p|^2)^(1/2) >= |r|, by Cauchy-Schwarz, x.x' <= p.p' + norm norm' + slack, where slack
   covers D r, at most eta + eps long. The directions are those in which a sample of the rows extends most, but any are
   correct.
2. *Cells.* The rows (p, norm) in 16 coordinates are put into an order in which near rows have near places. Every run of
   places is a cell, and whole cells are ruled out by the triangle inequality (cells.hpp).
3. *Around means.* Rows z, which are (p, norm) or whole rows, are cut into blocks of places. Less the centre of its
   block a row is shorter, and what was taken off can be added to each pair's bound row by row (byte_bounds.hpp).
4. *Even coordinates.* Rotating it changes no product, and leaves no coordinate that is large in every row.
5. *Bytes.* The result u is rounded to a with error e >= |u - a|. Then u.u' <= a.a' + e |u'| + (|u| + e) e', which is
   again added row by row.
6. *Longer bounds.* Pairs that pass are bounded again by step 1, in twice as many coordinates each time, and then, where
   rows are wide, by whole rows in 16 bits (word_slack in sketch.hpp).

Whether all this pays, and how many coordinates, are chosen by a model of the cost, whose shares of surviving pairs come
from a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._directions import (
    Directions,
    Doubles,
    Floats,
    Rotation,
    leading_directions,
    products,
    rounding_of_products,
)
from pyredund._engine import Engine
from pyredund._unit_rows import UnitRows, padded

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
LONGEST = 256  # of a whole row as bytes
WIDE = 256  # coordinates of a row from which on it is worth a copy in 16 bits
WORDS_TOGETHER = 32  # kWordsTogether of kernels.hpp
SHORT = 16  # coordinates in which cells are made
SAMPLE, FEWEST = 4096, 1024  # rows that stand for all: a quarter between these, at least a 64th
PAIRS, BLOCKS = 256, 4  # rows whose pairs stand for all, blocks for the errors
WORTH_CELLS = 0.85  # share of the pairs that cells must not leave
SOME_CELLS = 1024  # compared with those rows
FOLDED = 8  # similarities of which only the largest is looked at
SHORT_OF_MEMORY = 8 << 20  # bytes of a sample, or of two blocks, where large arrays lie in files

# Nanoseconds a pair on the machine that this was tuned on; only their ratios matter.
TILE_COST, FLOAT_COST, NEAR_COST = 0.10, 0.030, 0.02
BYTE_COST = {True: 0.009, False: 0.0065}  # by whether sums of bytes are narrow
SURVIVOR_COST, PRODUCT_COST = 12.0, 0.06


class Sketch(NamedTuple):
    """What sketch.hpp describes, as arrays; None where a part is absent."""

    order: NDArray[np.int32] | None
    bytes: NDArray[np.uint8]
    errors: Floats
    norms: Floats
    centres: Floats
    scales: Floats
    most_errors: Floats
    block: int
    z_dim: int
    margin: float
    bounds: Floats | None
    lengths: tuple[int, ...]
    bounds_slack: float
    cells: Floats | None
    cell_centres: Floats | None
    cell_cosines: Floats | None
    cells_slack: float
    words: NDArray[np.int16] | None
    word_errors: Floats


class Cells(NamedTuple):
    """Short rows by place and the caps around every few of them; see cell_caps.hpp."""

    rows: Floats
    centres: Floats
    cosines: Floats


class Layout(NamedTuple):
    """An order of the rows by locality, and the cells that it makes; None where they do not pay."""

    order: NDArray[np.int32] | None
    cells: Cells | None
    cells_slack: float
    left: float  # share of the pairs that cells leave
    sample: Floats
    thresholds: Floats  # of the first rows of the sample
    basis: Doubles


def layout_of(rows: UnitRows, k: int, engine: Engine, threshold: float | None = None) -> Layout | None:
    """Where rows should lie for a sketch that serves k neighbours, or a threshold; None where there should be none."""
    n, dim, stride = rows.n_distinct, rows.dim, rows.matrix.shape[1]
    if n < max(2, engine.sketch_from) or k < 1 or not _core.scans_bytes(engine.isa):
        return None
    count = min(n, max(min(SAMPLE, max(FEWEST, n // 4)), n // 64))
    if engine.scratch is not None:
        count = min(count, max(PAIRS, SHORT_OF_MEMORY // (4 * stride)))
    drawn = np.random.default_rng(0).choice(n, count, replace=False)  # not sorted: their start stands for all
    sample = rows.gathered(drawn, engine)[:, :dim]
    lengths = _lengths(dim)
    longest = max((_ladder(length, dim)[-1] for length in lengths), default=0)
    basis = leading_directions(sample[:SAMPLE], max(min(SHORT - 1, dim), longest), engine)
    if threshold is None:
        thresholds = _thresholds(sample, k, n, engine)
    else:
        thresholds = np.full(len(sample[:PAIRS]), threshold, dtype=np.float32)

    directions = Directions.of(basis[:, : min(SHORT - 1, dim)], stride)
    short = np.empty((n, SHORT), dtype=np.float32)
    _core.short_rows(rows.matrix, directions.matrix, directions.norm_slack, short, engine.n_threads, engine.isa)
    width = _core.panel_width(engine.isa)
    order = _core.locality_order(short, width, engine.n_threads, engine.isa)
    by_place = engine.large_floats(n, SHORT)
    _core.gather_rows(short, order, by_place)
    del short
    cells = Cells(by_place, *_core.cell_caps(by_place, engine.n_threads, engine.isa))
    slack = directions.slack + 2 * directions.norm_slack  # see cells.cpp
    left = _share_near(cells, directions.short(sample[:PAIRS], engine), thresholds - slack, engine)
    if left > WORTH_CELLS and engine.sketch_from > 0:
        return Layout(None, None, slack, 1.0, sample, thresholds, basis)
    return Layout(order, cells, slack, left, sample, thresholds, basis)


def sketch_of(rows: UnitRows, layout: Layout, engine: Engine) -> Sketch | None:
    """The sketch that saves most, for rows that lie as `layout` says; None where none pays."""
    n, dim, stride = rows.n_distinct, rows.dim, rows.matrix.shape[1]
    sample = layout.sample[:PAIRS]
    block = _block_size(n, stride, _core.panel_width(engine.isa), engine)
    lengths = _lengths(dim)
    directions = Directions.of(layout.basis[:, : max(lengths, default=1) - 1], stride)
    samples = [sample, *(part[:, :dim] for part in _some_blocks(rows, block, engine))]
    along = [products(some, directions.matrix, engine) for some in samples] if lengths else []
    cost_of = _cost_model(layout, dim, engine)
    options: list[tuple[float, int]] = []
    for length in [0] * (dim <= LONGEST) + lengths:
        z, *of_blocks = [_leading(p, length) for p in along] if length else samples
        options.append((cost_of(z, _typical_margin(of_blocks, engine), length > 0), length))
    cost, length = min(options)
    if cost >= TILE_COST + FLOAT_COST * dim and engine.sketch_from > 0:
        return None
    return _build(rows, layout, length, block, engine)


def _lengths(dim: int) -> list[int]:
    """Coordinates of shorter rows that may pay: bytes, bounds and words fit into a unit row."""
    return [length for length in LENGTHS if (5 * length + 80 if dim >= WIDE else 3 * length) <= 2 * dim]


def _block_size(n: int, stride: int, width: int, engine: Engine) -> int:
    """Rows of a block: several blocks for every thread, and a block's bytes in the second-level cache."""
    most = 1024 if engine.scratch is None else min(1024, SHORT_OF_MEMORY // (8 * stride))
    wanted = engine.block or max(96, min(n // (8 * engine.n_threads), most))
    return -(-wanted // width) * width


def _some_blocks(rows: UnitRows, block: int, engine: Engine) -> list[Floats]:
    """Every fourth row of a few blocks."""
    starts = np.linspace(0, max(0, rows.n_distinct - block), BLOCKS).astype(int)
    return [rows.gathered(np.arange(start, min(start + block, rows.n_distinct), 4), engine) for start in starts]


def _leading(along: Floats, length: int) -> Doubles:
    """About what `Directions.short` gives for as many coordinates, from the products with more directions."""
    p = along[:, : length - 1].astype(np.float64)
    return np.column_stack([p, np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", p, p), 0))])


def _typical_margin(blocks: Sequence[Floats | Doubles], engine: Engine) -> float:
    """What rounding to bytes adds to the bound of a typical pair, by rows of a few blocks."""
    margins = []
    for z in blocks:
        centred, length = z - z.mean(axis=0), z.shape[1]
        norms = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        # About as in sketch.cpp, where the longest rows need not fit unless sums are narrow.
        narrow = _core.has_narrow_sums(engine.isa)
        usual, long = np.quantile(norms, (0.5, 1.0 if narrow else 0.9))
        step = long / min(225.0 if narrow else np.inf, 127 * length**0.5 / 4.2)
        margins.append(2 * usual * step * (length / 12) ** 0.5)
    return float(np.mean(margins))


def _ladder(length: int, dim: int) -> tuple[int, ...]:
    """Lengths of the bounds behind bytes of this length."""
    lengths = [length]
    # A longer bound must cost clearly less than what comes behind it.
    while (8 if dim >= WIDE else 3) * lengths[-1] <= dim and 2 * lengths[-1] <= LONGEST:
        lengths.append(2 * lengths[-1])
    return tuple(lengths)


def _thresholds(sample: Floats, k: int, n: int, engine: Engine) -> Floats:
    """About the similarity to the k-th nearest row, of the first rows of the sample."""
    scores = products(sample[:PAIRS], sample, engine)
    rank = min(len(sample) - 1, max(1, round(1.2 * k * len(sample) / n)))  # bars are lower for some of the way
    kept = len(sample) // FOLDED
    if kept > FOLDED * rank:  # few of the best fall together, and most of the selection is spared
        scores = scores[:, : kept * FOLDED].reshape(len(scores), FOLDED, kept).max(axis=1)
    thresholds: Floats = np.partition(scores, -(rank + 1), axis=1)[:, -(rank + 1)]  # itself comes first
    return thresholds


def _share_near(cells: Cells, short: Doubles, cosines: Floats, engine: Engine) -> float:
    """Share of the pairs that cells leave, by some rows and some cells; cells that reach farther are not counted."""
    some = slice(None, None, -(-len(cells.cosines) // SOME_CELLS))
    rows = np.zeros((len(short), cells.rows.shape[1]), dtype=np.float32)
    rows[:, : short.shape[1]] = short
    reaches, caps = (np.arccos(np.clip(part, -1, 1)) for part in (cosines, cells.cosines[some]))
    farthest = reaches[:, None] + caps[None]
    farthest[(reaches[:, None] > np.pi / 2) | (caps[None] > np.pi / 3)] = np.pi  # cells.cpp rules none of these out
    return float((products(rows, cells.centres[some], engine) >= np.cos(farthest)).mean())


def _cost_model(layout: Layout, dim: int, engine: Engine) -> Callable[[Floats | Doubles, float, bool], float]:
    """The time that is expected for one pair, by bytes of rows z and what rounding to them adds to a bound.

    Where rows are `shorter`, whole rows come behind them.
    """
    n = len(layout.thresholds)
    bars = np.minimum.outer(layout.thresholds, layout.thresholds)
    np.fill_diagonal(bars, np.inf)  # no row with itself
    n_pairs = max(1, n * (n - 1))  # either way round
    exactly = SURVIVOR_COST + PRODUCT_COST * dim * (0.5 if dim >= WIDE else 1.0)
    byte_cost = BYTE_COST[_core.has_narrow_sums(engine.isa)]

    def cost(z: Floats | Doubles, margin: float, shorter: bool) -> float:
        narrow, length = z.astype(np.float32), z.shape[1]
        above = products(narrow, narrow, engine) - bars
        scan = NEAR_COST + layout.left * (TILE_COST + byte_cost * length)
        survive = np.count_nonzero(above >= -margin) / n_pairs
        if not shorter:
            return float(scan + survive * exactly)
        scored = np.count_nonzero(above >= 0) / n_pairs
        return float(scan + survive * (SURVIVOR_COST + PRODUCT_COST * length) + scored * exactly)

    return cost


def _build(
    rows: UnitRows,
    layout: Layout,
    length: int,
    block: int,
    engine: Engine,
) -> Sketch:
    n, dim, stride = rows.n_distinct, rows.dim, rows.matrix.shape[1]
    lengths = _ladder(length, dim) if length else ()
    directions = Directions.of(layout.basis[:, : max(lengths, default=1) - 1], stride)
    z_dim = length or dim
    rotation = Rotation.of(z_dim)
    words = -(-dim // WORDS_TOGETHER) * WORDS_TOGETHER if lengths and dim >= WIDE else 0
    n_blocks, n_bytes, z_stride = -(-n // block), len(rotation.matrix), rotation.matrix.shape[1]
    rounding = 3 * rounding_of_products(z_stride) + 2e-6  # of products with centres, with room
    sketch = Sketch(
        order=layout.order,
        bytes=engine.large_bytes(n, n_bytes),
        errors=np.empty(n, dtype=np.float32),
        norms=np.empty(n, dtype=np.float32),
        centres=np.empty((n_blocks, z_stride), dtype=np.float32),
        scales=np.empty(n_blocks, dtype=np.float32),
        most_errors=np.empty(n_blocks, dtype=np.float32),
        block=block,
        z_dim=z_dim,
        margin=rotation.slack + rounding + (directions.slack if length else 0.0),
        bounds=engine.large_floats(n, padded(lengths[-1] + len(lengths) - 1)) if lengths else None,
        lengths=lengths,
        bounds_slack=directions.slack + rounding_of_products(max(lengths, default=0)) + 2.0**-22,
        cells=layout.cells and layout.cells.rows,
        cell_centres=layout.cells and layout.cells.centres,
        cell_cosines=layout.cells and layout.cells.cosines,
        cells_slack=layout.cells_slack,
        words=engine.large_bytes(n, 2 * words).view(np.int16) if words else None,
        word_errors=np.empty(n if words else 0, dtype=np.float32),
    )
    _core.fill_sketch(
        rows.matrix,
        sketch,
        directions.matrix,
        directions.norm_slack,
        rotation.matrix,
        1e-7,
        engine.n_threads,
        engine.isa,
    )
    return sketch
