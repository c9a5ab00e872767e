"""The command `pyredund images` on 60,000 PNG files, 20 of them damaged in different ways, and killed on its way.

    python -m benchmarks.image_folder [--rows N] [--epochs N] [--kills N]

Writes Fashion-MNIST as files, damages 20, and runs the command as a user would. Then it checks the number of names
written, that each names a whole file, that the report names exactly the damaged ones, and that the folder is as it was.
With --kills the command is run again with --work, killed by kill -9 so many times while it trains, the last time when
it has embedded a first block, run to its end, and has to write the same bytes.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.claims import Claim
from benchmarks.datasets import fashion_mnist

KEEP = 0.9


def damages() -> dict[str, Callable[[bytes, NDArray[np.uint8]], bytes]]:
    """Twenty ways in which a file becomes none: from the bytes of a PNG, and its pixels."""
    from PIL import Image

    def saved(pixels: NDArray[np.uint8], kind: str) -> bytes:
        store = io.BytesIO()
        Image.fromarray(pixels).save(store, kind)
        return store.getvalue()

    def with_bytes(whole: bytes, at: int, new: bytes) -> bytes:
        return whole[:at] + new + whole[at + len(new) :]

    def with_head(whole: bytes, at: int, new: bytes) -> bytes:
        """The head says something else, and its checksum is right."""
        changed = with_bytes(whole, at, new)
        return with_bytes(changed, 29, struct.pack(">I", zlib.crc32(changed[12:29])))

    return {
        "empty": lambda whole, pixels: b"",
        "one byte": lambda whole, pixels: whole[:1],
        "signature only": lambda whole, pixels: whole[:8],
        "cut in its head": lambda whole, pixels: whole[:20],
        "cut after its head": lambda whole, pixels: whole[:33],
        "cut in the middle": lambda whole, pixels: whole[: len(whole) // 2],
        "nothing but zeros": lambda whole, pixels: bytes(len(whole)),
        "random bytes": lambda whole, pixels: np.random.default_rng(0).bytes(len(whole)),
        "text": lambda whole, pixels: b"no image at all",
        "a web page": lambda whole, pixels: b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "a vector image": lambda whole, pixels: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "PostScript": lambda whole, pixels: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n",
        "compressed": lambda whole, pixels: gzip.compress(whole),
        "a pickle": lambda whole, pixels: pickle.dumps(pixels),
        "signature damaged": lambda whole, pixels: with_bytes(whole, 1, b"JPG"),
        "width of zero": lambda whole, pixels: with_head(whole, 16, bytes(4)),
        "claims 2 billion rows": lambda whole, pixels: with_head(whole, 20, b"\x7f\xff\xff\xff"),
        "pixels overwritten": lambda whole, pixels: with_bytes(whole, 45, b"\xff" * (len(whole) - 70)),
        "a JPEG cut short": lambda whole, pixels: saved(pixels, "JPEG")[:300],
        "a format not allowed": lambda whole, pixels: saved(pixels, "ICO"),
    }


def write_folder(folder: Path, images: NDArray[np.uint8]) -> dict[str, str]:
    """Write the images in ten folders, some of them damaged; how, by name."""
    from PIL import Image

    names = [f"{number % 10}/{number:05d}.png" for number in range(len(images))]
    for part in range(10):
        (folder / str(part)).mkdir()
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    ways = damages()
    damaged = {}
    for number, (way, damage) in zip(np.linspace(0, len(images) - 1, len(ways)).astype(int), ways.items(), strict=True):
        path = folder / names[number]
        path.write_bytes(damage(path.read_bytes(), images[number]))
        damaged[names[number]] = way
    return damaged


def state_of(folder: Path) -> list[tuple[str, int, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def run(command: list[str], is_time: Callable[[float], bool] = lambda seconds: False) -> tuple[float, bool]:
    """Seconds that the command took, and whether it came to its end before it was time to kill it."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, "-m", "pyredund", *command], stderr=errors)
        while process.poll() is None:
            if is_time(time.perf_counter() - started):
                process.kill()  # SIGKILL
                process.wait()
                return time.perf_counter() - started, False
            time.sleep(0.02)
        errors.seek(0)
        click.echo(errors.read(), err=True)
    if process.returncode:
        raise SystemExit(f"pyredund {' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, True


@click.command()
@click.option("--rows", type=int, default=60_000, show_default=True, help="Images.")
@click.option("--epochs", type=int, help="Of training. Default: the library's.")
@click.option("--kills", type=int, default=0, show_default=True, help="Kill a second run so many times.")
def main(rows: int, epochs: int | None, kills: int) -> None:
    """Say whether the command keeps its word."""
    images = fashion_mnist("train")[0][:rows]
    with tempfile.TemporaryDirectory() as place:
        here, folder = Path(place), Path(place, "images")
        folder.mkdir()
        damaged = write_folder(folder, images)
        before = state_of(folder)
        options = ["--keep", str(KEEP), *([] if epochs is None else ["--epochs", str(epochs)])]
        command = ["images", str(folder), *options, "--skipped", str(here / "skipped.tsv")]
        seconds, _ = run([*command, "-o", str(here / "kept.txt")])
        kept = (here / "kept.txt").read_text().splitlines()
        reasons = dict(line.split("\t") for line in (here / "skipped.tsv").read_text().splitlines())
        whole = {str(path.relative_to(folder)) for path in folder.rglob("*.png")} - set(damaged)
        for name, way in damaged.items():
            click.echo(f"{name}, {way}: {reasons.get(name, 'NOT REPORTED')}")
        expected = int(KEEP * len(whole) + 0.5)
        claims = [
            Claim(f"{len(reasons)} of {len(damaged)} damaged files are named, no other", set(reasons) == set(damaged)),
            Claim(f"{len(kept):,} names of {len(whole):,} whole images, {expected:,} expected", len(kept) == expected),
            Claim("each name is that of a whole image, in order", set(kept) <= whole and kept == sorted(set(kept))),
            Claim(f"the folder is as it was, after {seconds:.0f} s", state_of(folder) == before),
        ]
        again = [*command, "-o", str(here / "again.txt"), "--work", str(here / "work")]
        killed = 0
        work = here / "work"
        for kill in range(kills):  # each run goes on where the one before was
            in_embed = kills > 1 and kill == kills - 1
            after, ended = run(
                again,
                (lambda passed: any(work.glob("block-*")))
                if in_embed
                else lambda passed: passed > seconds / max(kills, 2),
            )
            killed += not ended
            finished = list(work.glob("*"))
            how = "ended" if ended else "killed"
            click.echo(f"{how} after {after:.0f} s, files in the work folder: {len(finished)}", err=True)
        if kills:
            run(again)
            same = (here / "kept.txt").read_bytes() == (here / "again.txt").read_bytes()
            claims.append(
                Claim(f"killed {killed} times and run again, it writes the same bytes", same and killed == kills)
            )
    click.echo("\n".join(map(str, claims)))
    raise SystemExit(int(not all(claim.holds for claim in claims)))


if __name__ == "__main__":
    main()
