"""Memory on a GPU: whose it is, how little will do, and that none is left behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emulated_cuda import OnDevice, check_of
from exact_graphs import bytes_of, units

import pyredund
from pyredund import _device
from pyredund._device import pairs_on_gpu
from pyredund._device_array import DeviceArray, TorchMemory, device_array, pairs_of_device_array
from pyredund._engine import Engine
from pyredund._knn_graph import query, search, search_reference, search_where_they_lie


class Pool:
    """Memory as torch would keep it, for the emulated GPU: that of the host."""

    def __init__(self, size: int) -> None:
        self.size, self.taken, self.most = size, {}, 0

    taken: dict[int, Any]

    def take(self, n_bytes: int) -> int:
        if self.in_use + n_bytes > self.size:
            raise MemoryError(f"the pool has no {n_bytes} bytes")
        piece = np.full(n_bytes + 256, 255, dtype=np.uint8)
        address = -(-piece.ctypes.data // 256) * 256
        self.taken[address] = (n_bytes, piece)
        self.most = max(self.most, self.in_use)
        return address

    def give(self, address: int) -> None:
        del self.taken[address]

    def room(self) -> int:
        return self.size - self.in_use

    @property
    def in_use(self) -> int:
        return sum(n_bytes for n_bytes, _ in self.taken.values())


def array_in(pool: Pool, x: Any) -> DeviceArray:
    array = device_array(OnDevice(x))
    assert array is not None
    return replace(array, memory=pool)  # type: ignore[arg-type]


@pytest.fixture
def x() -> Any:
    return np.repeat(np.random.default_rng(4).normal(size=(500, 9)), [1, 2] * 250, axis=0)


@pytest.fixture
def engine(emulated: ModuleType) -> Engine:
    return replace(Engine.resolve(1), device="cuda")


def test_memory_comes_from_the_owner_of_the_embeddings(
    x: Any, engine: Engine, emulated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "0")  # CUDA has none left
    pool = Pool(1 << 30)
    graph = search_where_they_lie(array_in(pool, x), 12, None, engine)
    assert graph is not None
    assert bytes_of(graph) == bytes_of(pyredund.knn_graph(x, 12))
    assert pool.most > 1_000_000
    assert not pool.taken
    found = pairs_of_device_array(array_in(pool, x), 0.8, 1 << 30, engine)
    assert found is not None
    assert found[0] is not None
    assert len(found[0][0]) > 100
    assert not pool.taken


def test_an_owner_with_little_memory_means_smaller_blocks_then_its_error(x: Any, engine: Engine) -> None:
    counts: list[dict[str, int]] = []
    pool = Pool(600_000)
    graph = search_where_they_lie(array_in(pool, x), 12, None, replace(engine, count=counts.append))
    assert graph is not None
    assert bytes_of(graph) == bytes_of(pyredund.knn_graph(x, 12))
    assert counts[0]["blocks"] >= 2
    assert not pool.taken
    pool = Pool(100_000)
    with pytest.raises(MemoryError, match=r"^the pool has no \d+ bytes$"):
        search_where_they_lie(array_in(pool, x), 12, None, engine)
    assert not pool.taken


def test_an_owner_that_fails_is_quoted(x: Any, engine: Engine) -> None:
    pool = Pool(1 << 30)
    pool.take = lambda n_bytes: 1 // 0  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        search_where_they_lie(array_in(pool, x), 12, None, engine)


# The unit rows take 243 kB, and their halves, lists and a tile's buffers 600.
@pytest.mark.parametrize(("plain", "n_bytes"), [(False, 600_000), (True, 200_000)])
def test_rows_that_do_not_fit_come_in_parts(
    plain: bool, n_bytes: int, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(11)
    rows, others = units(rng.normal(size=(400, 150))), units(rng.integers(-1, 2, size=(300, 150)))
    excluded = np.where(np.arange(400) % 3 == 0, -1, np.arange(400) % 300).astype(np.int32)
    on_gpu, on_cpu = replace(engine, plain_cuda=plain), Engine.resolve(1)
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", str(n_bytes))
    for k in (3,) if plain else (3, 40):
        assert bytes_of(search(rows, k, on_gpu)) == bytes_of(search(rows, k, on_cpu))
    found, expected = (query(rows.matrix, others.matrix, 150, 8, engine, excluded) for engine in (on_gpu, on_cpu))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    with pytest.raises(MemoryError, match="out of memory"):
        search(rows, 200, on_gpu)  # no half of the columns fills such lists


def test_several_gpus_share_the_rows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(14)
    rows, others = units(rng.normal(size=(300, 7))), units(rng.integers(-1, 2, size=(200, 7)))
    excluded = np.where(np.arange(300) % 3 == 0, -1, np.arange(300) % others.n_distinct).astype(np.int32)
    on_cpu = Engine.resolve(1)
    for n_devices in (2, 3):
        monkeypatch.setenv("PYREDUND_EMULATED_DEVICES", str(n_devices))
        counts: list[dict[str, int]] = []
        on_gpus = replace(engine, cuda_devices=n_devices, count=counts.append)
        assert bytes_of(search(rows, 9, on_gpus)) == bytes_of(search(rows, 9, on_cpu))
        assert counts[0]["blocks"] == n_devices
        for without in (None, excluded):
            found, expected = (query(rows.matrix, others.matrix, 7, 9, on, without) for on in (on_gpus, on_cpu))
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        few = units(rng.normal(size=(2, 7)))
        found, expected = (query(few.matrix, rows.matrix, 7, 9, on) for on in (on_gpus, on_cpu))
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    counts.clear()
    search(rows, 9, replace(engine, cuda_devices=8, count=counts.append))
    assert counts[0]["blocks"] == 3  # there are no more
    monkeypatch.setenv("PYREDUND_NUM_GPUS", "2")
    assert Engine.resolve().cuda_devices == 2
    monkeypatch.setenv("PYREDUND_NUM_GPUS", "two")
    with pytest.raises(ValueError, match=r"^PYREDUND_NUM_GPUS must be an integer of at least 1, got 'two'$"):
        Engine.resolve()


@pytest.mark.parametrize(("n_devices", "n_bytes"), [(2, 1 << 26), (3, 1 << 26), (2, 160_000)])  # too few for two parts
def test_several_gpus_share_the_pairs(
    n_devices: int, n_bytes: int, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(21)
    mixed = rng.normal(size=(1000, 8)) @ rng.normal(size=(8, 60))
    rows, others = (units(part).matrix for part in (mixed[:900], mixed[700:]))
    monkeypatch.setenv("PYREDUND_EMULATED_DEVICES", str(n_devices))
    on_gpus = replace(engine, cuda_devices=n_devices)
    for reference in (None, others):
        one = pairs_on_gpu(rows, reference, 0.8, 1 << 30, engine)
        assert one is not None
        assert len(one[0]) > 3
        with monkeypatch.context() as patch:
            patch.setenv("PYREDUND_EMULATED_BYTES", str(n_bytes))
            several = pairs_on_gpu(rows, reference, 0.8, len(one[0]), on_gpus)
            assert several is not None
            assert in_order(several) == in_order(one)
            assert pairs_on_gpu(rows, reference, 0.8, len(one[0]) - 1, on_gpus) is None


def in_order(pairs: tuple[Any, Any, Any]) -> list[tuple[int, int, float]]:
    return sorted(zip(*(part.tolist() for part in pairs), strict=True))


# Whole, in parts that are found by failing, and shared: what is to be searched again makes the total grow.
@pytest.mark.parametrize(
    ("plain", "for_lists", "for_pairs", "n_devices"),
    [
        (False, 1 << 26, 1 << 26, 1),
        (False, 750_000, 370_000, 1),
        (False, 1 << 26, 1 << 26, 3),
        (True, 1 << 26, 1 << 26, 1),
        (True, 230_000, 150_000, 1),
        (True, 1 << 26, 1 << 26, 3),
    ],
)
def test_progress_ends_where_it_says(
    plain: bool, for_lists: int, for_pairs: int, n_devices: int, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(22)
    rows, others = units(rng.normal(size=(300, 150))), units(rng.normal(size=(250, 150)))
    monkeypatch.setenv("PYREDUND_EMULATED_DEVICES", str(n_devices))
    seen: list[tuple[int, int]] = []
    progress = replace(engine, plain_cuda=plain, cuda_devices=n_devices, progress=lambda *at: seen.append(at))
    calls: list[tuple[int, int, Any]] = [
        (300 * 300, for_lists, lambda: search(rows, 5, progress)),
        (300 * 250, for_lists, lambda: search_reference(rows, others, 5, progress)),
        (300 * 301 // 2, for_pairs, lambda: pairs_on_gpu(rows.matrix, None, 0.6, 1 << 30, progress)),
        (300 * 250, for_pairs, lambda: pairs_on_gpu(rows.matrix, others.matrix, 0.6, 1 << 30, progress)),
    ]
    for least, n_bytes, call in calls:
        seen.clear()
        monkeypatch.setenv("PYREDUND_EMULATED_BYTES", str(n_bytes))
        call()
        assert seen[-1][0] == seen[-1][1] >= least
        assert all(a[0] <= b[0] <= b[1] for a, b in pairwise(seen))


def test_a_search_that_fails_midway_has_found_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(23)
    near = np.ones((600, 8)) + 0.01 * rng.normal(size=(600, 8))
    columns = np.concatenate([near[300:303], rng.normal(size=(125, 8)), near[303:500]])  # a tile of few, then of many
    seen: list[tuple[int, int]] = []
    progress = replace(engine, progress=lambda *at: seen.append(at))
    one = pairs_on_gpu(units(near[:300]).matrix, units(columns).matrix, 0.9, 1 << 30, engine)
    assert one is not None
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "400000")  # a tile of many has 38,400 pairs of 12 bytes
    found = pairs_on_gpu(units(near[:300]).matrix, units(columns).matrix, 0.9, len(one[0]), progress)
    assert found is not None  # what was found in vain does not count
    assert in_order(found) == in_order(one)
    assert seen[-1][0] == seen[-1][1] > 300 * len(columns)


def test_a_gpu_that_fails_stops_the_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, few = (units(np.random.default_rng(18).normal(size=(n, 60))) for n in (2000, 300))
    monkeypatch.setenv("PYREDUND_EMULATED_DEVICES", "2")
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "30000")  # for a block of rows, or for none
    with pytest.raises(MemoryError, match="cudaMalloc failed"):
        search_reference(rows, few, 290, replace(engine, cuda_devices=2))


def test_many_queries_are_cut_where_their_columns_cannot_be(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(19)
    queries, columns = units(rng.normal(size=(1500, 90))).matrix, units(rng.normal(size=(10, 90))).matrix
    expected = query(queries, columns, 90, 10, Engine.resolve(1))
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", "450000")  # queries alone take 576,000
    found = query(queries, columns, 90, 10, engine)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_lists_that_are_long_are_found_like_others(engine: Engine) -> None:
    rng = np.random.default_rng(15)
    queries, others = (rng.normal(size=(n, 4)).astype(np.float32) for n in (1200, 260))
    rows, columns = units(queries).matrix, units(others).matrix
    found, expected = (query(rows, columns, 4, 230, on) for on in (engine, Engine.resolve(1)))
    assert found[0].nbytes > 1 << 20  # from where pages are looked for beforehand
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_pairs_of_rows_that_do_not_fit_come_in_parts(emulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=(400, 20)) @ rng.normal(size=(20, 150))
    x = np.concatenate([x, x[:3], np.zeros((2, 150))])
    for others in (None, x[:200], x[200:203]):
        for threshold in (0.3, 1.0):
            expected = pyredund.radius_graph(x, threshold, reference=others)
            with monkeypatch.context() as patch:
                patch.setenv("PYREDUND_EMULATED_BYTES", str(400_000))
                on_gpu = pyredund.radius_graph(x, threshold, reference=others, device="cuda")
            assert bytes_of(on_gpu) == bytes_of(expected)
            assert on_gpu.indptr.tobytes() == expected.indptr.tobytes()
    facts = emulated.device_facts(0)
    assert facts["free_bytes"] == facts["total_bytes"]
    most = len(pyredund.radius_graph(x, 0.3).indices) // 8
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", str(400_000))
    rows = units(x)
    assert pairs_on_gpu(rows.matrix, None, 0.3, most, replace(Engine.resolve(1), device="cuda")) is None


def test_much_is_downloaded_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYREDUND_EMULATED_BYTES", str(1 << 27))
    sources = ["csrc/cuda/download.cpp", "csrc/cuda/device.cpp", "csrc/thread_team.cpp"]
    assert check_of(tmp_path, "download_check.cpp", *sources) == "right"


def test_memory_is_asked_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    class OutOfMemoryError(RuntimeError):  # as torch calls it
        pass

    class Cuda:
        def caching_allocator_alloc(self, size: int, device: int, stream: int) -> int:
            asked.append((size, device, stream))
            if size > 1000:
                raise OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return 4096

        def caching_allocator_delete(self, address: int) -> None:
            asked.append((address,))

        def mem_get_info(self, device: int) -> tuple[int, int]:
            return 500, 9999

        def memory_reserved(self, device: int) -> int:
            return 70

        def memory_allocated(self, device: int) -> int:
            return 40

    memory = TorchMemory(SimpleNamespace(cuda=Cuda()), 1, 77)
    assert memory.take(1000) == 4096
    memory.give(4096)
    with pytest.raises(MemoryError, match="Tried to allocate"):
        memory.take(1001)
    assert asked == [(1000, 1, 77), (4096,), (1001, 1, 77)]
    assert memory.room() == 530
    monkeypatch.setattr(Cuda, "memory_reserved", lambda self, device: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        memory.room()

    def refuse(self: Cuda, device: int) -> int:
        raise RuntimeError("CUDAPluggableAllocator does not yet support getDeviceStats")

    monkeypatch.setattr(Cuda, "memory_reserved", refuse)
    assert memory.room() == 500


def test_a_tensor_on_a_gpu_takes_memory_of_torch() -> None:
    if reason := _device.why_no_cuda():
        pytest.skip(reason)
    torch = pytest.importorskip("torch")
    x = torch.randn(20_000, 64, device="cuda")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    here, there = pyredund.knn_graph(x, 32, device="cuda"), pyredund.knn_graph(x.cpu(), 32)
    assert bytes_of(here) == bytes_of(there)
    assert torch.cuda.max_memory_allocated() > before + 20_000 * 256 * 8  # lists of 256 pairs, at least
    assert torch.cuda.memory_allocated() == before


def test_torch_has_what_is_asked_of_it() -> None:
    torch = pytest.importorskip("torch")
    names = ["caching_allocator_alloc", "caching_allocator_delete", "mem_get_info", "memory_reserved"]
    assert all(hasattr(torch.cuda, name) for name in [*names, "memory_allocated"])
    assert torch.cuda.OutOfMemoryError.__name__ == "OutOfMemoryError"
