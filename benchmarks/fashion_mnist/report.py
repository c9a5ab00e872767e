"""RESULTS.md, its plots, and the section of the README: made from the results alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.fashion_mnist.analysis import Cell, cells, difference, matched
from benchmarks.fashion_mnist.arms import LIKE, title
from benchmarks.fashion_mnist.findings import against_stratified, redundancy_or_balance, selections
from benchmarks.fashion_mnist.plots import courses, sizes
from benchmarks.fashion_mnist.results import FOLDER, SELECTIONS, Results, file_name
from benchmarks.fashion_mnist.selected import Make, read
from benchmarks.fashion_mnist.units import HONEST

RESULTS = Path(__file__).parent / "RESULTS.md"
README = Path(__file__).resolve().parents[2] / "README.md"
MAIN = "fashion-mnist"  # first in the report
TITLES = {MAIN: "Fashion-MNIST", "digits": "the bundled digits"}
RECIPE_TITLES = {"small": "small network", "published": "ResNet-34, the published recipe"}
HEADER = (
    "arm",
    "rows",
    "seeds",
    "accuracy, %",
    "sd",
    "last rounds, %",
    "less stratified random (95 %)",
    "less random of its class counts (95 %)",
)
Cells = dict[tuple[str, float], Cell]


def marks(name: str) -> tuple[str, str]:
    """Lines between which a report stands in a file."""
    return f"<!-- {name}: written by python -m benchmarks.fashion_mnist report -->", f"<!-- end of {name} -->"


def insert(report: str, into: Path, name: str) -> None:
    """Replace what stands between the two marks of a file."""
    begin, end = marks(name)
    before, found, rest = into.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{into} must hold the lines {begin} and {end}")
    into.write_text(f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}")


def markdown(header: tuple[str, ...], rows: list[list[str]]) -> str:
    """Format a table in GitHub's Markdown: the first column to the left, numbers to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(found: Cells, keep: float) -> str:
    """All arms at one size, with all of the pool and, beside the size nearest to its own, the list."""
    shown = [cell for (arm, size), cell in found.items() if size == keep or arm == "full"]
    rows = []
    for cell in sorted(shown, key=lambda cell: (cell.arm != "full", _rank(cell.arm))):
        control = matched(cell.arm)
        stratified = None if cell.arm == "stratified" else difference(cell, found.get(("stratified", keep)))
        same_counts = difference(cell, found.get((control, keep))) if control not in (None, "stratified") else None
        last = sum(cell.last.values()) / len(cell.last)
        rows.append(
            [title(cell.arm), f"{cell.rows:,}", str(len(cell.accuracy)), f"{100 * cell.mean:.2f}"]
            + [f"{100 * cell.deviation:.2f}" if len(cell.accuracy) > 1 else "", f"{100 * last:.2f}"]
            + ["" if stratified is None else str(stratified)]
            + ["as before" if control == "stratified" else "" if same_counts is None else str(same_counts)]
        )
    return markdown(HEADER, rows)


def _rank(arm: str) -> tuple[int, str]:
    return (0 if arm in ("random", "stratified") else 1, arm.removeprefix(LIKE) + (" " if arm.startswith(LIKE) else ""))


def keeps_of(found: Cells) -> list[float]:
    """Sizes with results, ascending."""
    return sorted({keep for arm, keep in found if arm != "full"})


def statements(found: Cells) -> list[str]:
    """What was found, sentence by sentence."""
    lines = [against_stratified(found, keep) for keep in keeps_of(found) if selections(found, keep)]
    parts = [
        redundancy_or_balance(found, arm.removeprefix(LIKE), keep)
        for arm, keep in sorted(found, key=lambda place: (place[1], place[0]))
        if arm.startswith(LIKE)
    ]
    return [f"- {line}" for line in lines + [part for part in parts if part is not None]]


def section(entries: list[dict[str, Any]], plots: Path) -> str:
    """Everything about one data set, recipe, way to evaluate and machine."""
    found = cells(entries)
    first = entries[0]
    name = file_name(*(first[field] for field in ("data", "recipe", "split", "machine")))
    lines = [f"## {heading(first)}", "", sources(entries), ""]
    lines += statements(found)
    for keep in keeps_of(found):
        lines += ["", f"### keep = {keep:g}", "", table(found, keep)]
    plots.mkdir(exist_ok=True)
    sizes(found, plots / f"{name}-sizes.png")
    lines += ["", f"![accuracy against the share kept](plots/{name}-sizes.png)"]
    for keep in keeps_of(found):
        if any(entry["seed"] == 0 and entry["keep"] == keep for entry in entries):
            courses(entries, keep, plots / f"{name}-{keep:g}.png")
            lines += ["", f"![training loss and test accuracy at keep {keep:g}](plots/{name}-{keep:g}.png)"]
    return "\n".join(lines)


def sources(entries: list[dict[str, Any]]) -> str:
    """Which machines, versions and commands the figures come from."""
    machines = Counter((entry["machine"], entry["precision"], entry["torch"]) for entry in entries)
    seconds = median(entry["cpu_seconds"] for entry in entries)
    programs = sorted({(entry["program"], entry["commit"]) for entry in entries})
    commands = sorted({entry["command"] for entry in entries})
    lines = [
        f"- {count} trainings on {machine}, {entries[0]['threads']} thread each, {precision}, torch {version}; in the "
        f"median {seconds:.1f} s of a core each"
        for (machine, precision, version), count in machines.items()
    ]
    lines += [f"- program {program} (commit {commit})" for program, commit in programs]
    return "\n".join(lines + [f"- `{command}`" for command in commands])


def compositions(data: str, made: dict[float, dict[str, Make]]) -> str:
    """What the selections of a data set consist of, size by size: one embedding's, whichever machines train on them."""
    parts = [f"### keep = {keep:g}\n\n{composition(made[keep])}" for keep in sorted(made)]
    return "\n\n".join([f"## What the selections of {TITLES.get(data, data)} are made of", *parts])


def composition(made: dict[str, Make]) -> str:
    """What each selection consists of."""
    header = ("kept by", "smallest class", "largest class", "mean distance to kept", "at a border", "similarity around")
    return markdown(
        header,
        [
            [title(arm), f"{make.smallest:,}", f"{make.largest:,}", f"{make.distance:.4f}"]
            + [f"{100 * make.border:.1f} %", f"{make.crowding:.3f}"]
            for arm, make in made.items()
        ],
    )


def all_results(folder: Path) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Results of every file in a folder: what one machine found for a data set, a recipe and a way to evaluate."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for entry in Results(path).read().values():
            place = tuple(str(entry[field]) for field in ("data", "recipe", "split", "machine", "precision"))
            found.setdefault(place, []).append(entry)
    return found


def write(folder: Path = FOLDER, into: Path = RESULTS, readme: Path = README) -> None:
    """Put the report and its plots where they belong, and its shortest form into the README."""
    sections, short = [], []
    parts = all_results(folder).items()
    for _, entries in sorted(parts, key=lambda part: (part[0][0] != MAIN, part[0][:3], -len(part[1]))):
        sections.append(section(entries, into.parent / "plots"))
        short.append(summary(entries))
    sections += [compositions(data, made) for data, made in read(folder / SELECTIONS).items()]
    insert("\n\n".join(sections), into, "results")
    insert("\n\n".join(short), readme, "fashion-mnist")


def heading(entry: dict[str, Any]) -> str:
    """Data set, recipe, way to evaluate and machine of a result."""
    how = "honestly" if entry["split"] == HONEST else entry["split"]
    data, recipe = TITLES.get(entry["data"], entry["data"]), RECIPE_TITLES[entry["recipe"]]
    return f"{data}, {recipe}, evaluated {how}, {entry['machine']}"


def summary(entries: list[dict[str, Any]]) -> str:
    """Accuracies of all arms and sizes in one table."""
    found = cells(entries)
    keeps = [keep for keep in keeps_of(found) if selections(found, keep)]
    full = found.get(("full", 1.0))
    arms = sorted({arm for arm, _ in found if arm != "full"}, key=_rank)
    rows = [
        [title(arm)] + [_short(found.get((arm, keep)), found.get(("stratified", keep))) for keep in keeps]
        for arm in arms
    ]
    whole = f"; with all rows {100 * full.mean:.2f} % ({len(full.accuracy)} seeds)" if full else ""
    head = f"**{heading(entries[0])}**{whole}"
    return f"{head}\n\n" + markdown(("arm", *(f"keep {keep:g}" for keep in keeps)), rows)


def _short(cell: Cell | None, control: Cell | None) -> str:
    if cell is None:
        return ""
    compared = None if cell.arm == "stratified" else difference(cell, control)
    sign = {"better": " ▲", "worse": " ▼"}.get(compared.verdict, "") if compared else ""
    return f"{100 * cell.mean:.2f} ({len(cell.accuracy)}){sign}"
