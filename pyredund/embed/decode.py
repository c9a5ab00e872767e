"""One image file as pixels, or the reason why not. Nothing here needs torch, so that worker processes start fast."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # Pillow has 40 more, some of them seldom looked after
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
MAX_PIXELS = 100_000_000
GREY_MODES = ("1", "L", "LA", "La", "I", "F")


class Unreadable(ValueError):
    """Why one image cannot be read; the message needs the image's name in front."""


def read_file(path: str, size: tuple[int, int], channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a file: (height, width, channels), turned as its EXIF says, resized to `size` (height, width).

    Raises
    ------
    Unreadable
        If it is missing, empty, no image of `FORMATS`, damaged, or has more than `max_pixels` pixels.
    """
    with opened(path, max_pixels) as image:
        # A JPEG can be decoded at a half, a quarter or an eighth for a fraction of the time.
        image.draft(None, (2 * max(size), 2 * max(size)))
        return pixels_of(image, size, channels)


def shape_of_file(path: str, max_pixels: int) -> tuple[int, int, int]:
    """Height, width and channels (1 or 3) from the head of a file, without decoding it."""
    with opened(path, max_pixels) as image:
        return shape_of(image)


def shape_of(image: Image.Image) -> tuple[int, int, int]:
    """Height, width and channels (1 or 3) of an opened image, turned as its EXIF says."""
    width, height = image.size
    if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # a quarter turn
        width, height = height, width
    grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
    return height, width, 1 if grey else 3


def pixels_of(image: Image.Image, size: tuple[int, int] | None, channels: int) -> NDArray[np.uint8]:
    """Pixels of an opened image, (height, width, channels); `size` None leaves it as large as it is."""
    if image.mode == "F":
        raise Unreadable("its pixels are floats of unknown range")
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):  # 16 bits, for which convert would clip
        wide = np.asarray(turned).astype(np.int64)
        turned = Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
    plain = turned.convert("L" if channels == 1 else "RGB")
    if size is not None and plain.size != (size[1], size[0]):
        plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=3.0)
    found: NDArray[np.uint8] = np.asarray(plain)
    return found[:, :, np.newaxis] if channels == 1 else found


def resized(pixels: NDArray[np.uint8], size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Pixels (h, w, 1 or 3) with the size and the channels asked for."""
    if pixels.shape == (*size, channels):
        return pixels
    return pixels_of(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), size, channels)


@contextmanager
def opened(path: str, max_pixels: int) -> Iterator[Image.Image]:
    """An image whose head has been read and checked; what goes wrong inside of the block is `Unreadable` too."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is no regular file")
        if status.st_size == 0:
            raise Unreadable("it is empty (0 bytes)")
        with Image.open(path, formats=FORMATS) as image:
            pixels = image.size[0] * image.size[1]
            if pixels > max_pixels:
                raise Unreadable(
                    f"it has {image.size[0]} x {image.size[1]} = {pixels} pixels, more than max_pixels={max_pixels}"
                )
            yield image
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(f"it is no image of an allowed format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(f"Pillow takes it for a decompression bomb: {error}") from None
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except PermissionError:
        raise Unreadable("it may not be read (permission denied)") from None
    except Exception as error:  # Pillow's decoders raise whatever their parsers do: SyntaxError, struct.error, ...
        raise Unreadable(f"it cannot be decoded: {str(error) or type(error).__name__}") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings about odd files: what matters is raised, and reported by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pixels_of_item(item: Any) -> NDArray[np.uint8]:
    """One item of a data set as (h, w, 1 or 3) bytes; see `image_of_item` for what an item may be.

    Raises
    ------
    Unreadable
        If it is no image: the wrong type, shape or range.
    """
    image = image_of_item(item)
    if isinstance(image, Image.Image):
        return pixels_of(image, None, shape_of(image)[2])
    if hasattr(image, "detach"):  # a tensor of torch, channels first
        array = image.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    elif hasattr(image, "__array__"):
        array = np.asarray(image)
    else:
        raise Unreadable(f"it is a {type(image).__name__}, not an image: a Pillow image, an array or a tensor")
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise Unreadable(
            f"its shape is {array.shape}; an array must be (h, w), (h, w, 1) or (h, w, 3), a tensor (h, w), (1, h, w) "
            "or (3, h, w)"
        )
    return as_bytes(array)


def image_of_item(item: Any) -> Any:
    """The image in an item: itself, the first entry of a tuple, or an entry of a dict by a name in `KEYS`."""
    if isinstance(item, dict):
        for key in KEYS:
            if key in item:
                return item[key]
        raise Unreadable(f"it is a dict with the keys {', '.join(map(str, item))}; known are {', '.join(KEYS)}")
    if isinstance(item, (tuple, list)):
        if not item:
            raise Unreadable("it is an empty tuple")
        return item[0]
    return item


KEYS = ("image", "img", "pixel_values", "pixels", "x")


def as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes as they are; integers must lie in 0 to 255 and floats in 0 to 1."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind not in "fiu":
        raise Unreadable(f"its dtype is {pixels.dtype}; known are integers and floats")
    most = 1 if pixels.dtype.kind == "f" else 255
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if not (low >= 0 and high <= most):  # also where one of them is NaN
        kind = "floats" if most == 1 else "integers"
        raise Unreadable(f"its pixels are {kind} from {low:g} to {high:g}, and must lie between 0 and {most}")
    if most == 255:
        return pixels.astype(np.uint8)
    found: NDArray[np.uint8] = np.rint(pixels.astype(np.float32) * 255).astype(np.uint8)
    return found
