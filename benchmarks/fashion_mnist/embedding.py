"""The embedding that selections are made in: trained on the pool alone, on labels or without them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.fashion_mnist.cache import kept
from benchmarks.fashion_mnist.images import LabelledImages

KINDS = ("contrastive", "supervised")
DIM = 64


def embedding(data: LabelledImages, kind: str = "contrastive") -> NDArray[np.float32]:
    """Rows (n, 64) of all training images, of a network that has never seen the validation rows.

    Parameters
    ----------
    data : LabelledImages
        What to embed.
    kind : {"contrastive", "supervised"}
        Trained without labels, or as a classifier whose last layer is dropped.

    Notes
    -----
    Training takes eight minutes of two cores for Fashion-MNIST (four with labels), so the rows are kept.
    """
    if kind not in KINDS:
        raise ValueError(f"embedding must be one of {', '.join(KINDS)}, got {kind!r}")
    return kept(f"{data.name}-{kind}-{data.stamp}", lambda: _trained(data, kind))


def _trained(data: LabelledImages, kind: str, epochs: int | None = None) -> NDArray[np.float32]:
    import pyredund

    pool = data.pool()
    embedder = pyredund.Embedder("small", DIM)
    labels = data.labels[pool] if kind == "supervised" else None
    embedder.fit(data.images[pool], labels, epochs=epochs, progress=True)
    found: NDArray[np.float32] = embedder.embed(data.images, progress=True).embeddings
    return found
