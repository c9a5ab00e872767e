"""Builds `_cuda` from the sources of csrc/cuda against an emulation of CUDA on the CPU (tests/cuda_emulated)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyredund._engine import available_threads

ROOT = Path(__file__).resolve().parent.parent
SHARED = ["csrc/cuda_module.cpp", "csrc/interruptible.cpp", "csrc/thread_team.cpp"]
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]


def build(folder: Path, changed: tuple[Path, Path, str] | None = None) -> Path:
    """The compiled module, in `folder`.

    `changed` is a folder where one was built before, a folder with headers that come before those of csrc, and the one
    source that is compiled again, with these.
    """
    pybind11 = pytest.importorskip("pybind11")
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or not (ROOT / "csrc").exists():
        pytest.skip("there is no C++ compiler here, or no source")
    includes = [ROOT / "tests" / "cuda_emulated", ROOT / "csrc", pybind11.get_include(), sysconfig.get_path("include")]
    sources = [ROOT / name for name in SHARED] + sorted((ROOT / "csrc" / "cuda").glob("*.c[pu]*"))
    if changed is not None:
        includes.insert(0, changed[1])

    def compiled(source: Path) -> Path:
        if changed is not None and source.name != changed[2]:
            return changed[0] / f"{source.name}.o"
        to = folder / f"{source.name}.o"
        run(compiler, *FLAGS, *WARNINGS, *(f"-I{path}" for path in includes), "-x", "c++", "-c", source, "-o", to)
        return to

    with ThreadPoolExecutor(available_threads()) as pool:
        objects = list(pool.map(compiled, sources))
    module = folder / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    run(compiler, "-shared", *objects, "-o", module)
    return module


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(path: Path) -> ModuleType:
    """The module at `path`, imported beside whatever is called _cuda already: pybind11 keeps modules by their names."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}._cuda", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_of_the_plan(folder: Path, source: Path | None = None) -> str:
    """What search_plan_check.cpp says of search_plan.hpp, or of another in its place."""
    if source is not None:
        (folder / "cuda").mkdir()
        shutil.copy(source, folder / "cuda" / "search_plan.hpp")
    return check_of(folder, "search_plan_check.cpp")


def check_of(folder: Path, name: str, *sources: str) -> str:
    """What a program of C++ in tests says, with these sources; headers in `folder` come before those of csrc."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or not (ROOT / "csrc").exists():
        pytest.skip("there is no C++ compiler here, or no source")
    tests, program = ROOT / "tests", folder / "check"
    includes = [f"-I{path}" for path in (folder, tests / "cuda_emulated", ROOT / "csrc")]
    flags = ["-std=c++17", "-O1", "-pthread"]
    files = [tests / name, *(ROOT / source for source in sources)]
    run(compiler, *flags, *WARNINGS, *includes, *files, "-ldl", "-o", program)
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()


class OnDevice:
    """A NumPy array that claims to lie on a GPU: in the emulation, it does."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": array.strides,
            "version": 3,
        }

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array
