"""Every number of a format: errors are found wherever they are, and rounding is decided exactly."""

import mpmath
import numpy as np
import pytest
import torch

from dlcheck.evidence import exhaustive

HALVES = ("float16", "bfloat16")


def half(x):
    """A correctly rounded x / 2, tied to even: exactly in the middle for every odd subnormal."""
    return exhaustive.of_arrays(lambda values: values / 2)(x)


def halved(**changes):
    return {"function": half, "oracle": lambda x: x / 2, "exact": lambda x: x / 2, "dtype": "float16"} | changes


def accuracy(**arguments):
    given = halved(**arguments)
    function, oracle, exact, dtype = (given.pop(name) for name in ("function", "oracle", "exact", "dtype"))
    return exhaustive.accuracy(function, oracle, exact, dtype, **given)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_function_rounded_once_is_correctly_rounded(dtype):
    found = exhaustive.accuracy(exhaustive.of_arrays(np.tanh), np.tanh, mpmath.tanh, dtype)
    assert (found.inputs, found.misrounded) == (2**16, 0)
    assert found.worst_ulp <= 0.5


def test_one_wrong_number_among_all_is_found():
    def wrong_at_two(x):
        return torch.where(x == 2, torch.nextafter(half(x), x), half(x))

    found = accuracy(function=wrong_at_two)
    assert (found.misrounded, found.worst_ulp, found.worst_input) == (1, 1.0, 2.0)


def test_middles_between_two_numbers_are_decided_and_tied_to_even():
    assert accuracy().settled > 0
    assert accuracy().misrounded == 0

    def away_from_zero(x):
        tied = (x.double() / 2 - half(x).double()).abs() == 2.0**-25
        return torch.where(tied, torch.copysign(torch.tensor(2.0**-24, dtype=x.dtype), x) + half(x), half(x))

    assert accuracy(function=away_from_zero).misrounded > 0


@pytest.mark.parametrize("towards", [-np.inf, np.inf])
def test_an_error_of_the_oracle_does_not_decide(towards):
    def off_by_one(x):
        return np.where(np.isfinite(x), np.nextafter(x / 2, towards), x)

    assert accuracy(oracle=off_by_one).misrounded == 0


def test_nan_in_place_of_a_number_is_an_infinite_error():
    found = accuracy(function=lambda x: torch.where(x == 1, torch.nan, half(x)))
    assert (found.worst_ulp, found.worst_input, found.misrounded) == (np.inf, 1.0, 1)


def test_overflow_to_infinity_counts_as_the_next_power_of_two():
    found = accuracy(function=lambda x: torch.where(x == 65504, torch.inf, x), oracle=lambda x: x, exact=lambda x: x)
    assert (found.worst_ulp, found.misrounded) == (1.0, 1)


def test_special_values_are_told():
    special = accuracy(function=torch.sigmoid, oracle=lambda x: x, exact=lambda x: x, patterns=range(0)).special
    assert special == {"nan": "nan", "inf": "1.0", "-inf": "0.0", "0.0": "0.5", "-0.0": "0.5"}


def test_parts_join_to_the_whole():
    def of(patterns):
        return accuracy(function=lambda x: (x * 0.75) / 1.5, patterns=patterns, chunk=1000)

    assert of(range(2**15)).joined(of(range(2**15, 2**16))) == of(None)


def test_a_part_of_float32():
    every = range(0, 2**32, 2**14 + 1)
    found = exhaustive.accuracy(exhaustive.of_arrays(np.tanh), np.tanh, mpmath.tanh, "float32", patterns=every)
    assert (found.inputs, found.misrounded) == (len(every), 0)


def test_derivatives_come_from_autograd():
    slope = exhaustive.derivative(torch.tanh)(torch.tensor([0.0, torch.inf]))
    assert slope.tolist() == [1.0, 0.0]


def test_a_format_with_too_many_numbers_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of float16, bfloat16, float32, not 'float64'"):
        accuracy(dtype="float64")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", HALVES)
def test_an_accelerator_is_examined_like_the_cpu(dtype):
    found = exhaustive.accuracy(torch.relu, lambda x: np.maximum(x, 0), lambda x: max(x, 0), dtype, device="cuda")
    assert (found.inputs, found.misrounded, found.worst_ulp) == (2**16, 0, 0.0)
