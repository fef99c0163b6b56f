"""What every initializer must satisfy: draws that follow the law, at shapes and settings that tell mistakes apart.

The numbers of draws are set by the smallest effect to be seen (``evidence.statistics.sample_size``): about 1e5 values
show 5 per cent of variance, 2e5 show 4 per cent; mistakes by a factor need a few thousand.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from dlcheck.component import Case, Check, Component

Shape = tuple[int, ...]
Settings = Mapping[str, Any]
Row = tuple[str, str, tuple[Case, ...], Any]
"""A check's name, what it says, its fixed cases, and its strategy of further ones or None."""

DENSE = (50, 20)
WIDE = (20, 50)
KERNEL = (8, 4, 3, 3)
COARSE, FINE, FINEST = 10_000, 100_000, 200_000
"""Numbers of values drawn."""
LARGE = (64, 128)
MANY = 2**20
"""Values that show what is missing beyond three deviations of a sum of twelve uniform numbers."""
SEARCHED = 4_000
MATRICES = 400
"""Draws that show a law of whole matrices: 400 see a Kolmogorov distance of 0.33."""
VIEWED = 40
LAYOUTS = "transposed", "strided"


def _case(shape: Shape, values: int, **settings: Any) -> Case:
    return _matrices(shape, math.ceil(values / max(1, math.prod(shape))), **settings)


def _matrices(shape: Shape, draws: int = MATRICES, **settings: Any) -> Case:
    """Tensors of torch's default dtype, which is what initializers are given."""
    return Case("sample", {"shape": shape, "draws": draws}, settings, dtype="float32")


def _shapes(least: int) -> st.SearchStrategy[Shape]:
    return st.lists(st.integers(1, 6), min_size=least, max_size=4).map(tuple)


def _search(least: int, settings: st.SearchStrategy[Settings]) -> st.SearchStrategy[Case]:
    """Tensors of any shape; of the smallest not so many that calling the code for each takes long."""

    def case(shape: Shape, chosen: Settings) -> Case:
        return _case(shape, min(SEARCHED, MATRICES * math.prod(shape)), **chosen)

    return st.builds(case, _shapes(least), settings)


def _settings(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Settings]:
    return st.fixed_dictionaries({}, optional=strategies)


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=16)


def _one_number(values: int, **settings: Any) -> Case:
    """Tensors without axes, which code need not take."""
    return replace(_case((), values, **settings), refusable=True)


def _views(shape: Shape = (6, 4), draws: int = VIEWED, **settings: Any) -> Row:
    """Tensors that are not contiguous, which code may refuse, but not leave as they are."""
    views = (replace(_matrices(shape, draws, **settings), layout=layout, refusable=True) for layout in LAYOUTS)
    return "views", "a view is filled where it lies: a transposed one, and one with gaps, which stay", (*views,), None


SHAPES = (_case((7,), COARSE), _case((1, 1), 2000), _one_number(MATRICES), _case(KERNEL, COARSE))
TAILS: Row = ("tails", "values far out are as rare as they should be", (_case(LARGE, MANY),), None)
GAIN = _settings(gain=_numbers(0.25, 4.0))
SLOPE = _settings(
    a=_numbers(0.0, 4.0),
    mode=st.sampled_from(["fan_in", "fan_out"]),
    nonlinearity=st.sampled_from(["leaky_relu", "relu", "linear", "tanh"]),
)


def _constant() -> list[Row]:
    values = st.fixed_dictionaries({"val": _numbers(-8.0, 8.0)})
    return [
        ("law", "every entry is the value", (_case((3, 4), 600, val=0.3),), _search(1, values)),
        (
            "values",
            "any value, whole or not",
            tuple(_case((5,), 300, val=value) for value in (-2.75, 0.0, 1e-8, 1e6)),
            None,
        ),
        ("one_number", "a tensor without axes is filled too", (_one_number(2, val=0.3),), None),
        _views(draws=2, val=0.3),
    ]


def _normal() -> list[Row]:
    settings = _settings(mean=_numbers(-4.0, 4.0), std=_numbers(0.125, 4.0))
    return [
        ("law", "normal at the default settings", (_case(DENSE, FINE),), None),
        (
            "std",
            "std is the deviation, not the variance",
            (_case(DENSE, FINE, std=0.02), _case(DENSE, COARSE, std=3.0)),
            None,
        ),
        (
            "mean",
            "shifted by mean, whatever std",
            (_case(DENSE, COARSE, mean=1.5, std=0.5), _case(DENSE, COARSE, mean=-2.0)),
            None,
        ),
        ("degenerate", "std = 0 gives the mean", (_case((4, 3), 24, mean=0.5, std=0.0),), None),
        TAILS,
        ("shapes", "the same law in every shape", SHAPES, _search(1, settings)),
        _views(),
    ]


def _uniform() -> list[Row]:
    settings = st.builds(lambda a, width: {"a": a, "b": a + width}, _numbers(-4.0, 4.0), _numbers(0.25, 4.0))
    return [
        ("law", "uniform at the default settings", (_case(DENSE, FINE),), None),
        (
            "bounds",
            "uniform between a and b",
            (_case(DENSE, FINE, a=-0.3, b=0.1), _case(DENSE, COARSE, a=2.0, b=5.0)),
            None,
        ),
        ("degenerate", "a = b gives that value", (_case((4, 3), 24, a=0.5, b=0.5),), None),
        ("shapes", "the same law in every shape", SHAPES, _search(1, settings)),
        _views(),
    ]


def _fans() -> list[Row]:
    kernels = _case(KERNEL, FINE), _case((4, 8, 5), COARSE), _case((6, 2, 1, 1), COARSE), _case((3, 5, 1, 4), COARSE)
    return [
        ("dense", "fans of a dense weight (out, in)", (_case(DENSE, FINEST), _case(WIDE, FINEST)), None),
        ("kernel", "fans of a kernel count its positions", kernels, None),
    ]


def _xavier() -> list[Row]:
    gains = tuple(
        _case(shape, COARSE, gain=gain)
        for shape, gain in ((DENSE, 3.0), (DENSE, 0.5), (WIDE, 3.0), (KERNEL, 3.0), ((4, 8, 5), 0.5))
    )
    return [
        *_fans(),
        ("gain", "the deviation is proportional to gain", gains, None),
        ("degenerate", "gain = 0 gives zeros", (replace(_case((4, 3), 24, gain=0.0), refusable=True),), None),
        ("shapes", "the law holds in every shape", (_case((1, 1), 2000),), _search(2, GAIN)),
        _views(),
    ]


def _kaiming() -> list[Row]:
    def named(**settings: Any) -> Case:
        return _case(DENSE, COARSE, **settings)

    modes = tuple(_case(shape, COARSE, mode=mode) for mode in ("fan_in", "fan_out") for shape in (DENSE, KERNEL))
    others = tuple(named(nonlinearity=name) for name in ("linear", "relu", "tanh"))
    others += tuple(replace(named(nonlinearity=name), refusable=True) for name in ("sigmoid", "selu"))
    others += _case(KERNEL, COARSE, nonlinearity="tanh"), named(nonlinearity="tanh", mode="fan_out")
    slopes = _case(DENSE, FINE, a=0.5, nonlinearity="leaky_relu"), named(a=2.0), named(a=2.0, nonlinearity="leaky_relu")
    slopes += _case(KERNEL, COARSE, a=2.0), named(a=2.0, mode="fan_out")
    unused = (named(a=2.0, nonlinearity="relu"),)
    return [
        *_fans(),
        ("mode", "mode names the fan", modes, None),
        ("nonlinearity", "the gain is that of the nonlinearity", others, None),
        ("slope", "the gain of a leaky ReLU is sqrt(2 / (1 + a^2))", slopes, None),
        ("slope_unused", "a is the slope of a leaky ReLU alone", unused, None),
        ("shapes", "the law holds in every shape", (_case((1, 1), 2000),), _search(2, SLOPE)),
        _views(),
    ]


def _orthogonal() -> list[Row]:
    kernels = _matrices((3, 2, 2, 1)), _matrices((2, 3, 2)), _matrices((8, 4, 3, 3), 3)
    search = st.builds(lambda shape, gain: _matrices(shape, 100, **gain), _shapes(2), GAIN)
    return [
        (
            "orthogonality",
            "orthonormal columns, or rows of a wide matrix",
            (_matrices((6, 6), 5), _matrices((7, 3), 5), _matrices((3, 7), 5)),
            None,
        ),
        (
            "haar",
            "every orthogonal matrix is equally likely",
            tuple(map(_matrices, ((3, 3), (2, 2), (4, 2), (2, 4)))),
            None,
        ),
        (
            "gain",
            "gain times an orthogonal matrix",
            (
                *(_matrices((4, 3), 50, gain=gain) for gain in (3.0, 0.5)),
                *(_matrices(shape, 5, gain=3.0) for shape in ((3, 7), (8, 2, 2, 1), (3, 2, 2))),
            ),
            None,
        ),
        ("kernel", "kernels are matrices (out, in * positions)", kernels, None),
        ("degenerate", "gain = 0 gives zeros", (_matrices((4, 3), 2, gain=0.0),), None),
        (
            "shapes",
            "the law holds in every shape",
            (_matrices((1, 1)), _matrices((1, 5)), _matrices((5, 1)), _matrices((64, 32), 3)),
            search,
        ),
        _views((4, 3)),
    ]


def _truncated() -> list[Row]:
    far = (
        _case(DENSE, COARSE, mean=-2.0, std=1.0, a=0.0, b=1.0),
        _case(DENSE, COARSE, mean=3.0, std=1.0, a=-1.0, b=1.0),
    )
    bounds = (
        _case(DENSE, FINE, std=1.0, a=-0.5, b=1.5),
        _case(DENSE, COARSE, std=1.0, a=0.25, b=0.75),
        _case(DENSE, COARSE, std=1.0, a=0.0, b=3.0),
    )
    settings = _settings(mean=_numbers(-2.0, 2.0), std=_numbers(0.5, 4.0))
    return [
        ("law", "the cut law at the default settings", (_case(DENSE, FINEST),), None),
        ("std", "std is the deviation before the cut", tuple(_case(DENSE, FINE, std=std) for std in (0.02, 2.0)), None),
        ("bounds", "cut at a and b, without heaps there", bounds, None),
        (
            "mean",
            "mean is that before the cut",
            (_case(DENSE, FINE, mean=1.0, std=1.0), _case(DENSE, COARSE, mean=-0.5, std=0.5)),
            None,
        ),
        ("tails", "both bounds on one side of the mean", far, None),
        ("shapes", "the same law in every shape", SHAPES, _search(1, settings)),
        _views(),
    ]


def _reciprocal() -> list[Row]:
    shapes = "shapes", "the law holds in every shape", (_case((1, 1), 2000),), _search(2, st.just({}))
    return [*_fans(), shapes, _views()]


_CHECKS: dict[str, Callable[[], list[Row]]] = {
    "constant_": _constant,
    "normal_": _normal,
    "uniform_": _uniform,
    "xavier_uniform_": _xavier,
    "xavier_normal_": lambda: [*_xavier(), TAILS],
    "kaiming_uniform_": _kaiming,
    "kaiming_normal_": lambda: [*_kaiming(), TAILS],
    "orthogonal_": _orthogonal,
    "trunc_normal_": _truncated,
    "reciprocal_uniform_": _reciprocal,
}


def checks(component: Component) -> tuple[Check, ...]:
    """The checks of an initializer, those of its plain law first."""
    listed = _CHECKS[component.name]()
    plain = (
        Check(f"initializers.{component.name}.{name}", says, cases, search) for name, says, cases, search in listed
    )
    return (*plain, *(_precise(component) if component.name == "orthogonal_" else ()), _empty(component))


def _precise(component: Component) -> tuple[Check, ...]:
    cases = tuple(replace(_matrices(shape, 5), dtype="float64") for shape in ((6, 6), (7, 3), (3, 7)))
    says = "a float64 tensor is orthogonal to float64's precision"
    return (Check(f"initializers.{component.name}.float64", says, cases, severity="advice"),)


def _empty(component: Component) -> Check:
    value = {"val": 1.0} if component.name == "constant_" else {}
    return Check(
        f"initializers.{component.name}.empty",
        "a tensor without entries stays as it is",
        (_matrices((0, 3), 1, **value),),
        severity="advice",
    )
