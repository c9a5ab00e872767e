"""Small embeddings with what makes selection hard: ties, identical rows, clumps, zero rows, opposite rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth(n: int, seed: int = 0, dim: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, dim))


def grid(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Few distinct directions and similarities: nearly everything ties, and zero rows occur."""
    return np.random.default_rng(seed).integers(-1, 2, size=(n, 3)).astype(np.float64)


def half_duplicates(n: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    chosen: NDArray[np.float64] = smooth(n, seed)[rng.integers(0, max(1, n // 2), size=n)]
    return chosen


def clumps(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Near-identical rows around a few centres: many similarities round to exactly 1."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 4))
    rows = centres[rng.integers(0, 4, size=n)]
    spread: NDArray[np.float64] = rows + rng.normal(size=rows.shape) * rng.choice([0.0, 1e-7, 1e-4, 0.3], size=(n, 1))
    return spread


ALL = {"smooth": smooth, "grid": grid, "half_duplicates": half_duplicates, "clumps": clumps}
