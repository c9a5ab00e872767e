"""Row numbers from files: .txt with one a line, as `pyredund` writes them, and .npy. Nothing is unpickled."""

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
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)}")
    if ending == ".npy":
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)  # refuses what np.load would take for an archive or a pickle
            numbers = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} cannot be read as .npy: {error}") from None
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise ValueError(f"{path} must hold row numbers, got {numbers.dtype} of shape {numbers.shape}")
        return np.asarray(numbers)
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as .txt: {error}") from None
    for at, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise ValueError(f"{path}, line {at}: {text[:40]!r} is no row number")
        found.append(int(text))
    return np.array(found, dtype=np.int64)
