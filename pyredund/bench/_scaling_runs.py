"""The runs behind a `Scaling`: each contender on more and more rows, until it fails or would take too long."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyredund._checks import check_choice, check_int, count_to_keep
from pyredund._memory import memory_limit as machine_limit
from pyredund.bench._clusterings import canonical
from pyredund.bench._comparison import Report
from pyredund.bench._contenders import LINKAGES, Contender, clusterings
from pyredund.bench._inputs import Field, field_of
from pyredund.bench._journal import Journal
from pyredund.bench._process import run_alone
from pyredund.bench._scaling import Point, Scaling

STEPS = (1, 2, 5)  # of every power of ten
SMALLEST = 500
PARTS = 10  # for clustering class by class where there are no classes
SEED = 0  # of the order of the rows: fewer are a sample of more


def default_sizes(n: int) -> list[int]:
    """500, 1,000, 2,000, 5,000 ... up to n."""
    found = [step * 10**power for power in range(10) for step in STEPS]
    return [size for size in found if SMALLEST <= size < n] + [n]


def scaling(
    embeddings: object,
    *,
    sizes: Iterable[int] | None = None,
    keep: float = 0.9,
    linkage: str = "average",
    engines: Iterable[str] | None = None,
    groups: object = None,
    n_threads: int | None = None,
    time_limit: float = 60.0,
    memory_limit: int | None = None,
    journal: Path | None = None,
    report: Report = lambda line: None,
) -> Scaling:
    """Measure agglomerative clusterings against the number of rows, as far as each survives.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `pyredund.select`. Rows are taken in one random order, so that fewer are a sample of more.
    sizes : iterable of int, optional
        Numbers of rows, at most n. Default: 500, 1,000, 2,000, 5,000 ... n.
    keep : float, default 0.9
        Clusters to end with, as a share of the rows.
    linkage : {"average", "complete", "single"}, default "average"
        The distance of two clusters.
    engines : iterable of str, optional
        Names in ``clusterings(linkage)``. Default: all that are installed.
    groups : array_like of labels, shape (n,), optional
        Classes, for clustering class by class. Default: ten parts of equal size.
    n_threads : int, optional
        Threads for each. Default: what the process may use.
    time_limit : float, default 60.0
        Seconds for one clustering. An engine is tried at no larger size once it failed, or where the times so far say
        that it would take longer than that.
    memory_limit : int, optional
        Bytes that one clustering may allocate. Default: what the machine has left, less 256 MiB.
    journal : Path, optional
        File of JSON lines: what it holds is not measured again, what is measured is added to it at once.
    report : callable, optional
        Receives a line when a contender starts.

    Returns
    -------
    Scaling
        Whose ``check()`` raises where partitions differ.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of range or a name unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from pyredund.bench import scaling
    >>> rows = np.random.default_rng(0).normal(size=(100, 8))
    >>> scaling(rows, sizes=[50, 100], engines=["textbook"]).sizes
    [50, 100]
    """
    check_choice("linkage", linkage, LINKAGES)
    known = clusterings(linkage)
    names = list(known) if engines is None else list(engines)
    for name in names:
        check_choice("engines", name, known)
    chosen = [known[name] for name in names if engines is not None or known[name].installed]
    results, memory_limit = Journal(journal), machine_limit(memory_limit)
    with field_of(embeddings, groups, n_threads, SEED) as field:
        n = len(field.rows)
        wanted = (
            default_sizes(n) if sizes is None else sorted({check_int("sizes", s, at_least=2, at_most=n) for s in sizes})
        )
        if field.groups is None:
            np.save(field.rows_file.with_name("groups.npy"), np.arange(n) % PARTS)
            field = replace(field, groups_file=field.rows_file.with_name("groups.npy"))
        points: list[Point] = []
        for contender in chosen:
            points += _points(contender, field, wanted, keep, time_limit, memory_limit, results, report)
        return Scaling(
            linkage, keep, field.rows.shape[1], field.n_threads, tuple(c.name for c in chosen), tuple(points)
        )


def _points(
    contender: Contender,
    field: Field,
    sizes: list[int],
    keep: float,
    time_limit: float,
    memory_limit: int | None,
    journal: Journal,
    report: Report,
) -> list[Point]:
    points: list[Point] = []
    if not contender.installed:
        return [
            Point(contender.name, sizes[0], failure="not installed" if contender.is_there else "not in this version")
        ]
    for n in sizes:
        expected = _expected(points, n)
        key = f"cluster, {contender.name}, {dict(contender.options)}, {n} to {keep}, {field.mark}"
        found = journal.get(key)
        if found is None and expected > time_limit:
            points.append(Point(contender.name, n, failure=f"over {time_limit:g} s, from the times above"))
            break
        if found is None:
            report(f"{contender.name}, {n:,} rows")
            outcome = run_alone(
                contender,
                field.rows_file,
                n,
                count_to_keep(keep, n),
                field.groups_file if contender.needs_groups else None,
                n_threads=field.n_threads,
                time_limit=time_limit,
                memory_limit=memory_limit,
            )
            found = {"seconds": outcome.seconds, "extra_bytes": outcome.extra_bytes, "failure": outcome.failure}
            found["partition"] = None if outcome.result is None else _mark(outcome.result)
            if outcome.failure is None:  # under other limits it may end
                journal.put(key, found)
        points.append(Point(contender.name, n, **found))
        if points[-1].failure:
            break
    return points


def _expected(points: list[Point], n: int) -> float:
    """Seconds at n rows, if time grows as it did between the last two sizes."""
    times = [point.seconds or 0.0 for point in points[-2:]]
    if len(times) < 2 or times[1] < 1:  # short times say little
        return 0.0
    before, last = points[-2:]
    power = np.log(times[1] / times[0]) / np.log(last.n / before.n)
    return float(times[1] * (n / last.n) ** max(1.0, power))


def _mark(labels: NDArray[np.int64]) -> str:
    return hashlib.blake2b(canonical(labels).data, digest_size=8).hexdigest()
