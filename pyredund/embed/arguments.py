"""Checks of arguments that several methods of Embedder share."""

from __future__ import annotations

import math
from typing import Any

import torch

from pyredund._checks import check_choice
from pyredund.embed.images import Skipped


def device_named(device: str) -> Any:
    """The device of torch that a name stands for."""
    if not isinstance(device, str):
        raise TypeError(f"device must be a string such as 'cpu' or 'cuda', got {type(device).__name__}")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    check_choice("device", kind, ["auto", "cpu", "cuda"])
    if kind == "cuda" and (not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count()):
        raise ValueError(
            f"device must be 'cpu' or 'auto', got {device!r}: torch finds {torch.cuda.device_count()} GPUs"
        )
    return torch.device(device)


def check_positive(name: str, value: object) -> None:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value}")


def raise_first(skipped: list[Skipped], on_error: str) -> None:
    """Refuse the first unreadable image where the user wants none skipped."""
    if skipped and on_error == "raise":
        raise ValueError(f"{skipped[0].id}: {skipped[0].reason} (on_error='skip' goes on without it)")
