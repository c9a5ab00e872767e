"""Arrays that take long to make, kept beside the project under a name that says what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund._files import written_whole

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "fashion_mnist"


def kept(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Read the array of that name, or make it and keep it: complete or absent, whatever interrupts."""
    path = FOLDER / f"{name}.npy"
    if not path.is_file():
        made = make()
        FOLDER.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            np.save(file, made)
    found: NDArray[Any] = np.load(path, allow_pickle=False)
    return found
