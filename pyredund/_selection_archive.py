"""A selection as an .npz file that holds all of it, its log included."""

from __future__ import annotations

from dataclasses import fields
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from pyredund._files import load_arrays, naming, save_arrays
from pyredund._insertion import InsertionHistory
from pyredund._removal import RemovalHistory

if TYPE_CHECKING:
    from pyredund import Selection

ARRAYS: dict[str, type[np.generic]] = {
    "indices": np.int64,
    "removed": np.int64,
    "mask": np.bool_,
    "representatives": np.int64,
    "similarities": np.float32,
    "picked": np.int64,
    "costs": np.float64,
    "gains": np.float64,
    "must_keep": np.int64,
    "groups": np.int64,
    "sample_weight": np.float64,
    "labels": np.int64,
}
REQUIRED = ("method", "k", "indices", "removed", "mask", "representatives", "similarities")
HISTORIES = {"removal": RemovalHistory, "insertion": InsertionHistory, "kcenter": InsertionHistory}


def write_archive(path: str | PathLike[str], selection: Selection) -> None:
    """Write a selection; the file appears only when complete."""
    arrays: dict[str, Any] = {name: getattr(selection, name) for name in ARRAYS if getattr(selection, name) is not None}
    arrays |= {"method": np.array(selection.method), "k": np.int64(-1 if selection.k is None else selection.k)}
    arrays |= {"n_reference": np.int64(selection.n_reference)}
    if selection.threshold is not None:
        arrays |= {"threshold": np.float64(selection.threshold)}
    if selection.linkage is not None:
        arrays |= {"linkage": np.array(selection.linkage)}
    if selection.refined:
        arrays |= {"refined": np.bool_(True)}
    history = selection._history
    if history is not None:
        arrays |= {f"history_{part.name}": getattr(history, part.name) for part in fields(history)}
    save_arrays(path, "Selection", arrays)


def read_archive(path: str | PathLike[str]) -> dict[str, Any]:
    """What `Selection` takes, by name; nothing in the file is unpickled."""
    arrays = load_arrays(path, "Selection", list(REQUIRED))
    with naming(path, "Selection"):
        method, k = str(arrays["method"]), int(arrays["k"])
        kind = HISTORIES.get(method) if "history_class_of" in arrays else None
        parts: dict[str, Any] = {part.name: arrays[f"history_{part.name}"] for part in fields(kind)} if kind else {}
        if "n_forced" in parts:
            parts["n_forced"] = int(parts["n_forced"])
        values: dict[str, Any] = {name: arrays.get(name) for name in ARRAYS}
        values |= {"method": method, "k": None if k < 0 else k, "_history": kind(**parts) if kind else None}
        values |= {"threshold": float(arrays["threshold"]) if "threshold" in arrays else None}
        values |= {"linkage": str(arrays["linkage"]) if "linkage" in arrays else None}
        values |= {"refined": bool(arrays.get("refined", False))}
        return values | {"n_reference": int(arrays.get("n_reference", 0))}
