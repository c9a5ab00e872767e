"""Weights that somebody else has trained, from torchvision or from a file; nothing is unpickled into objects."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file


def imagenet_weights(name: str) -> dict[str, Any]:
    """Weights of a torchvision network trained on ImageNet, from torch's cache or by download.

    Raises
    ------
    ConnectionError
        If they are not in the cache and cannot be downloaded; the message says from where, and what to do instead.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # torch.hub announces its downloads there
            state = weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(f"weights='imagenet' for {name} in {folder} hold more than tensors: {error}") from None
    except (OSError, RuntimeError) as error:  # no network, no such page, a broken file
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ConnectionError(
            f"weights='imagenet' for {name} are not in {folder} and could not be downloaded from {weights.url} "
            f"({error}); fetch that file elsewhere and pass weights='its path', or put it into that folder"
        ) from error
    return dict(state)


def weights_from(path: Path) -> dict[str, Any]:
    """Weights by name from a .safetensors file, or from one that torch.save wrote, read with ``weights_only=True``.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights must be 'imagenet' or a file that exists, there is no {path}")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"weights must be tensors by name; {path} cannot be read as such: {error}") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"weights must be tensors by name, {path} holds something else")
    return state
