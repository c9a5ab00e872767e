"""The real data set that ships with the package, for demonstrations and tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The 1,797 handwritten digits of the UCI repository (E. Alpaydin and C. Kaynak, 1998; CC BY 4.0).

    Source and licence are in the package's ``data/LICENSE-digits.txt``.

    Returns
    -------
    images : ndarray of uint8, shape (1797, 8, 8)
        Ink in each pixel, from 0 to 16.
    labels : ndarray of uint8, shape (1797,)
        The digit, 0 to 9.

    Examples
    --------
    >>> from pyredund._digits import digits
    >>> images, labels = digits()
    >>> images.shape, labels[:10]
    ((1797, 8, 8), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], dtype=uint8))
    """
    with np.load(Path(__file__).parent / "data" / "digits.npz", allow_pickle=False) as archive:
        return archive["images"], archive["labels"]
