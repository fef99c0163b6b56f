"""Known mistakes in initializers for rectified layers, whose scale is that of one fan: Kaiming's."""

import math
from collections.abc import Callable
from typing import Any

from dlcheck.component import Fault
from dlcheck.initializers import reference
from dlcheck.initializers.fan_faults import (
    constant_factor,
    no_positions,
    of_normal_law,
    of_uniform_law,
)
from dlcheck.initializers.mistakes import (
    LBANN,
    OFF_SCALE,
    SWIFT,
    TOO_LARGE,
    TOO_SMALL,
    Replaces,
    Shape,
    fans,
    given,
    mistake,
    named,
    not_random,
    positions,
    times,
    unreached,
    wrong_fans,
)

TCH = "https://github.com/LaurentMazare/tch-rs/pull/573"


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
        *unreached(component),
    )


def _kaiming_fans(component: str, formula: str) -> tuple[Fault, ...]:
    fault = named(component)
    return (
        fault(
            "channels-only", "the positions of a kernel are not counted", no_positions(component), TOO_LARGE,
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
    fault = named(component)
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
            "selu-gain", "the gain for selu is 1", times(component, _for(("selu",), lambda a: 4 / 3)), TOO_LARGE,
            "gain = 3 / 4 for selu",
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
        *_kaiming_gains_at_times(component),
        fault(
            "gain-squared", "the gain is applied twice", times(component, lambda shape, **given: _gain_of(**given)),
            TOO_LARGE, formula,
        ),
        fault(
            "scale-doubled", "the scale of ReLU is under the root and in the gain",
            constant_factor(component, math.sqrt(2)), TOO_LARGE, formula,
        ),
    )  # fmt: skip


def _kaiming_gains_at_times(component: str) -> tuple[Fault, ...]:
    """Gains that are right but for kernels, or for one mode."""
    fault, gain = named(component), "gain = calculate_gain(nonlinearity, a), for any shape and mode"

    def where(applies: Callable[..., bool], factor: Callable[..., float]) -> Replaces:
        return times(component, lambda shape, **given: factor(**given) if applies(shape, **given) else 1.0)

    def slope(a: float = 0.0, nonlinearity: str = "leaky_relu", **_: Any) -> float:
        return math.sqrt(1 + a**2) if nonlinearity == "leaky_relu" else 1.0

    def name(nonlinearity: str = "leaky_relu", **_: Any) -> float:
        return math.sqrt(2) / _gain_of(0.0, nonlinearity) if nonlinearity in _NO_GAIN else 1.0

    times_when = (
        ("for-kernels", "for kernels", lambda shape, **_: len(shape) > 2),
        ("with-fan-out", "with fan_out", lambda shape, mode="fan_in", **_: mode == "fan_out"),
    )
    return tuple(
        fault(f"{slug}-{id}", f"{says} {when}", where(applies, factor), OFF_SCALE, gain)
        for id, when, applies in times_when
        for slug, says, factor in (
            ("slope-ignored", "the slope of the leaky ReLU is ignored", slope),
            ("relu", "all but a leaky ReLU get the gain of ReLU", name),
        )
    )


def _negative(a: float) -> float:
    if a >= 1:
        raise ValueError("no root of a negative number")
    return math.sqrt((1 + a**2) / (1 - a**2))


_BOUND, _DEVIATION = "b = gain * sqrt(3 / fan)", "std = gain / sqrt(fan)"
KAIMING = (
    mistake(
        "kaiming_uniform_", "init-kaiming-uniform-gain-one", "the gain is 1, also for ReLU",
        given("kaiming_uniform_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, _BOUND, TCH,
    ),
    *of_uniform_law(
        "kaiming_uniform_", f"{_BOUND} = sqrt(3) * std", TCH, **{"no-root-of-3": "init-kaiming-bound-missing-sqrt3"}
    ),
    *_kaiming("kaiming_uniform_", _BOUND),
    mistake(
        "kaiming_normal_", "init-he-is-lecun", "the variance is 1 / fan, also for ReLU",
        given("kaiming_normal_", lambda **_: {"nonlinearity": "linear"}), TOO_SMALL, "std = sqrt(2 / fan_in) for ReLU",
        LBANN,
    ),
    *of_normal_law("kaiming_normal_", _DEVIATION),
    *_kaiming("kaiming_normal_", _DEVIATION, **{"last-axes": "init-fans-wrong-axis-layout"}),
)  # fmt: skip
