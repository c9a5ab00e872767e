"""How good is an embedding? One table and one bar chart on Fashion-MNIST, for labels unseen and copies planted.

    python -m benchmarks.embedding_quality [--epochs N] [--rows N] [--figure embedding-quality.png]

1-NN: share of test images whose nearest training image is of their class. Linear: the same for a logistic regression on
the rows. Copies: each of 1,000 test images is altered in six ways; average precision of finding the original among all
test images by similarity, over all pairs of (altered, original), the mean of the six.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import fashion_mnist, flat, principal_axes

Images = NDArray[np.uint8]
Rows = NDArray[np.float32]
Embed = Callable[[Images], Rows]
QUERIES = 1000
DIM = 64


def unit(rows: Rows) -> Rows:
    found: Rows = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return found


def nearest_accuracy(train: Rows, labels: NDArray[np.uint8], test: Rows, expected: NDArray[np.uint8]) -> float:
    nearest = [(block @ train.T).argmax(axis=1) for block in np.array_split(test, max(1, len(test) // 500))]
    return float(np.mean(labels[np.concatenate(nearest)] == expected))


def linear_accuracy(train: Rows, labels: NDArray[np.uint8], test: Rows, expected: NDArray[np.uint8]) -> float:
    from sklearn.linear_model import LogisticRegression

    scale = train.std(axis=0) + 1e-6
    probe = LogisticRegression(max_iter=200, C=1.0).fit(train / scale, labels)
    return float(probe.score(test / scale, expected))


def altered(images: Images) -> dict[str, Images]:
    """Copies as people make them: shifted, flipped, brighter, darker, cropped, stored as JPEG."""
    from PIL import Image

    shifted = np.zeros_like(images)
    shifted[:, 2:, 1:] = images[:, :-2, :-1]
    jpeg, crop = np.empty_like(images), np.empty_like(images)
    for number, image in enumerate(images):
        store = io.BytesIO()
        Image.fromarray(image).save(store, "JPEG", quality=30)
        jpeg[number] = np.asarray(Image.open(store))
        inner = Image.fromarray(image[2:26, 2:26])
        crop[number] = np.asarray(inner.resize((28, 28), Image.Resampling.BILINEAR))
    return {
        "shift": shifted,
        "flip": images[:, :, ::-1].copy(),
        "bright": np.clip(images * 1.3, 0, 255).astype(np.uint8),
        "dark": (images * 0.7).astype(np.uint8),
        "crop": crop,
        "jpeg": jpeg,
    }


def average_precision(queries: Rows, originals: Rows) -> float:
    """Of the pairs (i, i) among all pairs, by similarity; equal similarities count against."""
    scores = queries @ originals.T
    own = np.arange(len(queries))
    right = np.sort(scores[own, own])[::-1]
    scores[own, own] = -2
    wrong = np.sort(scores, axis=None)
    above = len(wrong) - np.searchsorted(wrong, right, side="left")
    found = np.arange(1, len(right) + 1)
    return float(np.mean(found / (found + above)))


def pca(images: Images) -> Embed:
    centre, axes = principal_axes(images, DIM)
    return lambda found: ((flat(found) - centre) @ axes).astype(np.float32)


def embedders(images: Images, labels: NDArray[np.uint8], epochs: int | None) -> dict[str, Callable[[], Embed]]:
    """What makes each row of the table: a function that trains and returns a function from images to rows."""
    import pyredund

    def ours(labels: Any = None, epochs: int | None = epochs) -> Embed:
        embedder = pyredund.Embedder(dim=DIM).fit(images, labels, epochs=epochs, progress=True)
        return lambda found: embedder.embed(found).embeddings

    def pretrained() -> Embed:
        from benchmarks.learned import imagenet_module

        embedder = pyredund.Embedder(imagenet_module(), dim=None)
        return lambda found: embedder.embed(found, progress=True).embeddings

    return {
        "raw": lambda: flat,
        "pca": lambda: pca(images),
        "untrained": lambda: ours(epochs=0),
        "contrastive": ours,
        "classifier": lambda: ours(labels),
        "imagenet": pretrained,
    }


TITLES = {
    "raw": "raw pixels, d = 784",
    "pca": "PCA-64",
    "untrained": "small network, untrained, 64-d",
    "contrastive": "small network, contrastive (no labels), 64-d",
    "classifier": "small network, classifier (labels), 64-d",
    "imagenet": "EfficientNet-Lite0, ImageNet weights, d = 1280",
}
COLUMNS = ("1-NN", "linear", "copies")


@click.command()
@click.option("--epochs", type=int, help="Default: the library's, ten minutes on two cores.")
@click.option("--rows", type=int, default=60_000, show_default=True, help="Training images.")
@click.option("--only", multiple=True, type=click.Choice(list(TITLES)), help="Rows of the table. Default: all.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Where the bar chart goes (.png).")
def main(epochs: int | None, rows: int, only: tuple[str, ...], figure: Path | None) -> None:
    """Print the table."""
    (images, labels), (test, expected) = fashion_mnist("train"), fashion_mnist("test")
    images, labels = images[:rows], labels[:rows]
    copies = altered(test[:QUERIES])
    table: dict[str, tuple[float, ...]] = {}
    click.echo("| embedding | 1-NN | linear | copies | " + " | ".join(copies) + " | training |")
    click.echo("|---" * (5 + len(copies)) + "|")
    for name, make in embedders(images, labels, epochs).items():
        if only and name not in only:
            continue
        started = time.perf_counter()
        embed = make()
        seconds = time.perf_counter() - started
        train, found = unit(embed(images)), unit(embed(test))
        precisions = [average_precision(unit(embed(copy)), found) for copy in copies.values()]
        accuracies = [accuracy(train, labels, found, expected) for accuracy in (nearest_accuracy, linear_accuracy)]
        table[name] = (*accuracies, float(np.mean(precisions)))
        cells = " | ".join(f"{value:.3f}" for value in (*table[name], *precisions))
        click.echo(f"| {TITLES[name]} | {cells} | {seconds:.0f} s |")
    if figure is not None:
        draw(table, figure)


def draw(table: dict[str, tuple[float, ...]], figure: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(9, 0.7 * len(table) + 1.2), layout="constrained")
    places = np.arange(len(table))[::-1]
    for number, column in enumerate(COLUMNS):
        bars = axes.barh(places + 0.27 * (1 - number), [row[number] for row in table.values()], 0.26, label=column)
        axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=8)
    axes.set_yticks(places, [TITLES[name] for name in table])
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("higher is better")
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1))
    picture.savefig(figure, dpi=150)
    pyplot.close(picture)


if __name__ == "__main__":
    main()
