"""The arguments of the augmentations in NumPy: names of conventions, and arrays and numbers that are in order."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Image = Float[np.ndarray, "C h w"]
Samples = Float[np.ndarray, "draws C h w"]
Values = Float[np.ndarray, "*shape"]
Vector = Float[np.ndarray, "C"]
Matrix = Float[np.ndarray, "C C"]
Border = Literal["zeros", "reflect"]
Brightness = Literal["factor", "shift"]
Grey = Literal["luma", "luma_0.2989", "mean"]
Pivot = Literal["grey_mean", "channel_means"]
Order = Literal["random", "fixed", "saturation_first"]
Clipping = Literal["none", "unit"]
JitterClipping = Literal["unit", "none", "end"]
Scale = Literal["eigenvalue", "root"]
Parameter = Literal["deviation", "variance"]

STEPS = ("brightness", "contrast", "saturation")
GREY: dict[str, tuple[float, float, float]] = {
    "luma": (0.299, 0.587, 0.114),
    "luma_0.2989": (0.2989, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
}
"""Weights of red, green and blue in a grey value, by convention."""


def real(name: str, value: Any) -> np.ndarray:
    """An array of real numbers in float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array.astype(np.float64)


def image_of(image: Any, channels: int | None = None) -> np.ndarray:
    """An image (C, H, W) in float64."""
    array = real("image", image)
    if array.ndim != 3 or (channels and array.shape[0] != channels):
        raise ValueError(f"image must have shape ({channels or 'C'}, H, W), not {array.shape}")
    return array


def number(name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """A finite number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not (np.isfinite(value) and low <= value <= high):
        wanted = f"from {low:g} to {high:g}" if np.isfinite(high) else "finite" if low == -np.inf else f">= {low:g}"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return float(value)


def integer(name: str, value: Any, least: int | None = None) -> int:
    """A whole number, of at least some size."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be >= {least}, not {value!r}")
    return int(value)


def choice(name: str, value: Any, among: Any) -> Any:
    """One of the names in use."""
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def padded_image(image: Image, size: Any, padding: int, border: Border) -> tuple[np.ndarray, int, int]:
    """The padded image, and height and width of the crop."""
    image, width = image_of(image), integer("padding", padding, 0)
    h, w = (integer("size", side, 1) for side in (size if isinstance(size, tuple | list) else (size, size)))
    mode = {"zeros": "constant", "reflect": "reflect"}[choice("border", border, ("zeros", "reflect"))]
    padded = np.pad(image, ((0, 0), (width, width), (width, width)), mode) if width else image  # type: ignore[call-overload]
    if h > padded.shape[1] or w > padded.shape[2]:
        raise ValueError(f"size must be at most that of the padded image {padded.shape[1:]}, not {(h, w)}")
    return padded, h, w


def strengths_of(brightness: float, contrast: float, saturation: float) -> list[float]:
    """The strengths of a jitter's steps, none negative."""
    values = (brightness, contrast, saturation)
    return [number(name, value, 0.0) for name, value in zip(STEPS, values, strict=True)]


def amounts_of(eigenvalues: Values, scale: Scale) -> np.ndarray:
    """What multiples of the principal components are scaled by."""
    values = real("eigenvalues", eigenvalues)
    return values if choice("scale", scale, ("eigenvalue", "root")) == "eigenvalue" else np.sqrt(values)


def deviation_of(std: float, parameter: Parameter) -> float:
    """The standard deviation of a noise."""
    given = number("std", std, 0.0)
    return given if choice("parameter", parameter, ("deviation", "variance")) == "deviation" else given**0.5
