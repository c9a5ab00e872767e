"""What to say about the machine beside a measurement."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from pathlib import Path

import pyredund

PEERS = {  # module: distribution
    "faiss": "faiss-cpu",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "pynndescent": "pynndescent",
    "hnswlib": "hnswlib",
    "apricot": "apricot-select",
    "lightly_mundig": "lightly-mundig",
    "semhash": "semhash",
    "fastcluster": "fastcluster",
}


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


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
