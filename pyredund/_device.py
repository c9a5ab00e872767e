"""Where to compute: the CPU, or a GPU through the optional module `_cuda`."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._checks import check_choice

if TYPE_CHECKING:
    from pyredund._engine import Engine
    from pyredund._neighbor_graph import NeighborGraph

_cuda: ModuleType | None
try:
    from pyredund import _cuda
except ImportError:  # built where there was no CUDA compiler
    _cuda = None


NO_KERNELS = "only knn_graph, radius_graph, deduplicate, and select by a graph of k neighbours, have CUDA kernels"
Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]  # two rows and their similarity


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
    reason = why_no_cuda() if has_cuda else NO_KERNELS
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
            rows,
            reference,
            excluded,
            indices,
            similarities,
            engine.cuda_devices,
            engine.plain_cuda,
            engine.cuda_bytes,
            report,
        )
    if engine.count is not None:
        engine.count(counts)


def pairs_on_gpu(
    rows: NDArray[np.float32], reference: NDArray[np.float32] | None, threshold: float, most: int, engine: Engine
) -> Pairs | None:
    """Pairs from the threshold on, as the CPU's search finds them, in no order; None if there are more than `most`."""
    assert _cuda is not None, "check_device has seen to it"
    with engine.reporting("pairs on the GPU") as report:
        found: Pairs | None = _cuda.similar_pairs(
            rows, reference, threshold, most, 0, engine.plain_cuda, engine.cuda_bytes, report
        )
    return found


def removal_on_gpu(
    graph: NeighborGraph,
    removable: NDArray[np.int32] | None,
    priority: NDArray[np.int32] | None,
    weights: NDArray[np.int64] | None,
    n_remove: int,
    engine: Engine,
) -> _core._RemovalLog | None:
    """The log of the CPU's removal, for rows of which no two are identical; None where a list runs out."""
    assert _cuda is not None, "check_device has seen to it"
    lists = graph.indptr, graph.indices, graph.similarities
    removable = np.ones(graph.n_rows, dtype=np.int32) if removable is None else removable
    priority = np.zeros(graph.n_rows, dtype=np.int32) if priority is None else priority
    weights = np.ones(graph.n_rows, dtype=np.int64) if weights is None else weights
    with engine.reporting("removal on the GPU") as report:
        found: tuple[_core._RemovalLog, int] | None = _cuda.removal(
            *lists, removable, priority, weights, n_remove, 0, report
        )
    if found is None:
        return None
    if engine.count is not None:
        engine.count({"rounds": found[1]})
    return found[0]


def insertion_on_gpu(
    graph: NeighborGraph, weights: NDArray[np.int32] | None, n_pick: int, engine: Engine
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows in the order in which the CPU's insertion picks them where none is forced, and what each gains."""
    assert _cuda is not None, "check_device has seen to it"
    lists = graph.indptr, graph.indices, graph.similarities
    one_way = _core.edges_one_way(*lists, None, engine.n_threads)
    units = np.ones(graph.n_rows, dtype=np.int64) if weights is None else weights.astype(np.int64)
    with engine.reporting("insertion on the GPU") as report:
        picked, gains, rounds = _cuda.insertion(*lists, *one_way, units, n_pick, 0, report)
    if engine.count is not None:
        engine.count({"rounds": rounds})
    return picked, gains
