from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, names_in, succeed
from numpy.typing import NDArray

import pyredund


@pytest.fixture
def embeddings() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(60, 3)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, embeddings: NDArray[np.float32]) -> Path:
    path = tmp_path / "embeddings.npy"
    np.save(path, embeddings)
    return path


def test_all_is_not_said_of_nearly_all(file: Path) -> None:
    x = np.random.default_rng(8).normal(size=(10_000, 20))
    x[1] = x[0]
    np.save(file, x)
    said = succeed("dedup", file, "--threshold", "1", "-o", file.with_suffix(".txt")).stderr
    assert "Kept 9,999 of 10,000 rows (99.99%) and removed 1" in said


def test_kept_rows_are_those_of_the_library(file: Path, embeddings: NDArray[np.float32]) -> None:
    for options, threshold in (((), 0.95), (("--threshold", 0.8, "--threads", 1), 0.8)):
        rows = succeed("dedup", file, *options).stdout.split()
        assert [int(row) for row in rows] == pyredund.deduplicate(embeddings, threshold).indices.tolist()


def test_reference_and_must_keep(tmp_path: Path, file: Path, embeddings: NDArray[np.float32]) -> None:
    owned = np.random.default_rng(8).normal(size=(20, 3))
    np.savetxt(tmp_path / "owned.csv", owned, delimiter=",")
    expected = pyredund.deduplicate(embeddings, 0.9, must_keep=[3, 59], reference=owned)
    assert (expected.representatives >= 60).any()
    (tmp_path / "must.txt").write_text("3\n\n59\n")
    np.save(tmp_path / "must.npy", np.array([59, 3]))
    for must in ("must.txt", "must.npy"):
        options = ("--threshold", 0.9, "--reference", tmp_path / "owned.csv", "--must-keep", tmp_path / must)
        succeed("dedup", file, *options, "-o", tmp_path / "kept.csv")
        with (tmp_path / "kept.csv").open(newline="") as opened:
            table = list(csv.DictReader(opened))
        assert [int(line["representative"]) for line in table] == expected.representatives.tolist()
        assert [bool(int(line["kept"])) for line in table] == expected.mask.tolist()


def test_what_it_kept_can_be_kept_again(tmp_path: Path, file: Path) -> None:
    result = succeed("dedup", file, "-o", tmp_path / "kept.txt")
    assert result.stdout == ""
    assert f"Written to {tmp_path / 'kept.txt'}" in result.stderr
    again = succeed("dedup", file, "--must-keep", tmp_path / "kept.txt", "--quiet")
    assert again.stdout == (tmp_path / "kept.txt").read_text()
    assert again.stderr == ""


def test_json_summary_parses(tmp_path: Path, file: Path, embeddings: NDArray[np.float32]) -> None:
    expected = pyredund.deduplicate(embeddings, 0.9)
    short = json.loads(succeed("dedup", file, "--threshold", 0.9, "-o", tmp_path / "k.npy", "--json").stdout)
    kept = len(expected.indices)
    assert short["counts"] == {"rows": 60, "kept": kept, "removed": 60 - kept}
    assert short["parameters"] == {"file": str(file), "threshold": 0.9, "reference": None, "must_keep": None}
    assert np.load(tmp_path / "k.npy").tolist() == expected.indices.tolist()
    whole = json.loads(succeed("dedup", file, "--threshold", 0.9, "--json").stdout)
    assert whole["kept"] == expected.indices.tolist()


def test_mistakes_get_a_sentence(tmp_path: Path, file: Path) -> None:
    assert "threshold must be in (0, 1], got 1.5" in fail(1, "dedup", file, "--threshold", 1.5)
    assert "'high' is not a valid float" in fail(2, "dedup", file, "--threshold", "high")
    (tmp_path / "must.txt").write_text("1\nfirst\n")
    assert "must.txt, line 2: 'first' is no row number" in fail(1, "dedup", file, "--must-keep", tmp_path / "must.txt")
    (tmp_path / "must.txt").write_text("60\n")
    assert "must_keep must hold row numbers in [0, 60), got 60" in fail(
        1, "dedup", file, "--must-keep", tmp_path / "must.txt"
    )
    (tmp_path / "must.txt").write_bytes(b"\xff\xfe1")
    assert "cannot be read as .txt" in fail(1, "dedup", file, "--must-keep", tmp_path / "must.txt")
    assert "must hold row numbers, got float32 of shape (60, 3)" in fail(1, "dedup", file, "--must-keep", file)
    assert "must end in .txt or .npy" in fail(2, "dedup", file, "--must-keep", __file__)
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    assert "cannot be read as .npy" in fail(1, "dedup", file, "--must-keep", tmp_path / "broken.npy")
    np.save(tmp_path / "wide.npy", np.ones((2, 9)))
    assert "as many coordinates per row as embeddings, 3" in fail(
        1, "dedup", file, "--reference", tmp_path / "wide.npy"
    )


def test_no_input_is_written_over(tmp_path: Path, file: Path) -> None:
    np.save(tmp_path / "must.npy", np.array([1]))
    np.save(tmp_path / "owned.npy", np.ones((2, 3)))
    before = names_in(tmp_path)
    inputs = ("--must-keep", tmp_path / "must.npy", "--reference", tmp_path / "owned.npy")
    for name in ("embeddings.npy", "must.npy", "owned.npy"):
        assert "is the input file" in fail(2, "dedup", file, *inputs, "-o", tmp_path / name)
    assert names_in(tmp_path) == before
