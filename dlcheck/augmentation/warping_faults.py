"""The known mistakes in rotations and changes of size."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.augmentation import reference
from dlcheck.augmentation.mistakes import ARTEFACTS, DISTORTED, LESS_VARIETY, MISPLACED, WRONG_INVARIANCE
from dlcheck.component import Fault

Array = NDArray[np.float64]


# --- rotation --------------------------------------------------------------------------------------------------------

Grid = Callable[[Array, Array, float, float, int, int], tuple[Array, Array]]
"""From offsets to the centre, sine, cosine, height and width the source's offsets to the centre."""


def _rotate(id: str, says: str, effect: str, fix: str, mistaken: Callable[..., Array]) -> Fault:
    return Fault(id, "rotate", says, effect, fix, {"rotate": mistaken})


def _centre(height: int, width: int) -> tuple[float, float]:
    return (height - 1) / 2, (width - 1) / 2


def _on_grid(
    grid: Grid, pivot: Callable[[int, int], tuple[float, float]] = _centre,
    place: Callable[[Array, int], Array] = lambda positions, length: positions,
) -> Callable[..., Array]:  # fmt: skip
    """Another map to the source, about another point of an image of that height and width, or other positions."""

    def rotate(
        image: Array, degrees: float, fill: float = 0, *, direction: str = "counter_clockwise",
        interpolation: str = "nearest",
    ) -> Array:  # fmt: skip
        height, width = image.shape[1:]
        angle = np.deg2rad(degrees if direction == "counter_clockwise" else -degrees)
        middle = pivot(height, width)
        i, j = np.arange(height)[:, None] - middle[0], np.arange(width) - middle[1]
        y, x = grid(i, j, np.sin(angle), np.cos(angle), height, width)
        y, x = place(middle[0] + y, height), place(middle[1] + x, width)
        return reference._sampled(image, y, x, fill, interpolation)  # type: ignore[arg-type]

    return rotate


def _turned(change: Callable[[float], float]) -> Callable[..., Array]:
    def rotate(image: Array, degrees: float, fill: float = 0, **conventions: Any) -> Array:
        return reference.rotate(image, change(degrees), fill, **conventions)

    return rotate


def _right(i: Array, j: Array, s: float, c: float, *_: int) -> tuple[Array, Array]:
    return j * s + i * c, j * c - i * s


def _about_corner(i: Array, j: Array, s: float, c: float, height: int, width: int) -> tuple[Array, Array]:
    y, x = _right(i + (height - 1) / 2, j + (width - 1) / 2, s, c)
    return y - (height - 1) / 2, x - (width - 1) / 2


def _scaled(i: Array, j: Array, s: float, c: float, height: int, width: int) -> tuple[Array, Array]:
    """Normalised by the distance of the outermost centres, and back by that of the edges."""
    return _right(i * height / max(height - 1, 1), j * width / max(width - 1, 1), s, c)


def _scaled_up(i: Array, j: Array, s: float, c: float, height: int, width: int) -> tuple[Array, Array]:
    """Normalised by the distance of the edges, and back by that of the outermost centres."""
    return _right(i * (height - 1) / height, j * (width - 1) / width, s, c)


def _between(weights: Callable[[Array, Array], tuple[Array, Array]]) -> Callable[..., Array]:
    """Bilinear with other weights of the lower and the right neighbours, made of those that are right."""

    def rotate(
        image: Array, degrees: float, fill: float = 0, *, direction: str = "counter_clockwise", **_: Any
    ) -> Array:
        height, width = image.shape[1:]
        angle = np.deg2rad(degrees if direction == "counter_clockwise" else -degrees)
        i, j = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
        y, x = _right(i, j, np.sin(angle), np.cos(angle))
        framed = np.pad(image, ((0, 0), (2, 2), (2, 2)), constant_values=fill)
        y, x = (np.clip(v + (n - 1) / 2, -2, n + 0.5) + 2 for v, n in ((y, height), (x, width)))
        top, left = np.floor(y + 2.0**-40).astype(int), np.floor(x + 2.0**-40).astype(int)
        down, right = weights(y - top, x - left)
        upper = framed[:, top, left] * (1 - right) + framed[:, top, left + 1] * right
        lower = framed[:, top + 1, left] * (1 - right) + framed[:, top + 1, left + 1] * right
        return upper * (1 - down) + lower * down

    return rotate


def _with_holes(
    image: Array, degrees: float, fill: float = 0, *, direction: str = "counter_clockwise", **_: Any
) -> Array:
    """Every old pixel is put where it goes, rounded: some places get none."""
    place = np.arange(1.0, image[0].size + 1).reshape(1, *image.shape[1:])
    height, width = image.shape[1:]
    angle = np.deg2rad(-degrees if direction == "counter_clockwise" else degrees)
    i, j = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    y, x = _right(i, j, np.sin(angle), np.cos(angle))
    rows, columns = (np.floor(a + n / 2).astype(int) for a, n in ((y, height), (x, width)))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rotated = np.full_like(image, fill)
    rotated[:, rows[inside], columns[inside]] = image.reshape(len(image), -1)[:, place[0][inside].astype(int) - 1]
    return rotated


def _filled(mode: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """What comes from outside is something else than fill: a function of the image and the mask of the outside."""

    def rotate(image: Array, degrees: float, fill: float = 0, **conventions: Any) -> Array:
        turned = reference.rotate(image, degrees, 0.0, **conventions)
        share = reference.rotate(np.ones_like(image), degrees, 0.0, **conventions)
        return turned + (1 - share) * mode(image, share)

    return rotate


def _whole(positions: Array, length: int) -> Array:
    """Cut off, where rounding in the last digits does not decide."""
    return np.trunc(positions + 2.0**-16 * np.sign(positions))


ROTATE = (
    _rotate(
        "rotate-radians", "degrees are taken for radians", DISTORTED + " The angle is any.", "radians(degrees)",
        _turned(lambda degrees: float(np.rad2deg(degrees))),
    ),
    _rotate(
        "rotate-half-angle", "it rotates by half the angle", LESS_VARIETY, "cos and sin of the angle itself",
        _turned(lambda degrees: degrees / 2),
    ),
    _rotate(
        "rotate-quarters-only", "angles are rounded down to quarter turns", LESS_VARIETY, "sample at the rotated grid",
        _turned(lambda degrees: 90.0 * (degrees // 90)),
    ),
    _rotate(
        "rotate-about-corner", "it rotates about the top left corner", f"{MISPLACED} Most of the image is lost.",
        "rotate about ((H - 1) / 2, (W - 1) / 2)", _on_grid(_about_corner),
    ),
    _rotate(
        "rotate-centre-off-by-half", "it rotates about (H / 2, W / 2)", f"{MISPLACED} They are up to a pixel off.",
        "pixel centres are whole numbers: ((H - 1) / 2, (W - 1) / 2)", _on_grid(
            _right, lambda height, width: (height / 2, width / 2)
        ),
    ),
    _rotate(
        "rotate-centre-rounded", "it rotates about (H // 2, W // 2)", f"{MISPLACED} With even sides they are off.",
        "((H - 1) / 2, (W - 1) / 2)", _on_grid(_right, lambda height, width: (height // 2, width // 2)),
    ),
    _rotate(
        "rotate-centre-swapped", "the centre's row and column are swapped", f"{MISPLACED} Only squares stay in place.",
        "((H - 1) / 2, (W - 1) / 2)", _on_grid(_right, lambda height, width: _centre(width, height)),
    ),
    _rotate(
        "rotate-sheared-by-aspect", "the grid is rotated in units of height and width", DISTORTED + " Only squares "
        "stay as they are.", "multiply by W / H between the axes, or rotate in pixels", _on_grid(
            lambda i, j, s, c, height, width: (j * s * height / width + i * c, j * c - i * s * width / height)
        ),
    ),
    _rotate(
        "rotate-scaled", "it scales by n / (n - 1)", f"{MISPLACED} The image shrinks a little.",
        "the same align_corners in affine_grid and grid_sample", _on_grid(_scaled),
    ),
    _rotate(
        "rotate-scaled-up", "it scales by (n - 1) / n", f"{MISPLACED} The image grows a little.",
        "the same align_corners in affine_grid and grid_sample", _on_grid(_scaled_up),
    ),
    _rotate(
        "rotate-weights-swapped", "the nearer pixels get the farther ones' weights", ARTEFACTS,
        "1 - w for the pixel at the floor", _between(lambda down, right: (1 - down, 1 - right)),
    ),
    _rotate(
        "rotate-weights-of-other-axis", "weights of rows and columns are exchanged", ARTEFACTS,
        "wx with columns, wy with rows", _between(lambda down, right: (right, down)),
    ),
    _rotate(
        "rotate-mirrored", "both sines have one sign: it shears", DISTORTED, "(cos, -sin; sin, cos)",
        _on_grid(lambda i, j, s, c, *_: (j * s + i * c, j * c + i * s)),
    ),
    _rotate(
        "rotate-sine-cosine-swapped", "sine and cosine are swapped", WRONG_INVARIANCE, "(cos, -sin; sin, cos)",
        _on_grid(lambda i, j, s, c, *_: _right(i, j, c, s)),
    ),
    _rotate(
        "rotate-truncated", "coordinates are cut off, not rounded", f"{MISPLACED} The image moves by half a pixel.",
        "floor(x + 0.5)", _on_grid(_right, place=_whole),
    ),
    _rotate(
        "rotate-floored", "coordinates are rounded down", f"{MISPLACED} The image moves by half a pixel.",
        "floor(x + 0.5)", _on_grid(_right, place=lambda positions, length: np.floor(positions + 2.0**-16)),
    ),
    _rotate(
        "rotate-with-holes", "old pixels are put at rounded places", ARTEFACTS,
        "go through the new pixels and look where each comes from", _with_holes,
    ),
    _rotate(
        "rotate-fill-ignored", "fill is ignored, it is 0", ARTEFACTS, "use fill",
        lambda image, degrees, fill=0, **conventions: reference.rotate(image, degrees, **conventions),
    ),
    _rotate(
        "rotate-edge-repeated", "the edge is repeated, not fill", ARTEFACTS, "fill", _on_grid(
            _right, place=lambda positions, length: np.clip(positions, 0, length - 1)
        ),
    ),
    _rotate(
        "rotate-wraps", "what leaves on one side enters on the other", ARTEFACTS, "fill", _on_grid(
            _right, place=lambda positions, length: np.floor(positions + 0.5) % length
        ),
    ),
    _rotate(
        "rotate-shows-original", "the old image shows where fill should be", ARTEFACTS, "start from an image of fill",
        _filled(lambda image, share: image),
    ),
    _rotate(
        "rotate-fills-with-mean", "the image's mean is taken for fill", ARTEFACTS, "use fill",
        _filled(lambda image, share: image.mean()),
    ),
)  # fmt: skip


# --- resizing --------------------------------------------------------------------------------------------------------


def _resize(id: str, says: str, effect: str, fix: str, mistaken: Callable[..., Array]) -> Fault:
    return Fault(id, "resize_shorter_side", says, effect, fix, {"resize_shorter_side": mistaken})


def _to_sides(sides: Callable[..., tuple[int, int]]) -> Callable[..., Array]:
    """Another choice of the new height and width, given the old ones and the size."""

    def resize(image: Array, size: int, *, resampling: str = "antialias", **_: str) -> Array:
        new = sides(*image.shape[1:], size)
        rows, columns = (
            reference.resampling_weights(old, side, resampling)  # type: ignore[arg-type]
            for old, side in zip(image.shape[1:], new, strict=True)
        )
        return rows @ image @ columns.T

    return resize


def _scaled_side(side: int, by: int, size: int) -> int:
    return max(size * side // by, 1)


def _weighted(weights: Callable[[int, int], Array]) -> Callable[..., Array]:
    """Other weights, given the old and the new length of an axis."""

    def resize(image: Array, size: int, **conventions: Any) -> Array:
        new = reference.resize_shorter_side(image, size, **conventions).shape
        rows, columns = (weights(old, side) for old, side in zip(image.shape[1:], new[1:], strict=True))
        return rows @ image @ columns.T

    return resize


def _from_corners(old: int, new: int) -> Array:
    """Pixels' corners are aligned, not their centres: x_i = i n / m."""
    centre = np.minimum(np.arange(new) * (old / new), old - 1)[:, None]
    return np.maximum(0.0, 1 - np.abs(np.arange(old) - centre))


def _nearest_of(position: Callable[[Array, int, int], Array]) -> Callable[[int, int], Array]:
    """The one pixel whose position is given for those of the new axis, from the old and the new length."""

    def weights(old: int, new: int) -> Array:
        places = np.minimum(np.floor(position(np.arange(float(new)), old, new) + 2.0**-16), old - 1)
        return np.equal.outer(places, np.arange(old)).astype(np.float64)

    return weights


def _dark_borders(old: int, new: int) -> Array:
    scale = max(old / new, 1.0)
    centre = (np.arange(new)[:, None] + 0.5) * (old / new) - 0.5
    return np.maximum(0.0, 1 - np.abs((np.arange(old) - centre) / scale)) / scale


RESIZE = (
    _resize(
        "resize-longer-side", "the longer side gets the length", "Crops of the size asked for fail or leave gaps.",
        "size / min(H, W)",
        _to_sides(lambda h, w, size: (_scaled_side(h, max(h, w), size), _scaled_side(w, max(h, w), size))),
    ),
    _resize(
        "resize-squashed", "both sides get the length", DISTORTED, "scale both sides by size / min(H, W)",
        _to_sides(lambda h, w, size: (size, size)),
    ),
    _resize(
        "resize-height", "the height gets the length", f"{DISTORTED} High images become too narrow to crop.",
        "size / min(H, W)", _to_sides(lambda h, w, size: (size, _scaled_side(w, h, size))),
    ),
    _resize(
        "resize-width", "the width gets the length", f"{DISTORTED} Wide images become too low to crop.",
        "size / min(H, W)", _to_sides(lambda h, w, size: (_scaled_side(h, w, size), size)),
    ),
    _resize(
        "resize-sides-swapped", "new height and width are swapped", DISTORTED, "(height, width), unlike OpenCV's dsize",
        _to_sides(lambda h, w, size: (size * w // min(h, w), size * h // min(h, w))),
    ),
    _resize(
        "resize-rounded-up", "the longer side is rounded up", "Shapes differ by a pixel from what other code expects.",
        "int(size * L / S)", _to_sides(lambda h, w, size: (-(-size * h // min(h, w)), -(-size * w // min(h, w)))),
    ),
    _resize(
        "resize-aspect-inverted", "the longer side is multiplied by S / L", DISTORTED, "size * L / S",
        _to_sides(lambda h, w, size: (size, _scaled_side(h, w, size)) if h < w else (_scaled_side(w, h, size), size)),
    ),
    _resize(
        "resize-only-shrinks", "small images are not enlarged", "Small images cannot be cropped.",
        "enlarge too", _to_sides(lambda h, w, size: (
            (h, w) if min(h, w) < size else (size * h // min(h, w), size * w // min(h, w))
        )),
    ),
    _resize(
        "resize-integer-factor", "the factor is rounded down to a whole number", "Sizes are not those asked for.",
        "divide last: size * L // S",
        _to_sides(lambda h, w, size: tuple(side // max(min(h, w) // size, 1) for side in (h, w))),  # type: ignore[arg-type]
    ),
    _resize(
        "resize-integer-aspect", "L / S is rounded down to a whole number", DISTORTED, "divide last: size * L // S",
        _to_sides(lambda h, w, size: (size * (h // min(h, w)), size * (w // min(h, w)))),
    ),
    _resize(
        "resize-only-enlarges", "large images are not shrunk", "Crops show a small part of them.", "shrink too",
        _to_sides(lambda h, w, size: (
            (h, w) if min(h, w) > size else (size * h // min(h, w), size * w // min(h, w))
        )),
    ),
    _resize(
        "resize-longer-side-kept", "the longer side keeps its length", DISTORTED,
        "scale both sides by size / min(H, W)",
        _to_sides(lambda h, w, size: (size if h <= w else h, size if w <= h else w)),
    ),
    _resize(
        "resize-corners-aligned", "top left corners are aligned, not centres",
        f"{MISPLACED} The image moves by part of a pixel.", "x = (i + 1/2) n / m - 1/2", _weighted(_from_corners),
    ),
    _resize(
        "resize-nearest-of-corners", "the nearest pixel, corner pixels aligned", f"{MISPLACED} Pixels are uneven.",
        "floor((i + 1/2) n / m)", _weighted(_nearest_of(lambda i, old, new: i * (old - 1) / max(new - 1, 1) + 0.5)),
    ),
    _resize(
        "resize-nearest-rounded", "the nearest pixel is that at round(i n / m)",
        f"{MISPLACED} The image moves by half a pixel.", "floor((i + 1/2) n / m)",
        _weighted(_nearest_of(lambda i, old, new: i * old / new + 0.5)),
    ),
    _resize(
        "resize-dark-borders", "weights at the border do not sum to 1", ARTEFACTS, "divide each row by its sum",
        _weighted(_dark_borders),
    ),
)  # fmt: skip
