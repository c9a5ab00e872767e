"""Arms of the experiment: each says which rows of the pool a network is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.fashion_mnist.cache import kept
from benchmarks.fashion_mnist.embedding import embedding
from benchmarks.fashion_mnist.images import LabelledImages
from pyredund._checks import count_to_keep
from pyredund._groups import Seats

Rows = NDArray[np.int64]
BY_CLASS = "-by-class"  # ending of a selection made within each class, which keeps its share: needs labels
SUPERVISED = "-supervised"  # ending of one in the embedding that was trained on labels
LIKE = "like-"  # a random sample with as many rows of each class as that selection
LIST = "list"  # rows from a file
BASELINES = ("full", "random", "stratified")
METHODS = ("removal", "insertion", "kcenter", "agglomerative")
ARMS = (
    *BASELINES,
    "like-removal",
    "removal",
    "insertion",
    "kcenter",
    "agglomerative-by-class",
    "removal-by-class",
    "insertion-by-class",
)
TITLES = {
    "full": "all of them",
    "random": "random",
    "stratified": "random, stratified by class",
    "removal": "removal",
    "insertion": "insertion",
    "kcenter": "k-center",
    "agglomerative": "agglomerative",
    LIST: "the list from the file",
}


def title(arm: str) -> str:
    """What a reader calls an arm."""
    if arm.startswith(LIKE):
        return f"random, with the class counts of: {title(arm.removeprefix(LIKE))}"
    name = arm.removesuffix(SUPERVISED)
    how = ", within each class" if name.endswith(BY_CLASS) else ""
    where = ", supervised embedding" if arm.endswith(SUPERVISED) else ""
    return TITLES[name.removesuffix(BY_CLASS)] + how + where


def check(arm: str, listed: Path | None) -> None:
    """Raise ValueError for an arm that is none."""
    name = arm.removeprefix(LIKE)
    if name == LIST:
        if listed is None:
            raise ValueError(f"arm {arm} needs --list FILE")
    elif not (arm in BASELINES or name.removesuffix(SUPERVISED).removesuffix(BY_CLASS) in METHODS):
        raise ValueError(
            f"arms must be among {', '.join(BASELINES)}, {LIST}, {', '.join(METHODS)}, these with {BY_CLASS} or "
            f"{SUPERVISED} behind them, or any selection with {LIKE} before it; got {arm!r}"
        )


def is_drawn(arm: str) -> bool:
    """Whether another seed means other rows; else it is only the training that differs."""
    return arm in ("random", "stratified") or arm.startswith(LIKE)


def rows_of(arm: str, keep: float, seed: int, data: LabelledImages, pool: Rows, listed: Path | None = None) -> Rows:
    """Rows of `data` that an arm keeps of the pool, ascending.

    Parameters
    ----------
    arm : str
        Its name.
    keep : float
        Share of the pool; the list has a size of its own.
    seed : int
        Of the random arms. Selections are deterministic and do not depend on it.
    data : LabelledImages
        The images.
    pool : ndarray of int64
        Rows to choose among, ascending.
    listed : Path, optional
        The .npy file of the arm "list"; what it names outside of the pool is left out.
    """
    check(arm, listed)
    if arm == "full":
        return pool
    labels = data.labels[pool]
    if arm == LIST:
        assert listed is not None
        return np.intersect1d(np.load(listed, allow_pickle=False), pool)
    if arm == "random":
        return np.sort(np.random.default_rng(seed).permutation(pool)[: count_to_keep(keep, len(pool))])
    if arm == "stratified":
        sizes = np.bincount(labels)
        counts = Seats.of(sizes, np.zeros_like(sizes)).counts(count_to_keep(keep, len(pool)))
        return pool[_drawn(labels, counts, seed)]
    if arm.startswith(LIKE):
        chosen = rows_of(arm.removeprefix(LIKE), keep, seed, data, pool, listed)
        return pool[_drawn(labels, np.bincount(data.labels[chosen]), seed)]
    name = f"{data.name}-{data.stamp}-{arm}-{keep}-of-{len(pool)}"
    return kept(name, lambda: pool[_selected(arm, keep, data, pool)])


def _selected(arm: str, keep: float, data: LabelledImages, pool: Rows) -> Rows:
    name = arm.removesuffix(SUPERVISED)
    rows = embedding(data, "supervised" if arm.endswith(SUPERVISED) else "contrastive")[pool]
    groups = data.labels[pool] if name.endswith(BY_CLASS) else None
    return pyredund.select(rows, keep, method=name.removesuffix(BY_CLASS), groups=groups).indices


def _drawn(labels: Rows, counts: Rows, seed: int) -> Rows:
    """Positions, ascending, of a random sample with so many of each class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.sort(np.concatenate([order[labels[order] == label][:count] for label, count in enumerate(counts)]))
