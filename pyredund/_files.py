"""Files that are complete or absent, and that are never unpickled."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

ENDINGS_OF_OTHERS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".npy", ".parquet")  # which promise text, or one array


@contextmanager
def written_whole(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write into that takes its name only when the block ends without an exception."""
    _check_path(path)
    target = Path(os.path.realpath(path))  # a link keeps pointing to what is written
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that exists: there is no folder {target.parent}")
    if target.is_dir():
        raise IsADirectoryError(f"path must be the name of a file, and {target} is a folder")
    # A long name leaves no room for more, and half of it is as good.
    beside = target.with_name(f".{target.name[: len(target.name) // 2]}.{os.getpid()}-{threading.get_ident():x}.part")
    try:
        with open(beside, "xb") as file:
            yield file
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def save_arrays(path: str | PathLike[str], kind: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays to an .npz file that says what it holds.

    Raises
    ------
    ValueError
        If `path` ends like a file of another kind.
    """
    _check_path(path)
    if Path(os.fsdecode(path)).suffix.lower() in ENDINGS_OF_OTHERS:
        others = ", ".join(ENDINGS_OF_OTHERS)
        message = f"path must end in .npz, or at least in none of {others}, got {os.fsdecode(path)}"
        raise ValueError(f"{message}: {kind}.save writes an archive of all arrays")
    with written_whole(path) as file:
        np.savez(file, kind=np.array(f"pyredund.{kind}"), **arrays)


def load_arrays(path: str | PathLike[str], kind: str, names: list[str]) -> dict[str, NDArray[Any]]:
    """Read the named arrays of a file that `save_arrays` wrote for the same kind of object."""
    _check_path(path)
    meant = f"path must name a file written by {kind}.save"
    try:
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "path must name a file that exists", os.fspath(path)) from None
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{meant}, and {os.fspath(path)} is none: {error}") from None
    found = str(arrays.get("kind", "something else"))
    if found != f"pyredund.{kind}":
        raise ValueError(f"{meant}; {os.fspath(path)} holds {found}")
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise ValueError(f"{meant}; {os.fspath(path)} lacks {', '.join(missing)}")
    return arrays


def _check_path(path: object) -> None:
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"path must be a string or a path, got {path!r} of type {type(path).__name__}")
    if not os.fspath(path) or "\0" in os.fsdecode(path):
        raise ValueError(f"path must be the name of a file, got {os.fspath(path)!r}")


@contextmanager
def naming(path: str | PathLike[str], kind: str) -> Iterator[None]:
    """Errors about the contents of a file, raised with the file's name."""
    try:
        yield
    except (TypeError, ValueError) as error:
        message = f"path must name a file written by {kind}.save; what {os.fspath(path)} holds does not fit: {error}"
        raise ValueError(message) from None
