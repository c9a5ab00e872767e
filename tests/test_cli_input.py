from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fail, succeed
from numpy.typing import NDArray

import pyredund


@pytest.fixture
def embeddings() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, embeddings: NDArray[np.float32]) -> Path:
    path = tmp_path / "embeddings.npy"
    np.save(path, embeddings)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8", np.uint8])
def test_npy_is_selected_from(tmp_path: Path, embeddings: NDArray[np.float32], dtype: str) -> None:
    array = (embeddings * 40 + 128).clip(0, 255).astype(dtype)
    np.save(tmp_path / "e.npy", array)
    lines = succeed("select", tmp_path / "e.npy", "--keep", "0.5").stdout.split()
    assert [int(line) for line in lines] == pyredund.select(array, 0.5).indices.tolist()


def test_npy_is_mapped_and_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    real = pyredund.select

    def spy(array: object, *arguments: Any, **options: Any) -> pyredund.Selection:
        seen.append(array)
        return real(array, *arguments, **options)

    monkeypatch.setattr(pyredund, "select", spy)
    succeed("select", file)
    (mapped,) = seen
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable


def test_npz_with_one_array_and_with_several(tmp_path: Path, embeddings: NDArray[np.float32]) -> None:
    expected = pyredund.select(embeddings, 30).indices.tolist()
    np.savez(tmp_path / "one.npz", anything=embeddings)
    np.savez_compressed(tmp_path / "two.npz", train=embeddings, other=embeddings[::-1])
    one = succeed("select", tmp_path / "one.npz", "--keep", 30)
    two = succeed("select", tmp_path / "two.npz", "--keep", 30, "--array", "train")
    assert [int(row) for row in one.stdout.split()] == [int(row) for row in two.stdout.split()] == expected
    assert "--array NAME (train, other)" in fail(1, "select", tmp_path / "two.npz")
    assert "no array named 'test'; there are: train, other" in fail(
        1, "select", tmp_path / "two.npz", "--array", "test"
    )


@pytest.mark.parametrize(
    "before", ["", "x,y,z,v,w\n", '"first","second",z,v,w\r\n', "\ufeff", "\ufeffx,y,z,v,w\n", "\n"]
)
def test_csv_with_and_without_header(tmp_path: Path, embeddings: NDArray[np.float32], before: str) -> None:
    lines = "\n".join(",".join(map(repr, row)) for row in embeddings.astype(np.float64).tolist())
    (tmp_path / "e.csv").write_bytes((before + lines).encode())
    rows = succeed("select", tmp_path / "e.csv", "--keep", "30").stdout.split()
    assert [int(row) for row in rows] == pyredund.select(embeddings, 30).indices.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("x,y\n", "no numbers below its header line"),
        ("1,2\n3,4\n5,apple\n", "line 3, column 2: 'apple' is not a number"),
        ("a,b\n\n1,2\n3,\n", "line 4, column 2: '' is not a number"),
        ("1,2\n3,4,5\n", "line 2 has 3 numbers, the lines above have 2"),
        ("a;b\n1;2\n", "line 2, column 1: '1;2' is not a number (columns are separated by commas"),
        ("a;b\n" + "1;" * 90 + "2\n", "column 1: '1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1...' is not"),
        ("name,0.5,1\nx,1,2\n", "line 1, column 1: 'name' is not a number, though others in the line are"),
        (",0,1,2\n0,.1,.2,.3\n", "line 1, column 1: '' is not a number, though others in the line are"),
        ("0,1,2\n.1,.2,.3\n", "line 1 counts 0, 1, 2, ... and may be column names"),
        ("id,a,b\n7,1,2\n3,4,5\n", "column 1 is named 'id', and every column is taken for a coordinate"),
        ("a,b,Label\n1,2,0\n4,5,1\n", "column 3 is named 'Label'"),
        (",a,b\n3,1,2\n4,4,5\n", "column 1 is named ''"),
        ("image_id,a\n3,1\n4,4\n", "column 1 is named 'image_id'"),
        (
            "".join(f"{i % 3},{i + 5}\n" for i in range(12)),
            "column 2 has another whole number in every row (5, 6",
        ),
        ("".join(f"{7 * i % 12},{i / 7}\n" for i in range(12)), "column 1 has another whole number in every row (0, 7"),
        ("1.5,inf\n" * 12, "embeddings must be finite: 12 of 12 rows hold NaN or infinity"),
        ("1,2\nnan,4\n", "embeddings must be finite: 1 of 2 rows holds NaN or infinity (row 1)"),
    ],
)
def test_bad_csv_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "e.csv").write_text(text)
    assert message in fail(1, "select", tmp_path / "e.csv")


def test_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes("größe\n1\n".encode("latin-1"))
    assert "no UTF-8 text" in fail(1, "select", tmp_path / "e.csv")


class Trap:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a file was unpickled",)


def write_bad_file(path: Path, kind: str) -> None:
    numbers = np.arange(400.0).reshape(100, 4)
    trap = np.array([[Trap()]], dtype=object)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(b"hello there, this is no array at all" * 10)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif kind == "objects" and path.suffix == ".npy":
        np.save(path, trap)
    elif kind == "objects":
        np.savez(path, e=trap)
    elif kind == "disguised":
        with path.open("wb") as file:
            (np.savez if path.suffix == ".npy" else np.save)(file, numbers)
    else:
        with path.open("wb") as file:
            (np.save if path.suffix == ".npy" else np.savez)(file, numbers)
        path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("kind", ["empty", "garbage", "pickle", "objects", "disguised", "truncated"])
def test_bad_arrays_are_refused_and_never_unpickled(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"bad{ending}"
    write_bad_file(path, kind)
    assert f"{path} cannot be read as {ending}: " in fail(1, "select", path)


def test_file_of_another_kind_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PAR1")
    assert "e.parquet must end in .npy, .npz or .csv" in fail(2, "select", tmp_path / "e.parquet")
    assert "does not exist" in fail(2, "select", tmp_path / "missing.npy")
    assert "is a directory" in fail(2, "select", tmp_path)


def test_array_goes_with_npz_only(file: Path) -> None:
    assert "for .npz files only" in fail(1, "select", file, "--array", "x")
