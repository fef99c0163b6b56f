"""The known mistakes in colour jitter."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.arguments import GREY, Order
from dlcheck.augmentation.jitter import adjusted, steps_of
from dlcheck.augmentation.mistakes import ARTEFACTS, LESS_VARIETY, NO_VARIETY, SHIFTED, TOO_STRONG, deaf, reseeded
from dlcheck.component import Fault

Array = NDArray[np.float64]
Generator = np.random.Generator
Sampler = Callable[..., Array]


# --- colour jitter ---------------------------------------------------------------------------------------------------


def _jitter(id: str, says: str, effect: str, fix: str, sampler: Sampler, *happened: str) -> Fault:
    return Fault(id, "color_jitter", says, effect, fix, {"color_jitter": sampler}, happened)


Step = Callable[[Array, int, float, dict[str, Any]], Array]
"""An image after one step by a factor, under conventions, beside which stands the original."""
BRIGHTNESS, CONTRAST, SATURATION = range(3)


def _right_step(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
    conventions = {name: value for name, value in chosen.items() if name != "original"}
    return adjusted(image[None], step, np.array([factor]), **conventions)[0]


def _right_factor(rng: Generator, strength: float) -> float:
    return float(rng.uniform(max(0.0, 1 - strength), 1 + strength))


def _jittered(
    step_of: Step = _right_step,
    factor_of: Callable[[Generator, float], float] = _right_factor,
    strengths: Callable[[list[float]], list[float]] = list,
    shared: bool = False,
    from_original: bool = False,
    finish: Callable[[Array], Array] = lambda image: image,
    always: bool = False,
) -> Sampler:
    """The right jitter with another step, factor, strengths or last touch; ``always``: for strength 0 too."""

    def sampler(
        image: Array, rng: Generator, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, *,
        order: Order = "random", brightness_kind: str = "factor", grey: str = "luma", pivot: str = "grey_mean",
        clipping: str = "unit",
    ) -> Array:  # fmt: skip
        chosen: dict[str, Any] = {
            "brightness_kind": brightness_kind, "grey": grey, "pivot": pivot, "clipping": clipping, "original": image,
        }  # fmt: skip
        asked, before = strengths([brightness, contrast, saturation]), image
        position = rng.random()
        for step in steps_of(rng, order):
            if asked[step] or always:
                low = max(0.0, 1 - asked[step])
                factor = low + position * (1 + asked[step] - low) if shared else factor_of(rng, asked[step])
                image = step_of(before if from_original else image, step, factor, chosen)
        image = np.clip(image, 0, 1) if clipping == "end" else image
        return finish(image) if any(asked) or always else before

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


def _greyed(grey: Callable[[Array, dict[str, Any]], Array]) -> Step:
    """Another grey image, for saturation and for the pivot of contrast."""

    def pivot(image: Array, chosen: dict[str, Any]) -> Any:
        return (grey(image, chosen) if chosen["pivot"] == "grey_mean" else image).mean(axis=(1, 2), keepdims=True)

    contrast, saturation = _about(CONTRAST, pivot), _about(SATURATION, grey)

    def mistaken(image: Array, step: int, factor: float, chosen: dict[str, Any]) -> Array:
        return (saturation if step == SATURATION else contrast)(image, step, factor, chosen)

    return mistaken


def _other_weights(*weights: float) -> Step:
    return _greyed(lambda image, chosen: _weighted(image, weights))


def _inverted(step: int) -> Step:
    return _instead(step, lambda image, which, factor, chosen: _right_step(image, which, 1 - factor, chosen))


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
        _jittered(factor_of=lambda rng, s: rng.uniform(max(0.0, 1 - s), 1)),
    ),
    _jitter(
        "jitter-about-zero", "factors lie from -s to s", ARTEFACTS, "1 + uniform(-s, s)",
        _jittered(factor_of=lambda rng, s: rng.uniform(-s, s)),
    ),
    _jitter(
        "jitter-about-zero-always", "factors lie from -s to s, for s = 0 too", "Images turn black.",
        "1 + uniform(-s, s)", _jittered(factor_of=lambda rng, s: float(rng.uniform(-s, s)), always=True),
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
        "jitter-absolute-factor", "factors below 0 lose their sign for s above 1", SHIFTED,
        "max(0, 1 - s)", _jittered(factor_of=lambda rng, s: abs(rng.uniform(1 - s, 1 + s))),
    ),
    _jitter(
        "jitter-from-black", "factors lie from 0 to 1 + s", ARTEFACTS, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: rng.uniform(0, 1 + s)),
    ),
    _jitter(
        "jitter-halved", "factors lie from 1 - s/2 to 1 + s/2", LESS_VARIETY, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: _right_factor(rng, s / 2)),
    ),
    _jitter(
        "jitter-exponential", "factors are exp of uniform from -s to s", TOO_STRONG, "uniform(max(0, 1 - s), 1 + s)",
        _jittered(factor_of=lambda rng, s: np.exp(rng.uniform(-s, s))),
    ),
    _jitter(
        "jitter-by-chance", "each step is taken with probability 1/2", LESS_VARIETY, "take each step",
        _jittered(factor_of=lambda rng, s: _right_factor(rng, s) if rng.random() < 0.5 else 1.0),
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
        "jitter-contrast-inverted", "the factor weights the mean", "Strong contrast makes images grey.",
        "f x + (1 - f) mean", _jittered(_inverted(CONTRAST)),
    ),
    _jitter(
        "jitter-contrast-inverted-always", "the factor weights the mean, for contrast 0 too", "Images turn grey.",
        "f x + (1 - f) mean", _jittered(_inverted(CONTRAST), always=True),
    ),
    _jitter(
        "jitter-contrast-of-brightness", "contrast has brightness's strength", TOO_STRONG,
        "brightness, contrast, saturation", _jittered(strengths=lambda s: [s[0], s[0], s[2]]),
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
        "jitter-grey-bgr", "red and blue have each other's weight", "Grey values are off where blue or red is.",
        "0.299 R + 0.587 G + 0.114 B", _jittered(_other_weights(0.114, 0.587, 0.299)),
    ),
    _jitter(
        "jitter-grey-green-blue", "green and blue have each other's weight", "Grey values are off where blue is.",
        "0.299 R + 0.587 G + 0.114 B", _jittered(_other_weights(0.299, 0.114, 0.587)),
    ),
    _jitter(
        "jitter-grey-709", "the grey weights are those of Rec. 709", "Greens weigh more than in test images.",
        "0.299 R + 0.587 G + 0.114 B", _jittered(_other_weights(0.2126, 0.7152, 0.0722)),
    ),
    _jitter(
        "jitter-grey-one-channel", "grey is the green channel", SHIFTED, "0.299 R + 0.587 G + 0.114 B",
        _jittered(_other_weights(0.0, 1.0, 0.0)),
    ),
    _jitter(
        "jitter-grey-summed", "grey is the sum of the channels", SHIFTED, "0.299 R + 0.587 G + 0.114 B",
        _jittered(_other_weights(1.0, 1.0, 1.0)),
    ),
    _jitter(
        "jitter-grey-maximum", "grey is the largest channel", SHIFTED, "0.299 R + 0.587 G + 0.114 B",
        _jittered(_greyed(lambda image, chosen: image.max(axis=0, keepdims=True))),
    ),
    _jitter(
        "jitter-grey-middle", "grey is the middle of the largest and smallest channel", SHIFTED,
        "0.299 R + 0.587 G + 0.114 B",
        _jittered(_greyed(lambda image, chosen: (image.max(0, keepdims=True) + image.min(0, keepdims=True)) / 2)),
    ),
    _jitter(
        "jitter-grey-of-original", "grey is that of the image before all steps", SHIFTED,
        "the grey of what the step before left", _jittered(_greyed(
            lambda image, chosen: _weighted(chosen["original"], GREY[chosen["grey"]])
        )), "https://github.com/xingyizhou/CenterNet/issues/702",
    ),
    _jitter(
        "jitter-saturation-of-maximum", "saturation alone blends with the largest channel", SHIFTED,
        "0.299 R + 0.587 G + 0.114 B", _jittered(_about(SATURATION, lambda image, chosen: image.max(axis=0))),
    ),
    _jitter(
        "jitter-saturation-of-channels", "saturation blends with each channel's mean",
        "Saturation is a second contrast.", "the grey value of each pixel", _jittered(_about(
            SATURATION, lambda image, chosen: image.mean(axis=(1, 2), keepdims=True)
        )),
    ),
    _jitter(
        "jitter-saturation-about-black", "saturation multiplies, about black", "Saturation is a second brightness.",
        "f x + (1 - f) grey", _jittered(_about(SATURATION, lambda image, chosen: 0.0)),
    ),
    _jitter(
        "jitter-saturation-added", "the factor's part is added to the colours: 1 + f", "Images are too colourful.",
        "f x + (1 - f) grey", _jittered(_instead(
            SATURATION, lambda image, step, factor, chosen: _right_step(image, step, 1 + factor, chosen)
        )),
    ),
    _jitter(
        "jitter-saturation-of-image", "saturation blends with one grey for all pixels",
        "Saturation is a second contrast.", "the grey value of each pixel", _jittered(_about(
            SATURATION, lambda image, chosen: _weighted(image, GREY[chosen["grey"]]).mean()
        )),
    ),
    _jitter(
        "jitter-saturation-inverted", "the factor weights the grey image", "Strong saturation makes images grey.",
        "f x + (1 - f) grey", _jittered(_inverted(SATURATION)),
    ),
    _jitter(
        "jitter-brightness-about-white", "brightness turns about white", "Dark images become grey, not dark.",
        "f x", _jittered(_about(BRIGHTNESS, lambda image, chosen: 1.0)),
    ),
    _jitter(
        "jitter-last-step-alone", "each step starts from the original", LESS_VARIETY,
        "each step takes what the one before left", _jittered(from_original=True),
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
        "jitter-last-strengths-swapped", "contrast and saturation have each other's strength", TOO_STRONG,
        "brightness, contrast, saturation", _jittered(strengths=lambda s: [s[0], s[2], s[1]]),
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
        "jitter-in-bytes", "values are rounded to multiples of 1/255", "Fine shades are lost at every step.",
        "work in floating point", _jittered(finish=lambda image: np.rint(255 * image) / 255),
    ),
    _jitter(
        "jitter-clipped-above", "values are clipped at 1 alone", ARTEFACTS, "clip to [0, 1], or not at all",
        _jittered(lambda image, step, factor, chosen: np.minimum(
            _right_step(image, step, factor, {**chosen, "clipping": "none"}), 1.0
        )),
    ),
    _jitter(
        "jitter-normalised", "the result is stretched to fill 0 to 1", "Brightness and contrast have no effect.",
        "clip, do not rescale", _jittered(finish=lambda image: (image - image.min()) / max(np.ptp(image), 2.0**-20)),
    ),
    reseeded("color_jitter", "jitter"),
    deaf("color_jitter", "jitter"),
)  # fmt: skip
