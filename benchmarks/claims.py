"""What the report says: tables, and claims that hold or do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A statement that the measurements confirm or refute.

    Parameters
    ----------
    text : str
        The statement, numbers included.
    holds : bool
        Whether it is true.
    required : bool
        Whether the report fails without it. Results, quality and memory are promises; speed depends on the
        machine.
    """

    text: str
    holds: bool
    required: bool = True

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "FAILS" if self.required else "goal missed"
        return f"- {verdict}: {self.text}"


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in GitHub's Markdown: the first column to the left, numbers to the right."""
    print(f"\n### {title}\n")
    print(f"| {' | '.join(header)} |")
    print(f"|{'|'.join(['---'] + ['---:'] * (len(header) - 1))}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)
