"""The known mistakes in flips, crops and translations."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.colour_faults import reseeded
from dlcheck.augmentation.mistakes import ARTEFACTS, LESS_VARIETY, MISPLACED, NO_VARIETY, WRONG_INVARIANCE
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
        "flip-probability-squared", "two draws must be below p", "It flips too rarely.", "draw once",
        _other_chance(lambda p: p * p),
    ),
    _flip("flip-each-row", "each row is flipped or not by itself", ARTEFACTS, "draw once an image", _flip_parts(1)),
    _flip("flip-each-channel", "each channel is flipped by itself", ARTEFACTS, "draw once an image", _flip_parts(0)),
    reseeded("horizontal_flip", "flip"),
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


def _one_sided(image: Array, size: Any, padding: int) -> tuple[Array, Any, int]:
    return np.pad(image, ((0, 0), (0, 2 * padding), (0, 2 * padding))), size, 0


def _edge_padded(image: Array, size: Any, padding: int) -> tuple[Array, Any, int]:
    return np.pad(image, ((0, 0), (padding, padding), (padding, padding)), "edge"), size, 0


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
        "crop-wraps", "a window beyond the edge goes on at the other", ARTEFACTS, "draw top from H - h", _crop_wrapping
    ),
    _crop("crop-each-channel", "each channel is cut elsewhere", ARTEFACTS, "draw once an image", _crop_each_channel),
    _crop(
        "crop-padding-one-sided", "all padding is at the bottom and right", LESS_VARIETY, "pad all four sides",
        _given(_one_sided),
    ),
    _crop(
        "crop-padding-leading", "all padding is at the top and left", LESS_VARIETY, "pad all four sides",
        _given(lambda image, size, padding: (np.pad(image, ((0, 0), (2 * padding, 0), (2 * padding, 0))), size, 0)),
    ),
    _crop(
        "crop-padding-replicates", "the padding repeats the border pixels", ARTEFACTS, "pad with zeros",
        _given(_edge_padded),
    ),
    _crop(
        "crop-padding-ones", "the padding holds ones", ARTEFACTS, "pad with zeros", _given(
            lambda image, size, padding: (
                np.pad(image, ((0, 0), (padding, padding), (padding, padding)), constant_values=1.0), size, 0
            )
        ),
    ),
    _crop(
        "crop-padding-halved", "padding is what both sides get together", LESS_VARIETY, "pad each side by padding",
        _given(lambda image, size, padding: (
            np.pad(image, ((0, 0), *[(padding // 2, padding - padding // 2)] * 2)), size, 0
        )),
    ),
    reseeded("random_crop", "crop"),
)  # fmt: skip


# --- translation -----------------------------------------------------------------------------------------------------


def _translate(id: str, says: str, effect: str, fix: str, mistaken: Callable[..., Array]) -> Fault:
    return Fault(id, "translate", says, effect, fix, {"translate": mistaken})


def _shifted(change: Callable[[int, int], tuple[int, int]]) -> Callable[..., Array]:
    def translate(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
        return reference.translate(image, *change(dy, dx), fill)

    return translate


def _shift_taken(mode: str) -> Callable[..., Array]:
    """Another filling of what comes from outside: one of np.pad's modes."""

    def translate(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
        vertical, horizontal = ((max(d, 0), max(-d, 0)) for d in (dy, dx))
        padded = np.pad(image, ((0, 0), vertical, horizontal), mode)  # type: ignore[call-overload]
        top, left = max(-dy, 0), max(-dx, 0)
        return padded[:, top : top + image.shape[1], left : left + image.shape[2]]

    return translate


def _stopping_short(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
    dy, dx = (max(1 - n, min(d, n - 1)) for d, n in zip((dy, dx), image.shape[1:], strict=True))
    return reference.translate(image, dy, dx, fill)


def _drawn_over(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
    inside = reference.translate(np.ones_like(image), dy, dx)
    return np.where(inside > 0, reference.translate(image, dy, dx), image)


TRANSLATE = (
    _translate(
        "translate-sign", "both signs are wrong: up and to the left", MISPLACED, "y[i, j] = x[i - dy, j - dx]",
        _shifted(lambda dy, dx: (-dy, -dx)),
    ),
    _translate(
        "translate-up", "dy moves up", MISPLACED, "y[i, j] = x[i - dy, j - dx]; rows count downwards",
        _shifted(lambda dy, dx: (-dy, dx)),
    ),
    _translate(
        "translate-left", "dx moves to the left", MISPLACED, "y[i, j] = x[i - dy, j - dx]",
        _shifted(lambda dy, dx: (dy, -dx)),
    ),
    _translate(
        "translate-axes-swapped", "dy moves sideways, dx downwards", MISPLACED,
        "dy along the rows' axis, dx along the last", _shifted(lambda dy, dx: (dx, dy)),
    ),
    _translate(
        "translate-dy-ignored", "it moves sideways only", LESS_VARIETY, "move along both axes",
        _shifted(lambda dy, dx: (0, dx)),
    ),
    _translate(
        "translate-dx-ignored", "it moves up and down only", LESS_VARIETY, "move along both axes",
        _shifted(lambda dy, dx: (dy, 0)),
    ),
    _translate(
        "translate-off-by-one", "it moves one pixel too far", MISPLACED, "y[i, j] = x[i - dy, j - dx]",
        _shifted(lambda dy, dx: (dy + int(np.sign(dy)), dx + int(np.sign(dx)))),
    ),
    _translate(
        "translate-doubled", "it moves twice as far", MISPLACED, "in grid_sample's coordinates a pixel is 2 / W wide",
        _shifted(lambda dy, dx: (2 * dy, 2 * dx)),
    ),
    _translate(
        "translate-wraps", "what leaves on one side enters on the other", ARTEFACTS, "fill what comes from outside",
        lambda image, dy, dx, fill=0: np.roll(image, (dy, dx), (1, 2)),
    ),
    _translate("translate-edge-repeated", "the edge is repeated, not fill", ARTEFACTS, "fill", _shift_taken("edge")),
    _translate(
        "translate-over-itself", "the old pixels stay where fill should be", ARTEFACTS, "start from an image of fill",
        _drawn_over,
    ),
    _translate(
        "translate-fill-ignored", "fill is ignored, it is 0", ARTEFACTS, "use fill",
        lambda image, dy, dx, fill=0: reference.translate(image, dy, dx),
    ),
    _translate(
        "translate-stops-short", "a shift beyond the size leaves a row or column", "Far shifts are not far.",
        "clip shifts to the size, not to the size - 1", _stopping_short,
    ),
    _translate(
        "translate-modulo", "a shift beyond the size starts anew", "Far shifts are short ones.",
        "clip shifts to the size", lambda image, dy, dx, fill=0: reference.translate(
            image, int(np.fmod(dy, image.shape[1])), int(np.fmod(dx, image.shape[2])), fill
        ),
    ),
)  # fmt: skip
