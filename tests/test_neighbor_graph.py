from __future__ import annotations

import dataclasses
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference

import pyredund
from pyredund import NeighborGraph

X = np.random.default_rng(0).normal(size=(30, 4))
PARTS: dict[str, Any] = {
    "indptr": [0, 2, 3],
    "indices": [1, 2, 0],
    "similarities": [0.9, 0.5, 0.9],
    "n_rows": 2,
    "n_columns": 3,
}


def test_a_graph_cannot_be_changed() -> None:
    graph = pyredund.knn_graph(X, k=3)
    for field in dataclasses.fields(graph):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(graph, field.name, None)
    for array in (graph.indptr, graph.indices, graph.similarities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_arrays_have_the_types_that_are_promised_whatever_was_given() -> None:
    graph = NeighborGraph(**PARTS)
    dtypes = [array.dtype.name for array in (graph.indptr, graph.indices, graph.similarities)]
    assert dtypes == ["int64", "int32", "float32"]
    assert repr(graph) == "NeighborGraph(2 rows, 3 edges, similarity 0.5000 to 0.9000)"
    assert repr(pyredund.knn_graph(X[:1])) == "NeighborGraph(1 rows, 0 edges)"


def test_a_radius_graph_says_from_where_it_is_complete_wherever_it_goes(tmp_path: Path) -> None:
    graph = pyredund.radius_graph(X, 0.3)
    graph.save(tmp_path / "graph.npz")
    for same in (graph, NeighborGraph.load(tmp_path / "graph.npz"), pickle.loads(pickle.dumps(graph))):
        assert same.threshold == 0.3
    knn = pyredund.knn_graph(X, k=3)
    knn.save(tmp_path / "graph.npz")
    for same in (knn, NeighborGraph.load(tmp_path / "graph.npz"), pickle.loads(pickle.dumps(knn))):
        assert same.threshold is None
    for threshold, message in (
        (0.6, "similarities must be at least threshold, 0.6, got 0.5"),
        (2.0, "threshold must be"),
    ):
        with pytest.raises(ValueError, match=message):
            NeighborGraph(**PARTS | {"threshold": threshold})


def test_scipy_sees_the_same_edges_without_a_copy_of_them() -> None:
    graph = pyredund.knn_graph(X, k=3)
    matrix = graph.to_scipy()
    indices, similarities = reference.knn(reference.similarity_matrix(X), 3, exclude_self=True)
    expected = np.zeros((30, 30), dtype=np.float32)
    np.put_along_axis(expected, indices, similarities, axis=1)
    assert np.array_equal(matrix.toarray(), expected)
    assert np.shares_memory(matrix.data, graph.similarities)
    assert pyredund.knn_graph(X, k=2, reference=X[:7]).to_scipy().shape == (30, 7)
    assert pyredund.knn_graph(X[:0]).to_scipy().shape == (0, 0)


@pytest.mark.parametrize("name", ["graph.npz", "graph", "graph.with.dots"])
@pytest.mark.parametrize("n", [30, 1, 0])
def test_a_saved_graph_is_loaded_as_it_was_under_the_name_given(name: str, n: int, tmp_path: Path) -> None:
    graph = pyredund.knn_graph(X[:n], reference=X[:5])
    graph.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    loaded = NeighborGraph.load(str(tmp_path / name))
    for field in ("indptr", "indices", "similarities"):
        saved, read = getattr(graph, field), getattr(loaded, field)
        assert (saved.dtype, saved.tobytes()) == (read.dtype, read.tobytes())
        assert not read.flags.writeable
    assert (loaded.n_rows, loaded.n_columns) == (n, 5)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a file was unpickled",))


def archive(path: Path, **arrays: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def foreign(kind: str, path: Path) -> None:
    pyredund.knn_graph(X).save(path)
    whole = path.read_bytes()
    ours: dict[str, Any] = {"kind": np.array("pyredund.NeighborGraph")}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "npy":
        path.write_bytes(npy(X))
    elif kind == "npy of objects":
        path.write_bytes(npy(np.array([Bomb()])))
    elif kind == "npz of something else":
        archive(path, X=X)
    elif kind == "another kind of ours":
        archive(path, kind=np.array("pyredund.Selection"), **PARTS)
    elif kind == "a field missing":
        archive(path, **ours, indptr=[0])
    elif kind == "a field of objects":
        archive(path, **ours, **PARTS | {"indptr": np.array([Bomb()])})
    elif kind == "a field of strings":
        archive(path, **ours, **PARTS | {"n_rows": np.array("two")})
    elif kind == "text":
        path.write_text("0.5,0.25\n")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut in half":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "a bit flipped":
        path.write_bytes(whole[:400] + bytes([whole[400] ^ 16]) + whole[401:])
    elif kind == "a directory":
        path.unlink()
        path.mkdir()


FOREIGN = [
    "pickle",
    "npy of objects",
    "npz of something else",
    "another kind of ours",
    "a field missing",
    "a field of objects",
    "text",
    "empty",
    "a directory",
    "npy",
    "a field of strings",
    "cut in half",
    "a bit flipped",
]


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_that_hold_no_graph_are_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    foreign(kind, path)
    with pytest.raises(ValueError, match=r"path must name a file written by NeighborGraph\.save.*graph\.npz"):
        NeighborGraph.load(path)


def test_a_file_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NeighborGraph.load(tmp_path / "graph.npz")
    with pytest.raises(FileNotFoundError):
        pyredund.knn_graph(X).save(tmp_path / "missing" / "graph.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indptr": [0, 3]}, r"indptr must have shape \(3,\) for n_rows=2, got \(2,\)"),
        ({"indptr": [[0], [2], [3]]}, r"indptr must be one-dimensional, got shape \(3, 1\)"),
        ({"indptr": [1, 2, 3]}, "indptr must rise from 0 to the number of edges, 3"),
        ({"indptr": [0, 2, 4]}, "indptr must rise"),
        ({"indptr": [0, 4, 3]}, "indptr must rise"),
        ({"indptr": [0, -1, 3]}, "indptr must rise"),
        ({"similarities": [0.9]}, r"similarities must have one entry per edge \(3\), got shape \(1,\)"),
        ({"indices": [1, 3, 0]}, r"indices must be in \[0, 3\), got 0 to 3"),
        ({"indices": [1, -1, 0]}, r"indices must be in \[0, 3\), got -1 to 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeighborGraph(**PARTS | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.array([1, 2, 2**32])},
        {"indices": [0.5, 1.5, 0.25]},
        {"similarities": [0.9, np.nan, 0.9]},
        {"indices": [[1], [2], [0]], "similarities": [[0.9], [0.5], [0.9]]},
        {"indptr": [], "indices": [], "similarities": [], "n_rows": -1},
        {"n_rows": 2.0},
    ],
)
def test_parts_that_would_silently_become_others_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="must"):
        NeighborGraph(**PARTS | changes)


def test_a_graph_that_went_through_pickle_is_still_read_only() -> None:
    graph = pickle.loads(pickle.dumps(pyredund.knn_graph(X, k=3)))
    assert not graph.indices.flags.writeable


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.npz"
    pyredund.knn_graph(X, k=3).save(path)
    before = path.read_bytes()

    def disk_full(file: Any, **arrays: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    def interrupted(file: Any, **arrays: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    for failure, error in ((disk_full, OSError), (interrupted, KeyboardInterrupt)):
        monkeypatch.setattr(np, "savez", failure)
        for name in ("graph.npz", "new.npz"):
            with pytest.raises(error):
                pyredund.knn_graph(X, k=4).save(tmp_path / name)
        assert [path.name for path in tmp_path.iterdir()] == ["graph.npz"]
        assert path.read_bytes() == before


def test_a_saved_file_has_the_permissions_of_any_other_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    pyredund.knn_graph(X).save(tmp_path / "graph.npz")
    assert (tmp_path / "graph.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_graph_does_not_follow_arrays_that_change() -> None:
    indices = np.array([1, 0], dtype=np.int32)
    graph = NeighborGraph(np.array([0, 1, 2]), indices, np.array([0.5, 0.5], dtype=np.float32), 2, 2)
    indices[0] = 2**31 - 1
    assert graph.indices.tolist() == [1, 0]
