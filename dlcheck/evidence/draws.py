"""Tests of what was drawn at random inside a computation, once it is read back from the results.

A value read back is one of a few outcomes, or a number with a distribution function; values come stacked as
(draws, \\*positions) and should be independent of each other. All p-values are exact or bounds, as in ``statistics``.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.evidence import numerics
from dlcheck.evidence.statistics import (
    FALSE_ALARM,
    MISS,
    Test,
    TestResult,
    _normal_quantile,
    _views,
    extremes_test,
    kolmogorov_smirnov_test,
    smallest_bias,
    two_sample_test,
)

Array = NDArray[np.float64]
Outcomes = NDArray[np.bool_]
Law = Mapping[float, float] | Callable[[Array], Array]
"""The probability of each outcome, or the distribution function of a continuous law."""
Drawn = Mapping[str, tuple[Array, Law]]
"""What was drawn, by name: the values, and the law that they should have."""

_SLACK = 2.0**-16
"""Share of probability by which reading a value back in floating point may move it."""
_LEVELS = 31
"""Levels below which the share of values is compared."""


def binomial_test(
    count: int, n: int, probability: float, name: str, law: str, false_alarm: float = FALSE_ALARM
) -> TestResult:
    """Exact two-sided test of a number of successes."""
    below = float(special.bdtr(count, n, probability))
    above = float(special.bdtrc(count - 1, n, probability)) if count else 1.0
    effect = smallest_bias(max(n, 1), false_alarm)
    share = count / max(n, 1)
    return TestResult(name, law, n, share, min(1.0, 2 * min(below, above)), false_alarm, effect, "share")


def two_shares_test(a: Outcomes, b: Outcomes, name: str, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Fisher's exact test of the successes in two samples: twice the tail on the side of the deviation."""
    n, m, one, both = a.size, b.size, int(np.sum(a)), int(np.sum(a)) + int(np.sum(b))
    least, most = max(0, both - m), min(n, both)
    tail = np.arange(one, most + 1) if one * (n + m) >= both * n else np.arange(least, one + 1)
    log_share = _log_choices(n, tail) + _log_choices(m, both - tail) - _log_choices(n + m, np.array(both))
    p_value = min(1.0, 2 * float(np.sum(np.exp(log_share))))
    effect = 2 * smallest_bias(max(min(n, m), 1), false_alarm)
    share = one / max(n, 1) - (both - one) / max(m, 1)
    return TestResult(name, "the same share", n, abs(share), p_value, false_alarm, effect, "share")


def _log_choices(n: int, k: NDArray[np.int_]) -> Array:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def span_test(a: Array, b: Array, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Whether draws of a lie in the span of the first half of b's as often as those of b's second half do."""
    first, second = (values.reshape(len(values), -1) for values in (a, b))
    base, kept = second[: len(second) // 2], second[len(second) // 2 :]
    centre = base.mean(axis=0)
    _, sizes, directions = np.linalg.svd(base - centre, full_matrices=False)
    directions = directions[sizes > _SLACK * max(float(np.abs(base).max(initial=0.0)), 2.0**-40)]
    reach = 2 * _SLACK * float(np.abs(second).max(initial=0.0))

    def off(values: Array) -> Outcomes:
        distance = np.abs(values - values @ directions.T @ directions).max(axis=1, initial=0.0)
        return ~(distance <= reach)

    return two_shares_test(off(first - centre), off(kept - centre), "in the span of draws", false_alarm)


def same_draws(a: Array, b: Array, false_alarm: float = FALSE_ALARM) -> TestResult:
    """Whether two stacks of draws (draws, \\*shape) may come from one law, whatever hangs together within a draw.

    Tests of the first entry, the mean and norms of slices, and of expected shares, values and products of two
    values, whose scatter from draw to draw is measured; p is that of the test that speaks most against it, and holds
    for many draws only.
    """
    first, second = (np.asarray(values, np.float64) for values in (a, b))
    n = min(len(first), len(second))
    if not first.size or not second.size:
        return TestResult("draws", "the same law", n, 0.0, 1.0, false_alarm)
    ours, theirs = _views(first), _views(second)
    del ours["values"]
    found = [two_sample_test(view, theirs[name], name, false_alarm / (len(ours) + 1)) for name, view in ours.items()]
    return min((*found, _same_averages(first, second, false_alarm / (len(ours) + 1))), key=_margin)


def _margin(result: TestResult) -> float:
    return result.p_value / result.false_alarm


def _same_averages(a: Array, b: Array, false_alarm: float) -> TestResult:
    both = np.concatenate([a, b]).reshape(len(a) + len(b), -1)
    # above the value itself, so that rounding does not put equal values on both sides
    levels = np.quantile(both, np.linspace(0, 1, _LEVELS + 2)[1:-1]) + _SLACK * np.abs(both).max()
    centred = both - both.mean(axis=0)
    shares = np.stack([(both <= level).mean(axis=1) for level in levels], axis=1)
    rows, columns = np.triu_indices(both.shape[1])
    parts = shares, both, centred[:, rows] * centred[:, columns]
    features, largest = np.concatenate(parts, axis=1), float(np.abs(both).max())
    one, other = features[: len(a)], features[len(a) :]
    scatter = np.sqrt(one.var(axis=0) / len(one) + other.var(axis=0) / len(other))
    rounding = _SLACK * np.repeat([1.0, largest, largest**2], [part.shape[1] for part in parts])
    distance = np.abs(one.mean(axis=0) - other.mean(axis=0)) / np.where(scatter + rounding > 0, scatter + rounding, 1.0)
    distance = np.where(np.isnan(distance), np.inf, distance)
    p_value = min(1.0, 2 * features.shape[1] * float(special.ndtr(-distance.max())))
    effect = (_normal_quantile(false_alarm / 2 / features.shape[1]) + _normal_quantile(MISS)) * (2 / len(a)) ** 0.5
    return TestResult(
        "averages", "the same law", len(a), float(distance.max()), p_value, false_alarm, effect, "shift / deviation"
    )


def judge_drawn(drawn: Drawn, false_alarm: float = FALSE_ALARM) -> tuple[TestResult, ...]:
    """Test everything drawn against its law and for independence; all must pass.

    First what is certain, that every value is one that the law can give; where that fails the rest has no meaning. The
    others share ``false_alarm`` evenly. Raises ValueError for a law of outcomes whose probabilities do not add up to 1.
    """
    certain = [_possible(name, values, law) for name, (values, law) in drawn.items()]
    if not all(result.passed for result in certain):
        return tuple(certain)
    planned = [test for name, (values, law) in drawn.items() for test in _tests(name, values, law)]
    planned += list(_across(drawn))
    return (*certain, *(test(false_alarm / len(planned)) for test in planned))


def _possible(name: str, values: Array, law: Law) -> TestResult:
    if callable(law):
        share = law(values)
        wrong = ~np.isfinite(values) | (share < -_SLACK) | (share > 1 + _SLACK) | np.isnan(share)
        says = "a number that its law can give"
    else:
        if abs((whole := sum(law.values())) - 1.0) > len(law) * numerics.unit_roundoff("float64"):
            raise ValueError(f"the probabilities of {name} add up to {whole:g}, expected 1")
        possible = [outcome for outcome, probability in law.items() if probability > 0]
        wrong, says = ~np.isin(values, possible), f"one of {', '.join(f'{outcome:g}' for outcome in possible[:8])}"
    return TestResult(name, says, values.size, float(np.sum(wrong)), 0.0 if np.any(wrong) else 1.0, 0.5)


def _tests(name: str, values: Array, law: Law) -> Iterator[Test]:
    yield from _distribution(name, values, law, f"{name} has its law")
    if callable(law):
        yield partial(extremes_test, np.clip(law(values), 0, 1), f"{name} reaches as far as its law does")
    if values.ndim > 1:
        for index in np.ndindex(values.shape[1:]):
            yield from _distribution(name, values[:, *index], law, f"{name} has its law at {index}")
    upper, probability = _upper(values, law)
    for axis in range(values.ndim):
        if values.shape[axis] > 1:
            along = "from draw to draw" if axis == 0 else f"along axis {axis - 1}"
            yield from _pairs(upper, axis, probability, f"{name} is independent {along}")


def _distribution(name: str, values: Array, law: Law, says: str) -> Iterator[Test]:
    if callable(law):
        yield partial(kolmogorov_smirnov_test, np.clip(law(values), 0, 1), says)
        return
    for outcome, probability in law.items():
        if 0 < probability < 1:
            told = f"{says}: {outcome:g} with probability {probability:g}"
            yield partial(binomial_test, int(np.sum(values == outcome)), values.size, probability, name, told)


def _upper(values: Array, law: Law) -> tuple[NDArray[np.bool_], float]:
    """Whether each value lies in the upper part of its law, and the probability of that: as near 1/2 as can be."""
    if callable(law):
        return law(values) > 0.5, 0.5
    outcomes = sorted(law)
    tails = [sum(law[o] for o in outcomes[k:]) for k in range(len(outcomes))]
    cut = min(range(len(outcomes)), key=lambda k: abs(tails[k] - 0.5))
    return values >= outcomes[cut], tails[cut]


def _pairs(upper: NDArray[np.bool_], axis: int, probability: float, says: str) -> Iterator[Test]:
    """Disjoint neighbours lie in the same part as often as independent ones do."""
    if not 0 < probability < 1:
        return
    pairs = upper.shape[axis] // 2
    first, second = (np.take(upper, range(start, 2 * pairs, 2), axis) for start in (0, 1))
    yield _alike(first, second, probability, probability, says)


def _alike(first: NDArray[np.bool_], second: NDArray[np.bool_], p: float, q: float, says: str) -> Test:
    same = int(np.sum(first == second))
    return partial(binomial_test, same, first.size, p * q + (1 - p) * (1 - q), "independence", says)


def _across(drawn: Drawn) -> Iterator[Test]:
    """Two things drawn together lie in the same part of their laws as often as independent ones do."""
    for (one, (a, law_a)), (other, (b, law_b)) in combinations(drawn.items(), 2):
        (upper_a, p), (upper_b, q) = _upper(a, law_a), _upper(b, law_b)
        if upper_a.shape == upper_b.shape and 0 < p < 1 and 0 < q < 1:
            yield _alike(upper_a, upper_b, p, q, f"{one} and {other} are independent")
