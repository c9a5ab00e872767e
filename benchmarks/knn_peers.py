"""Libraries that find nearest neighbours, each as its own documentation would have it used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund
from benchmarks.machine import load_faiss

K = 32
TORCH_BLOCK = 1024  # rows whose similarities to all rows are in memory at a time
HNSW_SETTINGS = ((8, 40), (16, 64))  # links of a row, and rows kept in mind in building and in searching

Rows = NDArray[np.float32]
Neighbours = NDArray[np.integer[Any]]  # as each library returns them


@dataclass(frozen=True)
class KnnPeer:
    """A way to find nearest neighbours.

    Parameters
    ----------
    module : str
        What must be importable.
    exact : bool
        Whether it claims to find all of them.
    rounds : int
        How often to repeat it at 60,000 x 64.
    search : callable
        From unit rows, the number of neighbours and of threads to neighbours, best first, the row itself
        possibly among them. Building an index is part of it.
    """

    module: str
    exact: bool
    rounds: int
    search: Callable[[Rows, int, int], Neighbours]

    def rounds_for(self, rows: Rows) -> int:
        """Repetitions that are bearable for these rows."""
        return self.rounds if rows.shape[1] <= 128 or self.module == "pyredund" else 1


def by_pyredund(rows: Rows, k: int, n_threads: int) -> Neighbours:
    return pyredund.knn_graph(rows, k, n_threads=n_threads).indices.reshape(len(rows), k)


def by_faiss(rows: Rows, k: int, n_threads: int) -> Neighbours:
    faiss = load_faiss()
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return np.asarray(index.search(rows, k + 1)[1])


def by_sklearn(rows: Rows, k: int, n_threads: int) -> Neighbours:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", metric="cosine").fit(rows)
    return np.asarray(search.kneighbors(rows, return_distance=False))


def by_torch(rows: Rows, k: int, n_threads: int) -> Neighbours:
    import torch

    tensor = torch.tensor(rows)
    blocks = [tensor[start : start + TORCH_BLOCK] for start in range(0, len(rows), TORCH_BLOCK)]
    found = [(block @ tensor.T).topk(k + 1, dim=1).indices for block in blocks]
    return np.asarray(torch.cat(found).numpy())


def by_pynndescent(rows: Rows, k: int, n_threads: int) -> Neighbours:
    from pynndescent import NNDescent

    index = NNDescent(rows, metric="cosine", n_neighbors=k + 1, n_jobs=n_threads, random_state=0)
    return np.asarray(index.neighbor_graph[0])


def by_hnswlib(links: int, ef: int, rows: Rows, k: int, n_threads: int) -> Neighbours:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=links, ef_construction=ef, random_seed=0)
    index.set_num_threads(n_threads)
    index.set_ef(max(ef, k + 1))
    index.add_items(rows)
    return np.asarray(index.knn_query(rows, k + 1)[0])


KNN_PEERS = {
    "pyredund": KnnPeer("pyredund", True, 3, by_pyredund),
    "faiss IndexFlatIP": KnnPeer("faiss", True, 3, by_faiss),
    "scikit-learn brute": KnnPeer("sklearn", True, 1, by_sklearn),
    "torch matmul + topk": KnnPeer("torch", True, 1, by_torch),
    "pynndescent": KnnPeer("pynndescent", False, 1, by_pynndescent),
    **{
        f"hnswlib M={links} ef={ef}": KnnPeer("hnswlib", False, 1, partial(by_hnswlib, links, ef))
        for links, ef in HNSW_SETTINGS
    },
}
