from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated_cuda import check_of
from numpy.typing import NDArray

import pyredund
from pyredund import _core
from pyredund._engine import Engine, available_threads


def graph_bytes(x: NDArray[Any], n_threads: int = 2) -> tuple[bytes, bytes]:
    graph = pyredund.knn_graph(x, k=5, n_threads=n_threads)
    return graph.indices.tobytes(), graph.similarities.tobytes()


def rows_that_take_a_while() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(6000, 64)).astype(np.float32)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_an_exception_of_a_worker_reaches_the_caller(n_threads: int) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match=f"^worker {n_threads - 1} failed$"):
            _core.fail_in_worker(n_threads, None)
    assert graph_bytes(np.eye(9)) == graph_bytes(np.eye(9), 1)


@pytest.mark.skipif(sys.platform != "linux", reason="another function in place of the C library's")
def test_threads_that_the_system_refuses_are_done_without(tmp_path: Path) -> None:
    assert check_of(tmp_path, "thread_team_check.cpp", "csrc/thread_team.cpp") == "right"


def test_the_bar_goes_on_when_steps_become_slow(capsys: pytest.CaptureFixture[str]) -> None:
    with Engine.resolve(1, progress=True).reporting("stage") as report:
        assert report is not None
        begun = time.perf_counter()
        for done in range(1, 10**9):
            if time.perf_counter() > begun + 0.8:
                break
            report(1000 * done, 10**12)  # millions a second
        assert "stage" in capsys.readouterr().err
        for step in range(2):  # and then one now and then; the first may bring what was not shown before
            time.sleep(0.15)
            capsys.readouterr()
            report(1000 * done + step, 10**12)
        assert "stage" in capsys.readouterr().err


def test_a_child_forked_after_use_computes_the_same() -> None:
    x = np.random.default_rng(1).normal(size=(500, 9))
    expected = graph_bytes(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns when any library has threads
        child = os.fork()
    if child == 0:
        exit_code = 1
        try:
            exit_code = 0 if graph_bytes(x) == expected else 2
        finally:
            os._exit(exit_code)
    deadline = time.monotonic() + 30
    ended, status = 0, 0
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.005)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hung")
    assert os.waitstatus_to_exitcode(status) == 0


def test_other_python_threads_keep_running_during_a_computation() -> None:
    x = rows_that_take_a_while()
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.001):
            ticks.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.monotonic()
    pyredund.knn_graph(x, k=5, n_threads=1)
    end = time.monotonic()
    stop.set()
    ticker.join()
    during = [start, *(moment for moment in ticks if start < moment < end), end]
    assert np.diff(during).max() < max(0.1, (end - start) / 2)


def test_two_python_threads_may_compute_at_the_same_time() -> None:
    inputs = [np.random.default_rng(seed).normal(size=(800, 9)) for seed in range(4)]
    expected = [graph_bytes(x) for x in inputs]
    found: dict[int, tuple[bytes, bytes]] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: graph_bytes(inputs[i])})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(4)] == expected


# The signal comes in the midst of a search that would take half a minute, and that runs no Python code which could
# notice it.
INTERRUPTED = """
import os, signal, threading, time
import numpy as np, pyredund
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it runs in the background
x = np.random.default_rng(0).standard_normal((200_000, 64), np.float32)
sent = []
def interrupt():
    time.sleep(0.5)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    pyredund.knn_graph(x)
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
pyredund.knn_graph(np.eye(4))
"""
ALLOWED, BUSY_MACHINE = 0.2, 0.3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGINT cannot be sent to a process here")
def test_ctrl_c_ends_a_computation_at_once() -> None:
    child = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert float(child.stdout) < ALLOWED + BUSY_MACHINE


def test_progress_rises_to_the_total() -> None:
    reports: list[tuple[int, int]] = []
    pyredund.knn_graph(rows_that_take_a_while(), k=5, n_threads=1, progress=lambda *report: reports.append(report))
    assert len(reports) > 1
    assert reports == sorted(reports)
    assert {total for _, total in reports} == {reports[-1][0]}


def test_an_exception_of_the_progress_callable_ends_the_computation_and_reaches_the_caller() -> None:
    x = np.random.default_rng(0).standard_normal((100_000, 64), np.float32)  # would take several seconds
    calls: list[float] = []

    def enough(done: int, total: int) -> None:
        calls.append(time.monotonic())
        raise LookupError("enough")

    with pytest.raises(LookupError, match="^enough$"):
        pyredund.knn_graph(x, k=5, progress=enough)
    assert len(calls) == 1
    assert time.monotonic() - calls[0] < ALLOWED + BUSY_MACHINE


def test_a_progress_bar_goes_to_standard_error_only(capfd: pytest.CaptureFixture[str]) -> None:
    pyredund.knn_graph(np.eye(5), progress=True)
    assert capfd.readouterr().out == ""
    with pytest.raises(TypeError, match=r"progress must be True, False or a callable \(done, total\), got str"):
        pyredund.knn_graph(np.eye(5), progress="yes")  # type: ignore[arg-type]


def test_the_environment_sets_the_threads_and_the_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYREDUND_NUM_THREADS", "3")
    assert pyredund.show_config()["n_threads"] == 3
    assert Engine.resolve(n_threads=2).n_threads == 2
    monkeypatch.setenv("PYREDUND_NUM_THREADS", "")
    assert Engine.resolve().n_threads == available_threads()


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_of_threads_that_cannot_be_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((TypeError, ValueError), match="n_threads must be .*, got "):
        pyredund.knn_graph(np.eye(3), n_threads=float(value) if value != "two" else value)  # type: ignore[arg-type]
    monkeypatch.setenv("PYREDUND_NUM_THREADS", value)
    with pytest.raises(ValueError, match=r"PYREDUND_NUM_THREADS must be .*at least 1, got "):
        pyredund.knn_graph(np.eye(3))


def test_the_environment_chooses_the_instruction_set(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYREDUND_ISA", isa)
    assert pyredund.show_config()["isa"] == isa
    monkeypatch.setenv("PYREDUND_ISA", "mmx")
    with pytest.raises(ValueError, match="PYREDUND_ISA on this machine must be one of auto, baseline.* got 'mmx'"):
        pyredund.knn_graph(np.eye(3))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_the_default_number_of_threads_respects_the_processors_allowed() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert Engine.resolve().n_threads == 1
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def flushing_subnormals() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        assert np.float32(1e-40) * np.float32(1) == 0  # else nothing is being tested
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def rounding_upward() -> Iterator[None]:
    if platform.machine() not in {"x86_64", "AMD64"} or platform.libc_ver()[0] != "glibc":
        pytest.skip("the number of the rounding mode is known for glibc on x86 only")
    libm = ctypes.CDLL("libm.so.6")
    nearest, upward = 0, 0x800
    assert libm.fesetround(upward) == 0
    try:
        yield
    finally:
        libm.fesetround(nearest)


@pytest.mark.parametrize("environment", [flushing_subnormals, rounding_upward])
def test_the_callers_floating_point_environment_changes_no_byte_and_is_left_as_it_was(
    environment: Callable[[], Any],
) -> None:
    subnormals = np.random.default_rng(2).integers(-9, 10, size=(60, 5)) * np.float64(1e-45)
    inputs: list[NDArray[Any]] = [
        np.random.default_rng(3).normal(size=(60, 5)),
        subnormals.astype(np.float32),
        subnormals * 1e-270,
        (subnormals * 1e38).astype(np.float16),
        np.concatenate([subnormals + [1, 0, 0, 0, 0], subnormals + [0, 1, 0, 0, 0]]),
    ]
    expected = [graph_bytes(x) for x in inputs]
    with environment():
        probe = np.float32(1e-40) * np.float32(1), np.float64(1) + np.float64(1e-17)
        found = [graph_bytes(x) for x in inputs]
        assert probe == (np.float32(1e-40) * np.float32(1), np.float64(1) + np.float64(1e-17))
    assert found == expected
