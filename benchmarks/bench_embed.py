"""embed beside a bare loop over the same network: what decoding, checks and bookkeeping cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyredund
from benchmarks.datasets import fashion_mnist, row_limit

torch: Any = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

BATCH = 256


@pytest.fixture(scope="module")
def images() -> Any:
    try:
        return fashion_mnist("train")[0][: row_limit()]
    except (FileNotFoundError, ModuleNotFoundError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def embedder(images: Any) -> Any:
    return pyredund.Embedder(device="cpu").fit(images[:512], epochs=1)


def bare(network: Any, tensors: Any) -> Any:
    """Tensors that were decoded before, through the network, and nothing else."""
    rows = []
    with torch.inference_mode():
        for batch in tensors.split(BATCH):
            rows.append(torch.nn.functional.normalize(network(batch), dim=1))
    return torch.cat(rows).numpy()


@pytest.mark.benchmark(group="embed", min_rounds=5, warmup=True, warmup_iterations=1)
def test_bare_loop(benchmark: Any, embedder: Any, images: Any) -> None:
    tensors = torch.tensor(images)[:, None].float() / 255
    found = benchmark(bare, embedder.network, tensors)
    np.testing.assert_allclose(found, embedder.embed(images).embeddings, atol=1e-5)


@pytest.mark.benchmark(group="embed", min_rounds=5, warmup=True, warmup_iterations=1)
def test_embed_an_array(benchmark: Any, embedder: Any, images: Any) -> None:
    assert benchmark(embedder.embed, images).embeddings.shape == (len(images), 64)


@pytest.mark.benchmark(group="embed", min_rounds=3)
def test_embed_a_folder(benchmark: Any, embedder: Any, images: Any, tmp_path: Path) -> None:
    from PIL import Image

    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:05d}.png")
    found = benchmark(embedder.embed, tmp_path)
    np.testing.assert_allclose(found.embeddings, embedder.embed(images).embeddings, atol=1e-5)
