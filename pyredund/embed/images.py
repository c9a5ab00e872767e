"""Where images come from: a folder, a list of paths, an array, a data set or a loader, all behind one door."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler

from pyredund.embed.decode import (
    ENDINGS,
    Unreadable,
    as_bytes,
    pixels_of_item,
    quietly,
    read_file,
    resized,
    shape_of_file,
)

Ids = list[str] | NDArray[np.int64]


class Skipped(NamedTuple):
    """An image that could not be read: its id, and why."""

    id: str | int
    reason: str


class ImageSource(ABC):
    """Images by position, each with an id.

    Parameters
    ----------
    ids : list of str or ndarray of int64
        One a position: the file's name, or the row or index.
    refused : list of Skipped
        What was found and has no position, since it cannot be an image.
    workers : int or None
        Processes that its owner wants to read it with; None leaves that open.
    """

    def __init__(self, ids: Ids, refused: Sequence[Skipped] = (), workers: int | None = None) -> None:
        self.ids = ids
        self.refused = list(refused)
        self.workers = workers

    def __len__(self) -> int:
        return len(self.ids)

    def id_of(self, position: int) -> str | int:
        """The id at a position, as a plain str or int."""
        found = self.ids[position]
        return found if isinstance(found, str) else int(found)

    @abstractmethod
    def read(self, position: int, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
        """Pixels (h, w, channels) at a position, or `Unreadable`."""

    def read_at_once(self, positions: NDArray[np.int64], size: tuple[int, int], channels: int) -> Any:
        """Pixels (n, h, w, channels) where they lie ready, else None: ask for one after the other."""
        return None

    @abstractmethod
    def shape(self, position: int) -> tuple[int, int, int]:
        """Height, width and channels (1 or 3) of an image as it is, or `Unreadable`."""

    def stamp(self, positions: NDArray[np.int64]) -> bytes | None:
        """Bytes that change when one of these images changes; None if that cannot be told without reading them."""
        return None


class Files(ImageSource):
    """Image files; size and time of change stand for their contents."""

    def __init__(self, paths: list[str], ids: list[str], max_pixels: int, refused: Sequence[Skipped] = ()) -> None:
        super().__init__(ids, refused)
        self.paths = paths
        self.max_pixels = max_pixels

    def read(self, position: int, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:  # noqa: D102
        return read_file(self.paths[position], size, channels, self.max_pixels)

    def shape(self, position: int) -> tuple[int, int, int]:  # noqa: D102
        return shape_of_file(self.paths[position], self.max_pixels)

    def stamp(self, positions: NDArray[np.int64]) -> bytes:  # noqa: D102
        digest = hashlib.sha256()
        for position in positions.tolist():
            try:
                status = os.stat(self.paths[position])
                state = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                state = "absent"
            digest.update(f"{self.ids[position]}\0{state}\0".encode("utf-8", "surrogateescape"))
        return digest.digest()


class Pixels(ImageSource):
    """An array (n, h, w, channels); integers from 0 to 255 or floats from 0 to 1."""

    def __init__(self, array: NDArray[Any]) -> None:
        super().__init__(np.arange(len(array), dtype=np.int64))
        self.array = array

    def read(self, position: int, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:  # noqa: D102
        return resized(as_bytes(self.array[position]), size, channels)

    def read_at_once(self, positions: NDArray[np.int64], size: tuple[int, int], channels: int) -> Any:  # noqa: D102
        return as_bytes(self.array[positions]) if self.array.shape[1:] == (*size, channels) else None

    def shape(self, position: int) -> tuple[int, int, int]:  # noqa: D102
        height, width, channels = self.array.shape[1:]
        return height, width, channels

    def stamp(self, positions: NDArray[np.int64]) -> bytes:  # noqa: D102
        digest = hashlib.sha256(str((self.array.dtype, self.array.shape[1:])).encode())
        digest.update(np.ascontiguousarray(self.array[positions]).data)
        return digest.digest()


class Items(ImageSource):
    """A data set of torch, or any sequence, whose items are images, or begin with one, or hold one by name."""

    def __init__(self, items: Any, workers: int | None = None) -> None:
        super().__init__(np.arange(len(items), dtype=np.int64), (), workers)
        self.items = items

    def pixels(self, position: int) -> NDArray[np.uint8]:
        """The image as it is, or `Unreadable`."""
        try:
            return pixels_of_item(self.items[position])
        except Unreadable:
            raise
        except Exception as error:  # whatever the owner's code raises is the reason for this one image
            raise Unreadable(f"reading it raised {type(error).__name__}: {error}") from None

    def read(self, position: int, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:  # noqa: D102
        return resized(self.pixels(position), size, channels)

    def shape(self, position: int) -> tuple[int, int, int]:  # noqa: D102
        height, width, channels = self.pixels(position).shape
        return height, width, channels


def image_source(images: object, max_pixels: int) -> ImageSource:
    """Make a source of what the user gave.

    Raises
    ------
    TypeError
        If it is nothing that holds images.
    ValueError
        If it holds none, or is of the wrong shape, or its order is random.
    """
    if isinstance(images, (str, os.PathLike)):
        source: ImageSource = _folder(Path(os.fspath(images)), max_pixels)
    elif isinstance(images, Tensor):
        array = images.detach().cpu().numpy()
        source = _array(np.moveaxis(array, 1, -1) if array.ndim == 4 else array)
    elif isinstance(images, np.ndarray):
        source = _array(images)
    elif isinstance(images, DataLoader):
        source = _loader(images)
    elif isinstance(images, (list, tuple)) and images and isinstance(images[0], (str, os.PathLike)):
        source = _paths(images, max_pixels)
    elif hasattr(images, "__getitem__") and hasattr(images, "__len__") and not isinstance(images, (bytes, dict)):
        source = Items(images)
    else:
        raise TypeError(
            "images must be a folder, a list of paths, an array (n, h, w[, channels]), a data set with __getitem__ and "
            f"__len__, or a DataLoader of one; got {type(images).__name__}"
        )
    if not len(source):
        among = f" among its {len(source.refused)} files" if source.refused else ""
        raise ValueError(f"images must hold at least 1 image, {_described(images)} holds none{among}")
    return source


def _described(images: object) -> str:
    return f"the folder {os.fspath(images)}" if isinstance(images, (str, os.PathLike)) else type(images).__name__


def _folder(folder: Path, max_pixels: int) -> Files:
    """All files below a folder, in the order of their names; hidden ones are left out."""
    if not folder.exists():
        raise FileNotFoundError(f"images must be a folder that exists, there is no {folder}")
    if not folder.is_dir():
        raise ValueError(f"images must be a folder or a list of paths; {folder} is one file: pass [{str(folder)!r}]")
    names: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(parent, folder)
        names += [os.path.normpath(os.path.join(below, name)) for name in files if not name.startswith(".")]
    names.sort(key=lambda name: name.split(os.sep))
    known = [name for name in names if name.lower().endswith(ENDINGS)]
    refused = [
        Skipped(name, f"its ending is none of {', '.join(ENDINGS)}")
        for name in names
        if not name.lower().endswith(ENDINGS)
    ]
    return Files([os.path.join(folder, name) for name in known], known, max_pixels, refused)


def _raise(error: OSError) -> None:
    raise error


def _paths(paths: Sequence[object], max_pixels: int) -> Files:
    for position, path in enumerate(paths):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"images must hold paths only, its entry {position} is a {type(path).__name__}")
    names = [os.fsdecode(path) for path in paths]  # type: ignore[arg-type]  # checked above
    return Files(names, names, max_pixels)


def _array(array: NDArray[Any]) -> Pixels:
    if array.ndim == 3:
        array = array[:, :, :, np.newaxis]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape[1:]:
        raise ValueError(
            "images must be an array of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), or a tensor "
            f"(n, channels, h, w); got shape {array.shape}"
        )
    try:
        for start in range(0, len(array), 4096):
            as_bytes(array[start : start + 4096])
    except Unreadable as error:
        raise ValueError(f"images must hold bytes, or floats from 0 to 1: {error}") from None
    return Pixels(array)


def _loader(loader: DataLoader[Any]) -> Items:
    """Take the data set of a loader in its own order, so that an id says which item was meant; batches are ours."""
    if isinstance(loader.dataset, IterableDataset):
        raise ValueError("images must be a DataLoader of a data set with __getitem__; an IterableDataset has no ids")
    sampler = loader.sampler
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        sampler = loader.batch_sampler
    plain = isinstance(sampler, SequentialSampler) or (
        isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == len(loader.dataset)
    )
    if not plain:
        raise ValueError(
            "images must be a DataLoader that visits each item of its data set once; it has a "
            f"{type(sampler).__name__}: pass torch.utils.data.Subset(loader.dataset, indices) instead"
        )
    return Items(loader.dataset, loader.num_workers)


def common_shape(source: ImageSource, largest: int, sampled: int = 256) -> tuple[tuple[int, int], int]:
    """Size (height, width) and channels that suit a source, from up to `sampled` of its images.

    Images of one size keep it, shrunk so that no side exceeds `largest`; where sizes differ they are made square, of
    the median of their areas. Three channels if any of them has colour.
    """
    positions = np.unique(np.linspace(0, len(source) - 1, min(sampled, len(source))).astype(np.int64))
    shapes = []
    reason: Unreadable | None = None
    with quietly():
        for position in positions.tolist():
            try:
                shapes.append(source.shape(position))
            except Unreadable as error:
                reason = error
    if not shapes:
        raise ValueError(
            f"images must hold some that can be read; of {len(positions)} looked at none could, the last, "
            f"{source.id_of(int(positions[-1]))}, since {reason}"
        )
    sizes = {(height, width) for height, width, _ in shapes}
    if len(sizes) == 1:
        height, width = sizes.pop()
    else:
        height = width = round(float(np.median([np.sqrt(height * width) for height, width, _ in shapes])))
    shrink = max(1.0, max(height, width) / largest)
    channels = max(channels for _, _, channels in shapes)
    return (max(1, round(height / shrink)), max(1, round(width / shrink))), channels
