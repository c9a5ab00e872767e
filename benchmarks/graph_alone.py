"""A kNN graph of a mapped file in a process of its own: ``python -m benchmarks.graph_alone FILE ROWS K MAX_MEMORY``.

Prints seconds, the bytes that the call took at its peak (pages of the file that it read among them) and a digest of the
graph as JSON. A MAX_MEMORY of 0 leaves the argument out.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pyredund
from pyredund.bench._child import WARM_ROWS, resident, start_of_peak


@dataclass(frozen=True)
class GraphAlone:
    """What one graph took.

    Parameters
    ----------
    seconds : float
        Of the call.
    extra_bytes : int
        Its peak above what the process had before.
    digest : str
        Of the graph's bytes.
    """

    seconds: float
    extra_bytes: int
    digest: str


def graph_alone(path: Path, n_rows: int, k: int, max_memory: int | None) -> GraphAlone:
    """Measure in a new process."""
    command = [sys.executable, "-m", __name__, str(path), str(n_rows), str(k), str(max_memory or 0)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return GraphAlone(**json.loads(done.stdout))


def main(path: str, n_rows: int, k: int, max_memory: int) -> None:
    """Do what the process is for."""
    rows = np.load(path, mmap_mode="r")[:n_rows]
    pyredund.knn_graph(np.array(rows[:WARM_ROWS]), k=k)
    before = start_of_peak()
    begin = time.perf_counter()
    graph = pyredund.knn_graph(rows, k=k, max_memory=max_memory or None)
    seconds = time.perf_counter() - begin
    extra = resident("VmHWM") - before
    digest = hashlib.blake2b(digest_size=16)
    for part in (graph.indptr, graph.indices, graph.similarities):
        digest.update(part.data)
    print(json.dumps({"seconds": seconds, "extra_bytes": extra, "digest": digest.hexdigest()}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
