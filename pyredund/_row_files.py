"""Row numbers and labels from files: .txt with one a line, and .npy. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENDINGS = (".txt", ".npy")


def read_row_numbers(path: Path) -> NDArray[Any]:
    """The row numbers in a file; its ending says how to read it.

    Parameters
    ----------
    path : Path
        File that ends in one of `ENDINGS`.

    Raises
    ------
    ValueError
        If the file cannot be read as what its ending says. The message names the file, and for .txt the line.
    """
    if _ending(path) == ".npy":
        return _read_npy(path, "row numbers", "iu")
    found = []
    for at, line in enumerate(_read_lines(path), start=1):
        text = line.strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise ValueError(f"{path}, line {at}: {text[:40]!r} is no row number")
        found.append(int(text))
    return np.array(found, dtype=np.int64)


def read_labels(path: Path) -> NDArray[Any]:
    """The label of each row in a file: line i of .txt, without the space around it, or entry i of .npy.

    Parameters
    ----------
    path : Path
        File that ends in one of `ENDINGS`.

    Raises
    ------
    ValueError
        If the file cannot be read as what its ending says, or a line is empty.
    """
    if _ending(path) == ".npy":
        return _read_npy(path, "labels", "iubfU")
    labels = [line.strip() for line in _read_lines(path)]
    if "" in labels:
        raise ValueError(f"{path}, line {labels.index('') + 1}: is empty, where there should be a label")
    return np.array(labels, dtype=np.str_)


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)}")
    return ending


def _read_npy(path: Path, what: str, kinds: str) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)  # refuses what np.load would take for an archive or a pickle
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as .npy: {error}") from None
    if values.ndim != 1 or values.dtype.kind not in kinds:
        raise ValueError(f"{path} must hold {what}, got {values.dtype} of shape {values.shape}")
    return np.asarray(values)


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte-order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as .txt: {error}") from None
    return text.removesuffix("\n").split("\n") if text else []
