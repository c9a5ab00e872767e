"""Images through a network, block by block, going on from finished blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pyredund.embed.batches import Block, read_blocks
from pyredund.embed.build import in_blocks
from pyredund.embed.embedded import FinishedBlocks, Rows
from pyredund.embed.images import ImageSource

BLOCK = 256  # images embedded at once


def embedded_blocks(
    network: Any,
    device: Any,
    source: ImageSource,
    shape: tuple[tuple[int, int], int],
    finished: FinishedBlocks | None,
    workers: int | None,
) -> Iterator[Rows]:
    """Yield positions, unit rows and failures of each block, in order; what is new is added to `finished`."""
    asked = in_blocks(len(source), BLOCK)
    kept = [None if finished is None else finished.find(block) for block in asked]
    todo = [block for block, rows in zip(asked, kept, strict=True) if rows is None]
    made = read_blocks(source, todo, *shape, workers)
    for block, rows in zip(asked, kept, strict=True):
        if rows is None:
            read = next(made)
            rows = read.positions, forward(network, device, read), read.failed
            if finished is not None:
                finished.keep(block, rows)
        yield rows


def forward(network: Any, device: Any, block: Block) -> NDArray[np.float32]:
    """Unit rows of a block; on a GPU what overflows in half precision is computed again in float32."""
    for half in (True, False) if device.type == "cuda" else (False,):
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=half):
            found = functional.normalize(network(block.tensor(device)).float(), dim=1)
        rows: NDArray[np.float32] = found.cpu().numpy()
        if np.isfinite(rows).all():
            return rows
    raise ValueError("backbone must return finite numbers, it returned NaN or infinity")
