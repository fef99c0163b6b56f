"""What every augmentation must satisfy: images and settings that tell draws, conventions and mistakes apart.

Pixels differ from each other, so that each draw can be read back; height and width differ, so that they cannot be
taken for each other. Where code may do without a draw (a crop of the whole image, jitter without strength), a case in
which it must draw comes first: that shows whether it works on tensors or arrays.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, uniform

Array = NDArray[np.float64]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")
DRAWS = 300
"""They show a distribution function that is off by 0.3, and an outcome that should have one chance in eight."""
MANY = 1000
"""They show outcomes at the ends that have half the chance of others."""
FEW = 200
"""They show a distribution function that is off by 0.4."""

MID = np.array(
    [[[0.40, 0.50, 0.45], [0.30, 0.55, 0.35]], [[0.40, 0.35, 0.45], [0.50, 0.40, 0.30]],
     [[0.40, 0.45, 0.55], [0.35, 0.30, 0.50]]]
)  # fmt: skip
"""Changed moderately it stays between 0 and 1; its first pixel is grey."""
BRIGHT = np.array(
    [[[0.20, 0.90], [0.10, 0.85], [0.30, 0.15]], [[0.10, 0.80], [0.25, 0.90], [0.30, 0.20]],
     [[0.15, 0.95], [0.20, 0.75], [0.30, 0.10]]]
)  # fmt: skip
"""Dark pixels that no brightening clips beside pixels that it does."""
GLARE = np.array([[[0.40, 0.99, 0.70]], [[0.50, 0.75, 0.98]], [[0.45, 0.90, 0.80]]])
"""A pixel that tells the factors beside pixels that, clipped in between, tell their order."""
EIGENVALUES = np.array([0.04, 0.01, 0.0025])
EIGENVECTORS = np.array([[2.0, -2.0, 1.0], [1.0, 2.0, 2.0], [2.0, 1.0, -2.0]]) / 3
"""A rotation that is not symmetric."""


def _pixels(channels: int, height: int, width: int) -> Array:
    """Numbers from 1/64 on, all different and exact in every dtype, without an order that a mistake could keep."""
    count = channels * height * width
    return ((np.arange(count) * 29 % count) + 1).reshape(channels, height, width) / 64


def _case(image: Array, **settings: Any) -> Case:
    return Case("forward", {"image": image}, settings)


def _drawn(image: Array, draws: int = DRAWS, **settings: Any) -> Case:
    return Case("draws", {"image": image, "draws": draws}, settings)


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


def _sides(low: int = 1, high: int = 9) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(st.integers(1, 4), st.integers(low, high), st.integers(low, high))


# --- flip and crop ---------------------------------------------------------------------------------------------------


def _horizontal_flip() -> Iterator[tuple[Any, ...]]:
    # five channels and two rows, so that draws of their own tell which of them have them
    image = _pixels(5, 2, 4)
    sides = _case(image, p=1.0), _case(image, p=0.0)
    search = st.builds(
        lambda shape, seed, p: _case(uniform(shape, seed, 0, 1), p=p), _sides(), SEEDS, st.sampled_from([1.0, 0.0])
    )
    yield "sides", "with p = 1 it swaps left and right, with p = 0 nothing", sides, search
    yield "law", "it flips every second image, each by a draw of its own", (_drawn(image, p=0.5),)
    yield "whole", "one draw flips the whole image", (_drawn(image, MANY, p=0.5),)
    probabilities = *(_drawn(image, p=p) for p in (0.2, 0.85)), replace(_drawn(image, MANY), refusable=True)
    yield "probability", "it flips with probability p, every second image where none is given", probabilities
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *sides, _drawn(image, p=0.5))
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, sides[0])
    shaped = tuple(_case(_pixels(*shape), p=1.0) for shape in ((1, 1, 1), (1, 3, 3), (4, 1, 6), (2, 5, 1)))
    yield "shapes", "it takes one pixel, one row, one column", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(sides[0])


def _random_crop() -> Iterator[tuple[Any, ...]]:
    image = _pixels(3, 4, 5)
    whole = _case(_pixels(3, 4, 4), size=4), _case(_pixels(1, 1, 1), size=1)
    search = st.builds(
        lambda c, n, seed: _case(uniform((c, n, n), seed, 0, 1), size=n), st.just(3), st.integers(1, 9), SEEDS
    )
    yield "single", "a window of one pixel shows every pixel", (_drawn(_pixels(1, 3, 4), size=1),)
    yield "law", "every window is equally likely, top and left independent", (_drawn(image, MANY, size=3),)
    yield "whole", "a crop of the image's own size is the image", whole, search
    yield "one_smaller", "the last row and column are reached too", (_drawn(_pixels(1, 4, 4), size=3),)
    padded = _drawn(_pixels(1, 3, 3), size=3, padding=1), _drawn(_pixels(1, 4, 3), size=4, padding=2)
    yield "padding", "it pads all four sides first", padded
    yield "float32", "it is right in float32", _in_dtypes(("float32",), whole[0], _drawn(image, size=3))
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, whole[0])
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(whole[0])
    rectangles = _drawn(image, size=(2, 4)), _drawn(_pixels(2, 5, 5), size=(4, 2))
    yield "rectangle", "size may be (height, width)", rectangles, None, "values", "advice"


# --- translation and rotation ----------------------------------------------------------------------------------------


def _translate() -> Iterator[tuple[Any, ...]]:
    image = _pixels(3, 4, 5)
    shifts = tuple(_case(image, dy=dy, dx=dx) for dy, dx in ((1, 2), (-2, 1), (1, -3), (-1, -1)))
    search = st.builds(
        lambda shape, seed, dy, dx, fill: _case(uniform(shape, seed, 0, 1), dy=dy, dx=dx, fill=fill),
        _sides(), SEEDS, st.integers(-10, 10), st.integers(-10, 10), st.sampled_from([0.0, 0.5]),
    )  # fmt: skip
    yield "values", "dy moves down, dx to the right", shifts
    along = _case(image, dy=0, dx=2), _case(image, dy=0, dx=-1), _case(image, dy=3, dx=0), _case(image, dy=-1, dx=0)
    yield "one_axis", "along one axis the other stays", along
    yield "none", "a shift of 0 leaves the image", (_case(image, dy=0, dx=0), _case(image, dy=0, dx=0, fill=0.5))
    fills = _case(image, dy=1, dx=2, fill=0.5), _case(image, dy=-2, dx=-1, fill=-1.0)
    yield "fill", "what comes from outside is fill", fills
    far = tuple(_case(image, dy=dy, dx=dx, fill=0.25) for dy, dx in ((4, 0), (0, -5), (9, 1), (-7, 11), (0, 6)))
    yield "far", "beyond its size nothing of the image is left", far, search
    yield "float32", "it is right in float32", _in_dtypes(("float32",), shifts[0], fills[0])
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, shifts[0], fills[0])
    shaped = tuple(_case(_pixels(*shape), dy=1, dx=-1) for shape in ((1, 1, 1), (1, 3, 3), (4, 1, 6), (2, 5, 1)))
    yield "shapes", "it takes one pixel, one row, one column", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(shifts[0])


def _clear(shape: tuple[int, int, int], degrees: float) -> bool:
    """Whether no pixel's source lies where rounding decides: half-way between pixels, or on the border."""
    angle = np.deg2rad(degrees)
    i, j = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    for source, side in (
        (i[:, None] * np.cos(angle) + j * np.sin(angle), shape[1]),
        (j * np.cos(angle) - i[:, None] * np.sin(angle), shape[2]),
    ):
        halves = 2 * (source + (side - 1) / 2)
        odd = np.abs(halves - 2 * np.floor(halves / 2) - 1)
        at_border = np.minimum(np.abs(halves), np.abs(halves - 2 * (side - 1)))
        if min(odd.min(), at_border.min()) < 2.0**-9:
            return False
    return True


def _rotate() -> Iterator[tuple[Any, ...]]:
    square, wide = _pixels(2, 5, 5), _pixels(1, 4, 6)
    quarters = tuple(_case(square, degrees=degrees) for degrees in (90.0, -90.0, 180.0, 270.0))
    slanted = tuple(_case(square, degrees=degrees) for degrees in (20.0, -50.0, 155.0))
    shape = st.tuples(st.integers(1, 3), st.sampled_from([2, 4, 6, 8]), st.sampled_from([2, 4, 6, 8]))
    search = st.builds(
        lambda angle, seed, fill: _case(uniform(angle[0], seed, 0, 1), degrees=angle[1], fill=fill),
        st.tuples(shape, st.floats(-180, 180, width=16)).filter(lambda pair: _clear(*pair)),
        SEEDS, st.sampled_from([0.0, 0.5]),
    )  # fmt: skip
    yield "quarters", "quarter turns move every pixel to another's place", quarters
    yield "slanted", "between quarters it takes the pixels in use by one of the ways", slanted
    yield (
        "wide",
        "the shape stays, what leaves it is cut off",
        tuple(_case(wide, degrees=d) for d in (-35.0, 90.0, 180.0)),
    )
    yield "none", "0 and 360 degrees leave the image", tuple(_case(wide, degrees=d) for d in (0.0, 360.0))
    fills = tuple(_case(image, degrees=d, fill=0.5) for image, d in ((wide, -50.0), (square, 20.0), (wide, 90.0)))
    yield "fill", "what comes from outside is fill", fills, search
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *slanted, fills[0])
    yield (
        "shapes",
        "it takes one pixel and few",
        (_case(_pixels(1, 1, 1), degrees=30.0), _case(_pixels(3, 2, 2), degrees=70.0)),
    )
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(quarters[0])


# --- resizing --------------------------------------------------------------------------------------------------------


def _resize_shorter_side() -> Iterator[tuple[Any, ...]]:
    wide, high = _pixels(2, 5, 8), _pixels(1, 7, 4)
    search = st.builds(
        lambda shape, seed, size: _case(uniform(shape, seed, 0, 1), size=size), _sides(), SEEDS, st.integers(2, 7)
    ).filter(_unambiguous)
    same = tuple(_case(image, size=min(image.shape[1:])) for image in (wide, high, _pixels(3, 3, 3)))
    yield "same", "a shorter side of that length stays as it is", same
    yield "smaller", "it shrinks both sides alike, whichever is shorter", (_case(wide, size=4), _case(high, size=3))
    yield "larger", "it enlarges too", (_case(wide, size=7), _case(high, size=5)), search
    yield (
        "rounding",
        "the longer side is a whole number, rounded in one of the ways",
        (_case(_pixels(1, 3, 8), size=4),),
    )
    much = _case(_pixels(1, 9, 16), size=2), _case(_pixels(1, 2, 3), size=8)
    yield "much", "it shrinks and enlarges several times", much
    yield "square", "a square stays one", (_case(_pixels(3, 5, 5), size=3), _case(_pixels(1, 1, 1), size=3))
    long = _case(_pixels(1, 1, 9), size=1), _case(_pixels(1, 9, 1), size=2), _case(_pixels(1, 3, 11), size=1)
    yield "long", "one row or column is an image too", long
    # which is no mistake of those who call it, and harms nobody's training
    says = "rows stay apart where one column is left, which torch's antialiased interpolation repeats on the CPU"
    yield "one_column", says, (_case(_pixels(2, 7, 3), size=1),), None, "values", "advice"
    yield "float32", "it is right in float32", _in_dtypes(("float32",), _case(wide, size=4), _case(high, size=5))
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(_case(wide, size=4))


def _unambiguous(case: Case) -> bool:
    """Whether no rounding decides between pixels or lengths.

    The longer side must not end half-way, nor a new pixel start on an old one's border.
    """
    sides, size = case.inputs["image"].shape[1:], case.settings["size"]
    shorter = min(sides)
    for old in sides:
        new = size * old // shorter
        for made in (new, new + 1):
            starts = np.arange(1, made) * old % made
            if not starts.all() and made != old:
                return False
        if 2 * size * old % (2 * shorter) == shorter:
            return False
    return True


# --- colour ----------------------------------------------------------------------------------------------------------


def _color_jitter() -> Iterator[tuple[Any, ...]]:
    none = _case(MID, brightness=0.0, contrast=0.0, saturation=0.0)
    saturation = _drawn(MID, FEW, saturation=0.6)
    together = _drawn(MID, FEW // 2, brightness=0.15, contrast=0.3, saturation=0.5)
    yield "saturation", "colours move away from grey or towards it, by a factor", (saturation,)
    yield "contrast", "values move away from the mean or towards it, by a factor", (_drawn(MID, contrast=0.5),)
    says = "all values change by a factor, or an amount, and are clipped to 0 and 1, or kept"
    yield "brightness", says, (_drawn(BRIGHT, FEW, brightness=0.9),)
    yield "strong", "a factor is never negative", (_drawn(MID, 2 * DRAWS, saturation=3.0),)
    yield "together", "each step has a factor of its own", (together,)
    yield "none", "with no strength it leaves the image", (none, _case(BRIGHT, brightness=0.0))
    says = "the order of the steps is one of those in use"
    yield "order", says, (_drawn(GLARE, DRAWS, brightness=0.3, saturation=0.5),)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), none, saturation)
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(none)


def _pca_lighting() -> Iterator[tuple[Any, ...]]:
    def lit(image: Array = MID, draws: int = DRAWS, eigenvectors: Array = EIGENVECTORS, **settings: Any) -> Case:
        inputs = {"image": image, "eigenvalues": EIGENVALUES, "eigenvectors": eigenvectors}
        return Case("draws" if draws else "forward", inputs | ({"draws": draws} if draws else {}), settings)

    yield "none", "with std = 0 it leaves the image", (lit(draws=0, std=0.0),)
    yield "law", "each component has a normal multiple of its own", (lit(std=0.3), lit(draws=MANY, std=0.1))
    yield (
        "axes",
        "along the axes of the colours too",
        (lit(draws=2 * DRAWS, std=0.1, eigenvectors=np.eye(3)[:, [1, 2, 0]]),),
    )
    yield "small", "the multiple does not depend on the image", (lit(MID[:, :1, :2] + 0.1, std=0.1),)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), lit(std=0.1))
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(lit(draws=0, std=0.0))


def _gaussian_noise() -> Iterator[tuple[Any, ...]]:
    none = _case(MID, std=0.0)
    yield "none", "with std = 0 it leaves the image", (none,)
    # as many channels as rows, so that noise which they share tells which of them share it
    own = _drawn(np.linspace(0.4, 0.6, 36).reshape(6, 6, 1), MANY, std=0.02)
    yield "law", "every value gets normal noise of its own", (_drawn(MID, std=0.05), own)
    ends = np.array([[[0.0, 1.0], [0.5, 0.9]]])
    yield "ends", "noise beyond 0 and 1 is kept, or clipped", (_drawn(ends, std=0.2),)
    yield "level", "the noise does not depend on the value", (_drawn(np.array([[[0.0, 0.25, 0.5]]]) + 0.25, std=0.01),)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), _drawn(MID, std=0.02))
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(none)


_LISTS: dict[str, Callable[[], Iterator[tuple[Any, ...]]]] = {
    "horizontal_flip": _horizontal_flip,
    "random_crop": _random_crop,
    "translate": _translate,
    "rotate": _rotate,
    "color_jitter": _color_jitter,
    "pca_lighting": _pca_lighting,
    "gaussian_noise": _gaussian_noise,
    "resize_shorter_side": _resize_shorter_side,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name]()
    return tuple(
        Check(f"augmentation.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
