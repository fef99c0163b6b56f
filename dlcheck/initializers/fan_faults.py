"""Known mistakes in initializers whose scale is that of a fan: Xavier's and Kaiming's."""

import math
from collections.abc import Callable
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
    given,
    mistake,
    normal,
    not_random,
    other_law,
    positions,
    right,
    stem,
    times,
    uniform,
    wrong_fans,
)

TCH = "https://github.com/LaurentMazare/tch-rs/pull/573"


def _constant_factor(component: str, factor: float) -> Replaces:
    return times(component, lambda shape, **_: factor)


def _other_bound(component: str, deviations: float) -> Replaces:
    """A uniform law within so many deviations."""
    return drawn(component, lambda shape, **settings: uniform(right(component)(shape, **settings), deviations))


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


def _cut(component: str) -> Replaces:
    """The normal law cut at two of its deviations, which are not made up for."""

    def law(shape: Shape, **settings: Any) -> reference.Law:
        found = right(component)(shape, **settings)
        if found.kind != "normal":
            return found
        return reference.trunc_normal_law(shape, 0.0, found.std, -2.0, 2.0, bounds="deviations")

    return drawn(component, law)


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
            _constant_factor(component, 1 / math.sqrt(2)), TOO_SMALL, formula,
        ),
        mistake(
            component, f"{stem(component)}-fans-halved", "the fans are averaged where their sum should stand",
            _constant_factor(component, math.sqrt(2)), TOO_LARGE, formula,
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
    )  # fmt: skip


def _no_positions(component: str) -> Replaces:
    return times(component, lambda shape, **_: math.sqrt(positions(shape)))


_BOUND, _DEVIATION = "b = gain * sqrt(6 / (fan_in + fan_out))", "std = gain * sqrt(2 / (fan_in + fan_out))"
XAVIER = (
    mistake(
        "xavier_uniform_", "init-glorot-conv-no-receptive-field", "the positions of a kernel are not counted",
        _no_positions("xavier_uniform_"),
        "Convolutions start too large by the root of the kernel's size and train worse.", _FANS, SWIFT, FLUX,
    ),
    mistake(
        "xavier_uniform_", "init-uniform-drawn-from-normal", "drawn from a normal law", other_law("xavier_uniform_"),
        SHAPE_OF_LAW, f"{_BOUND}; w = uniform(-b, b)", LBANN,
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-missing-sqrt3", "the deviation is taken for the bound",
        _other_bound("xavier_uniform_", 1.0), TOO_SMALL, f"{_BOUND}, sqrt(3) times the deviation",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-bound-as-deviation", "a normal law, with the bound as its deviation",
        _bound_as_deviation("xavier_uniform_"), TOO_LARGE, "w = uniform(-b, b)",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-half-bound", "the range is -b/2 to b/2",
        _constant_factor("xavier_uniform_", 0.5), TOO_SMALL, "w = uniform(-b, b)",
    ),
    mistake(
        "xavier_uniform_", "init-xavier-uniform-one-sided", "the range is 0 to b", range_from_zero("xavier_uniform_"),
        OFF_CENTRE, "w = uniform(-b, b)",
    ),
    *_xavier("xavier_uniform_", _BOUND, 6.0),
    mistake(
        "xavier_normal_", "init-xavier-normal-no-receptive-field", "the positions of a kernel are not counted",
        _no_positions("xavier_normal_"),
        "Convolutions start too large by the root of the kernel's size and train worse.", _FANS, SWIFT, FLUX,
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-variance-as-std", "the variance is taken for the deviation",
        _squared_deviation("xavier_normal_"), TOO_SMALL, _DEVIATION,
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-from-uniform", "drawn from a uniform law", other_law("xavier_normal_"),
        SHAPE_OF_LAW, "w = std * standard_normal(shape)",
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-deviation-as-bound", "a uniform law, with the deviation as its bound",
        _other_bound("xavier_normal_", 1.0), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    mistake(
        "xavier_normal_", "init-xavier-normal-cut", "cut at two deviations, which shrinks the deviation",
        _cut("xavier_normal_"), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    *_xavier("xavier_normal_", _DEVIATION, 2.0),
)  # fmt: skip


# --- Kaiming ---------------------------------------------------------------------------------------------------------


def _by_mode(fan_in: float, fan_out: float, mode: str = "fan_in", **_: Any) -> float:
    return {"fan_in": fan_in, "fan_out": fan_out}[mode]


def _of_average(shape: Shape, mode: str = "fan_in", only: str = "", **_: Any) -> float:
    """What the average of the fans in place of the mode's makes of the scale, in one mode or in both."""
    if only and mode != only:
        return 1.0
    return math.sqrt(2 * (_by_mode(*fans(shape), mode) or 1) / (sum(fans(shape)) or 1))


def _out_without_positions(shape: Shape, mode: str = "fan_in", **_: Any) -> float:
    return math.sqrt(positions(shape)) if mode == "fan_out" else 1.0


def _gain_of(a: float = 0.0, nonlinearity: str = "leaky_relu", **_: Any) -> float:
    return reference.calculate_gain(nonlinearity, a)


def _for(names: tuple[str, ...], factor: Any) -> Any:
    """A factor that depends on the slope, for some nonlinearities alone."""
    return lambda shape, a=0.0, nonlinearity="leaky_relu", **_: factor(a) if nonlinearity in names else 1.0


def _mode_swapped(mode: str = "fan_in", **_: Any) -> dict[str, str]:
    return {"mode": "fan_out" if mode == "fan_in" else "fan_in"}


_LEAKY = ("leaky_relu",)
_NO_GAIN = ("linear", "sigmoid", "tanh", "selu")


def _kaiming(component: str, formula: str, **renamed: str) -> tuple[Fault, ...]:
    """Mistakes that both laws share; ``renamed`` are names of mistakes in fans."""
    return (
        *_kaiming_fans(component, formula),
        *_kaiming_gains(component, formula),
        *wrong_fans(component, _by_mode, without=("kernel-in-fan-in-only", "geometric-mean"), **renamed),
        *not_random(component),
    )


def _named(component: str) -> Callable[..., Fault]:
    def fault(id: str, says: str, replaces: Replaces, effect: str, fix: str, *happened: str) -> Fault:
        return mistake(component, f"{stem(component)}-{id}", says, replaces, effect, fix, *happened)

    return fault


def _kaiming_fans(component: str, formula: str) -> tuple[Fault, ...]:
    fault = _named(component)
    return (
        fault(
            "channels-only", "the positions of a kernel are not counted", _no_positions(component), TOO_LARGE,
            "fan_in = in * kh * kw", SWIFT,
        ),
        fault(
            "fan-out-channels-only", "the positions of a kernel are missing in fan_out",
            times(component, _out_without_positions), TOO_LARGE, "fan_out = out * kh * kw",
        ),
        fault(
            "mode-ignored", "fan_in is used whatever the mode", given(component, lambda **_: {"mode": "fan_in"}),
            OFF_SCALE, f"{formula}, fan by mode",
        ),
        fault(
            "average-for-fan-out", "mode fan_out takes the average of the fans",
            times(component, lambda shape, **given: _of_average(shape, **given, only="fan_out")), OFF_SCALE,
            f"{formula}, fan by mode",
        ),
        fault(
            "average", "the fan is the average of both", times(component, _of_average), OFF_SCALE,
            f"{formula}, fan by mode",
        ),
        fault(
            "no-root", "the root of the fan is missing",
            times(component, lambda shape, **given: (_by_mode(*fans(shape), given.get("mode", "fan_in")) or 1) ** -0.5),
            TOO_SMALL, f"{formula}, fan under a root",
        ),
        fault(
            "mode-swapped", "fan_in and fan_out are swapped", given(component, _mode_swapped), OFF_SCALE,
            "shape = (out, in, *kernel): fan_in = shape[1] * prod(shape[2:])",
        ),
    )  # fmt: skip


def _kaiming_gains(component: str, formula: str) -> tuple[Fault, ...]:
    gain, slope = "gain = calculate_gain(nonlinearity, a)", "gain = sqrt(2 / (1 + a**2))"
    fault = _named(component)
    return (
        fault(
            "always-relu", "the gain is that of ReLU whatever is given",
            given(component, lambda **_: {"nonlinearity": "relu"}), OFF_SCALE, gain,
        ),
        fault(
            "relu-for-others", "all but a leaky ReLU get the gain of ReLU",
            times(component, lambda shape, nonlinearity="leaky_relu", **_: math.sqrt(2) / _gain_of(0.0, nonlinearity)
                  if nonlinearity in _NO_GAIN else 1.0), TOO_LARGE, gain,
        ),
        fault(
            "linear-gain", "no nonlinearity gets the gain of ReLU",
            times(component, _for(("linear",), lambda a: math.sqrt(2))), TOO_LARGE, "gain = 1 for linear",
        ),
        fault(
            "tanh-gain", "the gain for tanh is 1", times(component, _for(("tanh",), lambda a: 0.6)), TOO_SMALL,
            "gain = 5 / 3 for tanh",
        ),
        fault(
            "slope-ignored", "the slope of the leaky ReLU is ignored",
            given(component, lambda **_: {"a": 0.0}), TOO_LARGE, slope,
        ),
        fault(
            "slope-not-squared", "the slope of the leaky ReLU is not squared",
            times(component, _for(_LEAKY, lambda a: math.sqrt((1 + a**2) / (1 + a)))), OFF_SCALE, slope,
        ),
        fault(
            "slope-as-square", "1 + a is squared, not a",
            times(component, _for(_LEAKY, lambda a: math.sqrt(1 + a**2) / (1 + a))), OFF_SCALE, slope,
        ),
        fault(
            "slope-multiplies", "1 + a**2 multiplies, where it should divide",
            times(component, _for(_LEAKY, lambda a: 1 + a**2)), TOO_LARGE, slope,
        ),
        fault(
            "slope-always", "the slope is used for a plain ReLU too",
            times(component, _for(("relu",), lambda a: 1 / math.sqrt(1 + a**2))), TOO_SMALL, "gain = sqrt(2) for relu",
        ),
        fault(
            "slope-negative", "1 - a**2 stands under the root",
            times(component, _for(_LEAKY, _negative)), TOO_LARGE, slope,
        ),
        fault(
            "nonlinearity-ignored", "the nonlinearity is ignored",
            given(component, lambda **_: {"nonlinearity": "leaky_relu"}), OFF_SCALE, gain,
        ),
        fault(
            "gain-squared", "the gain is applied twice", times(component, lambda shape, **given: _gain_of(**given)),
            TOO_LARGE, formula,
        ),
        fault(
            "scale-doubled", "the scale of ReLU is under the root and in the gain",
            _constant_factor(component, math.sqrt(2)), TOO_LARGE, formula,
        ),
    )  # fmt: skip


def _negative(a: float) -> float:
    if a >= 1:
        raise ValueError("no root of a negative number")
    return math.sqrt((1 + a**2) / (1 - a**2))


_KAIMING_BOUND, _KAIMING_STD = "b = gain * sqrt(3 / fan)", "std = gain / sqrt(fan)"
KAIMING = (
    mistake(
        "kaiming_uniform_", "init-kaiming-bound-missing-sqrt3", "the deviation is taken for the bound",
        _other_bound("kaiming_uniform_", 1.0), TOO_SMALL, "b = sqrt(3) * gain / sqrt(fan)", TCH,
    ),
    mistake(
        "kaiming_uniform_", "init-kaiming-uniform-gain-one", "the gain is 1, also for ReLU",
        given("kaiming_uniform_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, _KAIMING_BOUND, TCH,
    ),
    mistake(
        "kaiming_uniform_", "init-kaiming-uniform-from-normal", "drawn from a normal law",
        other_law("kaiming_uniform_"), SHAPE_OF_LAW, f"{_KAIMING_BOUND}; w = uniform(-b, b)", LBANN,
    ),
    mistake(
        "kaiming_uniform_", "init-kaiming-uniform-bound-as-deviation", "a normal law, with the bound as its deviation",
        _bound_as_deviation("kaiming_uniform_"), TOO_LARGE, "w = uniform(-b, b)",
    ),
    mistake(
        "kaiming_uniform_", "init-kaiming-uniform-one-sided", "the range is 0 to b",
        range_from_zero("kaiming_uniform_"), OFF_CENTRE, "w = uniform(-b, b)",
    ),
    *_kaiming("kaiming_uniform_", _KAIMING_BOUND),
    mistake(
        "kaiming_normal_", "init-he-is-lecun", "the variance is 1 / fan, also for ReLU",
        given("kaiming_normal_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, "std = sqrt(2 / fan_in) for ReLU",
        LBANN,
    ),
    mistake(
        "kaiming_normal_", "init-kaiming-normal-variance-as-std", "the variance is taken for the deviation",
        _squared_deviation("kaiming_normal_"), TOO_SMALL, _KAIMING_STD,
    ),
    mistake(
        "kaiming_normal_", "init-kaiming-normal-from-uniform", "drawn from a uniform law",
        other_law("kaiming_normal_"), SHAPE_OF_LAW, "w = std * standard_normal(shape)",
    ),
    mistake(
        "kaiming_normal_", "init-kaiming-normal-deviation-as-bound", "a uniform law, with the deviation as its bound",
        _other_bound("kaiming_normal_", 1.0), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    mistake(
        "kaiming_normal_", "init-kaiming-normal-cut", "cut at two deviations, which shrinks the deviation",
        _cut("kaiming_normal_"), TOO_SMALL, "w = std * standard_normal(shape)",
    ),
    *_kaiming("kaiming_normal_", _KAIMING_STD, **{"last-axes": "init-fans-wrong-axis-layout"}),
)  # fmt: skip
