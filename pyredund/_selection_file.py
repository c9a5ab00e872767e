"""A selection as a file: .txt and .npy hold the kept rows, .csv one line for every row, .json everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pyredund._files import written_whole

if TYPE_CHECKING:
    from pyredund import Selection

ENDINGS = (".txt", ".npy", ".csv", ".json")
LINES_AT_ONCE = 1 << 16


def write_selection(path: Path, selection: Selection, summary: Mapping[str, Any]) -> None:
    """Write a selection in the form that the file's ending asks for; the file appears only when complete.

    Parameters
    ----------
    path : Path
        File that ends in one of `ENDINGS`. An existing one is replaced.
    selection : Selection
        What was kept, and what for.
    summary : mapping
        Counts and parameters, for .json.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)}")
    with written_whole(path) as file:
        if ending == ".txt":
            file.write(kept_lines(selection).encode())
        elif ending == ".npy":
            np.save(file, selection.indices, allow_pickle=False)
        elif ending == ".csv":
            _write_csv(file, selection)
        else:
            file.write((json.dumps(document(selection, summary), indent=1) + "\n").encode())


def kept_lines(selection: Selection) -> str:
    """Kept rows, one number a line."""
    return "".join(f"{row}\n" for row in selection.indices.tolist())


def summarize(selection: Selection, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, similarity of the removed rows to their representatives, and the parameters, for json."""
    similarities = selection.similarities[selection.removed].astype(np.float64)
    removed = len(similarities)
    return {
        "counts": {"rows": len(selection.mask), "kept": len(selection.indices), "removed": removed},
        "removed_similarity": {
            "mean": float(similarities.mean()) if removed else None,
            "min": float(similarities.min()) if removed else None,
        },
        "parameters": dict(parameters),
    }


def document(selection: Selection, summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary, the kept rows, and the removed ones in the order in which they went, for json."""
    removed = selection.removed
    representatives = selection.representatives[removed].tolist()
    rows = zip(removed.tolist(), representatives, _shortest(selection.similarities[removed]), strict=True)
    return {
        **summary,
        "kept": selection.indices.tolist(),
        "removed": [
            {"row": row, "representative": representative, "similarity": float(similarity)}
            for row, representative, similarity in rows
        ],
    }


def _write_csv(file: IO[bytes], selection: Selection) -> None:
    file.write(b"row,kept,representative,similarity\n")
    for start in range(0, len(selection.mask), LINES_AT_ONCE):
        part = slice(start, start + LINES_AT_ONCE)
        columns = zip(
            selection.mask[part].tolist(),
            selection.representatives[part].tolist(),
            _shortest(selection.similarities[part]),
            strict=True,
        )
        lines = (
            f"{row},{int(kept)},{representative},{similarity}\n"
            for row, (kept, representative, similarity) in enumerate(columns, start=start)
        )
        file.write("".join(lines).encode())


def _shortest(similarities: np.ndarray[Any, np.dtype[np.float32]]) -> list[str]:
    """The fewest digits that give the same float32 again."""
    return [np.format_float_positional(similarity, unique=True, trim="0") for similarity in similarities]
