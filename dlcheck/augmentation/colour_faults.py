"""The known mistakes in colour jitter, lighting and noise."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.arguments import GREY
from dlcheck.augmentation.jitter import adjusted
from dlcheck.augmentation.mistakes import ARTEFACTS, LESS_VARIETY, NO_VARIETY, SHIFTED, TOO_STRONG
from dlcheck.component import Fault

Array = NDArray[np.float64]
Generator = np.random.Generator
Sampler = Callable[..., Array]


WORKERS = (
    "https://github.com/pytorch/pytorch/issues/5059",
    "https://github.com/xingyizhou/CenterNet/issues/233",
    "https://github.com/pytorch/pytorch/issues/3880",
    "https://github.com/facebookresearch/fairseq/issues/1383",
    "https://github.com/Project-MONAI/MONAI/issues/1068",
)


def reseeded(name: str, id: str, full_id: str = "", happened: tuple[str, ...] = ()) -> Fault:
    """Every call starts the same stream of random numbers."""

    def sampler(*arrays: Array, rng: Generator, **settings: Any) -> Array:
        return getattr(reference, name)(*arrays, rng=np.random.default_rng(0), **settings)

    return Fault(
        full_id or f"{id}-reseeded", name, "each call starts the same random stream", NO_VARIETY,
        "seed one generator for each process, once, and go on drawing from it", {name: sampler}, happened,
    )  # fmt: skip


# --- colour jitter ---------------------------------------------------------------------------------------------------


def _jitter(id: str, says: str, effect: str, fix: str, sampler: Sampler, *happened: str) -> Fault:
    return Fault(id, "color_jitter", says, effect, fix, {"color_jitter": sampler}, happened)


Step = Callable[[Array, int, float, dict[str, Any]], Array]
"""An image after one step (0 brightness, 1 contrast, 2 saturation) by a factor, under conventions."""


def _right_step(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
    return adjusted(image[None], step, np.array([factor]), **chosen)[0]


def _right_factor(rng: Generator, strength: float) -> float:
    return float(rng.uniform(max(0.0, 1 - strength), 1 + strength))


def _jittered(
    step_of: Step = _right_step,
    factor_of: Callable[[Generator, float], float] = _right_factor,
    strengths: Callable[[list[float]], list[float]] = list,
    shared: bool = False,
    finish: Callable[[Array], Array] = lambda image: image,
) -> Sampler:
    """The right jitter with another step, factor, choice of strengths, or last touch."""

    def sampler(
        image: Array, rng: Generator, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, *,
        order: str = "random", brightness_kind: str = "factor", grey: str = "luma", pivot: str = "grey_mean",
        clipping: str = "unit",
    ) -> Array:  # fmt: skip
        chosen = {"brightness_kind": brightness_kind, "grey": grey, "pivot": pivot, "clipping": clipping}
        asked = strengths([brightness, contrast, saturation])
        position = rng.random()
        steps = [step for step in (rng.permutation(3) if order == "random" else range(3)) if asked[step]]
        before = image
        for step in steps:
            low = max(0.0, 1 - asked[step])
            factor = low + position * (1 + asked[step] - low) if shared else factor_of(rng, asked[step])
            image = step_of(image, int(step), factor, chosen)
        image = np.clip(image, 0, 1) if clipping == "end" else image
        return finish(image) if steps else before

    return sampler


def _instead(step: int, other: Step) -> Step:
    """Another function in place of one of the steps."""

    def mistaken(image: Array, which: int, factor: float, chosen: dict[str, Any]) -> Array:
        return (other if which == step else _right_step)(image, which, factor, chosen)

    return mistaken


def _about(step: int, other: Callable[[Array, dict[str, Any]], Any]) -> Step:
    """A step that blends with something else than it should."""

    def blend(image: Array, _: int, factor: float, chosen: dict[str, Any]) -> Array:
        blended = factor * image + (1 - factor) * other(image, chosen)
        return np.clip(blended, 0, 1) if chosen["clipping"] == "unit" else blended

    return _instead(step, blend)


def _weighted(image: Array, weights: Any) -> Array:
    return np.einsum("chw,c->hw", image, weights)[None]


def _centred(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
    mean = _weighted(image, GREY[chosen["grey"]]).mean()
    centred = _right_step(image, step, factor, {**chosen, "clipping": "none"}) - mean
    return np.clip(centred, 0, 1) if chosen["clipping"] == "unit" else centred


def _grey_black(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
    grey = (image == image[0]).all(axis=0)
    return np.where(grey, 0.0, _right_step(image, step, factor, chosen))


def _wrapped(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
    """In whole numbers from 0 to 255, of which only the last eight bits are kept."""
    unclipped = _right_step(image, step, factor, {**chosen, "clipping": "none"})
    return np.floor(255 * unclipped) % 256 / 255


def _tinted(image: Array, rng: Generator, brightness: float = 0.0, *others: float, **settings: Any) -> Array:
    """A factor of brightness for each channel."""
    if brightness:
        image = image * rng.uniform(max(0.0, 1 - brightness), 1 + brightness, (len(image), 1, 1))
        image = np.clip(image, 0, 1) if settings.get("clipping", "unit") == "unit" else image
    return reference.color_jitter(image, rng, 0.0, *others, **settings)


BRIGHTNESS, CONTRAST, SATURATION = range(3)

COLOR_JITTER = (
    _jitter(
        "aug-saturation-uint8-overflow", "values beyond 0 and 1 wrap round in 8 bits",
        "Bright pixels turn black and colours turn into others.", "clip before the cast to uint8",
        _jittered(_wrapped), "https://github.com/tensorpack/tensorpack/issues/614",
        "https://github.com/xingyizhou/CenterNet/issues/702",
    ),
    _jitter(
        "aug-hue-jitter-grey-goes-black", "grey pixels become black", "White and grey areas get holes.",
        "with s = 0 HSV is (v, v, v)", _jittered(_instead(SATURATION, _grey_black)),
        "https://github.com/rapidsai/cucim/issues/490", "https://github.com/rapidsai/cucim/issues/491",
    ),
    _jitter(
        "jitter-factor-shared", "one draw decides all three steps", LESS_VARIETY, "draw a factor for each step",
        _jittered(shared=True),
    ),
    _jitter(
        "jitter-only-up", "factors lie from 1 to 1 + s", SHIFTED, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: 1 + s * rng.random()),
    ),
    _jitter(
        "jitter-only-down", "factors lie from 1 - s to 1", SHIFTED, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: max(0.0, 1 - s * rng.random())),
    ),
    _jitter(
        "jitter-about-zero", "factors lie from -s to s", ARTEFACTS, "1 + uniform(-s, s)",
        _jittered(factor_of=lambda rng, s: rng.uniform(-s, s)),
    ),
    _jitter(
        "jitter-from-zero", "factors lie from 0 to s", ARTEFACTS, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: rng.uniform(0, s)),
    ),
    _jitter(
        "jitter-normal", "factors are normal about 1", "Now and then an image is changed far beyond the strength.",
        "uniform(max(0, 1 - s), 1 + s)", _jittered(factor_of=lambda rng, s: rng.normal(1, s)),
    ),
    _jitter(
        "jitter-negative-factor", "factors below 0 occur for s above 1", "Images are turned into their negatives.",
        "max(0, 1 - s)", _jittered(factor_of=lambda rng, s: rng.uniform(1 - s, 1 + s)),
    ),
    _jitter(
        "jitter-not-random", "the factor is always 1 + s", NO_VARIETY, "draw a factor",
        _jittered(factor_of=lambda rng, s: 1 + s),
    ),
    _jitter(
        "jitter-contrast-about-zero", "contrast multiplies, about black", "Contrast is a second brightness.",
        "f x + (1 - f) mean", _jittered(_about(CONTRAST, lambda image, chosen: 0.0)),
    ),
    _jitter(
        "jitter-contrast-about-half", "contrast turns about 1/2, not the mean", "Dark images become darker.",
        "f x + (1 - f) mean", _jittered(_about(CONTRAST, lambda image, chosen: 0.5)),
    ),
    _jitter(
        "jitter-contrast-about-plain-mean", "contrast turns about the mean of all values", SHIFTED,
        "the mean of 0.299 R + 0.587 G + 0.114 B", _jittered(_about(CONTRAST, lambda image, chosen: image.mean())),
    ),
    _jitter(
        "jitter-contrast-of-pixels", "contrast turns about each pixel's own grey", "Contrast is a second saturation.",
        "the mean over all pixels", _jittered(_about(
            CONTRAST, lambda image, chosen: _weighted(image, GREY[chosen["grey"]])
        )),
    ),
    _jitter(
        "jitter-contrast-without-pivot-back", "contrast does not add the mean back", "Images turn dark.",
        "f (x - mean) + mean", _jittered(_instead(CONTRAST, _centred)),
    ),
    _jitter(
        "jitter-saturation-bgr", "red and blue have each other's weight", "Grey values are off where blue or red is.",
        "0.299 R + 0.587 G + 0.114 B", _jittered(_about(
            SATURATION, lambda image, chosen: _weighted(image, (0.114, 0.587, 0.299))
        )),
    ),
    _jitter(
        "jitter-saturation-of-maximum", "saturation blends with the largest channel", SHIFTED,
        "0.299 R + 0.587 G + 0.114 B", _jittered(_about(SATURATION, lambda image, chosen: image.max(axis=0))),
    ),
    _jitter(
        "jitter-saturation-of-image", "saturation blends with one grey for all pixels",
        "Saturation is a second contrast.", "the grey value of each pixel", _jittered(_about(
            SATURATION, lambda image, chosen: _weighted(image, GREY[chosen["grey"]]).mean()
        )),
    ),
    _jitter(
        "jitter-saturation-inverted", "the factor weights the grey image", "Strong saturation makes images grey.",
        "f x + (1 - f) grey", _jittered(_instead(
            SATURATION, lambda image, step, factor, chosen: _right_step(image, step, 1 - factor, chosen)
        )),
    ),
    _jitter(
        "jitter-brightness-per-channel", "each channel has its own brightness", "Images get a tint.",
        "one factor an image", _tinted,
    ),
    _jitter(
        "jitter-strengths-swapped", "brightness and contrast have each other's strength", TOO_STRONG,
        "brightness, contrast, saturation", _jittered(strengths=lambda s: [s[1], s[0], s[2]]),
    ),
    _jitter(
        "jitter-saturation-ignored", "saturation does nothing", LESS_VARIETY, "apply all three",
        _jittered(strengths=lambda s: [s[0], s[1], 0.0]),
    ),
    _jitter(
        "jitter-contrast-ignored", "contrast does nothing", LESS_VARIETY, "apply all three",
        _jittered(strengths=lambda s: [s[0], 0.0, s[2]]),
    ),
    _jitter(
        "jitter-normalised", "the result is stretched to fill 0 to 1", "Brightness and contrast have no effect.",
        "clip, do not rescale", _jittered(finish=lambda image: (image - image.min()) / max(np.ptp(image), 2.0**-20)),
    ),
    reseeded("color_jitter", "jitter"),
)  # fmt: skip


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
        "lighting-one-multiple", "all components have the same multiple", LESS_VARIETY, "a draw for each component",
        _lit(lambda rng, std, n: np.repeat(rng.normal(0, std), n)),
    ),
    _lighting(
        "lighting-vectors-transposed", "eigenvectors are taken from the rows",
        "Colours move along directions in which they do not vary.", "P @ (alpha * lambda), eigenvectors in columns",
        _lit(shift=lambda alpha, values, vectors: vectors.T @ (alpha * values)),
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
)  # fmt: skip


# --- noise -----------------------------------------------------------------------------------------------------------


def _noise(id: str, says: str, effect: str, fix: str, noise: Callable[[Array, Generator, float], Array]) -> Fault:
    """Another noise, of an image, a generator and the deviation."""

    def sampler(
        image: Array, rng: Generator, std: float, *, parameter: str = "deviation", clipping: str = "none"
    ) -> Array:
        noisy = image + noise(image, rng, std if parameter == "deviation" else std**0.5)
        return np.clip(noisy, 0, 1) if clipping == "unit" else noisy

    return Fault(id, "gaussian_noise", says, effect, fix, {"gaussian_noise": sampler})


GAUSSIAN_NOISE = (
    reseeded("gaussian_noise", "noise", "aug-same-randomness-in-workers", WORKERS),
    _noise(
        "noise-same-for-channels", "all channels get the same noise", "Noise is grey, that of cameras is not.",
        "a draw for every value", lambda image, rng, std: rng.normal(0, std, (1, *image.shape[1:])) + 0 * image,
    ),
    _noise(
        "noise-same-for-rows", "all rows get the same noise", "Images get stripes.", "a draw for every value",
        lambda image, rng, std: rng.normal(0, std, (len(image), 1, image.shape[2])) + 0 * image,
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
        "noise-salt-and-pepper", "a share of the values become 0 or 1", ARTEFACTS, "normal(0, std)",
        lambda image, rng, std: np.where(rng.random(image.shape) < std, rng.integers(0, 2, image.shape) - image, 0.0),
    ),
)  # fmt: skip
