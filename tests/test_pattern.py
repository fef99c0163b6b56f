"""What is said of wrong numbers: relations that hold, and none where none does."""

import numpy as np
import pytest

from dlcheck.conformance.pattern import pattern

RIGHT = np.random.default_rng(0).normal(size=(3, 4, 4))
LATE = np.where(np.arange(4) < 2, RIGHT, np.sqrt(np.abs(RIGHT)))
LAST = np.where(np.arange(4) == 3, 2 * RIGHT, RIGHT)


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (0.5 * RIGHT, "0.5 times the expected"),
        (-RIGHT, "the other sign"),
        (RIGHT + 0.25, "the expected + 0.25"),
        (RIGHT - 0.25, "the expected - 0.25"),
        (np.zeros_like(RIGHT), "0 in place of every wrong number"),
        (RIGHT * np.nan, "NaN in place of every wrong number"),
        (RIGHT.swapaxes(1, 2), "the expected numbers with axes 1 and 2 exchanged"),
        (RIGHT[::-1], "the expected numbers in reverse along axis 0"),
        (np.roll(RIGHT, 1, 2), "the expected numbers moved by one place along axis 2"),
        (np.roll(RIGHT, -1, 0), "the expected numbers moved back by one place along axis 0"),
        (LAST, "2 times the expected, only at index 3 of axis 2, its last"),
        (LATE, "from index 2 of axis 2 on"),
        (np.sqrt(np.abs(RIGHT)), ""),
        (RIGHT, ""),
    ],
)
def test_a_relation_is_told_where_it_holds(got, words):
    assert pattern(RIGHT, got, np.full(RIGHT.shape, 1e-12), {}) == words


def test_an_input_that_comes_back_is_named():
    x = np.arange(48.0).reshape(RIGHT.shape)
    assert pattern(RIGHT, x.copy(), np.zeros(RIGHT.shape), {"size": 3, "x": x}) == "x itself"


def test_one_number_tells_no_relation():
    assert pattern(np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.zeros(2), {}) == ""


def test_numbers_within_the_allowed_error_are_right():
    assert pattern(RIGHT, RIGHT + 0.25, np.full(RIGHT.shape, 0.5), {}) == ""
