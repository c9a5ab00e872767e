from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from embeddings import ALL, smooth

import pyredund
from pyredund._closest import Listed, closest_kept
from pyredund._engine import Engine
from pyredund._given_graph import distinct_graph
from pyredund._inputs import row_source
from pyredund._insertion import insertion
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


@pytest.mark.parametrize("data", ALL)
def test_lists_of_rows_do_as_well_as_those_of_distinct_rows(data: str) -> None:
    for n, k, seed in ((20, 3, 0), (120, 8, 1), (121, 40, 2)):
        x, rng, engine = ALL[data](n, seed), np.random.default_rng(seed), Engine.resolve(2)
        x = x[rng.integers(n, size=n)]  # copies, also of rows whose first is of a higher number
        rows, graph = unit_rows("x", row_source("x", x), engine), pyredund.knn_graph(x, min(k, n - 1))
        if rows.class_of is None:
            continue
        distinct = distinct_graph(rows, graph)
        weights = rng.integers(0, 5, size=rows.n_distinct)
        for own_weights in (None, weights):
            for n_keep, forced in ((1, []), (n // 3, [n - 1, 0]), (rows.n_distinct, []), (n, rng.permutation(n)[:5])):
                given = n_keep, np.unique(np.array(forced, dtype=np.int64)), own_weights, engine
                found = insertion(rows, graph, *given, of_rows=True)
                for mine, expected in zip(found, insertion(rows, distinct, *given), strict=True):
                    np.testing.assert_array_equal(mine, expected)
        for share in (0.05, 0.5, 0.95):
            kept = np.union1d(np.flatnonzero(rng.random(n) < share), n - 1)
            found_closest = closest_kept(rows, kept, engine, Listed(graph, are_even=False, of_rows=True))
            for one, expected_one in zip(found_closest, closest_kept(rows, kept, engine), strict=True):
                np.testing.assert_array_equal(one, expected_one)


MEASURED = """
import ctypes, gc, json, sys, numpy as np, pyredund
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._insertion import node_weights
from pyredund._unit_rows import unit_rows
from pyredund.bench._child import resident, start_of_peak
method, n = sys.argv[1], int(sys.argv[2])
rows = np.random.default_rng(0).normal(size=(n, 4)).round(2).astype(np.float32)
graph = pyredund.radius_graph(rows, 0.9999) if method == "deduplicate" else pyredund.knn_graph(rows, 16)
lists = graph.indptr, graph.indices, graph.similarities
units = unit_rows("rows", row_source("rows", rows), Engine.resolve())
counts = node_weights(units, None, of_rows=True)
index = pyredund._core.edges_one_way(*lists, counts, 2)[1].nbytes * 2 + 8 * n if method == "insertion" else 0
del units, counts
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # or what the graph left over would be taken again, and not be seen
before = start_of_peak()
if method == "deduplicate":
    selection = pyredund.deduplicate(rows, 0.9999, graph=graph)
else:
    selection = pyredund.select(rows, 0.9 if method == "removal" else 0.1, method=method, graph=graph)
extra = resident("VmHWM") - before - rows.shape[0] * 8 * 4 - index
print(json.dumps([extra / n, len(np.unique(rows, axis=0)) < n]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads peaks from /proc")
@pytest.mark.parametrize("method", ["removal", "insertion", "deduplicate"])
def test_a_selection_takes_64_bytes_a_row_beside_rows_and_graph(method: str) -> None:
    """Unit rows aside, and for insertion the index of who lists whom; a fixed part of a few MiB does not grow."""
    command = [sys.executable, "-c", MEASURED, method]
    found = [
        json.loads(subprocess.run([*command, str(n)], stdout=subprocess.PIPE, text=True, check=True).stdout)
        for n in (100_000, 400_000)
    ]
    assert all(has_copies for _, has_copies in found)
    assert (found[1][0] * 4 - found[0][0]) / 3 < 64, found
