"""Ways to select rows or to cluster them: pyredund's, and those of whatever peers are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund
from pyredund._methods import METHODS
from pyredund.bench import _clusterings, _selectors
from pyredund.bench._machine import installed

Rows = NDArray[np.float32]
Groups = NDArray[np.int64] | None


@dataclass(frozen=True)
class Contender:
    """A way to do a job, as a function that another process can import.

    Parameters
    ----------
    name : str
        What tables call it.
    module : str
        What must be importable; "pyredund" for our own.
    function : callable
        From (unit rows, rows to keep or clusters to end with, group of each row or None, number of threads, `options`)
        to row numbers or cluster labels. Defined at the top level of a module.
    options : mapping
        Keyword arguments of `function`; values that JSON can hold.
    is_baseline : bool
        Whether it looks at no embedding, so that its time is no achievement.
    needs_groups : bool
        Whether it has no meaning without groups.
    is_there : bool
        Whether the function exists in this version.
    """

    name: str
    module: str
    function: Callable[..., NDArray[np.int64]]
    options: Mapping[str, Any] = field(default_factory=dict)
    is_baseline: bool = False
    needs_groups: bool = False
    is_there: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether it is pyredund's, and more than a baseline."""
        return self.module == "pyredund" and not self.is_baseline

    @property
    def installed(self) -> bool:
        """Whether it can be called here."""
        return self.is_there and installed(self.module)

    def __call__(self, rows: Rows, n: int, groups: Groups = None, n_threads: int = 1) -> NDArray[np.int64]:
        """Do the job in this process."""
        return self.function(rows, n, groups, n_threads, **self.options)


LINKAGES = ("average", "complete", "single")
CLUSTERINGS_HERE = hasattr(pyredund, "agglomerative_labels")


def _ours(name: str, method: str, **options: Any) -> Contender:
    there = method in METHODS
    return Contender(name, "pyredund", _selectors.by_pyredund, {"method": method, **options}, is_there=there)


def _clustered(library: str, module: str, engine: str, linkage: str) -> Contender:
    options = {"engine": engine, "linkage": linkage}
    return Contender(f"{library} {linkage} linkage", module, _selectors.by_clustering, options)


def _selectors_known() -> list[Contender]:
    random = {"method": "random"}
    return [
        _ours("pyredund removal", "removal"),
        _ours("pyredund removal, refined", "removal", refine=True),
        _ours("pyredund insertion", "insertion"),
        _ours("pyredund kcenter", "kcenter"),
        *(_ours(f"pyredund {linkage} linkage", "agglomerative", linkage=linkage) for linkage in LINKAGES),
        Contender(
            "pyredund removal, class by class",
            "pyredund",
            _selectors.class_by_class,
            {"method": "removal"},
            False,
            True,
        ),
        Contender("random", "pyredund", _selectors.by_pyredund, random, is_baseline=True),
        Contender("stratified random", "pyredund", _selectors.class_by_class, random, True, True),
        Contender("apricot lazy facility location", "apricot", _selectors.by_apricot),
        Contender("apricot on all similarities", "apricot", _selectors.by_apricot, {"is_given_graph": False}),
        Contender(
            "apricot lazy facility location, compiling", "apricot", _selectors.by_apricot, {"as_installed": True}
        ),
        Contender("lightly-mundig k-center", "lightly_mundig", _selectors.by_mundig),
        Contender("semhash, threshold searched", "semhash", _selectors.by_semhash),
        Contender("k-means, then pairs", "sklearn", _selectors.by_kmeans_and_pairs),
        _clustered("scikit-learn", "sklearn", "scikit-learn", "average"),
        _clustered("scikit-learn", "sklearn", "scikit-learn", "complete"),
        _clustered("SciPy", "scipy", "SciPy", "average"),
        _clustered("fastcluster", "fastcluster", "fastcluster", "average"),
        _clustered("textbook", "numpy", "textbook", "average"),
    ]


SELECTORS = {contender.name: contender for contender in _selectors_known()}
NOT_BY_DEFAULT = (  # the same clusters as scikit-learn's, the same rows as apricot's, and n * n numbers for it
    "SciPy average linkage",
    "fastcluster average linkage",
    "textbook average linkage",
    "apricot lazy facility location, compiling",
    "apricot on all similarities",
)


def clusterings(linkage: str) -> dict[str, Contender]:
    """Agglomerative clusterings with one linkage, by name; the class-wise ones need groups."""
    here, options = CLUSTERINGS_HERE, {"linkage": linkage}
    in_classes = {"engine": "pyredund", **options}
    found = [
        Contender("pyredund", "pyredund", _clusterings.by_pyredund, options, is_there=here),
        Contender("fastcluster", "fastcluster", _clusterings.by_fastcluster, options),
        Contender("SciPy", "scipy", _clusterings.by_scipy, options),
        Contender("scikit-learn", "sklearn", _clusterings.by_sklearn, options),
        Contender("textbook", "numpy", _clusterings.by_textbook, options),
    ]
    by_class = _clusterings.class_by_class
    found += [
        Contender("pyredund, class by class", "pyredund", by_class, in_classes, needs_groups=True, is_there=here),
        Contender(
            "fastcluster, class by class", "fastcluster", by_class, in_classes | {"engine": "fastcluster"}, False, True
        ),
    ]
    return {contender.name: contender for contender in found}
