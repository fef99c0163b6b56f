"""Augmentation in PyTorch, of one image (C, H, W) or of a batch (N, C, H, W) on any device, without loops over it.

Each image of a batch gets its own draw. Whatever draws takes a torch.Generator, on any device, and uses no other
source of chance. What only moves pixels keeps their bits, and takes integers too.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor
from torch.nn import functional

AnyImages = Shaped[Tensor, "*batch C h w"]
Images = Float[Tensor, "*batch C h w"]
Values = Float[Tensor, "C"]
Vectors = Float[Tensor, "C C"]

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value."""


def _images(image: Any, channels: int | None = None, *, floating: bool = True) -> Tensor:
    """A batch (N, C, H, W)."""
    if not isinstance(image, Tensor):
        raise TypeError(f"image must be a torch.Tensor, not {type(image).__name__}")
    if floating and not image.is_floating_point():
        raise TypeError(f"image must hold floating-point numbers, not {str(image.dtype).removeprefix('torch.')}")
    if image.ndim not in (3, 4) or (channels and image.shape[-3] != channels):
        raise ValueError(f"image must have shape ({channels or 'C'}, H, W), not {tuple(image.shape)}")
    return image if image.ndim == 4 else image[None]


def _number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not (math.isfinite(value) and low <= value <= high):
        wanted = f"from {low:g} to {high:g}" if math.isfinite(high) else "finite" if low == -math.inf else f">= {low:g}"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return float(value)


def _integer(name: str, value: Any, least: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be >= {least}, not {value!r}")
    return value


def _uniform(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    """Numbers from [0, 1), in float32 at least, drawn where the generator lives."""
    dtype = torch.promote_types(like.dtype, torch.float32) if like.is_floating_point() else torch.float32
    return torch.rand(shape, generator=generator, device=generator.device, dtype=dtype).to(like.device)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


# --- flip and crop ---------------------------------------------------------------------------------------------------


def horizontal_flip(image: AnyImages, p: float, generator: Generator) -> AnyImages:
    r"""Mirror left and right, $y_{cij} = x_{c,i,W-1-j}$, with probability p.

    Shapes: image (C, H, W) or (N, C, H, W), of any dtype; the result the same.
    Raises: TypeError, ValueError if image has another shape or p is no number from 0 to 1.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    images, p = _images(image, floating=False), _number("p", p, 0.0, 1.0)
    flipped = _per_image(_uniform((len(images),), generator, images) < p)
    return torch.where(flipped, images.flip(-1), images).view(image.shape)


def random_crop(
    image: AnyImages, size: int | tuple[int, int], generator: Generator, padding: int = 0
) -> Shaped[Tensor, "*batch C H W"]:
    r"""Cut out a window of a size, $y_{cij} = x_{c,t+i,l+j}$, every position of it equally likely.

    Shapes: image (C, H, W) or (N, C, H, W), of any dtype; the result (..., C, h, w), where size is (h, w) or h = w.
    Conventions: the padding holds zeros.
    Raises: TypeError, ValueError if the window exceeds the padded image or an argument is of the wrong kind.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    padded, h, w = _padded(image, size, padding)
    rows, columns = padded.shape[-2] - h + 1, padded.shape[-1] - w + 1
    drawn = _uniform((2, len(padded)), generator, padded.new_empty(0, dtype=torch.float64))
    top, left = (drawn[0] * rows).long(), (drawn[1] * columns).long()
    windows = padded.unfold(-2, h, 1).unfold(-2, w, 1)
    cropped = windows[torch.arange(len(padded), device=padded.device), :, top, left]
    return cropped.view(*image.shape[:-2], h, w)


def _padded(image: Any, size: Any, padding: Any) -> tuple[Tensor, int, int]:
    """The padded images, and height and width of the crop."""
    images, width = _images(image, floating=False), _integer("padding", padding, 0)
    h, w = (_integer("size", side, 1) for side in (size if isinstance(size, tuple | list) else (size, size)))
    padded = functional.pad(images, (width,) * 4) if width else images
    if h > padded.shape[-2] or w > padded.shape[-1]:
        raise ValueError(f"size must be at most that of the padded image {tuple(padded.shape[-2:])}, not {(h, w)}")
    return padded, h, w


# --- translation and rotation ----------------------------------------------------------------------------------------


def translate(image: AnyImages, dy: int, dx: int, fill: float = 0) -> AnyImages:
    r"""Move by whole pixels, down by dy and right by dx: $y_{cij} = x_{c,i-dy,j-dx}$, ``fill`` where that is outside.

    Shapes: image (C, H, W) or (N, C, H, W), of any dtype; the result the same.
    Raises: TypeError, ValueError if image has another shape, dy or dx is no integer or fill no number.
    Source: notes 002, AlexNet (translation).
    """
    images, (height, width) = _images(image, floating=False), image.shape[-2:]
    dy, dx = max(-height, min(_integer("dy", dy), height)), max(-width, min(_integer("dx", dx), width))
    if not images.numel():
        return image.clone()
    return functional.pad(images, (dx, -dx, dy, -dy), value=_number("fill", fill)).view(image.shape)


def rotate(image: AnyImages, degrees: float, fill: float = 0) -> AnyImages:
    r"""Rotate counter-clockwise about the centre, seen with the first row on top, taking the nearest pixels.

    $y(i, j) = x(r_y + b \sin\theta + a \cos\theta,\; r_x + b \cos\theta - a \sin\theta)$ with $r = ((H-1)/2, (W-1)/2)$
    and $(a, b) = (i, j) - r$, ``fill`` where that is outside

    Shapes: image (C, H, W) or (N, C, H, W), of any dtype; the result the same.
    Raises: TypeError, ValueError if image has another shape, or degrees or fill is no number.
    Source: notes 004, Data Augmentation (rotation).
    """
    images, fill, (height, width) = _images(image, floating=False), _number("fill", fill), image.shape[-2:]
    angle = math.radians(_number("degrees", degrees) % 360)
    if not images.numel():
        return image.clone()
    place = {"device": images.device, "dtype": torch.float64}
    i = torch.arange(height, **place)[:, None] - (height - 1) / 2
    j = torch.arange(width, **place) - (width - 1) / 2
    y = (j * math.sin(angle) + i * math.cos(angle) + height / 2).floor().long()
    x = (j * math.cos(angle) - i * math.sin(angle) + width / 2).floor().long()
    outside = (y < 0) | (y >= height) | (x < 0) | (x >= width)
    source = (y * width + x).masked_fill_(outside, 0)
    rotated = images.flatten(2).gather(2, source.view(1, 1, -1).expand(*images.shape[:2], -1)).view(images.shape)
    return rotated.masked_fill_(outside, fill).view(image.shape)


# --- colour ----------------------------------------------------------------------------------------------------------


def color_jitter(image: Images, brightness: float, contrast: float, saturation: float, generator: Generator) -> Images:
    r"""Change brightness, contrast and saturation by random factors, in random order.

    $y = f x + (1 - f) z$ with $z$ black, the mean grey and the grey image, each
    $f \sim U(\max(0, 1 - s), 1 + s)$ for its strength s; a strength of 0 leaves its step out

    Shapes: image (3, H, W) or (N, 3, H, W), values from 0 to 1; the result the same.
    Conventions: contrast turns about the mean of the grey image; values are clipped to [0, 1] after each step.
    Raises: TypeError, ValueError if image has another shape or a strength is negative or no number.
    Source: notes 002, AlexNet (colour); torchvision, ColorJitter.
    """
    images = _images(image, 3)
    named = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    strengths = [_number(name, value, 0.0) for name, value in named.items()]
    strength = images.new_tensor(strengths)
    low = (1 - strength).clamp(min=0)
    factors = low + (1 + strength - low) * _uniform((len(images), 3), generator, images).to(images.dtype)
    active = [step for step in range(3) if strengths[step]]
    # the ranks of random numbers are a random permutation
    order = _uniform((len(images), len(active)), generator, images).argsort(1)
    for steps in order.unbind(1):
        images = _step(images, images.new_tensor(active, dtype=torch.long)[steps], factors)
    return images.view(image.shape) if active else image.clone()


def _step(images: Tensor, steps: Tensor, factors: Tensor) -> Tensor:
    """One step of each image's own kind (0 brightness, 1 contrast, 2 saturation), by its own factor."""
    grey = (images.new_tensor(GREY) @ images.flatten(2)).view(len(images), 1, *images.shape[2:])
    away_from = torch.where(_per_image(steps == 2), grey, grey.mean((-2, -1), keepdim=True))
    away_from = away_from * _per_image(steps != 0)
    factor = _per_image(factors.gather(1, steps[:, None])[:, 0])
    return torch.lerp(away_from, images, factor).clamp_(0, 1)


def pca_lighting(image: Images, std: float, eigenvalues: Values, eigenvectors: Vectors, generator: Generator) -> Images:
    r"""Add one random amount of each principal component of the training set's colours to all pixels of an image.

    $y_{cij} = x_{cij} + \sum_k p_{ck} \alpha_k \lambda_k$ with $\alpha_k \sim N(0, \mathrm{std}^2)$

    Shapes: image (C, H, W) or (N, C, H, W); eigenvalues (C,); eigenvectors (C, C), one in each column; the result as
    image.
    Conventions: scaled by the eigenvalue, as in the paper.
    Raises: TypeError, ValueError if the shapes do not fit or std is negative or no number.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    images, channels = _images(image), image.shape[-3]
    values, vectors = (torch.as_tensor(given).to(images) for given in (eigenvalues, eigenvectors))
    if values.shape != (channels,) or vectors.shape != (channels, channels):
        raise ValueError(
            f"eigenvalues and eigenvectors must have shapes {(channels,)} and {(channels, channels)}, "
            f"not {tuple(values.shape)} and {tuple(vectors.shape)}"
        )
    alpha = _number("std", std, 0.0) * _standard_normal(images.shape[:2], generator, images)
    return (images + (alpha * values @ vectors.T)[..., None, None]).view(image.shape)


def _standard_normal(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def principal_colours(images: Float[Tensor, "N C h w"]) -> tuple[Values, Vectors]:
    r"""Eigenvalues, falling, and eigenvectors, in columns, of the covariance of all pixels' colours.

    Shapes: images (N, C, H, W); eigenvalues (C,), eigenvectors (C, C), each up to its sign.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    values, vectors = torch.linalg.eigh(torch.cov(images.movedim(1, 0).flatten(1), correction=0))
    return values.flip(0), vectors.flip(1)


def gaussian_noise(image: Images, std: float, generator: Generator) -> Images:
    r"""Add independent normal noise to every value, $y_{cij} = x_{cij} + n_{cij}$ with $n \sim N(0, \mathrm{std}^2)$.

    Shapes: image (C, H, W) or (N, C, H, W); the result the same.
    Conventions: not clipped.
    Raises: TypeError, ValueError if image has another shape or std is negative or no number.
    Source: notes 004, Data Augmentation.
    """
    images, std = _images(image), _number("std", std, 0.0)
    return torch.add(images, _standard_normal(images.shape, generator, images), alpha=std).view(image.shape)


# --- resizing ---------------------------------------------------------------------------------------------------------


def resize_shorter_side(image: Images, size: int) -> Float[Tensor, "*batch C H W"]:
    r"""Scale images so that their shorter side has a given length; the longer becomes $\lfloor L \, size / S \rfloor$.

    Shapes: image (C, H, W) or (N, C, H, W); the result (..., C, size, W') or (..., C, H', size).
    Conventions: triangular weights, widened where the image shrinks (antialiased bilinear).
    Raises: TypeError, ValueError if image has another shape or no pixels, or size is no positive integer.
    Source: Krizhevsky et al. 2012, section 2.
    """
    images, size, sides = _images(image), _integer("size", size, 1), image.shape[-2:]
    shorter = min(sides)
    if shorter == 0:
        raise ValueError(f"image must have pixels, not shape {tuple(image.shape)}")
    new = [size * side // shorter for side in sides]
    # torch has no antialiased kernel for halves, and its kernel for the CPU repeats the first row of a single column
    wide = images.to(torch.promote_types(images.dtype, torch.float32))
    column = new[1] == 1
    resized = functional.interpolate(
        wide.mT if column else wide, new[::-1] if column else new, mode="bilinear", antialias=True
    )
    return (resized.mT if column else resized).to(images.dtype).reshape(*image.shape[:-2], *new)


# --- AlexNet ---------------------------------------------------------------------------------------------------------


def center_crop(image: AnyImages, size: int) -> Shaped[Tensor, "*batch C size size"]:
    r"""A view of the middle, from row $\lfloor (H - s)/2 \rfloor$ and column $\lfloor (W - s)/2 \rfloor$ on.

    Shapes: image (C, H, W) or (N, C, H, W); the result (..., C, size, size).
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 2.
    """
    images, h, w = _padded(image, size, 0)
    top, left = (images.shape[-2] - h) // 2, (images.shape[-1] - w) // 2
    return image[..., top : top + h, left : left + w]


def ten_crop(image: AnyImages, size: int) -> Shaped[Tensor, "*batch 10 C size size"]:
    r"""The four corners and the middle, then their mirror images.

    Shapes: image (C, H, W) or (N, C, H, W); the result (..., 10, C, size, size): top left, top right, bottom left,
    bottom right, middle.
    Raises: TypeError, ValueError if the image is smaller than size.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    middle = center_crop(image, size)
    rows, columns = (0, image.shape[-2] - size), (0, image.shape[-1] - size)
    corners = [image[..., i : i + size, j : j + size] for i in rows for j in columns]
    five = torch.stack([*corners, middle], -4)
    return torch.cat([five, five.flip(-1)], -4)


def alexnet_training_view(
    image: Images,
    eigenvalues: Values,
    eigenvectors: Vectors,
    generator: Generator,
    *,
    size: int = 224,
    shorter_side: int = 256,
    std: float = 0.1,
) -> Float[Tensor, "*batch C size size"]:
    r"""What AlexNet sees of training images: resized, cut to a square, cropped, flipped and lit at random.

    Shapes: image (C, H, W) or (N, C, H, W); the result (..., C, size, size).
    Raises: TypeError, ValueError as the functions that it calls.
    Source: Krizhevsky et al. 2012, sections 2 and 4.1.
    """
    square = center_crop(resize_shorter_side(image, shorter_side), shorter_side)
    cropped = horizontal_flip(random_crop(square, size, generator), 0.5, generator)
    return pca_lighting(cropped, std, eigenvalues, eigenvectors, generator)


def alexnet_test_views(
    image: Images, *, size: int = 224, shorter_side: int = 256
) -> Float[Tensor, "*batch 10 C size size"]:
    r"""The ten views of test images whose predictions AlexNet averages.

    Shapes: image (C, H, W) or (N, C, H, W); the result (..., 10, C, size, size).
    Raises: TypeError, ValueError as ``resize_shorter_side`` and ``ten_crop``.
    Source: Krizhevsky et al. 2012, sections 2 and 4.1.
    """
    return ten_crop(center_crop(resize_shorter_side(image, shorter_side), shorter_side), size)
