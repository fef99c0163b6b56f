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
    normal,
    not_random,
    other_law,
    positions,
    right,
    stem,
    times,
    uniform,
    unreached,
    wrong_fans,
)
from dlcheck.initializers.tail_mistakes import cut, light_tails


def constant_factor(component: str, factor: float) -> Replaces:
    return times(component, lambda shape, **_: factor)


def other_bound(component: str, deviations: float) -> Replaces:
    """A uniform law within so many deviations."""
    return drawn(component, lambda shape, **settings: uniform(right(component)(shape, **settings), deviations))


def bound_as_deviation(component: str) -> Replaces:
    """A normal law whose deviation is the bound of the right, uniform one."""
    return drawn(
        component, lambda shape, **settings: normal(shape, 0.0, math.sqrt(3) * right(component)(shape, **settings).std)
    )


def range_from_zero(component: str) -> Replaces:
    """The upper half of a uniform law."""
    return drawn(
        component, lambda shape, **settings: reference.uniform_law(shape, 0.0, right(component)(shape, **settings).high)
    )


def squared_deviation(component: str) -> Replaces:
    return times(component, lambda shape, **settings: right(component)(shape, **settings).std)


def no_positions(component: str) -> Replaces:
    return times(component, lambda shape, **_: math.sqrt(positions(shape)))


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


def _xavier(component: str, formula: str, unrooted: float) -> tuple[Fault, ...]:
    """Mistakes that both laws share; ``unrooted`` is the square of the law's scale times the sum of the fans."""
    return (
        mistake(
            component, f"{stem(component)}-fans-added", "the fans are added, not averaged",
            constant_factor(component, 1 / math.sqrt(2)), TOO_SMALL, formula,
        ),
        mistake(
            component, f"{stem(component)}-fans-halved", "the fans are averaged where their sum should stand",
            constant_factor(component, math.sqrt(2)), TOO_LARGE, formula,
        ),
        mistake(
            component, f"{stem(component)}-he", "the variance is 2 / fan_in, as for ReLU",
            times(component, lambda shape, **given: math.sqrt(
                2 * (_average(*fans(shape), **given) or 1) / (fans(shape)[0] or 1))), TOO_LARGE, formula,
        ),
        mistake(
            component, f"{stem(component)}-fan-out", "the variance is 1 / fan_out", _of_one_fan(component, 1),
            OFF_SCALE, formula,
        ),
        mistake(
            component, f"{stem(component)}-no-root", "the root is missing",
            times(component, lambda shape, **_: math.sqrt(unrooted / max(sum(fans(shape)), 1))), TOO_SMALL, formula,
        ),
        mistake(
            component, f"{stem(component)}-gain-under-root", "gain stands under the root",
            times(component, _root_of_gain), OFF_SCALE, formula,
        ),
        *wrong_fans(component, _average),
        *gains(component),
        *not_random(component),
        *unreached(component),
    )  # fmt: skip


_BOUND, _DEVIATION = "b = gain * sqrt(6 / (fan_in + fan_out))", "std = gain * sqrt(2 / (fan_in + fan_out))"
XAVIER = (
    mistake(
        "xavier_uniform_", "init-glorot-conv-no-receptive-field", "the positions of a kernel are not counted",
        no_positions("xavier_uniform_"),
        "Convolutions start too large by the root of the kernel's size and train worse.", _FANS, SWIFT, FLUX,
    ),
    mistake(
        "xavier_uniform_", "init-uniform-drawn-from-normal", "drawn from a normal law", other_law("xavier_uniform_"),
        SHAPE_OF_LAW, f"{_BOUND}; w = uniform(-b, b)", LBANN,
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-missing-sqrt3", "the deviation is taken for the bound",
        other_bound("xavier_uniform_", 1.0), TOO_SMALL, f"{_BOUND}, sqrt(3) times the deviation",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-bound-as-deviation", "a normal law, with the bound as its deviation",
        bound_as_deviation("xavier_uniform_"), TOO_LARGE, "w = uniform(-b, b)",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-half-bound", "the range is -b/2 to b/2",
        constant_factor("xavier_uniform_", 0.5), TOO_SMALL, "w = uniform(-b, b)",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-one-sided", "the range is 0 to b", range_from_zero("xavier_uniform_"),
        OFF_CENTRE, "w = uniform(-b, b)",
    ),
    *_xavier("xavier_uniform_", _BOUND, 6.0),
    mistake(
        "xavier_normal_", "init-xavier-normal-no-receptive-field", "the positions of a kernel are not counted",
        no_positions("xavier_normal_"),
        "Convolutions start too large by the root of the kernel's size and train worse.", _FANS, SWIFT, FLUX,
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-variance-as-std", "the variance is taken for the deviation",
        squared_deviation("xavier_normal_"), TOO_SMALL, _DEVIATION,
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-from-uniform", "drawn from a uniform law", other_law("xavier_normal_"),
        SHAPE_OF_LAW, "w = std * standard_normal(shape)",
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-deviation-as-bound", "a uniform law, with the deviation as its bound",
        other_bound("xavier_normal_", 1.0), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-cut", "cut at two deviations, which shrinks the deviation",
        cut("xavier_normal_", 2.0), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    *_xavier("xavier_normal_", _DEVIATION, 2.0),
    *light_tails("xavier_normal_"),
)  # fmt: skip
