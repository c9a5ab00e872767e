"""How good is an embedding? One table and one bar chart on Fashion-MNIST, for labels unseen and copies planted.

    python -m benchmarks.embedding_quality --write README.md --figure benchmarks/embedding_quality.svg

1-NN: share of test images whose nearest training image is of their class. Linear: the same for a logistic regression on
the rows. Copies: each of 1,000 test images is altered in six ways; average precision of finding the original among all
test images by similarity, over all pairs of (altered, original), the mean of the six.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.claims import Claim
from benchmarks.datasets import fashion_mnist, flat, principal_axes
from benchmarks.report import insert

Images = NDArray[np.uint8]
Rows = NDArray[np.float32]
Embed = Callable[[Images], Rows]
QUERIES = 1000
DIM = 64
PRETRAINED_PIXELS = 64  # that images are enlarged to for EfficientNet; at its own 224 it would take hours


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


def embedders(
    images: Images, labels: NDArray[np.uint8], epochs: int | None, states: Path | None
) -> dict[str, Callable[[], Embed]]:
    """What makes each row of the table: a function that trains and returns a function from images to rows."""
    import pyredund

    def ours(name: str, labels: Any = None, epochs: int | None = epochs) -> Embed:
        state = None if states is None else states / name
        embedder = pyredund.Embedder(dim=DIM)
        embedder.fit(images, labels, epochs=epochs, checkpoint=state, resume=state is not None, progress=True)
        return lambda found: embedder.embed(found).embeddings

    def pretrained() -> Embed:
        from benchmarks.learned import imagenet_module

        embedder = pyredund.Embedder(imagenet_module(PRETRAINED_PIXELS), dim=None)
        return lambda found: embedder.embed(found, progress=True).embeddings

    return {
        "raw": lambda: flat,
        "pca": lambda: pca(images),
        "untrained": lambda: ours("untrained", epochs=0),
        "contrastive": lambda: ours("contrastive"),
        "classifier": lambda: ours("classifier", labels),
        "imagenet": pretrained,
    }


TITLES = {
    "raw": "raw pixels, d = 784",
    "pca": "PCA-64",
    "untrained": "small network, untrained, 64-d",
    "contrastive": "small network, contrastive (no labels), 64-d",
    "classifier": "small network, classifier (labels), 64-d",
    "imagenet": f"EfficientNet-Lite0, ImageNet weights, {PRETRAINED_PIXELS} px, d = 1280",
}
TRAINED = ("contrastive", "classifier")
COLUMNS = ("1-NN", "linear", "copies")
MARK = "embedding quality"
Row = dict[str, float]


def measured(make: Callable[[], Embed], data: tuple[Any, ...], copies: dict[str, Images], clock: Path | None) -> Row:
    """One row of the table: accuracies, average precision of each kind of copy, and seconds of training.

    Seconds are of the process, all threads together: what else the machine does changes them little. `clock` holds
    those of earlier runs, from whose checkpoints training goes on.
    """
    images, labels, test, expected = data
    spent = float(clock.read_text()) if clock is not None and clock.exists() else 0.0
    started = time.process_time()
    try:
        embed = make()
    finally:
        spent += time.process_time() - started
        if clock is not None:
            clock.parent.mkdir(parents=True, exist_ok=True)
            clock.write_text(str(spent))
    row = {"cpu": spent}
    train, found = unit(embed(images)), unit(embed(test))
    row["1-NN"] = nearest_accuracy(train, labels, found, expected)
    row["linear"] = linear_accuracy(train, labels, found, expected)
    row |= {name: average_precision(unit(embed(copy)), found) for name, copy in copies.items()}
    row["copies"] = float(np.mean([row[name] for name in copies]))
    return row


def claims(table: dict[str, Row]) -> list[Claim]:
    """What the embedder promises, as far as the rows are there."""
    found = []
    if {"raw", "pca", "untrained", "contrastive"} <= set(table):
        ours, others = table["contrastive"], [table[name] for name in ("raw", "pca", "untrained")]
        best = max(row["copies"] for row in others)
        text = f"without labels copies are found with {ours['copies']:.3f}, by the best of the others {best:.3f}"
        found.append(Claim(text, ours["copies"] > best + 0.1))
        text = f"without labels 1-NN is {ours['1-NN']:.3f}, not below PCA-64's {table['pca']['1-NN']:.3f}"
        found.append(Claim(text, ours["1-NN"] >= table["pca"]["1-NN"]))
    if "classifier" in table:
        linear = table["classifier"]["linear"]
        found.append(Claim(f"with labels a linear probe gets {linear:.3f}, goal 0.91", linear >= 0.91, required=False))
    return found


def report(table: dict[str, Row]) -> str:
    """The table in Markdown, and the claims under it."""
    kinds = [name for name in next(iter(table.values())) if name not in ("cpu", *COLUMNS)]
    lines = ["| embedding | " + " | ".join((*COLUMNS, *kinds)) + " | training, CPU s |"]
    lines.append("|---|" + "---:|" * (len(COLUMNS) + len(kinds) + 1))
    for name in (name for name in TITLES if name in table):
        row = table[name]
        cells = " | ".join(f"{row[column]:.3f}" for column in (*COLUMNS, *kinds))
        seconds = f"{row['cpu']:.0f}" if name in TRAINED else ""
        lines.append(f"| {TITLES[name]} | {cells} | {seconds} |")
    return "\n".join([*lines, "", *map(str, claims(table))])


@click.command()
@click.option("--epochs", type=int, help="Default: the library's, ten minutes on two cores.")
@click.option("--rows", type=int, default=60_000, show_default=True, help="Training images.")
@click.option("--only", multiple=True, type=click.Choice(list(TITLES)), help="Rows of the table. Default: all.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="Go on from what it holds.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Where the bars go (.svg, .png).")
@click.option("--write", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with the marks.")
def main(
    epochs: int | None, rows: int, only: tuple[str, ...], journal: Path | None, figure: Path | None, write: Path | None
) -> None:
    """Print the table."""
    (images, labels), (test, expected) = fashion_mnist("train"), fashion_mnist("test")
    images, labels = images[:rows], labels[:rows]
    copies = altered(test[:QUERIES])
    states = None if journal is None else journal.with_suffix(".training")
    table: dict[str, Row] = json.loads(journal.read_text()) if journal is not None and journal.exists() else {}
    for name, make in embedders(images, labels, epochs, states).items():
        if name in table or (only and name not in only):
            continue
        clock = None if states is None else states / f"{name}.seconds"
        table[name] = measured(make, (images, labels, test, expected), copies, clock)
        if journal is not None:
            journal.write_text(json.dumps(table, indent=1))
    text = report(table)
    click.echo(text)
    if write is not None:
        insert(text, write, MARK)
    if figure is not None:
        draw(table, figure)


def draw(table: dict[str, Row], figure: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pyredund"})  # text stays text
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(9, 0.7 * len(table) + 1.2), layout="constrained")
    names = [name for name in TITLES if name in table]
    places = np.arange(len(names))[::-1]
    for number, column in enumerate(COLUMNS):
        bars = axes.barh(places + 0.27 * (1 - number), [table[name][column] for name in names], 0.26, label=column)
        axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=8)
    axes.set_yticks(places, [TITLES[name] for name in names])
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("higher is better")
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1))
    picture.savefig(figure, dpi=150, metadata={"Date": None} if figure.suffix == ".svg" else None)
    pyplot.close(picture)


if __name__ == "__main__":
    main()
