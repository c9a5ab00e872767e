"""Work within `max_memory`: in memory where that is enough, otherwise with large arrays in temporary files.

What goes there is read a few rows at a time: unit rows, the sketch, copies of rows. Pages of the files count as memory
while they are resident, and the core gives them back when there are too many (scratch_space.hpp), so that the same
code gives the same bytes either way. What has to stay is what is written to or read everywhere: the graph, its bars,
one or two numbers a row.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pyredund import _core
from pyredund._checks import check_int
from pyredund._engine import SPARE_BYTES, Engine
from pyredund._memory import memory_limit, readable, too_little

FEWEST_PAGES = 16 << 20  # of scratch files that may be resident
BLOCKS = 32 << 20  # of the input while it is read, and of samples, whatever the number of rows
BLOCKS_OF_THREAD = 8 << 20  # tables, and pages touched between two looks at how many there are
IN_MEMORY = {"tmpfs", "ramfs"}  # file systems


@dataclass(frozen=True)
class Needs:
    """Bytes that a computation takes.

    Parameters
    ----------
    memory : int
        With all arrays in memory.
    least : int or None
        With large arrays in temporary files, but for the pages and blocks that every such computation takes; None where
        it has to have them in memory.
    disk : int
        In the temporary folder.
    """

    memory: int
    least: int | None = None
    disk: int = 0

    def __add__(self, other: Needs) -> Needs:
        least = None if self.least is None or other.least is None else self.least + other.least
        return Needs(self.memory + other.memory, least, self.disk + other.disk)


def within_memory(what: str, needs: Needs, max_memory: int | None, engine: Engine) -> tuple[Engine, int]:
    """The engine to compute with, and bytes that are left for what else it may take.

    Raises
    ------
    MemoryError
        If `max_memory`, or without it what the machine has left, is too little even with temporary files, or if these
        have no room.
    """
    if max_memory is not None:
        max_memory = check_int("max_memory", max_memory, at_least=1)
    limit = memory_limit(max_memory)
    if needs.memory <= limit:
        return engine, limit - needs.memory
    if needs.least is None or engine.device == "cuda":
        raise too_little(what, needs.memory, max_memory)
    least = needs.least + FEWEST_PAGES + BLOCKS + engine.n_threads * BLOCKS_OF_THREAD
    if least > limit:
        wanted = min(least, needs.memory)
        error = too_little(f"{what}, even with temporary files,", wanted, max_memory)
        raise error if max_memory is None else MemoryError(f"{error}: {wanted} is the least that will do")
    folder = scratch_folder()
    free = shutil.disk_usage(folder).free
    if needs.disk > free:
        raise MemoryError(
            f"{what} would take {readable(needs.memory)}, more than the {readable(limit)} of memory there are for it, "
            f"or {readable(needs.disk)} in temporary files, more than the {readable(free)} that {folder} has left: "
            "set TMPDIR to a folder with more"
        )
    rest = limit - least
    spare = min(SPARE_BYTES, rest // 4)
    pages = FEWEST_PAGES + rest // 2
    return replace(engine, scratch=_core.ScratchSpace(str(folder), pages), spare_bytes=spare), rest - rest // 2 - spare


def scratch_folder() -> Path:
    """Where temporary files go: the usual folder (see TMPDIR), unless that is memory itself."""
    usual = Path(tempfile.gettempdir()).resolve()
    if _file_system(usual) not in IN_MEMORY:
        return usual
    other = Path("/var/tmp")
    if other.is_dir() and _file_system(other.resolve()) not in IN_MEMORY:
        return other
    return usual


def _file_system(folder: Path) -> str:
    """Kind of the file system that holds a folder; empty where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = [(Path(line.split()[1]), line.split()[2]) for line in lines]
    holding = [(len(at.parts), kind) for at, kind in mounts if folder.is_relative_to(at)]
    return max(holding, default=(0, ""))[1]
