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
from dlcheck.evidence.statistics import FALSE_ALARM, Test, TestResult, kolmogorov_smirnov_test, smallest_bias

Array = NDArray[np.float64]
Law = Mapping[float, float] | Callable[[Array], Array]
"""The probability of each outcome, or the distribution function of a continuous law."""
Drawn = Mapping[str, tuple[Array, Law]]
"""What was drawn, by name: the values, and the law that they should have."""

_SLACK = 2.0**-16
"""Share of probability by which reading a value back in floating point may move it."""


def binomial_test(
    count: int, n: int, probability: float, name: str, law: str, false_alarm: float = FALSE_ALARM
) -> TestResult:
    """Exact two-sided test of a number of successes."""
    below = float(special.bdtr(count, n, probability))
    above = float(special.bdtrc(count - 1, n, probability)) if count else 1.0
    effect = smallest_bias(max(n, 1), false_alarm)
    share = count / max(n, 1)
    return TestResult(name, law, n, share, min(1.0, 2 * min(below, above)), false_alarm, effect, "share")


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
