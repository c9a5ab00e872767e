"""The CUDA kernels: on a GPU where there is one, and everywhere in an emulation of one on the CPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from emulated_cuda import ROOT, OnDevice, build, load
from exact_graphs import AWKWARD, assert_is_exact, bytes_of, units

import pyredund
from pyredund import _device
from pyredund._engine import Engine
from pyredund._knn_graph import query, search, search_reference


# Around the eight lanes of a score, the 16 coordinates of a slice and the 64 of a chunk.
@pytest.mark.parametrize("dim", [1, 7, 8, 9, 15, 16, 17, 48, 63, 64, 65, 128, 129, 300])
def test_neighbours_are_exact_in_any_dimension(dim: int, engine: Engine) -> None:
    x = np.random.default_rng(dim).normal(size=(130, dim))
    assert_is_exact(search(units(x), 7, engine), x, 7)


@pytest.mark.parametrize("name", AWKWARD)
def test_neighbours_are_exact_on_awkward_rows(name: str, engine: Engine) -> None:
    x = AWKWARD[name](np.random.default_rng(5))
    others = AWKWARD[name](np.random.default_rng(7))[: len(x) // 2 + 3]
    for k in (10,) if engine.plain_cuda else (1, 10, len(x) - 1):
        assert_is_exact(search(units(x), k, engine), x, k)
    for k in (9,) if engine.plain_cuda else (1, 9, len(others)):
        assert_is_exact(search_reference(units(x), units(others), k, engine), x, k, others)


# Around tiles of 128, with odd and even numbers of them, and waves that double.
@pytest.mark.parametrize("n", [2, 3, 31, 127, 128, 129, 256, 257, 384, 640])
def test_sizes_around_tiles_are_exact(n: int, tensor_engine: Engine) -> None:
    rng = np.random.default_rng(n)
    rows, others = units(rng.normal(size=(n, 5))), units(rng.normal(size=(n, 5)))
    for k in {1, min(n - 1, 40)}:
        assert bytes_of(search(rows, k, tensor_engine)) == bytes_of(search(rows, k, Engine.resolve(1)))
    few = units(rng.normal(size=(3, 5)))
    for queries, columns in ((rows, others), (few, rows), (rows, few)):
        k = min(9, columns.n_rows)
        on_gpu = search_reference(queries, columns, k, tensor_engine)
        assert bytes_of(on_gpu) == bytes_of(search_reference(queries, columns, k, Engine.resolve(1)))


@pytest.mark.parametrize("k", [63, 64, 65, 128, 400, 1024, 1025])
def test_any_k_is_exact(k: int, tensor_engine: Engine) -> None:
    rng = np.random.default_rng(k)
    queries, others = units(rng.normal(size=(20, 6))), units(rng.normal(size=(1500, 6)))
    on_gpu = search_reference(queries, others, k, tensor_engine)
    assert bytes_of(on_gpu) == bytes_of(search_reference(queries, others, k, Engine.resolve(1)))


def test_lists_longer_than_the_plain_kernel_holds_are_found_in_passes(engine: Engine) -> None:
    rng = np.random.default_rng(1)
    queries, others = units(rng.normal(size=(2, 5))), units(rng.integers(-4, 5, size=(6000, 5)))
    on_gpu = search_reference(queries, others, 4400, engine)
    assert others.n_distinct > 4400
    assert bytes_of(on_gpu) == bytes_of(search_reference(queries, others, 4400, Engine.resolve(1)))


def test_rows_that_are_excluded_are_left_out(engine: Engine) -> None:
    rows = units(np.random.default_rng(2).normal(size=(300, 4)))
    excluded = np.where(np.arange(300) % 3 == 0, -1, np.arange(300)).astype(np.int32)
    on_gpu = query(rows.matrix, rows.matrix, 4, 5, engine, excluded)
    on_cpu = query(rows.matrix, rows.matrix, 4, 5, Engine.resolve(1), excluded)
    assert all(np.array_equal(a, b) for a, b in zip(on_gpu, on_cpu, strict=True))


# All similarities lie within the margin of half precision: every pair passes every bar.
@pytest.mark.parametrize("spread", [0.0, 1e-5, 1e-3])
def test_rows_that_lose_pairs_are_searched_again(spread: float, tensor_engine: Engine) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([np.ones((500, 8)) + spread * rng.normal(size=(500, 8)), rng.normal(size=(100, 8))])
    counts: list[dict[str, int]] = []
    rows = units(x)
    graph = search(rows, 8, replace(tensor_engine, count=counts.append))
    assert bytes_of(graph) == bytes_of(search(rows, 8, Engine.resolve(1)))
    if spread:
        assert counts[0]["searched_again"] >= 100
    others = units(x[:450])
    on_gpu = search_reference(rows, others, 8, tensor_engine)
    assert bytes_of(on_gpu) == bytes_of(search_reference(rows, others, 8, Engine.resolve(1)))


# Bars are guessed from the columns that were seen: in the order of the rows, those would be a row's own cluster first,
# or last.
@pytest.mark.parametrize("k", [4, 50])
def test_bars_are_guessed_whatever_the_order_of_rows(k: int, tensor_engine: Engine) -> None:
    rng = np.random.default_rng(10)
    x = np.repeat(rng.normal(size=(12, 6)), 100, axis=0) + 0.1 * rng.normal(size=(1200, 6))
    counts: list[dict[str, int]] = []
    rows, engine = units(x), replace(tensor_engine, count=counts.append)
    assert bytes_of(search(rows, k, engine)) == bytes_of(search(rows, k, Engine.resolve(1)))
    others = units(x[:1000])
    assert bytes_of(search_reference(others, rows, k, engine)) == bytes_of(
        search_reference(others, rows, k, Engine.resolve(1))
    )
    assert [count["searched_again"] for count in counts] == [0, 0]


def test_bars_that_were_guessed_too_high_cost_time_only(
    emulated_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (ROOT / "csrc" / "cuda" / "search_plan.hpp").read_text()
    cautious = "while (rank < k && !unlikely()) ++rank;"
    assert cautious in header
    (tmp_path / "cuda").mkdir()
    reckless = header.replace(cautious, "if (!unlikely()) rank = (rank + 1) / 2;")
    (tmp_path / "cuda" / "search_plan.hpp").write_text(reckless)
    module = load(build(tmp_path, (emulated_build.parent, tmp_path, "tensor_knn.cpp")))
    monkeypatch.setattr(_device, "_cuda", module)
    counts: list[dict[str, int]] = []
    engine = replace(Engine.resolve(1), device="cuda", count=counts.append)
    rng = np.random.default_rng(16)
    rows, others = units(rng.normal(size=(900, 6))), units(rng.integers(-2, 3, size=(700, 6)))
    for k in (10, 65):
        assert bytes_of(search(rows, k, engine)) == bytes_of(search(rows, k, Engine.resolve(1)))
        on_gpu = search_reference(rows, others, k, engine)
        assert bytes_of(on_gpu) == bytes_of(search_reference(rows, others, k, Engine.resolve(1)))
    assert sum(count["searched_again"] for count in counts) > 100


def test_a_search_within_another_leaves_it_alone(emulated: ModuleType) -> None:
    rng = np.random.default_rng(17)
    x, small = rng.normal(size=(1500, 200)), rng.normal(size=(40, 8))
    inner: list[Any] = []

    def search_meanwhile(done: int, total: int) -> None:
        if not inner:
            inner.append(pyredund.knn_graph(small, 3, device="cuda"))

    graph = pyredund.knn_graph(x, 3, device="cuda", progress=search_meanwhile)
    assert bytes_of(inner[0]) == bytes_of(pyredund.knn_graph(small, 3))
    assert bytes_of(graph) == bytes_of(pyredund.knn_graph(x, 3))


def test_little_memory_means_smaller_blocks_and_the_same_bytes(tensor_engine: Engine) -> None:
    rows = units(np.random.default_rng(4).normal(size=(700, 9)))
    counts: list[dict[str, int]] = []
    graph = search(rows, 12, replace(tensor_engine, count=counts.append, cuda_bytes=800_000))
    assert bytes_of(graph) == bytes_of(search(rows, 12, Engine.resolve(1)))
    assert counts[0]["blocks"] >= 3


def test_memory_that_runs_out_means_smaller_blocks_then_an_error(
    emulated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = replace(Engine.resolve(1), device="cuda")
    rows = units(np.random.default_rng(4).normal(size=(700, 9)))
    expected = bytes_of(search(rows, 12, Engine.resolve(1)))
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "1200000")
    assert bytes_of(search(rows, 12, engine)) == expected
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "10000")
    with pytest.raises(MemoryError, match=r"cudaMalloc failed: out of memory \(cudaErrorMemoryAllocation\)"):
        search(rows, 12, engine)
    monkeypatch.delenv("PYREDUND_EMULATED_BYTES")
    facts = emulated.device_facts(0)
    assert facts["free_bytes"] == facts["total_bytes"]  # nothing is left behind


# 2 or 3 stages, with rows that stay and rows that do not: GPUs differ in their shared memory.
@pytest.mark.parametrize("shared_bytes", [70_000, 84_480, 101_376, 160_000, 232_448])
@pytest.mark.parametrize("dim", [64, 200])
def test_any_amount_of_shared_memory_will_do(
    shared_bytes: int, dim: int, emulated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYREDUND_EMULATED_SHARED", str(max(shared_bytes, 101_376 if dim > 64 else 0)))
    engine = replace(Engine.resolve(1), device="cuda")
    rows = units(np.random.default_rng(dim).normal(size=(500, dim)))
    assert bytes_of(search(rows, 5, engine)) == bytes_of(search(rows, 5, Engine.resolve(1)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["half of the rows zero", "each row three times", "opposite rows", "subnormal"])
def test_embeddings_are_read_where_they_lie(name: str, dtype: Any, emulated: ModuleType) -> None:
    x = AWKWARD[name](np.random.default_rng(8)).astype(dtype)
    if dtype == np.float64:
        x[: len(x) // 2] *= 1e200  # squares overflow
    wide = np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)
    for layout in (x, np.asfortranarray(x), wide[::2, ::3]):
        for k in (1, 6, len(x) - 1):
            assert bytes_of(pyredund.knn_graph(OnDevice(layout), k, device="cuda")) == bytes_of(
                pyredund.knn_graph(x, k)
            )


def test_embeddings_on_a_device_are_checked_like_others(emulated: ModuleType) -> None:
    x = np.ones((6, 3))
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"embeddings must be finite: 1 of 6 rows holds NaN or infinity \(row 4\)"):
        pyredund.knn_graph(OnDevice(x), 2, device="cuda")
    with pytest.raises(ValueError, match="k must be at most 5"):
        pyredund.knn_graph(OnDevice(x), 6, device="cuda")
    with pytest.raises(ValueError, match="must have two dimensions"):
        pyredund.knn_graph(OnDevice(x[0]), 6, device="cuda")
    for n in (0, 1):
        assert pyredund.knn_graph(OnDevice(np.ones((n, 3))), device="cuda").n_rows == n
    whole = pyredund.knn_graph(OnDevice(np.arange(20, dtype=np.int64).reshape(5, 4)), 2, device="cuda")
    assert bytes_of(whole) == bytes_of(pyredund.knn_graph(np.arange(20).reshape(5, 4), 2))


def test_selections_are_the_same_bytes(cuda: None) -> None:
    x = np.concatenate([np.random.default_rng(6).normal(size=(250, 6)), np.ones((20, 6))])
    for method in ("removal", "insertion", "kcenter"):
        here, there = (pyredund.select(x, 0.6, method=method, k=8, device=device) for device in ("cuda", "cpu"))
        assert np.array_equal(here.indices, there.indices)
        assert np.array_equal(here.removed, there.removed)
        assert here.similarities.tobytes() == there.similarities.tobytes()


def test_a_search_can_be_interrupted(emulated: ModuleType) -> None:
    calls: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise KeyboardInterrupt

    x = np.random.default_rng(7).normal(size=(1500, 64))
    with pytest.raises(KeyboardInterrupt):
        pyredund.knn_graph(x, 3, device="cuda", progress=stop)
    assert len(calls) == 1
    assert emulated.device_facts(0)["free_bytes"] == emulated.device_facts(0)["total_bytes"]


def test_without_kernels_or_gpu_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(function: Any, *arguments: Any) -> str:
        with pytest.raises(ValueError, match=r"^device must be 'auto' or 'cpu', got 'cuda': ") as raised:
            function(np.ones((4, 2)), *arguments, device="cuda")
        return str(raised.value)

    class NoDriver:
        @staticmethod
        def why_no_device() -> str:
            return "no driver"

    monkeypatch.setattr(_device, "_cuda", NoDriver)
    assert refusal(pyredund.knn_graph).endswith("pyredund's CUDA kernels find no GPU to run on (no driver)")
    assert pyredund.show_config()["cuda"] is False
    monkeypatch.setattr(_device, "_cuda", None)
    no_kernels = "this build of pyredund has no CUDA kernels: they are built where nvcc is found"
    assert refusal(pyredund.select, 2).endswith(no_kernels)
    assert refusal(pyredund.radius_graph, 0.5).endswith(no_kernels)
    assert refusal(pyredund.agglomerative_labels, 2).endswith("have CUDA kernels")


def test_the_stub_names_what_the_module_has(emulated_module: ModuleType) -> None:
    stub = (Path(pyredund.__file__).parent / "_cuda.pyi").read_text()
    names = {name for name in vars(emulated_module) if not name.startswith("__")}
    assert names == set(re.findall(r"^(?:def|class) ([A-Za-z]\w*)", stub, re.M))
    methods = {name for name in vars(emulated_module.UnitRows) if not name.startswith("_")}
    of_unit_rows = re.search(r"^class UnitRows:\n((?:    .*\n)+)", stub, re.M)
    assert of_unit_rows is not None
    assert methods == set(re.findall(r"^    def ([a-z]\w*)", of_unit_rows[1], re.M))


def test_the_module_imports_without_a_driver() -> None:
    cuda = pytest.importorskip("pyredund._cuda", reason="this build has no CUDA kernels")
    reason = cuda.why_no_device()
    if reason:
        with pytest.raises(RuntimeError, match="cudaGetDevice failed: "):
            cuda.device_facts(0)
