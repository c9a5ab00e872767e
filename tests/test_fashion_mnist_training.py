"""The experiment on Fashion-MNIST where it needs torch: training, and the command from end to end, on the digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

torch: Any = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from benchmarks.fashion_mnist import cache, embedding  # noqa: E402
from benchmarks.fashion_mnist.__main__ import main  # noqa: E402
from benchmarks.fashion_mnist.images import LabelledImages, load  # noqa: E402
from benchmarks.fashion_mnist.recipe import PUBLISHED, SMALL  # noqa: E402
from benchmarks.fashion_mnist.results import Results  # noqa: E402
from benchmarks.fashion_mnist.train import Pixels, train  # noqa: E402

SHORT = replace(SMALL, rounds=3, steps=30, evaluated=2, averaged=2)


@pytest.fixture(scope="module")
def digits() -> LabelledImages:
    return load("digits")


def parts(data: LabelledImages, recipe: Any, rows: Any) -> list[Any]:
    device = torch.device("cpu")
    given = [(data.images[rows], data.labels[rows]), (data.test_images, data.test_labels)]
    found = [Pixels(images, labels, recipe, device) for images, labels in given]
    if recipe.mean is None:
        found[0].measure()
        found[1].mean, found[1].deviation = found[0].mean, found[0].deviation
    return found


def test_training_learns_repeats_by_its_seed_and_evaluates_the_last_rounds(digits: LabelledImages) -> None:
    pixels, test = parts(digits, SHORT, digits.pool())
    first, again, other = (train(pixels, test, test, SHORT, seed, n_classes=10, flips=False) for seed in (0, 0, 1))
    assert first.losses == again.losses != other.losses
    assert first.test == again.test
    assert first.losses[2] < 0.3 * first.losses[0]
    assert first.test[0] is None
    assert first.test[2] is not None
    assert first.test[2] > 0.95
    assert first.validation == first.test
    assert first.test_flipped == [None] * 3
    every = train(pixels, None, test, SHORT, 0, n_classes=10, flips=False, flipped_test=True, every_round=True)
    assert every.losses == first.losses  # looking on changes nothing
    assert every.test[1:] == first.test[1:]
    assert None not in every.test
    assert None not in every.test_flipped
    assert every.test_flipped != every.test  # a mirrored 3 is none


def test_batches_are_scaled_repeated_and_mirrored(digits: LabelledImages) -> None:
    pixels, _ = parts(digits, PUBLISHED, digits.pool())
    rows = torch.arange(200)
    plain = pixels.batch(rows, flips=False)
    assert plain.shape == (200, 3, 8, 8)
    expected = (digits.images[digits.pool()[:200]] / 255 - 0.456) / 0.224
    np.testing.assert_allclose(plain[:, 1].numpy(), expected, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    mirrored = pixels.batch(rows, flips=True)
    same = (mirrored == plain).flatten(1).all(1)
    turned = (mirrored == plain.flip(3)).flatten(1).all(1)
    assert (same | turned).all()
    assert 60 < int(same.sum()) < 140


def test_rare_classes_weigh_more(digits: LabelledImages) -> None:
    rows = digits.pool()
    few = np.concatenate([rows[digits.labels[rows] == 0][:4], rows[digits.labels[rows] != 0]])
    pixels, test = parts(digits, SHORT, few)
    course = train(pixels, test, test, SHORT, 0, n_classes=10, flips=False)
    zeros = Pixels(digits.test_images[digits.test_labels == 0], np.zeros(44, np.int64), SHORT, torch.device("cpu"))
    zeros.mean, zeros.deviation = pixels.mean, pixels.deviation
    weighted = train(pixels, zeros, test, SHORT, 0, n_classes=10, flips=False)
    assert course.losses == weighted.losses
    assert weighted.validation[2] is not None
    assert weighted.validation[2] > 0.8  # four zeros among a thousand digits


@pytest.mark.parametrize("n", [257, 3])
def test_the_published_network_trains_whatever_remains_of_the_last_batch(digits: LabelledImages, n: int) -> None:
    recipe = replace(PUBLISHED, rounds=1)
    pixels, test = parts(digits, recipe, digits.pool()[:n])
    test.images, test.labels = test.images[:20], test.labels[:20]
    course = train(pixels, None, test, recipe, 0, n_classes=10, flips=True, flipped_test=True)
    assert np.isfinite(course.losses).all()
    assert 0 <= float(course.test[0] or 0) <= 1


def test_the_command_finishes_what_an_earlier_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    trained = []
    made = embedding._trained

    def counted(data: Any, kind: str) -> Any:
        trained.append(kind)
        return made(data, kind, epochs=1)

    monkeypatch.setattr(embedding, "_trained", counted)
    path = tmp_path / "found.jsonl"
    given = ["run", "--data", "digits", "--keep", "0.1", "--jobs", "1", "--results", str(path), "--device", "cpu"]
    for seeds in (1, 2):
        arms = [word for arm in ("stratified", "removal", "like-removal") for word in ("--arm", arm)]
        done = CliRunner().invoke(main, [*given, *arms, "--seeds", str(seeds)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert done.stderr.count("digits/small/honest/") == 3
    found = Results(path).read()
    assert len(found) == len(path.read_text().splitlines()) == 6
    assert trained == ["contrastive"]
    for entry in found.values():
        assert entry["rows"] == 125
        assert entry["accuracy"] > 0.6
        assert (entry["threads"], entry["precision"]) == (1, "float32")
    for wrong, message in (
        (["--keep", "0.2"], "--keep must be among 0.1, 0.5"),
        (["--arm", "list"], "arm list needs --list FILE"),
        (["--shard", "2/2"], "must be i/n with i from 0 to n - 1, got 2/2"),
        (["--data", "nowhere"], "data must be one of fashion-mnist, digits"),
    ):
        refused = CliRunner().invoke(main, ["run", *wrong])
        assert refused.exit_code == 2, refused.output
        assert message in refused.stderr


def test_a_trial_takes_fewer_rows_and_rounds_under_names_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    made = embedding._trained
    monkeypatch.setattr(embedding, "_trained", lambda data, kind: made(data, kind, epochs=1))
    path, listed = tmp_path / "found.jsonl", tmp_path / "list.npy"
    np.save(listed, np.arange(0, 1000, 2))
    trial = ["run", "--data", "digits", "--preset", "published", "--rows", "200", "--rounds", "2"]
    given = [*trial, "--keep", "0.75", "--seeds", "1", "--jobs", "1", "--device", "cpu"]
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 2
    assert "need --results FILE" in refused.stderr
    more = ["--list", str(listed), "--results", str(path), "--arm", "removal-supervised"]
    arms = [word for arm in ("full", "removal", "like-list") for word in ("--arm", arm)]
    done = CliRunner().invoke(main, [*given, *more, *arms], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = Results(path).read()
    kept = {(entry["arm"], entry["split"]): entry["rows"] for entry in found.values()}
    assert len(kept) == len(found) == 4 * 2
    for split, pool, kept_by_removal in (("honest", 190, 143), ("as published", 200, 150)):
        assert kept["full", split] == pool
        assert kept["removal", split] == kept["removal-supervised", split] == kept_by_removal
    assert kept["like-list", "honest"] < kept["like-list", "as published"] == 100  # of those among the first 200
    for key, entry in found.items():
        assert key.startswith("digits-200-rows/published-2-rounds/")
        assert len(entry["losses"]) == 2


def test_folders_and_archives_are_data_too(tmp_path: Path, digits: LabelledImages) -> None:
    from PIL import Image

    for part, images, labels in (
        ("train", digits.images[:40], digits.labels[:40]),
        ("test", digits.test_images[:10], digits.test_labels[:10]),
    ):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = tmp_path / "written" / part / f"digit {label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:03d}.png")
    found = load(str(tmp_path / "written"))
    assert found.name == "written"
    order = np.argsort(digits.labels[:40], kind="stable")
    np.testing.assert_array_equal(found.images, digits.images[:40][order])
    np.testing.assert_array_equal(found.labels, digits.labels[:40][order])
    np.savez(tmp_path / "some.npz", images=digits.images, labels=digits.labels, test_images=digits.test_images)
    with pytest.raises(ValueError, match="it lacks test_labels"):
        load(str(tmp_path / "some.npz"))
