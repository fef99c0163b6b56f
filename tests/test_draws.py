"""Two stacks of draws are told apart by what hangs together in a draw, and not by chance or rounding."""

import numpy as np
import pytest
from scipy import stats

from dlcheck.evidence import draws

SHAPE = (3, 2, 2)


def drawn(kind: str, seed: int, count: int = 150) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return rng.normal(size=(count, *SHAPE))
    if kind == "one number":
        return rng.normal(size=(count, 1, 1, 1)) * np.ones(SHAPE)
    shape = {"each": SHAPE, "channels": (3, 1, 1)}[kind]
    return (rng.random((count, *shape)) < 0.5) * np.ones(SHAPE)


@pytest.mark.parametrize("kind", ["normal", "one number", "each", "channels"])
def test_draws_of_one_law_are_the_same(kind: str):
    found = [draws.same_draws(drawn(kind, seed), drawn(kind, seed + 1), 1e-5) for seed in range(0, 40, 2)]
    assert all(result.passed for result in found)


@pytest.mark.parametrize(("one", "other"), [("normal", "one number"), ("each", "channels")])
def test_what_hangs_together_tells_draws_apart(one: str, other: str):
    assert not draws.same_draws(drawn(one, 0), drawn(other, 1)).passed


def test_rounding_tells_nothing():
    kept = drawn("each", 0)
    assert draws.same_draws(kept / 0.75, kept * (1 / 0.75)).passed
    assert draws.same_draws(np.full((60, 3), 4 / 3), np.full((60, 3), np.nextafter(4 / 3, 2))).passed
    assert not draws.same_draws(np.full((60, 3), 4 / 3), np.full((60, 3), 1.0)).passed


def test_nothing_is_the_same_as_nothing():
    assert draws.same_draws(np.zeros((5, 0)), np.zeros((5, 0))).passed


@pytest.mark.parametrize(("n", "one", "m", "other"), [(150, 37, 150, 0), (20, 3, 20, 9), (300, 2, 12, 5), (7, 0, 9, 0)])
def test_two_shares_are_compared_exactly(n: int, one: int, m: int, other: int):
    found = draws.two_shares_test(np.arange(n) < one, np.arange(m) < other, "fits").p_value
    tails = [
        stats.fisher_exact([[one, n - one], [other, m - other]], alternative=side).pvalue
        for side in ("less", "greater")
    ]
    assert found == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6)


def on_a_line(direction: list[float], seed: int, count: int) -> np.ndarray:
    return 0.5 + np.random.default_rng(seed).normal(size=(count, 1)) * np.array(direction)


def test_a_few_draws_show_the_span_of_all():
    few = on_a_line([1.0, 2.0, 3.0], 0, 24)
    assert draws.span_test(on_a_line([1.0, 2.0, 3.0], 1, 300), few).passed
    assert not draws.span_test(on_a_line([1.0, 2.0, 3.1], 1, 300), few).passed
    assert draws.span_test(drawn("normal", 0), drawn("normal", 1, 24)).passed
    assert draws.span_test(np.ones((300, 4)), np.ones((24, 4))).passed
