"""Networks and training states on disk: safetensors with JSON in their head, whole or absent, never unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pyredund._files import written_whole

HEAD = "pyredund"


def write_tensors(path: Path, kind: str, tensors: dict[str, Any], settings: dict[str, Any]) -> None:
    """Write tensors and what they belong to into one file, which takes its name when it is complete."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with written_whole(path) as file:
        file.write(save(plain, {HEAD: json.dumps({"kind": kind, **settings})}))


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and settings of a file that `write_tensors` wrote for the same kind.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {}).get(HEAD, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from None
    if settings.pop("kind", None) != kind:
        raise ValueError(f"{path} holds no {kind} of pyredund")
    return tensors, settings
