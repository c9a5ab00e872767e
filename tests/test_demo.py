from __future__ import annotations

import re
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import pyredund
from pyredund import _pairs_figure as figure
from pyredund._digits import digits
from pyredund.cli import main
from pyredund.demo import demo

PNG = b"\x89PNG\r\n\x1a\n"


def similarities_to(kept: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of every digit to its closest kept one, by brute force."""
    images, _ = digits()
    rows = images.reshape(len(images), -1).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    closest: NDArray[np.float64] = (rows @ rows[kept].T).max(axis=1)
    return closest


def numbers_after(text: str, name: str) -> list[float]:
    (line,) = [line for line in text.splitlines() if name in line]
    return [float(number) for number in line.split(name)[1].split()]


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    images, labels = digits()
    assert images.dtype == labels.dtype == np.uint8
    assert (images == theirs.images).all()
    assert (labels == theirs.target).all()


def test_figures_in_the_table_are_right() -> None:
    images, _ = digits()
    embeddings = images.reshape(len(images), -1)
    text = demo()
    expected: list[list[float]] = []
    for method in ("removal", "random"):
        selection = pyredund.select(embeddings, 0.9, method=method, seed=0)
        assert len(selection.indices) == 1617
        closest = similarities_to(selection.indices)
        lost = 1.0 - closest[selection.removed]
        expected.append([float(lost.mean()), float(lost.max()), float(closest.sum())])
    ours, theirs = expected
    names = ("mean distance of a removed row to the closest kept one", "largest such distance")
    for place, name in enumerate(names):
        assert numbers_after(text, name) == pytest.approx([ours[place], theirs[place]], abs=6e-6)
        assert ours[place] < theirs[place]
    assert numbers_after(text, "facility location (higher is better)") == pytest.approx([ours[2], theirs[2]], abs=6e-3)
    assert ours[2] > theirs[2]
    assert "Removal kept 1,617 and removed 180 in " in text


def test_pairs_are_removed_rows_and_what_stands_for_them() -> None:
    images, labels = digits()
    selection = pyredund.select(images.reshape(len(images), -1), 0.9)
    closest = similarities_to(selection.indices)
    pairs = re.findall(r"^ +(\d+) +(\d) +(\d+) +(\d) +(0\.\d{5})$", demo(), flags=re.MULTILINE)
    assert len(pairs) == 10
    shown = [float(pair[4]) for pair in pairs]
    assert shown == sorted(shown, reverse=True)
    assert shown == pytest.approx(np.sort(closest[selection.removed])[::-1][:10], abs=6e-6)
    for pair in pairs:
        row, digit, kept, kept_digit = map(int, pair[:4])
        assert not selection.mask[row]
        assert selection.mask[kept]
        assert (labels[row], labels[kept]) == (digit, kept_digit)
        assert closest[row] == pytest.approx(float(pair[4]), abs=6e-6)


def test_classes_add_up() -> None:
    table = re.findall(r"^ +(\d) +(\d+) +(\d+) +(\d+) +(\d+)$", demo(), flags=re.MULTILINE)
    counts = np.array(table, dtype=int)
    assert counts[:, 0].tolist() == list(range(10))
    assert counts[:, 1].tolist() == np.bincount(digits()[1]).tolist()
    assert (counts[:, 1] == counts[:, 2] + counts[:, 3]).all()
    assert counts[:, 1:].sum(axis=0).tolist() == [1797, 1617, 180, 180]


def test_picture_is_written_where_asked(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "pairs.png"
    started = time.perf_counter()
    text = demo(path)
    assert time.perf_counter() - started < 2.0
    assert text.endswith(f"Picture of removed digits beside what stands for them: {path}")
    content = path.read_bytes()
    assert content.startswith(PNG)
    width, height = struct.unpack(">II", content[16:24])
    assert width > height > 400
    assert list(tmp_path.iterdir()) == [path]


def test_picture_shows_the_digits(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    demo(tmp_path / "pairs.png")
    dots = image.imread(tmp_path / "pairs.png")
    assert dots.shape[:2] == (figure.HEIGHT, figure.WIDTH)
    images, _ = digits()
    selection = pyredund.select(images.reshape(len(images), -1), 0.9)
    top = figure.MARGIN + figure.HEADING + figure.TITLE + figure.IMAGE // 16
    left = figure.MARGIN + figure.IMAGE // 16
    step = figure.IMAGE // 8
    for column, (removed, kept, _) in enumerate(selection.closest(figure.COLUMNS)):
        for row, shift in ((removed, 0), (kept, figure.IMAGE + figure.WITHIN)):
            x = left + shift + column * (figure.PAIR_WIDTH + figure.BETWEEN)
            centres = dots[top : top + figure.IMAGE : step, x : x + figure.IMAGE : step, 0]
            np.testing.assert_allclose(1 - centres, images[row] / 16, atol=0.01)


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    last = demo(tmp_path / "pairs.png").splitlines()[-1]
    assert last == "No picture: it needs matplotlib, which is not installed here: pip install matplotlib"
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_costs_only_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = demo(tmp_path / "nowhere" / "pairs.png")
    assert "What went and why" in text
    assert "could not be written" in text.splitlines()[-1]


def test_command_draws_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert "No picture" not in runner.invoke(main, ["demo", "--no-figure"]).stdout
    assert not list(tmp_path.iterdir())
    result = runner.invoke(main, ["demo"])
    assert result.exit_code == 0
    assert "pyredund-demo.png" in result.stdout.splitlines()[-1]
    assert (tmp_path / "pyredund-demo.png").read_bytes().startswith(PNG)
    assert runner.invoke(main, ["demo", "--figure", "x.gif"]).exit_code == 2
    assert runner.invoke(main, ["demo", "--figure", "nowhere/x.png"]).exit_code == 2
    assert runner.invoke(main, ["demo", "--figure", "x.png", "--no-figure"]).exit_code == 2
    assert runner.invoke(main, ["demo", "--figure", "x.png"]).exit_code == 0
    assert (tmp_path / "x.png").exists()
