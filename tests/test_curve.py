from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from embeddings import ALL, half_duplicates, smooth

import pyredund


@pytest.mark.parametrize("method", ["removal", "insertion", "kcenter"])
@pytest.mark.parametrize("data", ALL)
@pytest.mark.parametrize("what", ["plain", "weights", "groups", "must_keep", "reference"])
def test_the_curve_is_what_each_size_loses(method: str, data: str, what: str) -> None:
    x = ALL[data](60)
    first = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in x[[7, 40]]]
    weights = np.linspace(0.5, 3, 60) if what == "weights" and method != "kcenter" else None
    arguments: dict[str, dict[str, Any]] = {
        "groups": {"groups": np.arange(60) % 3},
        "must_keep": {"must_keep": first},
        "reference": {"reference": smooth(9, 3, x.shape[1])},
    }
    more = arguments.get(what, {})
    selection = pyredund.select(
        x, 2 + len(more) if method == "removal" else 55, method=method, sample_weight=weights, **more
    )
    curve = selection.curve()
    size = len(selection.indices)
    assert (curve.kept == (np.arange(size, 61) if method == "removal" else np.arange(curve.kept[0], size + 1))).all()
    assert method == "removal" or curve.kept[0] == {"groups": 3, "must_keep": len(set(first))}.get(what, 1)
    for kept, share, lost in zip(curve.kept, curve.share, curve.lost, strict=True):
        distances = 1 - selection.at(int(kept)).similarities.astype(np.float64)
        assert lost == pytest.approx(np.average(distances, weights=weights), abs=1e-8)
        assert share == kept / 60


def test_the_knee_is_farthest_below_the_line_between_the_ends() -> None:
    curve = pyredund.Curve(9, np.arange(1, 9), np.array([8.0, 4, 2, 1, 0.5, 0.3, 0.1, 0]))
    assert curve.knee == 3  # 2 of 8 lost where the line is at 40/7 of 8
    line = pyredund.Curve(9, np.arange(1, 9), np.arange(8.0)[::-1])
    assert line.knee == 8
    assert pyredund.Curve(9, np.array([9]), np.array([0.0])).knee == 9
    x = np.repeat(np.eye(10), 4, axis=0) + np.random.default_rng(0).normal(size=(40, 10)) * 1e-3
    assert pyredund.select(x, 1).curve().knee == 10  # ten things, photographed four times each


def test_methods_without_a_log_say_so() -> None:
    x = half_duplicates(30)
    for selection in (pyredund.select(x, 9, method="random"), pyredund.deduplicate(x, 0.9)):
        with pytest.raises(ValueError, match="method must be removal, insertion or kcenter for a curve"):
            selection.curve()
