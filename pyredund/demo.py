"""The main job on a small real data set: what goes, what stands for it, and what a random choice would lose."""

from __future__ import annotations

import time
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pyredund
from pyredund._digits import digits
from pyredund._pairs_figure import draw_pairs

KEEP = 0.9
SEED = 0
PAIRS = 10


def demo(figure: str | PathLike[str] | None = None) -> str:
    """Select 90 % of the 1,797 handwritten digits that ship with pyredund, and tell what went and why.

    Each image is its own embedding: 8 x 8 pixels are 64 numbers.

    Parameters
    ----------
    figure : str or path-like, optional
        Where to draw the removed digits closest to and farthest from what stands for them (a .png file);
        needs matplotlib. Default: no picture.

    Returns
    -------
    str
        A report. It also says where the picture went, or why there is none.

    Examples
    --------
    >>> from pyredund.demo import demo
    >>> print(demo().splitlines()[0])
    1,797 handwritten digits, each an embedding of 64 numbers (8 x 8 pixels); keep=0.9
    """
    images, labels = digits()
    embeddings = images.reshape(len(images), -1)
    started = time.perf_counter()
    removal = pyredund.select(embeddings, KEEP)
    seconds = time.perf_counter() - started
    random = pyredund.select(embeddings, KEEP, method="random", seed=SEED)
    lines = [
        f"{len(images):,} handwritten digits, each an embedding of {embeddings.shape[1]} numbers (8 x 8 pixels); "
        f"keep={KEEP}",
        f"Removal kept {len(removal.indices):,} and removed {len(removal.removed)} in {seconds:.3f} s.",
        "",
        *_comparison(removal, random, labels),
        "",
        *_closest(removal, labels),
        "",
        *_classes(removal, random, labels),
    ]
    if figure is not None:
        lines += ["", _draw(Path(figure), images, removal)]
    return "\n".join(lines)


def _comparison(removal: pyredund.Selection, random: pyredund.Selection, labels: NDArray[np.uint8]) -> list[str]:
    """What each choice of the same size loses."""
    columns = []
    for selection in (removal, random):
        similarities = selection.similarities.astype(np.float64)
        distances = 1.0 - similarities[selection.removed]
        other = labels[selection.removed] != labels[selection.representatives[selection.removed]]
        columns.append(
            [f"{distances.mean():.5f}", f"{distances.max():.5f}", f"{similarities.sum():.2f}", f"{other.sum()}"]
        )
    names = (
        "mean distance of a removed row to the closest kept one",
        "largest such distance",
        "facility location (higher is better)",
        "removed rows whose closest kept row is another digit",
    )
    return [
        f"{'What was lost':<56}  {'removal':>9}  {'random':>9}",
        *(f"  {name:<54}  {ours:>9}  {theirs:>9}" for name, ours, theirs in zip(names, *columns, strict=True)),
        "  Distance is 1 - cosine similarity. Facility location is the similarity to the closest kept row,",
        f"  summed over all rows: {len(labels)} at most.",
    ]


def _closest(removal: pyredund.Selection, labels: NDArray[np.uint8]) -> list[str]:
    lines = [
        f"What went and why: the {PAIRS} removed rows most similar to the kept row that stands for them",
        "  removed  digit     kept  digit  similarity",
    ]
    lines += [
        f"  {row:>7}  {labels[row]:>5}  {representative:>7}  {labels[representative]:>5}  {similarity:>10.5f}"
        for row, representative, similarity in removal.closest(PAIRS)
    ]
    return lines


def _classes(removal: pyredund.Selection, random: pyredund.Selection, labels: NDArray[np.uint8]) -> list[str]:
    chosen = (slice(None), removal.indices, removal.removed, random.removed)
    counts = [np.bincount(labels[rows], minlength=10).tolist() for rows in chosen]
    lines = ["Where it went: rows of each digit", "  digit  rows  kept  removed  removed at random"]
    lines += [
        f"  {digit:>5}  {rows:>4}  {kept:>4}  {removed:>7}  {at_random:>17}"
        for digit, (rows, kept, removed, at_random) in enumerate(zip(*counts, strict=True))
    ]
    return lines


def _draw(path: Path, images: NDArray[np.uint8], removal: pyredund.Selection) -> str:
    try:
        draw_pairs(path, images, removal)
    except ImportError:
        return "No picture: it needs matplotlib, which is not installed here: pip install matplotlib"
    except OSError as error:
        return f"No picture: {path} could not be written ({error.strerror or error})"
    return f"Picture of removed digits beside what stands for them: {path}"
