"""Alternating runs in one process, so that drift of the machine meets every entry alike.

Every run begins after a pause. The threads of a BLAS go on spinning for about 0.1 s after a product: what runs right
then pays for what ran before.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
PAUSE = 0.3  # seconds
GEMM_ROWS, GEMM_COLUMNS = 2000, 6000  # a block of scores, written again and again


class Benchmark(Protocol):
    """What the benchmarks use of pytest-benchmark's fixture, which has no annotations of its own."""

    group: str
    extra_info: dict[str, object]

    def pedantic(self, target: Callable[..., T], args: tuple[object, ...], *, rounds: int, warmup_rounds: int = 0) -> T:
        """Time `target`, and return what it returns."""


@dataclass
class Timed(Generic[T]):
    """Seconds of each run of one entry, and what its last run returned."""

    seconds: list[float] = field(default_factory=list)
    results: list[T] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def result(self) -> T:
        """What the last run returned."""
        return self.results[-1]

    @property
    def spread(self) -> str:
        """Fastest to slowest run."""
        return f"{min(self.seconds):.2f}-{max(self.seconds):.2f}"


def alternate(calls: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, Timed[T]]:
    """Time every call once a round, in turn, each after a pause."""
    timed: dict[str, Timed[T]] = {name: Timed() for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            result = call()
            timed[name].seconds.append(time.perf_counter() - begin)
            timed[name].results = [result]
    return timed


def gemm(rows: NDArray[np.float32]) -> None:
    """Every similarity once by float32 matrix products, none of them kept: what the machine's BLAS can do."""
    n = len(rows)
    block = np.empty((min(n, GEMM_ROWS), min(n, GEMM_COLUMNS)), dtype=np.float32)
    for row in range(0, n, GEMM_ROWS):
        left = rows[row : row + GEMM_ROWS]
        for column in range(0, n, GEMM_COLUMNS):
            right = rows[column : column + GEMM_COLUMNS]
            np.matmul(left, right.T, out=block[: len(left), : len(right)])
