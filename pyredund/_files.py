"""Files that are complete or absent, and that are never unpickled."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


@contextmanager
def written_whole(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write into that takes its name only when the block ends without an exception."""
    import tempfile  # not at the top: it takes a tenth of the package's import time

    target = Path(path)
    descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)  # mkstemp leaves the file to its owner alone
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def save_arrays(path: str | PathLike[str], kind: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays to an .npz file that says what it holds."""
    with written_whole(path) as file:
        np.savez(file, kind=np.array(f"pyredund.{kind}"), allow_pickle=False, **arrays)


def load_arrays(path: str | PathLike[str], kind: str, names: list[str]) -> dict[str, NDArray[Any]]:
    """Read the named arrays of a file that `save_arrays` wrote for the same kind of object."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, AttributeError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(
            f"path must name a file written by {kind}.save, and {os.fspath(path)} is none: {error}"
        ) from None
    found = str(arrays.get("kind", "something else"))
    if found != f"pyredund.{kind}" or not set(names) <= set(arrays):
        raise ValueError(f"path must name a file written by {kind}.save; {os.fspath(path)} holds {found}")
    return arrays
