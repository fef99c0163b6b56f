"""What the claims about normalisation do: drive an implementation, tie it to a formula, and draw what goes in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Case
from dlcheck.evidence import numerics, seeds
from dlcheck.judgement import Evidence

Array = NDArray[np.float64]

CASES = 40
"""Random batches of a search."""
ROUNDINGS = 256
"""That an output of a batch of some dozens of values passes through, at the size of the largest number in it."""

PAIR = np.array([[0.0], [2.0]])
"""A batch of two values with mean 1 and variance 1."""


def close(actual: Any, expected: Any, size: float = 1.0) -> bool:
    """Whether numbers agree within roundings at the size of the largest of them, or a given one."""
    expected = np.asarray(expected, np.float64)
    largest = np.full(expected.shape, max(np.abs(expected).max(initial=0.0), size))
    return bool(np.all(np.abs(actual - expected) <= numerics.roundings(largest, "float64", ROUNDINGS)))


def _held(weight: Array | None, bias: Array | None, statistics: tuple[Array, Array] | None) -> dict[str, Any]:
    given = {"weight": weight, "bias": bias}
    given |= dict(zip(("running_mean", "running_var"), statistics, strict=True)) if statistics else {}
    return {name: np.asarray(value, np.float64) for name, value in given.items() if value is not None}


def output(
    implementation: Any,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    statistics: tuple[Array, Array] | None = None,
    mode: str = "train",
    **settings: Any,
) -> Array:
    """What batch normalisation makes of one batch."""
    inputs = {"steps": [{"x": x, "mode": mode}], **_held(weight, bias, statistics)}
    return implementation.observe(Case("forward", inputs, settings)).values["output0"]


def gradient(
    implementation: Any,
    grad_output: Array,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    statistics: tuple[Array, Array] | None = None,
    mode: str = "train",
    **settings: Any,
) -> Array:
    """The gradient of the batch."""
    inputs = {"steps": [{"x": x, "mode": mode, "grad_output": grad_output}], **_held(weight, bias, statistics)}
    return implementation.observe(Case("backward", inputs, settings)).values["grad_x0"]


def averages(implementation: Any, batches: Sequence[Array], **settings: Any) -> tuple[Array, Array]:
    """The running mean and variance after some batches."""
    inputs = {"steps": [{"x": batch, "mode": "train"} for batch in batches]}
    values = implementation.observe(Case("statistics", inputs, settings)).values
    return values["running_mean"][-1], values["running_var"][-1]


def batch(stream: int, shape: tuple[int, ...] = (6, 3, 2, 2)) -> tuple[Array, Array, Array]:
    """A batch whose channels have means and scales of their own, with a weight and a bias."""
    rng = seeds.generator(stream)
    wide = (-1, *(1,) * (len(shape) - 2))
    scale, shift = rng.uniform(0.5, 3.0, shape[1]), rng.uniform(-3.0, 3.0, shape[1])
    x = rng.normal(size=shape) * scale.reshape(wide) + shift.reshape(wide)
    return x, rng.uniform(0.25, 2.0, shape[1]), rng.normal(size=shape[1])


def rows(x: Array) -> Array:
    """The values of each channel as a column."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def searched(how: str, **size: Any) -> Evidence:
    """Evidence of a search over random batches."""
    return Evidence("property", how, {"batches": CASES, "seed": seeds.RUN, **size})
