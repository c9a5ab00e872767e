"""What memory there is, and a sentence instead of a killed process when a computation would not fit."""

from __future__ import annotations

from pathlib import Path

from pyredund._checks import check_int

MARGIN = 256 << 20  # left to the rest of the process


def available_memory() -> int | None:
    """Bytes that this process may still take: what the machine has, capped by its control group; None if unknown."""
    limits = [limit for limit in (_machine_available(), _cgroup_available()) if limit is not None]
    return min(limits) if limits else None


def memory_limit(max_memory: int | None) -> int:
    """Bytes that a call may take."""
    if max_memory is not None:
        return max_memory
    available = available_memory()
    return max(0, available - MARGIN) if available is not None else 1 << 62


def check_memory(what: str, wanted: int, max_memory: int | None) -> None:
    """Raise MemoryError when `wanted` bytes exceed `max_memory` or what the machine has left, less a margin."""
    if max_memory is not None:
        max_memory = check_int("max_memory", max_memory, at_least=1)
    if wanted > memory_limit(max_memory):
        raise too_little(what, wanted, max_memory)


def too_little(what: str, wanted: int, max_memory: int | None) -> MemoryError:
    """The error that says that there is less memory than is wanted."""
    if max_memory is not None:
        return MemoryError(f"{what} would take {readable(wanted)}, more than max_memory={max_memory}")
    left = readable(memory_limit(None))
    return MemoryError(
        f"{what} would take {readable(wanted)}, more than the {left} that this machine has left (with a margin of "
        f"{readable(MARGIN)})"
    )


def readable(size: int) -> str:
    """A number of bytes for people."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _machine_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup_available() -> int | None:
    try:  # version 2; pages of the file cache are given back when memory is wanted
        base = Path("/sys/fs/cgroup")
        limit = int((base / "memory.max").read_text())
        statistics = dict(line.split() for line in (base / "memory.stat").read_text().splitlines())
        return limit - int((base / "memory.current").read_text()) + int(statistics.get("inactive_file", 0))
    except (OSError, ValueError):  # no version 2, or "max": no limit
        return None
