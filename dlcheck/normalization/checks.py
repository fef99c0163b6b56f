"""What every normalisation layer must satisfy: cases that tell conventions and mistakes apart."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcheck.component import Case, Check, Component
from dlcheck.evidence.strategies import SEEDS, Shape

Array = NDArray[np.float64]
Row = tuple[Any, ...]

SHAPES: tuple[Shape, ...] = ((5, 3), (2, 3, 2, 2))
"""As many values per channel are few; code may be for vectors or for images only, so both are in every check."""
LAYOUTS = ("strided", "transposed", "readonly")


def _numbers(seed: int, shape: Shape, offset: float = 0.5, spread: float = 1.0) -> Array:
    """Multiples of 1/16, exact in every dtype, whose mean is far from 0 and differs from channel to channel."""
    drawn = np.random.default_rng(seed).normal(size=shape) * spread
    if len(shape) > 1:
        drawn = drawn + offset * (1 + np.arange(shape[1])).reshape(-1, *(1,) * (len(shape) - 2))
    return np.round(drawn * 16) / 16


# --- batch normalisation ---------------------------------------------------------------------------------------------

WEIGHT, BIAS = np.array([-0.5, 2.0, 1.25]), np.array([0.75, -1.5, 0.25])
MEAN, VARIANCE = np.array([0.5, -1.0, 2.0]), np.array([0.25, 3.0, 1.5])


def _step(mode: str, seed: int, shape: Shape, **more: Any) -> dict[str, Any]:
    return {"x": _numbers(seed, shape), "mode": mode, **more}


def _upstream(seed: int, shape: Shape) -> Array:
    return _numbers(seed + 50, shape, offset=0.25)


def _both(run: str, modes: str, *, at: dict[int, dict[str, Any]] | None = None, **more: Any) -> tuple[Case, ...]:
    """A session through modes ("tte": train, train, evaluate) on vectors and on images."""
    return tuple(_session(run, modes, shape, at=at, **more) for shape in SHAPES)


def _session(
    run: str,
    modes: str,
    shape: Shape,
    *,
    at: dict[int, dict[str, Any]] | None = None,
    affine: bool = True,
    start: bool = False,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    steps = []
    for index, mode in enumerate(modes):
        upstream = {"grad_output": _upstream(index, shape)} if run == "backward" else {}
        extra = (at or {}).get(index, {})
        steps.append(_step({"t": "train", "e": "eval"}[mode], index, shape, **upstream, **extra))
    inputs: dict[str, Any] = {"steps": steps}
    inputs |= {"weight": WEIGHT, "bias": BIAS} if affine else {}
    inputs |= {"running_mean": MEAN, "running_var": VARIANCE} if start else {}
    return Case(run, inputs, settings or {}, **more)


_SHARP = {"eps": 0.25}
"""Large, so that its place shows."""


def _constant() -> tuple[Case, ...]:
    """A constant channel: few bits, so that sums in pairs are exact, and so many values that a running sum is not.

    eps is large for the sake of right code that scales before it takes off the mean.
    """
    x = np.full((1, 1, 128, 128), 4097.0)
    inputs = {"steps": [{"x": x, "mode": "train"}], "weight": np.ones(1), "bias": np.array([0.5])}
    small = {"steps": [{"x": np.full((4, 3), 2.0), "mode": "train"}], "weight": WEIGHT, "bias": BIAS}
    images = {**small, "steps": [{"x": np.full((2, 3, 2, 2), 2.0), "mode": "train"}]}
    row = {**inputs, "steps": [{"x": x.reshape(1, 1, -1), "mode": "train"}]}
    single = (Case("forward", given, {"eps": 100.0}, dtype="float32", exact=True) for given in (inputs, row))
    return (*single, *(Case("forward", given, {"eps": 0.25}, exact=True) for given in (small, images)))


def _far_from_zero() -> tuple[Case, ...]:
    """Where the mean of squares less the squared mean, as some compute the variance, loses digits."""

    def case(shape: Shape, dtype: str) -> Case:
        x = 4096.0 + _numbers(5, shape, offset=0.0)
        return Case("forward", {"steps": [{"x": x, "mode": "train"}]}, {}, dtype=dtype)

    return tuple(case(shape, dtype) for dtype in ("float64", "float32") for shape in SHAPES)


def _one_value() -> tuple[Case, ...]:
    vectors, images = np.array([[0.5, -2.0, 3.0]]), np.array([[0.5, -2.0, 3.0]]).reshape(1, 3, 1, 1)
    held = {"weight": WEIGHT, "bias": BIAS}
    # exact: code that scales before it takes off the mean rounds at the size of what it scaled
    return tuple(Case("attempt", {"steps": [{"x": x, "mode": "train"}], **held}, exact=True) for x in (vectors, images))


def _evaluated(*shapes: Shape) -> tuple[Case, ...]:
    """Batches of these shapes in evaluation."""
    held = {"weight": WEIGHT, "bias": BIAS, "running_mean": MEAN, "running_var": VARIANCE}
    return tuple(Case("forward", {"steps": [_step("eval", 1, shape)], **held}) for shape in shapes)


def _first() -> Iterator[Row]:
    yield (
        "training",
        "in training it normalises by the batch",
        _both("forward", "t", settings=_SHARP),
        _search("forward"),
    )
    yield (
        "defaults",
        "momentum, eps and the start are the documented ones",
        (
            *_both("statistics", "tt", affine=False),
            *_both("forward", "te", affine=False),
            *(_faint(run, shape) for run in ("forward", "backward") for shape in SHAPES),
        ),
    )
    yield "single_value", "one value per channel in training is refused or gives the bias", _one_value()
    two = _session("forward", "t", (2, 3)), _session("forward", "t", (1, 3, 1, 2))
    yield "two_examples", "the variance that normalises is the biased one", two
    yield (
        "gradient",
        "mean and variance are functions of the input",
        _both("backward", "t", settings=_SHARP),
        _search("backward"),
    )
    yield (
        "evaluation",
        "in evaluation it normalises by the running statistics",
        _both("forward", "e", start=True, settings=_SHARP),
    )
    yield (
        "evaluation_gradient",
        "in evaluation the statistics are constants",
        _both("backward", "e", start=True, settings=_SHARP),
    )
    yield (
        "first_average",
        "one batch moves the running statistics",
        (
            *_both("statistics", "t", settings={"momentum": 0.25}),
            _session("statistics", "t", (2, 3), settings={"momentum": 0.25}),
        ),
    )
    yield (
        "averages",
        "each further batch moves them on",
        _both("statistics", "ttt", start=True, settings={"momentum": 0.25}),
        _search("statistics"),
    )


def _settings() -> Iterator[Row]:
    extremes = tuple(
        case for rate in (0.0, 1.0) for case in _both("statistics", "t", start=True, settings={"momentum": rate})
    )
    yield "momentum_extremes", "momentum 0 and 1 keep one of the two values", extremes
    yield (
        "cumulative",
        "momentum None gives every batch the same weight",
        (
            *_both("statistics", "ttett", settings={"momentum": None}),
            *_both("statistics", "ttt", at={1: {"reload": True}, 2: {"reload": True}}, settings={"momentum": None}),
        ),
    )
    plain = {"affine": False, **_SHARP}
    yield (
        "without_scale",
        "without scale and shift it only normalises",
        (
            *_both("forward", "te", affine=False, settings=plain),
            *_both("backward", "te", affine=False, settings=plain),
        ),
    )
    alone = [_without(name, case) for name in ("weight", "bias") for case in _both("forward", "te", settings=_SHARP)]
    yield "scale_or_shift", "it may have a scale and no shift, or a shift and no scale", tuple(alone)
    unrecorded = _both("statistics", "tt", at={0: {"no_grad": True}}, settings={"momentum": 0.25})
    yield "no_grad", "where no gradients are recorded the running statistics move all the same", unrecorded
    untracked = {"track_running_stats": False, **_SHARP}
    yield (
        "untracked",
        "without running statistics the batch's serve in evaluation too",
        (
            *_both("forward", "ete", settings=untracked),
            *_both("backward", "e", settings=untracked),
        ),
    )


def _without(name: str, case: Case) -> Case:
    return replace(case, inputs={key: value for key, value in case.inputs.items() if key != name})


def _faint(run: str, shape: Shape) -> Case:
    """Values so close together that the default of eps shows."""
    step = {"x": _numbers(3, shape, spread=0.25) / 64, "mode": "train"}
    upstream = {"grad_output": _upstream(3, shape)} if run == "backward" else {}
    return Case(run, {"steps": [{**step, **upstream}], "weight": WEIGHT, "bias": BIAS})


def _sequences() -> Iterator[Row]:
    quick = {"momentum": 0.25, **_SHARP}
    yield (
        "modes",
        "training, evaluation and training again follow each other",
        (
            *_both("forward", "tetet", start=True, settings=quick),
            *_both("statistics", "teet", start=True, settings=quick),
            *_both("backward", "tet", start=True, settings=quick),
        ),
    )
    one = _evaluated((1, 3), (1, 3, 1, 1))
    yield "evaluation_alone", "in evaluation the batch does not matter and may be one example", one
    none = _evaluated((0, 3), (0, 3, 2, 2))
    yield "no_example", "in evaluation no example gives no output", none, None, "values", "advice"
    yield (
        "save_load",
        "parameters and statistics survive saving and loading, and are not shared by a copy",
        (
            *_both("statistics", "tt", at={1: {"copy": True}}, settings=quick),
            *_both("forward", "tte", at={2: {"reload": True}}, settings=quick),
            *_both("statistics", "tt", at={1: {"reload": True}}, settings=quick),
        ),
    )
    changed = {1: {"set": {"momentum": 0.75}}, 2: {"set": {"momentum": 0.0}}, 3: {"set": {"momentum": 0.5}}}
    yield (
        "momentum_change",
        "a momentum changed from outside holds from the next batch",
        _both("statistics", "tttt", at=changed, settings=quick),
    )
    twice = {1: {"call": ("freeze", "freeze")}, 3: {"call": ("unfreeze",)}}
    yield (
        "freezing",
        "frozen statistics stay, however often they are frozen, and move again afterwards",
        _both("statistics", "tttt", at=twice, settings=quick),
    )


def _numerics() -> Iterator[Row]:
    yield "constant", "a constant channel gives the bias, without the rounding of its mean blown up", _constant()
    every = (
        *_both("forward", "te", settings=_SHARP),
        *_both("backward", "te", settings=_SHARP),
        *_both("statistics", "tt", settings=_SHARP),
    )
    yield "float32", "it is right in float32", tuple(replace(case, dtype="float32") for case in every)
    halves = ("float16", "bfloat16")
    yield (
        "half",
        "it is right in float16 and bfloat16",
        tuple(replace(case, dtype=dtype) for dtype in halves for case in _both("forward", "t", settings=_SHARP)),
    )
    yield (
        "layouts",
        "it takes views: strided, transposed and read-only",
        tuple(
            replace(case, layout=layout)
            for layout in LAYOUTS
            for case in (
                *_both("forward", "te", settings=_SHARP),
                _session("backward", "t", SHAPES[layout == "strided"]),
            )
        ),
    )
    shapes: tuple[Shape, ...] = ((100, 1), (2, 3, 5), (2, 3, 3), (1, 3, 3, 2), (3, 3, 1, 1), (2, 2, 2, 1, 3))
    yield (
        "shapes",
        "one channel, one example, one axis of space or three",
        tuple(
            _session(run, "te", shape, affine=False, settings=_SHARP)
            for shape in shapes
            for run in ("forward", "backward")
            if run == "forward" or shape[1] == 1 or len(shape) != 4
        ),
    )
    says = "values far from zero keep the digits of their variance"
    yield "far_from_zero", says, _far_from_zero(), None, "values", "advice"


def _batch_norm() -> Iterator[Row]:
    for part in (_first(), _settings(), _sequences(), _numerics()):
        yield from part


@st.composite
def _search(draw: st.DrawFn, run: str) -> Case:
    """Any number of channels and axes of space, any modes; what is in the arrays follows from a seed."""
    space = draw(st.sampled_from(((), (2, 2), (3, 1), (1, 4))))
    shape = (draw(st.integers(2, 6)), draw(st.integers(1, 4)), *space)
    rng = np.random.default_rng(draw(SEEDS))
    modes = draw(st.lists(st.sampled_from(("train", "eval")), min_size=1, max_size=4))
    steps = [{"x": rng.normal(1.0, 2.0, shape), "mode": mode} for mode in modes]
    if run == "backward":
        steps = [{**step, "grad_output": rng.normal(0.5, 1.0, shape)} for step in steps]
    settings = {"momentum": draw(st.sampled_from((0.25, 0.5, 0.0625))), "eps": draw(st.sampled_from((0.25, 1e-3)))}
    held = {"weight": rng.normal(size=shape[1]), "bias": rng.normal(size=shape[1])}
    return Case(run, {"steps": steps, **held}, settings)


# --- local response normalisation ------------------------------------------------------------------------------------

LRN_SHAPE = (2, 7, 1, 3)
"""More channels than examples, so that a loop over the wrong axis shows; more than the widest common window."""
STRONG = {"size": 3, "alpha": 1.75, "beta": 0.75, "k": 2.5}


def _lrn(seed: int = 1, shape: Shape = LRN_SHAPE, run: str = "forward", **settings: Any) -> Case:
    x = _numbers(seed, shape, offset=0.125)
    upstream = {"grad_output": _upstream(seed, shape)} if run == "backward" else {}
    return Case(run, {"x": x, **upstream}, settings)


def _pair(seed: int = 1, shape: Shape = LRN_SHAPE, **settings: Any) -> tuple[Case, Case]:
    return _lrn(seed, shape, "forward", **settings), _lrn(seed, shape, "backward", **settings)


def _local_response_norm() -> Iterator[Row]:
    forward, backward = _pair(**STRONG)
    yield (
        "values",
        "each response is divided by a power of its neighbourhood's squares",
        (forward,),
        _lrn_search("forward"),
    )
    loud = Case("forward", {"x": 64 * forward.inputs["x"]})
    loud_gradient = Case("backward", {**backward.inputs, **loud.inputs})
    defaults = loud, replace(loud, settings={"size": 3}), loud_gradient
    yield "defaults", "settings that are not given are the documented ones", defaults
    yield "gradient", "neighbours enter the gradient too", (backward,), _lrn_search("backward")
    yield (
        "sizes",
        "the window is as wide as it says, even ones and those past all channels too",
        tuple(case for size in (1, 2, 4, 5, 9, 20) for case in _pair(2, **{**STRONG, "size": size})),
    )
    for name, values in {"alpha": (0.25, 0.0), "beta": (0.5, 1.0, 2.0, 0.0), "k": (0.5, 10.0)}.items():
        cases = tuple(case for value in values for case in _pair(3, **{**STRONG, name: value}))
        yield name, f"{name} does what the formula says", cases
    shapes: tuple[Shape, ...] = ((3, 5, 2), (2, 1, 2, 2), (4, 3, 2, 2), (3, 3, 3, 3), (1, 6, 2, 1, 2))
    yield (
        "shapes",
        "one axis of space or several, one channel",
        tuple(case for shape in shapes for case in _pair(4, shape, **STRONG)),
    )
    yield "no_example", "no example gives no output", _pair(4, (0, 4, 2, 2), **STRONG), None, "values", "advice"
    yield (
        "zeros",
        "a response of 0 stays 0 and has a gradient",
        tuple(
            replace(case, inputs={**case.inputs, "x": np.where(np.abs(case.inputs["x"]) < 0.75, 0.0, case.inputs["x"])})
            for case in (forward, backward)
        ),
    )
    large = {**forward.inputs, "x": 2.0**40 * forward.inputs["x"]}
    yield "large", "large responses keep their digits", (replace(forward, inputs=large), replace(loud, inputs=large))
    yield "float32", "it is right in float32", tuple(replace(case, dtype="float32") for case in (forward, backward))
    yield (
        "half",
        "it is right in float16 and bfloat16",
        tuple(replace(case, dtype=dtype) for dtype in ("float16", "bfloat16") for case in (forward, backward)),
    )
    yield (
        "layouts",
        "it takes views: strided, transposed and read-only",
        tuple(replace(case, layout=layout) for layout in LAYOUTS for case in (forward, backward)),
    )


@st.composite
def _lrn_search(draw: st.DrawFn, run: str) -> Case:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 8)), *draw(st.sampled_from(((1,), (2,), (2, 2), (1, 3)))))
    rng = np.random.default_rng(draw(SEEDS))
    upstream = {"grad_output": rng.normal(0.5, 1.0, shape)} if run == "backward" else {}
    settings = {
        "size": draw(st.integers(1, 6)),
        "alpha": draw(st.sampled_from((1.0, 0.1))),
        "beta": draw(st.sampled_from((0.75, 0.5, 1.0))),
        "k": draw(st.sampled_from((1.0, 2.0))),
    }
    return Case(run, {"x": rng.normal(0.25, 1.5, shape), **upstream}, settings)


_LISTS: dict[str, Callable[[], Iterator[Row]]] = {
    "batch_norm": _batch_norm,
    "local_response_norm": _local_response_norm,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The fixed list of a component's checks, root causes before their consequences."""
    rows = _LISTS[component.name]()
    return tuple(
        Check(f"normalization.{component.name}.{name}", says, tuple(cases), *rest) for name, says, cases, *rest in rows
    )
