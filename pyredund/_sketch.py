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
6. *Longer bounds.* Pairs that pass are bounded again by step 1, in twice as many coordinates each time.

Whether all this pays, and how many coordinates, are chosen by a model of the cost, whose shares of surviving pairs come
from a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._unit_rows import UnitRows, padded

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
LONGEST = 256  # of a whole row as bytes
SHORT = 16  # coordinates in which cells are made
SAMPLE, PAIRS, BLOCKS = 4096, 384, 4  # rows for the basis, rows whose pairs stand for all, blocks for the errors
WORTH_CELLS = 0.85  # share of the pairs that cells must not leave
CELLS_AT_ONCE = 2048  # compared with the sample
SHORT_OF_MEMORY = 8 << 20  # bytes of a sample, or of two blocks, where large arrays lie in files

# Nanoseconds a pair on the machine that this was tuned on; only their ratios matter.
TILE_COST, FLOAT_COST, NEAR_COST = 0.10, 0.030, 0.02
BYTE_COST = {True: 0.009, False: 0.0065}  # by whether sums of bytes are narrow
SURVIVOR_COST, PRODUCT_COST = 12.0, 0.06

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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
    cells_slack: float


@dataclass(frozen=True)
class _Directions:
    """Step 1: rows of `matrix`, and what rounding may add."""

    matrix: Floats  # (count, stride)
    norm_slack: float
    slack: float

    @classmethod
    def of(cls, basis: Doubles, stride: int) -> _Directions:
        """The float32 form of about orthonormal columns."""
        matrix = np.zeros((basis.shape[1], stride), dtype=np.float32)
        matrix[:, : len(basis)] = basis.T
        eps = _departure(matrix) + 1e-12
        eta = len(matrix) ** 0.5 * _rounding_of_products(stride)
        return cls(matrix, 2.0**-21 + 1.01 * (2 * eta + eps), 1.01 * (2 * eta + 3 * eps))

    def short(self, rows: Floats, engine: Engine) -> Doubles:
        """(p, norm) of some rows."""
        p = products(rows, self.matrix, engine).astype(np.float64)
        rest = 1 + self.norm_slack - np.einsum("ij,ij->i", p, p)
        return np.column_stack([p, np.sqrt(np.maximum(rest, 0))])


@dataclass(frozen=True)
class _Rotation:
    """Step 4: a random rotation of z, and what rounding may add."""

    matrix: Floats  # (bytes, padded coordinates of z)
    slack: float

    @classmethod
    def of(cls, z_dim: int) -> _Rotation:
        """For rows of this many coordinates."""
        n_bytes = -(-z_dim // 4) * 4
        matrix = np.zeros((n_bytes, padded(z_dim)), dtype=np.float32)
        matrix[:, :z_dim] = _random_rotation(n_bytes)[:, :z_dim]
        eps = _departure(matrix[:, :z_dim].T)
        eta = n_bytes**0.5 * _rounding_of_products(matrix.shape[1])
        return cls(matrix, 4.4 * (eps + 2 * eta))  # rows less their centre have norm 2.1 at most


def _departure(rows: Floats) -> float:
    """How far rows are from orthonormal: at least the spectral norm of rows @ rows.T less the identity."""
    side = 64  # products this small are not given to the threads of a BLAS, which would go on spinning for a while
    count, stride = (-(-extent // side) for extent in rows.shape)
    wide = np.zeros((count * side, stride * side))
    wide[: rows.shape[0], : rows.shape[1]] = rows
    parts = wide.reshape(count, side, stride, side).swapaxes(1, 2)
    squared = 0.0
    for i in range(count):
        for j in range(i + 1):
            gram = np.matmul(parts[i], parts[j].swapaxes(1, 2)).sum(axis=0)
            if i == j:
                gram.flat[: max(0, min(side, len(rows) - i * side)) * (side + 1) : side + 1] -= 1
            squared += float(np.einsum("ij,ij->", gram, gram)) * (1 if i == j else 2)
    return math.sqrt(squared)


def _random_rotation(size: int) -> Doubles:
    """The discrete cosine transform of coordinates with random signs: it spreads every coordinate over all."""
    places = np.arange(size)
    waves = np.cos(np.pi / size * np.outer(places, places + 0.5)) * (2 / size) ** 0.5
    waves[0] = size**-0.5
    return np.asarray(waves * np.random.default_rng(2).choice([-1.0, 1.0], size), dtype=np.float64)


def _orthonormal(rows: Floats, engine: Engine) -> Floats:
    """Orthonormal rows, up to float32, with the same span: block Gram-Schmidt, twice (Giraud et al. 2005).

    LAPACK's QR would leave the threads of a BLAS spinning beside the search's own. Rows that depend on others become
    random ones.
    """
    side, rng = 32, np.random.default_rng(4)
    basis = np.array(rows, dtype=np.float32)
    for start in range(0, len(basis), side):
        block: Doubles = basis[start : start + side].astype(np.float64)
        before = basis[:start]
        passes = 2
        while passes:
            passes -= 1
            lengths = [_length(row) for row in block]
            if start:
                block -= products(products(block.astype(np.float32), before, engine), before.T, engine)
            for i, row in enumerate(block):
                row -= np.einsum("i,ij->j", np.einsum("ij,j->i", block[:i], row), block[:i])
                if _length(row) <= 1e-5 * lengths[i]:
                    row[:] = rng.standard_normal(len(row))
                    passes = 2
                row /= _length(row)
        basis[start : start + side] = block
    return basis


def _length(row: Doubles) -> float:
    return math.sqrt(np.einsum("i,i->", row, row))


def _rounding_of_products(stride: int) -> float:
    """How far a float32 product of two unit rows may be off that adds up partial sums first (Higham 2002, section 3.1).

    Every product passes through at most this many additions: eight partial sums of every eighth product, or one of 32
    products, and then one for each such sum.
    """
    return 1.01 * (stride / 8 + 40) * 2.0**-24


class Layout(NamedTuple):
    """An order of the rows by locality, and the cells that it makes; None where they do not pay."""

    order: NDArray[np.int32] | None
    cells: Floats | None
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
    count = min(n, max(SAMPLE, n // 64))
    if engine.scratch is not None:
        count = min(count, max(PAIRS, SHORT_OF_MEMORY // (4 * stride)))
    drawn = np.random.default_rng(0).choice(n, count, replace=False)  # not sorted: their start stands for all
    sample = rows.gathered(drawn, engine)[:, :dim]
    lengths = _lengths(dim)
    longest = max((_ladder(length, dim)[-1] for length in lengths), default=0)
    basis = _leading_directions(sample[:SAMPLE], max(min(SHORT - 1, dim), longest), engine)
    if threshold is None:
        thresholds = _thresholds(sample, k, n, engine)
    else:
        thresholds = np.full(len(sample[:PAIRS]), threshold, dtype=np.float32)

    directions = _Directions.of(basis[:, : min(SHORT - 1, dim)], stride)
    short = np.empty((n, SHORT), dtype=np.float32)
    _core.short_rows(rows.matrix, directions.matrix, directions.norm_slack, short, engine.n_threads, engine.isa)
    width = _core.panel_width(engine.isa)
    order = _core.locality_order(short, width, engine.n_threads)
    cells = engine.large_floats(n, SHORT)
    _core.gather_rows(short, order, cells)
    del short
    slack = directions.slack + directions.norm_slack
    left = _share_near(cells, directions.short(sample[:PAIRS], engine), thresholds, width, slack, engine)
    if left > WORTH_CELLS and engine.sketch_from > 0:
        return Layout(None, None, slack, 1.0, sample, thresholds, basis)
    return Layout(order, cells, slack, left, sample, thresholds, basis)


def sketch_of(rows: UnitRows, layout: Layout, engine: Engine) -> Sketch | None:
    """The sketch that saves most, for rows that lie as `layout` says; None where none pays."""
    n, dim, stride = rows.n_distinct, rows.dim, rows.matrix.shape[1]
    sample = layout.sample[:PAIRS]
    block = _block_size(n, stride, _core.panel_width(engine.isa), engine)
    options: list[tuple[float, int]] = []
    for length in [0] * (dim <= LONGEST) + _lengths(dim):
        directions = _Directions.of(layout.basis[:, : length - 1], stride) if length else None
        z = sample.astype(np.float64) if directions is None else directions.short(sample, engine)
        margin = _typical_margin(rows, directions, block, engine)
        options.append((_cost(z, layout, margin, dim, length > 0, engine), length))
    cost, length = min(options)
    if cost >= TILE_COST + FLOAT_COST * dim and engine.sketch_from > 0:
        return None
    return _build(rows, layout, length, block, engine)


def _lengths(dim: int) -> list[int]:
    """Coordinates of shorter rows that may pay: bounds, rows and columns fit into a unit row."""
    return [length for length in LENGTHS if 3 * length <= 2 * dim]


def products(rows: Floats, others: Floats, engine: Engine) -> Floats:
    """Multiply rows @ others.T on the engine's threads, where a BLAS would use, and keep busy, as many as it likes."""

    def ready(x: Floats) -> Floats:
        wide = np.zeros((len(x), stride), dtype=np.float32)
        wide[:, : x.shape[1]] = x
        return wide

    stride = padded(max(rows.shape[1], others.shape[1]))
    out = np.empty((len(rows), len(others)), dtype=np.float32)
    _core.products(ready(rows), ready(others), out, engine.n_threads, engine.isa)
    return out


def _block_size(n: int, stride: int, width: int, engine: Engine) -> int:
    """Rows of a block: several blocks for every thread, and a block's bytes in the second-level cache."""
    most = 1024 if engine.scratch is None else min(1024, SHORT_OF_MEMORY // (8 * stride))
    wanted = engine.block or max(96, min(n // (8 * engine.n_threads), most))
    return -(-wanted // width) * width


def _typical_margin(rows: UnitRows, directions: _Directions | None, block: int, engine: Engine) -> float:
    """What rounding to bytes adds to the bound of a typical pair, by a few blocks."""
    margins = []
    for start in np.linspace(0, max(0, rows.n_distinct - block), BLOCKS).astype(int):
        some = np.arange(start, min(start + block, rows.n_distinct), 4)
        part = rows.gathered(some, engine)[:, : rows.dim]
        z = part.astype(np.float64) if directions is None else directions.short(part, engine)
        norms = np.linalg.norm(z - z.mean(axis=0), axis=1)
        length = z.shape[1]
        finest = 225.0 if _core.has_narrow_sums(engine.isa) else np.inf
        step = norms.max() / min(finest, 127 * length**0.5 / 4.2)  # about as in sketch.cpp
        margins.append(2 * float(np.median(norms)) * step * (length / 12) ** 0.5)
    return float(np.mean(margins))


def _ladder(length: int, dim: int) -> tuple[int, ...]:
    """Lengths of the bounds behind bytes of this length."""
    lengths = [length]
    while 3 * lengths[-1] <= dim and 2 * lengths[-1] <= LONGEST:
        lengths.append(2 * lengths[-1])
    return tuple(lengths)


def _leading_directions(sample: Floats, count: int, engine: Engine) -> Doubles:
    """Orthonormal columns that span about the directions of largest second moment (subspace iteration)."""
    width = min(count + 8, sample.shape[1])
    sample = sample[: max(1024, 8 * width)]
    basis = np.random.default_rng(1).standard_normal((width, sample.shape[1]), dtype=np.float32)
    columns = np.ascontiguousarray(sample.T)
    for _ in range(2):
        projected = products(basis, sample, engine)
        basis = _orthonormal(products(projected, columns, engine), engine)
    projected = products(basis, sample, engine)
    _, vectors = np.linalg.eigh(products(projected, projected, engine))
    return np.ascontiguousarray(products(basis.T, vectors[:, : -count - 1 : -1].T, engine), dtype=np.float64)


def _thresholds(sample: Floats, k: int, n: int, engine: Engine) -> Floats:
    """About the similarity to the k-th nearest row, of the first rows of the sample."""
    scores = products(sample[:PAIRS], sample, engine)
    rank = min(len(sample) - 1, max(1, round(1.2 * k * len(sample) / n)))  # bars are lower for some of the way
    thresholds: Floats = np.partition(scores, -(rank + 1), axis=1)[:, -(rank + 1)]  # itself comes first
    return thresholds


def _share_near(cells: Floats, short: Doubles, thresholds: Floats, width: int, slack: float, engine: Engine) -> float:
    """Share of the pairs that cells leave, by a sample of the rows; cells whose rows reach farther are not counted."""
    n_cells = len(cells) // width
    if n_cells == 0:
        return 1.0
    reaches = np.sqrt(np.maximum(0, 2 - 2 * (thresholds - slack)))
    rows = np.zeros((len(short), cells.shape[1]), dtype=np.float32)
    rows[:, : short.shape[1]] = short
    near = 0
    for start in range(0, n_cells, CELLS_AT_ONCE):
        stop = min(n_cells, start + CELLS_AT_ONCE)
        groups = cells[start * width : stop * width].reshape(-1, width, cells.shape[1])
        centres = groups.mean(axis=1)
        radii = np.sqrt(((groups - centres[:, None]) ** 2).sum(axis=2).max(axis=1))
        squared = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None] - 2 * products(rows, centres, engine)
        near += int((np.maximum(squared, 0) <= (reaches[:, None] + radii[None]) ** 2).sum())
    return near / (len(rows) * n_cells)


def _cost(z: Doubles, layout: Layout, margin: float, dim: int, shorter: bool, engine: Engine) -> float:
    """Time that the model expects for one pair."""
    pairs = np.triu_indices(len(z), 1)
    narrow = z.astype(np.float32)
    above = (products(narrow, narrow, engine) - np.minimum.outer(layout.thresholds, layout.thresholds))[pairs]
    length = z.shape[1]
    exactly = SURVIVOR_COST + PRODUCT_COST * dim
    cost = NEAR_COST + layout.left * (TILE_COST + BYTE_COST[_core.has_narrow_sums(engine.isa)] * length)
    survive = float((above >= -margin).mean())
    if not shorter:
        return float(cost + survive * exactly)
    return float(cost + survive * (SURVIVOR_COST + PRODUCT_COST * length) + (above >= 0).mean() * exactly)


def _build(
    rows: UnitRows,
    layout: Layout,
    length: int,
    block: int,
    engine: Engine,
) -> Sketch:
    n, dim, stride = rows.n_distinct, rows.dim, rows.matrix.shape[1]
    lengths = _ladder(length, dim) if length else ()
    directions = _Directions.of(layout.basis[:, : max(lengths, default=1) - 1], stride)
    z_dim = length or dim
    rotation = _Rotation.of(z_dim)
    n_blocks, n_bytes, z_stride = -(-n // block), len(rotation.matrix), rotation.matrix.shape[1]
    rounding = 3 * _rounding_of_products(z_stride) + 2e-6  # of offsets, of sums with them and of bars
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
        bounds_slack=directions.slack + _rounding_of_products(max(lengths, default=0)) + 2.0**-22,
        cells=layout.cells,
        cells_slack=layout.cells_slack,
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
