"""The known mistakes in lighting and noise."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.mistakes import ARTEFACTS, LESS_VARIETY, SHIFTED, TOO_STRONG, WORKERS, deaf, reseeded
from dlcheck.component import Fault

Array = NDArray[np.float64]
Generator = np.random.Generator
Sampler = Callable[..., Array]


# --- lighting --------------------------------------------------------------------------------------------------------


def _lighting(id: str, says: str, effect: str, fix: str, sampler: Sampler, *happened: str) -> Fault:
    return Fault(id, "pca_lighting", says, effect, fix, {"pca_lighting": sampler}, happened)


def _lit(
    multiples: Callable[[Generator, float, int], Array] = lambda rng, std, n: rng.normal(0.0, std, n),
    shift: Callable[[Array, Array, Array], Array] = lambda alpha, values, vectors: vectors @ (alpha * values),
) -> Sampler:
    """Other multiples, or another shift made of multiples, eigenvalues (or roots) and eigenvectors."""

    def sampler(
        image: Array, eigenvalues: Array, eigenvectors: Array, rng: Generator, std: float, *, scale: str = "eigenvalue"
    ) -> Array:
        amounts = eigenvalues if scale == "eigenvalue" else np.sqrt(eigenvalues)
        return image + shift(multiples(rng, std, len(image)), amounts, eigenvectors)[:, None, None]

    return sampler


def _per_pixel(
    image: Array, eigenvalues: Array, eigenvectors: Array, rng: Generator, std: float, *, scale: str = "eigenvalue"
) -> Array:
    amounts = eigenvalues if scale == "eigenvalue" else np.sqrt(eigenvalues)
    alpha = rng.normal(0.0, std, image.shape)
    return image + np.einsum("ck,k,khw->chw", eigenvectors, amounts, alpha)


def _multiplied(
    image: Array, eigenvalues: Array, eigenvectors: Array, rng: Generator, std: float, **scale: Any
) -> Array:
    shift = reference.pca_lighting(np.zeros_like(image), eigenvalues, eigenvectors, rng, std, **scale)
    return image * (1 + shift)


PCA_LIGHTING = (
    _lighting(
        "aug-pca-lighting-one-sided", "multiples are uniform from 0 to std", SHIFTED, "normal(0, std)",
        _lit(lambda rng, std, n: std * rng.random(n)), "https://github.com/tensorpack/tensorpack/issues/1085",
    ),
    _lighting(
        "lighting-uniform", "multiples are uniform from -std to std", LESS_VARIETY, "normal(0, std)",
        _lit(lambda rng, std, n: rng.uniform(-std, std, n)),
    ),
    _lighting(
        "lighting-positive", "multiples have no sign", SHIFTED, "normal(0, std)",
        _lit(lambda rng, std, n: np.abs(rng.normal(0, std, n))),
    ),
    _lighting(
        "lighting-std-squared", "std is squared", TOO_STRONG, "normal(0, std)",
        _lit(lambda rng, std, n: rng.normal(0, std**2, n)),
    ),
    _lighting(
        "lighting-variance", "std is taken for the variance", TOO_STRONG, "normal(0, std)",
        _lit(lambda rng, std, n: rng.normal(0, std**0.5, n)),
    ),
    _lighting(
        "lighting-std-ignored", "std is ignored, it is 0.1", TOO_STRONG, "normal(0, std)",
        _lit(lambda rng, std, n: rng.normal(0, 0.1 * (std > 0), n)),
    ),
    _lighting(
        "lighting-divided-by-255", "the change is divided by 255", TOO_STRONG, "eigenvalues in the units of the image",
        _lit(lambda rng, std, n: rng.normal(0, std, n) / 255),
    ),
    _lighting(
        "lighting-in-bytes", "the change is that of values to 255", TOO_STRONG, "eigenvalues in the units of the image",
        _lit(lambda rng, std, n: rng.normal(0, std, n) * 255),
    ),
    _lighting(
        "lighting-one-multiple", "all components have the same multiple", LESS_VARIETY, "a draw for each component",
        _lit(lambda rng, std, n: np.repeat(rng.normal(0, std), n)),
    ),
    _lighting(
        "lighting-vectors-transposed", "eigenvectors are taken from the rows",
        "Colours move along directions in which they do not vary.", "P @ (alpha * lambda), eigenvectors in columns",
        _lit(shift=lambda alpha, values, vectors: vectors.T @ (alpha * values)),
    ),
    _lighting(
        "lighting-wrong-sum", "scaled vectors are summed over the channels", "Colours get each other's changes.",
        "(P * (alpha * lambda)).sum(1)",
        _lit(shift=lambda alpha, values, vectors: (vectors * (alpha * values)).sum(axis=0)),
    ),
    _lighting(
        "lighting-bgr", "red and blue get each other's change", "Colours move along directions in which they do not "
        "vary.", "vectors in the order of the image's channels",
        _lit(shift=lambda alpha, values, vectors: (vectors @ (alpha * values))[::-1]),
    ),
    _lighting(
        "lighting-values-reversed", "eigenvalues are in the order opposite to the vectors",
        "The strongest changes go along the rarest direction.", "one order for both, as eigh returns them",
        _lit(shift=lambda alpha, values, vectors: vectors @ (alpha * values[::-1])),
    ),
    _lighting(
        "lighting-values-left-out", "eigenvalues are left out", "All directions of colour vary alike.",
        "P @ (alpha * lambda)", _lit(shift=lambda alpha, values, vectors: vectors @ alpha),
    ),
    _lighting(
        "lighting-values-squared", "eigenvalues are squared", TOO_STRONG, "P @ (alpha * lambda)",
        _lit(shift=lambda alpha, values, vectors: vectors @ (alpha * values**2)),
    ),
    _lighting(
        "lighting-vectors-left-out", "multiples go to the channels, without the vectors",
        "Colours move along directions in which they do not vary.", "P @ (alpha * lambda)",
        _lit(shift=lambda alpha, values, vectors: alpha * values),
    ),
    _lighting(
        "lighting-sum-of-components", "every channel gets the sum of the shift",
        "Only brightness changes, no colour.", "one amount for each channel",
        _lit(shift=lambda alpha, values, vectors: np.full(len(values), (vectors @ (alpha * values)).sum())),
    ),
    _lighting(
        "lighting-first-component", "only the first component is used", LESS_VARIETY, "sum over all components",
        _lit(shift=lambda alpha, values, vectors: vectors[:, 0] * alpha[0] * values[0]),
    ),
    _lighting(
        "lighting-per-pixel", "each pixel has its own draw", "Images get noise in place of light.",
        "draw once an image", _per_pixel,
    ),
    _lighting(
        "lighting-multiplied", "the image is multiplied by 1 + shift", "Dark pixels hardly change.",
        "x + P @ (alpha * lambda)", _multiplied,
    ),
    reseeded("pca_lighting", "lighting"),
    deaf("pca_lighting", "lighting"),
)  # fmt: skip


# --- noise -----------------------------------------------------------------------------------------------------------


Noise = Callable[[Array, Generator, float], Array]


def _noise(
    id: str, says: str, effect: str, fix: str, noise: Noise, finish: Callable[[Array], Array] | None = None
) -> Fault:
    """Another noise, of an image, a generator and the deviation, or another last touch in place of clipping."""

    def sampler(
        image: Array, rng: Generator, std: float, *, parameter: str = "deviation", clipping: str = "none"
    ) -> Array:
        noisy = image + noise(image, rng, std if parameter == "deviation" else std**0.5)
        if finish is not None:
            return finish(noisy)
        return np.clip(noisy, 0, 1) if clipping == "unit" else noisy

    return Fault(id, "gaussian_noise", says, effect, fix, {"gaussian_noise": sampler})


def _normal(image: Array, rng: Generator, std: float) -> Array:
    return rng.normal(0, std, image.shape)


GAUSSIAN_NOISE = (
    reseeded("gaussian_noise", "noise", "aug-same-randomness-in-workers", WORKERS),
    deaf("gaussian_noise", "noise"),
    _noise(
        "noise-same-for-channels", "all channels get the same noise", "Noise is grey, that of cameras is not.",
        "a draw for every value", lambda image, rng, std: rng.normal(0, std, (1, *image.shape[1:])) + 0 * image,
    ),
    _noise(
        "noise-same-for-rows", "all rows get the same noise", "Images get stripes.", "a draw for every value",
        lambda image, rng, std: rng.normal(0, std, (len(image), 1, image.shape[2])) + 0 * image,
    ),
    _noise(
        "noise-one-per-channel", "each channel gets one number", "Noise is a tint.", "a draw for every value",
        lambda image, rng, std: rng.normal(0, std, (len(image), 1, 1)) + 0 * image,
    ),
    _noise(
        "noise-one-number", "the whole image gets one number", "Noise is brightness.", "a draw for every value",
        lambda image, rng, std: np.full(image.shape, rng.normal(0, std)),
    ),
    _noise(
        "noise-std-squared", "std is squared", TOO_STRONG, "normal(0, std)",
        lambda image, rng, std: rng.normal(0, std**2, image.shape),
    ),
    _noise(
        "noise-std-ignored", "std is ignored, it is 1", TOO_STRONG, "normal(0, std)",
        lambda image, rng, std: rng.normal(0, 1.0 * (std > 0), image.shape),
    ),
    _noise(
        "noise-in-bytes", "std is divided by 255", TOO_STRONG, "std in the units of the image",
        lambda image, rng, std: rng.normal(0, std / 255, image.shape),
    ),
    _noise(
        "noise-uniform", "noise is uniform from -std to std", "Noise is bounded and too weak.", "normal(0, std)",
        lambda image, rng, std: rng.uniform(-std, std, image.shape),
    ),
    _noise(
        "noise-uniform-of-deviation", "noise is uniform, of deviation std", "Noise is bounded.", "normal(0, std)",
        lambda image, rng, std: rng.uniform(-(3**0.5) * std, 3**0.5 * std, image.shape),
    ),
    _noise(
        "noise-one-sided", "noise is uniform from 0 to std", SHIFTED, "normal(0, std): randn, not rand",
        lambda image, rng, std: std * rng.random(image.shape),
    ),
    _noise(
        "noise-positive", "noise has no sign", SHIFTED, "normal(0, std)",
        lambda image, rng, std: np.abs(rng.normal(0, std, image.shape)),
    ),
    _noise(
        "noise-multiplied", "noise is multiplied by the value", "Dark areas get no noise.", "x + n, not x (1 + n)",
        lambda image, rng, std: image * rng.normal(0, std, image.shape),
    ),
    _noise(
        "noise-mean-std", "std is taken for the mean too", SHIFTED, "normal(0, std)",
        lambda image, rng, std: rng.normal(std, std, image.shape),
    ),
    _noise(
        "noise-scaled-by-image", "std counts deviations of the image", TOO_STRONG, "std in the units of the image",
        lambda image, rng, std: rng.normal(0, std * image.std(), image.shape),
    ),
    _noise(
        "noise-truncated", "noise is cut off at one deviation", LESS_VARIETY, "normal(0, std)",
        lambda image, rng, std: np.clip(rng.normal(0, std, image.shape), -std, std),
    ),
    _noise(
        "noise-std-drawn", "the deviation is drawn from 0 to std", LESS_VARIETY, "normal(0, std)",
        lambda image, rng, std: rng.random() * rng.normal(0, std, image.shape),
    ),
    _noise(
        "noise-by-chance", "every second image gets none", LESS_VARIETY, "normal(0, std), in every image",
        lambda image, rng, std: (rng.random() < 0.5) * rng.normal(0, std, image.shape),
    ),
    _noise(
        "noise-halved", "the deviation is std / 2", TOO_STRONG, "normal(0, std)",
        lambda image, rng, std: rng.normal(0, std / 2, image.shape),
    ),
    _noise(
        "noise-clipped-below", "values are clipped at 0, but not at 1", ARTEFACTS, "clip to [0, 1], or not at all",
        _normal, lambda noisy: np.maximum(noisy, 0),
    ),
    _noise(
        "noise-wraps", "values beyond 0 and 1 wrap round", "Bright pixels turn black, dark ones white.",
        "clip before the cast to uint8", _normal, lambda noisy: noisy % 1.0,
    ),
    _noise(
        "noise-salt-and-pepper", "a share of the values become 0 or 1", ARTEFACTS, "normal(0, std)",
        lambda image, rng, std: np.where(rng.random(image.shape) < std, rng.integers(0, 2, image.shape) - image, 0.0),
    ),
)  # fmt: skip
