"""Units of work: one arm, one size, one seed, each finished or not begun."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion_mnist.arms import LIKE, LIST, check, rows_of
from benchmarks.fashion_mnist.images import LabelledImages
from benchmarks.fashion_mnist.recipe import Recipe
from benchmarks.fashion_mnist.results import Results

HONEST = "honest"  # validation rows leave before embedding and selection, and choose the round
AS_PUBLISHED = "as published"  # trained on all rows, the best round on flipped test images
SPLITS = (HONEST, AS_PUBLISHED)
LIST_SIZE = 0.75  # share of its data set that the published list keeps: the size that it is compared at


@dataclass(frozen=True)
class Unit:
    """One training."""

    data: str
    recipe: str
    split: str
    arm: str
    keep: float
    seed: int

    @property
    def key(self) -> str:
        """Names it in results."""
        return "/".join(map(str, (self.data, self.recipe, self.split, self.arm, self.keep, self.seed)))


def plan(
    data: str, recipe: str, splits: Sequence[str], arms: Sequence[str], sizes: Sequence[tuple[float, int]]
) -> list[Unit]:
    """All units, seed by seed, so that whatever interrupts leaves every arm with about as many seeds.

    Parameters
    ----------
    data, recipe : str
        Their names.
    splits, arms : sequence of str
        Everything is done for each of them.
    sizes : sequence of (keep, seeds)
        How many seeds each size gets. "full" gets the most, the list the fewest.
    """
    seeds = max(number for _, number in sizes)
    units = []
    for seed in range(seeds):
        for keep, number in sizes:
            for arm in arms:
                for split in splits:
                    if arm != "full" and arm.removeprefix(LIKE) != LIST and seed < number:
                        units.append(Unit(data, recipe, split, arm, keep, seed))
        for arm in arms:
            if arm == "full" or (arm.removeprefix(LIKE) == LIST and seed < min(number for _, number in sizes)):
                units += [Unit(data, recipe, split, arm, 1.0 if arm == "full" else LIST_SIZE, seed) for split in splits]
    return units


def pending(units: list[Unit], results: Results, shard: tuple[int, int], minutes: float | None) -> Iterator[Unit]:
    """Units of a shard that have no result yet, while there is time for one more as long as the longest so far."""
    started = before = time.monotonic()
    longest = 0.0
    for unit in units[shard[0] :: shard[1]]:
        if unit.key in results.read():
            continue
        if minutes is not None and before - started + longest > 60 * minutes:
            return
        yield unit
        now = time.monotonic()
        longest, before = max(longest, now - before), now


def pools_of(data: LabelledImages) -> dict[str, NDArray[np.int64]]:
    """Rows that may be trained on, by split."""
    return {HONEST: data.pool(), AS_PUBLISHED: np.arange(len(data.labels))}


def runner(
    data: LabelledImages, recipe: Recipe, *, listed: Path | None, device: str, compiled: bool, made: dict[str, Any]
) -> Callable[[Unit], dict[str, Any]]:
    """Make the function that trains a unit and returns its result, with the images on the device once.

    Parameters
    ----------
    data, recipe : LabelledImages, Recipe
        What is trained, and how.
    listed : Path or None
        Rows of the arm "list".
    device : str
        Where: "auto", "cpu", "cuda".
    compiled : bool
        Let torch.compile make the training step.
    made : dict
        What to say about machine and program in every result.
    """
    import torch

    from benchmarks.fashion_mnist.network import device_named
    from benchmarks.fashion_mnist.train import Pixels, train

    place = device_named(device)
    torch.backends.cudnn.benchmark = True  # sizes hardly change
    pools = pools_of(data)
    test = Pixels(data.test_images, data.test_labels, recipe, place)
    held_out = data.validation()
    validation = Pixels(data.images[held_out], data.labels[held_out], recipe, place)

    def run(unit: Unit) -> dict[str, Any]:
        pool = pools[unit.split]
        check(unit.arm, listed)
        rows = rows_of(unit.arm, unit.keep, unit.seed, data, pool, listed)
        pixels = Pixels(data.images[rows], data.labels[rows], recipe, place)
        if recipe.mean is None:
            pixels.measure()
            for others in (validation, test):
                others.mean, others.deviation = pixels.mean, pixels.deviation
        course = train(
            pixels,
            validation if unit.split == HONEST else None,
            test,
            recipe,
            unit.seed,
            n_classes=data.n_classes,
            flips=data.flips,
            flipped_test=unit.split == AS_PUBLISHED,
            every_round=unit.seed == 0,
            compiled=compiled,
        )
        return asdict(unit) | {"rows": len(rows)} | figures(asdict(course), recipe) | made

    return run


def figures(course: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The accuracies to report of a course, and the course."""
    last = slice(-recipe.evaluated, None)  # rounds that every seed has evaluated
    chosen_by = course["validation"] if course["validation"][-1] is not None else course["test_flipped"]
    tested = course["test"] if course["validation"][-1] is not None else course["test_flipped"]
    best = int(np.argmax(chosen_by[last]))
    mean = float(np.mean(course["test"][-recipe.averaged :]))
    return {"accuracy": tested[last][best], "last": round(mean, 6)} | course
