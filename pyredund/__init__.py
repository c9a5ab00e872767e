"""pyredund: find and remove redundancy in data sets."""

from importlib import import_module
from typing import TYPE_CHECKING

try:
    import_module("pyredund._core")
except ImportError as error:
    raise ImportError(
        f"pyredund's compiled core is missing beside {__file__}: in the source folder, work from another folder or "
        f"install with pip install -e . ({error})"
    ) from None

from pyredund._agglomerative import agglomerative_labels
from pyredund._curve import Curve
from pyredund._deduplicate import deduplicate
from pyredund._engine import show_config
from pyredund._knn_graph import knn_graph
from pyredund._neighbor_graph import NeighborGraph
from pyredund._radius_graph import radius_graph
from pyredund._select import select
from pyredund._selection import Selection
from pyredund._version import __version__

if TYPE_CHECKING:
    from pyredund.embed import Embedder as Embedder

__all__ = [  # without Embedder: importing * must not need torch
    "Curve",
    "NeighborGraph",
    "Selection",
    "__version__",
    "agglomerative_labels",
    "deduplicate",
    "knn_graph",
    "radius_graph",
    "select",
    "show_config",
]


def __getattr__(name: str) -> object:
    """Embedder when it is first asked for: it imports torch, which takes seconds and may not be installed."""
    if name != "Embedder":
        raise AttributeError(f"module 'pyredund' has no attribute {name!r}")
    from pyredund.embed import Embedder

    return Embedder
