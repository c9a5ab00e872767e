"""Agglomerative clustering against the number of rows: time, memory, exponents, and one partition for all."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from pyredund.bench._table import markdown, mebibytes, seconds

FIT_RANGE = 20  # an exponent is that of the sizes from a 20th of the largest on, where overheads have faded


@dataclass(frozen=True)
class Point:
    """One contender at one size.

    Parameters
    ----------
    name : str
        Who.
    n : int
        Rows.
    seconds, extra_bytes : float, int, or None
        As in an `Outcome`.
    partition : str or None
        Sixteen digits that are equal for equal partitions only.
    failure : str or None
        Why there is none.
    """

    name: str
    n: int
    seconds: float | None = None
    extra_bytes: int | None = None
    partition: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Scaling:
    """Time and memory against the number of rows; ``str`` of it is a table.

    Parameters
    ----------
    linkage : str
        "average", "complete" or "single".
    share : float
        Clusters that are left, as a share of the rows.
    dim, n_threads : int
        Coordinates, and threads that each contender had.
    names : tuple of str
        Contenders.
    points : tuple of Point
        By contender, then by size.
    """

    linkage: str
    share: float
    dim: int
    n_threads: int
    names: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def sizes(self) -> list[int]:
        """Sizes that anybody was tried at."""
        return sorted({point.n for point in self.points})

    def measured(self, name: str) -> list[Point]:
        """Where a contender survived, by size."""
        return [point for point in self.points if point.name == name and point.seconds is not None]

    def exponent(self, name: str, what: str = "seconds") -> float | None:
        """To which power of the number of rows `what` grows, "seconds" or "extra_bytes"; None for under 3 sizes."""
        points = self.measured(name)
        return exponent([point.n for point in points], [getattr(point, what) for point in points])

    def differing(self) -> list[str]:
        """Sizes at which contenders with the same job have different partitions, in words; empty if all agree."""
        found = []
        for n in self.sizes:
            for by_class in (False, True):
                points = [p for p in self.points if p.n == n and ("by class" in p.name) == by_class and p.partition]
                if len({point.partition for point in points}) > 1:
                    found.append(f"n = {n:,}: " + ", ".join(f"{p.name} {p.partition}" for p in points))
        return found

    @property
    def n_agreeing(self) -> int:
        """Sizes at which several contenders had the same job, and the same partition."""
        whole = [p.n for p in self.points if p.partition and "by class" not in p.name]
        classes = [p.n for p in self.points if p.partition and "by class" in p.name]
        several = sum(numbers.count(n) > 1 for numbers in (whole, classes) for n in set(numbers))
        return several - len(self.differing())

    def check(self) -> None:
        """Raise AssertionError unless all partitions of the same rows are identical."""
        differing = self.differing()
        if differing:
            raise AssertionError(
                f"partitions differ, {self.linkage} linkage, {self.share:.3g} of the rows: {'; '.join(differing)}. "
                "Where distances tie, as among copies, each is right"
            )

    def __str__(self) -> str:
        table = []
        for n in self.sizes:
            at = {point.name: point for point in self.points if point.n == n}
            table.append([f"{n:,}", *(_cell(at.get(name)) for name in self.names)])
        for title, what in (("time grows as n to the", "seconds"), ("memory grows as n to the", "extra_bytes")):
            powers = [self.exponent(name, what) for name in self.names]
            table.append([title, *("" if power is None else f"{power:.2f}" for power in powers)])
        title = (
            f"Agglomerative clustering, {self.linkage} linkage, cosine, n to {self.share:.3g} n clusters, "
            f"d = {self.dim}, {self.n_threads} threads: time, memory beyond the input in MiB"
        )
        agree = f"Partitions are identical at each of the {self.n_agreeing} sizes that several contenders reached."
        if not self.n_agreeing:
            agree = "No two contenders had the same rows to partition."
        differing = self.differing()
        ending = f"Partitions DIFFER: {'; '.join(differing)}" if differing else agree
        return f"{markdown(title, ['n', *self.names], table)}\n\n{ending}"

    def to_dict(self) -> dict[str, object]:
        """Everything in types that JSON holds."""
        kinds = ("seconds", "extra_bytes")
        exponents = {name: {what: self.exponent(name, what) for what in kinds} for name in self.names}
        found = {"linkage": self.linkage, "keep": self.share, "dim": self.dim, "threads": self.n_threads}
        return found | {"exponents": exponents, "points": list(map(asdict, self.points)), "differing": self.differing()}


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    if point.seconds is None:
        return point.failure or ""
    return f"{seconds(point.seconds)}, {mebibytes(point.extra_bytes)}"


def exponent(sizes: list[int], values: list[float]) -> float | None:
    """The slope of values against sizes, both as logarithms, by least squares; from a `FIT_RANGE`-th of the largest on.

    Returns
    -------
    float or None
        None where fewer than three sizes have positive values.
    """
    fit = [(n, value) for n, value in zip(sizes, values, strict=True) if value > 0 and n * FIT_RANGE >= max(sizes)]
    if len(fit) < 3:
        return None
    logarithms = np.log(np.array(fit))
    return float(np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)[0])
