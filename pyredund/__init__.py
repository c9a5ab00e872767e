"""pyredund: find and remove redundancy in data sets."""

from pyredund._engine import show_config
from pyredund._knn_graph import knn_graph
from pyredund._neighbor_graph import NeighborGraph
from pyredund._select import select
from pyredund._selection import Selection
from pyredund._version import __version__

__all__ = ["NeighborGraph", "Selection", "__version__", "knn_graph", "select", "show_config"]
