"""The data of a selection, and how histories become it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyredund._arrays import handed_over, is_handed_over, read_only
from pyredund._insertion import InsertionHistory
from pyredund._removal import RemovalHistory
from pyredund._selection_archive import ARRAYS

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, repr=False, eq=False)
class SelectionFields:
    """What a `Selection` holds, which see."""

    method: str
    indices: NDArray[np.int64]
    removed: NDArray[np.int64]
    mask: NDArray[np.bool_]
    representatives: NDArray[np.int64]
    similarities: NDArray[np.float32]
    picked: NDArray[np.int64] | None = None
    costs: NDArray[np.float64] | None = None
    gains: NDArray[np.float64] | None = None
    k: int | None = None
    _history: RemovalHistory | InsertionHistory | None = field(default=None, repr=False)
    threshold: float | None = None
    must_keep: NDArray[np.int64] | None = None
    n_reference: int = 0
    groups: NDArray[np.int64] | None = None
    sample_weight: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None
    linkage: str | None = None
    refined: bool = False

    def __post_init__(self) -> None:
        for name, dtype in ARRAYS.items():
            if getattr(self, name) is not None:
                own = getattr(self, name)
                if not is_handed_over(own, dtype):
                    own = handed_over(read_only(name, own, dtype).copy())
                object.__setattr__(self, name, own)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), tuple(getattr(self, part.name) for part in fields(self))

    @classmethod
    def from_removal(
        cls, history: RemovalHistory, costs: NDArray[np.float64], k: int | None, n_reference: int = 0
    ) -> Self:
        """The selection after the first ``len(costs)`` removals of a history; the reference's rows are its last."""
        removed, n = history.removed[: len(costs)], len(history.class_of) - n_reference
        closest, similarities = history.at(n + n_reference - len(costs))
        mask = np.ones(n, dtype=bool)
        mask[removed] = False
        found = np.flatnonzero(mask), mask, _without(closest, n_reference), _without(similarities, n_reference)
        kept, mask, closest, similarities = map(handed_over, found)
        parts = kept, removed, mask, closest, similarities
        return cls("removal", *parts, costs=costs, k=k, n_reference=n_reference, _history=history)

    @classmethod
    def from_picks(
        cls,
        method: str,
        history: InsertionHistory,
        n_keep: int,
        gains: NDArray[np.float64] | None,
        k: int | None,
        n_reference: int = 0,
    ) -> Self:
        """The selection of the first `n_keep` picks of a history, those of the reference aside."""
        picked, gains = history.picked[: n_keep + n_reference], None if gains is None else gains[:n_keep]
        return cls.from_kept(method, np.sort(picked), *history.at(len(picked)), picked, gains, k, history, n_reference)

    @classmethod
    def from_kept(
        cls,
        method: str,
        kept: NDArray[np.int64],
        representatives: NDArray[np.int64],
        similarities: NDArray[np.float32],
        picked: NDArray[np.int64] | None = None,
        gains: NDArray[np.float64] | None = None,
        k: int | None = None,
        history: InsertionHistory | None = None,
        n_reference: int = 0,
    ) -> Self:
        """The selection of the rows `kept` (ascending), whatever chose them; the reference's rows are the last.

        The arrays are given up: they become read-only.
        """
        n = len(representatives) - n_reference
        representatives, similarities = _without(representatives, n_reference), _without(similarities, n_reference)
        picked = None if picked is None else picked[picked < n]
        mask = np.zeros(n, dtype=bool)
        mask[kept[kept < n]] = True
        removed = np.flatnonzero(~mask)
        removed = removed[np.argsort(-similarities[removed], kind="stable")]
        found = kept[kept < n], removed, mask, representatives, similarities
        kept, removed, mask, representatives, similarities = map(handed_over, found)
        parts = kept, removed, mask, representatives, similarities, picked, None, gains, k
        return cls(method, *parts, n_reference=n_reference, _history=history)


def _without(values: NDArray[Any], n_last: int) -> NDArray[Any]:
    """All but the last ones, in memory of their own."""
    return values[: len(values) - n_last].copy() if n_last else values
