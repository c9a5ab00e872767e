"""Networks that make embeddings: a small one of our own, torchvision's by name, or anybody's module."""

from __future__ import annotations

import math
from typing import Any

import torch
import torchvision
from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
GREY_MEAN, GREY_DEVIATION = (0.449,), (0.226,)  # the means of those three
SMALL = "small"
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
HEADS = {  # the last layer, or layers, which classify
    **dict.fromkeys(RESNETS, "fc"),
    "mobilenet_v3_small": "classifier",
    "mobilenet_v3_large": "classifier",
    "efficientnet_b0": "classifier",
    "convnext_tiny": "classifier.2",
    "regnet_y_400mf": "fc",
}
BACKBONES = ("auto", SMALL, *HEADS)
SMALL_IMAGE = 64  # px; up to here a network made for 224 px would see a few places only
TINY_IMAGE = 16  # px; below, three more halvings would leave nothing
CHANNELS = (32, 64, 128)
GRID = 4  # places along each side that the small network tells apart


class ImageNetwork(nn.Module):
    """Pixels to embeddings: scale, backbone, projection.

    Parameters
    ----------
    backbone : nn.Module
        Takes (n, channels, h, w), returns (n, features).
    features : int
        What it returns for each image.
    dim : int or None
        Dimensions of the embedding; None leaves the features as they are.
    mean, deviation : sequence of float
        Of each channel, for pixels from 0 to 1.
    """

    def __init__(self, backbone: Any, features: int, dim: int | None, mean: Any, deviation: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32).view(1, -1, 1, 1))
        self.backbone = backbone
        self.dim = features if dim is None else dim
        self.projection = nn.Identity() if dim is None else nn.Linear(features, dim)
        if dim is not None:
            nn.init.orthogonal_(self.projection.weight)  # keeps angles best where nothing has been trained yet
            nn.init.zeros_(self.projection.bias)

    def forward(self, images: Any) -> Any:
        """Embeddings (n, dim), of any length, of bytes or of floats from 0 to 1."""
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        images = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        return self.projection(torch.flatten(self.backbone(images), 1).float())


def small_network(size: tuple[int, int], channels: int) -> Any:
    """Three convolutions and a grid of places: an epoch over 60,000 images of 28 px takes half a minute on two cores.

    It keeps 4 x 4 places apart in place of averaging over them: where something is tells much about small images.
    """
    halvings = min(len(CHANNELS), max(0, round(math.log2(min(size) / GRID))))
    layers: list[Any] = []
    before = channels
    for number, after in enumerate(CHANNELS):
        kernel = 5 if number == 0 else 3
        stride = 2 if number >= len(CHANNELS) - halvings else 1
        layers += [
            nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
    left = [-(-side // 2**halvings) for side in size]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d([min(GRID, side) for side in left]), nn.Flatten())


def torchvision_network(name: str, size: tuple[int, int], channels: int, state: dict[str, Any] | None) -> Any:
    """Build a network of torchvision without its classifying layers.

    Up to 64 px it keeps the resolution that its first layers would throw away. Weights in `state`, if any, are those
    of the unchanged network with three channels; a grey image is then the sum over the first layer's channels.

    Raises
    ------
    ValueError
        If the weights do not fit; the message names the entries.
    """
    network = torchvision.models.get_model(name, weights=None)
    if state is not None:
        _load(network, state, HEADS[name], name)
    _replace(network, HEADS[name], nn.Identity())
    path, first = next((path, part) for path, part in network.named_modules() if isinstance(part, nn.Conv2d))
    stem = _stem(first, channels, size, fresh=state is None and name in RESNETS)
    _replace(network, path, stem)
    if max(size) <= SMALL_IMAGE and name in RESNETS:
        network.maxpool = nn.Identity()
    return network


def _stem(first: Any, channels: int, size: tuple[int, int], fresh: bool) -> Any:
    """The first convolution for the channels there are, with half its stride where images are small."""
    kernel, stride = (first.kernel_size, first.stride)
    padding = first.padding
    if max(size) <= SMALL_IMAGE:
        stride = tuple(max(1, step // 2) for step in stride)
        if min(size) < TINY_IMAGE:
            stride, padding = (1, 1), tuple(side // 2 for side in kernel)
        if fresh:
            kernel, padding = (3, 3), (1, 1)
    stem = nn.Conv2d(channels, first.out_channels, kernel, stride, padding, bias=first.bias is not None)
    if not fresh:
        with torch.no_grad():
            weight = first.weight
            stem.weight.copy_(weight if channels == 3 else weight.sum(dim=1, keepdim=True))
            if first.bias is not None:
                stem.bias.copy_(first.bias)
    return stem


def _load(network: Any, state: dict[str, Any], head: str, name: str) -> None:
    """Weights by their names; those of the classifying layers may be missing, or of other classes."""
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(f"{head}.")}
    given = {key: value for key, value in state.items() if not key.startswith(f"{head}.")}
    missing, unknown = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    wrong = sorted(key for key in set(expected) & set(given) if expected[key].shape != given[key].shape)
    for what, keys in (("lack", missing), ("hold the unknown", unknown), ("have another shape for", wrong)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise ValueError(f"weights must be those of {name}; they {what} {', '.join(keys[:3])}{more}")
    network.load_state_dict(given, strict=False)


def _replace(network: Any, path: str, part: Any) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, name, part)


def count_features(backbone: Any, size: tuple[int, int], channels: int) -> int:
    """Numbers that a backbone returns for one image.

    Raises
    ------
    ValueError
        If it cannot take such images, or does not return a tensor with a row for each of them.
    """
    training = backbone.training
    backbone.eval()
    try:
        with torch.inference_mode():
            parameter = next(backbone.parameters(), None)
            device = parameter.device if parameter is not None else None
            found = backbone(torch.zeros(2, channels, *size, device=device))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"backbone must take images of shape (n, {channels}, {size[0]}, {size[1]}), and raised "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        backbone.train(training)
    if not isinstance(found, torch.Tensor) or found.ndim < 2 or len(found) != 2:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ValueError(f"backbone must return a tensor (n, features); for n = 2 it returned {shape}")
    return int(found[0].numel())
