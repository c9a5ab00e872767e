"""Selection group by group: how many rows each group keeps, and the parts as one selection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyredund._insertion import InsertionHistory
from pyredund._removal import RemovalHistory
from pyredund._selection import Selection


@dataclass(frozen=True)
class Seats:
    """The order in which groups are given places among the kept rows, one by one, until every row has one.

    First one for each row that must be kept, then one for each group without such a row, then by the divisor method of
    Sainte-Lague (1910): place s of a group of size n in the order of (2 s - 1) / n, ties to the lower group. Fewer kept
    rows are a beginning of more, which no method of largest remainders can promise.

    Parameters
    ----------
    group : ndarray of int64, shape (n,)
        The group of each place.
    number : ndarray of int64, shape (n,)
        Which of its group's places it is, from 1 on.
    n_first : int
        Places before the divisor method begins.
    """

    group: NDArray[np.int64]
    number: NDArray[np.int64]
    n_first: int

    @classmethod
    def of(cls, sizes: NDArray[np.int64], n_forced: NDArray[np.int64]) -> Seats:
        """The order for groups of these sizes, of which these many rows must be kept."""
        group = np.repeat(np.arange(len(sizes)), sizes)
        number = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
        turn = (2 * number - 1) / sizes[group]
        turn[number == 1] = 0
        turn[number <= n_forced[group]] = -1
        order = np.lexsort((group, turn))
        return cls(group[order], number[order], int(np.maximum(n_forced, 1).sum()))

    def counts(self, n_keep: int) -> NDArray[np.int64]:
        """How many rows each group keeps of `n_keep` in all."""
        return np.bincount(self.group[:n_keep], minlength=int(self.group.max()) + 1).astype(np.int64)


def merge(
    method: str,
    parts: list[Selection],
    members: list[NDArray[np.int64]],
    codes: NDArray[np.int64],
    seats: Seats,
    *,
    keep_history: bool,
) -> Selection:
    """The selections of the groups as one; `members` holds the rows of each.

    Rows are picked in the order of the seats and removed in the opposite one, so that every beginning of it is what
    the divisor method asks for.
    """
    n, n_reference = len(codes), parts[0].n_reference
    mask = np.empty(n, dtype=bool)
    representatives = np.empty(n, dtype=np.int64)
    similarities = np.empty(n, dtype=np.float32)
    for part, rows in zip(parts, members, strict=True):
        mask[rows], similarities[rows] = part.mask, part.similarities
        own = part.representatives < len(rows)
        of_reference = part.representatives - len(rows) + n
        representatives[rows] = np.where(own, rows[np.where(own, part.representatives, 0)], of_reference)
    n_kept = np.array([len(part.indices) for part in parts])
    is_kept = seats.number <= n_kept[seats.group]
    k = max((part.k for part in parts if part.k is not None), default=None)
    if parts[0].costs is not None:
        going = seats.group[~is_kept][::-1]
        history = _merged_removal(parts, members, going) if keep_history else None
        removed = _in_turn(going, [rows[part.removed] for part, rows in zip(parts, members, strict=True)])
        costs = _in_turn(going, [_present(part.costs) for part in parts])
        whole = np.flatnonzero(mask), removed, mask, representatives, similarities
        selection = Selection(method, *whole, costs=costs, k=k, n_reference=n_reference, _history=history)
    else:
        coming, picked, gains = seats.group[is_kept], None, None
        if parts[0].picked is not None:
            picked = _in_turn(coming, [rows[_present(part.picked)] for part, rows in zip(parts, members, strict=True)])
        if parts[0].gains is not None:
            gains = _in_turn(coming, [_present(part.gains) for part in parts])
        labels = _merged_labels(parts, members) if parts[0].labels is not None else None
        log = _merged_picks(parts, members, coming, picked, seats.n_first) if keep_history else None
        kept = np.flatnonzero(mask)
        selection = Selection.from_kept(method, kept, representatives, similarities, picked, gains, k, log)
        selection = replace(selection, labels=labels, linkage=parts[0].linkage, refined=parts[0].refined)
    return replace(selection, groups=codes, n_reference=n_reference)


def _merged_labels(parts: list[Selection], members: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Clusters of all groups, numbered by their lowest rows."""
    lowest = np.empty(sum(map(len, members)), dtype=np.int64)  # row of each row's cluster
    for part, rows in zip(parts, members, strict=True):
        labels = _present(part.labels)
        lowest[rows] = rows[np.unique(labels, return_index=True)[1][labels]]
    return np.unique(lowest, return_inverse=True)[1].astype(np.int64)


def _present(values: NDArray[Any] | None) -> NDArray[Any]:
    assert values is not None
    return values


def _in_turn(groups: NDArray[np.int64], lists: list[NDArray[Any]]) -> NDArray[Any]:
    """One list whose entry i is the next one of the list of ``groups[i]``."""
    joined = np.concatenate(lists)
    result = np.empty_like(joined)
    result[np.argsort(groups, kind="stable")] = joined
    return result


def _joined_classes(histories: list[Any], members: list[NDArray[np.int64]]) -> tuple[NDArray[np.int32], list[int]]:
    """Classes of identical rows of all groups, each group's on its own; and how many come before each group's."""
    class_of = np.empty(sum(map(len, members)), dtype=np.int32)
    bases, base = [], 0
    for history, rows in zip(histories, members, strict=True):
        class_of[rows] = history.class_of + base
        bases.append(base)
        base += int(history.class_of.max()) + 1
    return class_of, bases


def _merged_removal(
    parts: list[Selection], members: list[NDArray[np.int64]], going: NDArray[np.int64]
) -> RemovalHistory | None:
    histories = [part._history for part in parts if isinstance(part._history, RemovalHistory)]
    class_of, bases = _joined_classes(histories, members)
    removed = _in_turn(going, [rows[h.removed] for h, rows in zip(histories, members, strict=True)])
    starts, begin = [], 0  # of each removal's moves, where those of all groups lie one behind the other
    for history in histories:
        starts.append(history.moved_ptr[:-1] + begin)
        begin += len(history.moved)
    lengths = _in_turn(going, [np.diff(history.moved_ptr) for history in histories])
    ends = np.cumsum(lengths)
    moves = np.repeat(_in_turn(going, starts) - (ends - lengths), lengths) + np.arange(begin)
    moved = np.concatenate([h.moved + base for h, base in zip(histories, bases, strict=True)])[moves]
    nearest = np.concatenate([h.nearest + base for h, base in zip(histories, bases, strict=True)])[moves]
    similarities = np.concatenate([history.similarities for history in histories])[moves]
    moved_ptr = np.concatenate([[0], ends])
    return RemovalHistory(removed, moved_ptr, moved.astype(np.int32), nearest.astype(np.int32), similarities, class_of)


def _merged_picks(
    parts: list[Selection],
    members: list[NDArray[np.int64]],
    coming: NDArray[np.int64],
    picked: NDArray[np.int64] | None,
    n_first: int,
) -> InsertionHistory | None:
    histories = [part._history for part in parts if isinstance(part._history, InsertionHistory)]
    if len(histories) < len(parts) or picked is None:
        return None
    class_of, _ = _joined_classes(histories, members)
    places_of = np.split(np.argsort(coming, kind="stable"), np.cumsum([len(h.picked) for h in histories])[:-1])
    never = len(coming)  # the place of what is not picked
    places = [np.append(own, never)[h.places] for h, own in zip(histories, places_of, strict=True)]
    similarities = np.concatenate([history.similarities for history in histories])
    lengths = np.concatenate([np.diff(history.indptr) for history in histories])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return InsertionHistory(picked, indptr, np.concatenate(places), similarities, class_of, n_first)
