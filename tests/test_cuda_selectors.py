"""Pairs, removal and insertion by CUDA kernels: on a GPU where there is one, and everywhere in an emulation of one."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from embeddings import ALL
from emulated_cuda import OnDevice
from exact_graphs import AWKWARD, bytes_of, units

import pyredund
from pyredund import _core
from pyredund._device import insertion_on_gpu
from pyredund._engine import Engine
from pyredund._knn_graph import search_distinct
from pyredund._removal import removal, removal_by_rounds


def graphs_are_equal(a: pyredund.NeighborGraph, b: pyredund.NeighborGraph) -> bool:
    return bytes_of(a) == bytes_of(b) and a.indptr.tobytes() == b.indptr.tobytes()


def same_radius_graphs(x: Any, threshold: float, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    expected = pyredund.radius_graph(x, threshold)
    others = pyredund.radius_graph(x, threshold, reference=x[: len(x) // 2 + 1])
    with monkeypatch.context() as patch:
        resolve = Engine.resolve
        patch.setattr(Engine, "resolve", staticmethod(lambda *arguments: replace(resolve(*arguments), **changes)))
        assert graphs_are_equal(pyredund.radius_graph(x, threshold, device="cuda"), expected)
        on_gpu = pyredund.radius_graph(x, threshold, reference=x[: len(x) // 2 + 1], device="cuda")
        assert graphs_are_equal(on_gpu, others)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", AWKWARD)
def test_pairs_are_exact_on_awkward_rows(name: str, plain: bool, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x = AWKWARD[name](np.random.default_rng(9))
    for threshold in (-1.0, 0.6, 1.0) if plain else (-1.0, 0.0, 0.6, 0.999, 1.0):
        same_radius_graphs(x, threshold, monkeypatch, plain_cuda=plain)


# Around tiles of 128, with odd and even numbers of them; few places for pairs, so that steps are halved and then grown.
@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 257, 384, 640])
@pytest.mark.parametrize("bytes_", [0, 20_000])
def test_pairs_are_exact_around_tiles(n: int, bytes_: int, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(n).normal(size=(n, 5))
    for threshold in (0.2, 0.97):
        same_radius_graphs(x, threshold, monkeypatch, cuda_bytes=bytes_)


@pytest.mark.parametrize("dim", [1, 8, 17, 64, 65, 129, 300])
def test_pairs_are_exact_in_any_dimension(dim: int, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    same_radius_graphs(np.random.default_rng(dim).normal(size=(130, dim)), 0.1, monkeypatch)


def test_pairs_of_embeddings_on_a_device_are_the_same(emulated: ModuleType) -> None:
    x = np.concatenate([np.random.default_rng(10).normal(size=(90, 7)), np.ones((4, 7))]).astype(np.float32)
    for rows in (x[:90], x):
        expected = pyredund.radius_graph(rows, 0.3)
        assert graphs_are_equal(pyredund.radius_graph(OnDevice(rows), 0.3, device="cuda"), expected)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        pyredund.radius_graph(OnDevice(np.full((3, 2), np.inf)), 0.3, device="cuda")
    with pytest.raises(MemoryError, match="a higher threshold leaves fewer"):
        pyredund.radius_graph(OnDevice(x), -1.0, device="cuda", max_memory=100_000)


@pytest.mark.parametrize("data", ALL)
def test_insertion_picks_the_same_rows(data: str, tensor_engine: Engine) -> None:
    for n, seed in ((2, 0), (40, 1), (150, 2)):
        rows = units(ALL[data](n, seed))
        weights = (rows.counts * np.random.default_rng(seed).integers(1, 4, size=rows.n_distinct)).astype(np.int32)
        graph = search_distinct(rows, min(6, rows.n_distinct - 1), Engine.resolve(1))
        lists, none = (graph.indptr, graph.indices, graph.similarities), np.empty(0, dtype=np.int32)
        for n_pick in {1, 2, rows.n_distinct // 3 + 1, rows.n_distinct}:
            expected = _core.insertion(*lists, weights, none, n_pick, 1, None)
            found = insertion_on_gpu(graph, weights, n_pick, tensor_engine)
            assert [part.tolist() for part in found] == [part.tolist() for part in expected]


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("k", [4, 20])
def test_removal_has_the_same_log(data: str, k: int, tensor_engine: Engine) -> None:
    """Rows of which no two are identical, with ties, clumps, priorities and rows that have to stay."""
    n_compared = 0
    for n, seed in ((3, 0), (40, 1), (150, 2), (150, 3)):
        rng, x = np.random.default_rng(seed), ALL[data](n, seed)
        rows = units(units(x).matrix[:, : x.shape[1]])  # one of each class
        assert rows.class_of is None
        n = rows.n_rows
        priority, weights = rng.integers(0, 3, size=n).astype(np.int32), rng.integers(1, 4, size=n)
        graph = search_distinct(rows, min(k, n - 1), Engine.resolve(1))
        forced = np.flatnonzero(rng.random(n) < 0.1)
        for n_keep in {max(1, len(forced)), n // 2 + 1, n - n // 10 - 1}:
            if n_keep < len(forced) or n < 3:
                continue
            on_cpu, costs = removal(rows, graph, n_keep, priority, forced, weights, Engine.resolve(1))
            removable = np.ones(n, dtype=np.int32)
            removable[forced] = 0
            log = removal_by_rounds(rows, graph, removable, priority, weights, n - n_keep, tensor_engine)
            if log is None:  # a list of all rows ran out
                assert n_keep < 3
                continue
            n_compared += 1
            assert log["removed"].tolist() == on_cpu.removed.tolist()
            assert log["costs"].tolist() == costs.tolist()
            for name in ("moved_ptr", "moved", "nearest", "similarities"):
                assert log[name].tolist() == getattr(on_cpu, name).tolist()
    assert n_compared >= 6


def test_lists_that_run_out_become_longer(tensor_engine: Engine) -> None:
    x = np.random.default_rng(4).normal(size=(60, 5))
    rows, runs = units(x), list[dict[str, int]]()
    engine = replace(tensor_engine, count=lambda counts: runs.append(counts) if "rounds" in counts else None)
    graphs = [pyredund.radius_graph(x, 0.9), pyredund.knn_graph(x, 1), pyredund.knn_graph(x, 2)]
    assert np.diff(graphs[0].indptr).min() == 0
    for graph in graphs:
        for n_remove in (3, 50):
            right, costs = removal(
                rows, graph, 60 - n_remove, None, np.empty(0, dtype=np.int64), None, Engine.resolve(1)
            )
            runs.clear()
            log = removal_by_rounds(rows, graph, None, None, None, n_remove, engine)
            assert log is not None
            assert len(runs) >= 2
            assert log["removed"].tolist() == right.removed.tolist()
            assert log["costs"].tolist() == costs.tolist()
            assert log["moved"].tolist() == right.moved.tolist()
    runs.clear()
    assert removal_by_rounds(rows, pyredund.knn_graph(x, 30), None, None, None, 3, engine) is not None
    assert len(runs) == 1


def test_removal_leaves_to_the_cpu_what_lists_cannot_say(tensor_engine: Engine) -> None:
    x = np.random.default_rng(4).normal(size=(60, 5))
    rows, graph = units(x), pyredund.knn_graph(x, 2)
    assert removal_by_rounds(rows, graph, None, None, None, 59, tensor_engine) is None  # one is left, and no second
    every_other = pyredund.knn_graph(x, 4).indices.reshape(60, 4)[:, 1::2].ravel()
    falling = np.tile(np.array([0.6, 0.5], dtype=np.float32), 60)
    foreign = pyredund.NeighborGraph(graph.indptr, every_other, falling, 60, 60)
    lower = np.nextafter(graph.similarities, np.float32(-1))
    rounded = pyredund.NeighborGraph(graph.indptr, graph.indices, lower, 60, 60)
    for made_by_others in (foreign, rounded):
        assert removal_by_rounds(rows, made_by_others, None, None, None, 50, tensor_engine) is None


@pytest.mark.parametrize("method", ["removal", "insertion"])
def test_whole_selections_are_the_same(method: str, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    cases = [rng.normal(size=(200, 6)), np.concatenate([rng.normal(size=(150, 6)), np.ones((9, 6))])]
    expected = [pyredund.select(x, keep, method=method, k=7) for x in cases for keep in (0.1, 0.9)]
    resolve = Engine.resolve
    monkeypatch.setattr(
        Engine, "resolve", staticmethod(lambda *arguments: replace(resolve(*arguments), cuda_selectors=True))
    )
    found = [pyredund.select(x, keep, method=method, k=7, device="cuda") for x in cases for keep in (0.1, 0.9)]
    for here, there in zip(found, expected, strict=True):
        assert here.indices.tolist() == there.indices.tolist()
        assert here.removed.tolist() == there.removed.tolist()
        assert here.representatives.tolist() == there.representatives.tolist()
        for name in ("costs", "gains"):
            mine, right = getattr(here, name), getattr(there, name)
            assert (mine is None and right is None) or mine.tobytes() == right.tobytes()


def test_deduplication_is_the_same(cuda: None) -> None:
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.normal(size=(250, 6)), 1 + 1e-3 * rng.normal(size=(200, 6)), np.ones((20, 6))])
    for options in ({}, {"reference": x[::9]}, {"graph": pyredund.radius_graph(x, 0.8, device="cuda")}):
        here, there = (pyredund.deduplicate(x, 0.9, device=device, **options) for device in ("cuda", "cpu"))
        assert np.array_equal(here.indices, there.indices)
        assert np.array_equal(here.representatives, there.representatives)
        assert here.similarities.tobytes() == there.similarities.tobytes()
