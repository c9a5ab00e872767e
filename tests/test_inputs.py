from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import pyredund

# Multiples of a quarter below 8: every format holds them exactly, bfloat16's eight bits included.
VALUES: NDArray[np.float64] = np.random.default_rng(0).integers(-31, 32, size=(40, 6)) / 4


class OnlyDLPack:
    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class OnlyArray:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return VALUES.astype(dtype or np.float32)


class LikeCuPy:
    """Refuses the silent copy to the host, as CuPy does."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": VALUES.shape, "typestr": "<f4", "data": (0, True), "version": 3}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self) -> NDArray[np.float32]:
        return VALUES.astype(np.float32)


def strided(rows: int, columns: int) -> NDArray[np.float64]:
    wide = np.full((abs(rows) * len(VALUES), abs(columns) * VALUES.shape[1]), np.nan)
    view = wide[::rows, ::columns]
    view[:] = VALUES
    return view


def read_only() -> NDArray[np.float64]:
    frozen = VALUES.copy()
    frozen.flags.writeable = False
    return frozen


def torch_tensor(dtype: str, requires_grad: bool = False) -> Any:
    torch = pytest.importorskip("torch")
    return torch.tensor(VALUES).to(getattr(torch, dtype)).requires_grad_(requires_grad)


FORMS: dict[str, Callable[[], Any]] = {
    "float16": lambda: VALUES.astype(np.float16),
    "float32": lambda: VALUES.astype(np.float32),
    "longdouble": lambda: VALUES.astype(np.longdouble),
    "other byte order": lambda: VALUES.astype(np.dtype(np.float32).newbyteorder()),
    "bfloat16 of ml_dtypes": lambda: VALUES.astype(pytest.importorskip("ml_dtypes").bfloat16),
    "Fortran order": lambda: np.asfortranarray(VALUES),
    "strides": lambda: strided(3, 2),
    "negative strides": lambda: strided(-1, -2),
    "unaligned": lambda: np.frombuffer(b"?" + VALUES.tobytes(), np.float64, offset=1).reshape(VALUES.shape),
    "read-only": read_only,
    "nested lists": VALUES.tolist,
    "nested tuples": lambda: tuple(map(tuple, VALUES.tolist())),
    "list of arrays": lambda: list(VALUES.astype(np.float32)),
    "__array__ only": OnlyArray,
    "DLPack only": lambda: OnlyDLPack(VALUES.astype(np.float32)),
    "DLPack only, strided": lambda: OnlyDLPack(strided(2, 3)),
    "CuPy": LikeCuPy,
    "torch float16": lambda: torch_tensor("float16"),
    "torch bfloat16": lambda: torch_tensor("bfloat16"),
    "torch bfloat16 with gradient": lambda: torch_tensor("bfloat16", True),
    "torch float32": lambda: torch_tensor("float32"),
    "torch float32 with gradient": lambda: torch_tensor("float32", True),
    "torch float64": lambda: torch_tensor("float64"),
    "torch transposed": lambda: torch_tensor("float32").t().contiguous().t(),
    "torch DLPack only": lambda: OnlyDLPack(torch_tensor("float32")),
}


def bytes_of(embeddings: Any, **options: Any) -> tuple[bytes, bytes]:
    graph = pyredund.knn_graph(embeddings, k=5, **options)
    return graph.indices.tobytes(), graph.similarities.tobytes()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_numbers_gives_the_same_graph(form: str) -> None:
    embeddings = FORMS[form]()
    expected = bytes_of(VALUES)
    assert bytes_of(embeddings) == expected
    assert bytes_of(VALUES, reference=embeddings) == bytes_of(VALUES, reference=VALUES)


def test_a_memory_map_gives_the_same_graph(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", VALUES)
    assert bytes_of(np.load(tmp_path / "rows.npy", mmap_mode="r")) == bytes_of(VALUES)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_integers_and_booleans_are_numbers(dtype: str) -> None:
    whole = np.abs(VALUES * 4).astype(dtype)
    assert bytes_of(whole) == bytes_of(whole.astype(np.float64))
    if "torch" in sys.modules and dtype in {"int8", "uint8", "int16", "int32", "int64", "bool"}:
        assert bytes_of(sys.modules["torch"].from_numpy(whole)) == bytes_of(whole)


def test_integers_are_not_squeezed_through_float32() -> None:
    x = np.random.default_rng(1).integers(-(2**31), 2**31, size=(60, 5))
    assert bytes_of(x.astype(np.float32)) != bytes_of(x)  # else the difference does not show
    for whole in (x, x.astype(np.int32)):
        assert bytes_of(whole) == bytes_of(x.astype(np.float64))


def test_blocks_of_the_input_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bytes_of(VALUES)
    monkeypatch.setattr("pyredund._unit_rows.BLOCK_BYTES", 8 * VALUES.shape[1] * 7)
    for form in ("Fortran order", "negative strides", "torch bfloat16", "float16"):
        assert bytes_of(FORMS[form]()) == expected


def refused_torch(how: str) -> Any:
    torch = pytest.importorskip("torch")
    if how == "complex":
        return torch.ones((3, 2), dtype=torch.complex64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse tensors a beta feature
        return torch.ones((3, 2)).to_sparse() if how == "coo" else torch.ones((3, 2)).to_sparse_csr()


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "complex": (
        lambda: np.ones((3, 2), complex),
        TypeError,
        r"must be real, got complex numbers \(complex128\)",
    ),
    "complex list": (lambda: [[1j, 2], [3, 4]], TypeError, "must be real, got complex numbers"),
    "torch complex": (lambda: refused_torch("complex"), TypeError, "must be real, got complex numbers"),
    "torch sparse": (lambda: refused_torch("coo"), TypeError, "must be dense, got a tensor of layout"),
    "torch sparse csr": (lambda: refused_torch("csr"), TypeError, "must be dense, got a tensor of layout"),
    "objects": (lambda: np.array([[1, None]]), TypeError, "must hold real numbers, got dtype object"),
    "strings": (lambda: [["a", "b"]], TypeError, "must hold real numbers, got dtype <U1"),
    "a string": (lambda: "rows.npy", TypeError, "must be an array .* got str"),
    "dates": (lambda: np.zeros((2, 2), "M8[s]"), TypeError, "must hold real numbers, got dtype datetime64"),
    "records": (lambda: np.zeros((2, 2), "f4,f4"), TypeError, "must hold real numbers, got dtype"),
    "ragged lists": (lambda: [[1.0, 2.0], [3.0]], ValueError, "must be a rectangle of numbers"),
    "a number": (lambda: 3.0, TypeError, "must be an array .* got float"),
    "None": (lambda: None, TypeError, "must be an array .* got NoneType"),
    "one dimension": (lambda: np.ones(5), ValueError, r"must have two dimensions .* \(5,\); .*reshape"),
    "three dimensions": (lambda: np.ones((2, 3, 4)), ValueError, r"two dimensions .* got shape \(2, 3, 4\)"),
    "an empty list": (list, ValueError, r"must have two dimensions .* got shape \(0,\)"),
    "no columns": (lambda: np.ones((4, 0)), ValueError, r"at least 1 coordinate .* got shape \(4, 0\)"),
    "masked": (lambda: np.ma.masked_equal(VALUES, 0), TypeError, "must not be a masked array"),
    "sparse matrix": (
        lambda: scipy.sparse.csr_matrix(VALUES),
        TypeError,
        "must be dense, got the sparse csr_m",
    ),
    "sparse array": (
        lambda: scipy.sparse.coo_array(VALUES),
        TypeError,
        "must be dense, got the sparse coo_a",
    ),
    "too many rows": (
        lambda: np.broadcast_to(np.float32(1), (2**31, 1)),
        ValueError,
        r"must have fewer than 2\^31 rows, got 2147483648",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_matrix_of_real_numbers_is_refused_in_a_sentence(name: str) -> None:
    make, error, message = REFUSED[name]
    bad = make()
    with pytest.raises(error, match=f"^embeddings .*{message}"):
        pyredund.knn_graph(bad)
    if bad is not None:
        with pytest.raises(error, match=f"^reference .*{message}"):
            pyredund.knn_graph(VALUES, reference=bad)


def test_more_memory_than_allowed_is_refused_before_anything_is_computed() -> None:
    x = np.broadcast_to(np.float32(1), (1_000_000, 64))  # occupies four bytes
    with pytest.raises(
        MemoryError, match=r"1000000 rows with k=32, .* \d+\.\d MiB, more than max_memory=268435456: \d+ is the least"
    ):
        pyredund.knn_graph(x, max_memory=256 << 20)
    with pytest.raises(MemoryError, match=r"10 rows with k=10 .* MiB, more than max_memory=67108864"):
        pyredund.knn_graph(x[:10], k=10, reference=x, max_memory=64 << 20)


def test_more_memory_than_the_machine_has_is_refused() -> None:
    with pytest.raises(MemoryError, match=r"would take \d+\.\d GiB, more than the \d+\.\d (M|G)iB that this machine"):
        pyredund.knn_graph(np.broadcast_to(np.float32(1), (1 << 30, 1024)))


@pytest.mark.parametrize(
    ("max_memory", "error"),
    [(0, ValueError), (-5, ValueError), (1e9, TypeError), ("1 GB", TypeError), (True, TypeError)],
)
def test_a_max_memory_that_cannot_be_is_refused(max_memory: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"max_memory must be .*, got "):
        pyredund.knn_graph(VALUES, max_memory=max_memory)
