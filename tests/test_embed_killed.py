"""kill -9 in the middle of training, of embedding, and of writing: the same command again gives the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import names_in
from image_files import spoil, write_digits

pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

# The command as a user runs it, in a process that kills itself at the given call of a function.
PROGRAM = """
import os, signal, sys
from importlib import import_module

module, name, at, block, *command = sys.argv[1:]
import pyredund.embed.forward
pyredund.embed.forward.BLOCK = int(block)
owner = import_module(module)
*path, name = name.split(".")
for part in path:
    owner = getattr(owner, part)
original, calls = getattr(owner, name), 0

def killing(*arguments, **named):
    global calls
    calls += 1
    if calls == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **named)

setattr(owner, name, killing)
from pyredund.cli import main
main(command)
"""
IN_AN_EPOCH = ("torch.optim", "AdamW.step", 8)  # 2 steps an epoch: in the middle of the fourth
IN_A_BLOCK = ("pyredund.embed.forward", "forward", 3)
WHILE_WRITING = ("os", "replace", 3)  # after all of a file is written, before it has its name
NEVER = ("os", "replace", -1)


def run(where: tuple[str, str, int], *command: object) -> int:
    """Exit status of one run."""
    arguments = [*where, 16, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], env=environment, capture_output=True, timeout=300
    ).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, some of them damaged, and what comes out where nobody interferes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_digits(folder / "images", 600)
    spoil(folder / "images")
    assert run(NEVER, "fit", folder / "images", "-o", folder / "model", "--epochs", 5) == 0
    model = ("--model", folder / "model")
    assert run(NEVER, "embed", folder / "images", "-o", folder / "rows.npy", *model) == 0
    assert run(NEVER, "images", folder / "images", "-o", folder / "kept.txt", "--keep", "0.5", *model) == 0
    return folder


@pytest.mark.parametrize("where", [IN_AN_EPOCH, WHILE_WRITING], ids=["in an epoch", "while writing"])
def test_training_goes_on_after_kill_9(undisturbed: Path, tmp_path: Path, where: Any) -> None:
    command = ("fit", undisturbed / "images", "-o", tmp_path / "model", "--epochs", 5, "--resume")
    assert run(where, *command) == -signal.SIGKILL
    assert "checkpoint.safetensors" in names_in(tmp_path / "model")
    assert run(NEVER, *command) == 0
    found = (tmp_path / "model" / "embedder.safetensors").read_bytes()
    assert found == (undisturbed / "model" / "embedder.safetensors").read_bytes()


@pytest.mark.parametrize("where", [IN_A_BLOCK, WHILE_WRITING], ids=["in a block", "while writing"])
def test_embedding_goes_on_after_kill_9(undisturbed: Path, tmp_path: Path, where: Any) -> None:
    command = ("embed", undisturbed / "images", "-o", tmp_path / "rows.npy", "--model", undisturbed / "model")
    assert run(where, *command, "--work", tmp_path / "work") == -signal.SIGKILL
    finished = [name for name in names_in(tmp_path / "work") if name.endswith(".npz")]
    assert len(finished) == 2
    assert run(NEVER, *command, "--work", tmp_path / "work") == 0
    assert set(finished) < set(names_in(tmp_path / "work"))
    for name in ("rows.npy", "rows.txt"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


def test_images_goes_on_after_kill_9_in_both_of_its_stages(undisturbed: Path, tmp_path: Path) -> None:
    command = ("images", undisturbed / "images", "-o", tmp_path / "kept.txt", "--keep", "0.5", "--epochs", 5)
    for where in (IN_AN_EPOCH, IN_A_BLOCK):
        assert run(where, *command, "--work", tmp_path / "work") == -signal.SIGKILL
        assert names_in(tmp_path) == ["work"]
    assert run(NEVER, *command, "--work", tmp_path / "work") == 0
    kept = (tmp_path / "kept.txt").read_bytes()
    assert kept == (undisturbed / "kept.txt").read_bytes()
    assert len(kept.splitlines()) == (len((undisturbed / "rows.txt").read_text().splitlines()) + 1) // 2
