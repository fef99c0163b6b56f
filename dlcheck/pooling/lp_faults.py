"""The known mistakes in L_k pooling."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.pooling import reference
from dlcheck.pooling.mistakes import (
    NAN,
    NO_LEARNING,
    OTHER_FUNCTION,
    Array,
    Replaces,
    Settings,
    assigned,
    backward_only,
    of_windows,
    replacing,
    resettled,
    width_uses_height_stride,
    windows_of,
)
from dlcheck.pooling.reference import Windows


def _plain(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if name != "overhang"}


def _base(tap: Array, settings: Settings) -> Array:
    """What is raised to the power: the number or its magnitude."""
    return np.abs(tap) if settings.get("power") == "magnitude" else tap


def _sign(tap: Array, settings: Settings) -> Array | float:
    """The derivative of that by the number."""
    return np.sign(tap) if settings.get("power") == "magnitude" else 1.0


def _rescaling(where: Windows) -> Array:
    return math.prod(where.kernel) / where.sizes(padding_counts=False)


def _of_sum(
    function: Callable[[Array, float, int], Array], slope: Callable[[Array, float, int], Array], zero: float = 0.0
) -> Replaces:
    """Another function of the sum of powers, k and the kernel's size; its derivative by the sum, at zero ``zero``."""

    def total(x: Array, k: float, where: Windows, settings: Settings) -> Array:
        return _rescaling(where) * sum(_base(tap, settings) ** k for tap in where.taps(where.padded(x, 0.0)))

    def forward(x: Array, norm_type: float, **settings: Any) -> Array:
        if math.isinf(norm_type):
            return reference.lp_pool2d(x, norm_type, **settings)
        where = windows_of(x, settings)
        return function(total(x, norm_type, where, settings), norm_type, math.prod(where.kernel))

    def backward(grad_output: Array, x: Array, norm_type: float, **settings: Any) -> Array:
        if math.isinf(norm_type):
            return reference.lp_pool2d_backward(grad_output, x, norm_type, **settings)["x"]
        where = windows_of(x, settings)
        found = total(x, norm_type, where, settings)
        outer = grad_output * slope(found, norm_type, math.prod(where.kernel)) * _rescaling(where) * norm_type
        return where.spread([
            np.where(found == 0, zero, outer * _base(tap, settings) ** (norm_type - 1) * _sign(tap, settings))
            for tap in where.taps(where.padded(x, 0.0))
        ])  # fmt: skip

    return replacing("lp_pool2d", forward, backward)


def _slope(change: Callable[[Array, Array, float], Array], zero: float = 0.0, signed: bool = True) -> Replaces:
    """Another derivative by each number, of the number, the norm and k; ``zero`` where the norm is zero."""

    def gradient(grad_output: Array, x: Array, norm_type: float, **settings: Any) -> Array:
        if math.isinf(norm_type):
            return reference.lp_pool2d_backward(grad_output, x, norm_type, **settings)["x"]
        where, norm = windows_of(x, settings), reference.lp_pool2d(x, norm_type, **_plain(settings))
        safe, outer = np.where(norm == 0, 1.0, norm), grad_output * _rescaling(where)
        slopes = (
            change(_base(tap, settings), safe, norm_type) * (_sign(tap, settings) if signed else 1.0)
            for tap in where.taps(where.padded(x, 0.0))
        )
        return where.spread([np.where(norm == 0, zero, outer * slope) for slope in slopes])

    return backward_only("lp_pool2d", gradient)


def _ratio(x: Array, norm: Array, k: float) -> Array:
    return (x / norm) ** (k - 1)


def _clamped(least: float, mean: bool) -> Replaces:
    """The norm, or the generalised mean, of numbers that are at least ``least``; others get no gradient."""

    def scale(where: Windows, k: float) -> Array:
        return where.sizes(padding_counts=False) ** (-1 / k) if mean else _rescaling(where) ** (1 / k)

    def forward(x: Array, norm_type: float, **settings: Any) -> Array:
        base = np.maximum(_base(x, settings), least)
        summed = {**settings, "overhang": "summed"}
        return scale(windows_of(x, settings), norm_type) * reference.lp_pool2d(base, norm_type, **summed)

    def backward(grad_output: Array, x: Array, norm_type: float, **settings: Any) -> Array:
        outer, base = grad_output * scale(windows_of(x, settings), norm_type), _base(x, settings)
        summed = {**settings, "overhang": "summed"}
        found = reference.lp_pool2d_backward(outer, np.maximum(base, least), norm_type, **summed)["x"]
        return found * (base >= least) * _sign(x, settings)

    return replacing("lp_pool2d", forward, backward)


def _overwritten(grad_output: Array, x: Array, norm_type: float, **settings: Any) -> Array:
    where, norm = windows_of(x, settings), reference.lp_pool2d(x, norm_type, **_plain(settings))
    taps = where.taps(where.padded(x, 0.0))
    safe = np.where(norm == 0, 1.0, norm)
    slopes = (_ratio(_base(tap, settings), safe, norm_type) * _sign(tap, settings) for tap in taps)
    return assigned(where, [np.where(norm == 0, 0.0, grad_output * slope) for slope in slopes])


def _lp(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "lp_pool2d", says, effect, fix, replaces, happened)


LP_POOL = (
    *of_windows("lp_pool2d"),
    width_uses_height_stride("lp_pool2d", "lp-pool-width-uses-height-stride"),
    _lp(
        "lppool-hidden-epsilon", "1e-7 is added under the root", "Windows of zeros give 3e-4 in place of 0.",
        "add nothing; set the gradient of a zero norm to zero",
        _of_sum(lambda s, k, n: (s + 1e-7) ** (1 / k), lambda s, k, n: (s + 1e-7) ** (1 / k - 1) / k),
        "https://github.com/torch/DEPRECEATED-torch7-distro/issues/62",
    ),
    _lp(
        "lp-pool-mean", "powers are averaged, not summed", OTHER_FUNCTION, "(sum of x^k)^(1/k)",
        _of_sum(lambda s, k, n: (s / n) ** (1 / k), lambda s, k, n: (s / n) ** (1 / k - 1) / k / n),
    ),
    _lp(
        "lp-pool-mean-zero-nan", "powers are averaged; zeros get a NaN gradient", NAN,
        "(sum of x^k)^(1/k), with a gradient of zero at zero",
        _of_sum(lambda s, k, n: (s / n) ** (1 / k), lambda s, k, n: (s / n) ** (1 / k - 1) / k / n, math.nan),
    ),
    *(
        _lp(
            f"lp-pool-mean-times-size{'-zero-nan' if zero else ''}",
            f"the kernel's size multiplies the root{'; zeros get NaN' if zero else ', not the mean'}", OTHER_FUNCTION,
            "(size * mean of x^k)^(1/k)",
            _of_sum(lambda s, k, n: n * (s / n) ** (1 / k), lambda s, k, n: (s / n) ** (1 / k - 1) / k, zero),
        )
        for zero in (0.0, math.nan)
    ),
    *(
        _lp(
            f"lp-pool-epsilon-{epsilon}", f"{epsilon} is added under the root", "Windows of zeros do not give 0.",
            "add nothing; set the gradient of a zero norm to zero",
            _of_sum(lambda s, k, n, e=float(epsilon): (s + e) ** (1 / k),
                    lambda s, k, n, e=float(epsilon): (s + e) ** (1 / k - 1) / k),
        )
        for epsilon in ("1e-5", "1e-6", "1e-8", "1e-10", "1e-12")
    ),
    _lp(
        "lp-pool-root-precedence", "the sum is divided by k: ** 1 / k is (** 1) / k", OTHER_FUNCTION,
        "total ** (1 / k)", _of_sum(lambda s, k, n: s / k, lambda s, k, n: np.full_like(s, 1 / k)),
    ),
    _lp(
        "lp-pool-negatives-dropped", "negative numbers count as 0", OTHER_FUNCTION, "(sum of x^k)^(1/k)",
        _clamped(0.0, mean=False),
    ),
    _lp(
        "lp-pool-clamped", "numbers below 1e-6 count as 1e-6", OTHER_FUNCTION, "(sum of x^k)^(1/k)",
        _clamped(1e-6, mean=False),
    ),
    _lp(
        "lp-pool-generalised-mean", "it is generalised-mean pooling: clamped and averaged", OTHER_FUNCTION,
        "(sum of x^k)^(1/k)", _clamped(1e-6, mean=True),
    ),
    _lp(
        "lp-pool-root-missing", "the root is left out", OTHER_FUNCTION, "(sum of x^k)^(1/k)",
        _of_sum(lambda s, k, n: s, lambda s, k, n: np.ones_like(s)),
    ),
    _lp(
        "lp-pool-square-root", "the root is always the square root", OTHER_FUNCTION, "(sum of x^k)^(1/k)",
        _of_sum(lambda s, k, n: np.sqrt(s), lambda s, k, n: 0.5 / np.sqrt(s)),
    ),
    _lp(
        "lp-pool-norm-type-ignored", "norm_type is ignored: always the Euclidean norm", OTHER_FUNCTION,
        "(sum of x^k)^(1/k)", resettled("lp_pool2d", lambda s: {"norm_type": 2}),
    ),
    _lp(
        "lp-pool-root-before-sum", "the root is taken of each power, before the sum", OTHER_FUNCTION,
        "(sum of x^k)^(1/k)", resettled("lp_pool2d", lambda s: {"norm_type": 1, "power": "magnitude"}),
    ),
    _lp(
        "lp-pool-backward-zero-nan", "a window of zeros gets a NaN gradient", NAN, "its gradient is zero",
        _slope(_ratio, zero=math.nan),
    ),
    _lp(
        "lp-pool-backward-power", "the gradient has x^k, not x^(k-1)", NO_LEARNING, "(x / norm)^(k - 1)",
        _slope(lambda x, norm, k: x**k / norm ** (k - 1)),
    ),
    _lp(
        "lp-pool-backward-root-missing", "the gradient lacks the root's: k x^(k-1)", NO_LEARNING, "(x / norm)^(k - 1)",
        _slope(lambda x, norm, k: k * x ** (k - 1)),
    ),
    _lp(
        "lp-pool-backward-norm-missing", "the gradient is not divided by the norm's power", NO_LEARNING,
        "(x / norm)^(k - 1)", _slope(lambda x, norm, k: x ** (k - 1)),
    ),
    _lp(
        "lp-pool-backward-factor", "the gradient has a factor k too many", NO_LEARNING, "(x / norm)^(k - 1)",
        _slope(lambda x, norm, k: k * _ratio(x, norm, k)),
    ),
    _lp(
        "lp-pool-backward-sign-lost", "the gradient loses the sign of x", NO_LEARNING, "sign(x) (|x| / norm)^(k - 1)",
        _slope(lambda x, norm, k: np.abs(x / norm) ** (k - 1), signed=False),
    ),
    _lp(
        "lp-pool-backward-linear", "the gradient is x / norm for every norm_type", NO_LEARNING, "(x / norm)^(k - 1)",
        _slope(lambda x, norm, k: x / norm),
    ),
    _lp(
        "lp-pool-backward-overwrites", "overlapping windows overwrite, not add, gradients", NO_LEARNING,
        "grad_x[window] += ...", backward_only("lp_pool2d", _overwritten),
    ),
)  # fmt: skip
