"""Digits as image files, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyredund._digits import digits


def digit_pixels(n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = digits()
    return (images[:n] * 15).astype(np.uint8), labels[:n]


def write_digits(folder: Path, n: int) -> NDArray[np.uint8]:
    from PIL import Image

    pixels, _ = digit_pixels(n)
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:04d}.png")
    return pixels


def spoil(folder: Path) -> dict[str, str]:
    """Damage files in five ways; a word of the reason expected for each name."""
    from PIL import Image

    (folder / "0003.png").write_bytes(b"")
    whole = (folder / "0005.png").read_bytes()
    (folder / "0005.png").write_bytes(whole[: len(whole) // 2])
    (folder / "0007.png").write_text("no image at all")
    Image.new("L", (400, 400)).save(folder / "0009.png")  # more than max_pixels of the tests
    (folder / "notes.txt").write_text("about these images")
    return {
        "0003.png": "empty",
        "0005.png": "decoded",
        "0007.png": "no image",
        "0009.png": "160000",
        "notes.txt": "ending",
    }
