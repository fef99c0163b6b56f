"""Every input there is: all numbers of a format through a unary function, against the correctly rounded result.

A float64 oracle decides nearly all inputs. Where its value lies so close to the middle between two numbers of the
format that its own error could matter, mpmath decides, so that "correctly rounded" is certain (the table maker's
dilemma: Muller et al., Handbook of Floating-Point Arithmetic, chapter 10).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlcheck.evidence import numerics

Array = NDArray[np.float64]
Tested = Callable[[Tensor], Tensor]
Oracle = Callable[[Array], Array]
Exact = Callable[[Any], Any]

SPECIAL = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0)
CHUNK = 2**18
"""Inputs at a time: few enough for the cache, many enough for a vectorised loop or an accelerator."""
ORACLE_ULP = 2.0
"""Error that the float64 oracle may make, in its own units in the last place."""
_DIGITS = 60
_BITS = {"float16": (np.uint16, np.int16), "bfloat16": (np.uint16, np.int16), "float32": (np.uint32, np.int32)}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How accurate a function is over all ``inputs`` bit patterns examined.

    ``worst_ulp`` is the largest error in units in the last place of the exact result, at ``worst_input`` (infinite
    where NaN stands for a number or the reverse; inputs that are NaN count as right); ``misrounded`` counts the
    results that are not the nearest number, ``settled`` those that mpmath decided; ``special`` gives the results at
    NaN, infinities and zeros.
    """

    dtype: str
    inputs: int
    worst_ulp: float
    worst_input: float
    misrounded: int
    settled: int
    special: Mapping[str, str]

    def joined(self, other: "Accuracy") -> "Accuracy":
        """Both sets of inputs together."""
        worst = self if self.worst_ulp >= other.worst_ulp else other
        return Accuracy(
            self.dtype,
            self.inputs + other.inputs,
            worst.worst_ulp,
            worst.worst_input,
            self.misrounded + other.misrounded,
            self.settled + other.settled,
            self.special,
        )


def of_arrays(function: Oracle) -> Tested:
    """A NumPy float64 function as one of tensors, its results rounded once to the dtype of the input."""

    def on_tensors(x: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            values = function(x.double().cpu().numpy())
        return torch.from_numpy(numerics.rounded(values, str(x.dtype).removeprefix("torch."))).to(x.device, x.dtype)

    return on_tensors


def of_numbers(fast: Exact, exact: Exact) -> Oracle:
    """A function of one number as one of float64 arrays: by ``fast`` in floats, and ``exact`` where that overflows."""

    def one(x: float) -> float:
        try:
            return float(fast(x))
        except OverflowError:
            with mpmath.workdps(_DIGITS):
                return float(exact(mpmath.mpf(x)))

    return lambda x: np.array([one(float(value)) for value in x.ravel()]).reshape(x.shape)


def derivative(function: Tested) -> Tested:
    """The derivative of a function of tensors, by autograd."""

    def differentiated(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(dtype=torch.float64), x)[0]

    return differentiated


def accuracy(
    function: Tested,
    oracle: Oracle,
    exact: Exact,
    dtype: str,
    *,
    patterns: range | None = None,
    device: str = "cpu",
    chunk: int = CHUNK,
) -> Accuracy:
    """Run a function over every number of a dtype and compare each result with the correctly rounded one.

    ``oracle`` is the same function in float64, within 2 units in the last place, ``exact`` it in mpmath. ``patterns``
    restricts the bit patterns (all 2^16, or 2^32 of float32, by default), so that the work can be divided:
    parts are ``joined``. Raises ValueError for a dtype that has too many numbers.
    """
    if dtype not in _BITS:
        raise ValueError(f"dtype must be one of {', '.join(_BITS)}, not {dtype!r}")
    chosen = patterns if patterns is not None else range(2 ** (8 * np.dtype(_BITS[dtype][0]).itemsize))
    special = torch.tensor(SPECIAL, dtype=getattr(torch, dtype), device=device)
    results = {str(x): str(y) for x, y in zip(SPECIAL, function(special).double().tolist(), strict=True)}
    parts = (_part(function, oracle, exact, dtype, x, results) for x in _inputs(dtype, chosen, device, chunk))
    return reduce(Accuracy.joined, parts, Accuracy(dtype, 0, 0.0, 0.0, 0, 0, results))


def _inputs(dtype: str, patterns: range, device: str, chunk: int) -> Iterator[Tensor]:
    unsigned, signed = _BITS[dtype]
    for start in range(0, len(patterns), chunk):
        part = patterns[start : start + chunk]
        bits = np.arange(part.start, part.stop, part.step, dtype=np.int64).astype(unsigned).view(signed)
        yield torch.from_numpy(bits).view(getattr(torch, dtype)).to(device)


def _part(
    function: Tested, oracle: Oracle, exact: Exact, dtype: str, inputs: Tensor, special: Mapping[str, str]
) -> Accuracy:
    x, got = inputs.double().cpu().numpy(), function(inputs).detach().double().cpu().numpy()
    with np.errstate(all="ignore"):
        right = oracle(x)
        error = np.where(np.isnan(x), 0.0, _error(got, right, dtype))
        near = np.abs(error - 0.5) * numerics.ulp(right, dtype) <= ORACLE_ULP * np.spacing(np.abs(right))
    wrong = error > 0.5
    undecided = np.flatnonzero(near)
    for index in undecided:
        wrong[index] = got[index] != _settled(exact, x[index], right[index], dtype)
    worst = int(error.argmax())
    return Accuracy(dtype, x.size, float(error[worst]), float(x[worst]), int(wrong.sum()), undecided.size, special)


def _error(got: Array, right: Array, dtype: str) -> Array:
    """Error in units in the last place, infinity counted as the next power of two after the largest number."""
    bound = 2.0 ** np.ceil(np.log2(numerics.largest(dtype)))
    error = np.abs(np.clip(got, -bound, bound) - np.clip(right, -bound, bound)) / numerics.ulp(right, dtype)
    return np.where(np.isnan(error), np.where(np.isnan(got) == np.isnan(right), 0.0, np.inf), error)


def _settled(exact: Exact, x: float, right: float, dtype: str) -> float:
    """The correctly rounded result, decided on whichever side of the middle between two numbers the exact one lies."""
    reach = 2 * ORACLE_ULP * np.spacing(abs(right))
    low, high = numerics.rounded(np.array([right - reach, right + reach]), dtype).tolist()
    middle = (low + high) / 2
    with mpmath.workdps(_DIGITS):
        value = exact(mpmath.mpf(float(x)))
        if value == middle:
            return float(numerics.rounded(np.array(middle), dtype))
        return low if value < middle else high
