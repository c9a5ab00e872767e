"""The networks that are trained on what was selected."""

from __future__ import annotations

import math
from typing import Any

import torch
import torchvision
from torch import nn

CHANNELS = (16, 32, 64)
GRID = 4  # px that are left of each side


def build(name: str, channels: int, size: tuple[int, int], n_classes: int) -> Any:
    """Make a network by name, from pixels (n, channels, h, w) to a score for each class."""
    if name == "small":
        return small(channels, size, n_classes)
    return torchvision.models.get_model(name, weights=None, num_classes=n_classes)


def small(channels: int, size: tuple[int, int], n_classes: int) -> Any:
    """Three convolutions, each halving the image until about four pixels a side are left, and one linear layer."""
    halvings = min(len(CHANNELS), max(0, round(math.log2(min(size) / GRID))))
    layers: list[Any] = []
    before, (height, width) = channels, size
    for number, after in enumerate(CHANNELS):
        stride = 2 if number < halvings else 1
        kernel = 5 if number == 0 else 3
        layers += [
            nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before, height, width = after, -(-height // stride), -(-width // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * height * width, n_classes))


def device_named(name: str) -> Any:
    """Find a device of torch; "auto" is the GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
