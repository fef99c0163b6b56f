"""What every dense layer and convolution must satisfy: cases that tell conventions and mistakes apart.

Values are asked for with a bias and without: code may have one always, never, or as it is called. What few
implementations have (pairs, padding by name, images without an axis of examples) may be refused, but not answered
wrongly.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, Array, Shape, uniform

Cases = tuple[Case, ...]
Pair = tuple[int, int]

LAYOUTS = ("strided", "transposed", "readonly")
HALVES = ("float16", "bfloat16")


def _numbers(shape: Shape, seed: int) -> Array:
    """Numbers of both signs, away from 0, that use up every digit."""
    drawn = uniform(shape, seed)
    return drawn + np.copysign(0.5, drawn)


def _case(
    x: Array, weight: Array, output: Shape, *, backward: bool, bias: bool, seed: int = 0, **settings: Any
) -> Case:
    inputs = {"x": x, "weight": weight}
    if bias:
        inputs["bias"] = _numbers(weight.shape[:1], seed + 5)
    if backward:
        inputs["grad_output"] = _numbers(output, seed + 7)
    return Case("backward" if backward else "forward", inputs, settings)


def _forward(cases: Cases) -> Cases:
    return tuple(case for case in cases if case.run == "forward")


def _backward(cases: Cases) -> Cases:
    return tuple(case for case in cases if case.run == "backward")


def _without_bias(cases: Cases) -> Cases:
    return tuple(
        replace(case, inputs={name: value for name, value in case.inputs.items() if name != "bias"}) for case in cases
    )


def _refusable(*cases: Case) -> Cases:
    return tuple(replace(case, refusable=True) for case in cases)


def _seldom(*cases: Case) -> Cases:
    """Of what few implementations have, one case of each run: values without a bias, gradients with one."""
    return _refusable(*(case for case in cases if ("bias" in case.inputs) == (case.run == "backward")))


def _in_dtypes(cases: Cases, *dtypes: str) -> Cases:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _large(cases: Cases) -> Cases:
    """The cases with inputs of size 1e6."""
    return tuple(replace(case, inputs={**case.inputs, "x": 1e6 * case.inputs["x"]}) for case in cases)


def _in_layouts(cases: Cases, *further: str) -> Cases:
    return tuple(replace(case, layout=layout) for layout in (*LAYOUTS, *further) for case in cases)


def _of_parameters(cases: Cases) -> Cases:
    """The backward cases, but for the input's gradient: it is a constant, as in a network's first layer."""
    return tuple(replace(case, inputs={**case.inputs, "constant": ("x",)}) for case in _backward(cases))


FIRST_LAYER = "the parameters have their gradients also where the input needs none, as in the first layer"


# --- linear ----------------------------------------------------------------------------------------------------------


def _dense(shape: Shape, units: int, seed: int = 0) -> Cases:
    """The values of a dense layer with a bias and without, and its gradients."""
    x, weight = _numbers(shape, seed), _numbers((units, shape[-1]), seed + 3)
    output = (*shape[:-1], units)
    runs = (False, True), (False, False), (True, True)
    return tuple(_case(x, weight, output, backward=backward, bias=bias, seed=seed) for backward, bias in runs)


def _any_dense(backward: bool, axes: st.SearchStrategy[list[int]]) -> st.SearchStrategy[Case]:
    sizes = st.integers(1, 9)
    return st.builds(
        lambda outer, inputs, units, seed: _dense((*outer, inputs), units, seed)[2 * backward],
        axes, sizes, sizes, SEEDS,
    )  # fmt: skip


def _linear() -> Iterator[tuple[Any, ...]]:
    plain, square, one = _dense((3, 4), 5), _dense((3, 3), 3, 11), _dense((1, 4), 3, 13)
    rows = st.lists(st.integers(1, 5), min_size=1, max_size=1)
    searches = [_any_dense(backward, rows) for backward in (False, True)]
    yield "values", "every output is its row of weights times the inputs, plus its bias", _forward(plain), searches[0]
    yield "square", "weight has shape (out, in), also where both are equal", _forward(square)
    gradients = _backward(plain)
    yield "gradient", "the gradients are summed over all examples", (*gradients, *_without_bias(gradients)), searches[1]
    yield "first_layer", FIRST_LAYER, _of_parameters(plain)
    yield "square_gradient", "gradients are matrix products, also where all sizes are equal", _backward(square)
    yield "one_example", "a single example is handled as any other", one
    further = (*_dense((2, 3, 4), 5), *_dense((4, 1, 3), 2), *_dense((2, 2, 3, 2), 3), *_dense((4,), 3))
    # of two axes of equal length, code for one axis would mix up the numbers, and not notice
    unequal = st.lists(st.integers(1, 4), min_size=2, max_size=3, unique=True)
    any_rank = _any_dense(True, unequal).map(lambda case: _refusable(case)[0])
    yield "extra_axes", "it is applied along the last axis, whatever axes come before", _refusable(*further), any_rank
    yield "sizes", "it takes one input, one output and many", (*_dense((3, 1), 1), *_dense((2, 65), 2))
    yield "large", "large inputs are as good as any", _large(plain)
    yield "float32", "it is right in float32", _in_dtypes(plain, "float32")
    yield "half", "it is right in float16 and bfloat16", _refusable(*_in_dtypes(plain[1:], *HALVES))
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(plain)
    x = np.array([[1.0, 2.0], [np.nan, 1.0], [0.5, -1.0]])
    nan = _case(x, _numbers((3, 2), 1), (3, 3), backward=False, bias=True)
    yield "nan", "NaN touches no other example", (nan, replace(nan, inputs={"x": x, "weight": nan.inputs["weight"]}))
    yield "no_example", "no example gives no output", _dense((0, 4), 3), None, "values", "advice"


# --- conv2d ----------------------------------------------------------------------------------------------------------


def _pair(value: Any) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def _outputs(size: Pair, kernel: Pair, settings: dict[str, Any]) -> Pair:
    """Rows and columns of the output, for the upstream gradient."""
    stride, dilation = _pair(settings.get("stride", 1)), _pair(settings.get("dilation", 1))
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = settings.get("padding", 0)
    if padding == "same":
        return -(-size[0] // stride[0]), -(-size[1] // stride[1])
    zeros = {"full": [e - 1 for e in extent], "valid": [0, 0]}.get(padding) or _pair(padding)
    rows, columns = ((n + 2 * p - e) // s + 1 for n, p, e, s in zip(size, zeros, extent, stride, strict=True))
    return rows, columns


def _conv(image: Shape, weight: Shape, seed: int = 0, **settings: Any) -> Cases:
    """The values of a convolution with a bias and without, and its gradients."""
    outputs = _outputs(image[-2:], weight[2:], settings)  # type: ignore[arg-type]
    output, x, filters = (*image[:-3], weight[0], *outputs), _numbers(image, seed), _numbers(weight, seed + 3)
    runs = (False, True), (False, False), (True, True)
    return tuple(
        _case(x, filters, output, backward=backward, bias=bias, seed=seed, **settings) for backward, bias in runs
    )


SIZES = st.tuples(*[st.integers(1, 3)] * 3, *[st.integers(1, 4)] * 2, *[st.integers(0, 5)] * 2)
"""Examples, channels and filters (of a group), kernel, and what the image is larger by."""


def _any_plain(*, backward: bool) -> st.SearchStrategy[Case]:
    def build(sizes: tuple[int, ...], seed: int) -> Case:
        n, channels, filters, kh, kw, down, right = sizes
        image, weight = (n, channels, kh + down, kw + right), (filters, channels, kh, kw)
        return _conv(image, weight, seed)[2 * backward]

    return st.builds(build, SIZES, SEEDS)


def _any_setting() -> st.SearchStrategy[Case]:
    pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))
    paddings = st.one_of(
        st.integers(0, 2), st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from(["valid", "same", "full"])
    )

    def build(
        sizes: tuple[int, ...], stride: Any, dilation: Any, padding: Any, groups: int, which: int, seed: int
    ) -> Case:
        n, channels, filters, kh, kw, down, right = sizes
        spread = _pair(dilation)
        image = (n, groups * channels, spread[0] * (kh - 1) + 1 + down, spread[1] * (kw - 1) + 1 + right)
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        changed = {name: value for name, value in settings.items() if value != {"padding": 0}.get(name, 1)}
        return _refusable(*_conv(image, (groups * filters, channels, kh, kw), seed, **changed))[which]

    return st.builds(build, SIZES, pairs, pairs, paddings, st.integers(1, 3), st.integers(0, 2), SEEDS)


def _conv2d() -> Iterator[tuple[Any, ...]]:
    plain = _conv((2, 3, 5, 6), (4, 3, 3, 3))
    says = "every output is the kernel's weights times the window's values"
    yield "values", says, _forward(plain), _any_plain(backward=False)
    oblong = *_conv((2, 2, 5, 4), (3, 2, 2, 3), 20), *_conv((1, 1, 3, 7), (1, 1, 3, 1), 21)
    alike = *_conv((2, 3, 3, 3), (3, 3, 2, 2), 22), *_conv((2, 3, 4, 4), (3, 3, 2, 2), 23)
    small = *_conv((2, 3, 2, 3), (2, 3, 1, 1), 24), *_conv((1, 2, 3, 3), (2, 2, 3, 3), 25)
    yield "oblong", "rows and columns are not mixed up: kernels and images need not be square", _forward(oblong)
    yield "alike", "axes are told apart by place, not by size", _forward(alike)
    yield "small", "it takes 1x1 kernels, and kernels as large as the image", _forward(small)
    large = *_conv((1, 2, 12, 9), (2, 2, 7, 7), 26, stride=2), *_conv((1, 1, 16, 19), (2, 1, 11, 11), 27, stride=4)
    yield "large_kernels", "large kernels and strides, often a way of their own, are no exception", large
    gradients, says = _backward(plain), "every gradient sums over all that its number took part in"
    yield "gradient", says, (*gradients, *_without_bias(gradients)), _any_plain(backward=True)
    yield "first_layer", FIRST_LAYER, _of_parameters(plain)
    says = "the gradients are right whatever the sizes"
    yield "gradient_sizes", says, _backward((*oblong, *alike, *small))
    yield from _conv2d_settings()
    yield "large", "large inputs are as good as any", _large(plain)
    yield "float32", "it is right in float32", _in_dtypes(plain, "float32")
    yield "half", "it is right in float16 and bfloat16", _refusable(*_in_dtypes(plain[1:], *HALVES))
    says = "it takes views: strided, transposed, read-only and with channels last in memory"
    yield "layouts", says, _in_layouts(plain, "channels_last")
    yield "unbatched", "a single image needs no axis of examples", _refusable(*_conv((2, 4, 3), (2, 2, 2, 2), 26))
    yield "no_example", "no image gives no output", _conv((0, 2, 3, 3), (2, 2, 2, 2)), None, "values", "advice"


def _conv2d_settings() -> Iterator[tuple[Any, ...]]:
    # rows 0 to 4 are all met; of columns 0 to 5 the last is in no window
    stride = *_conv((2, 2, 5, 6), (2, 2, 3, 3), 30, stride=2), *_conv((1, 1, 6, 8), (1, 1, 2, 2), 31, stride=3)
    pairs = *_conv((1, 2, 6, 5), (2, 2, 2, 2), 32, stride=(2, 1)), *_conv((1, 1, 4, 7), (2, 1, 2, 3), 33, stride=(1, 3))
    yield "stride", "windows are that many pixels apart", stride
    yield "strides", "the first of a pair is for rows, the second for columns", _seldom(*pairs)
    padding = *_conv((2, 2, 3, 4), (2, 2, 3, 3), 34, padding=1), *_conv((1, 1, 2, 2), (1, 1, 3, 2), 35, padding=2)
    pairs = (
        *_conv((1, 2, 3, 4), (2, 2, 3, 3), 36, padding=(1, 2)),
        *_conv((1, 1, 3, 3), (2, 1, 3, 2), 37, padding=(2, 0)),
    )
    yield "padding", "zeros on all four sides", padding
    yield "paddings", "the first of a pair is for rows, the second for columns", _seldom(*pairs)
    dilation = *_conv((2, 2, 6, 5), (2, 2, 3, 2), 38, dilation=2), *_conv((1, 1, 7, 4), (1, 1, 2, 2), 39, dilation=3)
    pairs = (
        *_conv((1, 2, 5, 6), (2, 2, 2, 3), 40, dilation=(3, 2)),
        *_conv((1, 1, 3, 5), (2, 1, 2, 3), 41, dilation=(1, 2)),
    )
    yield "dilation", "neighbours in the kernel are that many pixels apart", dilation
    yield "dilations", "the first of a pair is for rows, the second for columns", _seldom(*pairs)
    groups = *_conv((2, 4, 3, 4), (4, 2, 2, 2), 42, groups=2), *_conv((1, 3, 3, 3), (6, 1, 2, 2), 43, groups=3)
    many = *_conv((1, 6, 3, 3), (3, 2, 2, 2), 44, groups=3), *_conv((1, 4, 3, 3), (16, 2, 2, 2), 45, groups=2)
    yield "groups", "consecutive filters read their own consecutive channels", (*groups, *many)
    yield "same", 'padding "same" keeps the size, or divides it by the stride and rounds up', _seldom(*_same())
    full = _conv((2, 2, 3, 4), (2, 2, 3, 2), 46, padding="full")
    spread = _conv((1, 1, 4, 3), (1, 1, 2, 3), 47, padding="full", dilation=2, stride=2)
    yield "full", 'padding "full" takes every window that meets the image', _seldom(*full, *spread)
    valid = _conv((1, 2, 4, 5), (2, 2, 2, 3), 48, padding="valid")
    yield "valid", 'padding "valid" is none', _seldom(*valid)
    one = _conv((2, 4, 7, 8), (4, 2, 3, 2), 49, stride=2, padding=1, dilation=2, groups=2)
    two = _conv((1, 2, 6, 9), (4, 1, 2, 3), 50, stride=(3, 2), padding=(2, 1), dilation=(2, 1), groups=2)
    yield "combined", "the settings work together", (*one, *_seldom(*two)), _any_setting()
    yield "pairs", "every two of the settings work together", tuple(_pairs())
    yield "pointwise", "1x1 kernels obey padding, stride and groups too", tuple(_pointwise())
    says = "padding_mode says what the frame is made of"
    modes = [_conv((1, 2, 4, 5), (2, 2, 3, 2), 65, padding=(1, 2), padding_mode=mode) for mode in MODES]
    yield "padding_mode", says, _refusable(*(case for cases in modes for case in _forward(cases)))


MODES = ("reflect", "replicate", "circular")


def _pairs() -> Iterator[Case]:
    """Values of each setting with each other, and "same" with groups and an even kernel."""
    chosen = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    for place, names in enumerate(combinations(chosen, 2)):
        channels = 2 if "groups" in names else 1
        settings = {name: chosen[name] for name in names}
        case = _conv((1, 2, 6, 7), (2, 2 // channels, 2, 3), 80 + place, **settings)[0]
        # TensorFlow and what is built on it refuse to do both
        yield replace(case, refusable=names == ("stride", "dilation"))
    yield _refusable(_conv((1, 2, 3, 4), (2, 1, 2, 3), 88, padding="same", groups=2)[0])[0]


def _pointwise() -> Iterator[Case]:
    for place, settings in enumerate(({"padding": 1}, {"stride": (2, 1)}, {"stride": 2, "padding": (0, 1)})):
        yield from _refusable(*_forward(_conv((1, 2, 4, 5), (3, 2, 1, 1), 90 + place, **settings))[:1])
    yield _conv((1, 4, 2, 3), (2, 2, 1, 1), 95, groups=2)[0]


def _same() -> Iterator[Case]:
    """Odd and even kernels, with stride and dilation; axes that differ in what is padded."""
    yield from _conv((2, 2, 3, 4), (2, 2, 3, 3), 51, padding="same")
    yield from _conv((1, 1, 3, 4), (1, 1, 2, 4), 52, padding="same")
    yield from _conv((1, 1, 4, 6), (1, 1, 3, 3), 53, padding="same", stride=2)
    yield from _conv((1, 1, 5, 6), (2, 1, 4, 3), 54, padding="same", stride=(3, 2))
    yield from _conv((1, 1, 5, 4), (1, 1, 3, 2), 55, padding="same", dilation=2)
    yield from _conv((1, 1, 4, 5), (1, 1, 1, 2), 56, padding="same", stride=3)
    yield from _conv((1, 1, 3, 4), (1, 1, 1, 1), 57, padding="same")


_LISTS: dict[str, Callable[[], Iterator[tuple[Any, ...]]]] = {"linear": _linear, "conv2d": _conv2d}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    return tuple(
        Check(f"layers.{component.name}.{name}", says, tuple(cases), *rest)
        for name, says, cases, *rest in _LISTS[component.name]()
    )
