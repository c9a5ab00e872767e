from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

_Progress = Callable[[int, int], object]

class _RemovalLog(TypedDict):
    removed: NDArray[np.int32]
    costs: NDArray[np.int64]
    moved_ptr: NDArray[np.int64]
    moved: NDArray[np.int32]
    nearest: NDArray[np.int32]
    similarities: NDArray[np.float32]

def isas() -> list[str]: ...
def chosen_isa(isa: str) -> str: ...
def fail_in_worker(n_threads: int, progress: _Progress | None) -> None: ...

class ScratchSpace:
    def __init__(self, folder: str, resident: int) -> None: ...
    @property
    def folder(self) -> str: ...
    @property
    def resident(self) -> int: ...
    def floats(self, rows: int, columns: int) -> NDArray[np.float32]: ...
    def bytes(self, rows: int, columns: int) -> NDArray[np.uint8]: ...

def gather_rows(rows: NDArray[np.float32], which: NDArray[np.int32], out: NDArray[np.float32]) -> None: ...
def unit_rows(
    embeddings: NDArray[np.float32] | NDArray[np.float64],
    out: NDArray[np.float32],
    norms: NDArray[np.float64],
    n_threads: int,
    isa: str,
) -> None: ...
def collapse_identical_rows(matrix: NDArray[np.float32], class_of: NDArray[np.int32]) -> int: ...
def member_lists(class_of: NDArray[np.int32], member_ptr: NDArray[np.int32], members: NDArray[np.int32]) -> None: ...
def expand_identical_rows(
    distinct_indices: NDArray[np.int32],
    distinct_similarities: NDArray[np.float32],
    class_of: NDArray[np.int32],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    self_join: bool,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
) -> None: ...
def expanded_indptr(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    class_of: NDArray[np.int32],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    self_join: bool,
    out: NDArray[np.int64],
) -> None: ...
def expand_lists(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    class_of: NDArray[np.int32],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    self_join: bool,
    out_indptr: NDArray[np.int64],
    out_indices: NDArray[np.int32],
    out_similarities: NDArray[np.float32],
) -> None: ...
def check_lists(indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> None: ...
def collapse_lists(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    class_of: NDArray[np.int32],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def similarities(
    rows: NDArray[np.float32], others: NDArray[np.float32], out: NDArray[np.float32], isa: str
) -> None: ...
def scans_bytes(isa: str) -> bool: ...
def has_narrow_sums(isa: str) -> bool: ...
def panel_width(isa: str) -> int: ...
def locality_order(rows: NDArray[np.float32], leaf: int, n_threads: int, isa: str) -> NDArray[np.int32]: ...
def arrange_rows(rows: NDArray[np.float32], order: NDArray[np.int32], back: bool, n_threads: int) -> None: ...
def products(
    rows: NDArray[np.float32], directions: NDArray[np.float32], out: NDArray[np.float32], n_threads: int, isa: str
) -> None: ...
def short_rows(
    rows: NDArray[np.float32],
    directions: NDArray[np.float32],
    norm_slack: float,
    out: NDArray[np.float32],
    n_threads: int,
    isa: str,
) -> None: ...
def cell_caps(
    short_rows: NDArray[np.float32], n_threads: int, isa: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def orthonormal_rows(rows: NDArray[np.float64], depends: NDArray[np.bool_]) -> int: ...
def fill_sketch(
    rows: NDArray[np.float32],
    sketch: tuple[object, ...],
    directions: NDArray[np.float32],
    norm_slack: float,
    rotation: NDArray[np.float32],
    error_slack: float,
    n_threads: int,
    isa: str,
) -> None: ...
def knn_graph(
    rows: NDArray[np.float32],
    dim: int,
    sketch: tuple[object, ...] | None,
    floors: NDArray[np.float32] | None,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
    spare_bytes: int = ...,
) -> dict[str, int]: ...
def knn_query(
    queries: NDArray[np.float32],
    reference: NDArray[np.float32],
    dim: int,
    excluded: NDArray[np.int32] | None,
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
    spare_bytes: int = ...,
) -> None: ...
def similar_pairs(
    rows: NDArray[np.float32],
    dim: int,
    sketch: tuple[object, ...] | None,
    reference: NDArray[np.float32] | None,
    threshold: float,
    most: int,
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]] | None: ...
def lists_of_pairs(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    similarities: NDArray[np.float32],
    symmetric: bool,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None: ...
def removal(
    rows: NDArray[np.float32],
    dim: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    of_rows: bool,
    class_of: NDArray[np.int32] | None,
    member_ptr: NDArray[np.int32] | None,
    members: NDArray[np.int32] | None,
    removable: NDArray[np.int32] | None,
    priority: NDArray[np.int32] | None,
    weights: NDArray[np.int64] | None,
    n_remove: int,
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
    room: int = ...,
) -> _RemovalLog: ...
def insertion(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    weights: NDArray[np.int32] | None,
    forced: NDArray[np.int32],
    n_pick: int,
    n_threads: int,
    progress: _Progress | None,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
def edges_one_way(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    weights: NDArray[np.int32] | None,
    n_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def closest_prefix(
    rows: NDArray[np.float32],
    dim: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    picks: NDArray[np.int32],
    n_forced: int,
    tie_order: NDArray[np.int64],
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def refine(
    rows: NDArray[np.float32],
    dim: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    class_of: NDArray[np.int32],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    must_keep: NDArray[np.uint8],
    weights: NDArray[np.int64],
    kept: NDArray[np.uint8],
    isa: str,
    progress: _Progress | None,
) -> int: ...
def kcenter(
    rows: NDArray[np.float32],
    dim: int,
    weights: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    forced: NDArray[np.int32],
    n_pick: int,
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
) -> tuple[
    NDArray[np.int32], NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
]: ...
def uncrowded_pairs(
    rows: NDArray[np.float32],
    dim: int,
    sketch: tuple[object, ...] | None,
    threshold: float,
    most: int,
    crowded: NDArray[np.uint8],
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]: ...
def deduplicate(
    rows: NDArray[np.float32],
    dim: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    first: NDArray[np.int32] | None,
    class_of: NDArray[np.int32] | None,
    crowded: NDArray[np.uint8],
    order: NDArray[np.int32],
    threshold: float,
    fates: NDArray[np.uint8],
    n_threads: int,
    isa: str,
    block: int,
    progress: _Progress | None,
) -> None: ...
def closest_listed(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    first: NDArray[np.int32] | None,
    class_of: NDArray[np.int32] | None,
    names: NDArray[np.int32],
    are_even: bool,
    closest: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None: ...

class Agglomeration:
    def __init__(
        self, rows: NDArray[np.float32], dim: int, sizes: NDArray[np.int64], linkage: str, isa: str
    ) -> None: ...
    @property
    def n_clusters(self) -> int: ...
    def labels(self) -> NDArray[np.int32]: ...
    def first(self) -> NDArray[np.int32]: ...
    def heights(self, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.float64]: ...
    def candidates(
        self,
        points: NDArray[np.float32],
        dim: int,
        sketch: tuple[object, ...] | None,
        reference: NDArray[np.float32] | None,
        groups: NDArray[np.int32] | None,
        reference_groups: NDArray[np.int32] | None,
        limit: float,
        most: int,
        n_threads: int,
        isa: str,
        block: int,
        progress: _Progress | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]] | None: ...
    def means(self, out: NDArray[np.float32]) -> None: ...
    def merge(
        self,
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        limit: float,
        most: int,
        n_threads: int,
        progress: _Progress | None,
    ) -> int: ...
    def merges(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]: ...

def central_rows(
    rows: NDArray[np.float32],
    dim: int,
    sizes: NDArray[np.int64],
    member_ptr: NDArray[np.int32],
    members: NDArray[np.int32],
    sums: NDArray[np.int64],
    n_threads: int,
    isa: str,
    progress: _Progress | None,
) -> None: ...
