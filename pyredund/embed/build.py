"""From an Embedder's arguments and the shape of the images to a network, and to the images' order in training."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pyredund.embed.arguments import raise_first
from pyredund.embed.batches import Block, read_blocks
from pyredund.embed.images import ImageSource, Skipped
from pyredund.embed.network import (
    GREY_DEVIATION,
    GREY_MEAN,
    HEADS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    SMALL,
    ImageNetwork,
    count_features,
    small_network,
    torchvision_network,
)
from pyredund.embed.weights import imagenet_weights, weights_from

CACHED = 1 << 30  # bytes of decoded images that are kept in memory rather than read again in each epoch
READ_AT_ONCE = 512


def build_network(
    backbone: Any, dim: int | None, weights: str | None, size: tuple[int, int], channels: int, seed: int
) -> Any:
    """Make a network for images of one shape, its first weights drawn from `seed`."""
    state = None
    if weights is not None:
        state = imagenet_weights(backbone) if weights == "imagenet" else weights_from(Path(weights))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, deviation = (0.5,) * channels, (0.5,) * channels
        if isinstance(backbone, str) and backbone in HEADS:
            inner = torchvision_network(backbone, size, channels, state)
            if channels == 3:
                mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
            else:
                mean, deviation = GREY_MEAN, GREY_DEVIATION
        else:
            inner = small_network(size, channels) if backbone == SMALL else backbone
            if backbone != SMALL:
                mean, deviation = (0.0,) * channels, (1.0,) * channels  # a module of the user's scales for itself
            if state is not None:
                try:
                    inner.load_state_dict(state)
                except RuntimeError as error:
                    raise ValueError(f"weights must fit the backbone: {error}") from None
        features = count_features(inner, size, channels)
        network = ImageNetwork(inner, features, dim, mean, deviation)
    return network.to(memory_format=torch.channels_last).eval()


def classifying_layer(dim: int, classes: int, seed: int) -> Any:
    """From embeddings to classes, its first weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(dim, classes)


def channels_for(backbone: Any, size: tuple[int, int], channels: int) -> int:
    """Channels to read images with: grey ones as three channels where a module of the user's takes nothing else."""
    if channels == 3 or isinstance(backbone, str):
        return channels
    try:
        count_features(backbone, size, 1)
    except ValueError:
        count_features(backbone, size, 3)
        return 3
    return 1


def check_module(backbone: object) -> None:
    """A module, not its class, nor anything else that can be called."""
    if not isinstance(backbone, nn.Module):
        kind = f"the class {backbone.__name__}" if inspect.isclass(backbone) else type(backbone).__name__
        raise TypeError(f"backbone must be a name or a torch.nn.Module, got {kind}")


Reader = Callable[[list[NDArray[np.int64]]], Iterator[Block]]


def training_images(
    source: ImageSource,
    size: tuple[int, int],
    channels: int,
    workers: int | None,
    on_error: str,
    skipped: list[Skipped],
) -> tuple[Reader, NDArray[np.int64]]:
    """How to read the images that training sees: a reader, and their positions in the source.

    Images that fit into `CACHED` bytes are decoded once. Others are read in each epoch, and those that cannot be are
    left out of their batch. What cannot be read is added to `skipped`, once for each image, or raised.
    """
    told: set[int] = set()

    def blocks(asked: list[NDArray[np.int64]]) -> Iterator[Block]:
        for block in read_blocks(source, asked, size, channels, workers):
            new = [Skipped(source.id_of(number), reason) for number, reason in block.failed if number not in told]
            raise_first(new, on_error)
            skipped.extend(new)
            told.update(number for number, _ in block.failed)
            yield block

    if len(source) * size[0] * size[1] * channels > CACHED:
        return blocks, np.arange(len(source), dtype=np.int64)
    parts, positions = [], []
    for block in blocks(in_blocks(len(source), READ_AT_ONCE)):
        parts.append(block.pixels)
        positions.append(block.positions)
    cached = np.concatenate(parts)

    def read(batches: list[NDArray[np.int64]]) -> Iterator[Block]:
        for batch in batches:
            yield Block(batch, cached[batch], [])

    return read, np.concatenate(positions)


def in_blocks(n: int, size: int) -> list[NDArray[np.int64]]:
    """Positions 0 to n - 1 in pieces."""
    return [np.arange(start, min(start + size, n), dtype=np.int64) for start in range(0, n, size)]


def digest_of(source: ImageSource, labels: NDArray[np.int64] | None) -> str:
    """A digest of images and labels; of images that would have to be read for it, their number only."""
    digest = hashlib.sha256(str(len(source)).encode())
    for positions in in_blocks(len(source), 4096):
        digest.update(source.stamp(positions) or b"")
    if labels is not None:
        digest.update(labels.tobytes())
    return digest.hexdigest()[:16]


def classes_of(labels: object, source: ImageSource) -> tuple[NDArray[np.int64], int]:
    """Class numbers from 0 on of each position, and how many classes there are."""
    if isinstance(labels, str):
        if labels != "folders" or not all(isinstance(name, str) for name in source.ids):
            raise ValueError(f"labels must be one for each image, or 'folders' where images are files; got {labels!r}")
        names = np.array([str(Path(str(name)).parent) for name in source.ids])
    elif isinstance(labels, (Sequence, np.ndarray, torch.Tensor)):
        names = np.asarray(labels)
    else:
        raise TypeError(f"labels must be a sequence or an array with one for each image, got {type(labels).__name__}")
    if names.shape != (len(source),):
        raise ValueError(f"labels must be one for each of the {len(source)} images, got shape {names.shape}")
    if names.dtype.kind not in "biuUS":
        raise TypeError(f"labels must be integers or strings, got dtype {names.dtype}")
    found, numbers = np.unique(names, return_inverse=True)
    if len(found) < 2:
        raise ValueError(f"labels must hold at least 2 classes, all {len(source)} are {found[0]}")
    return numbers.astype(np.int64), len(found)
