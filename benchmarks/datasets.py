"""Data that the benchmarks run on: Fashion-MNIST, and noise in which nothing can be pruned."""

from __future__ import annotations

import gzip
import importlib.util
import os
import struct
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
NAMES = ("noise", "pca64", "raw784")
TITLES = {
    "noise": "isotropic noise, d = 64",
    "pca64": "Fashion-MNIST PCA-64",
    "raw784": "Fashion-MNIST pixels, d = 784",
}
ROWS = 60_000


@cache
def embeddings(name: str, rows: int = ROWS) -> NDArray[np.float32]:
    """Read-only unit rows of a data set in `NAMES`, at most ``PYREDUND_BENCH_ROWS`` of them."""
    rows = min(rows, row_limit())
    if name == "noise":
        found = isotropic_noise(rows, 64, seed=0)
    elif name == "pca64":
        found = pca(fashion_mnist("train")[0], 64)[:rows]
    elif name == "raw784":
        found = flat(fashion_mnist("train")[0][:rows])
    else:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    found = np.ascontiguousarray(found / np.where(norms > 0, norms, 1), dtype=np.float32)
    found.flags.writeable = False
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


def pca(images: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
    """Project images onto the leading `dim` principal components of these same images."""
    centred = flat(images)
    centred -= centred.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))  # ascending eigenvalues
    leading = np.ascontiguousarray(axes[:, ::-1][:, :dim], dtype=np.float32)
    projected: NDArray[np.float32] = centred @ leading
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
