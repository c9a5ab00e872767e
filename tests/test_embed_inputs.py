"""Images of every kind that people have: what is read from them, and what is said where nothing can be."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import digit_pixels, spoil, write_digits

import pyredund

torch: Any = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402

from pyredund.embed import build  # noqa: E402
from pyredund.embed.decode import MAX_PIXELS, Unreadable, quietly, read_file, shape_of_file  # noqa: E402
from pyredund.embed.network import HEADS  # noqa: E402

GREY = (np.arange(6 * 9).reshape(6, 9) * 4).astype(np.uint8)  # every pixel another, no side like the other
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def read(path: Path) -> Any:
    height, width, channels = shape_of_file(str(path), MAX_PIXELS)
    pixels = read_file(str(path), (height, width), channels, MAX_PIXELS)
    return pixels[:, :, 0] if channels == 1 else pixels


def small(**arguments: Any) -> Any:
    return pyredund.Embedder(dim=16, device="cpu", **arguments)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, GREY), (2, GREY[:, ::-1]), (3, GREY[::-1, ::-1]), (6, np.rot90(GREY, -1)), (8, np.rot90(GREY))],
)
def test_images_are_turned_as_their_exif_says(tmp_path: Path, orientation: int, turned: Any, deep: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = GREY.astype(np.uint16) * 257 if deep else GREY
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), turned)


def test_modes_of_files_give_the_same_picture(tmp_path: Path) -> None:
    opaque = np.full((*GREY.shape, 1), 255, np.uint8)
    palette = Image.fromarray(COLOUR).quantize(256, kmeans=0)
    files = {
        "grey.png": (Image.fromarray(GREY), GREY),
        "grey16.png": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
        "grey16.tif": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
        "alpha.png": (Image.fromarray(np.concatenate([GREY[..., None], opaque], axis=2)), GREY),
        "bits.png": (Image.fromarray(GREY > 100), np.where(GREY > 100, 255, 0)),
        "rgb.bmp": (Image.fromarray(COLOUR), COLOUR),
        "rgba.webp": (Image.fromarray(np.concatenate([COLOUR, opaque], axis=2)), COLOUR),
        "cmyk.tif": (Image.fromarray(COLOUR).convert("CMYK"), COLOUR),
        "palette.png": (palette, np.asarray(palette.convert("RGB"))),
        "palette.gif": (palette, np.asarray(palette.convert("RGB"))),
    }
    for name, (image, expected) in files.items():
        image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
        np.testing.assert_array_equal(read(tmp_path / name), expected, err_msg=name)


def claiming(width: int, height: int) -> bytes:
    """A PNG whose head claims a size, and that holds no pixel."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("pixelless.png", claiming(8, 8), "cannot be decoded"),
        ("large.png", claiming(20_000, 8_000), "20000 x 8000 = 160000000 pixels, more than max_pixels=100000000"),
        ("bomb.png", claiming(1_000_000, 1_000_000), "decompression bomb"),
        ("headless.png", claiming(8, 8)[:20], "cannot be decoded|no image"),
        ("empty.png", b"", "0 bytes"),
        ("vector.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image of an allowed format"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "no image of an allowed format"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(".png") else "",
)
def test_what_is_no_image_says_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with quietly(), pytest.raises(Unreadable, match=reason):
        read_file(str(tmp_path / name), (8, 8), 1, MAX_PIXELS)


def test_floats_of_unknown_range_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="floats of unknown range"):
        read_file(str(tmp_path / "a.tif"), (4, 4), 1, MAX_PIXELS)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(Unreadable, match="no regular file"):
        read_file(str(tmp_path / "b.png"), (4, 4), 1, MAX_PIXELS)
    with pytest.raises(Unreadable, match="no such file"):
        read_file(str(tmp_path / "c.png"), (4, 4), 1, MAX_PIXELS)


class Digits(torch.utils.data.Dataset[Any]):  # type: ignore[misc,unused-ignore]
    """As a data set of the user's: an image and its class, and one item that cannot be read."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        if index == 4:
            raise OSError("the disk has gone")
        pixels, labels = digit_pixels(30)
        return Image.fromarray(pixels[index]), int(labels[index])


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_the_rows_of_their_data_set(workers: int) -> None:
    embedder = small().fit(Digits(), epochs=1)
    assert [(skipped.id, skipped.reason) for skipped in embedder.skipped] == [
        (4, "reading it raised OSError: the disk has gone")
    ]
    pixels = digit_pixels(30)[0]
    rows = [index for index in range(30) if index != 4]
    loader = torch.utils.data.DataLoader(Digits(), batch_size=7, shuffle=True, num_workers=workers)
    found = embedder.embed(loader)
    assert found.ids.tolist() == rows
    np.testing.assert_allclose(found.embeddings, embedder.embed(pixels[rows]).embeddings, atol=1e-6)
    with pytest.raises(ValueError, match=r"^4: reading it raised OSError"):
        embedder.embed(loader, on_error="raise")
    with pytest.raises(ValueError, match=r"^4: reading it raised OSError"):
        small().fit(loader, epochs=1, on_error="raise")
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(pixels)[:, None].float() / 255, torch.arange(30))
    np.testing.assert_allclose(embedder.embed(tensors).embeddings, embedder.embed(pixels).embeddings, atol=1e-6)


class Stream(torch.utils.data.IterableDataset[Any]):  # type: ignore[misc,unused-ignore]
    def __iter__(self) -> Any:
        return iter(digit_pixels(5)[0])


def test_loaders_whose_rows_would_not_line_up_are_refused() -> None:
    pixels = digit_pixels(20)[0]
    data = torch.utils.data
    for loader, message in [
        (data.DataLoader(Stream()), "IterableDataset has no ids"),
        (data.DataLoader(pixels, sampler=data.SubsetRandomSampler(range(5))), "SubsetRandomSampler"),
        (data.DataLoader(pixels, batch_sampler=[[0, 1], [5, 6]]), "it has a list"),
        (data.DataLoader(pixels, sampler=data.RandomSampler(pixels, replacement=True)), "RandomSampler"),
    ]:
        with pytest.raises(ValueError, match=message):
            small().fit(loader, epochs=1)


@pytest.mark.parametrize("side", [8, 13, 64, 65, 200, 512])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_small_network_takes_every_size(side: int, channels: int) -> None:
    shape = (4, side, side + side // 4, channels)
    images = np.random.default_rng(side).integers(256, size=shape, dtype=np.uint8)
    embedder = small().fit(images, epochs=1)
    found = embedder.embed(images)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-6)
    assert max(embedder.shape[0]) == min(side + side // 4, 224)


@pytest.mark.parametrize("name", [name for name in HEADS if name not in ("resnet34", "resnet50", "resnet101")])
def test_networks_of_torchvision_take_the_smallest_grey_images(name: str) -> None:
    images = np.random.default_rng(0).integers(256, size=(4, 8, 8), dtype=np.uint8)
    assert pyredund.Embedder(name, 8, device="cpu").fit(images, epochs=0).embed(images).embeddings.shape == (4, 8)


def test_a_second_fit_looks_at_the_images_again() -> None:
    embedder = small().fit(np.zeros((4, 8, 8), np.uint8), epochs=0)
    embedder.fit(np.zeros((4, 16, 12, 3), np.uint8), epochs=0)
    assert embedder.shape == ((16, 12), 3)


def test_images_too_many_to_keep_are_read_in_each_epoch_and_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_digits(tmp_path, 40)
    kept = small().fit(tmp_path, epochs=2, batch=10)
    monkeypatch.setattr(build, "CACHED", 0)
    assert small().fit(tmp_path, epochs=2, batch=10).losses == kept.losses
    expected = spoil(tmp_path)
    found = small(max_pixels=100_000).fit(tmp_path, epochs=2, batch=10)
    assert sorted(str(skipped.id) for skipped in found.skipped) == sorted(expected)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(ValueError, match=r"^000[3579]\.png: "):
        small(max_pixels=100_000).fit(tmp_path, epochs=1, on_error="raise")
