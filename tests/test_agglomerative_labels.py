from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from embeddings import ALL, smooth
from numpy.typing import NDArray
from reference import unit_rows
from reference_agglomerative import agglomerative

import pyredund
from pyredund import _agglomerative_stages

LINKAGES = ["average", "complete", "single"]


@pytest.fixture(params=[False, True], ids=["as it is", "many stages"])
def stages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Limits so low that a few rows go through all that many rows go through."""
    if request.param:
        for name, value in {"FEW": 30, "PER_CLUSTER": 2, "FEW_POINTS": 4, "FEW_ROWS": 4, "SAMPLE": 16}.items():
            monkeypatch.setattr(_agglomerative_stages, name, value)
    return bool(request.param)


def assert_is_the_definition(x: NDArray[Any], n_clusters: int, linkage: str, **arguments: Any) -> None:
    expected = agglomerative(x, n_clusters, linkage)
    labels, merges = pyredund.agglomerative_labels(x, n_clusters, linkage=linkage, return_merges=True, **arguments)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, expected.labels)
    np.testing.assert_array_equal(merges, expected.merges)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ALL)
@pytest.mark.usefixtures("stages")
def test_labels_and_merges_are_those_of_the_definition(data: str, linkage: str) -> None:
    for seed in range(3):
        for n in (1, 2, 3, 11, 70):
            for n_clusters in sorted({1, min(2, n), -(-n // 10), -(-n // 2), n - n // 10, n}):
                assert_is_the_definition(ALL[data](n, seed), n_clusters, linkage)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ALL)
@pytest.mark.usefixtures("stages")
def test_threads_and_instruction_sets_change_nothing(
    data: str, linkage: str, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYREDUND_ISA", isa)
    x = ALL[data](120, 7)
    expected = agglomerative(x, 20, linkage)
    for n_threads in (1, 2, 5):
        found = pyredund.agglomerative_labels(x, 20, linkage=linkage, return_merges=True, n_threads=n_threads)
        np.testing.assert_array_equal(found[0], expected.labels)
        np.testing.assert_array_equal(found[1], expected.merges)


def scipy_merges(x: NDArray[Any], linkage: str) -> NDArray[np.float64]:
    """SciPy's on all distances, in float64, of the unit rows; no zero rows."""
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    distance = pytest.importorskip("scipy.spatial.distance")
    rows = unit_rows(x).astype(np.float64)
    merges: NDArray[np.float64] = hierarchy.linkage(distance.pdist(rows, "cosine"), linkage)
    return merges


def cut(merges: NDArray[np.float64], n: int, n_clusters: int) -> NDArray[np.int64]:
    """The clusters, numbered by their lowest rows, that the first n - n_clusters merges make."""
    members = [[row] for row in range(n)]
    for a, b in merges[: n - n_clusters, :2].astype(int).tolist():
        members.append(members[a] + members[b])
        members[a] = members[b] = []
    lowest = np.empty(n, dtype=np.int64)
    for rows in filter(None, members):
        lowest[rows] = min(rows)
    return np.unique(lowest, return_inverse=True)[1].astype(np.int64)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.usefixtures("stages")
def test_the_partition_is_scipys_wherever_heights_differ(linkage: str) -> None:
    compared = 0
    for seed, n, dim in ((0, 300, 5), (1, 300, 24), (2, 500, 3)):
        x = smooth(n, seed, dim)
        theirs = scipy_merges(x, linkage)
        for n_clusters in (n - 1, n - n // 10, n // 2, n // 10, 7, 2):
            last, after = theirs[n - n_clusters - 1 : n - n_clusters + 1, 2]
            if after - last < 1e-9:
                continue  # either may merge first
            labels, merges = pyredund.agglomerative_labels(x, n_clusters, linkage=linkage, return_merges=True)
            np.testing.assert_array_equal(labels, cut(theirs, n, n_clusters))
            np.testing.assert_allclose(merges[:, 2], theirs[: len(merges), 2], rtol=0, atol=1e-6)
            np.testing.assert_array_equal(cut(merges, n, n_clusters), labels)
            compared += 1
    assert compared >= 16


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ALL)
@pytest.mark.usefixtures("stages")
def test_every_merge_is_one_of_least_height(data: str, linkage: str) -> None:
    """Whatever the ties: the heights are those of the clusters merged, and none lower was left."""
    x = ALL[data](60, 2)
    rows = unit_rows(x).astype(np.float64)
    distances = 1 - rows @ rows.T
    same = (rows[:, None] == rows[None]).all(axis=2)
    distances[same] = 0
    reduce: Any = {"average": np.mean, "complete": np.max, "single": np.min}[linkage]
    clusters = {row: [row] for row in range(60)}
    _, merges = pyredund.agglomerative_labels(x, 1, linkage=linkage, return_merges=True)
    zero_rows = ~rows.any(axis=1)
    for step, (a, b, height, size) in enumerate(merges.tolist()):
        ids = list(clusters)
        between = {
            (i, j): float(reduce(distances[np.ix_(clusters[i], clusters[j])]))
            for place, i in enumerate(ids)
            for j in ids[place + 1 :]
        }
        if not (linkage == "average" and zero_rows.sum() > 1):  # of zero rows the mean's own product is 0, not 1
            pair = (int(a), int(b)) if (int(a), int(b)) in between else (int(b), int(a))
            assert between[pair] == pytest.approx(height, abs=1e-6)
            assert between[pair] <= min(between.values()) + 1e-6
        clusters[60 + step] = clusters.pop(int(a)) + clusters.pop(int(b))
        assert len(clusters[60 + step]) == size


@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_cut_is_a_prefix_of_a_deeper_one(linkage: str) -> None:
    x = smooth(2600, 3, 8)
    _, deep = pyredund.agglomerative_labels(x, 1, linkage=linkage, return_merges=True)
    for n_clusters in (2, 260, 2300, 2599):
        labels, merges = pyredund.agglomerative_labels(x, n_clusters, linkage=linkage, return_merges=True)
        np.testing.assert_array_equal(merges, deep[: 2600 - n_clusters])
        np.testing.assert_array_equal(labels, cut(deep, 2600, n_clusters))


@pytest.mark.parametrize("linkage", LINKAGES)
def test_many_rows_are_clustered_as_scipy_does(linkage: str) -> None:
    """Enough for a sketch where one is made always, and for stages as they are."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6000, 6)) @ rng.normal(size=(6, 32)) + 0.1 * rng.normal(size=(6000, 32))
    theirs = scipy_merges(x, linkage)
    for n_clusters in (5400, 600, 60):
        assert np.diff(theirs[6000 - n_clusters - 1 : 6000 - n_clusters + 1, 2]) > 1e-9
        labels = pyredund.agglomerative_labels(x, n_clusters, linkage=linkage)
        np.testing.assert_array_equal(labels, cut(theirs, 6000, n_clusters))


@pytest.mark.parametrize("n", [255, 256, 257, 1500])
@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_few_hundred_rows_are_clustered_as_scipy_does(n: int, linkage: str) -> None:
    """Around the size up to which all pairs are candidates at once, and above."""
    x = np.random.default_rng(n).normal(size=(n, 12)).astype(np.float32)
    theirs = scipy_merges(x, linkage)
    for n_clusters in (n * 9 // 10, n // 2, n // 10, 2):
        labels = pyredund.agglomerative_labels(x, n_clusters, linkage=linkage)
        np.testing.assert_array_equal(labels, cut(theirs, n, n_clusters))


def test_2000_rows_take_less_memory_than_a_tenth_of_their_pairs() -> None:
    """In a process of its own, since peaks never fall."""
    code = """
import resource
import numpy as np
import pyredund
rows = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
pyredund.agglomerative_labels(rows[:300], 200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pyredund.agglomerative_labels(rows, 1800)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    taken = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert taken <= 22_000  # KiB; all pairs of candidates would take 220,000


@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_clump_of_near_copies_needs_no_room_for_its_pairs(linkage: str) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(9000, 16))
    x[:4000] = x[0] + 1e-4 * rng.normal(size=(4000, 16))  # 8 million pairs
    x = x[rng.permutation(9000)].astype(np.float32)
    labels = pyredund.agglomerative_labels(x, 5001, linkage=linkage, max_memory=64 << 20)
    assert sorted(np.bincount(labels).tolist())[-2:] == [1, 4000]


def test_100_000_equal_rows_take_no_time() -> None:
    x = np.ones((100_000, 8), dtype=np.float32)
    start = time.perf_counter()
    labels, merges = pyredund.agglomerative_labels(x, 50_000, return_merges=True)
    assert time.perf_counter() - start < 2
    assert np.bincount(labels).tolist() == [50_001] + [1] * 49_999
    assert (merges[:, 2] == 0).all()


@pytest.mark.parametrize("linkage", LINKAGES)
def test_zero_rows_merge_with_each_other_first(linkage: str) -> None:
    x = np.eye(5)[[0, 1, 2, 3]] + 0.1
    x = np.concatenate([x, np.zeros((2, 5))])
    assert pyredund.agglomerative_labels(x, 5, linkage=linkage).tolist() == [0, 1, 2, 3, 4, 4]
    assert_is_the_definition(x, 1, linkage)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be at least 1, got 0"),
        ({"n_clusters": 8}, ValueError, r"n_clusters must be at most 7 \(the rows, n=7\), got 8"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters must be an integer, got 2.0"),
        ({"n_clusters": True}, TypeError, "n_clusters must be an integer"),
        ({"linkage": "ward"}, ValueError, "linkage must be one of average, complete, single, got 'ward'"),
        ({"linkage": None}, TypeError, "linkage must be a string"),
        ({"return_merges": 1}, TypeError, "return_merges must be True or False, got 1"),
        ({"device": "cuda"}, ValueError, "have CUDA kernels"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ({"progress": 1}, TypeError, "progress must be"),
        ({"max_memory": 0}, ValueError, "max_memory must be at least 1, got 0"),
        ({"max_memory": 100}, MemoryError, "clustering 7 rows would take .* more than max_memory=100"),
        ({"embeddings": np.empty((0, 3))}, ValueError, "embeddings must have at least 1 row to cluster, got 0"),
        ({"embeddings": [[1.0, float("nan")]], "n_clusters": 1}, ValueError, "embeddings must be finite: 1 of 1 rows"),
    ],
)
def test_mistakes_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.agglomerative_labels(**{"embeddings": smooth(7), "n_clusters": 3, **arguments})


def test_more_equally_close_pairs_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_agglomerative_stages, "FEW", 1000)
    with pytest.raises(MemoryError, match="whose nearest neighbours lie at about equal distances, 1"):
        pyredund.agglomerative_labels(np.eye(300), 100, max_memory=4 << 20)


def test_progress_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    pyredund.agglomerative_labels(smooth(4000, 1, 8), 400, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert all(0 <= done <= total for done, total in seen)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_ctrl_c_ends_it_soon(linkage: str) -> None:
    x = np.random.default_rng(0).normal(size=(120_000, 32)).astype(np.float32)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for delay in (0.15, 0.6):
            sent = [0.0]

            def send(sent: list[float] = sent) -> None:
                sent[0] = time.perf_counter()
                os.kill(os.getpid(), signal.SIGINT)

            timer = threading.Timer(delay, send)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                pyredund.agglomerative_labels(x, 4000, linkage=linkage)
            assert time.perf_counter() - sent[0] < 0.5  # 0.2 s on a machine that does nothing else
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
