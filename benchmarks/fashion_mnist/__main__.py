"""Train on a part of labelled images, Fashion-MNIST for one, and write down what was found.

run      a small network, hours of two cores; goes on where it was interrupted; with --preset published, for a GPU,
         the published recipe
describe what the selections are made of: classes, coverage, rows at the border of their class
report   RESULTS.md, its plots, and the table in the README
lists    our own lists of kept rows
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np

from benchmarks.fashion_mnist.arms import BASELINES, LIKE, LIST, check, rows_of
from benchmarks.fashion_mnist.images import KNOWN, LabelledImages, load
from benchmarks.fashion_mnist.presets import LISTED, PRESETS
from benchmarks.fashion_mnist.results import FOLDER, SELECTIONS, Results, file_name
from benchmarks.fashion_mnist.units import LIST_SIZE, SPLITS, Unit, pending, plan, pools_of, runner
from pyredund._files import written_whole

MAIN = "fashion-mnist"
KEPT_LISTS = (0.9, 0.75)


def part(context: click.Context, parameter: click.Parameter, given: str) -> tuple[int, int]:
    """Read i/n."""
    first, _, second = given.partition("/")
    if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise click.BadParameter(f"must be i/n with i from 0 to n - 1, got {given}")
    return int(first), int(second)


@click.group(help=f"\b\n{__doc__}")
def main() -> None:
    pass


@main.command()
@click.option("--data", "name", default="fashion-mnist", show_default=True, help="Also digits, a folder, an .npz file.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="cpu", show_default=True)
@click.option("--arm", "arms", multiple=True, help="Default: those of the preset.")
@click.option("--keep", "keeps", multiple=True, type=float, help="Sizes, of those of the preset. Default: all.")
@click.option("--seeds", type=click.IntRange(1), help="At most so many seeds of each.")
@click.option("--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Default: those of the preset.")
@click.option("--list", "listed", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Kept rows, .npy.")
@click.option("--shard", callback=part, default="0/1", show_default=True, help="Only this part of the units: i/n.")
@click.option("--minutes", type=float, help="Begin no unit that would end later.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--jobs", type=click.IntRange(1), help="Trainings at once, a thread each. Default: CPU cores; 1 on a GPU."
)
@click.option("--compile/--no-compile", "compiled", default=False, help="Let torch.compile make the training step.")
@click.option("--rounds", type=click.IntRange(1), help="A trial of the code: so many instead of the recipe's.")
@click.option("--rows", type=click.IntRange(1), help="A trial of the code: the first so many images.")
@click.option("--results", "path", type=click.Path(dir_okay=False, path_type=Path), help="Default: one a machine.")
def run(
    name: str,
    preset: str,
    arms: tuple[str, ...],
    keeps: tuple[float, ...],
    seeds: int | None,
    splits: tuple[str, ...],
    listed: Path | None,
    shard: tuple[int, int],
    minutes: float | None,
    device: str,
    jobs: int | None,
    compiled: bool,
    rounds: int | None,
    rows: int | None,
    path: Path | None,
) -> None:
    """Train every unit that has no result yet."""
    import torch

    from benchmarks.fashion_mnist.network import device_named
    from benchmarks.fashion_mnist.origin import origin

    chosen = PRESETS[preset]
    recipe = chosen.recipe if rounds is None else chosen.recipe.shortened(rounds)
    if path is None and (rounds, rows) != (None, None):
        raise click.UsageError("--rounds and --rows need --results FILE: figures of a trial mean nothing")
    arms = arms or chosen.arms + (LISTED if listed else ())
    sizes = [(keep, min(number, seeds or number)) for keep, number in chosen.sizes if not keeps or keep in keeps]
    if not sizes:
        raise click.UsageError(f"--keep must be among {', '.join(str(keep) for keep, _ in chosen.sizes)}, got {keeps}")
    try:
        data = load(name) if rows is None else load(name).first(rows)
        for arm in arms:
            check(arm, listed)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    units = plan(data.name, recipe.name, splits or chosen.splits, arms, sizes)
    on_cpu = device_named(device).type == "cpu"
    jobs = jobs or (len(os.sched_getaffinity(0)) if on_cpu else 1)
    if jobs > 1:
        prepare(units, data, listed)
        raise SystemExit(_in_parts(shard, jobs))
    if on_cpu:
        torch.set_num_threads(1)
    made = origin(device, torch.get_num_threads(), command())
    results = Results(path or FOLDER / f"{file_name(data.name, recipe.name, made['machine'])}.jsonl")
    train = runner(data, recipe, listed=listed, device=device, compiled=compiled, made=made)
    for unit in pending(units, results, shard, minutes):
        found = train(unit)
        results.add(unit.key, found)
        click.echo(f"{unit.key}: {found['accuracy']:.4f} in {found['seconds']:.0f} s", err=True)


def command() -> str:
    """The command line as it was given, without what differs from process to process and from machine to machine."""
    given = iter(sys.argv[1:])
    words = []
    for word in given:
        if word in ("--shard", "--jobs", "--results", "--minutes"):
            next(given, None)
        elif word == "--list":
            words += [word, Path(next(given)).name]
        else:
            words.append(word)
    return " ".join(["python -m benchmarks.fashion_mnist", *words])


def prepare(units: list[Unit], data: LabelledImages, listed: Path | None) -> None:
    """Make embeddings and selections once, with all threads, before they are wanted in several processes."""
    pools = pools_of(data)
    wanted = {(unit.arm.removeprefix(LIKE), unit.keep, unit.split) for unit in units}
    for arm, keep, split in sorted(wanted):
        if arm not in (*BASELINES, LIST):
            rows_of(arm, keep, 0, data, pools[split], listed)


def _in_parts(shard: tuple[int, int], jobs: int) -> int:
    """Run this very command as several processes, a shard each."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fashion_mnist", *sys.argv[1:]]
            + ["--jobs", "1", "--shard", f"{shard[0] + shard[1] * job}/{shard[1] * jobs}"],
            env=environment,
        )
        for job in range(jobs)
    ]
    try:
        return max(process.wait() for process in processes)
    finally:
        for process in processes:
            process.terminate()  # where this one is interrupted; what is finished is written down


@main.command()
@click.option("--arm", "more", multiple=True, help="Selections to describe beside those of the preset for CPUs.")
@click.option("--list", "listed", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Kept rows, .npy.")
def describe(more: tuple[str, ...], listed: Path | None) -> None:
    """Write down what selections consist of."""
    from benchmarks.fashion_mnist import selected

    arms = [arm for arm in (*PRESETS["cpu"].arms, *more) if arm != "full" and not arm.startswith(LIKE)]
    made: dict[str, dict[float, dict[str, selected.Make]]] = {name: {} for name in KNOWN}
    for name, of in made.items():
        data = load(name)
        pool = data.pool()
        for keep, _ in PRESETS["cpu"].sizes:
            here = arms + ([LIST] if listed and name == MAIN and keep == LIST_SIZE else [])
            of[keep] = selected.makes(data, pool, {arm: rows_of(arm, keep, 0, data, pool, listed) for arm in here})
    selected.write(made, FOLDER / SELECTIONS)


@main.command()
def report() -> None:
    """Write RESULTS.md, its plots, and the README's table from the results."""
    from benchmarks.fashion_mnist.report import write

    write()


@main.command()
def lists() -> None:
    """Write our own lists of rows to keep of all training images of Fashion-MNIST, as .npy files."""
    data = load(MAIN)
    everything = np.arange(len(data.labels))
    for keep in KEPT_LISTS:
        with written_whole(Path(__file__).parent / f"kept-{round(100 * keep)}.npy") as file:
            np.save(file, rows_of("removal", keep, 0, data, everything).astype(np.int32))


if __name__ == "__main__":
    main()
