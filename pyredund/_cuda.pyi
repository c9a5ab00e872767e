from collections.abc import Callable
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from pyredund._core import _RemovalLog

_Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
_Progress = Callable[[int, int], object]

class _DeviceFacts(TypedDict):
    name: str
    capability: tuple[int, int]
    processors: int
    shared_bytes: int
    free_bytes: int
    total_bytes: int

class _Memory(Protocol):
    def take(self, n_bytes: int) -> int: ...
    def give(self, address: int) -> None: ...
    def room(self) -> int: ...

class UnitRows:
    @property
    def n_bad(self) -> int: ...
    @property
    def n_distinct(self) -> int: ...
    @property
    def class_of(self) -> NDArray[np.int32]: ...
    def knn(
        self,
        indices: NDArray[np.int32],
        similarities: NDArray[np.float32],
        plain: bool,
        most_bytes: int,
        progress: _Progress | None,
    ) -> dict[str, int]: ...
    def similar_pairs(
        self, threshold: float, most: int, plain: bool, most_bytes: int, progress: _Progress | None
    ) -> _Pairs | None: ...

def device_of(address: int) -> int: ...
def unit_rows(
    address: int,
    element: int,
    rows: int,
    dim: int,
    row_stride: int,
    column_stride: int,
    device: int,
    stream: int,
    memory: _Memory | None,
) -> UnitRows: ...
def why_no_device() -> str: ...
def device_names(most: int) -> list[str]: ...
def device_facts(device: int) -> _DeviceFacts: ...
def knn(
    rows: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
    excluded: NDArray[np.int32] | None,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    devices: int,
    plain: bool,
    most_bytes: int,
    progress: _Progress | None,
) -> dict[str, int]: ...
def similar_pairs(
    rows: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
    threshold: float,
    most: int,
    devices: int,
    plain: bool,
    most_bytes: int,
    progress: _Progress | None,
) -> _Pairs | None: ...
def removal(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    longer_rows: NDArray[np.int32],
    longer_indptr: NDArray[np.int64],
    longer_indices: NDArray[np.int32],
    longer_similarities: NDArray[np.float32],
    removable: NDArray[np.int32],
    priority: NDArray[np.int32],
    weights: NDArray[np.int64],
    n_remove: int,
    device: int,
    progress: _Progress | None,
) -> tuple[_RemovalLog | NDArray[np.int32], int]: ...
def insertion(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    one_way_indptr: NDArray[np.int64],
    one_way_rows: NDArray[np.int32],
    one_way_similarities: NDArray[np.float32],
    weights: NDArray[np.int64],
    n_pick: int,
    device: int,
    progress: _Progress | None,
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]: ...
