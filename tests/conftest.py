from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import cast

import emulated_cuda
import pytest

from pyredund import _core, _device
from pyredund._engine import Engine


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


# Around the eight lanes of a score, the vectors of every instruction set, and two sizes that people use.
@pytest.fixture(params=[1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97, 128, 300, 1280])
def dim(request: pytest.FixtureRequest) -> int:
    return cast("int", request.param)


@pytest.fixture(scope="session")
def emulated_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emulated_cuda.build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="session")
def emulated_module(emulated_build: Path) -> ModuleType:
    return emulated_cuda.load(emulated_build)


@pytest.fixture
def emulated(emulated_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(_device, "_cuda", emulated_module)
    return emulated_module


@pytest.fixture(params=["emulated", "gpu"])
def cuda(request: pytest.FixtureRequest) -> None:
    if request.param == "emulated":
        request.getfixturevalue("emulated")
    elif _device.why_no_cuda():
        pytest.skip(_device.why_no_cuda())


@pytest.fixture(params=["plain", "tensor cores"])
def engine(request: pytest.FixtureRequest, cuda: None) -> Engine:
    return replace(Engine.resolve(1), device="cuda", plain_cuda=request.param == "plain")


@pytest.fixture
def tensor_engine(cuda: None) -> Engine:
    return replace(Engine.resolve(1), device="cuda")
