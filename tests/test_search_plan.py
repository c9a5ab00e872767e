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
    "columns do not begin again": ("tile >= around ?", "tile > around ?"),
    "a block's second tile is left out": ("2 * steps, 2 * span", "steps, 2 * span"),
    "a cycle ends a tile early": ("2 * steps, 2 * span.row_blocks", "2 * steps, 2 * span.row_blocks - 1"),
    "runs overlap": ("index / span.row_blocks * span.run;", "index / span.row_blocks * (span.run - 1);"),
    "a wave shows too much before there is a bar": ("std::min(limit, capacity - seen)", "std::min(limit, capacity)"),
    "a limit is ignored": ("return std::min(limit, static_cast", "return std::max(limit, static_cast"),
    "waves bring more than they need": ("room / 4 / r", "room / 1 / r"),
    "a rank is too high": ("- r + expected >= 18.42", "- r + expected >= 13.0"),
    "a rank is too low": ("- r + expected >= 18.42", "- r + expected >= 60.0"),
    "numbers are taken twice": ("while (i >= n)", "while (i > n)"),
    "an order is hardly random": ("round < 4", "round < 1"),
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
