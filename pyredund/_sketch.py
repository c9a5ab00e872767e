"""A coarse copy of the unit rows that rules most pairs out before they are scored.

Three steps, each of which can only raise the score of a pair, by an amount that is known:

1. *Fewer coordinates.* With an orthonormal basis Q of some m directions, a unit row x is Q p + q, and by
   Cauchy-Schwarz x.x' = p.p' + q.q' <= p.p' + |q||q'|: the product of rows z = (p, |q|) of m + 1 coordinates. Q spans
   the directions in which a sample of the rows extends most, but any Q is correct.
2. *Even coordinates.* Rotating z changes no product, and leaves no coordinate that is large in every row.
3. *Bytes.* z is rounded twice, to a = round(s z) / s in [-127, 127] / s and b = round(t z) / t in [-63, 63] / t. Then
   z.z' = a.b' + (z - a).b' + z.(z' - b') <= a.b' + e (1 + f) + f with e >= |z - a| and f >= |z' - b'| for all rows. The
   few rows that round worse than the others are left out of e and f, and marked to pass always.

Whether this pays, and m, are chosen by a model of the cost, whose shares of surviving pairs come from a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._unit_rows import UnitRows, padded

LENGTHS = (16, 24, 32, 48, 64, 96, 128)
LONGEST = 256  # of a whole row as bytes: beyond, half of its products might not fit into 16 bits
SAMPLE, PAIRS = 4096, 384  # rows for the basis and thresholds, rows whose pairs stand for all
BLOCK = 8192
SMALLEST_CLIP = (127 * 63 / 30_000) ** 0.5  # s t <= 30,000, so that sums of products fit into 16 bits
MOST_SURE = 0.998  # share of rows that must round well

# Nanoseconds a pair on the machine that this was tuned on; only their ratios matter.
TILE_COST, FLOAT_COST, BYTE_COST = 0.10, 0.030, 0.009
SURVIVOR_COST, PRODUCT_COST = 25.0, 0.10


@dataclass(frozen=True)
class _Rounding:
    """Steps 2 and 3: the rotation, the scales of the two roundings, and how far they may be off."""

    rotation: NDArray[np.float64]
    row_scale: float
    column_scale: float
    row_error: float
    column_error: float

    @property
    def margin(self) -> float:
        # What is added covers the float32 arithmetic in which the errors are measured.
        return self.row_error * (1 + self.column_error) + self.column_error + 1e-6 * (1 + len(self.rotation) / 8)

    def round(self, z: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = np.clip(np.rint(z * np.float32(self.row_scale)), -127, 127)
        columns = np.clip(np.rint(z * np.float32(self.column_scale)), -63, 63)
        return rows, columns

    def errors(
        self, z: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        row_rest = z - rows / np.float32(self.row_scale)
        column_rest = z - columns / np.float32(self.column_scale)
        return np.sqrt(np.einsum("ij,ij->i", row_rest, row_rest)), np.sqrt(
            np.einsum("ij,ij->i", column_rest, column_rest)
        )


SketchParts = tuple[
    NDArray[np.uint8], NDArray[np.int8], NDArray[np.uint8], float, float, float, NDArray[np.float32] | None
]


def sketch_of(rows: UnitRows, k: int, engine: Engine) -> SketchParts | None:
    """The sketch that saves most for k neighbours, in the form that the core takes; None where none pays."""
    n, dim = rows.n_distinct, rows.dim
    if n < max(2, engine.sketch_from) or k < 1 or not _core.scans_bytes(engine.isa):
        return None
    sample = rows.matrix[np.sort(np.random.default_rng(0).choice(n, min(n, SAMPLE), replace=False)), :dim]
    lengths = [length for length in LENGTHS if 3 * length <= 2 * dim]  # bounds, rows and columns fit into a row
    basis = _leading_directions(sample, max(lengths) - 1) if lengths else np.empty((dim, 0))
    options: list[tuple[float, NDArray[np.float64], _Rounding]] = []
    thresholds = _thresholds(sample, k, n)
    whole = np.zeros((dim, padded(dim)))
    np.fill_diagonal(whole, 1.0)
    for directions in [whole] * (dim <= LONGEST) + [basis[:, : length - 1] for length in lengths]:
        z = _bound_rows(sample.astype(np.float64), directions, dim)
        rounding = _rounding(z)
        options.append((_cost(z[:PAIRS], thresholds, rounding, directions.shape[1] < dim, dim), directions, rounding))
    if not options:
        return None
    cost, directions, rounding = min(options, key=lambda option: option[0])
    if cost >= TILE_COST + FLOAT_COST * dim and engine.sketch_from > 0:
        return None
    return _build(rows, directions, rounding)


def _leading_directions(sample: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Orthonormal columns that span about the directions of largest second moment (subspace iteration)."""
    rows = sample.astype(np.float64)
    start = np.random.default_rng(1).standard_normal((rows.shape[1], min(count + 8, rows.shape[1])))
    basis = np.linalg.qr(start)[0]
    for _ in range(3):
        basis = np.linalg.qr(rows.T @ (rows @ basis))[0]
    _, vectors = np.linalg.eigh((rows @ basis).T @ (rows @ basis))
    return np.ascontiguousarray((basis @ vectors[:, ::-1])[:, :count])


def _bound_rows(rows: NDArray[np.float64], directions: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Step 1: z for every row, or the rows themselves where `directions` span everything."""
    z: NDArray[np.float64] = rows @ directions
    if directions.shape[1] >= dim:
        return z
    rest = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", z, z)
    return np.column_stack([z, np.sqrt(np.maximum(rest, 0) + 1e-12)])


def _rounding(z: NDArray[np.float64]) -> _Rounding:
    """Rotation and scales for a sample of bound rows, and the errors that nearly all rows keep to."""
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((z.shape[1], z.shape[1])))[0]
    turned = (z @ rotation).astype(np.float32)
    clip = max(SMALLEST_CLIP, float(np.quantile(np.abs(turned).max(axis=1), MOST_SURE)))
    rounding = _Rounding(rotation, 127 / clip, 63 / clip, 0.0, 0.0)
    row_errors, column_errors = rounding.errors(turned, *rounding.round(turned))
    limits = [1.02 * float(np.quantile(errors, MOST_SURE)) + 1e-6 for errors in (row_errors, column_errors)]
    return _Rounding(rotation, 127 / clip, 63 / clip, *limits)


def _thresholds(sample: NDArray[np.float32], k: int, n: int) -> NDArray[np.float32]:
    """About the similarity to the k-th nearest row, of the first rows of the sample."""
    scores = sample[:PAIRS] @ sample.T
    rank = min(len(sample) - 1, max(1, round(2 * k * len(sample) / n)))  # bars are lower for most of the way
    thresholds: NDArray[np.float32] = np.partition(scores, -(rank + 1), axis=1)[:, -(rank + 1)]  # itself comes first
    return thresholds


def _cost(
    z: NDArray[np.float64], thresholds: NDArray[np.float32], rounding: _Rounding, shorter: bool, dim: int
) -> float:
    """Time that the model expects for one pair."""
    pairs = np.triu_indices(len(z), 1)
    above = (z @ z.T - np.minimum.outer(thresholds, thresholds))[pairs]
    length = z.shape[1]
    exactly = SURVIVOR_COST + PRODUCT_COST * dim
    cost = TILE_COST + BYTE_COST * length
    survive = float((above >= -rounding.margin).mean()) + 2 * (1 - MOST_SURE)
    if not shorter:
        return float(cost + survive * exactly)
    return float(cost + survive * (SURVIVOR_COST + PRODUCT_COST * length) + (above >= 0).mean() * exactly)


def _build(rows: UnitRows, directions: NDArray[np.float64], rounding: _Rounding) -> SketchParts:
    n, dim, length = rows.n_distinct, rows.dim, len(rounding.rotation)
    shorter = directions.shape[1] < dim
    byte_rows = np.full((n, length), 128, dtype=np.uint8)
    byte_columns = np.zeros((n, length), dtype=np.int8)
    always = np.empty(n, dtype=np.uint8)
    bounds = np.zeros((n, padded(length)), dtype=np.float32) if shorter else None
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        z = _bound_rows(rows.matrix[part, :dim].astype(np.float64), directions, dim)
        turned = (z @ rounding.rotation).astype(np.float32)
        if bounds is not None:
            bounds[part, :length] = turned
        rounded_rows, rounded_columns = rounding.round(turned)
        row_errors, column_errors = rounding.errors(turned, rounded_rows, rounded_columns)
        byte_rows[part] = rounded_rows + 128
        byte_columns[part] = rounded_columns
        always[part] = (row_errors > rounding.row_error) | (column_errors > rounding.column_error)
    # Rounding z to float32 moves a product of two of them by less than 2^-22.
    scale = rounding.row_scale * rounding.column_scale
    return byte_rows, byte_columns, always, scale, rounding.margin, 2.0**-22, bounds
