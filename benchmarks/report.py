"""One command that prints ratios: ``python -m benchmarks.report [section]``."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TextIO

from benchmarks.claims import Claim
from benchmarks.datasets import NAMES, ROWS, ROWS_VARIABLE, TITLES, embeddings, row_limit
from benchmarks.report_agglomerative import LINKAGES, report_agglomerative
from benchmarks.report_given import report_given
from benchmarks.report_knn import report_knn, report_many, report_threads
from benchmarks.report_memory import report_large, report_memory
from benchmarks.report_quality import SIZES, report_quality
from benchmarks.report_scale import report_levels, report_scale
from benchmarks.report_select import report_select
from pyredund.bench import description, installed

SECTIONS = ("knn", "levels", "many", "threads", "scale", "memory", "select", "given")
LONG_SECTIONS = ("quality", "agglomerative")  # half an hour each: only if asked for
LARGE = ("augmented64",)  # a minute or two each; augmented784 only if asked for
NARROW = ("noise", "pca64", "learned64")  # one thread is bearable


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Ratios of pyredund to its peers, alternating in one process. Absolute times mean "
        "nothing across machines. Exits with 1 if a result, a quality or a memory promise does not hold.",
        epilog=f"{ROWS_VARIABLE}=3000 caps the rows of every data set: a functional run in seconds.",
    )
    parser.add_argument("section", nargs="?", choices=(*SECTIONS, *LONG_SECTIONS, "all"), default="all")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each entry (default: 5)")
    parser.add_argument("--wide-rounds", type=int, default=3, help="runs at more than 128 dimensions (default: 3)")
    parser.add_argument(
        "--only",
        choices=tuple(TITLES),
        action="append",
        help="data sets of knn, levels, many and threads; augmented...: of memory (may be repeated)",
    )
    parser.add_argument(
        "--all-peers", action="store_true", help="knn: the slow and the approximate peers too, one run each"
    )
    parser.add_argument(
        "--time-limit", type=float, default=60.0, help="quality, agglomerative: seconds of each run (default: 60)"
    )
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="quality, agglomerative: do not repeat what FILE holds; add to it"
    )
    parser.add_argument(
        "--rows", type=int, action="append", help=f"quality: of these many rows (may be repeated; default: {SIZES})"
    )
    parser.add_argument(
        "--linkage", choices=LINKAGES, action="append", help="agglomerative: only this (may be repeated; default: both)"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="scale, agglomerative: where to draw (.png)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the report into FILE between its two marks")
    parsed = parser.parse_args(given)
    for option in ("rounds", "wide_rounds"):
        if getattr(parsed, option) < 1:
            parser.error(f"--{option.replace('_', '-')} must be at least 1, got {getattr(parsed, option)}")
    if not installed("threadpoolctl"):
        parser.error('threadpoolctl is not installed: pip install ".[bench]"')
    return parsed


def available(names: list[str]) -> list[str]:
    """Those data sets that the machine has; the others are reported."""
    found = []
    for name in names:
        try:
            embeddings(name)
            found.append(name)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            print(f"\n{TITLES[name]}: {error}")
    return found


class Tee(StringIO):
    """Text that is shown as it is written, and kept."""

    def __init__(self, shown: TextIO) -> None:
        super().__init__()
        self.shown = shown

    def write(self, text: str) -> int:  # noqa: D102
        self.shown.write(text)
        self.shown.flush()
        return super().write(text)


def insert(report: str, into: Path, mark: str = "report") -> None:
    """Replace what stands between the two marks of a file."""
    first, last = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, begin, rest = into.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{into} must hold the lines {first} and {last}")
    into.write_text(f"{before}{begin}\n{report.strip()}\n{end}{after}")


def run(chosen: argparse.Namespace) -> list[Claim]:
    """Print the sections asked for."""
    sections = SECTIONS if chosen.section == "all" else (chosen.section,)
    print(description(), flush=True)
    if row_limit() < ROWS:
        print(f"\n**{ROWS_VARIABLE} caps the rows: a functional run, whose times and ratios mean nothing.**")
    claims: list[Claim] = []
    names = [name for name in chosen.only or NAMES if not name.startswith("augmented")]  # peers would take an hour
    if "knn" in sections:
        claims += report_knn(available(names), chosen.rounds, chosen.wide_rounds, chosen.all_peers)
    if "levels" in sections:
        claims += report_levels(available(names))
    if "many" in sections:
        claims += report_many(available([name for name in names if name in NARROW]), chosen.rounds)
    if "threads" in sections:
        claims += report_threads(available([name for name in names if name in NARROW]), chosen.rounds)
    if "scale" in sections and available(["pca64"]):
        claims += report_scale(chosen.figure)
    if "memory" in sections:
        claims += report_memory()
        large = [name for name in chosen.only or LARGE if name.startswith("augmented")]
        if large and available(["pca64"]):
            claims += report_large(large)
    if "select" in sections and available(["pca64"]):
        claims += report_select(chosen.rounds)
    if "given" in sections and available(["pca64"]):
        claims += report_given(chosen.rounds)
    if "quality" in sections and available(["pca64"]):
        claims += report_quality(chosen.time_limit, chosen.journal, chosen.rows or SIZES)
    if "agglomerative" in sections and available(["augmented64"]):
        claims += report_agglomerative(chosen.time_limit, chosen.journal, chosen.figure, chosen.linkage or LINKAGES)
    print("\n### Claims\n")
    print("\n".join(map(str, claims)))
    return claims


def main() -> int:
    """Print the report, and return 1 if a required claim fails."""
    chosen = arguments()
    with redirect_stdout(Tee(sys.stdout)) as printed:
        claims = run(chosen)
    if chosen.write:
        insert(printed.getvalue(), chosen.write, chosen.section if chosen.section in LONG_SECTIONS else "report")
    return int(any(claim.required and not claim.holds for claim in claims))


if __name__ == "__main__":
    sys.exit(main())
