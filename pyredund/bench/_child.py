"""What a process of its own does for `run_alone`: one job, timed, with the memory that it takes."""

from __future__ import annotations

import gc
import importlib
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

WARM_ROWS = 300
ENOUGH = 1.0  # second, after which a job is not repeated
ROUNDS = 5
STATUS = Path("/proc/self/status")


def main(folder: Path) -> None:
    """Do the job in `folder`, and leave there what it returned and what it took."""
    job = json.loads((folder / "job.json").read_text())
    # Up to here everything is small: imports and a first call come before the clock, as in any process at work.
    function = getattr(importlib.import_module(job["module"]), job["function"])
    rows = np.array(np.load(job["rows"], mmap_mode="r", allow_pickle=False)[: job["n_rows"]])
    groups = None if job["groups"] is None else np.load(job["groups"], allow_pickle=False)[: job["n_rows"]]
    warm = min(len(rows), WARM_ROWS)
    labels = None if groups is None else groups[:warm]
    n_warm = max(round(job["n"] * warm / len(rows)), 1 if labels is None else len(np.unique(labels)))
    function(rows[:warm], n_warm, labels, job["n_threads"], **job["options"])
    gc.collect()
    if job["memory_limit"] is not None:
        limit = resident("VmData") + job["memory_limit"]
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    (folder / "ready").touch()

    before = start_of_peak()
    seconds: list[float] = []
    extra = 0
    while not seconds or (sum(seconds) < ENOUGH and len(seconds) < ROUNDS):
        result: Any = None  # that of the round before must not count
        begin = time.perf_counter()
        result = function(rows, job["n"], groups, job["n_threads"], **job["options"])
        seconds.append(time.perf_counter() - begin)
        if len(seconds) == 1:
            extra = max(0, resident("VmHWM") - before)
    np.save(folder / "result.npy", result)
    (folder / "outcome.json").write_text(json.dumps({"seconds": statistics.median(seconds), "extra_bytes": extra}))


def start_of_peak() -> int:
    """Resident bytes, from which on VmHWM is the peak."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # what imports took for a moment is no part of the job
    except OSError:
        return resident("VmHWM")
    return resident("VmRSS")


def resident(field: str) -> int:
    """Bytes that the system counts for this process; outside of Linux, its peak, or 0 for what has no peak."""
    if not STATUS.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return 0 if field == "VmData" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    # not getrusage: Linux carries ru_maxrss over from the parent, which has long been larger
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
