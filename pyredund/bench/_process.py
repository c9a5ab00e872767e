"""Jobs in processes of their own, within limits of time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyredund.bench._contenders import Contender

POLL = 0.01  # seconds
START_LIMIT = 300.0  # seconds for imports and a first call on few rows
POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "PYREDUND")
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Outcome:
    """What a job in its own process came to.

    Parameters
    ----------
    seconds : float or None
        Median over up to five calls; one where it takes a second or more. None if the job failed.
    extra_bytes : int or None
        Peak of the resident memory during the first call, beyond what was there before: input and imports.
    result : ndarray of int64, or None
        What the last call returned.
    failure : str or None
        Why there is no result.
    """

    seconds: float | None = None
    extra_bytes: int | None = None
    result: NDArray[np.int64] | None = None
    failure: str | None = None


def run_alone(
    contender: Contender,
    rows: Path,
    n_rows: int,
    n: int,
    groups: Path | None = None,
    *,
    n_threads: int = 1,
    time_limit: float = 60.0,
    memory_limit: int | None = None,
) -> Outcome:
    """Run a contender on the first rows of a file, in a new process.

    Parameters
    ----------
    contender : Contender
        What to run.
    rows : Path
        An .npy file of unit rows, float32.
    n_rows, n : int
        Rows to read; rows to keep, or clusters to end with.
    groups : Path, optional
        An .npy file with the group of each row.
    n_threads : int, default 1
        For all thread pools that an environment variable governs.
    time_limit : float, default 60.0
        Seconds after which the process is killed. Imports and a first call on few rows come before.
    memory_limit : int, optional
        Bytes that the call may allocate.

    Returns
    -------
    Outcome
        A job that fails, or goes beyond a limit, has a `failure`.
    """
    with tempfile.TemporaryDirectory(prefix="pyredund-bench-") as name:
        folder = Path(name)
        job = {
            "module": contender.function.__module__,
            "function": contender.function.__name__,
            "options": dict(contender.options),
            "rows": str(rows.resolve()),
            "groups": None if groups is None else str(groups.resolve()),
            "n_rows": n_rows,
            "n": n,
            "n_threads": n_threads,
            "memory_limit": memory_limit,
        }
        (folder / "job.json").write_text(json.dumps(job))
        code = "import sys; from pathlib import Path; from pyredund.bench._child import main; main(Path(sys.argv[1]))"
        pools = {f"{pool}_NUM_THREADS": str(n_threads) for pool in POOLS}
        environment = os.environ | pools | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        with (folder / "stderr").open("w") as stderr:
            process = subprocess.Popen(  # -P: not even the current folder comes before what this process imports
                [sys.executable, "-P", "-W", "ignore", "-c", code, name],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=environment,
            )
            try:
                ended = _ended(process, folder / "ready", time_limit)
            finally:
                process.kill()
                process.wait()
        if not ended:
            return Outcome(failure=f"over {time_limit:g} s")
        if process.returncode:
            return Outcome(failure=_reason(process.returncode, (folder / "stderr").read_text(errors="replace")))
        outcome = json.loads((folder / "outcome.json").read_text())
        result = np.load(folder / "result.npy", allow_pickle=False)
        return Outcome(outcome["seconds"], outcome["extra_bytes"], result)


def _ended(process: subprocess.Popen[bytes], ready: Path, time_limit: float) -> bool:
    """Whether the process ended by itself, within its limits."""
    deadline, started = time.monotonic() + START_LIMIT, False
    while process.poll() is None:
        now = time.monotonic()
        if now > deadline:
            return False
        if not started and ready.exists():
            deadline, started = now + time_limit, True
        time.sleep(POLL)
    return True


def _reason(status: int, printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f"ended with status {status}"
    if any(sign in printed for sign in ("MemoryError", "bad_alloc", "memory allocation", "Cannot allocate memory")):
        return OUT_OF_MEMORY
    return last if len(last) < 100 else f"{last[:97]}..."
