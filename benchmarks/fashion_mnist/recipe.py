"""How a network is trained: the published recipe to the letter, and one that two CPU cores can afford."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """Everything about training but the rows.

    A round is what lies between two evaluations: an epoch, or a fixed number of steps.

    Parameters
    ----------
    name : str
        Names it in results.
    network : str
        "small", or a network of torchvision.
    channels : int
        Of the network's input; a grey image is repeated.
    rounds : int
        How many.
    steps : int or None
        Of each round; None makes a round one epoch, so that fewer rows mean fewer steps.
    most_epochs : int
        Of all rounds together; where the rows are few, rounds are shorter.
    evaluated : int
        The last rounds, which are evaluated, and among which the best on the validation images is chosen.
    averaged : int
        The last rounds, whose accuracies are also averaged.
    batch : int
        Images a step.
    rate, momentum, decay : float
        Of SGD.
    milestones : tuple of int
        Rounds after which the rate falls to a tenth; empty for one cycle, from small to `rate` and down to nothing.
    mean, deviation : tuple of float
        Of the pixels, from 0 to 1, by channel; None measures them on the rows trained on.
    seed : int
        Added to that of the unit.
    """

    name: str
    network: str
    channels: int
    rounds: int
    steps: int | None
    most_epochs: int
    evaluated: int
    averaged: int
    batch: int
    rate: float
    momentum: float
    decay: float
    milestones: tuple[int, ...]
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    seed: int

    def steps_of(self, rows: int) -> int:
        """Steps of each round."""
        epoch = max(1, math.ceil((rows - 1) / self.batch))
        return epoch if self.steps is None else min(self.steps, math.ceil(epoch * self.most_epochs / self.rounds))

    def shortened(self, rounds: int) -> Recipe:
        """The same in fewer rounds, and under another name: to try the code."""
        milestones = tuple(round(milestone * rounds / self.rounds) for milestone in self.milestones)
        return replace(self, name=f"{self.name}-{rounds}-rounds", rounds=rounds, milestones=milestones)

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate at a step, `steps` being those of a round."""
        if self.milestones:
            return self.rate * 0.1 ** sum(step // steps >= milestone for milestone in self.milestones)
        done, total = step + 1, self.rounds * steps
        rising = WARM_UP * total
        return self.rate * min(done / rising, (total - done) / (total - rising))


WARM_UP = 0.2  # of all steps of one cycle
IMAGENET = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}
PUBLISHED = Recipe(
    name="published",
    network="resnet34",
    channels=3,
    rounds=100,
    steps=None,
    most_epochs=100,
    evaluated=100,
    averaged=20,
    batch=128,
    rate=0.1,
    momentum=0.9,
    decay=5e-4,
    milestones=(60, 80),
    **IMAGENET,
    seed=42,
)
# The same number of steps for every arm and every `keep`, so that a smaller set is not also the less trained one.
SMALL = Recipe(
    name="small",
    network="small",
    channels=1,
    rounds=10,
    steps=80,
    most_epochs=30,
    evaluated=3,
    averaged=3,
    batch=128,
    rate=0.1,
    momentum=0.9,
    decay=5e-4,
    milestones=(),
    mean=None,
    deviation=None,
    seed=42,
)
RECIPES = {recipe.name: recipe for recipe in (PUBLISHED, SMALL)}
