"""Augmentation of one image in NumPy float64.

A function that draws takes an np.random.Generator and gives one draw; ``name_read(samples, image, ...)`` reads many of
its draws back. That returns what the values drawn must give exactly, and those values with their laws, by name: the
probability of each outcome, or a distribution function. Images are (C, H, W); what is given is left untouched.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import special

Image = Float[np.ndarray, "C h w"]
Samples = Float[np.ndarray, "draws C h w"]
Values = Float[np.ndarray, "*shape"]
Law = Mapping[float, float] | Callable[[Any], Any]
Read = tuple[np.ndarray, dict[str, tuple[np.ndarray, Law]]]
Border = Literal["zeros", "reflect"]
Direction = Literal["counter_clockwise", "clockwise"]
Rotation = Literal["nearest", "bilinear", "bilinear_clamped", "bilinear_inside"]
Resampling = Literal["antialias", "half_pixel", "align_corners", "nearest", "nearest_centre", "bicubic"]
Rounding = Literal["down", "nearest"]
Brightness = Literal["factor", "shift"]
Grey = Literal["luma", "luma_0.2989", "mean"]
Pivot = Literal["grey_mean", "channel_means"]
Order = Literal["random", "fixed"]
Clipping = Literal["none", "unit"]
JitterClipping = Literal["unit", "none", "end"]

GREY: dict[str, tuple[float, float, float]] = {
    "luma": (0.299, 0.587, 0.114),
    "luma_0.2989": (0.2989, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
}
"""Weights of red, green and blue in a grey value, by convention."""

_ALIKE = 2.0**-40
"""Images and factors nearer to each other than this are taken for equal when draws are read back."""
_SMALL = 2.0**-16
"""A step of a difference quotient, or a margin for rounding at a border."""


def _real(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array.astype(np.float64)


def _image(image: Any, channels: int | None = None) -> np.ndarray:
    array = _real("image", image)
    if array.ndim != 3 or (channels and array.shape[0] != channels):
        raise ValueError(f"image must have shape ({channels or 'C'}, H, W), not {array.shape}")
    return array


def _number(name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not (np.isfinite(value) and low <= value <= high):
        wanted = f"from {low:g} to {high:g}" if np.isfinite(high) else "finite" if low == -np.inf else f">= {low:g}"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return float(value)


def _integer(name: str, value: Any, least: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be >= {least}, not {value!r}")
    return int(value)


def _choice(name: str, value: Any, among: Any) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


def _nearest(samples: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """For each sample (n, ...) the index of the nearest of the candidates (k, ...)."""
    distances = [np.abs(samples - candidate).max(axis=(1, 2, 3), initial=0.0) for candidate in candidates]
    return np.argmin(distances, axis=0)


def _even(outcomes: int) -> Law:
    return {float(k): 1 / outcomes for k in range(outcomes)}


# --- flip and crop ---------------------------------------------------------------------------------------------------


def horizontal_flip(image: Image, rng: np.random.Generator, p: float = 0.5) -> Image:
    r"""Mirror left and right with probability p.

    $y_{cij} = x_{c,i,W-1-j}$ with probability $p$, else $x_{cij}$

    Shapes: image and the result (C, H, W).
    Raises: TypeError, ValueError if image is no real (C, H, W) or p no number from 0 to 1.
    Source: notes 002, AlexNet; Krizhevsky et al. 2012, section 4.1.
    """
    image, p = _image(image), _number("p", p, 0.0, 1.0)
    return image[..., ::-1].copy() if rng.random() < p else image


def horizontal_flip_read(samples: Samples, image: Image, p: float = 0.5) -> Read:
    """Which draws are flipped."""
    both = np.stack([_image(image), _image(image)[..., ::-1]])
    flipped = _nearest(samples, both)
    return both[flipped], {"flipped": (flipped, {0.0: 1 - p, 1.0: p})}


def _padded(image: Image, size: Any, padding: int, border: Border) -> tuple[np.ndarray, int, int]:
    """The padded image, and height and width of the crop."""
    image, width = _image(image), _integer("padding", padding, 0)
    h, w = (_integer("size", side, 1) for side in (size if isinstance(size, tuple | list) else (size, size)))
    mode = {"zeros": "constant", "reflect": "reflect"}[_choice("border", border, ("zeros", "reflect"))]
    padded = np.pad(image, ((0, 0), (width, width), (width, width)), mode) if width else image  # type: ignore[call-overload]
    if h > padded.shape[1] or w > padded.shape[2]:
        raise ValueError(f"size must be at most that of the padded image {padded.shape[1:]}, not {(h, w)}")
    return padded, h, w


def random_crop(
    image: Image,
    rng: np.random.Generator,
    size: int | tuple[int, int],
    padding: int = 0,
    *,
    border: Border = "zeros",
) -> Image:
    r"""Cut out a window of a size, every position of it equally likely.

    $y_{cij} = x_{c,t+i,l+j}$ with $t \sim U\{0, \dots, H-h\}$ and $l \sim U\{0, \dots, W-w\}$ independent

    Shapes: image (C, H, W), the result (C, h, w), where size is (h, w) or h = w.
    Conventions: ``border``, what the padding holds.
    Raises: TypeError, ValueError if the window exceeds the padded image or an argument is of the wrong kind.
    Source: notes 004, Data Augmentation; Krizhevsky et al. 2012, section 4.1.
    """
    padded, h, w = _padded(image, size, padding, border)
    top, left = rng.integers(padded.shape[1] - h + 1), rng.integers(padded.shape[2] - w + 1)
    return padded[:, top : top + h, left : left + w].copy()


def random_crop_read(
    samples: Samples, image: Image, size: int | tuple[int, int], padding: int = 0, *, border: Border = "zeros"
) -> Read:
    """Top and left of each window."""
    padded, h, w = _padded(image, size, padding, border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), (1, 2)).transpose(1, 2, 0, 3, 4)
    rows, columns = windows.shape[:2]
    top, left = np.divmod(_nearest(samples, windows.reshape(-1, *windows.shape[2:])), columns)
    return windows[top, left], {"top": (top, _even(rows)), "left": (left, _even(columns))}


# --- translation and rotation ----------------------------------------------------------------------------------------


def translate(image: Image, dy: int, dx: int, fill: float = 0) -> Image:
    r"""Move by whole pixels, down by dy and right by dx.

    $y_{cij} = x_{c,i-dy,j-dx}$ where that lies in the image, else ``fill``

    Shapes: image and the result (C, H, W).
    Raises: TypeError, ValueError if image is no real (C, H, W), dy or dx no integer or fill no number.
    Source: notes 002, AlexNet (translation).
    """
    image = _image(image)
    moved = np.full_like(image, _number("fill", fill))
    (to_y, from_y), (to_x, from_x) = (
        (slice(max(d, 0), max(n + d, 0)), slice(max(-d, 0), max(n - d, 0)))
        for d, n in zip((_integer("dy", dy), _integer("dx", dx)), image.shape[1:], strict=True)
    )
    moved[:, to_y, to_x] = image[:, from_y, from_x]
    return moved


def _linear(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values between the pixels, those of the border continued outwards."""
    height, width = image.shape[1:]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.minimum(np.floor(y), max(height - 2, 0)), np.minimum(np.floor(x), max(width - 2, 0))
    i, j, down, right = top.astype(int), left.astype(int), y - top, x - left
    below, beside = np.minimum(i + 1, height - 1), np.minimum(j + 1, width - 1)
    upper = image[:, i, j] * (1 - right) + image[:, i, beside] * right
    lower = image[:, below, j] * (1 - right) + image[:, below, beside] * right
    return upper * (1 - down) + lower * down


def _sampled(image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float, interpolation: Rotation) -> np.ndarray:
    """Values of an image at positions (y, x), pixels having whole ones."""
    height, width = image.shape[1:]
    if interpolation == "bilinear":
        framed = np.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=fill)
        return _linear(framed, y + 1, x + 1)
    reach = _SMALL if interpolation == "bilinear_inside" else 0.5
    inside = (y >= -reach) & (y < height - 1 + reach) & (x >= -reach) & (x < width - 1 + reach)
    if interpolation == "nearest":
        y, x = np.floor(y + 0.5), np.floor(x + 0.5)
    return np.where(inside, _linear(image, y, x), fill)


def rotate(
    image: Image,
    degrees: float,
    fill: float = 0,
    *,
    direction: Direction = "counter_clockwise",
    interpolation: Rotation = "nearest",
) -> Image:
    r"""Rotate about the centre, seen with the first row on top; what comes from outside is ``fill``.

    $y(i, j) = x(r_y + b \sin\theta + a \cos\theta,\; r_x + b \cos\theta - a \sin\theta)$ with $r = ((H-1)/2, (W-1)/2)$
    and $(a, b) = (i, j) - r$

    Shapes: image and the result (C, H, W).
    Conventions: ``direction`` of a positive angle; ``interpolation``: the nearest pixel, or between four of them, fill
    being blended in at the border, or the border continued to the pixels' edges or only to their centres.
    Raises: TypeError, ValueError if image is no real (C, H, W), or degrees or fill no number.
    Source: notes 004, Data Augmentation (rotation).
    """
    image, fill, degrees = _image(image), _number("fill", fill), _number("degrees", degrees)
    signs = {"counter_clockwise": 1.0, "clockwise": -1.0}
    sine, cosine = special.sindg(degrees), special.cosdg(degrees)
    sine *= signs[_choice("direction", direction, signs)]
    _choice("interpolation", interpolation, ("nearest", "bilinear", "bilinear_clamped", "bilinear_inside"))
    middle_y, middle_x = ((n - 1) / 2 for n in image.shape[1:])
    i, j = np.arange(image.shape[1])[:, None] - middle_y, np.arange(image.shape[2]) - middle_x
    if not image.size:
        return image
    return _sampled(image, middle_y + j * sine + i * cosine, middle_x + j * cosine - i * sine, fill, interpolation)


# --- resizing --------------------------------------------------------------------------------------------------------


def _cubic(t: np.ndarray) -> np.ndarray:
    """Keys's kernel with a = -1/2."""
    t = np.abs(t)
    return np.where(t < 1, 1.5 * t**3 - 2.5 * t**2 + 1, np.where(t < 2, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2, 0.0))


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1 - np.abs(t))


def resampling_weights(old: int, new: int, method: Resampling) -> Float[np.ndarray, "new old"]:
    r"""Matrix that resizes one axis: row i holds the weights of the old pixels in new pixel i, which sum to 1.

    $w_{ij} \propto k((j - x_i) / s)$ with $x_i = (i + 1/2) n / m - 1/2$ and $s = \max(n / m, 1)$ if ``antialias`` or
    ``bicubic``, else 1

    Shapes: (new, old).
    Conventions: ``method``.
    Source: Keys 1981, Cubic convolution interpolation; Pillow, Resample.c.
    """
    i, j, ratio = np.arange(new)[:, None], np.arange(old), old / new
    if method in ("nearest", "nearest_centre"):
        half = 0 if method == "nearest" else old
        return (j == (2 * i * old + half) // (2 * new)).astype(np.float64)
    centre = (i + 0.5) * ratio - 0.5 if method != "align_corners" else i * ((old - 1) / max(new - 1, 1))
    scale = max(ratio, 1.0) if method in ("antialias", "bicubic") else 1.0
    weights = (_cubic if method == "bicubic" else _triangle)((j - centre) / scale)
    return weights / weights.sum(axis=1, keepdims=True)


def resize_shorter_side(
    image: Image, size: int, *, resampling: Resampling = "antialias", rounding: Rounding = "down"
) -> Image:
    r"""Scale an image so that its shorter side has a given length, keeping its shape as nearly as whole pixels can.

    The longer side L becomes $\lfloor L \, \mathrm{size} / S \rfloor$ of the shorter S.

    Shapes: image (C, H, W), the result (C, size, W') or (C, H', size).
    Conventions: ``resampling``, how pixels are weighted; ``rounding`` of the longer side.
    Raises: TypeError, ValueError if image is no real (C, H, W) with pixels or size no positive integer.
    Source: notes 004, Data Augmentation; Krizhevsky et al. 2012, section 2.
    """
    image, size = _image(image), _integer("size", size, 1)
    shorter = min(image.shape[1:])
    if shorter == 0:
        raise ValueError(f"image must have pixels, not shape {image.shape}")
    half = {"down": 0, "nearest": shorter}[_choice("rounding", rounding, ("down", "nearest"))]
    methods = ("antialias", "half_pixel", "align_corners", "nearest", "nearest_centre", "bicubic")
    rows, columns = (
        resampling_weights(side, (2 * size * side + half) // (2 * shorter), _choice("resampling", resampling, methods))
        for side in image.shape[1:]
    )
    return rows @ image @ columns.T


# --- colour ----------------------------------------------------------------------------------------------------------

STEPS = ("brightness", "contrast", "saturation")


def _adjusted(
    images: np.ndarray,
    step: int,
    amount: np.ndarray,
    *,
    brightness_kind: Brightness,
    grey: Grey,
    pivot: Pivot,
    clipping: JitterClipping,
) -> np.ndarray:
    """Images (n, 3, H, W) after one step, each by its own amount (n,)."""
    amount = amount[:, None, None, None]
    if STEPS[step] == "brightness" and brightness_kind == "shift":
        adjusted = images + (amount - 1)
    else:
        adjusted = amount * images + (1 - amount) * _away_from(images, step, grey, pivot)
    return np.clip(adjusted, 0, 1) if clipping == "unit" else adjusted


def _away_from(images: np.ndarray, step: int, grey: Grey, pivot: Pivot) -> Any:
    """What an amount of 0 would leave of the images: black, one grey or colour, or the grey image."""
    if STEPS[step] == "brightness":
        return 0.0
    shades = np.einsum("nchw,c->nhw", images, GREY[grey])[:, None]
    if STEPS[step] == "saturation":
        return shades
    return {"grey_mean": shades, "channel_means": images}[pivot].mean(axis=(2, 3), keepdims=True)


def _strengths(brightness: float, contrast: float, saturation: float) -> list[float]:
    values = (brightness, contrast, saturation)
    return [_number(name, value, 0.0) for name, value in zip(STEPS, values, strict=True)]


def _conventions(**chosen: str) -> dict[str, Any]:
    options = {
        "brightness_kind": ("factor", "shift"),
        "grey": tuple(GREY),
        "pivot": ("grey_mean", "channel_means"),
        "clipping": ("unit", "none", "end"),
    }
    return {name: _choice(name, value, options[name]) for name, value in chosen.items()}


def color_jitter(
    image: Image,
    rng: np.random.Generator,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    *,
    order: Order = "random",
    brightness_kind: Brightness = "factor",
    grey: Grey = "luma",
    pivot: Pivot = "grey_mean",
    clipping: JitterClipping = "unit",
) -> Image:
    r"""Change brightness, contrast and saturation by random factors, one after the other.

    $y = f x + (1 - f) z$ with $z$ black, the mean grey and the grey image, each
    $f \sim U(\max(0, 1 - s), 1 + s)$ for its strength s; a strength of 0 leaves its step out

    Shapes: image and the result (3, H, W), values from 0 to 1.
    Conventions: ``order`` of the steps; ``brightness_kind``, a factor or an amount added; ``grey``, the weights of the
    colours; ``pivot`` of contrast; ``clipping`` to [0, 1] after each step, never or at the end.
    Raises: TypeError, ValueError if image is no real (3, H, W) or a strength is negative or no number.
    Source: notes 002, AlexNet (colour); torchvision, ColorJitter.
    """
    image, strengths = _image(image, 3), _strengths(brightness, contrast, saturation)
    chosen = _conventions(brightness_kind=brightness_kind, grey=grey, pivot=pivot, clipping=clipping)
    steps = rng.permutation(3) if _choice("order", order, ("random", "fixed")) == "random" else np.arange(3)
    jittered = image[None]
    for step in steps:
        if strengths[step]:
            factor = rng.uniform(max(0.0, 1 - strengths[step]), 1 + strengths[step], 1)
            jittered = _adjusted(jittered, step, factor, **chosen)
    return np.clip(jittered[0], 0, 1) if clipping == "end" and any(strengths) else jittered[0]


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
    strengths = _strengths(brightness, contrast, saturation)
    active = [step for step in range(3) if strengths[step]]
    if not active:
        return np.broadcast_to(_image(image), samples.shape), {}
    chosen = _conventions(brightness_kind=brightness_kind, grey=grey, pivot=pivot, clipping=clipping)

    def build(factors: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
        built = np.broadcast_to(_image(image, 3), (len(factors), *image.shape))
        for step in steps:
            built = _adjusted(built, step, factors[:, active.index(step)], **chosen)
        return np.clip(built, 0, 1) if clipping == "end" else built

    orders = list(itertools.permutations(active)) if order == "random" else [tuple(active)]
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


def _amounts(eigenvalues: Values, scale: Literal["eigenvalue", "root"]) -> np.ndarray:
    values = _real("eigenvalues", eigenvalues)
    return values if _choice("scale", scale, ("eigenvalue", "root")) == "eigenvalue" else np.sqrt(values)


def pca_lighting(
    image: Image,
    eigenvalues: Float[np.ndarray, "C"],
    eigenvectors: Float[np.ndarray, "C C"],
    rng: np.random.Generator,
    std: float,
    *,
    scale: Literal["eigenvalue", "root"] = "eigenvalue",
) -> Image:
    r"""Add one random amount of each principal component of the training set's colours to all pixels.

    $y_{cij} = x_{cij} + \sum_k p_{ck} \alpha_k \lambda_k$ with $\alpha_k \sim N(0, \mathrm{std}^2)$, once an image

    Shapes: image and the result (C, H, W); eigenvalues (C,); eigenvectors (C, C), one in each column.
    Conventions: ``scale``, by the eigenvalue $\lambda_k$ (the variance) or its root (the deviation).
    Raises: TypeError, ValueError if the shapes do not fit or std is negative or no number.
    Source: notes 002, AlexNet (lighting); Krizhevsky et al. 2012, section 4.1.
    """
    image, vectors, amounts = _image(image), _real("eigenvectors", eigenvectors), _amounts(eigenvalues, scale)
    channels = image.shape[0]
    if amounts.shape != (channels,) or vectors.shape != (channels, channels):
        raise ValueError(
            f"eigenvalues and eigenvectors must have shapes {(channels,)} and {(channels, channels)}, "
            f"not {amounts.shape} and {vectors.shape}"
        )
    alpha = rng.normal(0.0, _number("std", std, 0.0), channels)
    return image + (vectors @ (alpha * amounts))[:, None, None]


def pca_lighting_read(
    samples: Samples,
    image: Image,
    eigenvalues: Float[np.ndarray, "C"],
    eigenvectors: Float[np.ndarray, "C C"],
    std: float,
    *,
    scale: Literal["eigenvalue", "root"] = "eigenvalue",
) -> Read:
    """The multiples alpha of the components."""
    shift = (samples - _image(image)).mean(axis=(2, 3))
    alpha = np.linalg.solve(_real("eigenvectors", eigenvectors), shift.T).T / _amounts(eigenvalues, scale)
    return _image(image) + shift[..., None, None], {"alpha": (alpha, _normal(std))}


def principal_colours(
    images: Float[np.ndarray, "N C h w"],
) -> tuple[Float[np.ndarray, "C"], Float[np.ndarray, "C C"]]:
    r"""Eigenvalues, falling, and eigenvectors, in columns, of the covariance of all pixels' colours.

    $\frac{1}{n} \sum (x - \bar x)(x - \bar x)^T = P \, \mathrm{diag}(\lambda) \, P^T$

    Shapes: images (N, C, H, W); eigenvalues (C,), eigenvectors (C, C), each up to its sign.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    colours = np.moveaxis(images, 1, 0).reshape(images.shape[1], -1)
    values, vectors = np.linalg.eigh(np.cov(colours, bias=True))
    return values[::-1].copy(), vectors[:, ::-1].copy()


def gaussian_noise(
    image: Image,
    rng: np.random.Generator,
    std: float,
    *,
    parameter: Literal["deviation", "variance"] = "deviation",
    clipping: Clipping = "none",
) -> Image:
    r"""Add independent normal noise to every value.

    $y_{cij} = x_{cij} + n_{cij}$ with $n_{cij} \sim N(0, \mathrm{std}^2)$

    Shapes: image and the result (C, H, W).
    Conventions: ``parameter``, whether the number given is the deviation or the variance; ``clipping`` to [0, 1].
    Raises: TypeError, ValueError if image is no real (C, H, W) or std is negative or no number.
    Source: notes 004, Data Augmentation.
    """
    image, std = _image(image), _deviation(std, parameter)
    noisy = image + rng.normal(0.0, std, image.shape)
    return np.clip(noisy, 0, 1) if _choice("clipping", clipping, ("none", "unit")) == "unit" else noisy


def _deviation(std: float, parameter: Literal["deviation", "variance"]) -> float:
    given = _number("std", std, 0.0)
    return given if _choice("parameter", parameter, ("deviation", "variance")) == "deviation" else given**0.5


def gaussian_noise_read(
    samples: Samples,
    image: Image,
    std: float,
    *,
    parameter: Literal["deviation", "variance"] = "deviation",
    clipping: Clipping = "none",
) -> Read:
    """The noise; where clipping hides it, noise drawn anew from what it may have been."""
    image, std = _image(image), _deviation(std, parameter)
    if clipping == "none":
        return samples, {"noise": (samples - image, _normal(std))}
    low, high = special.ndtr(-image / std), special.ndtr((1 - image) / std)
    chance = np.random.default_rng(0).random(samples.shape)
    hidden = np.where(samples <= 0, low * chance, 1 - (1 - high) * chance)
    noise = np.where((samples <= 0) | (samples >= 1), std * special.ndtri(hidden), samples - image)
    return np.clip(samples, 0, 1), {"noise": (noise, _normal(std))}


# --- AlexNet ---------------------------------------------------------------------------------------------------------


def center_crop(image: Image, size: int) -> Image:
    r"""Cut the middle out, from row $\lfloor (H - s)/2 \rfloor$ and column $\lfloor (W - s)/2 \rfloor$ on.

    Shapes: image (C, H, W), the result (C, size, size).
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 2.
    """
    image, h, w = _padded(image, size, 0, "zeros")
    top, left = (image.shape[1] - h) // 2, (image.shape[2] - w) // 2
    return image[:, top : top + h, left : left + w].copy()


def ten_crop(image: Image, size: int) -> Float[np.ndarray, "10 C size size"]:
    r"""The four corners and the middle of an image, then their mirror images.

    Shapes: image (C, H, W), the result (10, C, size, size): top left, top right, bottom left, bottom right, middle.
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    image, h, w = _padded(image, size, 0, "zeros")
    corners = [image[:, i : i + h, j : j + w] for i in (0, image.shape[1] - h) for j in (0, image.shape[2] - w)]
    five = np.stack([*corners, center_crop(image, size)])
    return np.concatenate([five, five[..., ::-1]])


def alexnet_training_view(
    image: Image,
    eigenvalues: Float[np.ndarray, "C"],
    eigenvectors: Float[np.ndarray, "C C"],
    rng: np.random.Generator,
    *,
    size: int = 224,
    shorter_side: int = 256,
    std: float = 0.1,
) -> Float[np.ndarray, "C size size"]:
    r"""What AlexNet sees of a training image: resized, cut to a square, cropped, flipped and lit at random.

    Shapes: image (C, H, W), the result (C, size, size).
    Conventions: the first option of each function that it calls.
    Raises: TypeError, ValueError as those functions.
    Source: Krizhevsky et al. 2012, sections 2 and 4.1.
    """
    square = center_crop(resize_shorter_side(image, shorter_side), shorter_side)
    cropped = horizontal_flip(random_crop(square, rng, size), rng)
    return pca_lighting(cropped, eigenvalues, eigenvectors, rng, std)


def alexnet_test_views(
    image: Image, *, size: int = 224, shorter_side: int = 256
) -> Float[np.ndarray, "10 C size size"]:
    r"""The ten views of a test image whose predictions AlexNet averages.

    Shapes: image (C, H, W), the result (10, C, size, size).
    Raises: TypeError, ValueError as ``resize_shorter_side`` and ``ten_crop``.
    Source: Krizhevsky et al. 2012, sections 2 and 4.1.
    """
    return ten_crop(center_crop(resize_shorter_side(image, shorter_side), shorter_side), size)
