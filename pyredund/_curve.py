"""How much similarity is lost at every size of a selection: the curve from which people choose how much to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyredund._insertion import InsertionHistory
from pyredund._row_arguments import weight_units

if TYPE_CHECKING:
    from pyredund import Selection

ONE = 2**32  # a similarity of 1, in units whose sums do not depend on their order


@dataclass(frozen=True, eq=False)
class Curve:
    """Similarity lost against rows kept.

    Parameters
    ----------
    n_rows : int
        Rows of the data set.
    kept : ndarray of int64
        Numbers of rows kept, ascending.
    lost : ndarray of float64
        For each, what rows lose on average (by `sample_weight`, if given): 1 - similarity to their representative.

    Examples
    --------
    >>> import pyredund
    >>> embeddings = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.6, 0.8]]
    >>> curve = pyredund.select(embeddings, keep=1).curve()
    >>> curve
    Curve(of 4 rows; lost on average: 0.24801 at 1 ... 0.00000 at 4 kept; knee at 2)
    >>> curve.kept, curve.lost.round(3)
    (array([1, 2, 3, 4]), array([0.248, 0.05 , 0.   , 0.   ]))
    >>> curve.knee
    2
    """

    n_rows: int
    kept: NDArray[np.int64]
    lost: NDArray[np.float64]

    def __repr__(self) -> str:
        first, last = (f"{self.lost[end]:.5f} at {self.kept[end]}" for end in (0, -1))
        return f"Curve(of {self.n_rows} rows; lost on average: {first} ... {last} kept; knee at {self.knee})"

    @property
    def share(self) -> NDArray[np.float64]:
        """`kept` as shares of all rows."""
        return self.kept / self.n_rows

    @property
    def knee(self) -> int:
        """The number of rows at which the curve bends: fewer lose much, more gain little.

        It is the point farthest below the straight line between the two ends of the curve, as both axes are scaled to
        [0, 1] (Satopaa, Albrecht, Irwin and Raghavan, 2011); the larger of equals. It depends on where the curve ends:
        look at one that reaches down to sizes that you would not choose.
        """
        width, height = self.kept[-1] - self.kept[0], self.lost[0] - self.lost[-1]
        if height <= 0:
            return int(self.kept[-1])
        below = (self.kept[-1] - self.kept) / width - (self.lost - self.lost[-1]) / height
        return int(self.kept[len(below) - 1 - np.argmax(below[::-1])])


def curve_of(selection: Selection) -> Curve:
    """The curve over all sizes that the selection's log reaches."""
    n, size, history = len(selection.mask), len(selection.indices), selection._history
    weights = (
        np.ones(n, dtype=np.int64) if selection.sample_weight is None else weight_units(selection.sample_weight)[0]
    )
    total = float(weights.sum())
    if selection.costs is not None:  # in the unit of weights, as a whole number, so that sums are exact
        unit = 1.0 if selection.sample_weight is None else weight_units(selection.sample_weight)[1]
        costs = np.rint(selection.costs / unit * ONE).astype(np.int64)
        lost = np.concatenate([[0], np.cumsum(costs)])[::-1]
        return Curve(n, np.arange(size, n + 1), lost / (total * ONE))
    if not isinstance(history, InsertionHistory):
        if selection.refined:
            why = "this selection has no log of other sizes: refine=True leaves none"
        elif selection.method in ("removal", "insertion", "kcenter"):
            why = "this selection has no log: with groups of given shares, or a reference, there is none"
        else:
            why = f"method must be removal, insertion or kcenter for a curve, got {selection.method!r}"
        raise ValueError(why)
    lost = _lost_while_picking(history, weights, selection.n_reference)
    fewest = max(1, history.n_forced - selection.n_reference)
    kept = np.arange(fewest, size + 1)
    return Curve(n, kept, lost[kept + selection.n_reference] / (total * ONE))


def _lost_while_picking(history: InsertionHistory, weights: NDArray[np.int64], n_reference: int) -> NDArray[np.int64]:
    """What all rows lose together, in units, when the first 0, 1, 2, ... rows are picked (from n_forced on)."""
    n_classes, n_picked = len(history.indptr) - 1, len(history.picked)
    weight = np.zeros(n_classes, dtype=np.int64)
    np.add.at(weight, history.class_of[: len(weights)], weights)
    similarity = np.rint(history.similarities.astype(np.float64) * ONE).astype(np.int64)
    change = np.diff(similarity, prepend=0)
    change[history.indptr[:-1]] = similarity[history.indptr[:-1]]  # the first of a class, from 0
    weight_of_change = np.repeat(weight, np.diff(history.indptr))
    gained = np.zeros(n_picked + 2, dtype=np.int64)
    np.add.at(gained, history.places + 1, weight_of_change * change)  # a class that is picked changes to itself
    return int(weight.sum()) * ONE - np.cumsum(gained)[: n_picked + 1]
