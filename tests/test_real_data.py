from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import knn, similarity_matrix

import pyredund
from benchmarks.datasets import fashion_mnist, pca
from pyredund._digits import digits


@pytest.fixture(scope="module")
def embeddings() -> NDArray[np.float32]:
    try:
        images, _ = fashion_mnist("train")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return pca(images, 64)


@pytest.mark.real_data
def test_graph_of_60_000_images_holds_the_true_neighbours(embeddings: NDArray[np.float32]) -> None:
    graph = pyredund.knn_graph(embeddings)
    some = np.random.default_rng(0).choice(len(embeddings), 50, replace=False)
    scores = similarity_matrix(embeddings[some], embeddings)
    scores[np.arange(50), some] = -2  # not its own neighbour
    indices, similarities = knn(scores, 32, exclude_self=False)
    np.testing.assert_array_equal(graph.indices.reshape(-1, 32)[some], indices)
    np.testing.assert_array_equal(graph.similarities.reshape(-1, 32)[some], similarities)


@pytest.mark.real_data
def test_nine_tenths_of_60_000_images(embeddings: NDArray[np.float32]) -> None:
    before = embeddings.copy()
    selection = pyredund.select(embeddings, keep=0.9)
    assert len(selection.indices) == 54_000
    selection.verify(embeddings)
    np.testing.assert_array_equal(embeddings, before)
    lost = {"removal": 1 - selection.similarities[selection.removed].mean(dtype=np.float64)}
    for method in ("insertion", "random"):
        other = pyredund.select(embeddings, keep=0.9, method=method)
        lost[method] = 1 - other.similarities[other.removed].mean(dtype=np.float64)
    assert lost["removal"] < lost["insertion"] < lost["random"] / 3


@pytest.mark.parametrize("method", ["removal", "insertion", "random"])
@pytest.mark.parametrize("keep", [0.9, 0.05])
def test_digits(method: str, keep: float) -> None:
    images, _ = digits()
    rows = images.reshape(len(images), 64)
    selection = pyredund.select(rows, keep, method=method)
    assert len(selection.indices) == round(keep * 1797)
    selection.verify(rows)
