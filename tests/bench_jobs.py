"""Jobs that the tests of `pyredund.bench` run in processes of their own."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
WARM_ROWS = 300


def take(rows: NDArray[np.float32], n: int, groups: Any, n_threads: int, *, mebibytes: int) -> Labels:
    """The first n rows; meanwhile so much memory is in use."""
    held = np.ones((mebibytes << 20) // 8)
    return np.arange(n) + np.int64(held[-1] - 1)


def threads(rows: NDArray[np.float32], n: int, groups: Any, n_threads: int) -> Labels:
    return np.array([n_threads, int(os.environ["OMP_NUM_THREADS"]), int(os.environ["PYREDUND_NUM_THREADS"])])


def slow(rows: NDArray[np.float32], n: int, groups: Any, n_threads: int, *, seconds: float) -> Labels:
    """A first call on few rows is fast."""
    time.sleep(seconds if len(rows) > WARM_ROWS else 0)
    return np.arange(n)


def broken(rows: NDArray[np.float32], n: int, groups: Any, n_threads: int) -> Labels:
    raise RuntimeError("no rows today")


def dying(rows: NDArray[np.float32], n: int, groups: Any, n_threads: int) -> Labels:
    os._exit(7)
