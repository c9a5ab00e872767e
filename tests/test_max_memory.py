"""Bigger than memory: the same bytes from temporary files, within `max_memory`, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embeddings import ALL
from exact_graphs import AWKWARD, bytes_of, units
from numpy.typing import NDArray

import pyredund
from pyredund import _core, _scratch
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._knn_graph import fill_lists, search
from pyredund._scratch import Needs, within_memory
from pyredund._unit_rows import unit_rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are counted on Linux only")
MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder, which holds nothing in the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[0, 1 << 16], ids=["no pages stay", "some pages stay"])
def scratch(request: pytest.FixtureRequest, folder: Path) -> _core.ScratchSpace:
    return _core.ScratchSpace(str(folder), request.param)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("engine", [Engine(2, sketch_from=0, block=16), Engine(2, block=16)], ids=["bytes", "floats"])
def test_files_change_no_byte_of_a_graph(name: str, engine: Engine, scratch: _core.ScratchSpace) -> None:
    x = AWKWARD[name](np.random.default_rng(0))
    on_disk = replace(engine, scratch=scratch, spare_bytes=0)
    rows = unit_rows("embeddings", row_source("embeddings", x), on_disk)
    np.testing.assert_array_equal(rows.matrix, units(x).matrix)
    before = rows.matrix.copy()
    for k in {1, min(7, len(x) - 1), len(x) - 1}:
        assert bytes_of(search(rows, k, on_disk)) == bytes_of(search(units(x), k, engine))
    np.testing.assert_array_equal(rows.matrix, before)  # in their own order again


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 95, 200])
def test_rows_in_files_can_be_put_in_order_and_back(n: int, scratch: _core.ScratchSpace) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, 8)).astype(np.float32)
    rows, order = scratch.floats(n, 8), rng.permutation(n).astype(np.int32)
    assert not rows.any()
    rows[:] = values
    _core.arrange_rows(rows, order, False, 2)
    np.testing.assert_array_equal(rows, values[order])
    with pytest.raises(RuntimeError, match="arranged already"):
        _core.arrange_rows(rows, order, False, 2)
    found = np.empty_like(values)
    _core.gather_rows(rows, np.argsort(order).astype(np.int32), found)
    np.testing.assert_array_equal(found, values)
    _core.arrange_rows(rows, order, True, 2)
    np.testing.assert_array_equal(rows, values)


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """From now on calls find too little memory for all, whatever they need; the engines that they compute with."""
    engines: list[Engine] = []

    def tight(what: str, needs: Needs, max_memory: int | None, engine: Engine) -> tuple[Engine, int]:
        engine, _ = within_memory(what, needs, needs.memory - 1, replace(engine, sketch_from=0, block=32))
        engines.append(engine)
        return engine, 0 if what.startswith("selecting") else MIB  # for pairs

    monkeypatch.setattr(_scratch, "FEWEST_PAGES", 0)
    monkeypatch.setattr(_scratch, "BLOCKS", 0)
    monkeypatch.setattr(_scratch, "BLOCKS_OF_THREAD", 0)
    for module in ("_knn_graph", "_radius_graph", "_deduplicate", "_select"):
        monkeypatch.setattr(f"pyredund.{module}.within_memory", tight)
    return engines


CALLS: dict[str, Any] = {
    "knn_graph": lambda x: bytes_of(pyredund.knn_graph(x, k=5)),
    "knn_graph of a reference": lambda x: bytes_of(pyredund.knn_graph(x, k=5, reference=x[::3])),
    "radius_graph": lambda x: bytes_of(pyredund.radius_graph(x, 0.9)),
    "radius_graph of a reference": lambda x: bytes_of(pyredund.radius_graph(x, 0.9, reference=x[::3])),
    "deduplicate": lambda x: fields(pyredund.deduplicate(x, 0.98)),
    "deduplicate with a reference": lambda x: fields(pyredund.deduplicate(x, 0.98, reference=x[::5])),
    "removal": lambda x: fields(pyredund.select(x, 0.7)),
    "removal of most": lambda x: fields(pyredund.select(x, 0.03, k=3)),
    "removal with a reference": lambda x: fields(pyredund.select(x, 0.5, reference=x[::7], k=4)),
    "removal by group": lambda x: fields(pyredund.select(x, 0.5, groups=np.arange(len(x)) % 3, k=4)),
    "removal by a graph": lambda x: fields(pyredund.select(x, 0.5, graph=pyredund.knn_graph(x, k=5))),
    "random": lambda x: fields(pyredund.select(x, 0.5, method="random")),
}


def fields(selection: pyredund.Selection) -> list[bytes]:
    arrays: list[NDArray[Any]] = [selection.indices, selection.removed, selection.representatives]
    arrays += [selection.similarities, *([] if selection.costs is None else [selection.costs])]
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("call", CALLS)
def test_files_change_no_byte_of_what_is_returned(
    call: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = ALL[name](300, 1)
    expected = CALLS[call](x)
    engines = short_of_memory(monkeypatch)
    assert CALLS[call](x) == expected
    assert all(engine.scratch is not None for engine in engines)


def test_a_list_of_the_distinct_rows_grows_in_place_into_that_of_all_rows() -> None:
    x = np.tile(np.random.default_rng(0).normal(size=(50, 4)), (3, 1))[np.random.default_rng(1).permutation(150)]
    rows = units(x)
    assert rows.class_of is not None
    indices, similarities = np.zeros((150, 9), dtype=np.int32), np.zeros((150, 9), dtype=np.float32)
    fill_lists(rows, indices[:50], similarities[:50], Engine())

    def expand(distinct: tuple[NDArray[np.int32], NDArray[np.float32]]) -> list[NDArray[Any]]:
        class_of = rows.class_of
        assert class_of is not None
        _core.expand_identical_rows(*distinct, class_of, *rows.member_lists, True, indices, similarities)
        return [indices.copy(), similarities.copy()]

    apart = indices[:50].copy(), similarities[:50].copy()
    in_place = expand((indices[:50], similarities[:50]))
    np.testing.assert_array_equal(in_place, expand(apart))


def test_rows_that_are_not_finite_are_named_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    x = np.ones((300, 4))
    x[17, 2], x[299, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"2 of 300 rows hold NaN or infinity \(rows 17, 299\)"):
        pyredund.knn_graph(x, k=3)


# The call runs in a process of its own, which reports what its peak was above what it had before.
MEASURED = """
import sys
from dataclasses import replace
import numpy as np, pyredund
from pyredund._engine import Engine
resolve = Engine.resolve
Engine.resolve = lambda *given: replace(resolve(*given), sketch_from=2000)
x = np.load({path!r}, mmap_mode="r")
pyredund.knn_graph(np.eye(40))
def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field + ":"))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
before = status("VmRSS")
result = pyredund.{call}
print(status("VmHWM") - before)
np.save({out!r}, np.concatenate([part.view(np.int32).reshape(-1) for part in {fields}]))
"""
GRAPH = "(result.indptr, result.indices, result.similarities)"
SELECTION = "(result.indices, result.removed, result.representatives, result.similarities)"


def measured(call: str, fields: str, path: Path, folder: Path) -> tuple[int, NDArray[np.int32]]:
    out = path.with_name("result.npy")
    code = MEASURED.format(path=str(path), call=call, fields=fields, out=str(out))
    environment = os.environ | {"TMPDIR": str(folder)}
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert (child.returncode, child.stderr) == (0, "")
    return int(child.stdout), np.load(out)


@pytest.mark.parametrize(
    ("call", "fields", "dtype", "n", "max_memory"),
    [
        ("knn_graph(x, k=4{})", GRAPH, np.float32, 6000, 140 * MIB),  # with a sketch
        ("knn_graph(x, k=4{})", GRAPH, np.float16, 1900, 75 * MIB),
        ("radius_graph(x, 0.93{})", GRAPH, np.float16, 1900, 75 * MIB),
        ("deduplicate(x, 0.9{})", SELECTION, np.float16, 1900, 75 * MIB),
        ("select(x, 0.1, k=4{})", SELECTION, np.float32, 1900, 100 * MIB),
    ],
)
def test_a_map_larger_than_max_memory_gives_the_same_bytes_within_it(
    call: str, fields: str, dtype: type, n: int, max_memory: int, tmp_path: Path
) -> None:
    path, folder, dim = tmp_path / "rows.npy", tmp_path / "scratch", 6144 if n == 6000 else 24_576
    folder.mkdir()
    rows = np.lib.format.open_memmap(path, "w+", dtype, (n, dim))
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(12, dim)).astype(np.float32)
    for start in range(0, n, 100):
        rows[start : start + 100] = rng.normal(size=(100, 12)).astype(np.float32) @ basis
    rows[n // 2 : n // 2 + 200] = rows[:200]
    assert rows.nbytes > max_memory
    rows.flush()
    del rows
    peak, found = measured(call.format(f", max_memory={max_memory}"), fields, path, folder)
    assert peak <= max_memory
    assert list(folder.iterdir()) == []
    _, expected = measured(call.format(""), fields, path, folder)
    np.testing.assert_array_equal(found, expected)


INTERRUPTED = """
import os, signal, threading, time
import numpy as np, pyredund
signal.signal(signal.SIGINT, signal.default_int_handler)
x = np.random.default_rng(0).standard_normal((200_000, 96), np.float32)
sent = []
def interrupt():
    time.sleep({delay})
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    pyredund.knn_graph(x, k=16, max_memory=140 << 20)
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
open_files = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2
              and os.path.exists(f"/proc/self/fd/{{fd}}") or os.path.islink(f"/proc/self/fd/{{fd}}")]
print([name for name in open_files if "pyredund-" in name])
"""


@pytest.mark.parametrize("delay", [0.05, 0.7])
def test_ctrl_c_ends_a_search_in_files_at_once_and_leaves_none(delay: float, tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(delay=delay)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert (child.returncode, child.stderr) == (0, "")
    seconds, names = child.stdout.splitlines()
    assert float(seconds) < 0.2 + 0.3
    assert names == "[]"
    assert list(tmp_path.iterdir()) == []


def test_the_least_that_will_do_is_named_and_does() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 6000)).astype(np.float32)
    with pytest.raises(MemoryError, match=r"more than max_memory=1000000: \d+ is the least that will do") as refused:
        pyredund.knn_graph(x, k=3, max_memory=1_000_000)
    least = int(str(refused.value).split(": ")[1].split()[0])
    assert least < x.nbytes
    expected = bytes_of(pyredund.knn_graph(x, k=3))
    assert bytes_of(pyredund.knn_graph(x, k=3, max_memory=least)) == expected
    with pytest.raises(MemoryError, match=f"{least} is the least"):
        pyredund.knn_graph(x, k=3, max_memory=least - 1)


@pytest.mark.parametrize("method", ["insertion", "kcenter", "agglomerative"])
def test_methods_that_need_memory_say_how_much(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 6000)).astype(np.float32)
    with pytest.raises(MemoryError, match=rf"method='{method}' would take .* MiB, more than max_memory=120000000"):
        pyredund.select(x, 0.5, method=method, max_memory=120_000_000)


def test_a_full_disk_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nearly(tuple[int, ...]):
        free = 5 * MIB

    monkeypatch.setattr("shutil.disk_usage", lambda path: Nearly())
    short_of_memory(monkeypatch)
    with pytest.raises(MemoryError, match=r"in temporary files, more than the 5\.0 MiB that .* has left: set TMPDIR"):
        pyredund.knn_graph(np.ones((4000, 600)), k=3)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    space = _core.ScratchSpace(str(tmp_path / "missing"), 0)
    with pytest.raises(RuntimeError, match="no temporary file can be made in .*missing"):
        space.floats(2, 8)


def test_temporary_files_keep_away_from_folders_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kinds = {tmp_path.resolve(): "tmpfs", Path("/var/tmp").resolve(): "ext4"}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_scratch, "_file_system", lambda path: kinds.get(path, "ext4"))
    assert _scratch.scratch_folder() == Path("/var/tmp")
    kinds[tmp_path.resolve()] = "ext4"
    assert _scratch.scratch_folder() == tmp_path.resolve()
