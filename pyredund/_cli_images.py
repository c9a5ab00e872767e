"""The commands that begin with images: fit, embed, images. torch is imported once one of them runs."""

from __future__ import annotations

import csv
import io
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import pyredund
from pyredund._cli_options import quiet_option, share_or_count, threads_option
from pyredund._files import written_whole
from pyredund._methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyredund.embed import EmbeddedImages, Skipped

NAMED = 20  # skipped images that are named; --skipped FILE names all
LISTS = (".txt", ".csv")

folder_argument = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
model_option = click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="What `pyredund fit` wrote. Default: train on FOLDER, without labels.",
)
epochs_option = click.option(
    "--epochs", type=int, help="Of training. Default: about a million images in all, at most 100."
)
backbone_option = click.option(
    "--backbone", default="auto", show_default=True, help="small, resnet18 or another network of torchvision."
)
imagenet_option = click.option("--imagenet", is_flag=True, help="Start from torchvision's ImageNet weights.")
dim_option = click.option("--dim", type=int, default=64, show_default=True, help="Dimensions of the embedding.")
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of training.")
work_option = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the state of training and finished blocks there; the same command goes on from them after a crash.",
)
skipped_option = click.option(
    "--skipped",
    "skipped_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where files that could not be read are listed: name, tab, reason.",
)


def _ending(*known: str) -> Any:
    def check(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
        if path.suffix.lower() not in known:
            raise click.BadParameter(f"{path} must end in {' or '.join(known)}")
        if not path.parent.is_dir():
            raise click.BadParameter(f"{path} cannot be written: there is no folder {path.parent}")
        return path

    return check


@click.command()
@folder_argument
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--labels", type=click.Choice(["folders"]), help="Train as a classifier of the folders' names.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run with the same options stopped.")
@epochs_option
@backbone_option
@imagenet_option
@dim_option
@seed_option
@skipped_option
@quiet_option
def fit(
    folder: Path,
    output: Path,
    labels: str | None,
    resume: bool,
    epochs: int | None,
    backbone: str,
    imagenet: bool,
    dim: int,
    seed: int,
    skipped_file: Path | None,
    quiet: bool,
) -> None:
    """Train an embedder on the images in FOLDER and write it into the folder of --output."""
    started = time.perf_counter()
    embedder = pyredund.Embedder(backbone, dim, weights="imagenet" if imagenet else None, seed=seed)
    embedder.fit(folder, labels, epochs=epochs, checkpoint=output, resume=resume, progress=_shown(quiet))
    embedder.save(output)
    (output / "checkpoint.safetensors").unlink(missing_ok=True)
    _report_skipped(embedder.skipped, skipped_file, quiet)
    _say(f"Trained {len(embedder.losses)} epochs in {_since(started)}, written to {output}", quiet)


@click.command()
@folder_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_ending(".npy"),
    metavar="FILE",
    help="Embeddings, .npy; the names of the rows go beside it, into a .txt of the same name.",
)
@model_option
@epochs_option
@work_option
@skipped_option
@quiet_option
def embed(
    folder: Path,
    output: Path,
    model: Path | None,
    epochs: int | None,
    work: Path | None,
    skipped_file: Path | None,
    quiet: bool,
) -> None:
    """Turn the images in FOLDER into embeddings, one row each."""
    found = _embedded(folder, model, epochs, work, skipped_file, quiet)
    with written_whole(output.with_suffix(".txt")) as file:
        file.write(_lines(list(found.ids)))
    with written_whole(output) as file:
        np.save(file, found.embeddings, allow_pickle=False)
    _say(f"Written to {output}, names to {output.with_suffix('.txt')}", quiet)


@click.command()
@folder_argument
@click.option("--keep", metavar="SHARE|COUNT", default="0.9", callback=share_or_count, show_default=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_ending(*LISTS),
    metavar="FILE",
    help="Names of the kept images (.txt), or all images with what stands for them (.csv).",
)
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="How to choose.")
@model_option
@epochs_option
@work_option
@threads_option
@skipped_option
@quiet_option
def images(
    folder: Path,
    keep: float | int,
    output: Path,
    method: str,
    model: Path | None,
    epochs: int | None,
    work: Path | None,
    threads: int | None,
    skipped_file: Path | None,
    quiet: bool,
) -> None:
    """Choose which images in FOLDER to keep. Nothing in FOLDER is changed."""
    found = _embedded(folder, model, epochs, work, skipped_file, quiet)
    started = time.perf_counter()
    selection = pyredund.select(found.embeddings, keep, method=method, n_threads=threads, progress=_shown(quiet))
    _say(f"Kept {len(selection.indices):,} of {len(found):,} images, in {_since(started)}", quiet)
    with written_whole(output) as file:
        if output.suffix.lower() == ".txt":
            file.write(_lines([str(found.ids[row]) for row in selection.indices]))
        else:
            file.write(_table(list(found.ids), selection))
    _say(f"Written to {output}", quiet)


def _embedded(
    folder: Path, model: Path | None, epochs: int | None, work: Path | None, skipped_file: Path | None, quiet: bool
) -> EmbeddedImages:
    """Load or train, then embed; a line about each on standard error."""
    started = time.perf_counter()
    if model is not None:
        if epochs is not None:
            raise click.UsageError("--epochs and --model exclude each other: a model is not trained again")
        embedder = pyredund.Embedder.load(model)
    else:
        embedder = pyredund.Embedder()
        from pyredund.embed.train import CHECKPOINT

        if work is not None and (work / CHECKPOINT).is_file():
            _say(f"{work} holds a training, which goes on if settings and images are the same", quiet)
        try:
            embedder.fit(folder, epochs=epochs, checkpoint=work, resume=work is not None, progress=_shown(quiet))
        except ValueError as error:  # in the words of the command line
            message = str(error).replace("resume=True needs", "--work needs")
            raise ValueError(message.replace("pass resume=False", "give another folder to --work")) from None
        _say(f"Trained {len(embedder.losses)} epochs on {folder}, in {_since(started)}", quiet)
    started = time.perf_counter()
    found = embedder.embed(folder, blocks=work, progress=_shown(quiet))
    _report_skipped(found.skipped, skipped_file, quiet)
    _say(f"Embedded {len(found):,} images in {found.embeddings.shape[1]} dimensions, in {_since(started)}", quiet)
    return found


def _report_skipped(skipped: Sequence[Skipped], file: Path | None, quiet: bool) -> None:
    lines = [f"{one.id}\t{one.reason}" for one in skipped]
    if file is not None:
        with written_whole(file) as opened:
            opened.write(_lines(lines))
    if skipped:
        more = f"\n  ... and {len(lines) - NAMED} more (--skipped FILE lists all)" if len(lines) > NAMED else ""
        shown = "".join(f"\n  {line.replace(chr(9), ': ')}" for line in lines[:NAMED])
        _say(f"Skipped {len(lines):,} files:{shown}{more}", quiet)


def _lines(names: Sequence[object]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")


def _table(ids: Sequence[object], selection: pyredund.Selection) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "kept", "representative", "similarity"])
    for row, name in enumerate(ids):
        kept = int(selection.mask[row])
        writer.writerow([name, kept, ids[selection.representatives[row]], f"{selection.similarities[row]:.6f}"])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _shown(quiet: bool) -> bool:
    return sys.stderr.isatty() and not quiet


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        with suppress(BrokenPipeError):  # that nobody reads on is no reason to lose the result
            click.echo(text, err=True)
