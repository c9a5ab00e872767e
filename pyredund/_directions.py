"""Directions that a sketch is made in, and products with them, without the threads of a BLAS.

Steps of the bounds are numbered as in `_sketch.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._unit_rows import padded

ROUNDS_ON_MOMENTS = 2

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """Step 1: rows of `matrix`, and what rounding may add."""

    matrix: Floats  # (count, stride)
    norm_slack: float
    slack: float

    @classmethod
    def of(cls, basis: Doubles, stride: int) -> Directions:
        """The float32 form of about orthonormal columns."""
        matrix = np.zeros((basis.shape[1], stride), dtype=np.float32)
        matrix[:, : len(basis)] = basis.T
        eps = departure(matrix) + 1e-12
        eta = len(matrix) ** 0.5 * rounding_of_products(stride)
        return cls(matrix, 2.0**-21 + 1.01 * (2 * eta + eps), 1.01 * (2 * eta + 3 * eps))

    def short(self, rows: Floats, engine: Engine) -> Doubles:
        """(p, norm) of some rows."""
        p = products(rows, self.matrix, engine).astype(np.float64)
        rest = 1 + self.norm_slack - np.einsum("ij,ij->i", p, p)
        return np.column_stack([p, np.sqrt(np.maximum(rest, 0))])


@dataclass(frozen=True)
class Rotation:
    """Step 4: a random rotation of z, and what rounding may add."""

    matrix: Floats  # (bytes, padded coordinates of z)
    slack: float

    @classmethod
    def of(cls, z_dim: int) -> Rotation:
        """For rows of this many coordinates."""
        n_bytes = -(-z_dim // 4) * 4
        matrix = np.zeros((n_bytes, padded(z_dim)), dtype=np.float32)
        matrix[:, :z_dim] = random_rotation(n_bytes)[:, :z_dim]
        eps = departure(matrix[:, :z_dim].T)
        eta = n_bytes**0.5 * rounding_of_products(matrix.shape[1])
        return cls(matrix, 4.4 * (eps + 2 * eta))  # rows less their centre have norm 2.1 at most


def departure(rows: Floats) -> float:
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


def random_rotation(size: int) -> Doubles:
    """The discrete cosine transform of coordinates with random signs: it spreads every coordinate over all."""
    places = np.arange(size)
    waves = np.cos(np.pi / size * np.outer(places, places + 0.5)) * (2 / size) ** 0.5
    waves[0] = size**-0.5
    return np.asarray(waves * np.random.default_rng(2).choice([-1.0, 1.0], size), dtype=np.float64)


def _orthonormal(rows: Floats, engine: Engine, passes: int = 1) -> Floats:
    """Orthonormal rows with the same span; up to float32 after two passes of block Gram-Schmidt (Giraud et al. 2005).

    LAPACK's QR would leave the threads of a BLAS spinning beside the search's own. Rows that depend on others become
    random ones.
    """
    side, rng = 32, np.random.default_rng(4)
    basis = np.array(rows, dtype=np.float32)
    for start in range(0, len(basis), side):
        block: Doubles = basis[start : start + side].astype(np.float64)
        before = basis[:start]
        depends = np.zeros(len(block), dtype=bool)
        left = passes
        while left:
            left -= 1
            block /= np.sqrt(np.maximum(np.einsum("ij,ij->i", block, block), 1e-300))[:, None]
            if start:
                block -= products(products(block.astype(np.float32), before, engine), before.T, engine)
            n_dependent = _core.orthonormal_rows(block, depends)
            if n_dependent:
                block[depends] = rng.standard_normal((n_dependent, block.shape[1]))
                left = passes
        basis[start : start + side] = block
    return basis


def rounding_of_products(stride: int) -> float:
    """How far a float32 product of two unit rows may be off that adds up partial sums first (Higham 2002, section 3.1).

    Every product passes through at most this many additions: eight partial sums of every eighth product, or one of 32
    products, and then one for each such sum.
    """
    return 1.01 * (stride / 8 + 40) * 2.0**-24


def products(rows: Floats, others: Floats, engine: Engine) -> Floats:
    """Multiply rows @ others.T on the engine's threads, where a BLAS would use, and keep busy, as many as it likes."""

    def ready(x: Floats) -> Floats:
        if x.shape[1] == stride and x.flags.c_contiguous and x.dtype == np.float32:
            return x
        wide = np.zeros((len(x), stride), dtype=np.float32)
        wide[:, : x.shape[1]] = x
        return wide

    stride = padded(max(rows.shape[1], others.shape[1]))
    out = np.empty((len(rows), len(others)), dtype=np.float32)
    _core.products(ready(rows), ready(others), out, engine.n_threads, engine.isa)
    return out


def leading_directions(sample: Floats, count: int, engine: Engine) -> Doubles:
    """Orthonormal columns that span about the directions of largest second moment, about in the order of these.

    Subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4) from sums of some rows each, then on the
    moments within the subspace it has found: LAPACK's eigenvectors would take longer, for the threads of a BLAS then
    spin beside the search's own.
    """
    width = min(count + 8, sample.shape[1])
    sample = sample[: max(2048, 8 * width)]
    signs = np.random.default_rng(1).choice(np.array([-1, 1], dtype=np.float32), (len(sample), 1))
    sums = np.zeros((width, sample.shape[1]), dtype=np.float32)
    for start in range(0, len(sample), width):
        some = slice(start, start + width)
        sums[: len(sample[some])] += signs[some] * sample[some]
    columns = np.ascontiguousarray(sample.T)
    basis = _orthonormal(products(products(sums, sample, engine), columns, engine), engine, passes=2)
    projected = products(basis, sample, engine)
    moments = products(projected, projected, engine)
    turned = np.eye(width, dtype=np.float32)
    for left in reversed(range(ROUNDS_ON_MOMENTS)):
        turned = _orthonormal(products(turned, moments, engine), engine, passes=1 if left else 2)
    return np.ascontiguousarray(products(basis.T, turned[:count], engine), dtype=np.float64)
