"""How wrong numbers relate to the right ones, in words: what tells the cause where no known mistake does."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pattern(expected: Array, got: Array, allowed: Array, inputs: Mapping[str, Any]) -> str:
    """The simplest relation between two arrays of one shape, and where they differ; "" where there is none to tell.

    Two wrong numbers at least must obey a relation; one would obey many. ``allowed`` is the error allowed in each,
    ``inputs`` are what the numbers come from.
    """
    with np.errstate(all="ignore"):
        wrong = ~((np.abs(got - expected) <= allowed) | (got == expected) | (np.isnan(got) & np.isnan(expected)))
        if np.count_nonzero(wrong) < 2:
            return ""
        echoed = (f"{name} itself" for name, given in inputs.items() if np.array_equal(given, got))
        relation = next(itertools.chain(echoed, _relations(expected, got, allowed, wrong)), "")
        return ", ".join(filter(None, (relation, *_places(wrong))))


def _relations(expected: Array, got: Array, allowed: Array, wrong: NDArray[np.bool_]) -> Iterator[str]:
    right, given, error = expected[wrong], got[wrong], allowed[wrong].max()
    if np.isnan(given).all():
        yield "NaN in place of every wrong number"
    if (given == given[0]).all() and not (right == right[0]).all():
        yield f"{given[0]:.4g} in place of every wrong number"
    if (right == right[0]).all():
        return
    largest = np.abs(right).argmax()
    factor, shift = given[largest] / right[largest], given[largest] - right[largest]
    if np.all(np.abs(given - factor * right) <= 2 * error * max(1.0, abs(factor))):
        yield "the other sign" if factor == -1 else f"{factor:.4g} times the expected"
    if np.all(np.abs(given - right - shift) <= 2 * error):
        yield f"the expected {'+' if shift > 0 else '-'} {abs(shift):.4g}"
    for words, moved in _moved(expected):
        if np.all(np.abs(got - moved) <= error):
            yield f"the expected numbers {words}"


def _moved(expected: Array) -> Iterator[tuple[str, Array]]:
    """The same numbers in other places."""
    for axis, length in enumerate(expected.shape):
        if length > 1:
            yield f"in reverse along axis {axis}", np.flip(expected, axis)
        if length > 2:
            yield f"moved by one place along axis {axis}", np.roll(expected, 1, axis)
            yield f"moved back by one place along axis {axis}", np.roll(expected, -1, axis)
        for other in range(axis):
            if expected.shape[other] == length > 1:
                yield f"with axes {other} and {axis} exchanged", np.swapaxes(expected, other, axis)


def _places(wrong: NDArray[np.bool_]) -> Iterator[str]:
    """For each axis the one index, or the first, where numbers are wrong, if there is more to the axis."""
    for axis, found in enumerate(np.nonzero(wrong)):
        first, length = int(found.min()), wrong.shape[axis]
        if first == found.max() and length > 1:
            yield f"only at index {first} of axis {axis}{', its last' if first == length - 1 else ''}"
        elif first and wrong.take(range(first, length), axis).all():
            yield f"from index {first} of axis {axis} on"
