"""Options that commands share, and what they accept."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

import click

from pyredund import _embeddings_file, _row_files, _selection_file
from pyredund._device import DEVICES

PICTURE = Path("pyredund-demo.png")


def share_or_count(ctx: click.Context, param: click.Parameter, value: str) -> float | int:
    """A share (0.9, 90%) or a count (5000)."""
    text = value.strip()
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    number = text.removesuffix("%").rstrip()
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", number):
        raise click.BadParameter(f"{value!r} is neither a share such as 0.9 or 90% nor a count such as 5000")
    # Decimal, so that 12.3% is the same number as 0.123.
    return float(Decimal(number) / 100 if text.endswith("%") else Decimal(number))


UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def byte_count(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Bytes, as a number with or without a unit (1500000000, 1.5GB, 512 MiB)."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+) *([A-Za-z]*)", value.strip())
    units = {unit.lower(): size for unit, size in UNITS.items()}
    if not found or found[2].lower() not in units:
        known = ", ".join(filter(None, UNITS))
        raise click.BadParameter(f"{value!r} is no number of bytes such as 1500000000, 1.5GB or 512MiB; units: {known}")
    return int(Decimal(found[1]) * units[found[2].lower()])


def input_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """A file with a known ending."""
    return None if path is None else _check_ending(path, _embeddings_file.ENDINGS)


def per_row_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    return None if path is None else _check_ending(path, _row_files.ENDINGS)


def output_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """A file with a known ending that can be written when the time comes; None for standard output."""
    if path is None or str(path) == "-":
        return None
    return _check_folder(_check_ending(path, _selection_file.ENDINGS))


def picture_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    return None if path is None else _check_folder(_check_ending(path, (PICTURE.suffix,)))


def _check_ending(path: Path, known: tuple[str, ...]) -> Path:
    if path.suffix.lower() not in known:
        listed = " or ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
        raise click.BadParameter(f"{path} must end in {listed}")
    return path


def _check_folder(path: Path) -> Path:
    if not path.parent.is_dir():
        raise click.BadParameter(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"{path} cannot be written: the folder {path.parent} is read-only")
    return path


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=output_file,
    metavar="FILE",
    help="Where the result goes, in the form that the ending asks for: .txt and .npy (kept row numbers), .csv (each "
    "row with its representative), .json (all). Without it, or with -, row numbers go to standard output.",
)

reference_option = click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=input_file,
    metavar="FILE",
    help="Rows that you own already, and that count as kept. Its row r stands for others as n + r, FILE having n rows.",
)
must_keep_option = click.option(
    "--must-keep",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=per_row_file,
    metavar="FILE",
    help="Numbers of rows that stay in any case: .txt (one a line) or .npy.",
)
array_option = click.option("--array", metavar="NAME", help="The array to read from an .npz file that holds several.")
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where neighbours are searched: cuda is the GPU, auto the CPU for the time being.",
)
threads_option = click.option("--threads", type=int, help="Worker threads. Default: all that this process may use.")
memory_option = click.option(
    "--max-memory",
    metavar="BYTES",
    callback=byte_count,
    help="Memory to take at most, beside FILE: 1500000000, 1.5GB, 512MiB. With less than it would like, it keeps "
    "large arrays in temporary files (in TMPDIR), or says what would do. Default: what the machine has left.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a summary for machines; without -o the whole result."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress and no summary on standard error.")
