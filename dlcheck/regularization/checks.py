"""What regularisation must satisfy: cases that tell conventions and mistakes apart."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, shapes, uniform

Array = NDArray[np.float64]
Rows = Iterator[tuple[Any, ...]]

HALVES = ("float16", "bfloat16")
LAYOUTS = ("strided", "transposed", "readonly")


def _in_dtypes(dtypes: Iterable[str], *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, dtype=dtype) for dtype in dtypes for case in cases)


def _in_layouts(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, layout=layout) for layout in LAYOUTS for case in cases)


# --- dropout ---------------------------------------------------------------------------------------------------------

_INDEX = np.arange(12).reshape(2, 3, 2)
IMAGES = 0.25 * (1.0 + _INDEX * 7 % 13) * (-1.0) ** (_INDEX % 5)
"""Examples, channels and positions, numbers of both signs and none of them 0, which would hide what was dropped."""
UPSTREAM = (0.5 + 0.125 * (_INDEX * 5 % 11)) * (-1.0) ** (_INDEX % 3)
PAIR = np.array([1.5, -0.75])
"""Two elements: here exactly the share p is seldom dropped."""
MANY = np.linspace(0.5, 3.5, 64)
"""So many elements that a probability which is off by a fiftieth shows."""
STRIPS = np.linspace(0.5, 3.375, 24).reshape(4, 1, 6)
"""Four examples with one channel: whether masks are shared along an axis shows in whole slices of zeros."""


def _draws(backward: bool = False, x: Array = IMAGES, draws: int = 150, **settings: Any) -> Case:
    inputs: dict[str, Any] = {"input": x, "draws": draws} | ({"grad_output": UPSTREAM} if backward else {})
    return Case("draws_backward" if backward else "draws", inputs, settings)


def _still(x: Array = IMAGES[0], **settings: Any) -> Case:
    """A case in which nothing is left to chance."""
    return Case("forward", {"input": x}, settings)


def _still_back(**settings: Any) -> Case:
    """The way back through zeros too, of which the output does not tell whether they were dropped."""
    x = IMAGES[0] * [[1, 0], [1, 1], [0, 1]]
    return Case("backward", {"input": x, "grad_output": UPSTREAM[0]}, settings)


def _dropout(component: Component) -> Rows:
    says = "each element is dropped with probability 1/2, and the kept ones are scaled"
    yield "law", says, (_draws(x=PAIR), _draws(draws=250), _draws(x=STRIPS, draws=300))
    yield "rate", "elements are dropped with the probability p", (_draws(p=0.25), _draws(x=MANY, draws=100, p=0.75))
    says = "the gradient passes through what this draw has kept, scaled alike"
    yield "gradient", says, (_draws(backward=True, p=0.25),)
    # as draws, so that code which goes on dropping there can be told by its law
    outside = [_draws(backward, draws=60, training=False, p=p) for p in (0.5, 0.25) for backward in (False, True)]
    yield "evaluation", "outside training nothing is dropped", outside
    yield "in_place", "with inplace=True it has the same law", (replace(_draws(p=0.25), layout="in_place"),)
    yield "nothing_dropped", "with p = 0 everything is kept", (_still(p=0.0), _still_back(p=0.0))
    yield "all_dropped", "with p = 1 everything is zero, and nothing NaN", (_still(p=1.0), _still_back(p=1.0))
    yield "float32", "it is right in float32", (replace(_draws(x=PAIR, p=0.25), dtype="float32"),)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, _still(p=0.0))
    shaped = _still(np.zeros((0, 3)), p=0.0), _draws(x=PAIR[:1], draws=60)
    yield "shapes", "it takes any shape, empty ones too", shaped
    views = _in_layouts(_still(p=0.0))
    yield "layouts", "it takes views: strided, transposed and read-only", views


# --- penalties -------------------------------------------------------------------------------------------------------

WEIGHT = np.array([[0.5, -2.25, 4.0, 0.125], [-1.5, 0.25, -0.75, 3.0]])
GRAD = np.array(-0.75)


def _penalised(weight: Array = WEIGHT, **settings: Any) -> tuple[Case, Case]:
    forward = Case("forward", {"weight": weight}, settings)
    return forward, replace(forward, run="backward", inputs={"weight": weight, "grad_output": GRAD})


def _penalty(component: Component) -> Rows:
    def searched(shape: tuple[int, ...], seed: int, settings: dict[str, float], backward: bool) -> Case:
        return _penalised(uniform(shape, seed), **settings)[backward]

    any_strength = st.fixed_dictionaries({}, optional={"strength": st.sampled_from([0.0, 0.01, 3.0])})
    search = st.builds(searched, shapes(least=1, shortest=1), SEEDS, any_strength, st.booleans())
    plain = _penalised()
    strengths = [case for strength in (0.25, 3.0, 0.0) for case in _penalised(strength=strength)]
    zero = replace(_penalised(np.array([0.0, 1.5, 0.0, -2.0]))[1], exact=True)
    shaped = [case for shape in ((), (1,), (3, 2, 2)) for case in _penalised(uniform(shape, 4))]
    yield "values", "it sums over all weights", plain[:1], search
    yield "gradient", "its gradient is right", plain[1:], search
    yield "strength", "it is proportional to strength", strengths
    yield "gradient_at_zero", "where a weight is 0 its gradient is one of those in use", (zero,)
    yield "tiny", "tiny and huge weights keep their digits", _penalised(np.array([1e-8, -3e-8, 2e5]))
    yield "shapes", "it takes any shape, empty ones too", (*shaped, _penalised(np.zeros((0, 3)))[0])
    yield "float32", "it is right in float32", _in_dtypes(("float32",), *plain)
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, *plain)
    yield "layouts", "it takes views: strided, transposed and read-only", _in_layouts(*plain)


# --- clipping --------------------------------------------------------------------------------------------------------

GRADS: list[Array | None] = [
    np.array([[3.0, -1.5, 0.25], [0.5, 2.0, -0.125]]), np.array([-4.0, 0.75]), np.array([0.0625])
]  # fmt: skip
"""Several tensors, of which one is large and one small, with elements on both sides of every limit."""


SCALARS: list[Array | None] = [GRADS[0], np.array(-2.5), np.array(0.75)]


def _clip(grads: list[Array | None] | None = None, *, run: str = "clip", given_as: str = "", **settings: Any) -> Case:
    inputs: dict[str, Any] = {"grads": GRADS if grads is None else grads}
    return Case(run, inputs | ({"given_as": given_as} if given_as else {}), settings)


def _norm_search(shape_lists: list[tuple[int, ...]], seed: int, limit: float, norm_type: float) -> Case:
    grads: list[Array | None] = [uniform(shape, seed + index) for index, shape in enumerate(shape_lists)]
    return _clip(grads, max_norm=limit, norm_type=norm_type)


def _clip_norm(component: Component) -> Rows:
    shaped = st.lists(shapes(least=1, most=2, shortest=1, longest=4), min_size=1, max_size=3)
    limits = st.sampled_from([0.5, 1.0, 100.0])
    search = st.builds(_norm_search, shaped, SEEDS, limits, st.sampled_from([2.0, 1.0, float("inf")]))
    single: list[Array | None] = [GRADS[0]]
    missing: list[Array | None] = [GRADS[0], None, GRADS[1]]
    empty: list[Array | None] = [np.zeros((0, 2))]
    zeros: list[Array | None] = [np.zeros((2, 3)), np.zeros(2)]
    tiny: list[Array | None] = [np.array([3e-4, -4e-4]), np.array([1.2e-3])]
    infinite: list[Array | None] = [np.array([1.0, np.inf, -2.0]), np.array([0.5])]
    undefined: list[Array | None] = [np.array([1.0, np.nan, -2.0]), np.array([0.5])]
    yield "one", "a single gradient is scaled to the norm asked for", (_clip(single, max_norm=1.0),)
    yield "values", "all gradients are scaled by one factor", (_clip(max_norm=1.0), _clip(max_norm=2.5)), search
    yield "within", "gradients within the norm are left alone", (_clip(max_norm=100.0), _clip(max_norm=5.75))
    returned = [_clip(run="norm", max_norm=limit) for limit in (1.0, 100.0)]
    nothing = replace(_clip(empty, run="norm", max_norm=1.0), refusable=True)
    yield "norm", "it returns the norm as it was before, 0 of no elements", [*returned, nothing]
    types = [
        _clip(run=run, max_norm=1.0, norm_type=p) for run in ("clip", "norm") for p in (1.0, 3.0, float("inf"), 1.5)
    ]
    types += [replace(_clip(run=run, max_norm=1.0, norm_type=0.5), refusable=True) for run in ("clip", "norm")]
    yield "norm_type", "it obeys norm_type: 1, 3, infinity, and fractions", types
    held = (_clip(run="held", max_norm=1.0),)
    yield "in_place", "the gradients themselves are changed, not replaced", held, None, "values", "advice"
    yield "epsilon", "what is added to the norm is one of those in use", (_clip(tiny, max_norm=5e-4),)
    yield "scalars", "numbers without axes are clipped too", (_clip(SCALARS, max_norm=1.0),)
    yield "zeros", "gradients of zeros stay zeros, not NaN", (_clip(zeros, max_norm=1.0),)
    says = "gradients of zeros stay zeros where max_norm is 0 too"
    yield "zeros_limit_zero", says, (_clip(zeros, max_norm=0.0),), None, "values", "advice"
    yield "limit_zero", "max_norm may be 0", (_clip(max_norm=0.0),)
    yield "missing", "a parameter without a gradient is passed over", (_clip(missing, max_norm=1.0),)
    handed = _clip(single, given_as="alone", max_norm=1.0), _clip(given_as="generator", max_norm=1.0)
    yield "handed_over", "it takes a single tensor, and a generator, which can be gone through once", handed
    nonfinite = [replace(_clip(grads, max_norm=1.0), exact=True) for grads in (infinite, undefined)]
    yield "nonfinite", "what is not finite is not hidden", nonfinite
    asked = {"max_norm": 1.0, "error_if_nonfinite": True}
    refused = [_clip(grads, run="refuses", **asked) for grads in (infinite, undefined, GRADS)]
    yield "error_if_nonfinite", "it raises an error where it is asked to", refused
    yield "float32", "it is right in float32", _in_dtypes(("float32",), _clip(max_norm=1.0), returned[0])
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, _clip(max_norm=1.0))
    loud: list[Array | None] = [np.array([320.0, -2.5, 1.25]), np.array([-4.0])]
    loud_half = (replace(_clip(loud, max_norm=64.0), dtype="float16"),)
    yield "half_squares", "elements may have squares beyond float16", loud_half, None, "values", "advice"
    yield (
        "layouts",
        "it takes gradients that are views",
        tuple(replace(_clip(max_norm=1.0), layout=layout) for layout in LAYOUTS[:2]),
    )


def _clip_value(component: Component) -> Rows:
    def searched(shape: tuple[int, ...], seed: int, limit: float) -> Case:
        return _clip([uniform(shape, seed)], clip_value=limit)

    search = st.builds(searched, shapes(least=1, shortest=1), SEEDS, st.sampled_from([0.25, 1.0, 5.0]))
    infinite: list[Array | None] = [np.array([1.0, np.inf, -np.inf, -0.25])]
    undefined: list[Array | None] = [np.array([np.nan, 3.0, -0.25])]
    yield "values", "every element is bounded on both sides", (_clip(clip_value=1.0),), search
    yield "limit", "it obeys clip_value", [_clip(clip_value=limit) for limit in (0.25, 2.5, 10.0, 0.0)]
    missing: list[Array | None] = [GRADS[0], None, GRADS[1]]
    yield "missing", "a parameter without a gradient is passed over", (_clip(missing, clip_value=1.0),)
    handed = _clip([GRADS[0]], given_as="alone", clip_value=1.0), _clip(given_as="generator", clip_value=1.0)
    yield "handed_over", "it takes a single tensor, and a generator, which can be gone through once", handed
    yield "scalars", "numbers without axes are bounded too", (_clip(SCALARS, clip_value=1.0),)
    held = (_clip(run="held", clip_value=1.0),)
    yield "in_place", "the gradients themselves are changed, not replaced", held, None, "values", "advice"
    yield "infinite", "infinite elements are bounded too", (_clip(infinite, clip_value=1.0),)
    yield "nan", "NaN stays NaN and touches no other element", (_clip(undefined, clip_value=1.0),)
    yield "float32", "it is right in float32", _in_dtypes(("float32",), _clip(clip_value=1.0))
    yield "half", "it is right in float16 and bfloat16", _in_dtypes(HALVES, _clip(clip_value=1.0))
    yield (
        "layouts",
        "it takes gradients that are views",
        tuple(replace(_clip(clip_value=1.0), layout=layout) for layout in LAYOUTS[:2]),
    )


# --- early stopping --------------------------------------------------------------------------------------------------

FALLING = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
RESTING = np.array([5.0, 3.0, 2.0, 2.5, 2.25, 2.75, 2.5, 3.0, 4.0])
RECOVERING = np.array([5.0, 5.5, 4.0, 4.5, 4.25, 3.0, 3.5, 3.25, 3.75, 4.0, 5.0, 6.0])
SLOW = np.array([5.0, 4.75, 4.5, 4.25, 4.0, 3.75, 3.5, 3.25, 3.0])
EXACT = np.array([5.0, 4.5, 4.0, 3.5, 3.5, 3.5, 3.5, 3.5])
LEVEL = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0])


def _epochs(values: Array, goes_on: bool = False, **settings: Any) -> Case:
    inputs: dict[str, Any] = {"values": np.asarray(values, np.float64)}
    return Case("epochs", inputs | ({"goes_on": True} if goes_on else {}), settings, exact=True)


def _early_stopping(component: Component) -> Rows:
    def searched(seed: int, length: int, settings: dict[str, Any]) -> Case:
        return _epochs(np.round(uniform((length,), seed, 0.0, 4.0) * 4) / 4 + 1 / (1 + np.arange(length)), **settings)

    settings = st.fixed_dictionaries(
        {"patience": st.integers(1, 4)}, optional={"mode": st.just("max"), "min_delta": st.sampled_from([0.3, 1.1])}
    )
    search = st.builds(searched, SEEDS, st.integers(1, 12), settings)
    nan = np.array([5.0, 4.0, np.nan, 3.0, np.nan, np.nan, np.nan, 2.0])
    yield "improving", "while values improve it goes on", (_epochs(FALLING, patience=2),)
    waiting = [_epochs(RESTING, patience=patience) for patience in (3, 2, 4)]
    yield "patience", "so many bad values in a row stop it", waiting, search
    recovering = _epochs(RECOVERING, patience=3), _epochs(RECOVERING, patience=4)
    yield "recovery", "a good value starts the count anew", recovering
    yield "level", "a value like the best is no better", (_epochs(LEVEL, patience=2), _epochs(LEVEL, patience=4))
    shortest = _epochs(RESTING, patience=1), _epochs(RESTING, patience=0), _epochs(RECOVERING, patience=0)
    yield "shortest", "patience 0 stops at the first bad value", shortest
    further = [replace(_epochs(RESTING, goes_on=True, patience=patience), refusable=True) for patience in (2, 3)]
    yield "further", "bad values after it has said stop are no reason to go on", further
    deltas = [_epochs(values, patience=3, min_delta=delta) for values in (SLOW, RECOVERING) for delta in (0.375, 1.25)]
    yield "min_delta", "a gain of less than min_delta is none", deltas
    exactly = [_epochs(EXACT, patience=2, min_delta=0.5), _epochs(EXACT, patience=2, min_delta=0.25)]
    exactly.append(_epochs(-EXACT, patience=2, mode="max", min_delta=0.5))
    yield "exact_gain", "a gain of exactly min_delta counts in one of the ways in use", exactly
    rising = [_epochs(-values, patience=3, mode="max") for values in (RESTING, RECOVERING)]
    gains = _epochs(-SLOW, patience=3, mode="max", min_delta=0.375), _epochs(RESTING, patience=2, mode="max")
    yield "mode", "it looks for the largest value in mode max", (*rising, *gains)
    yield "negative", "values may be negative", (_epochs(RECOVERING - 4.0, patience=3, min_delta=0.375),)
    yield "nan", "NaN is a bad value", tuple(_epochs(nan[i:], patience=p) for i, p in ((0, 3), (2, 4), (2, 2)))


_LISTS: dict[str, Callable[[Component], Rows]] = {
    "dropout": _dropout,
    "l1_penalty": _penalty,
    "l2_penalty": _penalty,
    "clip_grad_norm": _clip_norm,
    "clip_grad_value": _clip_value,
    "early_stopping": _early_stopping,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name](component)
    return tuple(
        Check(f"regularization.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
