"""Train one network on some rows, and say how well it does after each round."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.fashion_mnist.network import build
from benchmarks.fashion_mnist.recipe import Recipe

EVALUATION_BATCH = 1000


@dataclass
class Course:
    """What a training went through: one entry a round, None in rounds that were not evaluated."""

    losses: list[float]
    validation: list[float | None]
    test: list[float | None]
    test_flipped: list[float | None]
    seconds: float
    cpu_seconds: float  # of this process: what it takes where nothing else runs


class Pixels:
    """Labelled images on the device, as bytes; batches leave as floats."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, device: Any) -> None:
        planes = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
        self.images = torch.from_numpy(np.array(planes, order="C")).to(device)  # a copy: torch wants to own it
        self.labels = torch.from_numpy(np.array(labels)).to(device)
        self.channels = recipe.channels if planes.shape[1] == 1 else planes.shape[1]
        self.mean, self.deviation = (self._by_channel(values, device) for values in (recipe.mean, recipe.deviation))

    def _by_channel(self, values: Any, device: Any) -> Any:
        return None if values is None else torch.tensor(values, device=device).view(1, -1, 1, 1)

    def measure(self) -> None:
        """Take mean and deviation from these images."""
        pixels = self.images.float().div_(255)
        self.mean = pixels.mean(dim=(0, 2, 3), keepdim=True)
        self.deviation = pixels.std(dim=(0, 2, 3), keepdim=True)

    def batch(self, rows: Any, flips: bool, generator: Any = None) -> Any:
        """Floats of some rows, mirrored at random (by a generator of torch, or its common one) or not."""
        pixels = self.images[rows]
        if flips:
            mirrored = torch.rand(len(pixels), 1, 1, 1, device=pixels.device, generator=generator) < 0.5
            pixels = torch.where(mirrored, pixels.flip(3), pixels)
        scaled = (pixels.float().div_(255).expand(-1, self.channels, -1, -1) - self.mean) / self.deviation
        return scaled.contiguous(memory_format=torch.channels_last)


def train(
    pixels: Pixels,
    validation: Pixels | None,
    test: Pixels,
    recipe: Recipe,
    seed: int,
    *,
    n_classes: int,
    flips: bool,
    flipped_test: bool = False,
    every_round: bool = False,
    compiled: bool = False,
) -> Course:
    """Train from scratch; the same seed on the same device and threads gives the same course.

    Parameters
    ----------
    pixels, validation, test : Pixels
        What to learn from, to choose the round by (None: nothing), and to report.
    recipe : Recipe
        How.
    seed : int
        Of first weights, batches and flips.
    n_classes : int
        Scores that the network gives.
    flips : bool
        Mirror training images at random.
    flipped_test : bool, default False
        Evaluate on test images mirrored at random too, as the published notebook did.
    every_round : bool, default False
        Evaluate also the rounds before those that the recipe names.
    compiled : bool, default False
        Let torch.compile make the training step.
    """
    device = pixels.images.device
    started, used = time.perf_counter(), time.process_time()
    torch.manual_seed(recipe.seed + seed)
    network = build(recipe.network, pixels.channels, tuple(pixels.images.shape[2:]), n_classes)
    network = network.to(device, memory_format=torch.channels_last)
    forward = torch.compile(network, mode="reduce-overhead", dynamic=False) if compiled else network
    optimizer = torch.optim.SGD(network.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.decay)
    counts = torch.bincount(pixels.labels, minlength=n_classes)
    weights = counts.max() / counts.clamp(min=1)
    steps = recipe.steps_of(len(pixels.labels))
    course = Course([], [], [], [], 0.0, 0.0)
    order = torch.empty(0, dtype=torch.int64, device=device)
    looks = torch.Generator(device).manual_seed(seed)  # of the test images: looking on must not change the training
    for number in range(recipe.rounds):
        network.train()
        total = torch.zeros((), device=device)
        for step in range(number * steps, (number + 1) * steps):
            if not len(order):
                order = torch.randperm(len(pixels.labels)).to(device)
            size = recipe.batch + (len(order) == recipe.batch + 1)  # one image alone has no variance to normalise by
            rows, order = order[:size], order[size:]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(step, steps)
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                scores = forward(pixels.batch(rows, flips))
            loss = functional.cross_entropy(scores.float(), pixels.labels[rows], weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        course.losses.append(round(float(total) / steps, 5))
        wanted = every_round or number >= recipe.rounds - recipe.evaluated
        course.validation.append(accuracy(network, validation) if wanted and validation is not None else None)
        course.test.append(accuracy(network, test) if wanted else None)
        course.test_flipped.append(accuracy(network, test, looks) if wanted and flipped_test else None)
    course.seconds = round(time.perf_counter() - started, 2)
    course.cpu_seconds = round(time.process_time() - used, 2)
    return course


def accuracy(network: Any, pixels: Pixels, flips: Any = None) -> float:
    """Share of images whose class scores highest, mirrored at random by a generator if there is one.

    The network is left in evaluation mode.
    """
    network.eval()
    device = pixels.images.device
    right = torch.zeros((), dtype=torch.int64, device=device)
    rows = torch.arange(len(pixels.labels), device=device)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
        for some in rows.split(EVALUATION_BATCH):
            right += (network(pixels.batch(some, flips is not None, flips)).argmax(dim=1) == pixels.labels[some]).sum()
    return round(int(right) / len(rows), 6)
