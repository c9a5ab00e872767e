"""What is run when nothing else is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.fashion_mnist.arms import ARMS
from benchmarks.fashion_mnist.recipe import PUBLISHED, SMALL, Recipe
from benchmarks.fashion_mnist.units import AS_PUBLISHED, HONEST


@dataclass(frozen=True)
class Preset:
    """A recipe, and the arms, sizes with their numbers of seeds, and evaluations to run it with."""

    recipe: Recipe
    arms: tuple[str, ...]
    sizes: tuple[tuple[float, int], ...]
    splits: tuple[str, ...]


LISTED = ("list", "like-list")  # added where a list is given
PRESETS = {
    "cpu": Preset(SMALL, ARMS, ((0.1, 10), (0.5, 10), (0.75, 5), (0.9, 5)), (HONEST,)),
    "published": Preset(
        PUBLISHED,
        ("full", "random", "like-removal", "removal"),
        ((0.9, 5), (0.75, 5)),
        (HONEST, AS_PUBLISHED),
    ),
}
