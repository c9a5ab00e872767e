"""Section of the report on memory: the peak of `select`, each case in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import pyredund
from benchmarks.claims import Claim, print_table
from benchmarks.datasets import TITLES, embeddings, isotropic_noise, row_limit

K = 32  # of select's graph
ALLOWANCE = 256 << 20
LARGE_ROWS = 200_000
MIB = 1 << 20


def report_memory() -> list[Claim]:
    """Peak memory of `select` against the promise: input + 2 n d 4 bytes + graph + 256 MiB."""
    cases = {}
    try:
        cases[TITLES["pca64"]] = embeddings("pca64")
    except FileNotFoundError as error:
        print(f"\n{error}")
    cases[TITLES["noise"]] = isotropic_noise(min(LARGE_ROWS, row_limit()), 64, seed=0)
    table, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for title, rows in cases.items():
            path = Path(folder) / "rows.npy"
            np.save(path, rows)
            before, peak = _measured(path)
            promise = 2 * rows.nbytes + len(rows) * K * 8 + ALLOWANCE
            numbers = [rows.nbytes, before, peak, peak - before, promise]
            case = f"{title}, n = {len(rows):,}"
            table.append([case, *(f"{number / MIB:.0f}" for number in numbers)])
            taken = f"{(peak - before) / MIB:.0f} MiB"
            text = f"{case}: select takes {taken} beside its input, promised {promise / MIB:.0f}"
            claims.append(Claim(text, peak - before <= promise))
    header = ["MiB", "input", "before the call", "peak", "taken by the call", "promised beside the input"]
    print_table("Memory of select(keep=0.9)", header, table)
    return claims


def _measured(path: Path) -> tuple[int, int]:
    """Resident bytes before the call and at its peak, from a new process that runs this file."""
    command = [sys.executable, "-m", "benchmarks.report_memory", str(path)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    before, peak = json.loads(done.stdout)
    return int(before), int(peak)


def _resident(field: str) -> int:
    # getrusage would not do: Linux carries ru_maxrss over from the parent, which has long been larger
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _measure(path: str) -> None:
    rows = np.load(path)
    pyredund.knn_graph(rows[:1000])  # threads and code are in memory, as in any process at work
    before = _resident("VmRSS")
    pyredund.select(rows, keep=0.9)
    print(json.dumps([before, _resident("VmHWM")]))


if __name__ == "__main__":
    _measure(sys.argv[1])
