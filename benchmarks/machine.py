"""Threads that everything is measured with, and the arithmetic that peers get."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pyredund


def all_threads() -> int:
    """Threads that pyredund uses by default: all that the process may use."""
    n_threads = pyredund.show_config()["n_threads"]
    assert isinstance(n_threads, int)
    return n_threads


# Processors that an OpenBLAS of some years ago does not know, by one whose kernels they run.
OLDER_NAMES = {"SapphireRapids": "SkylakeX", "Cooperlake": "SkylakeX"}


def load_faiss() -> ModuleType:
    """Import faiss such that its OpenBLAS, older than NumPy's, uses the kernels for this processor.

    Where it does not know a processor, it would take its slowest kernels, and faiss a third of the speed it can have.
    """
    from threadpoolctl import threadpool_info

    if "faiss" not in sys.modules and "OPENBLAS_CORETYPE" not in os.environ:
        names = [pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
        if names:
            os.environ["OPENBLAS_CORETYPE"] = OLDER_NAMES.get(names[0], names[0])
    return importlib.import_module("faiss")


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Hold every library that is loaded by now, BLAS and OpenMP included, to `n` threads."""
    from threadpoolctl import threadpool_limits

    before = {}
    for module in ("torch", "numba"):  # pools of their own beside OpenMP's
        loaded = sys.modules.get(module)
        if loaded is not None:
            before[loaded] = loaded.get_num_threads()
            loaded.set_num_threads(min(n, before[loaded]))
    faiss = sys.modules.get("faiss")
    faiss_before = faiss.omp_get_max_threads() if faiss else 0
    try:
        with threadpool_limits(limits=n):
            if faiss:
                faiss.omp_set_num_threads(n)
            yield
    finally:
        for loaded, count in before.items():
            loaded.set_num_threads(count)
        if faiss:
            faiss.omp_set_num_threads(faiss_before)
