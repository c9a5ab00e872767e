"""What contrastive training minimises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

Loss = Callable[[Any, Any, float], Any]


def nt_xent(first: Any, second: Any, temperature: float) -> Any:
    """Normalised temperature-scaled cross-entropy of two views of a batch.

    Row i of `first` must find row i of `second` among all other 2n - 1 rows, and the other way round: the mean over
    the 2n rows a of ``-log(exp(s(a, b) / t) / sum over c != a of exp(s(a, c) / t))``, b being a's other view and s the
    cosine similarity.

    Parameters
    ----------
    first, second : Tensor, shape (n, dim)
        Embeddings of the two views, of any length.
    temperature : float
        t; lower values look at the closest rows only.

    Returns
    -------
    Tensor
        The loss, in float32 also under mixed precision: at a low temperature bfloat16 would blur which row is closest.

    Notes
    -----
    T. Chen, S. Kornblith, M. Norouzi and G. Hinton (2020), "A simple framework for contrastive learning of visual
    representations". Time O(n^2 dim), memory O(n^2).

    Examples
    --------
    >>> import torch
    >>> from pyredund.embed.loss import nt_xent
    >>> views = torch.eye(2)
    >>> round(float(nt_xent(views, views, temperature=1.0)), 4)  # log((e + 1 + 1) / e)
    0.5514
    """
    n = len(first)
    with torch.autocast(first.device.type, enabled=False):
        rows = functional.normalize(torch.cat([first, second]).float(), dim=1)
        scores = rows @ rows.T / temperature
    scores.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * n, device=rows.device).roll(n)
    return functional.cross_entropy(scores, partner)
