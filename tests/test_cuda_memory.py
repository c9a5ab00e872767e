"""Memory on a GPU: whose it is, how little will do, and that none is left behind."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emulated_cuda import OnDevice
from exact_graphs import bytes_of

import pyredund
from pyredund._device_array import DeviceArray, TorchMemory, device_array, pairs_of_device_array
from pyredund._engine import Engine
from pyredund._knn_graph import search_where_they_lie


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


def test_memory_is_asked_of_torch() -> None:
    class Full(RuntimeError):
        pass

    asked: list[tuple[int, ...]] = []

    class Cuda:
        OutOfMemoryError = Full

        def caching_allocator_alloc(self, size: int, device: int, stream: int) -> int:
            asked.append((size, device, stream))
            if size > 1000:
                raise Full("CUDA out of memory. Tried to allocate")
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


def test_torch_has_what_is_asked_of_it() -> None:
    torch = pytest.importorskip("torch")
    names = ["caching_allocator_alloc", "caching_allocator_delete", "mem_get_info", "memory_reserved"]
    assert all(hasattr(torch.cuda, name) for name in [*names, "memory_allocated", "OutOfMemoryError"])
