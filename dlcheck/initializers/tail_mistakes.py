"""Mistakes in the tails of a normal law: a sum of uniform numbers, values clamped or cut away far out."""

import math
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from dlcheck.component import Fault
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.initializers import reference
from dlcheck.initializers.mistakes import ROUNDINGS, Array, Replaces, Shape, drawn, judged_as, mistake, right, stem
from dlcheck.initializers.reference import Law

_SUMMED = 12
"""Uniform numbers whose sum has variance 1."""


def _sum_of_uniforms(component: str) -> Replaces:
    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law, total = right(component)(shape, **settings), np.zeros(shape)
        for _ in range(_SUMMED):
            total += rng.random(shape)
        return law.mean + law.std * (total - _SUMMED / 2)

    def as_normal(samples: Array, law: Law, dtype: str) -> Array:
        scores = (samples - law.mean) / law.std if law.std else np.zeros_like(samples)
        return law.mean - law.std * np.sign(scores) * ndtri(_irwin_hall(_SUMMED / 2 - np.abs(scores)))

    return judged_as(component, sampler, as_normal)


def _irwin_hall(total: Array) -> Array:
    """Distribution function of a sum of uniform numbers, up to its middle."""
    each = ((-1) ** k * math.comb(_SUMMED, k) * np.maximum(total - k, 0.0) ** _SUMMED for k in range(_SUMMED // 2 + 1))
    return sum(each, np.zeros_like(total)) / math.factorial(_SUMMED)


def clamped(component: str, deviations: float) -> Replaces:
    """What should be drawn, moved to so many deviations where it lies further out."""

    def sampler(shape: Shape, rng: np.random.Generator, **settings: Any) -> Array:
        law = right(component)(shape, **settings)
        return np.clip(reference.draw(law, rng), law.mean - deviations * law.std, law.mean + deviations * law.std)

    def unclamped(samples: Array, law: Law, dtype: str) -> Array | None:
        """The heaps at both ends spread over the tails that they came from."""
        slack = ROUNDINGS * unit_roundoff(dtype) * max(abs(law.mean), deviations * law.std)
        beyond = np.abs(samples - law.mean) - deviations * law.std
        if not np.all(beyond <= slack):
            return None
        tails = -ndtri(ndtr(-deviations) * np.random.default_rng(1).uniform(size=samples.shape))
        return np.where(beyond < -slack, samples, law.mean + law.std * np.sign(samples - law.mean) * tails)

    return judged_as(component, sampler, unclamped)


def cut(component: str, deviations: float) -> Replaces:
    """The normal law cut at so many of its deviations, which are not made up for."""

    def law(shape: Shape, **settings: Any) -> Law:
        found = right(component)(shape, **settings)
        if found.kind != "normal":
            return found
        return reference.trunc_normal_law(shape, found.mean, found.std, -deviations, deviations, bounds="deviations")

    return drawn(component, law)


def light_tails(component: str) -> tuple[Fault, ...]:
    """Mistakes in a normal law that show only far out."""
    effect, fix = "The few large weights that break symmetry first are missing.", "standard_normal(shape)"
    return (
        mistake(
            component, f"{stem(component)}-sum-of-uniforms", "drawn as a sum of twelve uniform numbers",
            _sum_of_uniforms(component), effect, fix,
        ),
        mistake(
            component, f"{stem(component)}-clamped-at-three", "moved to three deviations where it lies further out",
            clamped(component, 3.0), effect, f"{fix}, without a clamp",
        ),
        mistake(
            component, f"{stem(component)}-cut-at-three", "cut at three deviations", cut(component, 3.0), effect,
            f"{fix}, with nothing drawn again",
        ),
    )  # fmt: skip
