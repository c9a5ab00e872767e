"""Measurements in a file, line by line, so that what was measured once survives an interruption."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund


class Journal:
    """Results by key, in memory or in a file of JSON lines; the latest of a key counts.

    Parameters
    ----------
    path : Path, optional
        The file; what it holds is not measured again. Default: none.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                try:
                    entry = json.loads(line)
                    self.entries[entry["key"]] = entry["found"]
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"journal {path}, line {number}, is none of this command's") from None

    def get(self, key: str) -> dict[str, Any] | None:
        """What was found, or None."""
        return self.entries.get(key)

    def put(self, key: str, found: dict[str, Any]) -> None:
        """Remember it, and write it down at once."""
        self.entries[key] = found
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "found": found}) + "\n")


def fingerprint(*arrays: NDArray[Any] | None) -> str:
    """Sixteen digits that differ where arrays or versions differ."""
    digest = hashlib.blake2b(pyredund.__version__.encode(), digest_size=8)
    for array in arrays:
        digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()
