"""Tests of samples against laws, each with a stated false-alarm rate and the smallest effect that it sees.

All p-values are exact, or bounds that hold for every sample size, so that rates of 1e-9 mean what they say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.evidence.numerics import rounded

Array = NDArray[np.float64]

FALSE_ALARM = 1e-9
"""Rate at which a right implementation fails one case, unless said otherwise."""
MISS = 1e-6
"""Rate at which a deviation of the stated smallest effect passes: the power is 1 - MISS."""
ROUNDINGS = 8
"""Roundings that a bound of a support may pass through."""


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
    """What tells laws of tensors apart: their values, first entries, means, ends, and norms of the first slices.

    Values are pooled over a draw as if they were independent; those of an orthogonal matrix repel each other, which
    makes the pooled test stricter than it says, never looser. Eight bits are kept, so that rounding, which moves the
    norms of unit vectors off 1, tells nothing.
    """
    axes = tuple(range(1, samples.ndim))
    views = {"values": samples, "first entry": samples[(slice(None), *[0] * len(axes))], "mean": samples.mean(axes)}
    views |= {"least": samples.min(axes, initial=math.inf), "largest": samples.max(axes, initial=-math.inf)}
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
