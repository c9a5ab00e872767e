"""Data that the benchmarks run on: Fashion-MNIST as it is, learned and augmented, and noise: nothing to prune."""

from __future__ import annotations

import gzip
import importlib.util
import os
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FOLDER_VARIABLE = "PYREDUND_FASHION_MNIST"
ROWS_VARIABLE = "PYREDUND_BENCH_ROWS"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DOWNLOAD_FOLDER = Path(__file__).resolve().parent.parent / ".cache"
PREFIXES = {"train": "train", "test": "t10k"}
FILES = [f"{prefix}-{kind}-ubyte.gz" for prefix in PREFIXES.values() for kind in ("images-idx3", "labels-idx1")]
# What runs when nothing is asked for: never what needs a package that is not there, nor an hour.
NAMES = ("noise", "pca64", "raw784") + (("learned64",) if importlib.util.find_spec("torch") else ())
TITLES = {
    "noise": "isotropic noise, d = 64",
    "pca64": "Fashion-MNIST PCA-64",
    "raw784": "Fashion-MNIST pixels, d = 784",
    "learned64": "Fashion-MNIST learned embedding, d = 64",
    "features1280": "Fashion-MNIST ImageNet features, d = 1280",
    "augmented64": "augmented Fashion-MNIST PCA-64",
    "augmented784": "augmented Fashion-MNIST pixels, d = 784",
}
ROWS = 60_000
ROWS_OF = {"features1280": 20_000, "augmented64": 1_000_000, "augmented784": 250_000}  # the others: ROWS
SEED = 0
BLOCK = 10_000  # rows made at a time; another size makes other augmented images
CROPS = (24, 25, 26, 27)  # px of 28
SHIFTS = (-2, -1, 0, 1, 2)


@cache
def embeddings(name: str, rows: int | None = None) -> NDArray[np.float32]:
    """Read-only unit rows of a data set in `TITLES`, at most ``PYREDUND_BENCH_ROWS`` of them.

    What takes long is kept in `DOWNLOAD_FOLDER` once it has been made whole.
    """
    rows = min(ROWS_OF.get(name, ROWS) if rows is None else rows, row_limit())
    if name == "noise":
        found = isotropic_noise(rows, 64, seed=0)
    elif name == "pca64":
        found = pca(fashion_mnist("train")[0], 64)[:rows]
    elif name == "raw784":
        found = flat(fashion_mnist("train")[0][:rows])
    elif name == "learned64":
        found = _kept(f"learned64-v1-seed{SEED}", min(ROWS, row_limit()), ROWS, _learned)[:rows]
    elif name == "features1280":
        found = _kept("features1280-v1-96px", rows, ROWS_OF[name], _features)
    elif name == "augmented64":
        found = _kept(f"augmented64-v1-seed{SEED}", rows, ROWS_OF[name], _augmented_pca)
    elif name == "augmented784":
        found = _filled(rows, 784, map(flat, augmented_images(rows, SEED)))
    else:
        raise ValueError(f"name must be one of {', '.join(TITLES)}, got {name!r}")
    found = np.ascontiguousarray(found)
    for start in range(0, len(found), BLOCK):  # in place: the largest take most of a gigabyte
        block = found[start : start + BLOCK]
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        block /= np.where(norms > 0, norms, 1)
    found.flags.writeable = False
    return found


def _kept(recipe: str, rows: int, whole: int, make: Callable[[int], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Take the first rows from the cache, or make them and keep them there if they are the whole."""
    path = DOWNLOAD_FOLDER / f"{recipe}.npy"
    if path.is_file():
        held = np.load(path, mmap_mode="r")
        if rows <= len(held):
            return np.array(held[:rows])
    found = make(rows)
    if rows == whole:
        DOWNLOAD_FOLDER.mkdir(exist_ok=True)
        partial = DOWNLOAD_FOLDER / f"{recipe}.{os.getpid()}.part"
        try:
            with partial.open("wb") as file:
                np.save(file, found)
            os.replace(partial, path)  # complete or absent, whatever interrupts
        finally:
            partial.unlink(missing_ok=True)
    return found


def _filled(n: int, d: int, blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    found = np.empty((n, d), np.float32)
    start = 0
    for block in blocks:
        found[start : start + len(block)] = block
        start += len(block)
    if start != n:
        raise ValueError(f"there are {start} rows of these data, not {n}")
    return found


def _learned(rows: int) -> NDArray[np.float32]:
    from benchmarks.learned import classifier_embedding

    images, labels = fashion_mnist("train")
    return classifier_embedding(images[:rows], labels[:rows], SEED)[0]


def _features(rows: int) -> NDArray[np.float32]:
    from benchmarks.learned import imagenet_features

    return imagenet_features(fashion_mnist("train")[0][:rows])


def _augmented_pca(rows: int) -> NDArray[np.float32]:
    centre, axes = principal_axes(fashion_mnist("train")[0], 64)
    return _filled(rows, 64, (_projected(block, centre, axes) for block in augmented_images(rows, SEED)))


def augmented_images(n: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of n images in all: the originals in their order, then altered copies of them, round after round.

    A copy is a random square crop enlarged to 28 px, flipped or not, and shifted with black moving in. The first images
    are the same for every n.
    """
    originals = fashion_mnist("train")[0]
    for start in range(0, min(n, len(originals)), BLOCK):
        yield originals[start : min(start + BLOCK, n)]
    warps = _warps()
    for start in range(len(originals), n, BLOCK):
        rng = np.random.default_rng([seed, start])
        size = rng.integers(len(CROPS), size=BLOCK)
        offset = rng.integers(29 - np.array(CROPS)[size], size=(2, BLOCK))
        shift = rng.integers(len(SHIFTS), size=(2, BLOCK))
        flip = rng.integers(2, size=BLOCK)
        rows = originals[np.arange(start, start + BLOCK) % len(originals)].astype(np.float32)
        down = warps[size, offset[0], shift[0], 0]
        across = warps[size, offset[1], shift[1], flip]
        altered: NDArray[np.float32] = down @ rows @ across.transpose(0, 2, 1)
        yield np.rint(altered).astype(np.uint8)[: n - start]


def _warps() -> NDArray[np.float32]:
    """Matrices that crop, enlarge, flip and shift a column of 28 pixels, by (crop, offset, shift, flip)."""
    found = np.zeros((len(CROPS), 29 - min(CROPS), len(SHIFTS), 2, 28, 28), np.float32)
    for i, size in enumerate(CROPS):
        for offset in range(29 - size):
            # where the centre of each new pixel lies among the old ones
            places = offset + np.clip((np.arange(28) + 0.5) * size / 28 - 0.5, 0, size - 1)
            enlarge = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(28)))
            for j, shift in enumerate(SHIFTS):
                moved = np.eye(28, k=-shift)
                found[i, offset, j] = moved @ enlarge, moved @ enlarge[::-1]
    return found


def row_limit() -> int:
    """Rows that ``PYREDUND_BENCH_ROWS`` allows, for a quick functional run; its timings mean nothing."""
    limit = int(os.environ.get(ROWS_VARIABLE, "1000000000"))
    if limit < 100:
        raise ValueError(f"{ROWS_VARIABLE} must be at least 100, got {limit}")
    return limit


def isotropic_noise(n: int, d: int, seed: int) -> NDArray[np.float32]:
    """Rows in random directions."""
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """One row of pixels per image."""
    return images.reshape(len(images), -1).astype(np.float32)


def principal_axes(images: NDArray[np.uint8], dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean image, and the leading `dim` principal components as columns."""
    centred = flat(images)
    centre = centred.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred -= centre
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))  # ascending eigenvalues
    return centre, np.ascontiguousarray(axes[:, ::-1][:, :dim], dtype=np.float32)


def pca(images: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
    """Project images onto the leading `dim` principal components of these same images."""
    centre, leading = principal_axes(images, dim)
    return _projected(images, centre, leading)


def _projected(
    images: NDArray[np.uint8], centre: NDArray[np.float32], axes: NDArray[np.float32]
) -> NDArray[np.float32]:
    centred = flat(images)
    centred -= centre  # in place: of 60,000 images, one copy
    projected: NDArray[np.float32] = centred @ axes
    return projected


@cache
def fashion_mnist(split: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, 28, 28) and labels (n,).

    Raises
    ------
    FileNotFoundError
        If the data are not on the machine and cannot be downloaded; the message says how to get them.
    """
    folder = fashion_mnist_folder()
    prefix = PREFIXES[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if len(images) != len(labels):
        raise ValueError(f"{folder} holds {len(images)} images of split {split!r} but {len(labels)} labels")
    return images, labels


def fashion_mnist_folder() -> Path:
    """Where the four files lie; downloads them where torchvision is installed and nothing else is found."""
    if os.environ.get(FOLDER_VARIABLE):
        folder = Path(os.environ[FOLDER_VARIABLE])
        lacking = [name for name in FILES if not (folder / name).is_file()]
        if lacking:
            raise FileNotFoundError(f"{FOLDER_VARIABLE} names {folder}, which lacks {', '.join(lacking)}")
        return folder
    downloaded = DOWNLOAD_FOLDER / "FashionMNIST" / "raw"
    for folder in (DEBIAN_FOLDER, downloaded):
        if all((folder / name).is_file() for name in FILES):
            return folder
    how = (
        "Fashion-MNIST is not on this machine: apt-get install dataset-fashion-mnist (Debian, Ubuntu), "
        f"or set {FOLDER_VARIABLE} to a folder with its four files ({', '.join(FILES)}), "
        "or install torchvision, which downloads them"
    )
    if importlib.util.find_spec("torchvision") is None:
        raise FileNotFoundError(how)
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(DOWNLOAD_FOLDER), download=True)
    except (OSError, RuntimeError) as error:  # no network, or no mirror that answers
        raise FileNotFoundError(f"{how} (it is installed, but the download failed: {error})") from error
    return downloaded


def _read_idx(path: Path) -> NDArray[np.uint8]:
    with gzip.open(path) as file:
        content = file.read()
    zero, kind, n_dims = struct.unpack_from(">HBB", content)
    if zero != 0 or kind != 8:
        raise ValueError(f"{path} is not an idx file of bytes")
    shape = struct.unpack_from(f">{n_dims}I", content, 4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_dims).reshape(shape)
