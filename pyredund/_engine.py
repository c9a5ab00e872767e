"""How a computation is carried out: threads, instruction set, tile size, progress. Nothing here changes a result."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_choice, check_int

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[int, int], object]

SPARE_BYTES = 128 << 20  # of places in which neighbours wait, at most


def available_threads() -> int:
    """Processors that this process may use: its affinity, capped by the quota of its control group."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _cgroup_processors()))


def _cgroup_processors() -> int:
    unlimited = 1 << 30
    try:  # version 2, then version 1
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            base = Path("/sys/fs/cgroup/cpu")
            quota = (base / "cpu.cfs_quota_us").read_text().strip()
            period = (base / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return unlimited
    if quota in {"max", "-1"}:
        return unlimited
    return max(1, math.ceil(int(quota) / int(period)))


def _count_in(variable: str) -> int | None:
    """The positive integer that an environment variable holds; None if it holds nothing."""
    value = os.environ.get(variable)
    if not value:
        return None
    try:
        count = int(value)
    except ValueError:
        raise ValueError(f"{variable} must be an integer of at least 1, got {value!r}") from None
    return check_int(variable, count, at_least=1)


@dataclass(frozen=True)
class Engine:
    """Settings of the compiled core.

    Parameters
    ----------
    n_threads : int
        Worker threads.
    isa : str
        Instruction set, "auto" or one of ``_core.isas()``.
    block : int
        Rows and columns of a tile; 0 chooses from the sizes.
    progress : bool or callable
        True shows a progress bar on standard error; a callable receives (done, total) now and then.
    sketch_from : int
        Rows from which on a sketch is considered; 0 makes one always, whatever the model of its cost says.
    device : str
        "cpu", or "cuda" for searches on the GPU.
    plain_cuda : bool
        On the GPU, score every pair exactly: the definition that the faster search is held against.
    cuda_bytes : int
        Memory that a search may take on the GPU, beside the rows and the result; 0: what is free.
    cuda_devices : int
        GPUs that share a search among rows in host memory, the first ones, if there are so many.
    cuda_selectors : bool
        With "cuda", removal and insertion run on the GPU, too: not by themselves before they have been measured there.
    scratch : ScratchSpace, optional
        Where large arrays lie; None: in memory.
    spare_bytes : int
        Memory of places in which neighbours wait to be merged into their lists.
    count : callable, optional
        Receives how many pairs came how far in each graph that is built, or how many rounds a selection took on the
        GPU; for benchmarks.
    """

    n_threads: int = 1
    isa: str = "auto"
    block: int = 0
    progress: bool | Progress = False
    sketch_from: int = 8_000
    device: str = "cpu"
    plain_cuda: bool = False
    cuda_bytes: int = 0
    cuda_devices: int = 1
    cuda_selectors: bool = False
    scratch: _core.ScratchSpace | None = None
    spare_bytes: int = SPARE_BYTES
    count: Callable[[dict[str, int]], object] | None = None

    @classmethod
    def resolve(cls, n_threads: int | None = None, progress: bool | Progress = False, device: str = "cpu") -> Engine:
        """Fill in what the user left open; see `pyredund.show_config` for the environment variables."""
        if n_threads is not None:
            n_threads = check_int("n_threads", n_threads, at_least=1)
        else:
            n_threads = _count_in("PYREDUND_NUM_THREADS")
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(f"progress must be True, False or a callable (done, total), got {type(progress).__name__}")
        isa = os.environ.get("PYREDUND_ISA") or "auto"
        check_choice("PYREDUND_ISA on this machine", isa, ["auto", *_core.isas()])
        return cls(
            n_threads=min(n_threads or available_threads(), 1024),
            isa=isa,
            progress=progress,
            device=device,
            cuda_devices=_count_in("PYREDUND_NUM_GPUS") or 1,
        )

    def large_floats(self, rows: int, columns: int) -> NDArray[np.float32]:
        """Zeros, on disk where memory is short."""
        if self.scratch is not None and rows * columns > 0:
            return self.scratch.floats(rows, columns)
        return np.zeros((rows, columns), dtype=np.float32)

    def large_bytes(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """Zeros, on disk where memory is short."""
        if self.scratch is not None and rows * columns > 0:
            return self.scratch.bytes(rows, columns)
        return np.zeros((rows, columns), dtype=np.uint8)

    def quiet(self) -> Engine:
        """The same engine without progress, for a short step inside of a longer one."""
        return replace(self, progress=False)

    @contextmanager
    def reporting(self, stage: str, unit: str = "row") -> Iterator[Progress | None]:
        """The callable that one stage of the work reports to, or None; `unit` is what it counts."""
        if callable(self.progress):
            yield self.progress
        elif self.progress:
            from tqdm import tqdm

            # With miniters tqdm would wait for as many as came before, when each takes a thousand times as long.
            with tqdm(total=1, desc=stage, unit=unit, unit_scale=True, miniters=0, delay=0.5, leave=False) as bar:

                def update(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                yield update
        else:
            yield None


def show_config() -> dict[str, Any]:
    """What pyredund was built with and will use on this machine.

    The environment variables ``PYREDUND_NUM_THREADS`` and ``PYREDUND_ISA`` change the number of threads and the
    instruction set; ``PYREDUND_NUM_GPUS`` says how many GPUs share a search with ``device="cuda"`` among rows in host
    memory (1 unless it is set, and no more than there are). None of them changes any result.

    Returns
    -------
    dict
        ``version``, ``isa`` (the instruction set in use), ``isas`` (those that this machine can run), ``n_threads``
        (default number of threads), ``cuda`` (whether ``device="cuda"`` can be used) and ``gpus`` (names of those that
        such a search of rows in host memory takes).

    Raises
    ------
    ValueError
        If one of these variables holds a value that cannot be used.

    Examples
    --------
    >>> import pyredund
    >>> pyredund.show_config()["isas"][0]
    'baseline'
    """
    from pyredund._device import gpus, why_no_cuda
    from pyredund._version import __version__

    engine = Engine.resolve()
    return {
        "version": __version__,
        "isa": _core.chosen_isa(engine.isa),
        "isas": _core.isas(),
        "n_threads": engine.n_threads,
        "cuda": not why_no_cuda(),
        "gpus": gpus(engine.cuda_devices),
    }
