from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import names_in

# SIGINT may be ignored where the tests run in the background; Python then installs no handler of its own.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from pyredund.cli import main; main()"
)


def test_console_script_is_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("pyredund")
    if not script.exists():
        pytest.skip("pyredund's scripts are not installed beside this interpreter")
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(20, 3)))
    command = [str(script), "select", str(tmp_path / "e.npy"), "--keep", "2"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(result.stdout.split()) == 2
    assert "\r" not in result.stderr  # no progress bar where standard error is no terminal


@pytest.mark.parametrize("arguments", [[], ["--help"], ["select", "--help"], ["demo", "--help"], ["info"]])
def test_heavy_packages_are_not_imported(arguments: list[str]) -> None:
    code = (
        "import sys; from pyredund.cli import main; main(sys.argv[1:], standalone_mode=False) if sys.argv[1:] else 0; "
        "print('imported:', *sorted({'torch', 'matplotlib', 'scipy', 'sklearn', 'tqdm'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "imported:"


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(20, 3)))
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does once it has seen enough
    command = [sys.executable, "-c", COMMAND, "select", str(tmp_path / "e.npy"), "--quiet"]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert result.stderr == ""


def test_interrupt_while_computing_writes_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.random.default_rng(0).standard_normal((80_000, 64), dtype=np.float32))
    (tmp_path / "kept.txt").write_text("old\n")
    ours, theirs = os.openpty()  # a terminal on standard error: its progress bar says that the computation runs
    termios.tcsetwinsize(theirs, (24, 80))  # without a width tqdm draws nothing
    command = [sys.executable, "-c", COMMAND, "select", "e.npy", "-o", "kept.txt", "--threads", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        sent = time.perf_counter()
        while b"Interrupted" not in shown:
            shown += os.read(ours, 1000)
        assert process.wait(timeout=30) == 130
        waited = time.perf_counter() - sent
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
    assert b"neighbours" in shown
    assert b"Interrupted: nothing was written\r\n" in shown
    assert b"Traceback" not in shown
    assert waited < 2.0  # the library promises 0.2 s; a busy machine needs a little longer to end a process
    assert (tmp_path / "kept.txt").read_text() == "old\n"
    assert names_in(tmp_path) == ["e.npy", "kept.txt"]
