"""What was drawn, read back from augmented images (draws, C, H, W).

``name_read(samples, image, ...)`` returns what the values drawn must give exactly, and those values with their laws, by
name: the probability of each outcome, or a distribution function.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from dlcheck.augmentation.arguments import (
    STEPS,
    Border,
    Brightness,
    Clipping,
    Grey,
    Image,
    JitterClipping,
    Matrix,
    Order,
    Parameter,
    Pivot,
    Samples,
    Scale,
    Vector,
    amounts_of,
    deviation_of,
    image_of,
    padded_image,
    real,
    strengths_of,
)  # fmt: skip
from dlcheck.augmentation.jitter import adjusted, conventions_of, steps_of

Law = Mapping[float, float] | Callable[[Any], Any]
Read = tuple[np.ndarray, dict[str, tuple[np.ndarray, Law]]]

_ALIKE = 2.0**-40
"""Images and factors nearer to each other than this are taken for equal when draws are read back."""
_SMALL = 2.0**-26
"""A step of a difference quotient: small, for a quotient across the kink of a clipped pixel misleads."""


def _nearest(samples: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """For each sample (n, ...) the index of the nearest of the candidates (k, ...)."""
    distances = [np.abs(samples - candidate).max(axis=(1, 2, 3), initial=0.0) for candidate in candidates]
    return np.argmin(distances, axis=0)


def _even(outcomes: int) -> Law:
    return {float(k): 1 / outcomes for k in range(outcomes)}


def horizontal_flip_read(samples: Samples, image: Image, p: float = 0.5) -> Read:
    """Which draws are flipped."""
    both = np.stack([image_of(image), image_of(image)[..., ::-1]])
    flipped = _nearest(samples, both)
    return both[flipped], {"flipped": (flipped, {0.0: 1 - p, 1.0: p})}


def random_crop_read(
    samples: Samples, image: Image, size: int | tuple[int, int], padding: int = 0, *, border: Border = "zeros"
) -> Read:
    """Top and left of each window."""
    padded, h, w = padded_image(image, size, padding, border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), (1, 2)).transpose(1, 2, 0, 3, 4)
    rows, columns = windows.shape[:2]
    top, left = np.divmod(_nearest(samples, windows.reshape(-1, *windows.shape[2:])), columns)
    return windows[top, left], {"top": (top, _even(rows)), "left": (left, _even(columns))}


def _fitted(samples: np.ndarray, build: Callable[[np.ndarray], np.ndarray], unknowns: int) -> np.ndarray:
    """The factors (n, unknowns) of least squares between samples and what is built of them, by Gauss and Newton."""
    factors = np.ones((len(samples), unknowns))
    for _ in range(8):
        moved = [(build(factors + _SMALL * unit), build(factors - _SMALL * unit)) for unit in np.eye(unknowns)]
        columns = [((up - down) / (2 * _SMALL)).reshape(len(samples), -1) for up, down in moved]
        jacobian, error = np.stack(columns, -1), (samples - build(factors)).reshape(len(samples), -1, 1)
        transposed = jacobian.transpose(0, 2, 1)
        step = np.linalg.solve(transposed @ jacobian + _ALIKE * np.eye(unknowns), transposed @ error)
        factors += step[..., 0]
        if np.all(np.abs(step) < _ALIKE):
            break
    return factors


def color_jitter_read(
    samples: Samples,
    image: Image,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    *,
    order: Order = "random",
    brightness_kind: Brightness = "factor",
    grey: Grey = "luma",
    pivot: Pivot = "grey_mean",
    clipping: JitterClipping = "unit",
) -> Read:
    """The factors, and the order of the steps where it is random: that which fits best, any of those that fit alike."""
    strengths = strengths_of(brightness, contrast, saturation)
    active = [step for step in range(3) if strengths[step]]
    if not active:
        return np.broadcast_to(image_of(image), samples.shape), {}
    chosen = conventions_of(brightness_kind=brightness_kind, grey=grey, pivot=pivot, clipping=clipping)

    def build(factors: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
        built = np.broadcast_to(image_of(image, 3), (len(factors), *image.shape))
        for step in steps:
            built = adjusted(built, step, factors[:, active.index(step)], **chosen)
        return np.clip(built, 0, 1) if clipping == "end" else built

    fixed = tuple(step for step in steps_of(np.random.default_rng(0), order) if step in active)
    orders = list(itertools.permutations(active)) if order == "random" else [fixed]
    fits = [_fitted(samples, partial(build, steps=orders[0]), len(active))]
    for steps in orders[1:]:
        commutes = _near(build(fits[0], steps), build(fits[0], orders[0])).all()
        fits.append(fits[0] if commutes else _fitted(samples, partial(build, steps=steps), len(active)))
    rebuilt = np.stack([build(factors, steps) for factors, steps in zip(fits, orders, strict=True)])
    best, rows = _best_fit(samples, rebuilt), np.arange(len(samples))
    drawn: dict[str, tuple[np.ndarray, Law]] = {
        STEPS[step]: (np.stack(fits)[best, rows, k], _uniform(max(0.0, 1 - strengths[step]), 1 + strengths[step]))
        for k, step in enumerate(active)
    }
    return rebuilt[best, rows], drawn | ({"order": (best, _even(len(orders)))} if len(orders) > 1 else {})


def _near(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.abs(images - others).max(axis=(-3, -2, -1), initial=0.0) < _ALIKE


def _best_fit(samples: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """For each sample the index of its nearest candidate (k, n, ...), or of any that equals that one, at random."""
    errors = np.abs(rebuilt - samples).max(axis=(2, 3, 4), initial=0.0)
    nearest = rebuilt[np.argmin(errors, axis=0), np.arange(len(samples))]
    return np.argmax(_near(rebuilt, nearest) * np.random.default_rng(0).random(errors.shape), axis=0)


def _uniform(low: float, high: float) -> Law:
    return lambda values: (values - low) / (high - low)


def _normal(std: float) -> Law:
    return lambda values: special.ndtr(values / std)


def pca_lighting_read(
    samples: Samples,
    image: Image,
    eigenvalues: Vector,
    eigenvectors: Matrix,
    std: float,
    *,
    scale: Scale = "eigenvalue",
) -> Read:
    """The multiples alpha of the components."""
    shift = (samples - image_of(image)).mean(axis=(2, 3))
    alpha = np.linalg.solve(real("eigenvectors", eigenvectors), shift.T).T / amounts_of(eigenvalues, scale)
    return image_of(image) + shift[..., None, None], {"alpha": (alpha, _normal(std))}


def gaussian_noise_read(
    samples: Samples,
    image: Image,
    std: float,
    *,
    parameter: Parameter = "deviation",
    clipping: Clipping = "none",
) -> Read:
    """The noise; where clipping hides it, noise drawn anew from what it may have been."""
    image, std = image_of(image), deviation_of(std, parameter)
    if clipping == "none":
        return samples, {"noise": (samples - image, _normal(std))}
    low, high = special.ndtr(-image / std), special.ndtr((1 - image) / std)
    chance = np.random.default_rng(0).random(samples.shape)
    hidden = np.where(samples <= 0, low * chance, 1 - (1 - high) * chance)
    noise = np.where((samples <= 0) | (samples >= 1), std * special.ndtri(hidden), samples - image)
    return np.clip(samples, 0, 1), {"noise": (noise, _normal(std))}
