"""Labelled images to experiment on: Fashion-MNIST, the digits that ship with pyredund, folders, an .npz file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import fashion_mnist
from pyredund._digits import digits
from pyredund.bench._journal import fingerprint

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
ARRAYS = ("images", "labels", "test_images", "test_labels")
VALIDATION = 1 / 12  # of the training images: 5,000 of 60,000
TEST = 1 / 4  # of the digits, which come without a test set
LARGEST_SIDE = 224
INK = 15  # the digits' 0..16, to bytes


@dataclass(frozen=True)
class LabelledImages:
    """Training and test images with their classes, and the rows set aside for choosing the epoch.

    Parameters
    ----------
    name : str
        Names it in results and caches.
    images, test_images : ndarray of uint8, shape (n, h, w) or (n, h, w, 3)
        Pixels.
    labels, test_labels : ndarray of int64, shape (n,)
        Classes, from 0 on.
    flips : bool
        Whether an image may be mirrored without becoming another: training does so at random then.
    """

    name: str
    images: Images
    labels: Labels
    test_images: Images
    test_labels: Labels
    flips: bool

    @property
    def n_classes(self) -> int:
        """Classes there are."""
        return int(self.labels.max()) + 1

    @property
    def stamp(self) -> str:
        """Digits that differ where the training images or labels differ."""
        return fingerprint(self.images, self.labels)

    def first(self, n: int) -> LabelledImages:
        """The first `n` images for training, as many for the test, under another name: to try the code."""
        parts = {field: getattr(self, field)[:n] for field in ARRAYS}
        return replace(self, name=f"{self.name}-{n}-rows", **parts)

    def validation(self) -> Labels:
        """Rows that leave before embedding and selection: a twelfth of all, the same number of each class."""
        return balanced_sample(self.labels, max(1, int(len(self.labels) * VALIDATION) // self.n_classes))

    def pool(self) -> Labels:
        """The other rows."""
        return np.setdiff1d(np.arange(len(self.labels)), self.validation())


def balanced_sample(labels: Labels, each: int) -> Labels:
    """Rows, ascending: `each` of every class, always the same ones."""
    counts = np.bincount(labels)
    if counts.min() <= each:
        raise ValueError(f"every class must have more than {each} images, class {counts.argmin()} has {counts.min()}")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    return np.sort(np.concatenate([order[labels[order] == label][:each] for label in range(len(counts))]))


def load(name: str) -> LabelledImages:
    """Images by name, from a folder, or from a file.

    Parameters
    ----------
    name : str
        "fashion-mnist" or "digits"; a folder that holds train/CLASS/... and test/CLASS/...; or an .npz file with the
        arrays images, labels, test_images and test_labels.
    """
    if name in KNOWN:
        return KNOWN[name]()
    path = Path(name)
    if path.is_dir():
        return _from_folders(path)
    if path.suffix == ".npz" and path.is_file():
        with np.load(path, allow_pickle=False) as archive:
            missing = [array for array in ARRAYS if array not in archive]
            if missing:
                raise ValueError(f"{path} must hold the arrays {', '.join(ARRAYS)}; it lacks {', '.join(missing)}")
            images, labels, test_images, test_labels = (archive[array] for array in ARRAYS)
        return LabelledImages(path.stem, images, labels.astype(int), test_images, test_labels.astype(int), False)
    raise ValueError(f"data must be one of {', '.join(KNOWN)}, a folder or an .npz file that exists, got {name!r}")


def _fashion_mnist() -> LabelledImages:
    (images, labels), (test_images, test_labels) = fashion_mnist("train"), fashion_mnist("test")
    return LabelledImages("fashion-mnist", images, labels.astype(int), test_images, test_labels.astype(int), True)


def _digits() -> LabelledImages:
    images, classes = digits()
    images, labels = images * np.uint8(INK), classes.astype(np.int64)
    test = balanced_sample(labels, int(len(labels) * TEST) // 10)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return LabelledImages("digits", images[train], labels[train], images[test], labels[test], False)


def _from_folders(folder: Path) -> LabelledImages:
    from pyredund.embed.decode import MAX_PIXELS
    from pyredund.embed.images import common_shape, image_source

    sources = [image_source(folder / part, MAX_PIXELS) for part in ("train", "test")]
    size, channels = common_shape(sources[0], LARGEST_SIDE)
    classes: list[str] = sorted({Path(str(name)).parts[0] for name in sources[0].ids})
    arrays: list[NDArray[np.uint8]] = []
    labels: list[Labels] = []
    for source in sources:
        arrays.append(np.stack([source.read(row, size, channels) for row in range(len(source))]))
        labels.append(np.array([classes.index(Path(str(name)).parts[0]) for name in source.ids], np.int64))
    grey = [array[..., 0] if channels == 1 else array for array in arrays]
    return LabelledImages(folder.name, grey[0], labels[0], grey[1], labels[1], False)


KNOWN: dict[str, Callable[[], LabelledImages]] = {"fashion-mnist": _fashion_mnist, "digits": _digits}
