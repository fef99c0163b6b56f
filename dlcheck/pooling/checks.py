"""What every pooling component must satisfy: cases that tell conventions and mistakes apart.

Plain cases come first, with sizes that windows fill and a kernel that code without settings may have. Sizes, strides
and paddings differ between height and width, so that code which confuses the two is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, Shape

Array = NDArray[np.float64]
Search = st.SearchStrategy[Case] | None
Row = tuple[Any, ...]
Content = Callable[[Shape, int], Array]
Make = Callable[..., Case]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")
PLAIN: Shape = (2, 2, 4, 6)
ODD: Shape = (1, 2, 5, 7)
KERNELS: tuple[Any, ...] = (3, (3, 2), (2, 3), (1, 2), 1)
STRIDES: tuple[dict[str, Any], ...] = (
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": (2, 3), "stride": 1},
    {"kernel_size": 2, "stride": (1, 2)},
    {"kernel_size": 2, "stride": 3},
)
PADDINGS: tuple[dict[str, Any], ...] = (
    {"kernel_size": 2, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": (1, 0)},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 1)},
)
DILATIONS: tuple[dict[str, Any], ...] = (
    {"kernel_size": 2, "stride": 1, "dilation": 2},
    {"kernel_size": (2, 3), "stride": 2, "dilation": (3, 1)},
    {"kernel_size": 2, "stride": 1, "dilation": (1, 3), "padding": 1},
)
OVERHANGING: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((1, 2, 5, 7), {"kernel_size": 2}),
    ((1, 1, 6, 4), {"kernel_size": 3, "stride": 2}),
    # a second window of the height would start just behind the image
    ((1, 1, 4, 5), {"kernel_size": (1, 2), "stride": (4, 2)}),
)
OVERHANGING_PADDING: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((1, 1, 4, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 1, 5, 4), {"kernel_size": 3, "stride": 3, "padding": (1, 0)}),
    # rounded up there would be one more window along each axis, which would start in the padding
    ((1, 1, 3, 5), {"kernel_size": 2, "stride": 2, "padding": 1}),
)
SMALL: tuple[Shape, ...] = ((1, 1, 2, 2), (3, 1, 2, 4))
EMPTY: Shape = (0, 2, 4, 4)
CLOSE = np.array([[1.0, 1.001, 2.0, 1.995], [0.995, 0.5, 1.999, 1.0], [0.0, 0.003, -1.0, -1.004]])
"""Values that differ by less than 1/100, but differ."""
TIED = np.array([[1.0, 1.0, 2.0, 0.0, 2.0], [0.0, 1.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0, -1.0]])

CANCELLING = np.array([[-1.0, -2.0, 0.5, 3.0], [3.0, 0.25, -2.5, 1.0], [0.75, 4.0, -1.0, -1.5], [-3.5, 0.5, 5.0, 2.0]])
"""Negative numbers in every window, whose odd powers have a positive sum nevertheless."""


def _distinct(shape: Shape, seed: int = 0) -> Array:
    """Numbers of both signs, all different, exact in every dtype."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count).reshape(shape) - count // 2) / 8 + 0.0625


def _upstream(shape: Shape) -> Array:
    """An upstream gradient of both signs that differs from place to place and is nowhere 1."""
    index = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return (0.5 + 0.125 * (index * 5 % 11)) * (-1.0) ** (index * 3 % 7)


def _negative(shape: Shape, seed: int = 0) -> Array:
    return _distinct(shape, seed) - 100


def _case(x: Array, **settings: Any) -> Case:
    """A forward case; code for square windows may refuse pairs, but not answer wrongly."""
    pairs = any(isinstance(value, tuple) for value in settings.values())
    return Case("forward", {"x": x}, {"kernel_size": 2, **settings}, refusable=pairs)


def _size(side: tuple[int, ...], ceil_mode: bool) -> int:
    """Number of windows along a side: its size, kernel, stride, padding and dilation."""
    size, kernel, stride, padding, dilation = side
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - (ceil_mode and (count - 1) * stride >= size + padding)


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _geometry(settings: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Kernel size, stride, padding and dilation, each of height and width."""
    kernel = settings["kernel_size"]
    defaults = {"kernel_size": 2, "stride": kernel, "padding": 0, "dilation": 1}
    return [_pair(settings.get(name, default)) for name, default in defaults.items()]


def _pooled(case: Case) -> Shape:
    """The shape that pooling gives; with every setting written out, as conventions choose defaults."""
    shape, ceil_mode = case.inputs["x"].shape, case.settings.get("ceil_mode", False)
    sides = zip(shape[-2:], *_geometry(case.settings), strict=True)
    return (*shape[:-2], *(_size(side, ceil_mode) for side in sides))


def _backward(case: Case) -> Case:
    """The case that asks for the gradient of a pooling case."""
    return replace(case, run="backward", inputs={**case.inputs, "grad_output": _upstream(_pooled(case))})


def _both(cases: Iterable[Case]) -> tuple[Case, ...]:
    forward = tuple(cases)
    return (*forward, *map(_backward, forward))


def _filled(settings: Mapping[str, Any]) -> Shape:
    """Height and width that the windows of some settings fill to the last place, two windows by three or a few more."""
    sides = zip((2, 3), *_geometry(settings), strict=True)
    return tuple(d * (k - 1) + 1 - 2 * p + (windows + p - 1) * s for windows, k, s, p, d in sides)


def _fitting(make: Make, content: Content, seed: int, **settings: Any) -> Case:
    return make(content((1, 2, *_filled(settings)), seed), **settings)


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


# --- searches --------------------------------------------------------------------------------------------------------

OUTER = st.tuples(st.integers(1, 2), st.integers(1, 3))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
UP_TO_ONE = st.tuples(st.integers(0, 1), st.integers(0, 1))


def _search(make: Make, content: Content, backward: bool, **settings: st.SearchStrategy[Any]) -> Search:
    """Images that the windows of searched settings fill."""

    def case(outer: Shape, seed: int, **chosen: Any) -> Case:
        made = make(content((*outer, *_filled({"kernel_size": 2, **chosen})), seed), **chosen)
        return _backward(made) if backward else made

    return st.builds(case, OUTER, SEEDS, **settings).filter(_half_at_most)


def _half_at_most(case: Case) -> bool:
    """Whether the padding is one that torch accepts."""
    kernel, padding = _pair(case.settings["kernel_size"]), _pair(case.settings.get("padding", 0))
    return all(2 * p <= k for p, k in zip(padding, kernel, strict=True))


def _windows(make: Make, content: Content, **fixed: Any) -> Iterator[Row]:
    """The checks of settings that all windows have: kernels and strides, forward and backward."""
    kernels = [_fitting(make, content, 1, kernel_size=k, **fixed) for k in KERNELS]
    strides = [_fitting(make, content, 2, **s, **fixed) for s in STRIDES]
    search = _search(make, content, True, kernel_size=PAIRS, stride=PAIRS)
    yield "kernels", "it obeys kernel_size: odd, not square, one place", _both(kernels)
    yield "strides", "it obeys stride: overlapping windows, unequal strides, gaps", _both(strides), search


def _late(make: Make, content: Content) -> Iterator[Row]:
    both = _both([make(content(PLAIN, 0))])
    yield "large", "large values are as good as any", _both([make(1e6 * content(PLAIN, 0))])
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *both)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *both)
    yield "shapes", "it takes a single window, one channel", _both(make(content(shape, 0)) for shape in SMALL)
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*both)
    alone, empty = _both([make(content(PLAIN[1:], 0))]), _both([make(content(EMPTY, 0))])
    yield "unbatched", "it takes an image without a batch axis", alone, None, "values", "advice"
    yield "empty", "it takes a batch without images", empty, None, "values", "advice"


# --- max pooling -----------------------------------------------------------------------------------------------------


def _max_pool2d() -> Iterator[Row]:
    plain = _case(_distinct(PLAIN))
    nan = _distinct((1, 1, 4, 4))
    nan[0, 0, 1, 1] = nan[0, 0, 2, 3] = np.nan
    masked = np.where(_distinct((1, 1, 4, 4), 3) > 0, -np.inf, _distinct((1, 1, 4, 4), 3))
    masked[..., :2, :2] = -np.inf
    tied = _case(TIED[None, None], kernel_size=2, stride=1)
    close = [_case(CLOSE[None, None], kernel_size=2, stride=1), _case(CLOSE[None, None], kernel_size=(1, 2))]
    padded = [_fitting(_case, _negative, 4, **s) for s in PADDINGS]
    padded += [_case(2.0**100 * _negative((1, 1, 2, 2)), padding=1)]
    dilated = [_fitting(_case, _distinct, 5, **s) for s in DILATIONS]
    overhanging = [_case(_negative(shape, 6), **s, ceil_mode=True) for shape, s in OVERHANGING]
    beyond = [_case(_negative(shape, 7), **s, ceil_mode=True) for shape, s in OVERHANGING_PADDING]
    yield "values", "it gives the largest value of each window", (plain,), _search(_case, _distinct, False)
    yield "negative", "the largest of negative values is negative", (_case(_negative(PLAIN)),)
    yield "gradient", "the largest value receives the gradient, no other", (_backward(plain),)
    yield "ties", "equal values share the gradient in one of the ways in use", (replace(_backward(tied), exact=True),)
    yield "close_values", "a value slightly below the maximum receives nothing", tuple(map(_backward, close))
    yield (
        "rounding",
        "windows that do not fill the image are rounded in one of the ways in use",
        (_case(_distinct(ODD)),),
    )
    yield "nan", "NaN makes its window NaN or is passed over, and touches no other", (_case(nan),)
    yield from _windows(_case, _distinct)
    search = _search(_case, _negative, True, kernel_size=PAIRS, stride=PAIRS, padding=UP_TO_ONE)
    yield "padding", "padding never wins over negative values, or is zero", _both(padded), search
    search = _search(_case, _distinct, True, kernel_size=PAIRS, stride=PAIRS, dilation=PAIRS)
    yield "dilation", "it obeys dilation, with padding too", _both(dilated), search
    yield "ceil_mode", "in ceil mode a last window may overhang the image", _both(overhanging)
    yield "ceil_mode_padding", "but a last window that would start behind the image is left out", _both(beyond)
    yield "infinite", "where all is -inf the maximum is -inf", (_case(masked), _case(masked, stride=1))
    yield from _late(_case, _distinct)


# --- average pooling -------------------------------------------------------------------------------------------------


def _avg_pool2d() -> Iterator[Row]:
    plain = _case(_distinct(PLAIN))
    nan = _distinct((1, 1, 4, 4))
    nan[0, 0, 1, 1] = np.nan
    rectified = np.maximum(_distinct((1, 2, 4, 4), 10), 0.0)
    bare = [_fitting(_case, _distinct, 4, **s) for s in PADDINGS]
    uncounted = [_fitting(_case, _distinct, 4, **s, count_include_pad=False) for s in PADDINGS]
    overhanging = [_case(_distinct(shape, 6), **s, ceil_mode=True) for shape, s in OVERHANGING]
    beyond = [
        _case(_distinct(shape, 7), **s, **counted, ceil_mode=True)
        for shape, s in OVERHANGING_PADDING
        for counted in ({}, {"count_include_pad": True}, {"count_include_pad": False})
    ]
    overridden = [
        _fitting(_case, _distinct, 8, **s, divisor_override=d) for s, d in zip(STRIDES[:2], (7, -2), strict=True)
    ]
    overridden += [
        _fitting(_case, _distinct, 9, **PADDINGS[0], count_include_pad=c, divisor_override=3) for c in (True, False)
    ]
    yield "values", "it gives the mean of each window", (plain,), _search(_case, _distinct, False)
    yield "gradient", "every place of a window receives an equal part of the gradient", (_backward(plain),)
    yield (
        "rounding",
        "windows that do not fill the image are rounded in one of the ways in use",
        (_case(_distinct(ODD)),),
    )
    yield "nan", "the mean of a window with a NaN is NaN", (_case(nan[..., :2, :2]),)
    yield from _windows(_case, _distinct)
    yield "padding", "padding counts or does not, as in one of the ways in use", _both(bare)
    search = _search(
        _case, _distinct, True, kernel_size=PAIRS, stride=PAIRS, padding=UP_TO_ONE, count_include_pad=st.just(False)
    )
    zeros = [_case(rectified, stride=1, padding=1, count_include_pad=False)]
    yield (
        "count_include_pad",
        "it obeys count_include_pad, zeros in the image count",
        _both([*uncounted, *zeros]),
        search,
    )
    yield "ceil_mode", "what a last window has beyond the image does not count", _both(overhanging)
    says = "nor what it has beyond the padding; it must not start there"
    yield "ceil_mode_padding", says, _both(beyond)
    yield "divisor_override", "it obeys divisor_override, whatever the window holds", _both(overridden)
    yield from _late(_case, _distinct)
    # running sums and Fourier transforms carry a NaN on
    yield "nan_elsewhere", "NaN touches no other window", (_case(nan),), None, "values", "advice"


# --- L_k pooling -----------------------------------------------------------------------------------------------------


def _positive(shape: Shape, seed: int = 0) -> Array:
    """Numbers from 1/16 on, all different, for powers with and without magnitudes; exact in every dtype."""
    return (np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) + 4) / 16


def _norm(x: Array, **settings: Any) -> Case:
    return _case(x, **{"norm_type": 2, **settings})


def _cube(x: Array, **settings: Any) -> Case:
    return _norm(x, norm_type=3, **settings)


def _lp_pool2d() -> Iterator[Row]:
    plain, signed = _norm(_positive(PLAIN)), _norm(_distinct(PLAIN))
    powers = [_norm(_positive(PLAIN, 1), norm_type=k) for k in (1, 3, 2.5, 4)]
    odd = [_norm(CANCELLING[None, None], norm_type=k) for k in (1, 3)]
    zeros = _positive((1, 1, 4, 4), 2)
    zeros[..., :2, :2] = zeros[..., 2, 3] = 0.0
    empty = [_norm(zeros, norm_type=k) for k in (2, 3)]
    tiny = _norm(np.full((1, 1, 2, 2), 2.0**-20) * [[1.0, 2.0], [0.0, 3.0]])
    overhanging = [
        _norm(_positive(shape, 6), norm_type=k, **s, ceil_mode=True)
        for (shape, s), k in zip(OVERHANGING, (2, 3, 1), strict=True)
    ]
    limits = [_norm(x, norm_type=float("inf")) for x in (_distinct(PLAIN, 3), np.zeros((1, 1, 2, 2)))]
    large = _both(_norm(_positive((1, 1, 2, 4)) * scale, norm_type=64) for scale in (2.0**12, 2.0**-12))
    yield "values", "it gives the Euclidean norm of each window", (plain, signed), _search(_norm, _positive, False)
    yield "gradient", "each place receives x / norm of the gradient", (_backward(plain), _backward(signed))
    search = _search(_norm, _positive, True, kernel_size=PAIRS, norm_type=st.sampled_from([1, 2, 3, 1.5]))
    yield "powers", "it obeys norm_type: 1, odd, fractional", _both(powers), search
    yield "negative", "negative numbers cancel or count by magnitude, in one of the ways in use", _both(odd)
    yield "zeros", "a window of zeros gives zero, with a gradient of zero", _both(empty)
    yield "tiny", "the norm of small numbers is theirs", (tiny,)
    yield (
        "rounding",
        "windows that do not fill the image are rounded in one of the ways in use",
        (_norm(_positive(ODD)),),
    )
    yield from _windows(_cube, _positive)
    yield "ceil_mode", "in ceil mode the last window sums what it has, or rescales it", _both(overhanging)
    yield from _late(_norm, _positive)
    yield "infinity", "for norm_type infinity it is the largest magnitude", _both(limits), None, "values", "advice"
    says = "a large power neither overflows nor underflows"
    yield "large_power", says, _in_dtypes(("float32",), *large), None, "values", "advice"


# --- global average pooling ------------------------------------------------------------------------------------------


def _whole(x: Array) -> tuple[Case, Case]:
    inputs = {"x": x}
    return Case("forward", inputs), Case("backward", {**inputs, "grad_output": _upstream(x.shape[:-2])})


def _global_avg_pool2d() -> Iterator[Row]:
    plain, images = _whole(_distinct((3, 3, 2, 5))), st.tuples(*(st.integers(1, most) for most in (3, 3, 5, 5)))
    nan = _distinct((2, 2, 2, 3))
    nan[0, 1, 1, 1] = np.nan
    shapes = (1, 1, 1, 1), (2, 1, 1, 4), (1, 3, 5, 1), (2, 2, 7, 7), (1, 1, 9, 11)
    shaped = [_whole(_distinct(shape)) for shape in shapes]
    # the sum of 36 numbers near 2048 is beyond float16, their mean is not
    large = replace(_whole(2048 + 2 * _distinct((1, 2, 6, 6)))[0], dtype="float16")
    searches = [st.builds(lambda shape, seed, i=i: _whole(_distinct(shape, seed))[i], images, SEEDS) for i in (0, 1)]
    yield "values", "it gives the mean of each channel", plain[:1], searches[0]
    yield "gradient", "every place receives an equal part of the gradient", plain[1:], searches[1]
    yield "nan", "NaN stays NaN and touches no other channel", _whole(nan)[:1]
    yield "large", "large values are as good as any", _whole(1e6 * _distinct((1, 2, 2, 3)))
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *plain)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *plain)
    yield "shapes", "it takes one place, one row", tuple(case for pair in shaped for case in pair)
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*plain)
    yield "half_sum", "in float16 the sum does not overflow", (large,), None, "values", "advice"
    says = "it takes an image without a batch axis"
    yield "unbatched", says, _whole(_distinct((3, 2, 5))), None, "values", "advice"
    yield "empty", "it takes a batch without images", _whole(_distinct((0, 2, 3, 3))), None, "values", "advice"


_LISTS = {
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "lp_pool2d": _lp_pool2d,
    "global_avg_pool2d": _global_avg_pool2d,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name]()
    return tuple(
        Check(f"pooling.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
