"""The command `pyredund`: what a shell needs of the library, and nothing else."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

import pyredund
from pyredund import _cli_images, _embeddings_file, _row_files, _selection_file
from pyredund._agglomerative import LINKAGES
from pyredund._cli_bench import bench
from pyredund._cli_options import (
    PICTURE,
    array_option,
    device_option,
    input_file,
    json_option,
    memory_option,
    must_keep_option,
    output_option,
    per_row_file,
    picture_file,
    quiet_option,
    reference_option,
    share_or_count,
    threads_option,
)
from pyredund._device import why_no_cuda
from pyredund._methods import METHODS

INTERRUPTED = 130  # what shells report for a command ended by Ctrl-C


class _Commands(click.Group):
    """Commands whose mistakes end in a sentence, not in a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted: nothing was written", err=True)
            ctx.exit(INTERRUPTED)
        except (BrokenPipeError, click.Abort, click.exceptions.Exit):
            raise  # the reader of a pipe has gone, or somebody asked to end: click ends quietly
        except (ValueError, TypeError, MemoryError, OSError, ImportError, RuntimeError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise click.ClickException(f"{where}{what or type(error).__name__}") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pyredund.__version__, prog_name="pyredund")
def main() -> None:
    """Find what is redundant in a data set, and keep the rest."""


main.add_command(bench)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=input_file)
@click.option(
    "--keep",
    metavar="SHARE|COUNT",
    default="0.9",
    callback=share_or_count,
    show_default=True,
    help="A share (0.9, 90%) or a count (5000).",
)
@output_option
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="How to choose.")
@click.option(
    "--groups",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=per_row_file,
    metavar="FILE",
    help="A label for each row, .txt (one a line) or .npy: each group is selected on its own, in proportion.",
)
@reference_option
@must_keep_option
@click.option(
    "--linkage",
    type=click.Choice(LINKAGES),
    default=LINKAGES[0],
    show_default=True,
    help="Of --method agglomerative: the distance of two clusters.",
)
@click.option("--refine", is_flag=True, help="Of removal and insertion: exchange rows while less is lost.")
@click.option("--k", type=int, help="Neighbours per row in the graph; for removal it only affects speed.")
@array_option
@device_option
@threads_option
@memory_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of --method random.")
@json_option
@quiet_option
def select(
    file: Path,
    keep: float | int,
    output: Path | None,
    method: str,
    linkage: str,
    refine: bool,
    groups: Path | None,
    reference: Path | None,
    must_keep: Path | None,
    k: int | None,
    array: str | None,
    device: str,
    threads: int | None,
    max_memory: int | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Choose which rows of FILE to keep.

    FILE holds one embedding per row: .npy, .npz, or .csv with numbers only (a header line is allowed). Rows count
    from 0. Nothing in FILE is changed.
    """
    _check_not_input(output, file, groups, reference, must_keep)
    started = time.perf_counter()
    selection = pyredund.select(
        _embeddings_file.read_embeddings(file, array),
        keep,
        method=method,
        linkage=linkage,
        refine=refine,
        groups=None if groups is None else _row_files.read_labels(groups),
        must_keep=None if must_keep is None else _row_files.read_row_numbers(must_keep),
        reference=None if reference is None else _embeddings_file.read_embeddings(reference),
        k=k,
        device=device,
        max_memory=max_memory,
        n_threads=threads,
        seed=seed,
        progress=sys.stderr.isatty() and not quiet,
    )
    parameters = {"file": str(file), "keep": keep, "method": method, "k": selection.k, "seed": seed}
    if selection.linkage is not None:
        parameters |= {"linkage": selection.linkage}
    if refine:
        parameters |= {"refine": True}
    parameters |= _named(groups=groups, reference=reference, must_keep=must_keep)
    _report(selection, parameters, output, as_json, quiet, started)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=input_file)
@click.option(
    "--threshold", type=float, default=0.95, show_default=True, help="Similarity from which on rows are duplicates."
)
@reference_option
@must_keep_option
@output_option
@array_option
@device_option
@threads_option
@memory_option
@json_option
@quiet_option
def dedup(
    file: Path,
    threshold: float,
    reference: Path | None,
    must_keep: Path | None,
    output: Path | None,
    array: str | None,
    device: str,
    threads: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Drop every row of FILE that a kept row resembles.

    Rows are visited in their order, and one stays unless a row kept so far is as similar as the threshold: so every
    dropped row has a kept one that stands for it, and no two kept rows are duplicates. Nothing in FILE is changed.
    """
    _check_not_input(output, file, reference, must_keep)
    started = time.perf_counter()
    selection = pyredund.deduplicate(
        _embeddings_file.read_embeddings(file, array),
        threshold,
        must_keep=None if must_keep is None else _row_files.read_row_numbers(must_keep),
        reference=None if reference is None else _embeddings_file.read_embeddings(reference),
        device=device,
        max_memory=max_memory,
        n_threads=threads,
        progress=sys.stderr.isatty() and not quiet,
    )
    parameters = {"file": str(file), "threshold": threshold, **_named(reference=reference, must_keep=must_keep)}
    _report(selection, parameters, output, as_json, quiet, started)


def _share(count: int, n: int) -> str:
    """Per cent, with as many digits as it takes not to say 0 or all where it is neither."""
    digits = 1
    while 0 < count < n and f"{count / n:.{digits}%}" in {f"{0:.{digits}%}", f"{1:.{digits}%}"}:
        digits += 1
    return f"{count / n:.{digits}%}"


def _named(**files: Path | None) -> dict[str, str | None]:
    return {option: None if file is None else str(file) for option, file in files.items()}


def _check_not_input(output: Path | None, *inputs: Path | None) -> None:
    for file in inputs:
        if output and file and output.exists() and output.samefile(file):
            raise click.BadParameter(f"{output} is the input file", param_hint="--output")


def _report(
    selection: pyredund.Selection,
    parameters: Mapping[str, object],
    output: Path | None,
    as_json: bool,
    quiet: bool,
    started: float,
) -> None:
    """Write or print a selection, and say what it did."""
    summary = {"pyredund": pyredund.__version__, **_selection_file.summarize(selection, parameters)}
    if output is not None:
        _selection_file.write_selection(output, selection, summary)
    elif as_json:
        summary = _selection_file.document(selection, summary)
    else:
        click.echo(_selection_file.kept_lines(selection), nl=False)
    seconds = time.perf_counter() - started
    if as_json:
        extra = {"output": str(output) if output else None, "seconds": round(seconds, 3)}
        click.echo(json.dumps(summary | extra))
    if not quiet:
        click.echo(_in_words(selection, output, seconds), err=True)


def _in_words(selection: pyredund.Selection, output: Path | None, seconds: float) -> str:
    n, n_kept, n_removed = len(selection.mask), len(selection.indices), len(selection.removed)
    lines = [f"Kept {n_kept:,} of {n:,} rows ({_share(n_kept, n)}) and removed {n_removed:,}, in {seconds:.2f} s."]
    if n_removed:
        similarities = selection.similarities[selection.removed]
        mean, lowest = similarities.mean(dtype=np.float64), similarities.min()
        lines.append(f"Similarity of removed rows to their representatives: mean {mean:.4f}, lowest {lowest:.4f}.")
    if output is not None:
        lines.append(f"Written to {output}")
    return "\n".join(lines)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it for machines.")
def info(as_json: bool) -> None:
    """Show versions, instruction sets, threads and CUDA."""
    config = pyredund.show_config() | {"python": platform.python_version(), "numpy": np.__version__}
    if as_json:
        click.echo(json.dumps(config))
        return
    others = [isa for isa in pyredund._core.isas() if isa != config["isa"]]
    available = f" (also available: {', '.join(others)})" if others else ""
    click.echo(f"pyredund         {config['version']}")
    click.echo(f"Instruction set  {config['isa']}{available}")
    click.echo(f"Threads          {config['n_threads']}")
    click.echo(f"CUDA             {', '.join(config['gpus']) or f'no: {why_no_cuda()}'}")
    click.echo(f"Python           {config['python']}")
    click.echo(f"NumPy            {config['numpy']}")


@main.command()
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=picture_file,
    metavar="FILE",
    help=f"Where the picture goes (.png). Default: {PICTURE} in the current folder.",
)
@click.option("--no-figure", is_flag=True, help="Draw no picture.")
def demo(figure: Path | None, no_figure: bool) -> None:
    """Remove a tenth of 1,797 handwritten digits, and show what went and why."""
    if figure is not None and no_figure:
        raise click.UsageError("--figure and --no-figure exclude each other")
    from pyredund.demo import demo as run

    click.echo(run(None if no_figure else figure or PICTURE))


for _command in (_cli_images.fit, _cli_images.embed, _cli_images.images):
    main.add_command(_command)
