"""The known mistakes in flips and crops."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.augmentation import reference
from dlcheck.augmentation.mistakes import (
    ARTEFACTS,
    LESS_VARIETY,
    MISPLACED,
    NO_VARIETY,
    WRONG_INVARIANCE,
    deaf,
    reseeded,
)
from dlcheck.component import Fault

Array = NDArray[np.float64]
Generator = np.random.Generator


# --- flip ------------------------------------------------------------------------------------------------------------


def _flip(id: str, says: str, effect: str, fix: str, sampler: Callable[..., Array], *happened: str) -> Fault:
    return Fault(id, "horizontal_flip", says, effect, fix, {"horizontal_flip": sampler}, happened)


def _other_mirror(mirror: Callable[[Array], Array]) -> Callable[..., Array]:
    def flip(image: Array, rng: Generator, p: float = 0.5) -> Array:
        return mirror(image).copy() if rng.random() < p else image

    return flip


def _other_chance(chance: Callable[[float], float]) -> Callable[..., Array]:
    def flip(image: Array, rng: Generator, p: float = 0.5) -> Array:
        return reference.horizontal_flip(image, rng, chance(p))

    return flip


def _flip_parts(axis: int) -> Callable[..., Array]:
    """A draw for each part of the image along an axis."""

    def flip(image: Array, rng: Generator, p: float = 0.5) -> Array:
        parts = (reference.horizontal_flip(part, rng, p) for part in np.split(image, image.shape[axis], axis))
        return np.concatenate(list(parts), axis)

    return flip


def _half_mirrored(image: Array) -> Array:
    """As of a copy in place, which reads what it has written."""
    return np.where(np.arange(image.shape[-1]) < image.shape[-1] // 2, image[..., ::-1], image)


HORIZONTAL_FLIP = (
    _flip(
        "flip-vertical", "it swaps top and bottom", WRONG_INVARIANCE, "flip the last axis of (C, H, W)",
        _other_mirror(lambda image: image[:, ::-1]),
    ),
    _flip(
        "flip-both-axes", "it turns the image by 180 degrees", WRONG_INVARIANCE, "flip the last axis alone",
        _other_mirror(lambda image: image[:, ::-1, ::-1]),
    ),
    _flip(
        "flip-every-axis", "it reverses the channels, too, and top and bottom", WRONG_INVARIANCE,
        "flip the last axis alone", _other_mirror(np.flip),
    ),
    _flip(
        "flip-channels", "it reverses the channels", "Red and blue are exchanged.", "flip the last axis of (C, H, W)",
        _other_mirror(lambda image: image[::-1]),
    ),
    _flip(
        "aug-flip-coordinates-off-by-one", "column j comes from W - j, not W - 1 - j", f"{MISPLACED} They are one off.",
        "x[..., W - 1 - j]", _other_mirror(lambda image: np.roll(image[..., ::-1], 1, -1)),
        "https://github.com/ultralytics/yolov5/issues/2213",
        "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch/issues/49",
        "https://github.com/albumentations-team/albumentations/issues/1720",
    ),
    _flip(
        "flip-half", "only the left half is mirrored", ARTEFACTS, "reverse the whole axis",
        _other_mirror(_half_mirrored),
    ),
    _flip(
        "flip-always", "it flips every image", "The network never sees an image as it is.", "flip if random() < p",
        _other_chance(lambda p: 1.0),
    ),
    _flip("flip-never", "it flips no image", NO_VARIETY, "flip if random() < p", _other_chance(lambda p: 0.0)),
    _flip(
        "flip-probability-inverted", "it flips with probability 1 - p", "p = 1 flips nothing, p = 0 everything.",
        "flip if random() < p, not > p", _other_chance(lambda p: 1 - p),
    ),
    _flip(
        "flip-probability-ignored", "it flips every second image, whatever p", "p cannot switch it off.",
        "flip if random() < p", _other_chance(lambda p: 0.5),
    ),
    _flip(
        "flip-normal-draw", "the draw is normal, not uniform", "p = 0 flips every second image.", "rand, not randn",
        _other_chance(lambda p: float(special.ndtr(p))),
    ),
    _flip(
        "flip-probability-squared", "two draws must be below p", "It flips too rarely.", "draw once",
        _other_chance(lambda p: p * p),
    ),
    _flip("flip-each-row", "each row is flipped or not by itself", ARTEFACTS, "draw once an image", _flip_parts(1)),
    _flip("flip-each-channel", "each channel is flipped by itself", ARTEFACTS, "draw once an image", _flip_parts(0)),
    reseeded("horizontal_flip", "flip"),
    deaf("horizontal_flip", "flip"),
)  # fmt: skip


# --- crop ------------------------------------------------------------------------------------------------------------

Offsets = Callable[[Generator, int, int], tuple[int, int]]


def _crop(id: str, says: str, effect: str, fix: str, sampler: Callable[..., Array], *happened: str) -> Fault:
    return Fault(id, "random_crop", says, effect, fix, {"random_crop": sampler}, happened)


def _window(padded: Array, top: int, left: int, h: int, w: int) -> Array:
    return padded[:, top : top + h, left : left + w].copy()


def _sides(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, tuple | list) else (size, size)


def _padded(image: Array, padding: int, border: str) -> Array:
    mode = {"zeros": "constant", "reflect": "reflect"}[border]
    sides = (0, 0), (padding, padding), (padding, padding)
    return np.pad(image, sides, mode) if padding else image  # type: ignore[call-overload]


def _at(offsets: Offsets) -> Callable[..., Array]:
    """Another choice of top and left, given the numbers of rows and columns where a window may start."""

    def crop(image: Array, rng: Generator, size: Any, padding: int = 0, *, border: str = "zeros") -> Array:
        padded, (h, w) = _padded(image, padding, border), _sides(size)
        top, left = offsets(rng, padded.shape[1] - h + 1, padded.shape[2] - w + 1)
        return _window(padded, top, left, h, w)

    return crop


def _given(change: Callable[[Array, Any, int], tuple[Array, Any, int]]) -> Callable[..., Array]:
    """The right crop of another image, size and padding."""

    def crop(image: Array, rng: Generator, size: Any, padding: int = 0, *, border: str = "zeros") -> Array:
        image, size, padding = change(image, size, padding)
        return reference.random_crop(image, rng, size, padding, border=border)  # type: ignore[arg-type]

    return crop


def _same_offset(rng: Generator, rows: int, columns: int) -> tuple[int, int]:
    offset = int(rng.integers(min(rows, columns)))
    return offset, offset


def _one_draw(rng: Generator, rows: int, columns: int) -> tuple[int, int]:
    position = rng.random()
    return int(position * rows), int(position * columns)


def _corner_or_centre(rng: Generator, rows: int, columns: int) -> tuple[int, int]:
    corners = [(top, left) for top in (0, rows - 1) for left in (0, columns - 1)]
    return [*corners, ((rows - 1) // 2, (columns - 1) // 2)][int(rng.integers(5))]


def _swapped_ranges(rng: Generator, rows: int, columns: int) -> tuple[int, int]:
    return min(int(rng.integers(columns)), rows - 1), min(int(rng.integers(rows)), columns - 1)


def _each_axis(offset: Callable[[Generator, int], int]) -> Callable[..., Array]:
    return _at(lambda rng, rows, columns: (offset(rng, rows), offset(rng, columns)))


def _crop_wrapping(image: Array, rng: Generator, size: Any, padding: int = 0, *, border: str = "zeros") -> Array:
    padded, (h, w) = _padded(image, padding, border), _sides(size)
    shift = -rng.integers(padded.shape[1]), -rng.integers(padded.shape[2])
    return np.roll(padded, shift, (1, 2))[:, :h, :w] if padded.shape[1:] != (h, w) else padded


def _crop_each_channel(image: Array, rng: Generator, size: Any, padding: int = 0, *, border: str = "zeros") -> Array:
    parts = (reference.random_crop(part[None], rng, size, padding, border=border) for part in image)  # type: ignore[arg-type]
    return np.concatenate(list(parts))


Sides = Callable[[int], tuple[tuple[int, int], tuple[int, int]]]


def _padded_by(sides: Sides, mode: str = "constant") -> Callable[..., Array]:
    """Other padding: what stands before and after rows and columns, by the padding asked for, and its values."""
    return _given(lambda image, size, padding: (np.pad(image, ((0, 0), *sides(padding)), mode), size, 0))  # type: ignore[call-overload]


def _all_sides(padding: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (padding, padding), (padding, padding)


def _padding_not_counted(image: Array, rng: Generator, size: Any, padding: int = 0, *, border: str = "zeros") -> Array:
    (h, w), (height, width) = _sides(size), image.shape[1:]
    top, left = (int(rng.integers(max(room, 0) + 1)) for room in (height - h, width - w))
    return _window(_padded(image, padding, border), top, left, h, w)


def _padded_after(image: Array, rng: Generator, size: Any, padding: int = 0, **border: Any) -> Array:
    h, w = _sides(size)
    cut = reference.random_crop(image, rng, (min(h, image.shape[1]), min(w, image.shape[2])), **border)
    return np.pad(cut, ((0, 0), *_all_sides(padding)))


RANDOM_CROP = (
    _crop(
        "aug-random-crop-last-offset-never", "the last offset is never drawn", f"{LESS_VARIETY} The last row and "
        "column are never seen.", "randint(0, H - h + 1), whose end is excluded",
        _each_axis(lambda rng, count: int(rng.integers(max(count - 1, 1)))),
        "https://github.com/pytorch/tutorials/issues/876", "https://github.com/facebookresearch/vjepa2/issues/181",
        "https://github.com/juglab/PPN2V/issues/7", "https://github.com/albumentations-team/albumentations/issues/1075",
        "https://github.com/ARISE-Initiative/robomimic/issues/307",
    ),
    _crop(
        "crop-first-offset-never", "the first offset is never drawn", f"{LESS_VARIETY} The first row and column are "
        "never seen.", "randint(0, H - h + 1), not randint(1, ...)",
        _each_axis(lambda rng, count: int(rng.integers(min(1, count - 1), count))),
    ),
    _crop(
        "crop-same-offset", "top and left are the same number", LESS_VARIETY,
        "draw top and left apart", _at(_same_offset),
    ),
    _crop(
        "crop-one-draw", "one draw decides top and left", LESS_VARIETY, "draw top and left apart", _at(_one_draw)
    ),
    _crop(
        "crop-offset-rounded", "offsets are rounded: ends come half as often", "Windows at the border are too rare.",
        "int(random() * (H - h + 1))", _each_axis(lambda rng, count: int(np.rint(rng.random() * (count - 1)))),
    ),
    _crop(
        "crop-ranges-swapped", "top is drawn for the width, left for the height", f"{LESS_VARIETY} Only square images "
        "come out right.", "top from H - h, left from W - w",
        _at(_swapped_ranges),
    ),
    _crop(
        "crop-top-fixed", "only left is random", LESS_VARIETY, "draw top and left",
        _at(lambda rng, rows, columns: (0, int(rng.integers(columns)))),
    ),
    _crop(
        "crop-left-fixed", "only top is random", LESS_VARIETY, "draw top and left",
        _at(lambda rng, rows, columns: (int(rng.integers(rows)), 0)),
    ),
    _crop(
        "crop-centre", "it always cuts out the middle", NO_VARIETY, "draw top and left",
        _each_axis(lambda rng, count: (count - 1) // 2),
    ),
    _crop(
        "crop-corner", "it always cuts out the top left corner", NO_VARIETY, "draw top and left",
        _each_axis(lambda rng, count: 0),
    ),
    _crop(
        "crop-corners-only", "only the four corners are cut out", LESS_VARIETY, "draw any top and left",
        _at(lambda rng, rows, columns: ((rows - 1) * int(rng.integers(2)), (columns - 1) * int(rng.integers(2)))),
    ),
    _crop(
        "crop-corners-or-centre", "only the corners and the middle are cut out", LESS_VARIETY, "draw any top and left",
        _at(_corner_or_centre),
    ),
    _crop(
        "crop-wraps", "a window beyond the edge goes on at the other", ARTEFACTS, "draw top from H - h", _crop_wrapping
    ),
    _crop("crop-each-channel", "each channel is cut elsewhere", ARTEFACTS, "draw once an image", _crop_each_channel),
    _crop(
        "crop-padding-one-sided", "padding is at the bottom and right only", LESS_VARIETY, "pad all four sides",
        _padded_by(lambda n: ((0, n), (0, n))),
    ),
    _crop(
        "crop-padding-leading", "padding is at the top and left only", LESS_VARIETY, "pad all four sides",
        _padded_by(lambda n: ((n, 0), (n, 0))),
    ),
    _crop(
        "crop-padding-sideways", "padding is at the left and right only", LESS_VARIETY, "pad all four sides",
        _padded_by(lambda n: ((0, 0), (n, n))),
    ),
    _crop(
        "crop-padding-halved", "each side gets half of the padding", LESS_VARIETY, "pad each side by padding",
        _padded_by(lambda n: ((n // 2, n // 2), (n // 2, n // 2))),
    ),
    _crop(
        "crop-padding-replicates", "the padding repeats the border pixels", ARTEFACTS, "pad with zeros",
        _padded_by(_all_sides, "edge"),
    ),
    _crop(
        "crop-padding-mean", "the padding holds the image's mean", ARTEFACTS, "pad with zeros", _given(
            lambda image, size, padding: (
                np.pad(image, ((0, 0), *_all_sides(padding)), constant_values=image.mean()), size, 0
            )
        ),
    ),
    _crop(
        "crop-padding-ones", "the padding holds ones", ARTEFACTS, "pad with zeros", _given(
            lambda image, size, padding: (
                np.pad(image, ((0, 0), *_all_sides(padding)), constant_values=1.0), size, 0
            )
        ),
    ),
    _crop(
        "crop-padding-not-counted", "offsets are drawn for the image without padding", LESS_VARIETY,
        "top from H + 2 padding - h", _padding_not_counted,
    ),
    _crop("crop-padded-after", "it pads what it has cut out", ARTEFACTS, "pad first", _padded_after),
    reseeded("random_crop", "crop"),
    deaf("random_crop", "crop"),
)  # fmt: skip
