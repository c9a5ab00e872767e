"""pyredund: find and remove redundancy in data sets."""

from pyredund._engine import show_config
from pyredund._knn_graph import knn_graph
from pyredund._neighbor_graph import NeighborGraph
from pyredund._version import __version__

__all__ = ["NeighborGraph", "__version__", "knn_graph", "show_config"]
