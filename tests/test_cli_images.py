from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import fail, names_in, succeed
from image_files import spoil, write_digits

pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")


def test_a_folder_is_fitted_embedded_and_thinned(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    write_digits(folder, 44)
    damaged = spoil(folder)
    damaged.pop("0009.png")  # large, though not too large for the command
    before = names_in(folder)
    result = succeed("fit", folder, "-o", tmp_path / "model", "--epochs", 1, "--skipped", tmp_path / "skipped.tsv")
    for name, reason in damaged.items():
        assert f"{name}: " in result.stderr
        assert reason in result.stderr
    assert names_in(tmp_path / "model") == ["embedder.safetensors"]
    skipped = [line.split("\t")[0] for line in (tmp_path / "skipped.tsv").read_text().splitlines()]
    assert sorted(skipped) == sorted(damaged)

    model = ("--model", tmp_path / "model")
    succeed("embed", folder, "-o", tmp_path / "rows.npy", *model, "--work", tmp_path / "work")
    names = (tmp_path / "rows.txt").read_text().splitlines()
    assert names == [f"{number:04d}.png" for number in range(44) if number not in (3, 5, 7)]
    assert np.load(tmp_path / "rows.npy").shape == (41, 64)

    result = succeed("images", folder, "--keep", "0.5", "-o", tmp_path / "kept.txt", *model)
    assert "Kept 21 of 41 images" in result.stderr
    kept = (tmp_path / "kept.txt").read_text().splitlines()
    assert len(kept) == 21
    assert set(kept) < set(names)
    succeed("images", folder, "--keep", "0.5", "-o", tmp_path / "all.csv", *model, "--quiet")
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == names
    assert [row["image"] for row in rows if row["kept"] == "1"] == kept
    assert {row["representative"] for row in rows} <= set(kept)
    assert names_in(folder) == before


def test_without_a_model_the_images_themselves_are_trained_on(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits", 20)
    result = succeed("images", tmp_path / "digits", "--keep", "5", "--epochs", 1, "-o", tmp_path / "kept.txt")
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["Trained", "Embedded", "Kept", "Written"]
    assert len((tmp_path / "kept.txt").read_text().splitlines()) == 5


def test_other_settings_or_images_need_another_work_folder(tmp_path: Path) -> None:
    folder, kept, work = tmp_path / "digits", tmp_path / "kept.txt", ("--work", tmp_path / "work")
    write_digits(folder, 20)
    assert "holds a training" not in succeed("images", folder, "--epochs", 1, "-o", kept, *work).stderr
    assert f"{tmp_path / 'work'} holds a training, which goes on if settings" in (
        succeed("images", folder, "--epochs", 1, "-o", kept, *work).stderr
    )
    message = fail(1, "images", folder, "--epochs", 2, "-o", kept, *work)
    assert "--work needs the settings of the interrupted run" in message
    assert "epochs=1, now it is 2; give another folder to --work to start anew" in message
    (folder / "0003.png").unlink()
    assert "was made of other images; give another folder" in fail(
        1, "images", folder, "--epochs", 1, "-o", kept, *work
    )


def test_nobody_who_reads_messages_is_no_reason_to_lose_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*arguments: object, **options: object) -> None:
        raise BrokenPipeError

    write_digits(tmp_path / "digits", 20)
    monkeypatch.setattr(click, "echo", closed)
    succeed("images", tmp_path / "digits", "--keep", "5", "--epochs", 1, "-o", tmp_path / "kept.txt")
    assert len((tmp_path / "kept.txt").read_text().splitlines()) == 5


def test_mistakes_end_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "holds none" in fail(1, "images", folder, "-o", tmp_path / "kept.txt")
    assert "must end in .txt or .csv" in fail(2, "images", folder, "-o", tmp_path / "kept.pdf")
    assert names_in(tmp_path) == ["empty"]
