from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fail, succeed
from embeddings import ALL, half_duplicates, smooth
from numpy.typing import NDArray
from reference_agglomerative import agglomerative, kept_rows
from reference_selection import representatives

import pyredund
from pyredund import _agglomerative_stages

LINKAGES = ["average", "complete", "single"]


def assert_is_the_definition(x: NDArray[Any], n_keep: int, linkage: str, **arguments: Any) -> None:
    labels = agglomerative(x, n_keep, linkage).labels
    kept = kept_rows(x, labels, arguments.get("priority"))
    closest, similarities = representatives(x, kept)
    selection = pyredund.select(x, n_keep, method="agglomerative", linkage=linkage, **arguments)
    assert selection.labels is not None
    np.testing.assert_array_equal(selection.labels, labels)
    assert selection.indices.tolist() == kept
    np.testing.assert_array_equal(selection.representatives, closest)
    np.testing.assert_array_equal(selection.similarities, similarities)
    selection.verify(x)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("few", [None, 30])
def test_what_is_kept_is_that_of_the_definition(
    data: str, linkage: str, few: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if few is not None:  # stages and searches for a few rows too
        for name, value in {"FEW": few, "PER_CLUSTER": 2, "FEW_POINTS": 4, "FEW_ROWS": 4, "SAMPLE": 16}.items():
            monkeypatch.setattr(_agglomerative_stages, name, value)
    for seed in range(2):
        for n in (1, 2, 3, 11, 60):
            x = ALL[data](n, seed)
            priority = np.random.default_rng(seed).integers(0, 2, n).astype(np.float64) if seed else None
            for n_keep in sorted({1, -(-n // 10), -(-n // 2), n - n // 10, n}):
                assert_is_the_definition(x, n_keep, linkage, priority=priority)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ALL)
def test_a_graph_changes_nothing(data: str, linkage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FEW": 30, "PER_CLUSTER": 2, "FEW_POINTS": 4, "FEW_ROWS": 4, "SAMPLE": 16}.items():
        monkeypatch.setattr(_agglomerative_stages, name, value)
    x = ALL[data](60, 3)
    for n_keep in (5, 30, 54):
        for k in (1, 2, 8, 59):
            assert_is_the_definition(x, n_keep, linkage, k=k)
            assert_is_the_definition(x, n_keep, linkage, graph=pyredund.knn_graph(x, k))


@pytest.mark.parametrize("linkage", LINKAGES)
def test_threads_never_change_a_byte(linkage: str) -> None:
    x = ALL["clumps"](3000, 4)
    one, *others = (
        pyredund.select(x, 0.7, method="agglomerative", linkage=linkage, n_threads=n_threads) for n_threads in (1, 2, 5)
    )
    one.verify(x)
    for other in others:
        for name in ("indices", "removed", "representatives", "similarities", "labels"):
            assert getattr(other, name).tobytes() == getattr(one, name).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"labels": s.labels[::-1]}, "labels must number 30 clusters by their lowest rows"),
        (lambda s: {"labels": np.zeros_like(s.labels)}, "labels must number 30 clusters"),
        (lambda s: {"labels": swapped(s)}, "must have one kept row"),
    ],
)
def test_verify_finds_wrong_labels(change: Any, message: str) -> None:
    x = smooth(60)
    selection = pyredund.select(x, 30, method="agglomerative")
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(selection, **change(selection)).verify(x)


def swapped(selection: pyredund.Selection) -> NDArray[np.int64]:
    """Labels with the kept row of one cluster, not its lowest, in another one."""
    assert selection.labels is not None
    labels = selection.labels.copy()
    lowest = np.unique(labels, return_index=True)[1]
    row = np.setdiff1d(selection.indices, lowest)[0]
    labels[row] = 0
    return labels


def test_verify_finds_a_row_that_is_not_the_most_central() -> None:
    x = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0], [-1.0, 0.2]])
    selection = pyredund.select(x, 2, method="agglomerative")
    assert selection.indices.tolist()[0] == 1
    other = np.sort(np.append(selection.indices[1:], 0))
    closest, similarities = representatives(x, other.tolist())
    wrong = dataclasses.replace(
        pyredund.Selection.from_kept("agglomerative", other, closest, similarities), labels=selection.labels
    )
    with pytest.raises(ValueError, match="row 0: is kept, but row 1 of the same cluster has a larger sum"):
        wrong.verify(x)


def test_labels_and_linkage_are_saved(tmp_path: Path) -> None:
    selection = pyredund.select(half_duplicates(50), 20, method="agglomerative", linkage="complete")
    selection.save(tmp_path / "selection.npz")
    loaded = pyredund.Selection.load(tmp_path / "selection.npz")
    np.testing.assert_array_equal(loaded.labels, selection.labels)
    assert loaded.linkage == "complete"


def test_other_sizes_are_refused_with_the_call_to_make() -> None:
    selection = pyredund.select(smooth(20), 10, method="agglomerative")
    for keep in (9, 11):
        with pytest.raises(ValueError, match=rf"keep must be 10 here.*keep={keep}, method='agglomerative'\)"):
            selection.at(keep)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"must_keep": [1]}, ValueError, "must_keep must be None with method='agglomerative': two such rows"),
        ({"linkage": "ward"}, ValueError, "linkage must be one of average, complete, single, got 'ward'"),
        ({"reference": np.ones((2, 5))}, ValueError, "reference must be None with method=.agglomerative."),
        ({"method": "removal", "linkage": "single"}, ValueError, "linkage must be left out with method='removal'"),
        ({"keep": 8}, ValueError, "8 asked for, there are 7"),
        ({"max_memory": 100}, MemoryError, "more than max_memory"),
    ],
)
def test_mistakes_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.select(smooth(7), **{"keep": 4, "method": "agglomerative", **arguments})


def test_the_command_takes_a_linkage(tmp_path: Path) -> None:
    x = smooth(60)
    np.save(tmp_path / "x.npy", x)
    options = "--method", "agglomerative", "--linkage", "single", "--keep", "20", "--json"
    result = json.loads(succeed("select", tmp_path / "x.npy", *options).stdout)
    assert result["kept"] == pyredund.select(x, 20, method="agglomerative", linkage="single").indices.tolist()
    assert result["parameters"]["linkage"] == "single"
    assert "linkage must be left out" in fail(1, "select", tmp_path / "x.npy", "--linkage", "single")


@pytest.mark.parametrize("linkage", LINKAGES)
def test_each_group_is_clustered_on_its_own(linkage: str) -> None:
    x, groups = ALL["clumps"](70, 5), np.random.default_rng(5).integers(0, 3, 70)
    selection = pyredund.select(x, 30, method="agglomerative", linkage=linkage, groups=groups)
    selection.verify(x)
    assert selection.labels is not None
    assert selection.linkage == linkage
    for group in range(3):
        rows = np.flatnonzero(groups == group)
        kept = np.intersect1d(rows, selection.indices)
        labels = agglomerative(x[rows], len(kept), linkage).labels
        np.testing.assert_array_equal(np.unique(selection.labels[rows], return_inverse=True)[1], labels)
        assert kept.tolist() == rows[kept_rows(x[rows], labels)].tolist()
