"""The door for arrays: anything that holds real numbers becomes blocks of C-contiguous float32 or float64 rows."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

RowBlock = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class RowSource:
    """A two-dimensional array that is read in blocks, so that no second copy of it ever exists."""

    array: Any
    rows: int
    dim: int

    def block(self, start: int, stop: int) -> RowBlock:
        """Rows [start, stop), exact: float16, bfloat16 and short integers as float32, wider numbers as float64."""
        part = self.array[start:stop]
        if _is_torch(part):
            part = _torch_to_numpy(part)
        kind, size = part.dtype.kind, part.dtype.itemsize
        as_float32 = (kind == "f" and size <= 4) or (kind in "iub" and size <= 2) or part.dtype.name == "bfloat16"
        with np.errstate(all="ignore"):  # a longdouble beyond float64 becomes infinite, and is refused as such
            return cast("RowBlock", np.ascontiguousarray(part, dtype=np.float32 if as_float32 else np.float64))

    def forget(self) -> None:
        """Let go of what has been read of a memory map: its pages count as memory of the process."""
        owner = self.array
        while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
            owner = owner.base
        # A private map ("c") would lose what was written into it.
        if isinstance(owner, np.memmap) and owner.mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
            pages = getattr(owner, "_mmap", None)
            if isinstance(pages, mmap.mmap):
                pages.madvise(mmap.MADV_DONTNEED)


def row_source(name: str, embeddings: object) -> RowSource:
    """`embeddings` as a source of rows; TypeError and ValueError say what is wrong with it."""
    array = _as_array(name, embeddings)
    if not _is_torch(array):
        kind = array.dtype.kind
        if kind == "c":
            raise TypeError(f"{name} must be real, got complex numbers ({array.dtype})")
        if kind not in "fiub" and array.dtype.name != "bfloat16":
            raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    shape = tuple(int(extent) for extent in array.shape)
    if len(shape) != 2:
        hints = {1: f"; for a single coordinate per row use {name}.reshape(-1, 1)"}
        many = f"; for images or the like, embed them, or use {name}.reshape({shape[0] if shape else 0}, -1)"
        if shape == (0,):
            hints[1] = ", which is empty: there must be at least 1 row"
        hint = hints.get(len(shape), many if len(shape) > 2 else "")
        raise ValueError(f"{name} must have two dimensions (rows, coordinates), got shape {shape}{hint}")
    if shape[1] < 1:
        raise ValueError(f"{name} must have at least 1 coordinate per row, got shape {shape}")
    if shape[0] >= 2**31:
        raise ValueError(f"{name} must have fewer than 2^31 rows, got {shape[0]}")
    return RowSource(array, shape[0], shape[1])


def reference_source(reference: object, dim: int) -> RowSource:
    """`reference` as a source of rows with as many coordinates as the embeddings have."""
    source = row_source("reference", reference)
    if source.dim != dim:
        raise ValueError(
            f"reference must have as many coordinates per row as embeddings, {dim}, got shape "
            f"({source.rows}, {source.dim})"
        )
    return source


def _is_torch(array: object) -> bool:
    torch = sys.modules.get("torch")  # a tensor can only exist where torch has been imported
    return torch is not None and isinstance(array, torch.Tensor)


def _torch_to_numpy(tensor: Any) -> NDArray[Any]:
    torch = sys.modules["torch"]
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()  # NumPy has no bfloat16 and no float8; float32 holds every one of their values
    return cast("NDArray[Any]", tensor.numpy())


def _as_array(name: str, embeddings: object) -> Any:
    if isinstance(embeddings, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array: fill or drop the masked entries first")
    if isinstance(embeddings, np.ndarray):
        return embeddings
    if _is_torch(embeddings):
        tensor = cast("Any", embeddings)
        if tensor.is_complex():
            raise TypeError(f"{name} must be real, got complex numbers ({tensor.dtype})")
        if tensor.layout != sys.modules["torch"].strided:
            raise TypeError(f"{name} must be dense, got a tensor of layout {tensor.layout}")
        if tensor.device.type == "meta":
            raise TypeError(f"{name} must hold values, got a tensor on the meta device, which holds none")
        return tensor
    if hasattr(embeddings, "toarray") and hasattr(embeddings, "nnz"):
        raise TypeError(f"{name} must be dense, got the sparse {type(embeddings).__name__}: use its toarray()")
    if hasattr(embeddings, "__cuda_array_interface__") and hasattr(embeddings, "get"):
        return np.asarray(embeddings.get())  # CuPy refuses to copy to the host unless asked by name
    if hasattr(embeddings, "__array__") or isinstance(embeddings, (list, tuple)):
        try:
            return np.asarray(embeddings)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"{name} must be a rectangle of numbers: {error}") from None
    if hasattr(embeddings, "__dlpack__"):
        try:
            return np.from_dlpack(cast("Any", embeddings))
        except (RuntimeError, BufferError) as error:
            raise TypeError(f"{name} must be readable by NumPy through DLPack: {error}") from None
    raise TypeError(
        f"{name} must be an array of shape (rows, coordinates): NumPy, torch, anything with __array__ or __dlpack__, "
        f"or nested lists; got {type(embeddings).__name__}"
    )
