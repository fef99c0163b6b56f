"""Known mistakes in initializers whose scale is that of fans: Xavier's, and what Kaiming's are made of too."""

import math
from typing import Any

from dlcheck.component import Fault
from dlcheck.initializers import reference
from dlcheck.initializers.mistakes import (
    FLUX,
    LBANN,
    OFF_CENTRE,
    OFF_SCALE,
    SHAPE_OF_LAW,
    SWIFT,
    TOO_LARGE,
    TOO_SMALL,
    Replaces,
    Shape,
    drawn,
    fans,
    gains,
    mistake,
    named,
    normal,
    not_random,
    other_law,
    positions,
    right,
    times,
    uniform,
    unreached,
    wrong_fans,
)
from dlcheck.initializers.tail_mistakes import cut, light_tails


def constant_factor(component: str, factor: float) -> Replaces:
    return times(component, lambda shape, **_: factor)


def no_positions(component: str) -> Replaces:
    return times(component, lambda shape, **_: math.sqrt(positions(shape)))


def _other_bound(component: str) -> Replaces:
    """A uniform law within one deviation of the right one."""
    return drawn(component, lambda shape, **settings: uniform(right(component)(shape, **settings), 1.0))


def _bound_as_deviation(component: str) -> Replaces:
    """A normal law whose deviation is the bound of the right, uniform one."""
    return drawn(
        component, lambda shape, **settings: normal(shape, 0.0, math.sqrt(3) * right(component)(shape, **settings).std)
    )


def range_from_zero(component: str) -> Replaces:
    """The upper half of a uniform law."""
    return drawn(
        component, lambda shape, **settings: reference.uniform_law(shape, 0.0, right(component)(shape, **settings).high)
    )


def _squared_deviation(component: str) -> Replaces:
    return times(component, lambda shape, **settings: right(component)(shape, **settings).std)


def of_uniform_law(component: str, bound: str, *happened: str, **renamed: str) -> tuple[Fault, ...]:
    """Mistakes in what is drawn uniformly within a bound; ``happened`` tells where its root of 3 was forgotten."""
    fault, fix = named(component, **renamed), "w = uniform(-b, b)"
    return (
        fault(
            "no-root-of-3", "the deviation is taken for the bound", _other_bound(component), TOO_SMALL, bound, *happened
        ),
        fault("from-normal", "drawn from a normal law", other_law(component), SHAPE_OF_LAW, f"{fix}; {bound}", LBANN),
        fault(
            "bound-as-deviation", "a normal law, with the bound as its deviation", _bound_as_deviation(component),
            TOO_LARGE, fix,
        ),
        fault("one-sided", "the range is 0 to b", range_from_zero(component), OFF_CENTRE, fix),
    )  # fmt: skip


def of_normal_law(component: str, deviation: str) -> tuple[Fault, ...]:
    """Mistakes in what is drawn from a normal law of a deviation."""
    fault, fix = named(component), "w = std * standard_normal(shape)"
    return (
        fault(
            "variance-as-std", "the variance is taken for the deviation", _squared_deviation(component), TOO_SMALL,
            deviation,
        ),
        fault("from-uniform", "drawn from a uniform law", other_law(component), SHAPE_OF_LAW, fix),
        fault(
            "deviation-as-bound", "a uniform law, with the deviation as its bound", _other_bound(component), TOO_SMALL,
            fix,
        ),
        fault("cut", "cut at two deviations, which shrinks the deviation", cut(component, 2.0), TOO_SMALL, fix),
        *light_tails(component),
    )  # fmt: skip


# --- Xavier ----------------------------------------------------------------------------------------------------------

_FANS = "fan_in = in * kh * kw, fan_out = out * kh * kw"


def _average(fan_in: float, fan_out: float, fan: str = "average", **_: Any) -> float:
    return {"average": (fan_in + fan_out) / 2, "fan_in": fan_in}[fan]


def _root_of_gain(shape: Shape, gain: float = 1.0, **_: Any) -> float:
    return 1 / math.sqrt(gain) if gain > 0 else 1.0


def _of_one_fan(component: str, place: int) -> Replaces:
    """The variance 1 / fan of one fan in place of the average."""
    return times(
        component, lambda shape, **given: math.sqrt((_average(*fans(shape), **given) or 1) / (fans(shape)[place] or 1))
    )


def _xavier(component: str, formula: str, unrooted: float, **renamed: str) -> tuple[Fault, ...]:
    """Mistakes that both laws share; ``unrooted`` is the square of the law's scale times the sum of the fans."""
    fault = named(component, **renamed)
    return (
        fault(
            "channels-only", "the positions of a kernel are not counted", no_positions(component),
            "Convolutions start too large by the root of the kernel's size and train worse.", _FANS, SWIFT, FLUX,
        ),
        fault(
            "fans-added", "the fans are added, not averaged",
            constant_factor(component, 1 / math.sqrt(2)), TOO_SMALL, formula,
        ),
        fault(
            "fans-halved", "the fans are averaged where their sum should stand",
            constant_factor(component, math.sqrt(2)), TOO_LARGE, formula,
        ),
        fault(
            "he", "the variance is 2 / fan_in, as for ReLU",
            times(component, lambda shape, **given: math.sqrt(
                2 * (_average(*fans(shape), **given) or 1) / (fans(shape)[0] or 1))), TOO_LARGE, formula,
        ),
        fault(
            "fan-out", "the variance is 1 / fan_out", _of_one_fan(component, 1),
            OFF_SCALE, formula,
        ),
        fault(
            "no-root", "the root is missing",
            times(component, lambda shape, **_: math.sqrt(unrooted / max(sum(fans(shape)), 1))), TOO_SMALL, formula,
        ),
        fault(
            "gain-under-root", "gain stands under the root",
            times(component, _root_of_gain), OFF_SCALE, formula,
        ),
        *wrong_fans(component, _average),
        *gains(component),
        *not_random(component),
        *unreached(component),
    )  # fmt: skip


_BOUND, _DEVIATION = "b = gain * sqrt(6 / (fan_in + fan_out))", "std = gain * sqrt(2 / (fan_in + fan_out))"
XAVIER = (
    *of_uniform_law(
        "xavier_uniform_", f"{_BOUND} = sqrt(3) * std",
        **{"no-root-of-3": "init-xavier-uniform-missing-sqrt3", "from-normal": "init-uniform-drawn-from-normal"},
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-half-bound", "the range is -b/2 to b/2",
        constant_factor("xavier_uniform_", 0.5), TOO_SMALL, "w = uniform(-b, b)",
    ),
    *_xavier("xavier_uniform_", _BOUND, 6.0, **{"channels-only": "init-glorot-conv-no-receptive-field"}),
    *of_normal_law("xavier_normal_", _DEVIATION),
    *_xavier("xavier_normal_", _DEVIATION, 2.0, **{"channels-only": "init-xavier-normal-no-receptive-field"}),
)  # fmt: skip
