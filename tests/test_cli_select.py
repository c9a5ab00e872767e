from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fail, succeed
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


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter", "random"])
def test_groups_reference_and_must_keep(
    method: str, tmp_path: Path, file: Path, embeddings: NDArray[np.float32]
) -> None:
    labels, owned = np.array([" ankle boot", "bag", "trouser"] * 20), np.random.default_rng(8).normal(size=(20, 3))
    np.savetxt(tmp_path / "owned.csv", owned, delimiter=",")
    (tmp_path / "labels.txt").write_text("\n".join(labels) + "\n")
    np.save(tmp_path / "codes.npy", np.arange(60) % 3)
    (tmp_path / "must.txt").write_text("59\n3\n")
    arguments: dict[str, Any] = {"must_keep": [3, 59], "reference": owned, "groups": labels}
    expected = pyredund.select(embeddings, 0.4, method=method, **arguments)
    assert (expected.representatives >= 60).any()
    for groups in ("labels.txt", "codes.npy"):
        options: tuple[object, ...] = (
            "--reference",
            tmp_path / "owned.csv",
            "--must-keep",
            tmp_path / "must.txt",
            "--keep",
            "40%",
        )
        options += ("--groups", tmp_path / groups, "--method", method, "-o", tmp_path / "kept.csv", "--json")
        parameters = json.loads(succeed("select", file, *options).stdout)["parameters"]
        assert parameters["groups"] == str(tmp_path / groups)
        assert parameters["reference"] == str(tmp_path / "owned.csv")
        with (tmp_path / "kept.csv").open(newline="") as opened:
            table = list(csv.DictReader(opened))
        assert [int(line["representative"]) for line in table] == expected.representatives.tolist()
        assert [bool(int(line["kept"])) for line in table] == expected.mask.tolist()


def test_mistakes_get_a_sentence(tmp_path: Path, file: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\n\nb\n")
    assert "labels.txt, line 2: is empty" in fail(1, "select", file, "--groups", labels)
    labels.write_text("a\nb\n")
    assert "groups must have one label per row, shape (60,), got shape (2,)" in fail(
        1, "select", file, "--groups", labels
    )
    labels.write_text("a\n" * 60)
    assert "is the input file" in fail(2, "select", file, "--groups", labels, "-o", labels)
    assert "must hold labels, got float32 of shape (60, 3)" in fail(1, "select", file, "--groups", file)


def test_refine(tmp_path: Path, file: Path, embeddings: NDArray[np.float32]) -> None:
    options = ("--keep", 20, "--refine", "-o", tmp_path / "kept.npy", "--json")
    assert json.loads(succeed("select", file, *options).stdout)["parameters"]["refine"] is True
    expected = pyredund.select(embeddings, 20, refine=True).indices
    assert np.load(tmp_path / "kept.npy").tolist() == expected.tolist()
    assert expected.tolist() != pyredund.select(embeddings, 20).indices.tolist()
    assert "refine must be False with method='kcenter'" in fail(1, "select", file, "--method", "kcenter", "--refine")
