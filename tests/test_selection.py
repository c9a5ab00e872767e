from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embeddings import ALL, half_duplicates, smooth

import pyredund

METHODS = ["removal", "insertion", "random"]


@pytest.fixture(params=METHODS)
def selection(request: pytest.FixtureRequest) -> pyredund.Selection:
    return pyredund.select(half_duplicates(60), 25, method=request.param)


def test_fields_agree_with_each_other(selection: pyredund.Selection) -> None:
    assert selection.indices.dtype == selection.removed.dtype == selection.representatives.dtype == np.int64
    assert selection.similarities.dtype == np.float32
    assert selection.mask.dtype == bool
    np.testing.assert_array_equal(np.flatnonzero(selection.mask), selection.indices)
    np.testing.assert_array_equal(np.sort(np.append(selection.indices, selection.removed)), np.arange(60))
    assert (selection.similarities[selection.mask] == 1).all()
    assert (selection.picked is None) == (selection.gains is None) == (selection.method != "insertion")
    assert (selection.costs is None) == (selection.method != "removal")


def test_removed_rows_are_ordered(selection: pyredund.Selection) -> None:
    if selection.costs is not None:
        assert (np.diff(selection.costs) >= 0).sum() > len(selection.costs) / 2  # costs of a removal mostly rise
    else:
        assert (np.diff(selection.similarities[selection.removed]) <= 0).all()


def test_nothing_in_it_can_be_changed(selection: pyredund.Selection) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.method = "other"  # type: ignore[misc]
    for name in ("indices", "removed", "mask", "representatives", "similarities", "picked", "costs", "gains"):
        array = getattr(selection, name)
        if array is not None:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True


def test_arrays_that_somebody_else_may_change_are_copied() -> None:
    indices = np.array([0])
    read_only = np.array([1.0, 0.5], dtype=np.float32)
    read_only.flags.writeable = False
    parts = indices, np.array([1]), np.array([True, False]), np.array([0, 0]), read_only
    selection = pyredund.Selection("mine", *parts)
    again = dataclasses.replace(selection, k=3)  # which copies nothing any more
    indices[0] = 7
    read_only.flags.writeable = True
    read_only[0] = 0
    for one in (selection, again):
        assert one.indices.tolist() == [0]
        assert one.similarities.tolist() == [1.0, 0.5]
    assert np.shares_memory(selection.indices, again.indices)


def test_members_list_every_removed_row_once(selection: pyredund.Selection) -> None:
    members = selection.members()
    assert list(members) == sorted(members)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(members.values()))), np.sort(selection.removed))
    for representative, rows in members.items():
        assert (selection.representatives[rows] == representative).all()
        assert (np.diff(rows) > 0).all()


def test_nothing_removed_has_no_members_or_pairs() -> None:
    everything = pyredund.select(smooth(5), 1.0)
    assert everything.members() == {}
    assert everything.closest() == everything.farthest() == []
    assert repr(everything) == "Selection(removal: 5 of 5 rows kept)"


def test_closest_and_farthest_pairs(selection: pyredund.Selection) -> None:
    by_similarity = sorted((-float(selection.similarities[row]), int(row)) for row in selection.removed)
    expected = [(row, int(selection.representatives[row]), -similarity) for similarity, row in by_similarity]
    assert selection.closest(5) == expected[:5]
    assert selection.closest(1000) == expected
    assert [similarity for _, _, similarity in selection.farthest(5)] == [s for _, _, s in expected[::-1][:5]]
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        selection.closest(-1)


def test_save_and_load(selection: pyredund.Selection, tmp_path: Path) -> None:
    selection.save(tmp_path / "selection.npz")
    loaded = pyredund.Selection.load(tmp_path / "selection.npz")
    for field in dataclasses.fields(selection):
        if not field.name.startswith("_"):
            mine, its = getattr(selection, field.name), getattr(loaded, field.name)
            np.testing.assert_array_equal(mine, its)
            assert type(mine) is type(its)
    if selection.method != "random":
        other = 40 if selection.method == "removal" else 10
        np.testing.assert_array_equal(loaded.at(other).representatives, selection.at(other).representatives)


@pytest.mark.parametrize("name", ["kept.txt", "kept.CSV", "kept.npy"])
def test_an_archive_does_not_pass_for_another_kind_of_file(name: str, tmp_path: Path) -> None:
    for saved in (pyredund.select(smooth(5), 3), pyredund.knn_graph(smooth(5))):
        with pytest.raises(ValueError, match=rf"path must end in .npz, .* got .*{name}: \w+.save writes an archive"):
            saved.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_names_that_no_file_can_have_are_refused_and_long_ones_are_not(tmp_path: Path) -> None:
    selection = pyredund.select(smooth(5), 3)
    for name in ("", "nul\0.npz"):
        with pytest.raises(ValueError, match="path must be the name of a file, got "):
            selection.save(name)
    with pytest.raises(IsADirectoryError, match=f"path must be the name of a file, and {tmp_path} is a folder"):
        selection.save(tmp_path)
    longest = tmp_path / f"{'x' * 251}.npz"
    selection.save(longest)
    np.testing.assert_array_equal(pyredund.Selection.load(longest).indices, selection.indices)
    assert list(tmp_path.iterdir()) == [longest]


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    pyredund.knn_graph(smooth(5)).save(tmp_path / "graph.npz")
    (tmp_path / "noise.npz").write_bytes(b"no archive")
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    for name in ("graph.npz", "noise.npz", "pickled.npy"):
        with pytest.raises(ValueError, match="path must name a file written by Selection.save"):
            pyredund.Selection.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        pyredund.Selection.load(tmp_path / "absent.npz")


def test_sizes_beyond_the_log_say_what_to_call() -> None:
    selection = pyredund.select(smooth(20), 10)
    assert selection.at(10) is selection
    with pytest.raises(ValueError, match=r"at least 10 .*select\(embeddings, keep=9, method='removal'\)"):
        selection.at(9)
    with pytest.raises(ValueError, match=r"at most 10 .*select\(embeddings, keep=11, method='insertion'\)"):
        pyredund.select(smooth(20), 10, method="insertion").at(11)
    with pytest.raises(ValueError, match=r"keep=0.9, method='random'"):
        pyredund.select(smooth(20), 10, method="random").at(0.9)


def test_subset_of_a_torch_dataset() -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(20))
    selection = pyredund.select(smooth(20), 10)
    subset = selection.subset(data)
    assert [int(subset[i][0]) for i in range(len(subset))] == selection.indices.tolist()
    with pytest.raises(ValueError, match="one sample per row, 20, got 3"):
        selection.subset(torch.utils.data.TensorDataset(torch.arange(3)))


@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("method", METHODS)
def test_verify_accepts_every_true_selection(data: str, method: str) -> None:
    for keep in (1, 10, 59, 60):
        pyredund.select(ALL[data](60), keep, method=method).verify(ALL[data](60))


def swapped(selection: pyredund.Selection, name: str, row: int, value: Any) -> pyredund.Selection:
    array = getattr(selection, name).copy()
    array[row] = value
    return dataclasses.replace(selection, **{name: array})


def test_verify_names_the_first_row_that_fails() -> None:
    x = smooth(60)
    selection = pyredund.select(x, 30)
    row, other = selection.removed[3], selection.removed[4]
    kept = selection.indices[selection.indices != selection.representatives[row]][0]
    for broken, message in [
        (
            swapped(selection, "representatives", row, other),
            f"row {row}: its representative {other} was removed",
        ),
        (swapped(selection, "representatives", row, kept), f"row {row}: similarity to its representative"),
        (swapped(selection, "similarities", row, 0.5), f"row {row}: similarity to its representative"),
        (swapped(selection, "representatives", row, -1), f"row {row}: its representative -1 is no row"),
        (swapped(selection, "costs", 3, 0.5), "costs must add up to what all rows lost"),
        (swapped(selection, "mask", row, True), "indices must be the rows of mask"),
        (swapped(selection, "removed", 3, other), "removed must hold every row"),
        (swapped(selection, "representatives", selection.indices[0], selection.indices[1]), "is kept, but"),
    ]:
        with pytest.raises(ValueError, match=message):
            broken.verify(x)
    far = swapped(swapped(selection, "representatives", row, kept), "similarities", row, similarity(x[row], x[kept]))
    with pytest.raises(ValueError, match=f"row {row}: kept row .* is closer than its representative {kept}"):
        far.verify(x)
    with pytest.raises(ValueError, match="must have the selection's 60 rows, got 59"):
        selection.verify(x[:59])


def test_verify_names_an_identical_row() -> None:
    x = np.vstack([smooth(5), smooth(5)])
    selection = pyredund.select(x, 7)
    row = selection.removed[0]
    assert selection.representatives[row] == row - 5
    with pytest.raises(ValueError, match=f"row {row}: kept row {row - 5} is identical to it|similarity"):
        swapped(selection, "representatives", row, (row - 4) % 5).verify(x)


def test_verify_bears_many_equal_rows() -> None:
    x = np.ones((30_000, 16), dtype=np.float32)
    pyredund.select(x, 0.9).verify(x)


def similarity(x: np.ndarray, y: np.ndarray) -> np.float32:
    from reference import similarity_matrix

    return np.float32(similarity_matrix(x[None], y[None])[0, 0])


def test_repr_is_for_people() -> None:
    assert repr(pyredund.select(smooth(10), 8)).startswith("Selection(removal: 8 of 10 rows kept; similarity of the 2")
