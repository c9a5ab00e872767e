"""What the results say: means, differences of the same seed, and intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion_mnist.arms import BASELINES, BY_CLASS, LIKE, SUPERVISED

RESAMPLES = 20_000
LEVEL = 0.95
UNDECIDED = "too few seeds"
FEWEST = 5  # seeds for a verdict: fewer values cannot reach far enough out for such a level


@dataclass(frozen=True)
class Cell:
    """Accuracies of one arm at one size: by seed, at the chosen round and over the last rounds."""

    arm: str
    keep: float
    rows: int
    accuracy: dict[int, float]
    last: dict[int, float]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.accuracy.values())))

    @property
    def deviation(self) -> float:
        """Of one seed; 0 where there is only one."""
        values = list(self.accuracy.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Difference:
    """How much better one arm is than another, over the seeds that both have."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Whether the interval leaves zero out, and on which side."""
        if self.seeds < FEWEST:
            return UNDECIDED
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not told apart"

    def __str__(self) -> str:
        return f"{100 * self.mean:+.2f} ({100 * self.low:+.2f} to {100 * self.high:+.2f})"


def cells(entries: Iterable[dict[str, Any]]) -> dict[tuple[str, float], Cell]:
    """Group results of one data set, recipe and way to evaluate by arm and size."""
    found: dict[tuple[str, float], Cell] = {}
    for entry in entries:
        place = (entry["arm"], entry["keep"])
        cell = found.setdefault(place, Cell(*place, entry["rows"], {}, {}))
        cell.accuracy[entry["seed"]] = entry["accuracy"]
        cell.last[entry["seed"]] = entry["last"]
    return found


def difference(first: Cell | None, second: Cell | None, last: bool = False) -> Difference | None:
    """Mean difference by seed with its bootstrap interval; None where fewer than two seeds are shared."""
    if first is None or second is None:
        return None
    these, those = (first.last, second.last) if last else (first.accuracy, second.accuracy)
    seeds = sorted(set(these) & set(those))
    if len(seeds) < 2:
        return None
    differences = np.array([these[seed] - those[seed] for seed in seeds])
    return Difference(float(differences.mean()), *interval(differences), len(seeds))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bootstrap interval of the mean of at least two values: percentiles, expanded for small samples.

    Plain percentiles of ten values hold the true mean in 90 % of cases, of five in 82 %. Taking them as far out as
    Student's interval is wider than the normal one with the variance divided by n brings that to the level (Hesterberg,
    What teachers should know about the bootstrap, 2015).
    """
    from scipy.special import stdtrit

    n = len(values)
    means = np.random.default_rng(0).choice(values, (RESAMPLES, n)).mean(axis=1)
    tail = NormalDist().cdf(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - LEVEL) / 2))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def matched(arm: str) -> str | None:
    """The random arm with as many rows of each class: the stratified one for what is selected within classes."""
    if arm == "full" or arm in BASELINES or arm.startswith(LIKE):
        return None
    return "stratified" if arm.removesuffix(SUPERVISED).endswith(BY_CLASS) else LIKE + arm
