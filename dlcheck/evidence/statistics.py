"""Tests of samples against laws, each with a stated false-alarm rate and the smallest effect that it sees.

All p-values are exact, or bounds that hold for every sample size, so that rates of 1e-9 mean what they say.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.evidence.numerics import rounded, unit_roundoff

Array = NDArray[np.float64]

FALSE_ALARM = 1e-9
"""Rate at which a right implementation fails one case, unless said otherwise."""
MISS = 1e-6
"""Rate at which a deviation of the stated smallest effect passes: the power is 1 - MISS."""
ROUNDINGS = 8
"""Roundings that a bound of a support may pass through."""


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


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of one sample.

    ``smallest_effect`` is the smallest deviation seen with power 1 - MISS, in the unit that ``effect`` names; 0 for
    tests that see every deviation.
    """

    __test__ = False  # pytest would collect the name

    name: str
    law: str
    n: int
    statistic: float
    p_value: float
    false_alarm: float
    smallest_effect: float = 0.0
    effect: str = "any"

    @property
    def passed(self) -> bool:
        return self.p_value >= self.false_alarm


Test = Callable[[float], TestResult]
"""A test that waits for its share of the false-alarm rate."""


# Sample sizes and smallest effects


def _normal_quantile(tail: float) -> float:
    return float(-special.ndtri(tail))


def smallest_mean_shift(n: int, false_alarm: float = FALSE_ALARM, miss: float = MISS) -> float:
    """Smallest shift of the mean, in standard deviations, that the mean test sees with power 1 - miss."""
    return (_normal_quantile(false_alarm / 2) + _normal_quantile(miss)) / math.sqrt(n)


def smallest_variance_change(n: int, false_alarm: float = FALSE_ALARM, miss: float = MISS) -> float:
    """Smallest relative change of the variance, up or down, that the chi-square test sees with power 1 - miss."""
    above = special.gammainccinv(n / 2, false_alarm / 2) / special.gammaincinv(n / 2, miss) - 1
    below = 1 - special.gammaincinv(n / 2, false_alarm / 2) / special.gammainccinv(n / 2, miss)
    return float(max(above, below))


def smallest_distance(n: int, false_alarm: float = FALSE_ALARM, miss: float = MISS) -> float:
    """Smallest Kolmogorov distance that the Kolmogorov-Smirnov test sees with power 1 - miss (Massart 1990)."""
    return (math.sqrt(math.log(2 / false_alarm)) + math.sqrt(math.log(2 / miss))) / math.sqrt(2 * n)


def smallest_bias(n: int, false_alarm: float = FALSE_ALARM, miss: float = MISS) -> float:
    """Bias of a fair coin that the binomial test is sure to see with power 1 - miss (Hoeffding 1963)."""
    return smallest_distance(n, false_alarm, miss)


def smallest_gap(n: int, false_alarm: float = FALSE_ALARM) -> float:
    """Smallest share of a uniform law's support, missing at one end, that the extremes test sees with certainty."""
    return -math.expm1(math.log(false_alarm / 2) / n)


def sample_size(
    smallest: Callable[[int, float, float], float], effect: float, false_alarm: float = FALSE_ALARM, miss: float = MISS
) -> int:
    """Least n at which ``smallest(n, false_alarm, miss)``, one of the functions above, is at most ``effect``."""
    if not 0 < effect < math.inf:
        raise ValueError(f"effect must be a positive number, but was {effect!r}")
    high = 1
    while smallest(high, false_alarm, miss) > effect:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if smallest(middle, false_alarm, miss) > effect else (low, middle)
    return high


# Tests


def mean_test(scores: Array, law: str, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Mean of independent standard normal scores, which is normal with variance 1/n."""
    statistic = float(np.mean(scores)) * math.sqrt(scores.size)
    p_value = 2 * float(special.ndtr(-abs(statistic)))
    effect = smallest_mean_shift(scores.size, false_alarm)
    return TestResult("mean", law, scores.size, statistic, p_value, false_alarm, effect, "shift / deviation")


def variance_test(scores: Array, law: str, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Sum of squares of independent standard normal scores, which is chi-square with n degrees of freedom."""
    n, total = scores.size, float(np.sum(scores**2))
    tails = float(special.gammainc(n / 2, total / 2)), float(special.gammaincc(n / 2, total / 2))
    effect = smallest_variance_change(n, false_alarm)
    p_value = min(1.0, 2 * min(tails))
    return TestResult("variance", law, n, total / n, p_value, false_alarm, effect, "relative change of variance")


def kolmogorov_smirnov_test(uniforms: Array, law: str, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Values of the law's distribution function, which are uniform; p by Massart's bound 2 exp(-2 n d^2)."""
    ranked = np.sort(uniforms, axis=None)
    n = ranked.size
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - ranked), np.max(ranked - steps[:-1])))
    p_value = min(1.0, 2 * math.exp(-2 * n * distance**2))
    effect = smallest_distance(n, false_alarm)
    return TestResult("distribution", law, n, distance, p_value, false_alarm, effect, "Kolmogorov distance")


def extremes_test(uniforms: Array, law: str, false_alarm: float = FALSE_ALARM, slack: float = 0.0) -> TestResult:
    """Gap between the ends of the unit interval and the nearest of n uniform values: P(gap > g) = (1 - g)^n.

    ``slack`` is the share of the interval by which rounding may move a value.
    """
    n = uniforms.size
    gap = max(0.0, float(max(np.min(uniforms), 1 - np.max(uniforms))) - slack)
    p_value = 0.0 if gap >= 1 else min(1.0, 2 * math.exp(n * math.log1p(-gap)))
    return TestResult("extremes", law, n, gap, p_value, false_alarm, smallest_gap(n, false_alarm), "share of the width")


def sign_test(heads: int, n: int, name: str, law: str, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Exact two-sided binomial test of a fair coin."""
    p_value = min(1.0, 2 * float(special.bdtr(min(heads, n - heads), n, 0.5)))
    return TestResult(name, law, n, heads / n, p_value, false_alarm, smallest_bias(n, false_alarm), "bias of a coin")


def _agreement(scores: Array, axis: int, law: str, false_alarm: float) -> TestResult:
    """Independence along an axis: disjoint neighbours lie on the same side of the median half of the time."""
    pairs = scores.shape[axis] // 2
    even = np.take(scores, range(0, 2 * pairs, 2), axis) > 0
    odd = np.take(scores, range(1, 2 * pairs, 2), axis) > 0
    along = "draws" if axis == 0 else f"axis {axis - 1}"
    return sign_test(int(np.sum(even == odd)), even.size, f"independence along {along}", law, false_alarm)


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


# The laws of initializers


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
    for axis in (axis for axis, length in enumerate(samples.shape) if length > 1):
        yield partial(_agreement, scores, axis, name)


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
        yield partial(_agreement, units[:, :1, 0], 0, name)


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


# Two samples


def two_sample_test(a: Array, b: Array, name: str = "values", false_alarm: float = FALSE_ALARM) -> TestResult:
    """Two-sample Kolmogorov-Smirnov test on the first n of each; p <= e exp(-n d^2) for all n (Wei, Dudley 2012)."""
    n = min(a.size, b.size)
    first, second = (np.sort(values.ravel()[:n]) for values in (a, b))
    every = np.union1d(first, second)
    below = [np.searchsorted(values, every, side="right") / n for values in (first, second)]
    distance = float(np.max(np.abs(below[0] - below[1])))
    p_value = min(1.0, math.exp(1 - n * distance**2))
    effect = (math.sqrt(math.log(math.e / false_alarm)) + math.sqrt(math.log(math.e / MISS))) / math.sqrt(n)
    return TestResult(name, "the same law", n, distance, p_value, false_alarm, effect, "Kolmogorov distance")


def _views(samples: Array) -> dict[str, Array]:
    """What tells laws of tensors apart: their values, first entries, means, and norms of the first slices.

    Values are pooled over a draw as if they were independent; those of an orthogonal matrix repel each other, which
    makes the pooled test stricter than it says, never looser. Eight bits are kept, so that rounding, which moves the
    norms of unit vectors off 1, tells nothing.
    """
    axes = tuple(range(1, samples.ndim))
    views = {"values": samples, "first entry": samples[(slice(None), *[0] * len(axes))], "mean": samples.mean(axes)}
    norms = {f"norm of the first slice of axis {k - 1}": _norms(np.take(samples, 0, k)) for k in axes}
    return {name: rounded(view, "bfloat16") for name, view in (views | norms).items()}


def _norms(slices: Array) -> Array:
    return np.linalg.norm(slices.reshape(len(slices), -1), axis=1)


def same_law(samples_a: Array, samples_b: Array, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Whether two stacks of draws (draws, \\*shape) may come from one law: the view that speaks most against it."""
    a, b = np.asarray(samples_a, np.float64), np.asarray(samples_b, np.float64)
    if a.shape[1:] != b.shape[1:]:
        return TestResult("shape", "the same law", len(a), 0.0, 0.0, false_alarm)
    if not a.size or not b.size:
        return TestResult("shape", "the same law", 0, 0.0, 1.0, false_alarm)
    ours, theirs = _views(a), _views(b)
    share = false_alarm / len(ours)
    return min((two_sample_test(ours[k], theirs[k], k, share) for k in ours), key=lambda test: test.p_value)
