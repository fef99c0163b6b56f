"""Hypothesis strategies that several families share: shapes, and seeds of array content."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]

SEEDS = st.integers(0, 2**32 - 1)
"""Content is drawn by NumPy from a seed: Hypothesis shrinks the shape and the settings, not every number."""


def shapes(least: int = 0, most: int = 4, shortest: int = 0, longest: int = 9) -> st.SearchStrategy[Shape]:
    """Shapes with ``least`` to ``most`` axes, which shrink to the fewest and shortest.

    The default longest axis is above 8, so that vectorised loops have a tail.
    """
    return st.lists(st.integers(shortest, longest), min_size=least, max_size=most).map(tuple)


def uniform(shape: Shape, seed: int, low: float = -2.0, high: float = 2.0) -> Array:
    """Numbers drawn evenly from an interval."""
    return np.random.default_rng(seed).uniform(low, high, shape)
