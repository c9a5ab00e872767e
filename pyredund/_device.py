"""Where to compute: the CPU, or a GPU through the optional module `_cuda`."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyredund._checks import check_choice

if TYPE_CHECKING:
    from pyredund._engine import Engine

_cuda: ModuleType | None
try:
    from pyredund import _cuda
except ImportError:  # built where there was no CUDA compiler
    _cuda = None


def why_no_cuda() -> str:
    """Why no GPU can be used; empty if one can."""
    if _cuda is None:
        return "this build of pyredund has no CUDA kernels"
    reason: str = _cuda.why_no_device()
    return f"pyredund's CUDA kernels find no GPU to run on ({reason})" if reason else ""


def check_device(device: object, *, has_cuda: bool = True) -> str:
    """The device that is meant, "cpu" or "cuda".

    "auto" is the CPU: the CUDA kernels are chosen by themselves only once their tests have passed on a GPU.
    """
    if check_choice("device", device, ["auto", "cpu", "cuda"]) != "cuda":
        return "cpu"
    reason = why_no_cuda() if has_cuda else "only knn_graph, and select by a graph of k neighbours, have CUDA kernels"
    if reason:
        raise ValueError(f"device must be 'auto' or 'cpu', got 'cuda': {reason}")
    return "cuda"


def knn_on_gpu(
    rows: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
    excluded: NDArray[np.int32] | None,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    engine: Engine,
) -> None:
    """Fill `indices` and `similarities`, both of shape (n, k), as the CPU's search does; see `query`."""
    assert _cuda is not None, "check_device has seen to it"
    with engine.reporting("neighbours on the GPU") as report:
        counts = _cuda.knn(
            rows, reference, excluded, indices, similarities, 0, engine.plain_cuda, engine.cuda_bytes, report
        )
    if engine.count is not None:
        engine.count(counts)
