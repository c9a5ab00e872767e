"""Where results come from: machine, versions, commit, command."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyredund.bench._machine import processor


def git(*arguments: str) -> str:
    """What git says here; "unknown" outside of a clone."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def origin(device: str, threads: int, command: str) -> dict[str, Any]:
    """What every result says about how it came about.

    The commit is marked as dirty where files have been changed since. "program" is git's name of what this folder
    holds, which stays the same when commits are moved.
    """
    import torch

    from benchmarks.fashion_mnist.network import device_named

    place = device_named(device)
    on_gpu = place.type == "cuda"
    return {
        "machine": torch.cuda.get_device_name(place) if on_gpu else processor(),
        "threads": threads,
        "precision": "bfloat16 autocast" if on_gpu else "float32",
        "torch": version("torch"),
        "commit": os.environ.get("PYREDUND_COMMIT") or git("describe", "--always", "--dirty", "--exclude=*"),
        "program": git("rev-parse", "--short=12", "HEAD:./"),
        "command": command,
    }
