"""Embeddings that lie on a GPU already: read there, where they lie."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund import _device
from pyredund._engine import Engine

ELEMENTS = {"float16": 0, "bfloat16": 1, "float32": 2, "float64": 3}  # as in csrc/cuda/device_rows.hpp


@dataclass(frozen=True)
class DeviceArray:
    """A matrix on a GPU, as its owner laid it out.

    Parameters
    ----------
    owner : object
        What was given: it owns the memory.
    address : int
        Of the first element.
    element : int
        Type of the elements, a value of `ELEMENTS`.
    rows, dim : int
        Shape; at least 1 each.
    strides : tuple of int
        Elements from one row, and from one coordinate, to the next.
    device : int
        Number of the GPU.
    stream : int
        The owner's CUDA stream: what was asked of it comes before what is asked now.
    memory : TorchMemory, optional
        Where memory for the work comes from; None: from CUDA.
    """

    owner: object
    address: int
    element: int
    rows: int
    dim: int
    strides: tuple[int, int]
    device: int
    stream: int
    memory: TorchMemory | None = None


class TorchMemory:
    """Memory of torch's on a GPU, which keeps what it has freed: CUDA could have none left where torch has.

    Parameters
    ----------
    torch : module
    device : int
        Number of the GPU.
    stream : int
        CUDA stream that the memory is used on.
    """

    def __init__(self, torch: Any, device: int, stream: int) -> None:
        self._cuda, self._device, self._stream = torch.cuda, device, stream

    def take(self, n_bytes: int) -> int:
        """The address of that many bytes; MemoryError if there are none."""
        try:
            address: int = self._cuda.caching_allocator_alloc(n_bytes, self._device, self._stream)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch.OutOfMemoryError, which older ones have elsewhere
                raise
            raise MemoryError(str(error)) from None
        return address

    def give(self, address: int) -> None:
        """Give back what was taken; the stream may still use it."""
        self._cuda.caching_allocator_delete(address)

    def room(self) -> int:
        """Bytes that torch has kept, and those that CUDA has left."""
        free, _ = self._cuda.mem_get_info(self._device)
        try:
            kept: int = self._cuda.memory_reserved(self._device) - self._cuda.memory_allocated(self._device)
        except RuntimeError:  # another allocator in torch's place, which does not say
            kept = 0
        return int(free) + kept


def device_array(embeddings: Any) -> DeviceArray | None:
    """`embeddings` as they lie on a GPU; None if they lie elsewhere, or are nothing that the kernels read."""
    torch = sys.modules.get("torch")
    memory = None
    if torch is not None and isinstance(embeddings, torch.Tensor):
        if not embeddings.is_cuda or embeddings.layout != torch.strided or embeddings.is_conj() or embeddings.is_neg():
            return None
        element = ELEMENTS.get(str(embeddings.dtype).removeprefix("torch."))
        shape, strides = tuple(embeddings.shape), tuple(embeddings.stride())
        address, device = embeddings.data_ptr(), embeddings.device.index
        stream = torch.cuda.current_stream(embeddings.device).cuda_stream
        memory = TorchMemory(torch, device, stream)
    elif hasattr(embeddings, "__cuda_array_interface__"):
        assert _device._cuda is not None
        facts = embeddings.__cuda_array_interface__
        dtype = np.dtype(facts["typestr"])
        shape, address = tuple(facts["shape"]), facts["data"][0]
        element = ELEMENTS.get(dtype.name) if dtype.isnative and facts.get("mask") is None else None
        byte_strides = facts.get("strides") or (shape[-1] * dtype.itemsize, dtype.itemsize) if shape else ()
        strides = tuple(stride // dtype.itemsize for stride in byte_strides)
        if any(stride % dtype.itemsize for stride in byte_strides):
            return None
        device, stream = _device._cuda.device_of(address) if address else 0, facts.get("stream") or 0
    else:
        return None
    if element is None or len(shape) != 2 or min(shape) < 1 or shape[0] >= 2**30:
        return None
    return DeviceArray(
        embeddings, address, element, shape[0], shape[1], (strides[0], strides[1]), device, stream, memory
    )


def knn_of_device_array(
    array: DeviceArray, k: int, engine: Engine
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32] | None] | None:
    """Lists of the distinct rows, min(k, others) long, and the place of each row among these, None if all are distinct.

    None if rows hold NaN or infinity.
    """
    units = _units_of(array)
    if units.n_bad:
        return None
    length = min(k, units.n_distinct - 1)
    indices = np.empty((units.n_distinct, length), dtype=np.int32)
    similarities = np.empty((units.n_distinct, length), dtype=np.float32)
    with engine.reporting("neighbours on the GPU", "pair") as report:
        counts = units.knn(indices, similarities, engine.plain_cuda, engine.cuda_bytes, report)
    if engine.count is not None:
        engine.count(counts)
    return indices, similarities, units.class_of if units.n_distinct < array.rows else None


def pairs_of_device_array(
    array: DeviceArray, threshold: float, most: int, engine: Engine
) -> tuple[_device.Pairs | None, int, NDArray[np.int32] | None] | None:
    """Pairs of the distinct rows, None if there are more than `most`, the number of these, and each row's place.

    The places are None if all rows are distinct; all is None if rows hold NaN or infinity.
    """
    units = _units_of(array)
    if units.n_bad:
        return None
    with engine.reporting("pairs on the GPU", "pair") as report:
        pairs = units.similar_pairs(threshold, most, engine.plain_cuda, engine.cuda_bytes, report)
    return pairs, units.n_distinct, units.class_of if units.n_distinct < array.rows else None


def _units_of(array: DeviceArray) -> Any:
    assert _device._cuda is not None
    return _device._cuda.unit_rows(
        array.address,
        array.element,
        array.rows,
        array.dim,
        *array.strides,
        array.device,
        array.stream,
        array.memory,
    )
