from __future__ import annotations

from typing import cast

import pytest

from pyredund import _core


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


# Around the eight lanes of a score, the vectors of every instruction set, and two sizes that people use.
@pytest.fixture(params=[1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97, 128, 300, 1280])
def dim(request: pytest.FixtureRequest) -> int:
    return cast("int", request.param)
