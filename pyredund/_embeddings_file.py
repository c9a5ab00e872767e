"""Embeddings from files: .npy (mapped, not read), .npz and .csv. Nothing is unpickled."""

from __future__ import annotations

import csv
import zipfile
import zlib
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENDINGS = (".npy", ".npz", ".csv")
NO_COORDINATES = ("", "id", "index", "row", "label", "class", "target")
FEW_ROWS = 10  # that may count by chance


def read_embeddings(path: Path, array: str | None = None) -> NDArray[Any]:
    """The array in a file; its ending says how to read it.

    Parameters
    ----------
    path : Path
        File that ends in one of `ENDINGS`.
    array : str, optional
        Name of the array in an .npz file; needed where it holds several.

    Raises
    ------
    ValueError
        If the file cannot be read as what its ending says. The message names the file, and for .csv the line.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)}")
    if array is not None and ending != ".npz":
        raise ValueError(f"an array can be named for .npz files only, and {path} is none")
    if ending == ".csv":
        return _read_csv(path)
    try:
        return _read_npz(path, array) if ending == ".npz" else _map_npy(path)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as {ending}: {error}") from None


def _map_npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)  # refuses what np.load would take for an archive or a pickle
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _read_npz(path: Path, name: str | None) -> NDArray[Any]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip archive")
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        listed = ", ".join(names) or "none"
        if name is None and len(names) != 1:
            raise ValueError(f"it holds {len(names)} arrays; name the one to read with --array NAME ({listed})")
        if name is not None and name not in names:
            raise ValueError(f"it holds no array named {name!r}; there are: {listed}")
        array = archive[name or names[0]]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name or names[0]!r} in it is no array")
        return array


def _read_csv(path: Path) -> NDArray[np.float64]:
    try:
        first_line, first = _first_row(path)
        header = not any(_is_number(field) for field in first)
        if header:
            _check_names(path, first)
        else:
            _check_first(path, first_line, first)
        skipped = first_line if header else 0
        with path.open(encoding="utf-8-sig", newline="") as file:
            if not any(line.strip() for line in islice(file, skipped, None)):
                raise ValueError(f"{path} holds no numbers below its header line")
        options: dict[str, Any] = {
            "delimiter": ",",
            "quotechar": '"',
            "comments": None,
            "encoding": "utf-8-sig",
        }
        try:
            rows: NDArray[np.float64] = np.loadtxt(path, dtype=np.float64, ndmin=2, skiprows=skipped, **options)
        except ValueError as error:
            _explain(path, skipped, error)
            raise
        _check_counting(path, rows)
        return rows
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as .csv: it is no UTF-8 text ({error.reason})") from None


def _first_row(path: Path) -> tuple[int, list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for fields in reader:
            if fields:
                return reader.line_num, fields
    raise ValueError(f"{path} is empty")


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse a column that its name says is no coordinate: its numbers would drown the others."""
    for column, name in enumerate(names, start=1):
        plain = name.strip().lower()
        if plain in NO_COORDINATES or plain.endswith("_id") or plain.startswith("unnamed:"):
            raise ValueError(
                f"{path}, column {column} is named {name.strip()!r}, and every column is taken for a coordinate: leave "
                f"it out (rows are numbered from 0), or rename it if it is one"
            )


def _check_counting(path: Path, rows: NDArray[np.float64]) -> None:
    """Refuse a column that numbers the rows: whole numbers, no two of them equal, where other columns have others."""
    if len(rows) < FEW_ROWS or rows.shape[1] < 2:
        return
    with np.errstate(invalid="ignore", over="ignore"):  # that numbers are not finite is said elsewhere
        whole = [column for column in range(rows.shape[1]) if (rows[:, column] == np.floor(rows[:, column])).all()]
        steps = [np.diff(rows[:, column]) for column in whole]
    for column, step in zip(whole, steps, strict=True):
        numbers = rows[:, column]
        is_count = bool((step == 1).all())
        if is_count or (len(whole) < rows.shape[1] and len(np.unique(numbers)) == len(numbers)):
            raise ValueError(
                f"{path}, column {column + 1} has another whole number in every row ({numbers[0]:.0f}, "
                f"{numbers[1]:.0f}, ...), and every column is taken for a coordinate: leave row numbers out, rows are "
                f"numbered from 0 (numbers that are coordinates all the same can come as .npy)"
            )


def _check_first(path: Path, line: int, fields: list[str]) -> None:
    """Refuse a line that may be data or column names: guessing wrong would shift every row number by one."""
    for column, field in enumerate(fields, start=1):
        if not _is_number(field):
            raise ValueError(
                f"{path}, line {line}, column {column}: {field!r} is not a number, though others in the line are. "
                f"Every column must hold numbers (no index, no names); a header line must hold none"
            )
    if len(fields) > 2 and fields == [str(column) for column in range(len(fields))]:
        raise ValueError(
            f"{path}, line {line} counts 0, 1, 2, ... and may be column names: if so, delete it; if it is data, "
            f"write its first number as 0.0"
        )


def _explain(path: Path, skipped: int, error: ValueError) -> None:
    """Find the line that NumPy, which counts rows and not lines, could not read."""
    width = None
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for fields in reader:
            if not fields or reader.line_num <= skipped:
                continue
            where = f"{path}, line {reader.line_num}"
            for column, field in enumerate(fields, start=1):
                if not _is_number(field):
                    raise ValueError(
                        f"{where}, column {column}: {_shown(field)} is not a number (columns are separated by commas; "
                        f"no index, no names)"
                    ) from error
            if width is not None and len(fields) != width:
                raise ValueError(f"{where} has {len(fields)} numbers, the lines above have {width}") from error
            width = len(fields)


def _shown(field: str) -> str:
    return repr(field if len(field) <= 40 else field[:37] + "...")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
