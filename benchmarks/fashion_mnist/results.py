"""Results as JSON lines: what is finished stays finished, whatever interrupts, and parts made elsewhere are added."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
SELECTIONS = "selections.json"  # what the selections are made of


def file_name(*parts: str) -> str:
    """Name of data set, recipe and machine that a file's name can hold.

    What is compared comes from one machine, so each has files of its own.
    """
    plain = re.sub(r"\((R|TM)\)", "", " ".join(parts), flags=re.IGNORECASE)
    return re.sub(r"[^\w.]+", "-", plain).strip("-").lower()


class Results:
    """What was found, by key, in a file of JSON lines.

    Several processes may add to one file: a line is written at once. A last line that an interruption cut short is left
    out, and the next one starts anew.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, dict[str, Any]]:
        """All that is there; of a key that comes twice the first."""
        found: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut short
                found.setdefault(entry["key"], entry)
        return found

    def add(self, key: str, found: dict[str, Any]) -> None:
        """Write one down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key} | found) + "\n"
        with self.path.open("a+b") as file:
            file.seek(0, 2)
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode())
