"""Selection beside agglomerative clustering and other peers, on anyone's embeddings: quality, time and memory.

Nothing here is imported by ``import pyredund``. Peers are compared if they are installed; nothing is required.
"""

from pyredund.bench._comparison import Comparison, Entry, compare
from pyredund.bench._contenders import SELECTORS, SLOW_SELECTORS, Contender, clusterings
from pyredund.bench._process import Outcome, run_alone
from pyredund.bench._quality import Quality, quality

__all__ = [
    "SELECTORS",
    "SLOW_SELECTORS",
    "Comparison",
    "Contender",
    "Entry",
    "Outcome",
    "Quality",
    "clusterings",
    "compare",
    "quality",
    "run_alone",
]
