"""Every way to select rows on the same embeddings: what it loses, how long it takes, how much memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

from pyredund._checks import check_choice, count_to_keep
from pyredund._memory import memory_limit as machine_limit
from pyredund.bench._contenders import NOT_BY_DEFAULT, SELECTORS, Contender
from pyredund.bench._inputs import Field, field_of
from pyredund.bench._journal import Journal
from pyredund.bench._process import run_alone
from pyredund.bench._quality import Quality, quality
from pyredund.bench._table import markdown, mebibytes, seconds

Report = Callable[[str], object]


@dataclass(frozen=True)
class Entry:
    """One contender at one size.

    Parameters
    ----------
    contender : Contender
        Who.
    keep : int
        Rows that were asked for.
    quality : Quality or None
        What the selection lost; None if there is none.
    seconds, extra_bytes : float, int, or None
        As in an `Outcome`.
    failure : str or None
        Why there is no selection.
    """

    contender: Contender
    keep: int
    quality: Quality | None = None
    seconds: float | None = None
    extra_bytes: int | None = None
    failure: str | None = None

    @property
    def is_comparable(self) -> bool:
        """Whether it kept as many rows as it was asked for."""
        return self.quality is not None and self.quality.n_kept == self.keep


@dataclass(frozen=True)
class Column:
    """A figure that entries are compared by."""

    title: str
    value: Callable[[Entry], float | None]
    shown: Callable[[Entry], str]
    more_is_better: bool = False
    is_effort: bool = False


def _of_quality(title: str, field: str, digits: int, more_is_better: bool = False) -> Column:
    value = attrgetter(f"quality.{field}")

    def shown(entry: Entry) -> str:
        found = value(entry)
        return "" if found is None else f"{found:.{digits}f}"

    return Column(title, value, shown, more_is_better)


COLUMNS = (
    _of_quality("mean distance", "mean", 5),
    _of_quality("95 % below", "percentile95", 5),
    _of_quality("largest", "largest", 5),
    _of_quality("facility location", "facility_location", 6, True),
    _of_quality("closest kept pair", "closest_kept_pair", 5, True),
    _of_quality("class balance", "class_balance", 3, True),
    Column("time", attrgetter("seconds"), lambda entry: seconds(entry.seconds), is_effort=True),
    Column("memory, MiB", attrgetter("extra_bytes"), lambda entry: mebibytes(entry.extra_bytes), is_effort=True),
)


@dataclass(frozen=True)
class Comparison:
    """Contenders on the same rows; ``str`` of it is a table for each size, the best of each column in bold.

    Parameters
    ----------
    n_rows, dim : int
        Shape of the embeddings.
    n_threads : int
        Threads that each contender had.
    entries : tuple of Entry
        Size by size.
    """

    n_rows: int
    dim: int
    n_threads: int
    entries: tuple[Entry, ...]

    def at(self, keep: int) -> list[Entry]:
        """The entries of one size."""
        return [entry for entry in self.entries if entry.keep == keep]

    def best(self, column: Column, keep: int) -> list[Entry]:
        """Who is best in a column, as far as its digits show; a baseline's time and memory do not count."""
        fit = [entry for entry in self.at(keep) if entry.is_comparable and column.value(entry) is not None]
        fit = [entry for entry in fit if not (column.is_effort and entry.contender.is_baseline)]
        if not fit:
            return []
        top = (max if column.more_is_better else min)(fit, key=lambda entry: column.value(entry) or 0.0)
        return [entry for entry in fit if column.shown(entry) == column.shown(top)]

    def verdict(self, keep: int) -> str:
        """One sentence: which columns somebody else wins."""
        fit = [entry for entry in self.at(keep) if entry.is_comparable]
        if not any(entry.contender.is_ours for entry in fit):
            return "No method of pyredund kept that many rows here: nothing to compare."
        if all(entry.contender.is_ours or entry.contender.is_baseline for entry in fit):
            return "No peer kept that many rows here: nothing but random rows to compare pyredund's methods with."
        lost = []
        for column in COLUMNS:
            best = self.best(column, keep)
            if best and not any(entry.contender.is_ours for entry in best):
                lost.append(f"{column.title} ({', '.join(entry.contender.name for entry in best)})")
        if lost:
            return f"Best, and not pyredund's: {'; '.join(lost)}."
        return (
            "The best of every column, of those that finished and the time and memory of random rows aside, is one of "
            "pyredund's methods, another from column to column."
        )

    def table(self, keep: int) -> str:
        """The table of one size, in Markdown."""
        columns = [c for c in COLUMNS if any(e.quality and c.value(e) is not None for e in self.at(keep))]
        best = {column.title: self.best(column, keep) for column in columns}
        lines = []
        for entry in self.at(keep):
            if entry.quality is None:
                lines.append([entry.contender.name, entry.failure or "", *[""] * len(columns)])
                continue
            cells = [(column.shown(entry), entry in best[column.title]) for column in columns]
            lines.append(
                [
                    entry.contender.name,
                    f"{entry.quality.n_kept:,}",
                    *(f"**{s}**" if is_best else s for s, is_best in cells),
                ]
            )
        title = f"{keep:,} of {self.n_rows:,} rows, d = {self.dim}, {self.n_threads} threads"
        return markdown(title, ["method", "kept", *(column.title for column in columns)], lines)

    def __str__(self) -> str:
        sizes = dict.fromkeys(entry.keep for entry in self.entries)
        return "\n\n".join(f"{self.table(keep)}\n\n{self.verdict(keep)}" for keep in sizes)

    def to_dict(self) -> dict[str, object]:
        """Everything in types that JSON holds."""
        entries = []
        for entry in self.entries:
            found = {"method": entry.contender.name, "keep": entry.keep, "failure": entry.failure}
            found |= {"seconds": entry.seconds, "extra_bytes": entry.extra_bytes}
            entries.append(found | {"quality": None if entry.quality is None else asdict(entry.quality)})
        return {"rows": self.n_rows, "dim": self.dim, "threads": self.n_threads, "entries": entries}


def compare(
    embeddings: object,
    keep: float | int | Iterable[float | int] = 0.9,
    *,
    methods: Iterable[str] | None = None,
    groups: object = None,
    n_threads: int | None = None,
    time_limit: float = 60.0,
    memory_limit: int | None = None,
    journal: Path | None = None,
    report: Report = lambda line: None,
) -> Comparison:
    """Compare ways to select rows, each in a process of its own.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `pyredund.select`. Every contender is given the unit rows.
    keep : float or int, or several, default 0.9
        Shares or counts.
    methods : iterable of str, optional
        Names in `SELECTORS`. Default: all that are installed here, less those in `NOT_BY_DEFAULT`.
    groups : array_like of labels, shape (n,), optional
        Classes: for stratified contenders, and for the balance of classes.
    n_threads : int, optional
        Threads for each. Default: what the process may use.
    time_limit : float, default 60.0
        Seconds that one selection may take.
    memory_limit : int, optional
        Bytes that one selection may allocate. Default: what the machine has left, less 256 MiB.
    journal : Path, optional
        File of JSON lines: what it holds is not measured again, what is measured is added to it at once.
    report : callable, optional
        Receives a line when a contender starts.

    Returns
    -------
    Comparison
        What fails or does not end in time is there with the reason.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of range or a name unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from pyredund.bench import compare
    >>> rows = np.random.default_rng(0).normal(size=(100, 8))
    >>> compare(rows, 0.9, methods=["pyredund removal"]).entries[0].quality.n_kept
    90
    """
    names = [name for name in SELECTORS if name not in NOT_BY_DEFAULT] if methods is None else list(methods)
    names = [f"pyredund {name}" if f"pyredund {name}" in SELECTORS else name for name in names]  # select's own names
    for name in names:
        check_choice("methods", name, SELECTORS)
    chosen = [SELECTORS[name] for name in names]
    if methods is None:
        chosen = [contender for contender in chosen if contender.is_there]
    if groups is None:
        chosen = [contender for contender in chosen if not contender.needs_groups]
    known, memory_limit = Journal(journal), machine_limit(memory_limit)
    with field_of(embeddings, groups, n_threads) as field:
        n, dim = field.rows.shape
        shares = [keep] if isinstance(keep, (float, int)) else list(keep)
        sizes = list(dict.fromkeys(count_to_keep(share, n) for share in shares))

        def entries() -> Iterator[Entry]:
            for size in sizes:
                for contender in chosen:
                    yield _entry(contender, field, size, time_limit, memory_limit, known, report)

        return Comparison(n, dim, field.n_threads, tuple(entries()))


def _entry(
    contender: Contender,
    field: Field,
    keep: int,
    time_limit: float,
    memory_limit: int | None,
    journal: Journal,
    report: Report,
) -> Entry:
    if not contender.installed:
        return Entry(contender, keep, failure="not installed" if contender.is_there else "not in this version")
    key = f"select, {contender.name}, keep {keep}, {field.mark}"
    found = journal.get(key)
    if found is None:
        report(f"{contender.name}, {keep:,} of {len(field.rows):,} rows")
        outcome = run_alone(
            contender,
            field.rows_file,
            len(field.rows),
            keep,
            field.groups_file,
            n_threads=field.n_threads,
            time_limit=time_limit,
            memory_limit=memory_limit,
        )
        judged = None
        if outcome.result is not None:
            judged = asdict(quality(field.rows, outcome.result, field.groups, n_threads=field.n_threads))
        taken = {"seconds": outcome.seconds, "extra_bytes": outcome.extra_bytes, "failure": outcome.failure}
        found = {"quality": judged, **taken}
        if outcome.failure is None:  # under other limits it may end
            journal.put(key, found)
    judged = found["quality"]
    figures = {name: found[name] for name in ("seconds", "extra_bytes", "failure")}
    return Entry(contender, keep, None if judged is None else Quality(**judged), **figures)
