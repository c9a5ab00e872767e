"""Weights that somebody else trained: from a file, from torchvision's cache, and where they cannot be had."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

import pyredund

torch: Any = pytest.importorskip("torch")
torchvision: Any = pytest.importorskip("torchvision")
safetensors: Any = pytest.importorskip("safetensors.torch")

IMAGES = np.random.default_rng(0).integers(256, size=(4, 80, 80, 3), dtype=np.uint8)
CACHED = "resnet18-f37072fd.pth"  # the name of resnet18's weights in torch's cache


class Trap:
    """What a malicious file would hold: unpickling it leaves a trace."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("sprung"),)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch, and no network."""

    def unreachable(*arguments: Any, **named: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def trained(channels: int = 3) -> Any:
    """A network of torchvision whose weights stand for trained ones."""
    torch.manual_seed(7)
    network = torchvision.models.get_model("resnet18")
    return network.eval()


def expected_rows(network: Any, images: Any) -> Any:
    """What torchvision itself makes of images before its last layer."""
    network.fc = torch.nn.Identity()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    scaled = torchvision.transforms.v2.functional.normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        return torch.nn.functional.normalize(network(scaled), dim=1).numpy()


@pytest.mark.parametrize("kind", ["weights.pt", "nested.pth", "weights.safetensors"])
def test_weights_from_a_file_are_those_of_the_network(tmp_path: Path, kind: str) -> None:
    network, path = trained(), tmp_path / kind
    state = network.state_dict()
    if kind == "weights.safetensors":
        safetensors.save_file(state, path)
    else:
        torch.save({"state_dict": state} if kind == "nested.pth" else state, path)
    found = pyredund.Embedder("resnet18", None, weights=path, device="cpu").embed(IMAGES)
    np.testing.assert_allclose(found.embeddings, expected_rows(network, IMAGES), atol=1e-5)


def test_a_grey_image_is_what_its_colour_copy_is(tmp_path: Path) -> None:
    torch.save(trained().state_dict(), tmp_path / "weights.pt")
    grey = IMAGES[:, :, :, 0]

    def make(images: Any) -> Any:
        return (
            pyredund.Embedder("resnet18", None, weights=tmp_path / "weights.pt", device="cpu").embed(images).embeddings
        )

    similarities = make(grey) @ make(np.repeat(grey[..., None], 3, axis=3)).T
    assert similarities.diagonal().min() > 0.9995  # the three means and deviations differ a little, so that it is not 1


def test_imagenet_weights_come_from_the_cache_without_a_network(cache: Path) -> None:
    network = trained()
    torch.save(network.state_dict(), cache / CACHED)
    embedder = pyredund.Embedder("resnet18", None, weights="imagenet", device="cpu")
    np.testing.assert_allclose(embedder.embed(IMAGES).embeddings, expected_rows(network, IMAGES), atol=1e-5)
    tuned = pyredund.Embedder(weights="imagenet", device="cpu").fit(IMAGES, epochs=1)
    assert tuned.backbone == "resnet18"
    assert tuned.embed(IMAGES).embeddings.shape == (4, 64)


def test_imagenet_weights_that_cannot_be_had_say_what_to_do(cache: Path) -> None:
    with pytest.raises(ConnectionError) as caught:
        pyredund.Embedder("resnet18", weights="imagenet", device="cpu").embed(IMAGES)
    for part in (
        "for resnet18",
        str(cache),
        f"https://download.pytorch.org/models/{CACHED}",
        "no route",
        "pass weights=",
    ):
        assert part in str(caught.value)


def test_nothing_is_unpickled(cache: Path, tmp_path: Path) -> None:
    for path in (cache / CACHED, tmp_path / "weights.pt"):
        torch.save({"fc.weight": Trap()}, path)
        assert b"touch" in path.read_bytes()
    (tmp_path / "weights.pickle").write_bytes(pickle.dumps({"fc.weight": Trap()}, protocol=2))
    for weights, message in (
        ("imagenet", "hold more than tensors"),
        (tmp_path / "weights.pt", "cannot be read as such"),
        (tmp_path / "weights.pickle", "cannot be read as such"),
    ):
        with pytest.raises(ValueError, match=message):
            pyredund.Embedder("resnet18", weights=weights, device="cpu").embed(IMAGES)
    assert not Path("sprung").exists()


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = trained().state_dict()
    path = tmp_path / "weights.safetensors"

    def make() -> Any:
        return pyredund.Embedder("resnet18", weights=path, device="cpu").embed(IMAGES)

    with pytest.raises(FileNotFoundError, match="'imagenet' or a file that exists"):
        make()
    safetensors.save_file({name: value for name, value in state.items() if name != "conv1.weight"}, path)
    with pytest.raises(ValueError, match=r"those of resnet18; they lack conv1\.weight"):
        make()
    safetensors.save_file({**state, "fc.weight": torch.zeros(5, 512)}, path)  # of other classes: never looked at
    assert make().embeddings.shape == (4, 64)
    safetensors.save_file({**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
    with pytest.raises(ValueError, match=r"another shape for conv1\.weight"):
        make()
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="weights must be tensors by name"):
        make()
