from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, names_in, succeed
from embeddings import smooth


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "e.npy", smooth(60))
    (tmp_path / "groups.txt").write_text("".join(f"{'ab'[row % 2]}\n" for row in range(60)))
    return tmp_path / "e.npy"


def test_table_of_selections(file: Path) -> None:
    options = (
        "--method",
        "pyredund removal",
        "--method",
        "stratified random",
        "--groups",
        file.with_name("groups.txt"),
    )
    result = succeed("bench", file, "--keep", "50%", "--keep", "45", *options)
    assert "### 30 of 60 rows, d = 5" in result.stdout
    assert "### 45 of 60 rows, d = 5" in result.stdout
    assert result.stdout.count("| pyredund removal |") == 2
    assert "class balance" in result.stdout
    assert result.stderr.splitlines()[0] == "pyredund removal, 30 of 60 rows"
    assert names_in(file.parent) == ["e.npy", "groups.txt"]


def test_numbers_for_machines(file: Path) -> None:
    result = succeed("bench", file, "--method", "random", "--rows", "40", "--json", "--quiet")
    found = json.loads(result.stdout)
    assert result.stderr == ""
    assert found["rows"] == 40
    assert found["entries"][0]["quality"]["n_kept"] == 36


def test_curves(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = succeed("bench", file, "--scaling", "--method", "textbook", "--figure", tmp_path / "curves.png")
    assert "average linkage, cosine, n to 0.9 n clusters, d = 5" in result.stdout
    assert "| 60 |" in result.stdout
    assert "Curves drawn to" in result.stderr
    assert (tmp_path / "curves.png").exists()


def test_list_of_names(file: Path) -> None:
    assert "pyredund removal" in succeed("bench", "--list").stdout.splitlines()
    assert "textbook" in succeed("bench", file, "--list", "--scaling").stdout.splitlines()


def test_mistakes_end_in_a_sentence(file: Path) -> None:
    assert "methods must be one of" in fail(1, "bench", file, "--method", "magic")
    assert "linkage must be one of" in fail(1, "bench", file, "--scaling", "--linkage", "ward")
    assert "one --keep" in fail(2, "bench", file, "--scaling", "--keep", "0.5", "--keep", "0.9")
    assert "takes a share" in fail(2, "bench", file, "--scaling", "--keep", "50")
    assert "which is not asked for" in fail(2, "bench", file, "--figure", "x.png")
    file.with_name("short.txt").write_text("a\nb\n")
    assert "one label for each of 60 rows, got 2" in fail(1, "bench", file, "--groups", file.with_name("short.txt"))
