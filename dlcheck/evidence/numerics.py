"""The one home of tolerances: error bounds from dtype, operations and conditioning; ulp; differences."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_FORMATS = {  # significand bits (with the hidden one), smallest normal exponent, largest exponent
    "float64": (53, -1022, 1023),
    "float32": (24, -126, 127),
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
}


def unit_roundoff(dtype: str) -> float:
    """Largest relative error of rounding to nearest, 2^-p for a significand of p bits."""
    return 2.0 ** -_FORMATS[dtype][0]


def smallest_normal(dtype: str) -> float:
    """Smallest positive normal number; results below it may be flushed to zero by the hardware."""
    return 2.0 ** _FORMATS[dtype][1]


def largest(dtype: str) -> float:
    """Largest finite number."""
    bits, _, exponent = _FORMATS[dtype]
    return float((2.0 - 2.0 ** (1 - bits)) * 2.0**exponent)


def rounded(values: Array, dtype: str) -> Array:
    """float64 values rounded to nearest, ties to even, in a dtype; subnormals kept, overflow to infinity."""
    if dtype == "float64":
        return np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        if dtype in ("float32", "float16"):
            return np.asarray(values, np.float64).astype(dtype).astype(np.float64)
        values = np.asarray(values, np.float64)
        quantum = ulp(values, dtype)
        near = np.where(np.isfinite(values), np.rint(values / quantum) * quantum, values)
        return np.where(np.abs(near) > largest(dtype), np.copysign(np.inf, near), near)


def ulp(values: Array, dtype: str) -> Array:
    """Distance between neighbouring numbers of a dtype at each value (of its binade; the quantum below normal)."""
    bits, lowest, _ = _FORMATS[dtype]
    with np.errstate(all="ignore"):
        magnitude = np.abs(np.asarray(values, np.float64))
        exponent = np.frexp(np.where(np.isfinite(magnitude), magnitude, largest(dtype)))[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, lowest) - (bits - 1))


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_count, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_count, value))
    if isinstance(value, np.ndarray):
        return value.size if value.dtype.kind == "f" else 0
    return int(isinstance(value, float))


def _moved(value: Any, relative: float, signs: Callable[[int], Array]) -> Any:
    """The same nesting with every floating-point number moved up or down by a relative step."""
    if isinstance(value, Mapping):
        return {key: _moved(inner, relative, signs) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(inner, relative, signs) for inner in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value * (1 + relative * signs(value.size).reshape(value.shape))
    if isinstance(value, float):
        return float(value * (1 + relative * signs(1)[0]))
    return value


def _sign_patterns(count: int) -> Iterator[Callable[[int], Array]]:
    """Walsh patterns over numbers in order: any two get equal signs in one pattern and opposite ones in another."""
    for bit in range(-1, min(max(count - 1, 0).bit_length(), 16)):
        start = 0

        def signs(size: int, bit: int = bit) -> Array:
            nonlocal start
            index = np.arange(start, start + size)
            start += size
            up = np.ones(size, bool) if bit < 0 else (index >> bit & 1) == 0
            return np.where(up, 1.0, -1.0)

        yield signs


def allowance(
    function: Callable[[Any, Any], Mapping[str, Array]],
    inputs: Any,
    settings: Any,
    dtype: str,
    operations: int,
    magnitudes: Mapping[str, Array] | None = None,
    exact: bool = False,
) -> dict[str, Array]:
    """Error that a right implementation may make in each output of ``function(inputs, settings)``.

    Moving every input and setting by the unit roundoff u of the dtype (settings by float32's at most, for nobody keeps
    them in less), in sign patterns in which any two of them move together once and apart once, changes the result by
    up to d: its conditioning (a deterministic form of stochastic arithmetic, Vignes 1993). An implementation whose
    outputs pass through k roundings may be off by k (d + u |y| + q): q is the smallest normal number, below which
    hardware may flush to zero, or float16's smallest subnormal. ``magnitudes`` stand for |y| where a result passed
    through larger ones; ``exact`` leaves d out.
    """
    u = unit_roundoff(dtype)
    kept = min(u, unit_roundoff("float32"))
    with np.errstate(all="ignore"):
        values = function(inputs, settings)
        spread = {name: np.zeros_like(value) for name, value in values.items()}
        for signs in () if exact else _sign_patterns(_count(inputs) + _count(settings)):
            # twice as far and half of what comes of it: in float64 itself 1 + u is 1
            moved = function(_moved(inputs, 2 * u, signs), _moved(settings, 2 * kept, signs))
            for name, value in values.items():
                distance = np.abs(moved[name] - value) / 2
                spread[name] = np.fmax(spread[name], np.where(np.isfinite(distance), distance, 0.0))
        sizes = {name: np.abs(value) for name, value in values.items()} if magnitudes is None else magnitudes
        return {name: operations * spread[name] + roundings(size, dtype, operations) for name, size in sizes.items()}


def roundings(values: ArrayLike, dtype: str, operations: int) -> Array:
    """Error of k roundings at the size of each value, k (u |y| + q): the allowance of a well-conditioned result."""
    with np.errstate(all="ignore"):
        size = np.abs(values)
        return operations * (np.where(np.isfinite(size), unit_roundoff(dtype) * size, 0.0) + _underflow(dtype))


def _underflow(dtype: str) -> float:
    return 2.0**-24 if dtype == "float16" else smallest_normal(dtype)


def difference(function: Callable[[Array], Array], x: Array, step: float = 0.0) -> Array:
    """Central difference of an elementwise function, with Richardson's extrapolation: error O(step^4).

    The default step balances truncation and rounding in float64 at the scale of x.
    """
    h = (step or unit_roundoff("float64") ** 0.2) * np.maximum(1.0, np.abs(x))

    def central(h: Array) -> Array:
        return (function(x + h) - function(x - h)) / (2 * h)

    return (4 * central(h / 2) - central(h)) / 3


def gradient_by_differences(function: Callable[[Array], float], x: Array) -> Array:
    """Gradient of a scalar function of an array by the same extrapolated differences, one element at a time."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):

        def along(value: Array, index: tuple[int, ...] = index) -> Array:
            moved = x.copy()
            moved[index] = value
            return np.asarray(function(moved))

        gradient[index] = difference(along, x[index])
    return gradient
