"""Known mistakes in truncated normal initializers."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck.initializers import reference
from dlcheck.initializers.mistakes import (
    OFF_CENTRE,
    SHAPE_OF_LAW,
    TOO_LARGE,
    Array,
    Replaces,
    Shape,
    drawn,
    given,
    mistake,
    not_random,
    sampled,
    unreached,
)
from dlcheck.initializers.reference import Law

DJL = "https://github.com/deepjavalibrary/djl/pull/1022"


def _outside(instead: Callable[[Law, Array, np.random.Generator], Any]) -> Replaces:
    """Normal values, with others in the place of those outside the bounds."""

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law = reference.trunc_normal_law(shape, **settings)
        first = rng.normal(law.mean, law.std, shape)
        return np.where((first < law.low) | (first > law.high), instead(law, first, rng), first)

    return sampled("trunc_normal_", sampler)


def _mean_before_scale(shape: Shape, **settings: Any) -> Law:
    """std (z + mean), with z cut at the bounds as they lie around the mean."""
    law = reference.trunc_normal_law(shape, **settings)
    shift = law.mean * law.std - law.mean
    return replace(law, mean=law.mean + shift, low=law.low + shift, high=law.high + shift)


def _redrawn_bounds(law: Law, first: Array, rng: np.random.Generator) -> Array:
    return rng.normal(law.mean, law.std, first.shape)


def _law(shape: Shape, settings: dict[str, Any]) -> Law:
    return reference.trunc_normal_law(shape, **settings)


def _one_bound(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, *, upper: bool, **_: Any) -> Any:
    return {"a": min(mean, b) - 40 * std} if upper else {"b": max(mean, a) + 40 * std}


def _two_deviations(shape: Shape, mean: float = 0.0, std: float = 1.0, **_: Any) -> Law:
    return reference.trunc_normal_law(shape, mean, std, bounds="deviations")


TRUNC_NORMAL = (
    mistake(
        "trunc_normal_", "init-trunc-normal-clipped", "values outside are moved to the bounds",
        _outside(lambda law, first, rng: np.clip(first, law.low, law.high)),
        "A heap of weights lies exactly at each bound.", "draw again whatever falls outside [a, b]",
        "https://github.com/tensorflow/tfjs-core/issues/415",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-to-mean", "values outside are set to the mean",
        _outside(lambda law, first, rng: law.mean), "A heap of weights lies exactly at the mean.",
        "draw again whatever falls outside [a, b]",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-redrawn-once", "values outside are drawn again only once",
        _outside(_redrawn_bounds), "A few weights in a thousand still lie outside the bounds.",
        "draw again while any w lies outside [a, b]",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-redrawn-uniformly", "values outside are drawn again from a uniform law",
        _outside(lambda law, first, rng: rng.uniform(law.low, law.high, first.shape)), SHAPE_OF_LAW,
        "draw again from the normal law",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-remainder", "values outside are wrapped into the bounds",
        _outside(lambda law, first, rng: law.mean + np.fmod(first - law.mean, law.high - law.mean)),
        "The law has a heap around its mean.", "draw again whatever falls outside [a, b]",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-one-sided", "only the upper bound is kept",
        given("trunc_normal_", lambda **settings: _one_bound(**settings, upper=True)), OFF_CENTRE,
        "draw again while w < a or w > b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-lower-only", "only the lower bound is kept",
        given("trunc_normal_", lambda **settings: _one_bound(**settings, upper=False)), OFF_CENTRE,
        "draw again while w < a or w > b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-uncut", "the bounds are ignored",
        drawn("trunc_normal_", lambda shape, **settings: reference.normal_law(
            shape, _law(shape, settings).mean, _law(shape, settings).std)),
        "Outliers that the cut was to prevent occur.", "draw again whatever falls outside [a, b]",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-symmetric", "the bound further from 0 holds on both sides",
        given("trunc_normal_", lambda a=-2.0, b=2.0, **_: {"a": -max(abs(a), abs(b)), "b": max(abs(a), abs(b))}),
        "Values outside [a, b] occur.", "cut at a and b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-two-deviations", "cut at two deviations whatever the bounds",
        drawn("trunc_normal_", _two_deviations), "The bounds that were asked for do not hold.", "cut at a and b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-mean-ignored", "mean is ignored",
        given("trunc_normal_", lambda **_: {"mean": 0.0}), "A law asked to lie around a value lies around zero.",
        "w ~ N(mean, std^2) given a <= w <= b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-mean-scaled", "mean is multiplied by std, as it is added too early",
        drawn("trunc_normal_", _mean_before_scale), 
        "The centre moves when the scale is changed.", "mean + std * z", DJL,
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-bounds-follow-mean", "the bounds are moved by the mean",
        given("trunc_normal_", lambda mean=0.0, a=-2.0, b=2.0, **_: {"a": mean + a, "b": mean + b}),
        "Values outside [a, b] occur.", "a <= w <= b, whatever the mean",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-std-as-variance", "std is taken for the variance",
        given("trunc_normal_", lambda std=1.0, **_: {"std": math.sqrt(std)}), TOO_LARGE,
        "w ~ N(mean, std^2) given a <= w <= b",
    ),
    mistake(
        "trunc_normal_", "init-trunc-normal-uniform", "drawn uniformly between the bounds",
        drawn("trunc_normal_", lambda shape, **settings: reference.uniform_law(
            shape, _law(shape, settings).low, _law(shape, settings).high)), SHAPE_OF_LAW,
        "w ~ N(mean, std^2) given a <= w <= b",
    ),
    *(fault for fault in not_random("trunc_normal_") if not fault.id.endswith("mirrored")),
    *unreached("trunc_normal_", scalars=True),
)  # fmt: skip
