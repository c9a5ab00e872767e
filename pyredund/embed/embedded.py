"""What `Embedder.embed` returns, and how its blocks are kept so that an interrupted run can go on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund._files import load_arrays, save_arrays
from pyredund.embed.images import Ids, ImageSource, Skipped

KIND = "EmbeddedBlock"


@dataclass(frozen=True)
class EmbeddedImages:
    """Embeddings of images, and which image each row is.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, dim)
        Unit rows; read-only.
    ids : list of str or ndarray of int64
        Of each row: the file's name below the folder, the path as given, or the position in the array or data set.
    skipped : list of Skipped
        Images without a row: their ids and the reasons.
    """

    embeddings: NDArray[np.float32]
    ids: Ids
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.embeddings)

    def __repr__(self) -> str:
        n, dim = self.embeddings.shape
        return f"EmbeddedImages({n} images, {dim} dimensions, {len(self.skipped)} skipped)"


Rows = tuple[NDArray[np.int64], NDArray[np.float32], list[tuple[int, str]]]


class FinishedBlocks:
    """Blocks in a folder, each under the digest of what made it: network, images, positions."""

    def __init__(self, folder: Path, network: Any, source: ImageSource) -> None:
        digest = hashlib.sha256()
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.network = digest.digest()
        self.source = source
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, positions: NDArray[np.int64]) -> Path:
        """Where the block of these positions lies, once it is finished."""
        stamp = self.source.stamp(positions)
        if stamp is None:
            raise ValueError(
                "blocks must be None for a data set: whether its images are still the same cannot be told without "
                "reading them; pass a folder, paths or an array"
            )
        name = hashlib.sha256(self.network + stamp + positions.tobytes()).hexdigest()[:32]
        return self.folder / f"block-{name}.npz"

    def find(self, positions: NDArray[np.int64]) -> Rows | None:
        """A finished block, or None."""
        path = self.path(positions)
        if not path.is_file():
            return None
        found = load_arrays(path, KIND, ["positions", "embeddings", "failed", "reasons"])
        failed = list(zip(found["failed"].tolist(), found["reasons"].tolist(), strict=True))
        return found["positions"], found["embeddings"], failed

    def keep(self, asked: NDArray[np.int64], rows: Rows) -> None:
        """Write a finished block, whole or not at all."""
        positions, embeddings, failed = rows
        arrays = {
            "positions": positions,
            "embeddings": embeddings,
            "failed": np.array([position for position, _ in failed], dtype=np.int64),
            "reasons": np.array([reason for _, reason in failed], dtype=np.str_),
        }
        save_arrays(self.path(asked), KIND, arrays)
