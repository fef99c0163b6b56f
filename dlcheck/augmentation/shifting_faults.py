"""The known mistakes in translations."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.mistakes import ARTEFACTS, LESS_VARIETY, MISPLACED
from dlcheck.component import Fault

Array = NDArray[np.float64]


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


def _from_the_other_end(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
    """x[i - dy, j - dx] wherever Python gives it: a negative index counts from the end."""
    (i, rows), (j, columns) = (
        (np.arange(n) - d, (np.arange(n) - d >= -n) & (np.arange(n) - d < n))
        for d, n in zip((dy, dx), image.shape[1:], strict=True)
    )
    taken = image[:, i % image.shape[1]][:, :, j % image.shape[2]]
    return np.where(rows[:, None] & columns, taken, fill)


def _zero_blanks(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
    """Rolled, and out[:d] or out[d:] filled, which for d = 0 is nothing or everything."""
    return reference.translate(image, dy, dx, fill) if dy and dx else np.full_like(image, fill)


def _reads_what_it_wrote(image: Array, dy: int, dx: int, fill: float = 0) -> Array:
    moved = np.array(image)
    height, width = image.shape[1:]
    for i, j in np.ndindex(height, width):
        inside = 0 <= i - dy < height and 0 <= j - dx < width
        moved[:, i, j] = moved[:, i - dy, j - dx] if inside else fill
    return moved


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
    _translate(
        "translate-negative-index", "a negative index counts from the other end", ARTEFACTS,
        "fill where i - dy or j - dx is below 0", _from_the_other_end,
    ),
    _translate(
        "translate-zero-blanks", "along an axis without shift all becomes fill", "Unmoved images vanish.",
        "x[d:] is everything for d = 0: leave that axis alone", _zero_blanks,
    ),
    _translate(
        "translate-reads-what-it-wrote", "it moves pixels within the image it reads", ARTEFACTS,
        "write into a new image", _reads_what_it_wrote,
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
