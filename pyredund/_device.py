"""Where to compute: the CPU, or a GPU through the optional module `_cuda`."""

from __future__ import annotations

from dataclasses import dataclass
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


DEVICES = ["auto", "cpu", "cuda"]
NO_KERNELS = "only knn_graph, radius_graph, deduplicate, and select by a graph of k neighbours, have CUDA kernels"
Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]  # two rows and their similarity


def why_no_cuda() -> str:
    """Why no GPU can be used; empty if one can."""
    if _cuda is None:
        return "this build of pyredund has no CUDA kernels: they are built where nvcc is found"
    reason: str = _cuda.why_no_device()
    return f"pyredund's CUDA kernels find no GPU to run on ({reason})" if reason else ""


def gpus(most: int) -> list[str]:
    """Names of the first GPUs that can be used."""
    return [] if _cuda is None or why_no_cuda() else _cuda.device_names(most)


def check_device(device: object, *, has_cuda: bool = True) -> str:
    """The device that is meant, "cpu" or "cuda".

    "auto" is the CPU: the CUDA kernels are chosen by themselves only once their tests have passed on a GPU.
    """
    if check_choice("device", device, DEVICES) != "cuda":
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
    with engine.reporting("neighbours on the GPU", "pair") as report:
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
    with engine.reporting("pairs on the GPU", "pair") as report:
        found: Pairs | None = _cuda.similar_pairs(
            rows, reference, threshold, most, engine.cuda_devices, engine.plain_cuda, engine.cuda_bytes, report
        )
    return found


@dataclass(frozen=True)
class LongerLists:
    """Lists that take the place of some rows' in a graph; of several for a row, the last.

    Parameters
    ----------
    rows : ndarray of int32
        Whose they are.
    lengths : ndarray of int64
        How long they are.
    indices, similarities : ndarray of int32, ndarray of float32
        The lists, one behind the other.
    """

    rows: NDArray[np.int32]
    lengths: NDArray[np.int64]
    indices: NDArray[np.int32]
    similarities: NDArray[np.float32]

    @classmethod
    def none(cls) -> LongerLists:
        ids, similarities = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        return cls(ids, np.empty(0, dtype=np.int64), ids, similarities)

    def and_these(self, rows: NDArray[np.int32], lists: tuple[NDArray[np.int32], NDArray[np.float32]]) -> LongerLists:
        """These lists, and those that arrays of shape (len(rows), k) hold."""
        indices, similarities = lists
        return LongerLists(
            np.concatenate([self.rows, rows]),
            np.concatenate([self.lengths, np.full(len(rows), indices.shape[1], dtype=np.int64)]),
            np.concatenate([self.indices, indices.ravel()]),
            np.concatenate([self.similarities, similarities.ravel()]),
        )


def removal_on_gpu(
    graph: NeighborGraph,
    longer: LongerLists,
    removable: NDArray[np.int32] | None,
    priority: NDArray[np.int32] | None,
    weights: NDArray[np.int64] | None,
    n_remove: int,
    engine: Engine,
) -> _core._RemovalLog | NDArray[np.int32]:
    """The log of the CPU's removal, where no two rows are identical; or rows whose lists are too short for it."""
    assert _cuda is not None, "check_device has seen to it"
    lists = graph.indptr, graph.indices, graph.similarities
    indptr = np.concatenate([[0], np.cumsum(longer.lengths)]).astype(np.int64)
    removable = np.ones(graph.n_rows, dtype=np.int32) if removable is None else removable
    priority = np.zeros(graph.n_rows, dtype=np.int32) if priority is None else priority
    weights = np.ones(graph.n_rows, dtype=np.int64) if weights is None else weights
    with engine.reporting("removal on the GPU") as report:
        found: _core._RemovalLog | NDArray[np.int32]
        found, rounds = _cuda.removal(
            *lists,
            longer.rows,
            indptr,
            longer.indices,
            longer.similarities,
            removable,
            priority,
            weights,
            n_remove,
            0,
            report,
        )
    if engine.count is not None:
        engine.count({"rounds": rounds})
    return found


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
