"""How the pixels of an axis are weighted when its length changes."""

from typing import Literal

import numpy as np
from jaxtyping import Float

Resampling = Literal[
    "antialias", "half_pixel", "align_corners", "nearest", "nearest_centre", "bicubic", "bicubic_four", "area"
]

_SMALL = 2.0**-16
"""A margin for rounding at a border."""


def _cubic(t: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys's kernel."""
    t = np.abs(t)
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1 - np.abs(t))


def resampling_weights(
    old: int, new: int, method: Resampling, ratio: float | None = None
) -> Float[np.ndarray, "new old"]:
    r"""Matrix that resizes one axis: row i holds the weights of the old pixels in new pixel i, which sum to 1.

    $w_{ij} \propto k((j - x_i) / s)$ with $x_i = (i + 1/2) r - 1/2$ and $s = \max(r, 1)$ if ``antialias`` or
    ``bicubic``, else 1; the ratio r is old / new, if none is given. ``bicubic_four`` repeats the border pixels, the
    others leave out what lies beyond; ``area`` weights all touched pixels alike, by old / new always.

    Shapes: (new, old).
    Conventions: ``method``.
    Source: Keys 1981, Cubic convolution interpolation; Pillow, Resample.c.
    """
    i, j = np.arange(new)[:, None], np.arange(old)
    if method == "area":
        touched = (j >= i * old // new) & (j < -(-(i + 1) * old // new))
        return touched / touched.sum(axis=1, keepdims=True)
    if ratio is None:
        ratio = old / new
    if method in ("nearest", "nearest_centre"):
        start = (i + (0.0 if method == "nearest" else 0.5)) * ratio
        return (j == np.minimum(np.floor(start + _SMALL), old - 1)).astype(np.float64)
    centre = (i + 0.5) * ratio - 0.5 if method != "align_corners" else i * ((old - 1) / max(new - 1, 1))
    if method == "bicubic_four":
        below = np.floor(centre) + np.arange(-1, 3)
        at = np.clip(below, 0, old - 1)[..., None] == j
        return np.einsum("ik,ikj->ij", _cubic(below - centre, -0.75), at)
    scale = max(ratio, 1.0) if method in ("antialias", "bicubic") else 1.0
    weights = (_cubic if method == "bicubic" else _triangle)((j - centre) / scale)
    return weights / weights.sum(axis=1, keepdims=True)
