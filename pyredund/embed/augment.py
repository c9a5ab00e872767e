"""Random views of a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision.transforms import v2

Augment = Callable[[Any], Any]
GROUP = 16  # images that share one draw: torchvision draws once a call, and a call for each image would cost too much


def default_augment(size: tuple[int, int], channels: int, labelled: bool) -> Augment:
    """Shift and crop, flip, change brightness and contrast (and colour), and blank out a part, each a little.

    Parameters
    ----------
    size : tuple of int
        Height and width of the images.
    channels : {1, 3}
        Saturation and hue change where there is colour.
    labelled : bool
        A classifier is shown shifts and flips only: in the few epochs that a CPU affords, more would cost accuracy.
        Views without labels must differ in all that is not to count.

    Returns
    -------
    callable
        Of torchvision.transforms.v2; takes and returns floats from 0 to 1, (n, channels, h, w).
    """
    height, width = size
    colour = {"saturation": 0.3, "hue": 0.05} if channels == 3 else {}
    larger = v2.Pad([round(MARGIN * width), round(MARGIN * height)], padding_mode="edge")
    if labelled:
        return v2.Compose([larger, v2.RandomCrop(size), v2.RandomHorizontalFlip()])
    transforms: list[Any] = [
        larger,
        v2.RandomResizedCrop(size, scale=(0.5, 0.9), ratio=(0.83, 1.2), antialias=False),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(brightness=0.3, contrast=0.3, **colour),
        v2.RandomErasing(p=0.5, scale=(0.02, 0.15)),
    ]
    return v2.Compose(transforms)


MARGIN = 0.08  # of a side, added around the image so that crops can shift it


def view(images: Any, augment: Augment, group: int = GROUP) -> Any:
    """One random view of each image; every `group` images, in the order of the batch, share a draw.

    Parameters
    ----------
    images : Tensor, shape (n, channels, h, w)
        Floats from 0 to 1.
    augment : callable
        Takes and returns such a tensor, of the same shape.
    group : int, default 16
        1 draws for each image.
    """
    parts = [augment(part) for part in images.split(group)]
    found = torch.cat(parts)
    if found.shape != images.shape:
        raise ValueError(
            f"augment must return a tensor of the shape that it was given, {tuple(images.shape)}, got "
            f"{tuple(found.shape)}"
        )
    return found
