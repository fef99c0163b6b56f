"""Whether the draws of an initializer follow the law that they should: values, tails, independence, whole matrices."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.evidence.draws import binomial_test
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.evidence.statistics import (
    FALSE_ALARM,
    ROUNDINGS,
    Array,
    Test,
    TestResult,
    extremes_test,
    kolmogorov_smirnov_test,
    mean_test,
    sign_test,
    smallest_bias,
    variance_test,
)

Sides = NDArray[np.bool_]
"""On which side of a median each value lies."""

TAILS = (2.0, 3.0, 4.0)
"""Deviations of the normal law beyond which values are counted: of other laws, in tails of the same probability."""


class Law(Protocol):
    """What is read of a law: see ``Law`` of the initializers."""

    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def gain(self) -> float: ...
    @property
    def haar(self) -> bool: ...


def _exact(name: str, law: Law, n: int, statistic: float, holds: bool) -> TestResult:
    return TestResult(name, str(law), n, statistic, 1.0 if holds else 0.0, 0.5)


def shape_test(samples: Array, law: Law) -> TestResult:
    """Every draw has the law's shape."""
    return _exact("shape", law, len(samples), samples.ndim - 1, samples.shape[1:] == tuple(law.shape))


def support_test(samples: Array, law: Law, dtype: str = "float64") -> TestResult:
    """Every value is finite and lies between the law's bounds, but for the rounding of the bounds in ``dtype``."""
    slack = ROUNDINGS * unit_roundoff(dtype)
    outside = np.maximum(law.low - samples, samples - law.high) / _magnitude(law)
    worst = float(np.max(outside)) if np.all(np.isfinite(samples)) else math.inf
    return _exact("support", law, samples.size, worst, worst <= slack)


def _magnitude(law: Law) -> float:
    ends = [abs(end) for end in (law.low, law.high) if math.isfinite(end) and end]
    return max(ends, default=1.0)


# Laws of values


def _agreement(sides: Sides, axis: int, law: str, false_alarm: float, of: str = "") -> TestResult:
    """Independence along an axis: disjoint neighbours lie on the same side of the median half of the time."""
    pairs = sides.shape[axis] // 2
    even, odd = (np.take(sides, range(first, 2 * pairs, 2), axis) for first in (0, 1))
    along = "draws" if axis == 0 else f"axis {axis - 1}"
    return sign_test(int(np.sum(even == odd)), even.size, f"independence {of}along {along}", law, false_alarm)


def _agreement_of_halves(sides: Sides, law: str, false_alarm: float, of: str = "") -> TestResult:
    """The same of the two halves of each draw, value by value."""
    flat = sides.reshape(len(sides), -1)
    later = flat[:, math.ceil(flat.shape[1] / 2) :]
    same = int(np.sum(flat[:, : later.shape[1]] == later))
    return sign_test(same, later.size, f"independence {of}of halves", law, false_alarm)


def _tail_test(uniforms: Array, deviations: float, law: str, false_alarm: float) -> TestResult:
    """How many values lie in both tails of the law, each as probable as that of a normal law beyond so many deviations.

    Values so rare hardly move mean, variance and distribution function.
    """
    tail = float(special.ndtr(-deviations))
    count = int(np.sum(uniforms < tail)) + int(np.sum(uniforms > 1 - tail))
    name = f"tails beyond {deviations:g} deviations"
    return binomial_test(count, uniforms.size, 2 * tail, name, law, false_alarm)


def _scores(samples: Array, law: Law, dtype: str) -> tuple[Array, Array]:
    """The sample as uniform and as standard normal values, by the law's distribution function."""
    if law.kind == "normal":
        scores = (samples - law.mean) / law.std
        return special.ndtr(scores), scores
    if law.kind == "uniform":
        uniforms = (samples - law.low) / (law.high - law.low)
    else:
        low, high = ((bound - law.mean) / law.std for bound in (law.low, law.high))
        uniforms = _truncated_cdf((samples - law.mean) / law.std, low, high)
    u = unit_roundoff(dtype)
    return uniforms, special.ndtri(np.clip(uniforms, u, 1 - u))


def _truncated_cdf(x: Array, low: float, high: float) -> Array:
    """Distribution function of the standard normal law between bounds, from the tail that keeps its digits."""
    sign = -1.0 if low + high > 0 else 1.0
    below, here, above = (special.ndtr(sign * np.asarray(value)) for value in (low, x, high))
    return (here - below) / (above - below)


def _value_tests(samples: Array, law: Law, dtype: str) -> Iterator[Test]:
    uniforms, scores = _scores(samples, law, dtype)
    name = str(law)
    yield partial(mean_test, scores, name)
    yield partial(variance_test, scores, name)
    yield partial(kolmogorov_smirnov_test, uniforms, name)
    if law.kind == "uniform":
        width = (law.high - law.low) / _magnitude(law)
        yield partial(extremes_test, uniforms, name, slack=ROUNDINGS * unit_roundoff(dtype) / width)
    for deviations in TAILS:
        yield partial(_tail_test, uniforms, deviations, name)
    for of, sides in (("", scores > 0), ("of sizes ", np.abs(scores) > special.ndtri(0.75))):
        for axis in (axis for axis, length in enumerate(samples.shape) if length > 1):
            yield partial(_agreement, sides, axis, name, of=of)
        if samples[0].size > 1:
            yield partial(_agreement_of_halves, sides, name, of=of)


# Laws of matrices


def orthogonality_test(matrices: Array, law: Law, dtype: str = "float64") -> TestResult:
    """Q^T Q = gain^2 I (Q Q^T for a wide Q), within 4 sqrt(n) (m + 10) n u, as of Householder's QR (Higham 2002, 19.4).

    Besides the m roundings of an inner product, each of the n reflections takes ten: norm, root, beta, tau and scale.
    """
    m, n = sorted(matrices.shape[1:], reverse=True)
    tall = matrices if matrices.shape[1] == m else matrices.transpose(0, 2, 1)
    error = tall.transpose(0, 2, 1) @ tall - law.gain**2 * np.eye(n)
    worst = float(np.max(np.abs(error))) if np.all(np.isfinite(error)) else math.inf
    allowed = 4 * math.sqrt(n) * (m + 10) * n * unit_roundoff(dtype) * law.gain**2
    return _exact("orthogonality", law, matrices.size, worst, worst <= allowed)


def _sphere_cdf(x: Array, n: int) -> Array:
    """Distribution function of one coordinate of a uniform point on the sphere in n >= 2 dimensions."""
    return special.betainc((n - 1) / 2, (n - 1) / 2, np.clip((x + 1) / 2, 0, 1))


def _forms(units: Array) -> Iterator[Array]:
    """x^T Q y of every draw, for the unit vectors of the first and the last entry and for two fixed generic ones.

    Under Haar's measure each is a coordinate of a uniform point on the sphere in max(rows, columns) dimensions.
    """
    rng = np.random.default_rng(0)
    left, right = (vector / np.linalg.norm(vector) for vector in map(rng.standard_normal, units.shape[1:]))
    yield units[:, 0, 0]
    yield units[:, -1, -1]
    yield np.einsum("dij,i,j->d", units, left, right)


def _matrix_tests(units: Array, law: Law) -> Iterator[Test]:
    return _haar_tests(units, law) if law.haar else _up_to_signs_tests(units, law)


def _haar_tests(units: Array, law: Law) -> Iterator[Test]:
    """Haar's measure: projections, the sign of the determinant (of square matrices), and independent draws."""
    name, n, draws = str(law), max(units.shape[1:]), len(units)
    for form in _forms(units) if n > 1 else ():
        yield partial(kolmogorov_smirnov_test, _sphere_cdf(form, n), name)
    if units.shape[1] == units.shape[2]:
        yield partial(sign_test, int(np.sum(np.linalg.det(units) > 0)), draws, "sign of the determinant", name)
    if draws > 1:
        yield partial(_agreement, units[:, :1, 0] > 0, 0, name)


def _up_to_signs_tests(units: Array, law: Law) -> Iterator[Test]:
    """Haar's measure up to the signs that LAPACK's SVD gives: the sizes of entries, and the first entry's signs.

    QR without a sign correction gives the first entry one sign only, Haar's measure both alike. Of the SVD's left
    vectors in 2 to 4 dimensions, which tall and square matrices take, it gives the rarer one to 19 to 27 draws in 100.
    """
    name, n = str(law), max(units.shape[1:])
    for entry in (units[:, 0, 0], units[:, -1, -1]) if n > 1 else ():
        squares = special.betainc(0.5, (n - 1) / 2, np.clip(entry**2, 0, 1))
        yield partial(kolmogorov_smirnov_test, squares, name)
    if min(units.shape[1:]) > 1:
        small = units.shape[2] <= units.shape[1] <= 4
        yield partial(_rarer_sign_test, units[:, 0, 0], (0.15, 0.3) if small else (0.1, 0.5), name)


def _rarer_sign_test(values: Array, shares: tuple[float, float], law: str, false_alarm: float) -> TestResult:
    """Exact binomial test that the share of the rarer sign lies between two given ones."""
    n = values.size
    rarer = min(int(np.sum(values > 0)), int(np.sum(values < 0)))
    tails = special.bdtr(rarer, n, shares[0]), special.bdtrc(rarer - 1, n, shares[1]) if rarer else 1.0
    p_value = min(1.0, 2 * float(min(tails)))
    return TestResult("signs", law, n, rarer / n, p_value, false_alarm, smallest_bias(n, false_alarm), "bias of a coin")


def judge_sample(
    samples: Array, law: Law, false_alarm: float = FALSE_ALARM, dtype: str = "float64", *, until_failure: bool = False
) -> tuple[TestResult, ...]:
    """Test draws, stacked as (draws, \\*shape), against a law; all must pass.

    First what must hold for every draw (shape, support, orthogonality); where that fails the rest has no meaning and
    is left out. The others share ``false_alarm`` evenly. ``dtype`` is that in which the values were computed.
    ``until_failure`` leaves out what comes after the first test that fails.
    """
    samples = np.asarray(samples, np.float64)
    certain = [shape_test(samples, law)]
    if not certain[0].passed or not samples.size:
        return tuple(certain)
    certain.append(support_test(samples, law, dtype))
    if law.kind == "orthogonal":
        samples = samples.reshape(len(samples), samples.shape[1], -1)
        certain.append(orthogonality_test(samples, law, dtype))
    if law.kind == "constant" or not all(test.passed for test in certain):
        return tuple(certain)
    whole = law.kind == "orthogonal"
    planned = list(_matrix_tests(samples / law.gain, law) if whole else _value_tests(samples, law, dtype))
    results = certain
    for test in planned:
        results.append(test(false_alarm / len(planned)))
        if until_failure and not results[-1].passed:
            break
    return tuple(results)
