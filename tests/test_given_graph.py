from __future__ import annotations

import numpy as np
from embeddings import smooth

import pyredund
from pyredund._engine import Engine
from pyredund._given_graph import distinct_graph
from pyredund._inputs import row_source
from pyredund._unit_rows import unit_rows


def test_lists_of_distinct_rows_hold_each_other_class_once_where_it_comes_first() -> None:
    rows = smooth(40)
    rows = rows[np.random.default_rng(1).integers(40, size=100)]  # copies, shuffled
    graph = pyredund.knn_graph(rows, 30)
    held = unit_rows("embeddings", row_source("embeddings", rows), Engine.resolve())
    assert held.class_of is not None
    found = distinct_graph(held, graph)
    assert found.n_rows == found.n_columns == held.n_distinct
    for c, row in enumerate(held.first):
        edges = slice(graph.indptr[row], graph.indptr[row + 1])
        classes = held.class_of[graph.indices[edges]].tolist()
        expected = list(dict.fromkeys(other for other in classes if other != c))
        own = slice(found.indptr[c], found.indptr[c + 1])
        assert found.indices[own].tolist() == expected
        similarities = dict(zip(reversed(classes), reversed(graph.similarities[edges].tolist()), strict=True))
        assert found.similarities[own].tolist() == [similarities[other] for other in expected]


def test_a_graph_of_distinct_rows_is_taken_as_it_is() -> None:
    rows = smooth(40)
    graph = pyredund.knn_graph(rows, 5)
    held = unit_rows("embeddings", row_source("embeddings", rows), Engine.resolve())
    assert distinct_graph(held, graph) is graph
