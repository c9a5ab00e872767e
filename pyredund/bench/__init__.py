"""Selection beside agglomerative clustering and other peers, on anyone's embeddings: quality, time and memory.

Nothing here is imported by ``import pyredund``. Peers are compared if they are installed; nothing is required.
"""

from pyredund.bench._clusterings import canonical
from pyredund.bench._comparison import Comparison, Entry, compare
from pyredund.bench._contenders import NOT_BY_DEFAULT, SELECTORS, Contender, clusterings
from pyredund.bench._figure import draw_scaling
from pyredund.bench._machine import description, installed
from pyredund.bench._process import Outcome, run_alone
from pyredund.bench._quality import Quality, quality
from pyredund.bench._scaling import Point, Scaling, exponent
from pyredund.bench._scaling_runs import scaling

__all__ = [
    "NOT_BY_DEFAULT",
    "SELECTORS",
    "Comparison",
    "Contender",
    "Entry",
    "Outcome",
    "Point",
    "Quality",
    "Scaling",
    "canonical",
    "clusterings",
    "compare",
    "description",
    "draw_scaling",
    "exponent",
    "installed",
    "quality",
    "run_alone",
    "scaling",
]
