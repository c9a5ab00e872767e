"""The experiment on Fashion-MNIST, on the digits: which rows each arm keeps, and what the analysis makes of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.fashion_mnist import analysis, arms, cache, findings, images, report
from benchmarks.fashion_mnist.images import LabelledImages
from benchmarks.fashion_mnist.recipe import PUBLISHED, RECIPES, SMALL
from benchmarks.fashion_mnist.results import Results, file_name
from benchmarks.fashion_mnist.units import AS_PUBLISHED, HONEST, Unit, figures, pending, plan

SELECTIONS = ("removal", "insertion", "kcenter", "agglomerative-by-class", "removal-by-class", "insertion-by-class")


@pytest.fixture(scope="module")
def digits() -> LabelledImages:
    return images.load("digits")


@pytest.fixture
def pixels_as_embedding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    monkeypatch.setattr(arms, "embedding", lambda data, kind: data.images.reshape(len(data.images), -1) / 255)


def test_validation_rows_are_balanced_and_leave_the_pool(digits: LabelledImages) -> None:
    held_out = digits.validation()
    counts = np.bincount(digits.labels[held_out])
    assert counts.min() == counts.max() == len(digits.labels) // 12 // 10
    assert sorted([*held_out, *digits.pool()]) == list(range(len(digits.labels)))
    np.testing.assert_array_equal(held_out, images.load("digits").validation())
    together = len(digits.labels) + len(digits.test_labels)
    assert together == 1797
    with pytest.raises(ValueError, match="every class must have more than 5 images, class 1 has 2"):
        images.balanced_sample(np.array([0] * 9 + [1] * 2), 5)


@pytest.mark.usefixtures("pixels_as_embedding")
@pytest.mark.parametrize("keep", [0.1, 0.75])
def test_every_arm_keeps_its_share_of_the_pool(digits: LabelledImages, keep: float) -> None:
    pool = digits.pool()
    for arm in (*arms.ARMS, "agglomerative"):
        rows = arms.rows_of(arm, keep, 0, digits, pool)
        assert len(rows) == (len(pool) if arm == "full" else int(keep * len(pool) + 0.5)), arm
        assert np.isin(rows, pool).all()
        assert (np.diff(rows) > 0).all()
        again = arms.rows_of(arm, keep, 1, digits, pool)
        assert np.array_equal(rows, again) != arms.is_drawn(arm), arm
    shares = np.bincount(digits.labels[pool]) * keep
    for arm in ("stratified", *(arm for arm in SELECTIONS if arm.endswith("by-class"))):
        found = np.bincount(digits.labels[arms.rows_of(arm, keep, 3, digits, pool)])
        assert np.abs(found - shares).max() <= 1, arm


@pytest.mark.usefixtures("pixels_as_embedding")
def test_controls_have_the_class_counts_of_their_selection(digits: LabelledImages, tmp_path: Path) -> None:
    pool = digits.pool()
    listed = tmp_path / "list.npy"
    without_nines = np.flatnonzero(digits.labels != 9)
    np.save(listed, without_nines)
    found = arms.rows_of("list", 0.75, 0, digits, pool, listed)
    np.testing.assert_array_equal(found, np.intersect1d(without_nines, pool))
    for arm in ("removal", "kcenter", "list"):
        selected = arms.rows_of(arm, 0.3, 0, digits, pool, listed)
        control = arms.rows_of(f"like-{arm}", 0.3, 0, digits, pool, listed)
        first, second = (np.bincount(digits.labels[rows], minlength=10) for rows in (selected, control))
        np.testing.assert_array_equal(first, second)
        assert arm == "list" or not np.array_equal(selected, control)
    for arm, message in (("list", "arm list needs --list FILE"), ("removed", "arms must be among full, random")):
        with pytest.raises(ValueError, match=message):
            arms.check(arm, None)


def test_the_published_rate_falls_after_60_and_80_of_100_epochs() -> None:
    steps = PUBLISHED.steps_of(60_000)
    assert steps == 469
    rates = [PUBLISHED.rate_at(epoch * steps, steps) for epoch in (0, 59, 60, 79, 80, 99)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert PUBLISHED.steps_of(129) == 1  # an image left alone joins the batch before it
    trial = PUBLISHED.shortened(2)
    assert (trial.name, trial.rounds, trial.milestones) == ("published-2-rounds", 2, (1, 2))


def test_the_small_recipe_takes_as_many_steps_for_every_size_that_is_not_tiny() -> None:
    assert {SMALL.steps_of(rows) for rows in (5_500, 27_500, 55_000)} == {SMALL.steps}
    assert SMALL.rounds * SMALL.steps_of(125) == SMALL.most_epochs
    steps = SMALL.steps_of(55_000)
    rates = [SMALL.rate_at(step, steps) for step in range(SMALL.rounds * steps)]
    assert max(rates) == pytest.approx(SMALL.rate)
    assert min(rates) == rates[-1] == 0


def test_a_plan_cut_short_has_every_arm_with_as_many_seeds() -> None:
    units = plan("digits", "small", [HONEST], ["full", "random", "list"], [(0.1, 4), (0.9, 2)])
    assert len(units) == len({unit.key for unit in units}) == 4 + 4 + 2 + 2
    for stop in range(1, len(units) + 1):
        at_one_size = [unit.seed for unit in units[:stop] if unit.keep == 0.1]
        assert at_one_size == list(range(len(at_one_size)))
    both = plan("digits", "small", [HONEST, AS_PUBLISHED], ["removal"], [(0.1, 1)])
    assert [unit.split for unit in both] == [HONEST, AS_PUBLISHED]


def test_units_are_shared_out_and_never_done_twice(tmp_path: Path) -> None:
    units = [Unit("digits", "small", HONEST, "random", 0.1, seed) for seed in range(7)]
    results = Results(tmp_path / "results" / "found.jsonl")
    parts = [list(pending(units, results, (part, 3), None)) for part in range(3)]
    assert sorted((unit for part in parts for unit in part), key=lambda unit: unit.seed) == units
    results.add(units[0].key, {"accuracy": 0.5})
    assert list(pending(units, results, (0, 1), None)) == units[1:]
    assert list(pending(units, results, (0, 1), -1)) == []  # no time left


def test_a_line_cut_short_costs_that_line_only(tmp_path: Path) -> None:
    results = Results(tmp_path / "found.jsonl")
    results.add("a", {"accuracy": 1})
    results.add("b", {"accuracy": 2})
    text = results.path.read_text()
    results.path.write_text(text[:-9])
    results.add("c", {"accuracy": 3})
    assert {key: entry["accuracy"] for key, entry in results.read().items()} == {"a": 1, "c": 3}


def test_the_chosen_round_is_the_best_on_validation_and_else_on_flipped_test_images() -> None:
    course = {"validation": [0.1, 0.9, 0.3, 0.8, 0.8], "test": [0.5, 0.6, 0.7, 0.4, 0.2], "test_flipped": [None] * 5}
    assert figures(course, SMALL) == {"accuracy": 0.4, "last": pytest.approx(1.3 / 3)} | course
    course |= {"validation": [None] * 5, "test_flipped": [0.1, 0.2, 0.3, 0.9, 0.1]}
    assert figures(course, SMALL)["accuracy"] == 0.9


def entries(rng: np.random.Generator, lifts: dict[str, float], keep: float, seeds: int) -> list[dict[str, Any]]:
    noise = rng.normal(0, 0.002, seeds)
    common = {"data": "digits", "recipe": "small", "split": HONEST, "keep": keep, "rows": 100, "machine": "here"}
    common |= {"precision": "float32", "torch": "2", "threads": 1, "program": "p", "commit": "c", "command": "run"}
    return [
        common
        | {
            "arm": arm,
            "seed": seed,
            "key": f"{arm}/{keep}/{seed}",
            "cpu_seconds": 1.0,
            "losses": [1.0, 0.5],
            "validation": [0.8, 0.9],
        }
        | {"accuracy": (found := 0.9 + lift + noise[seed] + rng.normal(0, 1e-4)), "last": found, "test": [None, found]}
        for arm, lift in lifts.items()
        for seed in range(seeds)
    ]


LIFTS = {"full": 0.03, "random": 0, "stratified": 0.004, "like-removal": -0.01, "removal": 0.01, "kcenter": -0.02}


def test_differences_are_taken_seed_by_seed() -> None:
    found = analysis.cells(entries(np.random.default_rng(0), LIFTS, 0.1, 8))
    removal, stratified = found[("removal", 0.1)], found[("stratified", 0.1)]
    compared = analysis.difference(removal, stratified)
    assert compared is not None
    assert compared.mean == pytest.approx(removal.mean - stratified.mean)
    assert compared.high - compared.low < 0.0005 < removal.deviation  # what both seeds share drops out
    assert (compared.verdict, compared.seeds) == ("better", 8)
    assert analysis.difference(removal, None) is None
    one = analysis.Cell("removal", 0.1, 100, {3: 0.5}, {3: 0.5})
    assert analysis.difference(one, stratified) is None
    assert [analysis.matched(arm) for arm in ("removal", "insertion-by-class-supervised", "random", "like-list")] == [
        "like-removal",
        "stratified",
        None,
        None,
    ]


@pytest.mark.parametrize("n", [5, 10])
def test_intervals_hold_the_true_mean_as_often_as_they_say(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "RESAMPLES", 2000)
    rng = np.random.default_rng(1)
    found = [analysis.interval(rng.normal(size=n)) for _ in range(600)]
    assert 0.91 < np.mean([low <= 0 <= high for low, high in found]) < 0.98


def test_findings_name_winners_and_losers_and_split_the_gain() -> None:
    found = analysis.cells(entries(np.random.default_rng(0), LIFTS, 0.1, 8))
    sentence = findings.against_stratified(found, 0.1)
    assert "interval: removal by +0.6" in sentence
    assert "Worse: k-center by -2.39 (-2.40 to -2.39) points" in sentence
    early = analysis.cells(entries(np.random.default_rng(0), LIFTS, 0.1, 3))
    assert "**none of our selections**" in findings.against_stratified(early, 0.1)
    assert "Too few seeds for a verdict: removal by +0.6" in findings.against_stratified(early, 0.1)
    nothing = findings.against_stratified({place: found[place] for place in found if place[0] != "removal"}, 0.1)
    assert "none of our selections" in nothing
    parts = findings.redundancy_or_balance(found, "removal", 0.1)
    assert parts is not None
    assert "random: +1.0" in parts
    assert "class counts make -1.0" in parts
    assert "within the classes +2.0" in parts


def test_the_report_goes_between_its_marks_with_its_plots(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "results"
    folder.mkdir()
    lines = [entry for keep in (0.1, 0.9) for entry in entries(rng, LIFTS, keep, 5) if entry["arm"] != "full"]
    lines += [entry | {"keep": 1.0} for entry in entries(rng, LIFTS, 1.0, 3) if entry["arm"] == "full"]
    (folder / "digits.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, mark in (("RESULTS.md", "results"), ("README.md", "fashion-mnist")):
        (tmp_path / name).write_text("above\n" + "\nan earlier report\n".join(report.marks(mark)) + "\nbelow\n")
    report.write(folder, tmp_path / "RESULTS.md", tmp_path / "README.md")
    results, readme = ((tmp_path / name).read_text() for name in ("RESULTS.md", "README.md"))
    for text in (results, readme):
        assert text.startswith("above\n<!-- ")
        assert text.endswith(" -->\nbelow\n")
        assert "an earlier report" not in text
    assert "### keep = 0.9" in results
    assert "At keep 0.1, better than the stratified random sample beyond the interval: removal by" in results
    assert "| removal | " in readme
    pictures = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert pictures == [f"digits-small-honest-here-{what}.png" for what in ("0.1", "0.9", "sizes")]
    for picture in pictures:
        assert f"plots/{picture}" in results
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(ValueError, match="must hold the lines <!-- fashion-mnist"):
        report.write(folder, tmp_path / "RESULTS.md", tmp_path / "README.md")


def test_machines_are_reported_apart_and_each_has_plots_of_its_own(tmp_path: Path) -> None:
    for number, machine in enumerate(("Intel(R) Xeon(R) Processor", "AMD EPYC")):
        lines = [entry | {"machine": machine} for entry in entries(np.random.default_rng(number), LIFTS, 0.1, 5)]
        path = tmp_path / "results" / f"{file_name('digits', 'small', machine)}.jsonl"
        for line in lines:  # the same keys
            Results(path).add(line["key"], line)
    for name, mark in (("RESULTS.md", "results"), ("README.md", "fashion-mnist")):
        (tmp_path / name).write_text("\n".join(report.marks(mark)))
    report.write(tmp_path / "results", tmp_path / "RESULTS.md", tmp_path / "README.md")
    text = (tmp_path / "RESULTS.md").read_text()
    for machine, plain in (("Intel(R) Xeon(R) Processor", "intel-xeon-processor"), ("AMD EPYC", "amd-epyc")):
        assert text.count(f"## the bundled digits, small network, evaluated honestly, {machine}\n") == 1
        assert text.count(f"- 30 trainings on {machine}, ") == 1
        assert f"plots/digits-small-honest-{plain}-sizes.png" in text
        assert (tmp_path / "plots" / f"digits-small-honest-{plain}-0.1.png").is_file()


def test_every_recipe_can_be_named_in_the_report() -> None:
    assert set(report.RECIPE_TITLES) == set(RECIPES)
