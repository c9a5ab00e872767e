"""Blocks of images, read in this process or in worker processes, always in the same order."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pyredund._engine import available_threads
from pyredund.embed.decode import Unreadable, quietly
from pyredund.embed.images import Files, ImageSource

FEW = 512  # below so many files, starting workers takes longer than reading
MOST_WORKERS = 8


class Block(NamedTuple):
    """What was read of some positions."""

    positions: NDArray[np.int64]
    pixels: NDArray[np.uint8]  # (len(positions), h, w, channels)
    failed: list[tuple[int, str]]  # position, reason

    def tensor(self, device: Any) -> Any:
        """Pixels as torch wants them, (n, channels, h, w), without moving them: channels last in memory."""
        return torch.from_numpy(self.pixels).to(device, non_blocking=True).permute(0, 3, 1, 2)


class _Blocks:
    """A data set whose items are blocks; this is what a worker process receives."""

    def __init__(
        self, source: ImageSource, blocks: Sequence[NDArray[np.int64]], size: tuple[int, int], channels: int
    ) -> None:
        self.source = source
        self.blocks = blocks
        self.size = size
        self.channels = channels

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, number: int) -> Block:
        asked = self.blocks[number]
        ready = self.source.read_at_once(asked, self.size, self.channels)
        if ready is not None:
            return Block(asked, ready, [])
        pixels = np.empty((len(asked), *self.size, self.channels), dtype=np.uint8)
        found: list[int] = []
        failed: list[tuple[int, str]] = []
        with quietly():
            for position in asked.tolist():
                try:
                    pixels[len(found)] = self.source.read(position, self.size, self.channels)
                    found.append(position)
                except Unreadable as error:
                    failed.append((position, str(error)))
        return Block(np.array(found, dtype=np.int64), pixels[: len(found)], failed)


def read_blocks(
    source: ImageSource,
    blocks: Sequence[NDArray[np.int64]],
    size: tuple[int, int],
    channels: int,
    workers: int | None = None,
) -> Iterator[Block]:
    """Yield blocks of images in the order asked for, whatever the number of workers.

    Parameters
    ----------
    source : ImageSource
        Where they come from.
    blocks : sequence of ndarray of int64
        Positions of each block.
    size : tuple of int
        Height and width that all images are resized to.
    channels : {1, 3}
        Grey or colour.
    workers : int, optional
        Processes that read ahead; 0 reads in this one. Default: what the source asks for; else one a processor, up to
        8, for 512 files or more, and 0 for anything else.
    """
    if workers is None:
        workers = source.workers
    if workers is None:
        workers = min(MOST_WORKERS, available_threads()) if isinstance(source, Files) and len(source) >= FEW else 0
    workers = min(workers, len(blocks))
    items = _Blocks(source, blocks, size, channels)
    if workers == 0:
        for number in range(len(items)):
            yield items[number]
        return
    # Workers decode with Pillow and NumPy and send plain arrays through pipes. They run no code of OpenMP, which hangs
    # in a forked process, and need no shared memory, of which containers have little.
    loader: Any = DataLoader(
        items,  # type: ignore[arg-type,unused-ignore]
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_leave_interrupts_to_the_parent,
        # An own generator: the loader would otherwise draw from the caller's random numbers.
        generator=torch.Generator().manual_seed(0),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*worker processes in total", category=UserWarning)
        iterator = iter(loader)
    yield from iterator


def _as_it_is(block: Block) -> Block:
    return block


def _leave_interrupts_to_the_parent(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
