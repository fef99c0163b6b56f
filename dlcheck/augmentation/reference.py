"""Augmentation of one image in NumPy float64.

A function that draws takes an np.random.Generator and gives one draw; ``name_read`` reads many of its draws back (see
``readback``). Images are (C, H, W); what is given is left untouched.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from scipy import special

from dlcheck.augmentation.arguments import (
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
    Scale,
    Vector,
    amounts_of,
    choice,
    deviation_of,
    image_of,
    integer,
    number,
    padded_image,
    real,
    strengths_of,
)  # fmt: skip
from dlcheck.augmentation.jitter import adjusted, conventions_of, steps_of
from dlcheck.augmentation.readback import (  # noqa: F401 - found beside the functions that they read
    color_jitter_read,
    gaussian_noise_read,
    horizontal_flip_read,
    pca_lighting_read,
    random_crop_read,
)  # fmt: skip
from dlcheck.augmentation.resampling import Resampling, resampling_weights

Direction = Literal["counter_clockwise", "clockwise"]
Rotation = Literal["nearest", "nearest_inside", "bilinear", "bilinear_clamped", "bilinear_inside"]
Rounding = Literal["down", "nearest"]
Ratio = Literal["sides", "common"]

_SMALL = 2.0**-16
"""A margin for rounding at a border."""


# --- flip and crop ---------------------------------------------------------------------------------------------------


def horizontal_flip(image: Image, rng: np.random.Generator, p: float = 0.5) -> Image:
    r"""Mirror left and right with probability p.

    $y_{cij} = x_{c,i,W-1-j}$ with probability $p$, else $x_{cij}$

    Shapes: image and the result (C, H, W).
    Raises: TypeError, ValueError if image is no real (C, H, W) or p no number from 0 to 1.
    Source: notes 002, AlexNet; Krizhevsky et al. 2012, section 4.1.
    """
    image, p = image_of(image), number("p", p, 0.0, 1.0)
    return image[..., ::-1].copy() if rng.random() < p else image


def random_crop(
    image: Image,
    rng: np.random.Generator,
    size: int | tuple[int, int],
    padding: int = 0,
    *,
    border: Border = "zeros",
) -> Float[np.ndarray, "C H W"]:
    r"""Cut out a window of a size, every position of it equally likely.

    $y_{cij} = x_{c,t+i,l+j}$ with $t \sim U\{0, \dots, H-h\}$ and $l \sim U\{0, \dots, W-w\}$ independent

    Shapes: image (C, H, W), the result (C, h, w), where size is (h, w) or h = w.
    Conventions: ``border``, what the padding holds.
    Raises: TypeError, ValueError if the window exceeds the padded image or an argument is of the wrong kind.
    Source: notes 004, Data Augmentation; Krizhevsky et al. 2012, section 4.1.
    """
    padded, h, w = padded_image(image, size, padding, border)
    top, left = rng.integers(padded.shape[1] - h + 1), rng.integers(padded.shape[2] - w + 1)
    return padded[:, top : top + h, left : left + w].copy()


# --- translation and rotation ----------------------------------------------------------------------------------------


def translate(image: Image, dy: int, dx: int, fill: float = 0) -> Image:
    r"""Move by whole pixels, down by dy and right by dx.

    $y_{cij} = x_{c,i-dy,j-dx}$ where that lies in the image, else ``fill``

    Shapes: image and the result (C, H, W).
    Raises: TypeError, ValueError if image is no real (C, H, W), dy or dx no integer or fill no number.
    Source: notes 002, AlexNet (translation).
    """
    image = image_of(image)
    moved = np.full_like(image, number("fill", fill))
    (to_y, from_y), (to_x, from_x) = (
        (slice(max(d, 0), max(n + d, 0)), slice(max(-d, 0), max(n - d, 0)))
        for d, n in zip((integer("dy", dy), integer("dx", dx)), image.shape[1:], strict=True)
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
    reach = _SMALL if interpolation.endswith("inside") else 0.5
    inside = (y >= -reach) & (y < height - 1 + reach) & (x >= -reach) & (x < width - 1 + reach)
    if interpolation.startswith("nearest"):
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
    being blended in at the border, or the border continued to the pixels' edges or only to their centres ("inside").
    Raises: TypeError, ValueError if image is no real (C, H, W), or degrees or fill no number.
    Source: notes 004, Data Augmentation (rotation).
    """
    image, fill, degrees = image_of(image), number("fill", fill), number("degrees", degrees)
    signs = {"counter_clockwise": 1.0, "clockwise": -1.0}
    sine, cosine = special.sindg(degrees), special.cosdg(degrees)
    sine *= signs[choice("direction", direction, signs)]
    choice("interpolation", interpolation, get_args(Rotation))
    middle_y, middle_x = ((n - 1) / 2 for n in image.shape[1:])
    i, j = np.arange(image.shape[1])[:, None] - middle_y, np.arange(image.shape[2]) - middle_x
    if not image.size:
        return image
    return _sampled(image, middle_y + j * sine + i * cosine, middle_x + j * cosine - i * sine, fill, interpolation)


# --- colour ----------------------------------------------------------------------------------------------------------


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
    image, strengths = image_of(image, 3), strengths_of(brightness, contrast, saturation)
    chosen = conventions_of(brightness_kind=brightness_kind, grey=grey, pivot=pivot, clipping=clipping)
    jittered = image[None]
    for step in steps_of(rng, order):
        if strengths[step]:
            factor = rng.uniform(max(0.0, 1 - strengths[step]), 1 + strengths[step], 1)
            jittered = adjusted(jittered, step, factor, **chosen)
    return np.clip(jittered[0], 0, 1) if clipping == "end" and any(strengths) else jittered[0]


def pca_lighting(
    image: Image,
    eigenvalues: Vector,
    eigenvectors: Matrix,
    rng: np.random.Generator,
    std: float,
    *,
    scale: Scale = "eigenvalue",
) -> Image:
    r"""Add one random amount of each principal component of the training set's colours to all pixels.

    $y_{cij} = x_{cij} + \sum_k p_{ck} \alpha_k \lambda_k$ with $\alpha_k \sim N(0, \mathrm{std}^2)$, once an image

    Shapes: image and the result (C, H, W); eigenvalues (C,); eigenvectors (C, C), one in each column.
    Conventions: ``scale``, by the eigenvalue $\lambda_k$ (the variance) or its root (the deviation).
    Raises: TypeError, ValueError if the shapes do not fit or std is negative or no number.
    Source: notes 002, AlexNet (lighting); Krizhevsky et al. 2012, section 4.1.
    """
    image, vectors, amounts = image_of(image), real("eigenvectors", eigenvectors), amounts_of(eigenvalues, scale)
    channels = image.shape[0]
    if amounts.shape != (channels,) or vectors.shape != (channels, channels):
        raise ValueError(
            f"eigenvalues and eigenvectors must have shapes {(channels,)} and {(channels, channels)}, "
            f"not {amounts.shape} and {vectors.shape}"
        )
    alpha = rng.normal(0.0, number("std", std, 0.0), channels)
    return image + (vectors @ (alpha * amounts))[:, None, None]


def principal_colours(
    images: Float[np.ndarray, "N C h w"],
) -> tuple[Vector, Matrix]:
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
    parameter: Parameter = "deviation",
    clipping: Clipping = "none",
) -> Image:
    r"""Add independent normal noise to every value.

    $y_{cij} = x_{cij} + n_{cij}$ with $n_{cij} \sim N(0, \mathrm{std}^2)$

    Shapes: image and the result (C, H, W).
    Conventions: ``parameter``, whether the number given is the deviation or the variance; ``clipping`` to [0, 1].
    Raises: TypeError, ValueError if image is no real (C, H, W) or std is negative or no number.
    Source: notes 004, Data Augmentation.
    """
    image, std = image_of(image), deviation_of(std, parameter)
    noisy = image + rng.normal(0.0, std, image.shape)
    return np.clip(noisy, 0, 1) if choice("clipping", clipping, ("none", "unit")) == "unit" else noisy


# --- resizing --------------------------------------------------------------------------------------------------------


def resize_shorter_side(
    image: Image,
    size: int,
    *,
    resampling: Resampling = "antialias",
    rounding: Rounding = "down",
    ratio: Ratio = "sides",
) -> Float[np.ndarray, "C H W"]:
    r"""Scale an image so that its shorter side has a given length, keeping its shape as nearly as whole pixels can.

    The longer side L becomes $\lfloor L \, \mathrm{size} / S \rfloor$ of the shorter S.

    Shapes: image (C, H, W), the result (C, size, W') or (C, H', size).
    Conventions: ``resampling``, how pixels are weighted; ``rounding`` of the longer side; ``ratio`` of old to new
    pixels, that of each side's lengths or that of the shorter for both.
    Raises: TypeError, ValueError if image is no real (C, H, W) with pixels or size no positive integer.
    Source: notes 004, Data Augmentation; Krizhevsky et al. 2012, section 2.
    """
    image, size = image_of(image), integer("size", size, 1)
    shorter = min(image.shape[1:])
    if shorter == 0:
        raise ValueError(f"image must have pixels, not shape {image.shape}")
    half = {"down": 0, "nearest": shorter}[choice("rounding", rounding, ("down", "nearest"))]
    common = {"sides": None, "common": shorter / size}[choice("ratio", ratio, ("sides", "common"))]
    rows, columns = (
        resampling_weights(
            side,
            (2 * size * side + half) // (2 * shorter),
            choice("resampling", resampling, get_args(Resampling)),
            common,
        )
        for side in image.shape[1:]
    )
    return rows @ image @ columns.T


# --- AlexNet ---------------------------------------------------------------------------------------------------------


def center_crop(image: Image, size: int) -> Float[np.ndarray, "C size size"]:
    r"""Cut the middle out, from row $\lfloor (H - s)/2 \rfloor$ and column $\lfloor (W - s)/2 \rfloor$ on.

    Shapes: image (C, H, W), the result (C, size, size).
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 2.
    """
    image, h, w = padded_image(image, size, 0, "zeros")
    top, left = (image.shape[1] - h) // 2, (image.shape[2] - w) // 2
    return image[:, top : top + h, left : left + w].copy()


def ten_crop(image: Image, size: int) -> Float[np.ndarray, "10 C size size"]:
    r"""The four corners and the middle of an image, then their mirror images.

    Shapes: image (C, H, W), the result (10, C, size, size): top left, top right, bottom left, bottom right, middle.
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    image, h, w = padded_image(image, size, 0, "zeros")
    corners = [image[:, i : i + h, j : j + w] for i in (0, image.shape[1] - h) for j in (0, image.shape[2] - w)]
    five = np.stack([*corners, center_crop(image, size)])
    return np.concatenate([five, five[..., ::-1]])


def alexnet_training_view(
    image: Image,
    eigenvalues: Vector,
    eigenvectors: Matrix,
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
