"""Known mistakes in initializers; here those of the plain laws and of the reciprocal one."""

import math

import numpy as np

from dlcheck.initializers.fan_faults import XAVIER, range_from_zero
from dlcheck.initializers.kaiming_faults import KAIMING
from dlcheck.initializers.mistakes import (
    OFF_CENTRE,
    OFF_SCALE,
    SHAPE_OF_LAW,
    TOO_LARGE,
    TOO_SMALL,
    Array,
    Shape,
    drawn,
    fans,
    given,
    mistake,
    normal,
    not_random,
    one_sided,
    other_law,
    positions,
    sampled,
    times,
    unreached,
)
from dlcheck.initializers.orthogonal_faults import ORTHOGONAL
from dlcheck.initializers.reference import uniform_law
from dlcheck.initializers.tail_mistakes import clamped, cut, light_tails
from dlcheck.initializers.truncated_faults import TRUNC_NORMAL

# --- constant --------------------------------------------------------------------------------------------------------


def _noisy_constant(shape: Shape, rng: np.random.Generator, val: float) -> Array:
    return val + 1e-3 * rng.standard_normal(shape)


def _first_row_only(shape: Shape, rng: np.random.Generator, val: float) -> Array:
    return val * (np.arange(shape[0]) == 0).reshape(-1, *[1] * (len(shape) - 1)) * np.ones(shape)


CONSTANT = (
    mistake(
        "constant_", "init-constant-value-ignored", "fills with zero whatever the value",
        given("constant_", lambda val: {"val": 0.0}), "A bias meant to open a gate leaves it half shut.", "w = val",
    ),
    mistake(
        "constant_", "init-constant-one", "fills with one whatever the value",
        given("constant_", lambda val: {"val": 1.0}), "A bias meant to open a gate opens it too far.", "w = val",
    ),
    mistake(
        "constant_", "init-constant-integer", "the value is cut to an integer",
        given("constant_", lambda val: {"val": float(int(val))}), "A value such as 0.1 becomes 0.", "w = float(val)",
    ),
    mistake(
        "constant_", "init-constant-noise", "noise is added to the value", sampled("constant_", _noisy_constant),
        "Values that a layer relies on, such as a scale of 1, are not exact.", "w = val, without noise",
    ),
    mistake(
        "constant_", "init-constant-first-row", "only the first row is filled, the others are zero",
        sampled("constant_", _first_row_only), "Most units start without what they were to start with.",
        "fill the whole tensor",
    ),
    *unreached("constant_", scalars=True),
)  # fmt: skip

# --- normal ----------------------------------------------------------------------------------------------------------


NORMAL = (
    mistake(
        "normal_", "init-normal-std-as-variance", "std is taken for the variance",
        given("normal_", lambda std=1.0, **_: {"std": math.sqrt(std)}), TOO_LARGE, "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-std-squared", "the deviation is squared",
        given("normal_", lambda std=1.0, **_: {"std": std**2}), TOO_SMALL, "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-mean-ignored", "mean is ignored",
        given("normal_", lambda **_: {"mean": 0.0}), "A law asked to lie around a value lies around zero.",
        "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-std-ignored", "std is ignored",
        given("normal_", lambda **_: {"std": 1.0}), TOO_LARGE, "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-mean-scaled", "mean is multiplied by std",
        given("normal_", lambda mean=0.0, std=1.0: {"mean": mean * std}),
        "The centre moves when the scale is changed.", "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-from-uniform", "drawn from a uniform law", other_law("normal_"), SHAPE_OF_LAW,
        "w = mean + std * standard_normal(shape)",
    ),
    mistake(
        "normal_", "init-normal-rand", "mean + std * u, with u uniform from 0 to 1",
        drawn("normal_", lambda shape, mean=0.0, std=1.0: uniform_law(shape, mean, mean + std)), OFF_CENTRE,
        "randn(shape), not rand(shape)",
    ),
    mistake(
        "normal_", "init-normal-rand-centred", "mean + std * u, with u uniform from -1 to 1",
        drawn("normal_", lambda shape, mean=0.0, std=1.0: uniform_law(shape, mean - std, mean + std)), TOO_SMALL,
        "randn(shape), not 2 * rand(shape) - 1",
    ),
    mistake(
        "normal_", "init-normal-cut", "cut at two deviations",
        cut("normal_", 2.0), TOO_SMALL, "w = mean + std * z, with nothing drawn again",
    ),
    mistake(
        "normal_", "init-normal-clamped", "moved to two deviations where it lies further out",
        clamped("normal_", 2.0), TOO_SMALL, "w = mean + std * z, without a clamp",
    ),
    mistake(
        "normal_", "init-normal-mean-sign", "mean is subtracted",
        given("normal_", lambda mean=0.0, **_: {"mean": -mean}), OFF_CENTRE, "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-swapped", "mean and std are exchanged",
        given("normal_", lambda mean=0.0, std=1.0: {"mean": std, "std": mean}), OFF_CENTRE, "w = mean + std * z",
    ),
    mistake(
        "normal_", "init-normal-absolute", "only the absolute value is kept", one_sided("normal_"), OFF_CENTRE,
        "w = mean + std * z",
    ),
    *light_tails("normal_"),
    *not_random("normal_"),
    *unreached("normal_", scalars=True),
)  # fmt: skip


# --- uniform ---------------------------------------------------------------------------------------------------------


def _hundredths(shape: Shape, rng: np.random.Generator, a: float = 0.0, b: float = 1.0) -> Array:
    return a + (b - a) * rng.integers(0, 100, shape) / 100


UNIFORM = (
    mistake(
        "uniform_", "init-uniform-b-as-width", "b is taken for the width of the range",
        given("uniform_", lambda a=0.0, b=1.0: {"b": a + abs(b)}), OFF_CENTRE, "w = a + (b - a) * u",
    ),
    mistake(
        "uniform_", "init-uniform-symmetric", "a is ignored: the range is -b to b",
        given("uniform_", lambda b=1.0, **_: {"a": -abs(b), "b": abs(b)}), OFF_SCALE, "w = a + (b - a) * u",
    ),
    mistake(
        "uniform_", "init-uniform-bounds-ignored", "the range is 0 to 1 whatever a and b",
        given("uniform_", lambda **_: {"a": 0.0, "b": 1.0}), TOO_LARGE, "w = a + (b - a) * u",
    ),
    mistake(
        "uniform_", "init-uniform-from-normal", "drawn from a normal law", other_law("uniform_"), SHAPE_OF_LAW,
        "w = a + (b - a) * uniform(shape)",
    ),
    mistake(
        "uniform_", "init-uniform-randn", "a + (b - a) * z, with z standard normal",
        drawn("uniform_", lambda shape, a=0.0, b=1.0: normal(shape, a, b - a)), TOO_LARGE,
        "rand(shape), not randn(shape)",
    ),
    mistake(
        "uniform_", "init-uniform-a-not-added", "the range is 0 to b - a",
        given("uniform_", lambda a=0.0, b=1.0: {"a": 0.0, "b": b - a}), OFF_CENTRE, "w = a + (b - a) * u",
    ),
    mistake(
        "uniform_", "init-uniform-of-whole-numbers", "only hundredths of the range are drawn",
        sampled("uniform_", _hundredths), "Many weights are equal.", "rand(shape), not randint(0, 100, shape) / 100",
    ),
    *not_random("uniform_"),
    *unreached("uniform_", scalars=True),
)  # fmt: skip

# --- the reciprocal law ----------------------------------------------------------------------------------------------


def _fan_in(shape: Shape) -> float:
    return fans(shape)[0] or 1


RECIPROCAL_UNIFORM = (
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-root", "the bound is 1 / sqrt(n)",
        times("reciprocal_uniform_", lambda shape: math.sqrt(_fan_in(shape))), TOO_LARGE,
        "b = 1 / fan_in",
    ),
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-fan-out", "n is the number of outputs",
        times("reciprocal_uniform_", lambda shape: fans(shape)[0] / (fans(shape)[1] or 1)), OFF_SCALE, "b = 1 / fan_in",
    ),
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-as-std", "1 / n is taken for the deviation",
        times("reciprocal_uniform_", lambda shape: math.sqrt(3)), TOO_LARGE, "b = 1 / fan_in",
    ),
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-channels-only", "the positions of a kernel are not counted",
        times("reciprocal_uniform_", positions), TOO_LARGE, "n = in * kh * kw",
    ),
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-one-sided", "the range is 0 to 1 / n",
        range_from_zero("reciprocal_uniform_"), OFF_CENTRE, "w = uniform(-b, b)",
    ),
    mistake(
        "reciprocal_uniform_", "init-reciprocal-uniform-from-normal", "drawn from a normal law",
        other_law("reciprocal_uniform_"), SHAPE_OF_LAW, "w = uniform(-b, b)",
    ),
    *not_random("reciprocal_uniform_"),
    *unreached("reciprocal_uniform_"),
)  # fmt: skip

FAULTS = (*CONSTANT, *NORMAL, *UNIFORM, *XAVIER, *KAIMING, *ORTHOGONAL, *TRUNC_NORMAL, *RECIPROCAL_UNIFORM)
