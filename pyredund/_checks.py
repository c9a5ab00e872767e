"""Checks of scalar arguments: every message names the argument, the value and the bound."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import SupportsIndex, cast

import numpy as np


def check_int(name: str, value: object, *, at_least: int, at_most: int | None = None, why_at_most: str = "") -> int:
    """`value` as an int inside of the bounds; bool is no number."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    try:
        number = operator.index(cast("SupportsIndex", value))
    except TypeError:  # an array that holds no single integer
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}") from None
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    if at_most is not None and number > at_most:
        raise ValueError(f"{name} must be at most {at_most}{why_at_most}, got {number}")
    return number


def check_threshold(threshold: object, *, positive: bool = False) -> float:
    """`threshold` as a similarity in [-1, 1], or in (0, 1] if it has to be positive."""
    if isinstance(threshold, (bool, np.bool_)) or not isinstance(threshold, Real):
        raise TypeError(f"threshold must be a number, got {threshold!r} of type {type(threshold).__name__}")
    value = float(threshold)
    if not (0 if positive else -1) <= value <= 1 or (positive and value == 0):  # nor is NaN
        raise ValueError(f"threshold must be in {'(0, 1]' if positive else '[-1, 1]'}, got {threshold}")
    return value


def check_choice(name: str, value: object, known: Iterable[str]) -> str:
    """`value` if it is one of the known names."""
    names = list(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, one of {', '.join(names)}, got {type(value).__name__}")
    if value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")
    return value


def count_to_keep(keep: object, n: int, *, name: str = "keep", of: str = "rows") -> int:
    """Rows that `keep` asks for: a share (float in (0, 1], rounded half up, at least 1) or a count (int in [1, n])."""
    if isinstance(keep, (bool, np.bool_)):
        raise TypeError(f"{name} must be a share (float) or a count (int), got the bool {keep!r}")
    if isinstance(keep, (float, np.floating)):
        share = float(keep)
        if not 0.0 < share <= 1.0:
            raise ValueError(f"{name} as a share must be in (0, 1], got {keep!r}; a count of {of} has no decimal point")
        # repr is the decimal number that the user wrote: 0.29 of 50 is 14.5, which rounds to 15, though 0.29 * 50 is
        # 14.499999999999998 in binary.
        from fractions import Fraction

        return max(1, int(Fraction(repr(share)) * n + Fraction(1, 2)))
    if not hasattr(keep, "__index__"):
        raise TypeError(f"{name} must be a share (float) or a count (int), got {keep!r} of type {type(keep).__name__}")
    try:
        count = operator.index(cast("SupportsIndex", keep))
    except TypeError:
        raise TypeError(f"{name} must be a share (float) or a count (int), got {keep!r}") from None
    if count < 1:
        raise ValueError(f"{name} as a count must be at least 1, got {count}")
    if count > n:
        raise ValueError(f"{name} must be at most the number of {of}: {count} asked for, there are {n}")
    return count
