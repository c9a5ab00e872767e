"""Threads that everything is measured with, and what to say about the machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyredund

PEERS = {  # module: distribution
    "faiss": "faiss-cpu",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "pynndescent": "pynndescent",
    "hnswlib": "hnswlib",
    "apricot": "apricot-select",
    "lightly_mundig": "lightly-mundig",
}


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def all_threads() -> int:
    """Threads that pyredund uses by default: all that the process may use."""
    n_threads = pyredund.show_config()["n_threads"]
    assert isinstance(n_threads, int)
    return n_threads


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


def description() -> str:
    """One line: processor, threads, instruction set, versions of everything that is measured."""
    config = pyredund.show_config()
    versions = [f"Python {platform.python_version()}", f"NumPy {importlib.metadata.version('numpy')}"]
    for module, distribution in PEERS.items():
        if installed(module):
            versions.append(f"{distribution} {importlib.metadata.version(distribution)}")
        else:
            versions.append(f"{distribution} not installed")
    return (
        f"{processor()}, {config['n_threads']} threads, {config['isa']}; "
        f"pyredund {config['version']}, {', '.join(versions)}"
    )


def processor() -> str:
    """Name the processor as the operating system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = [line.partition(":") for line in lines]
    named = {key.strip().lower(): value.strip() for key, _, value in reversed(fields)}  # the first one wins
    for key in ("model name", "cpu model", "hardware", "cpu"):
        if named.get(key):
            return named[key]
    return platform.processor() or platform.machine()
