from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_jobs
import numpy as np
import pytest
import reference
import reference_selection
from embeddings import ALL, half_duplicates, smooth
from numpy.typing import NDArray

from pyredund.bench import (
    SELECTORS,
    Comparison,
    Contender,
    Entry,
    Outcome,
    Point,
    Quality,
    Scaling,
    canonical,
    clusterings,
    compare,
    draw_scaling,
    exponent,
    quality,
    run_alone,
    scaling,
)
from pyredund.bench._clusterings import condensed_distances, cut
from pyredund.bench._comparison import COLUMNS
from pyredund.bench._journal import Journal
from pyredund.bench._table import mebibytes, seconds

LINKAGES = ("average", "complete", "single")


def defined_quality(x: NDArray[np.float64], kept: list[int], groups: NDArray[np.int64]) -> Quality:
    """By the matrix of all similarities."""
    scores = reference.similarity_matrix(x)
    closest = reference_selection.representatives(x, sorted(kept))[1].astype(np.float64)
    removed = [row for row in range(len(x)) if row not in kept]
    lost = [1 - closest[row] for row in removed] or [0.0]
    pairs = [1 - float(scores[a, b]) for a in kept for b in kept if a < b]
    shares = [np.mean([row in kept for row in np.flatnonzero(groups == label)]) for label in np.unique(groups)]
    return Quality(
        n_kept=len(kept),
        mean=sum(lost) / len(lost),
        percentile95=float(np.quantile(lost, 0.95)),
        largest=max(lost),
        facility_location=sum(closest) / len(x),
        closest_kept_pair=min(pairs, default=None),
        class_balance=float(min(shares) / max(shares)),
    )


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("n_kept", [1, 2, 17, 40])
def test_quality_is_that_of_the_definition(data: str, n_kept: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, kept, groups = ALL[data](40, seed), rng.permutation(40)[:n_kept].tolist(), rng.integers(0, 3, 40)
        found, expected = quality(x, kept, groups), defined_quality(x, kept, groups)
        for name, value in vars(expected).items():
            assert getattr(found, name) == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([0, 0], "row 0 is there twice"),
        ([-1], "got -1"),
        ([5], r"\[0, 5\), got 5"),
        ([], "at least 1"),
        ([0.5], "float64"),
    ],
)
def test_quality_refuses_what_is_no_selection(kept: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quality(smooth(5), kept)


def test_exponent_is_that_of_a_power_law_and_forgets_small_sizes() -> None:
    sizes = [100, 1000, 2000, 5000, 10_000]
    assert exponent(sizes, [n**2.5 for n in sizes]) == pytest.approx(2.5)
    assert exponent(sizes, [1e9] + [n**1.5 for n in sizes[1:]]) == pytest.approx(1.5)
    assert exponent(sizes[:2], [1.0, 2.0]) is None
    assert exponent(sizes, [0.0, 0.0, 0.0, 1.0, 2.0]) is None


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("n_clusters", [1, 7, 45, 50])
def test_all_libraries_have_the_partition_of_the_textbook(linkage: str, n_clusters: int) -> None:
    known = clusterings(linkage)
    rows = reference.unit_rows(smooth(50))
    expected = canonical(known["textbook"](rows, n_clusters))
    assert expected.max() + 1 == n_clusters
    whole = [contender for contender in known.values() if contender.installed and not contender.needs_groups]
    for contender in whole:
        np.testing.assert_array_equal(canonical(contender(rows, n_clusters)), expected, contender.name)


def test_clustering_class_by_class_is_that_of_each_class() -> None:
    rows, groups = reference.unit_rows(smooth(60)), np.arange(60) % 3
    by_class = replace(
        clusterings("average")["pyredund, class by class"], options={"engine": "textbook", "linkage": "average"}
    )
    labels = by_class(rows, 30, groups)
    assert labels.dtype == np.int64
    assert len(np.unique(labels)) == 30
    for group in range(3):
        alone = clusterings("average")["textbook"](rows[groups == group], 10)
        np.testing.assert_array_equal(canonical(labels[groups == group]), canonical(alone))
        assert not set(labels[groups == group]) & set(labels[groups != group])
    with pytest.raises(ValueError, match="groups must be given"):
        by_class(rows, 30)


def test_distances_lie_as_scipy_wants_them() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    rows = reference.unit_rows(smooth(300))
    np.testing.assert_allclose(condensed_distances(rows), distance.pdist(rows, "cosine"), atol=1e-6)


def test_cut_leaves_as_many_clusters_as_asked_for_where_heights_tie() -> None:
    merges = np.array([[0, 1, 0.0, 2], [2, 3, 0.0, 2], [4, 5, 0.5, 4]])
    assert cut(merges, 4).tolist() == [0, 1, 2, 3]
    assert cut(merges, 3).tolist() == [0, 0, 1, 2]
    assert cut(merges, 2).tolist() == [0, 0, 1, 1]
    assert cut(merges, 1).tolist() == [0, 0, 0, 0]
    assert canonical(np.array([7, 2, 7, 0])).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("name", [name for name in SELECTORS if "compiling" not in name])  # for seconds
@pytest.mark.filterwarnings("ignore")  # peers' own
def test_selectors_keep_as_many_rows_as_asked_for(name: str) -> None:
    contender = SELECTORS[name]
    if not contender.installed:
        pytest.skip(f"{name} is not installed")
    rows, groups = reference.unit_rows(smooth(90)), np.repeat([0, 1, 2], [10, 30, 50])
    for keep in (9, 72):
        kept = contender(rows, keep, groups)
        assert quality(rows, kept, groups).n_kept == keep
        if contender.needs_groups:
            assert np.bincount(groups[kept]).tolist() == [keep // 9, keep // 3, keep * 5 // 9]


def test_jobs_run_in_a_process_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", smooth(400).astype(np.float32))

    def run(function: Callable[..., Any], options: dict[str, Any], **limits: Any) -> Outcome:
        contender = Contender("job", "numpy", function, options)
        return run_alone(contender, tmp_path / "rows.npy", 400, 360, n_threads=3, **limits)

    def fails(function: Callable[..., Any], options: dict[str, Any], **limits: Any) -> str | None:
        outcome = run(function, options, **limits)
        assert (outcome.seconds, outcome.extra_bytes, outcome.result) == (None, None, None)
        return outcome.failure

    fine = run(bench_jobs.take, {"mebibytes": 64}, memory_limit=80 << 20)
    assert fine.failure is None
    assert fine.result is not None
    assert fine.seconds is not None
    assert fine.extra_bytes is not None
    assert 0 < fine.seconds < 5
    assert fine.result.tolist() == list(range(360))
    assert 60 << 20 < fine.extra_bytes < 70 << 20
    told = run(bench_jobs.threads, {}).result
    assert told is not None
    assert told.tolist() == [3, 3, 3]
    begin = time.perf_counter()
    assert fails(bench_jobs.slow, {"seconds": 60}, time_limit=0.2) == "over 0.2 s"
    assert time.perf_counter() - begin < 20
    assert fails(bench_jobs.broken, {}) == "RuntimeError: no rows today"
    assert fails(bench_jobs.dying, {}) == "ended with status 7"
    if sys.platform == "linux":
        assert fails(bench_jobs.take, {"mebibytes": 100}, memory_limit=80 << 20) == "out of memory"


def test_journal_survives_and_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).put("a", {"seconds": 1.0})
    Journal(path).put("a", {"seconds": 2.0})
    assert Journal(path).get("a") == {"seconds": 2.0}
    assert Journal(path).get("b") is None
    path.write_text(path.read_text() + "something\n")
    with pytest.raises(ValueError, match="line 3"):
        Journal(path)


def entry(name: str, mean: float, time_taken: float, n_kept: int = 90) -> Entry:
    judged = Quality(n_kept, mean, 2 * mean, 3 * mean, 1 - mean, mean, None)
    return Entry(SELECTORS[name], 90, judged, time_taken, 1 << 20)


def test_best_of_each_column_is_marked_whoever_it_is() -> None:
    entries = [
        entry("pyredund removal", 0.02, 1.0),
        entry("lightly-mundig k-center", 0.03, 0.5),
        entry("random", 0.2, 0.001),  # no achievement
        entry("semhash, threshold searched", 0.001, 0.1, n_kept=95),  # another size
        Entry(SELECTORS["k-means, then pairs"], 90, failure="over 60 s"),
    ]
    found = Comparison(100, 8, 2, tuple(entries))
    best = {column.title: [e.contender.name for e in found.best(column, 90)] for column in COLUMNS}
    assert best["mean distance"] == best["facility location"] == ["pyredund removal"]
    assert best["closest kept pair"] == ["random"]
    assert best["time"] == ["lightly-mundig k-center"]
    assert best["class balance"] == []
    assert best["memory, MiB"] == ["pyredund removal", "lightly-mundig k-center"]
    assert found.verdict(90) == "Best, and not pyredund's: closest kept pair (random); time (lightly-mundig k-center)."
    text = str(found)
    assert "**0.02000**" in text
    assert "| **500 ms** |" in text
    assert "over 60 s" in text
    assert "class balance" not in text
    ours = replace(found, entries=(entries[0],))
    assert ours.verdict(90).startswith("No peer kept that many rows here")


def test_compare_does_not_repeat_what_its_journal_holds(tmp_path: Path) -> None:
    x, journal = half_duplicates(50), tmp_path / "journal"
    started: list[str] = []
    names = ["random", "pyredund removal", "stratified random"]
    first = compare(x, [0.5, 40], methods=names, journal=journal, report=started.append, n_threads=1)
    assert started == [f"{name}, {keep} of 50 rows" for keep in (25, 40) for name in names[:2]]
    again = compare(x, [0.5, 40], methods=names, journal=journal, report=started.append, n_threads=1)
    assert len(started) == 4
    assert again == first
    json.dumps(first.to_dict())
    kept = SELECTORS["pyredund removal"](reference.unit_rows(x), 25)
    assert first.at(25)[1].quality == quality(reference.unit_rows(x), kept)
    compare(x, 0.5, methods=names[:1], journal=journal, report=started.append, n_threads=2)
    assert len(started) == 5  # other threads, other times
    with pytest.raises(ValueError, match="methods must be one of"):
        compare(x, methods=["magic"])
    assert compare(x, 0.5, methods=["removal"]).entries[0].contender.name == "pyredund removal"  # as select says


def test_scaling_compares_partitions(tmp_path: Path) -> None:
    x, started = smooth(80), list[str]()
    engines = ["textbook", "SciPy", "fastcluster, class by class"]
    found = scaling(x, sizes=[40, 80], engines=engines, journal=tmp_path / "j", report=started.append)
    present = [name for name in engines if clusterings("average")[name].installed]
    assert started == [f"{name}, {n} rows" for name in present for n in (40, 80)]
    assert found.sizes == [40, 80]
    found.check()
    if "SciPy" in present:
        assert found.n_agreeing == 2
        other = [replace(p, partition="0") if (p.name, p.n) == ("SciPy", 80) else p for p in found.points]
        wrong = replace(found, points=tuple(other))
        assert wrong.n_agreeing == 1
        with pytest.raises(AssertionError, match=r"n = 80: textbook \w{16}, SciPy 0"):
            wrong.check()
        assert "DIFFER" in str(wrong)
    assert "| 80 |" in str(found)
    json.dumps(found.to_dict())


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_compare_says_why_there_is_no_selection() -> None:
    found = compare(smooth(600), methods=["textbook average linkage"], memory_limit=1 << 20)
    assert found.entries[0].failure == "out of memory"
    assert "| out of memory |" in str(found)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_scaling_tries_no_larger_size_than_one_that_failed() -> None:
    found = scaling(smooth(600), sizes=[400, 500, 600], engines=["textbook"], memory_limit=1 << 20)
    assert [(point.n, point.failure) for point in found.points] == [(400, "out of memory")]
    assert found.exponent("textbook") is None
    assert "No two contenders" in str(found)


def test_scaling_gives_exponents_and_draws_them(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    points = [Point("SciPy", n, n**2 * 1e-6, n * n, "a") for n in (1000, 2000, 4000)]
    points += [Point("SciPy", 8000, failure="over 60 s")]
    found = Scaling("average", 0.9, 8, 2, ("SciPy",), tuple(points))
    assert found.exponent("SciPy") == pytest.approx(2)
    assert "| time grows as n to the | 2.00 |" in str(found)
    assert "| 8,000 | over 60 s |" in str(found)
    draw_scaling(tmp_path / "curves.png", found)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_importing_pyredund_imports_no_bench() -> None:
    code = "import sys, pyredund, pyredund.cli; print([name for name in sys.modules if 'bench' in name])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "['pyredund._cli_bench']"


def test_figures_are_short() -> None:
    assert [seconds(value) for value in (0.01234, 1.234, 123.4, 1234.0, None)] == [
        "12.3 ms",
        "1.23 s",
        "123 s",
        "1,234 s",
        "",
    ]
    assert [mebibytes(value) for value in (1 << 19, 100 << 20, 2000 << 20, None)] == ["0.5", "100", "2,000", ""]
