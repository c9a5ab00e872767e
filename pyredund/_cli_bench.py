"""The command `pyredund bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyredund import _embeddings_file, _row_files
from pyredund._cli_options import (
    array_option,
    input_file,
    per_row_file,
    picture_file,
    quiet_option,
    share_or_count,
    threads_option,
)

if TYPE_CHECKING:
    from pyredund.bench import Scaling


def _shares(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[float | int]:
    return [share_or_count(ctx, param, value) for value in values]


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=input_file
)
@click.option(
    "--keep",
    metavar="SHARE|COUNT",
    default=["0.9"],
    multiple=True,
    callback=_shares,
    show_default=True,
    help="A share (0.9, 90%) or a count (5000); may be given several times.",
)
@click.option(
    "--groups",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=per_row_file,
    metavar="FILE",
    help="A label for each row, .txt (one a line) or .npy: adds selection class by class, and the balance of classes.",
)
@click.option("--method", "methods", multiple=True, metavar="NAME", help="One to compare; may be given several times.")
@click.option(
    "--list", "listed", is_flag=True, help="Only list the names, and whether they are installed; needs no FILE."
)
@click.option("--rows", type=click.IntRange(min=2), help="Take a random sample of so many rows.")
@click.option(
    "--scaling", is_flag=True, help="Instead: agglomerative clustering against the number of rows, each to its limits."
)
@click.option("--linkage", default="average", show_default=True, help="Of --scaling: average, complete or single.")
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=picture_file,
    metavar="FILE",
    help="Where the curves of --scaling are drawn (.png); needs matplotlib.",
)
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, help="Seconds a run."
)
@click.option("--memory-limit", type=click.IntRange(min=1), metavar="MIB", help="MiB that a run may allocate.")
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write each measurement down at once, and do not repeat those that are there.",
)
@array_option
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print numbers for machines instead of tables.")
@quiet_option
def bench(
    file: Path | None,
    keep: list[float | int],
    groups: Path | None,
    methods: tuple[str, ...],
    listed: bool,
    rows: int | None,
    scaling: bool,
    linkage: str,
    figure: Path | None,
    time_limit: float,
    memory_limit: int | None,
    journal: Path | None,
    array: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare ways to select rows of FILE, with whatever peers are installed.

    Each runs in a process of its own on the same unit rows: what it loses, how long it takes, how much memory. The best
    of each column is bold, and a sentence says which columns others win. Nothing in FILE is changed.
    """
    import numpy as np

    from pyredund import bench as benches

    if figure is not None and not scaling:
        raise click.UsageError("--figure draws the curves of --scaling, which is not asked for")
    if scaling and len(keep) > 1:
        raise click.UsageError("--scaling takes one --keep")
    if scaling and not isinstance(keep[0], float):
        raise click.UsageError("--scaling takes a share as --keep, such as 0.9: it is that of every number of rows")
    if listed:
        known = benches.clusterings(linkage) if scaling else benches.SELECTORS
        for name, contender in known.items():
            click.echo(name if contender.installed else f"{name} (not installed)")
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    embeddings = _embeddings_file.read_embeddings(file, array)
    labels = None if groups is None else _row_files.read_labels(groups)
    if labels is not None and labels.shape != embeddings.shape[:1]:
        raise ValueError(f"{groups} must hold one label for each of {len(embeddings)} rows, got {len(labels)}")
    if rows is not None and rows < len(embeddings):
        sample = np.sort(np.random.default_rng(0).permutation(len(embeddings))[:rows])
        embeddings, labels = embeddings[sample], None if labels is None else labels[sample]

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    options: dict[str, Any] = {
        "groups": labels,
        "n_threads": threads,
        "time_limit": time_limit,
        "memory_limit": None if memory_limit is None else memory_limit << 20,
        "journal": journal,
        "report": report,
    }
    chosen = methods or None
    found: benches.Comparison | benches.Scaling
    if scaling:
        found = benches.scaling(embeddings, keep=float(keep[0]), linkage=linkage, engines=chosen, **options)
    else:
        found = benches.compare(embeddings, keep, methods=chosen, **options)
    click.echo(json.dumps(found.to_dict()) if as_json else f"{benches.description()}\n\n{found}")
    if isinstance(found, benches.Scaling):
        if figure is not None:
            report(_draw(figure, found))
        if found.differing():
            raise click.ClickException("partitions differ; where distances tie, as among copies, each is right")


def _draw(path: Path, scaling: Scaling) -> str:
    from pyredund.bench import draw_scaling

    try:
        draw_scaling(path, scaling)
    except ImportError:
        return "No picture: it needs matplotlib, which is not installed here: pip install matplotlib"
    return f"Curves drawn to {path}"
