"""What every activation function must satisfy: cases that tell conventions and mistakes apart.

Plain cases come first and name no setting, so that code which has none is judged too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, Shape, shapes, uniform

Array = NDArray[np.float64]
Search = st.SearchStrategy[Case] | None

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")
SHAPES: tuple[Shape, ...] = ((0,), (0, 3), (1,), (7,), (8,), (17,), (2, 3, 4, 5))

POINTS = np.array(
    [[-6.0, -0.5, 1.25, 2.5, -1.5, 0.625], [2.0, -3.0, 0.75, -0.875, 1.5, -2.25], [-4.5, 1.75, -1.0, 0.5, 2.75, -0.75]]
)
"""Both signs, both sides of 1, away from the kink, and exact in every dtype."""
HUGE = np.array([-1000.0, 1000.0, -750.0, 750.0, -1e6, 1e6])
"""Beyond the range of exp in every dtype, float64 included."""
INFINITE = np.array([-np.inf, np.inf, 1.0])
TINY = np.array([0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 2.0**-1000, -(2.0**-1000)])
NOT_A_NUMBER = np.array([1.0, np.nan, -1.0])
KINK = np.array([0.0, -0.0, 1.5, -1.5])

LOGITS = np.array([[0.5, -1.0, 0.25, 1.0, -0.5], [2.0, 1.5, 1.75, -1.0, 0.0], [-3.0, -2.0, -2.5, -4.0, -2.25]])
CUBE = (np.arange(24).reshape(2, 3, 4) * 7 % 24) / 8 - 1.5
APART = np.array([[1.0, 2.0, 3.5], [1001.0, 1002.5, 1000.0], [-1000.0, -999.5, -1002.0]])
SMALL = np.array([[0.0, -3.0, -20.0], [-20.0, 0.5, -21.5]])
"""Rows with a probability of about 1e-9, which is far from 0."""
SATURATED = np.array([[1000.0, 0.0, -1000.0], [-1000.0, -2500.0, -4000.0], [0.0, -1000.0, 1000.0]])
MASKED = np.array([[-np.inf, 0.5, 1.0], [0.25, -np.inf, -np.inf]])
UNDEFINED = np.array([[np.inf, 1.0, 2.0], [-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]])

SLOPES = np.array([-0.5, 0.25, 1.5])
"""One a channel: negative, usual, above 1. As many as the last axis is long, so that the wrong axis runs too."""


def _upstream(shape: Shape) -> Array:
    """An upstream gradient of both signs that differs from element to element and is nowhere 1."""
    index = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return (0.5 + 0.125 * (index * 5 % 11)) * (-1.0) ** (index * 3 % 7)


def _forward(x: Array, *, also: dict[str, Array] | None = None, **settings: Any) -> Case:
    return Case("forward", {"x": np.asarray(x), **(also or {})}, settings)


def _backward(forward: Case) -> Case:
    """The case that asks for the gradients of an elementwise function's case."""
    return replace(
        forward, run="backward", inputs={**forward.inputs, "grad_output": _upstream(forward.inputs["x"].shape)}
    )


def _refusable(case: Case) -> Case:
    """The case, of which code need not be capable, but may not answer it wrongly."""
    return replace(case, refusable=True)


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


# --- elementwise -----------------------------------------------------------------------------------------------------


def _away_from_zero(shape: Shape, seed: int) -> Array:
    """Numbers from 1/2 to 3/2 of both signs: no kink, and few digits lost in forms such as 2 sigmoid(2x) - 1."""
    drawn = uniform(shape, seed, -1.0, 1.0)
    return drawn + np.copysign(0.5, drawn)


def _searched(also: dict[str, Array], backward: bool) -> Search:
    def case(shape: Shape, seed: int) -> Case:
        forward = _forward(_away_from_zero(shape, seed), also=also)
        return _backward(forward) if backward else forward

    return st.builds(case, shapes(least=1 if also else 0), SEEDS)


def _early(component: Component, x: Array, also: dict[str, Array]) -> Iterator[tuple[Any, ...]]:
    plain = _forward(x, also=also)
    yield "values", "it gives the function's values", (plain,), _searched(also, backward=False)
    axes = {convention.axis for convention in component.conventions}
    if "gradient_at_zero" in axes:
        kink = _backward(_forward(KINK, also=also))
        yield "gradient_at_kink", "its derivative at zero is one of those in use", (kink,)
    yield "nan", "NaN stays NaN and touches no other element", (_forward(NOT_A_NUMBER, also=also),)
    search = _searched(also, backward=True)
    yield "gradient", "the upstream gradient is multiplied by the derivative", (_backward(plain),), search


def _late(x: Array, also: dict[str, Array]) -> Iterator[tuple[Any, ...]]:
    plain, huge = _forward(x, also=also), _forward(HUGE, also=also)
    both = plain, _backward(plain)
    extremes = (*_in_dtypes(("float64", "float32"), huge), _forward(TINY, also=also))
    yield "extremes", "far out and for the smallest numbers it takes its limits", extremes
    far = _in_dtypes(("float64", "float32"), _backward(huge))
    yield "extreme_gradients", "far out the gradient takes its limits and is not NaN", far
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *both)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *both)
    # a number without axes is a shape too, but not beside a slope that has one
    shaped = [_forward(_away_from_zero(shape, 1), also=also) for shape in (*SHAPES, *(() if also else ((),)))]
    yield "shapes", "it takes any shape, empty ones too", (*shaped, *map(_backward, shaped[2:]))
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*both)
    yield "infinities", "at infinity it takes its limits", (_forward(INFINITE, also=also),), None, "values", "advice"


def _elementwise(component: Component, x: Array) -> Iterator[tuple[Any, ...]]:
    yield from _early(component, x, {})
    yield from _late(x, {})


def _in_place(x: Array) -> Iterator[tuple[Any, ...]]:
    yield "in_place", "with inplace=True it gives the same numbers", (replace(_forward(x), layout="in_place"),)


def _relu(component: Component) -> Iterator[tuple[Any, ...]]:
    yield from _elementwise(component, POINTS)
    yield from _in_place(POINTS)


def _leaky_relu(component: Component) -> Iterator[tuple[Any, ...]]:
    chosen = [_forward(POINTS, negative_slope=slope) for slope in (0.2, 0.0, -0.5, 2.5)]

    def case(shape: Shape, seed: int, slope: float) -> Case:
        return _forward(uniform(shape, seed, -4.0, 4.0), negative_slope=slope)

    search = st.builds(case, shapes(), SEEDS, st.sampled_from([0.2, 0.0, -0.5, 2.5]))
    yield from _early(component, POINTS, {})
    yield "slopes", "it obeys negative_slope: 0, negative and above 1 too", (*chosen, *map(_backward, chosen)), search
    yield from _late(POINTS, {})
    yield from _in_place(POINTS)


def _prelu(component: Component) -> Iterator[tuple[Any, ...]]:
    def one(slope: float) -> dict[str, Array]:
        return {"weight": np.array([slope])}

    def per_channel(shape: Shape, seed: int, backward: bool = False) -> Case:
        weight = uniform(shape[1:2], seed + 1, -1.5, 1.5)
        forward = _forward(uniform(shape, seed), also={"weight": weight})
        return _backward(forward) if backward else forward

    learned = [_forward(POINTS, also=one(slope)) for slope in (-0.5, 1.5)]
    channels = [_forward(uniform(shape, 2), also={"weight": SLOPES}) for shape in ((3, 3), (3, 3, 3), (3, 3, 2, 3))]
    search = st.builds(per_channel, shapes(least=2, shortest=1, longest=5), SEEDS, st.booleans())
    yield from _early(component, POINTS, one(0.25))
    yield "learned_slopes", "a slope may have become negative or above 1", (*learned, *map(_backward, learned))
    says = "one slope for each channel of axis 1, with 2, 3 and 4 axes"
    yield "channels", says, (*channels, *map(_backward, channels)), search
    says = "the slopes have their gradients also where the input needs none, as in the first layer"
    first = _backward(_forward(POINTS, also=one(0.25)))
    yield "first_layer", says, (replace(first, inputs={**first.inputs, "constant": ("x",)}),)
    yield from _late(POINTS, one(0.25))


# --- maxout ----------------------------------------------------------------------------------------------------------


def _maxout_case(examples: int, pieces: int, units: int, inputs: int, seed: int, backward: bool = False) -> Case:
    x, weight = uniform((examples, inputs), seed), uniform((pieces, units, inputs), seed + 1)
    return _maxout_of(x, weight, uniform((pieces, units), seed + 2), backward)


def _maxout_of(x: Array, weight: Array, bias: Array, backward: bool = False) -> Case:
    inputs = {"x": x, "weight": weight, "bias": bias}
    if backward:
        inputs["grad_output"] = _upstream((len(x), bias.shape[1]))
    return Case("backward" if backward else "forward", inputs)


def _tied() -> Case:
    """The maps (x0, x0, -x0), (x1, -x1, x1) and (x2, 2 x2, -x2), plus 1: several are equal for most of the examples."""
    factors = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 2.0], [-1.0, 1.0, -1.0]])
    x = np.array([[1.0, 2.0, 0.0], [-1.0, -2.0, 1.0], [3.0, 0.0, -4.0]])
    return replace(_maxout_of(x, factors[:, :, None] * np.eye(3), np.ones((3, 3)), backward=True), exact=True)


def _maxout(component: Component) -> Iterator[tuple[Any, ...]]:
    # as many maps, units, inputs and examples, so that the wrong axis runs too
    square = [_maxout_case(3, 3, 3, 3, 11, backward) for backward in (False, True)]
    sizes = [st.integers(low, high) for low, high in ((1, 6), (1, 4), (1, 5), (1, 9))]
    searches = [st.builds(_maxout_case, *sizes, SEEDS, st.just(backward)) for backward in (False, True)]
    low = [
        _maxout_of(square[0].inputs["x"], square[0].inputs["weight"], np.full((3, 3), -1000.0), b)
        for b in (False, True)
    ]
    masked = np.array([[-np.inf, 0.5], [0.25, -np.inf]])
    x, weight = np.array([[1.0, -2.0]]), np.ones((2, 2, 2))
    shaped = [_maxout_case(*sizes, 5) for sizes in ((1, 1, 1, 1), (17, 4, 9, 9), (5, 1, 3, 3), (2, 3, 2, 2))]
    shaped += [_refusable(_maxout_case(0, 2, 3, 3, 5))]
    yield "values", "each unit is the largest of its affine maps", square[:1], searches[0]
    yield "ties", "equal maps share the gradient in one of the ways in use", (_tied(),)
    yield "gradient", "the largest map receives the unit's gradient", square[1:], searches[1]
    yield "negative", "the largest of very negative maps is negative", low
    high = _maxout_of(1e6 * square[0].inputs["x"], *(square[0].inputs[name] for name in ("weight", "bias")))
    yield "large", "large inputs are as good as any", (high,)
    yield "infinite", "a map at -inf is never the largest", (_maxout_of(x, weight, masked),)
    nan = _maxout_of(np.array([[1.0, 2.0], [np.nan, 1.0]]), weight, np.zeros((2, 2)))
    yield "nan", "NaN stays NaN and touches no other example", (nan,)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *square)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *square)
    yield "shapes", "it takes no example, one map, one unit", shaped
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*square)


# --- softmax ---------------------------------------------------------------------------------------------------------


def _searched_along(
    backward: bool, shape: st.SearchStrategy[Shape], axis: st.SearchStrategy[int | None]
) -> st.SearchStrategy[Case]:
    """Arrays of a shape, along the axis of a number, or without one where that is None."""

    def case(shape: Shape, seed: int, axis: int | None) -> Case:
        settings: dict[str, Any] = {} if axis is None else {"dim": axis % (2 * len(shape)) - len(shape)}
        forward = _forward(uniform(shape, seed), **settings)
        return _backward(forward) if backward else forward

    return st.builds(case, shape, SEEDS, axis)


def _softmax(component: Component) -> Iterator[tuple[Any, ...]]:
    plain = _forward(LOGITS)
    both = plain, _backward(plain)
    axes = [_forward(CUBE, dim=axis) for axis in (1, 0, 2, -1, -2, -3)]
    shaped = [_forward(uniform(shape, 3)) for shape in ((1, 1), (4, 1), (2, 17), (1, 257))]
    shaped += [_refusable(_forward(np.zeros((0, 3))))]
    vectors = [
        replace(_forward(uniform(shape, 4), dim=axis), refusable=True)
        for shape, axis in (((), 0), ((1,), 0), ((9,), -1))
    ]
    apart, saturated, masked = _forward(APART), _forward(SATURATED), _forward(MASKED)
    rows = st.tuples(st.integers(1, 5), st.integers(1, 17))
    any_axis = _searched_along(True, shapes(least=1, shortest=1, longest=5), st.integers(0, 7))
    cube = _refusable(_forward(CUBE))
    # two axes first: there every default axis in use is axis 1
    yield "values", "it gives the function's values", (plain,), _searched_along(False, rows, st.none())
    yield "default_axis", "the axis where none is given is one of those in use", (cube,)
    yield "gradient", "the gradient is that of the whole row", (both[1],), _searched_along(True, rows, st.none())
    # code for two axes alone lacks others
    others = tuple(map(_refusable, (*axes, *map(_backward, axes))))
    yield "axes", "it obeys dim, counted from either end", others, any_axis.map(_refusable)
    yield "rows", "a row does not depend on others, however far apart they are", (apart, _backward(apart))
    yield "small", "small probabilities are not 0", (_forward(SMALL), _backward(_forward(SMALL)))
    yield "extremes", "far apart it takes its limits", (*_in_dtypes(("float64", "float32"), saturated), masked)
    far = (*_in_dtypes(("float64", "float32"), _backward(saturated)), _backward(masked))
    yield "extreme_gradients", "far apart the gradient takes its limits and is not NaN", far
    one_bad = _forward(np.array([[1.0, 2.0, 0.5], [1.0, np.nan, 0.5]]))
    yield "nan", "NaN makes its row NaN and touches no other", (one_bad,)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *both, apart)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *both)
    yield "shapes", "it takes single numbers, long rows and no row at all", (*shaped, *vectors)
    asked = replace(plain, inputs={**plain.inputs, "result_dtype": "float64"}, dtype="float32", refusable=True)
    yield "asked_dtype", "with dtype= the result has that dtype", (asked,), None, "dtype"
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*both)
    says = "a row with +inf, or with nothing but -inf, is NaN as IEEE arithmetic has it"
    yield "undefined_rows", says, (_forward(UNDEFINED),), None, "values", "advice"


_LISTS: dict[str, Callable[[Component], Iterator[tuple[Any, ...]]]] = {
    "sigmoid": lambda component: _elementwise(component, POINTS),
    "tanh": lambda component: _elementwise(component, POINTS),
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "maxout": _maxout,
    "softmax": _softmax,
    "log_softmax": _softmax,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name](component)
    return tuple(
        Check(f"activations.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
