"""One selection on a given graph, in a process of its own: ``python -m benchmarks.selection_alone ROWS GRAPH CALL``.

CALL is the name of a method of `select` and the share that it keeps, or ``deduplicate`` and a threshold; then the
number of threads. Prints seconds, the bytes that the call took at its peak beside rows and graph, those of the index
among them, and the number of rows kept, as JSON.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pyredund
from pyredund import _core
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._insertion import node_weights
from pyredund._unit_rows import unit_rows
from pyredund.bench._child import WARM_ROWS, resident, start_of_peak


@dataclass(frozen=True)
class SelectionAlone:
    """What one selection took.

    Parameters
    ----------
    seconds : float
        Of the call.
    extra_bytes : int
        Its peak above what the process had before, its result included.
    index_bytes : int
        Of these, what insertion needs to find the rows that list a row without being listed by it.
    n_kept : int
        Rows that it keeps.
    """

    seconds: float
    extra_bytes: int
    index_bytes: int
    n_kept: int


def selection_alone(rows: Path, graph: Path, method: str, value: float, n_threads: int) -> SelectionAlone:
    """Measure in a new process."""
    command = [sys.executable, "-m", __name__, str(rows), str(graph), method, str(value), str(n_threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return SelectionAlone(**json.loads(done.stdout))


def main(path: str, graph_path: str, method: str, value: float, n_threads: int) -> None:
    """Do what the process is for."""
    rows, graph = np.load(path), pyredund.NeighborGraph.load(graph_path)
    pyredund.select(rows[:WARM_ROWS], 0.9)
    gc.collect()
    before = start_of_peak()
    begin = time.perf_counter()
    if method == "deduplicate":
        selection = pyredund.deduplicate(rows, value, graph=graph, n_threads=n_threads)
    else:
        selection = pyredund.select(rows, keep=value, method=method, graph=graph, n_threads=n_threads)
    seconds = time.perf_counter() - begin
    extra, index = resident("VmHWM") - before, 0
    if method == "insertion":
        units = unit_rows("rows", row_source("rows", rows), Engine.resolve(n_threads))
        counts = node_weights(units, None, of_rows=units.class_of is not None)
        indptr, listers, similarities = _core.edges_one_way(
            graph.indptr, graph.indices, graph.similarities, counts, n_threads
        )
        index = indptr.nbytes + listers.nbytes + similarities.nbytes
    found = {"seconds": seconds, "extra_bytes": extra, "index_bytes": index, "n_kept": len(selection.indices)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
