"""What the GPU scans when: arithmetic on the host, checked where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import emulated_cuda
import pytest

PLAN = emulated_cuda.ROOT / "csrc" / "cuda" / "search_plan.hpp"

MUTATIONS = {
    "the last step of an even cycle is for all": (
        "row_block >= span.row_blocks / 2) --end",
        "row_block < 0) --end",
    ),
    "a cycle is a step short": ("row_blocks / 2 + 1 : 0", "(row_blocks + 1) / 2 : 0"),
    "columns do not begin again": ("block >= around ?", "block > around ?"),
    "runs overlap": ("index / span.row_blocks * span.run;", "index / span.row_blocks * (span.run - 1);"),
    "a wave shows too much before there are k": ("seen < k ? capacity - seen", "seen < k ? capacity"),
    "a limit is ignored": ("std::min(limit, seen < k", "std::max<std::int64_t>(limit - limit, seen < k"),
    "a shape does not fit": ("shape.shared_bytes() <= shared_bytes", "shape.stage_bytes() <= shared_bytes"),
}


def test_the_plan_meets_every_pair_once_and_cannot_overflow(tmp_path: Path) -> None:
    assert emulated_cuda.check_of_the_plan(tmp_path) == "right"


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_plan_with_a_mistake_is_caught(name: str, tmp_path: Path) -> None:
    source, (right, wrong) = PLAN.read_text(), MUTATIONS[name]
    assert right in source
    (tmp_path / "mutant.hpp").write_text(source.replace(right, wrong))
    assert "differs" in emulated_cuda.check_of_the_plan(tmp_path, tmp_path / "mutant.hpp")
