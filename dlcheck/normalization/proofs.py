"""Exact proofs about batch normalisation.

With r for 1 / sqrt(var + eps) everything is polynomial: dr/dvar = -r^3 / 2, and r^2 (var + eps) = 1 serves to put eps
in. What is said of m values is decided for sizes one by one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from dlcheck.evidence.symbolic import Proof

SIZES = range(2, 6)
"""Numbers of values per channel for which a proof is carried out one by one."""

_R, _EPS, _A, _GAMMA, _BETA = sp.symbols("r epsilon a gamma beta", positive=True)
_ABOUT = f"m = {SIZES[0]} to {SIZES[-1]} values"


def _mean(values: Sequence[Any]) -> Any:
    return sum(values, sp.Integer(0)) / len(values)


def _variance(x: Sequence[Any]) -> Any:
    return _mean([(value - _mean(x)) ** 2 for value in x])


def _values(m: int) -> tuple[list[sp.Symbol], list[sp.Symbol]]:
    """The input and the upstream gradient."""
    return list(sp.symbols(f"x:{m}", real=True)), list(sp.symbols(f"g:{m}", real=True))


def _hats(x: Sequence[Any]) -> list[Any]:
    return [(value - _mean(x)) * _R for value in x]


def _gradient(x: Sequence[sp.Symbol], g: Sequence[sp.Symbol]) -> list[Any]:
    """Of sum g hat by each x, the mean and the deviation being functions of x."""
    total = sum(u * h for u, h in zip(g, _hats(x), strict=True))
    through = sp.diff(total, _R) * -(_R**3) / 2
    return [sp.diff(total, one) + through * sp.diff(_variance(x), one) for one in x]


def _formula(x: Sequence[Any], g: Sequence[Any]) -> list[Any]:
    """r (g - mean(g) - hat mean(g hat)), as backward passes are written."""
    hats = _hats(x)
    along = _mean([u * h for u, h in zip(g, hats, strict=True)])
    return [_R * (u - _mean(g) - h * along) for u, h in zip(g, hats, strict=True)]


def _each(entries: Callable[[list[sp.Symbol], list[sp.Symbol]], Sequence[Any]]) -> list[Any]:
    return [entry for m in SIZES for entry in entries(*_values(m))]


def _once(entries: Callable[[list[sp.Symbol], list[sp.Symbol]], Sequence[Any]]) -> list[Any]:
    """For three values: enough to reject what does not hold."""
    return list(entries(*_values(3)))


def _differences(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    return [a - b for a, b in zip(first, second, strict=True)]


def backward() -> tuple[Proof, ...]:
    """The gradient with mean and deviation as functions of the input; held constant they give another."""
    right = _each(lambda x, g: _differences(_gradient(x, g), _formula(x, g)))
    constant = _once(lambda x, g: _differences(_gradient(x, g), [_R * u for u in g]))
    without_mean = _once(
        lambda x, g: _differences(
            _gradient(x, g),
            [
                _R * (u - h * _mean([v * k for v, k in zip(g, _hats(x), strict=True)]))
                for u, h in zip(g, _hats(x), strict=True)
            ],
        )
    )
    says = "the gradient is r (g - mean(g) - hat mean(g hat)), not r g"
    return (
        Proof(says, right, constant, _ABOUT),
        Proof("the part through the mean does not vanish", right, without_mean, _ABOUT),
    )


def orthogonality() -> tuple[Proof, ...]:
    """The gradient's sum, and its product with the normalised input: eps r^3 sum(g hat) with r^2 var = 1 - eps r^2."""

    def product(x: list[sp.Symbol], g: list[sp.Symbol]) -> Any:
        return sum(d * h for d, h in zip(_formula(x, g), _hats(x), strict=True))

    def along(x: list[sp.Symbol], g: list[sp.Symbol]) -> Any:
        return sum(u * h for u, h in zip(g, _hats(x), strict=True))

    sums = _each(lambda x, g: [sum(_formula(x, g))])
    unsummed = _once(lambda x, g: [sum(_R * u for u in g)])
    products = _each(lambda x, g: [product(x, g) - _R * (1 - _R**2 * _variance(x)) * along(x, g)])
    zero = _once(lambda x, g: [product(x, g)])
    return (
        Proof("the gradient sums to zero", sums, unsummed, _ABOUT),
        Proof(
            "its product with hat is r (1 - r^2 var) sum(g hat), where 1 - r^2 var = eps r^2", products, zero, _ABOUT
        ),
    )


def scale_invariance() -> tuple[Proof, ...]:
    """Normalising a x + b with eps is normalising x with eps / a^2, for a > 0; with a < 0 the sign turns."""

    def moved(x: list[sp.Symbol]) -> list[Any]:
        return [_A * value + _BETA for value in x]

    centred = _each(lambda x, g: [y - _mean(moved(x)) - _A * (v - _mean(x)) for y, v in zip(moved(x), x, strict=True)])
    variances = _each(lambda x, g: [_variance(moved(x)) - _A**2 * _variance(x)])
    unscaled = _once(lambda x, g: [_variance(moved(x)) - _variance(x)])
    d, v = sp.symbols("d v", positive=True)
    squared = (_A * d) ** 2 / (_A**2 * v + _EPS)
    return (
        Proof(
            "a x + b deviates by a times as much, its variance is a^2 times", [*centred, *variances], unscaled, _ABOUT
        ),
        Proof(
            "(a d)^2 / (a^2 v + eps) = d^2 / (v + eps / a^2)",
            squared - d**2 / (v + _EPS / _A**2),
            squared - d**2 / (v + _EPS),
            "any deviation d and variance v",
        ),
    )


def identity() -> tuple[Proof, ...]:
    """gamma = 1 / r and beta = mean give the input back, for the one mean and variance that they were made for."""
    x, mean, other = sp.symbols("x mu nu", real=True)
    back = (x - mean) * _R / _R + mean
    elsewhere = (x - other) * _R / _R + mean
    return (Proof("(x - mean) r (1 / r) + mean = x", back - x, elsewhere - x, "any x, mean and variance"),)


def few_values() -> tuple[Proof, ...]:
    """One value gives 0; of two only the order is left, and the gradient dies with eps."""
    x, y, g, h = sp.symbols("x y g h", real=True)
    half = (x - y) / 2
    root = 1 / (half**2 + _EPS)
    exact = [(hat**2).subs(_R**2, 1 / half**2) - 1 for hat in _hats([x, y])]
    gradient = _formula([x, y], [g, h])[0]
    claimed = _R * (g - h) / 2 * (1 - _R**2 * half**2)
    return (
        Proof("one value is its own mean", x - _mean([x]), x - _mean([x, y]), "m = 1"),
        Proof("two values become -1 and 1 without eps", exact, [(hat**2) - 1 for hat in _hats([x, y])], "m = 2"),
        Proof(
            "with two values the gradient is r (g - h) / 2 times eps r^2",
            [gradient - claimed, 1 - half**2 * root - _EPS * root],
            [gradient - _R * (g - h) / 2],
            "m = 2, where 1 - r^2 var = eps / (var + eps)",
        ),
    )


def bias_cancels() -> tuple[Proof, ...]:
    """A constant added to all values of a channel leaves what is normalised by the batch as it was."""
    b = sp.Symbol("b", real=True)
    moved = _each(lambda x, g: _differences(_hats([value + b for value in x]), _hats(x)))
    variances = _each(lambda x, g: [_variance([value + b for value in x]) - _variance(x)])
    fixed = _once(lambda x, g: [(x[0] + b - _mean(x)) - (x[0] - _mean(x))])
    return (Proof("x + b has the same centred values and variance as x", [*moved, *variances], fixed, _ABOUT),)


def range_of_hats() -> tuple[Proof, ...]:
    """Sum 0, mean square at most 1: by Cauchy's inequality none exceeds sqrt(m - 1), which one value apart reaches."""
    zero = _each(lambda x, g: [sum(_hats(x))])
    squares = _each(lambda x, g: [_mean([h**2 for h in _hats(x)]) - _R**2 * _variance(x)])
    apart = [_extreme(m)[0] ** 2 - (m - 1) for m in range(2, 12)]
    return (
        Proof("normalised values add up to 0", zero, _once(lambda x, g: [sum(x)]), _ABOUT),
        Proof(
            "their mean square is r^2 var = var / (var + eps)", squares, _once(lambda x, g: [_variance(x) - 1]), _ABOUT
        ),
        Proof("1 among m - 1 zeros becomes sqrt(m - 1)", apart, [entry + 1 for entry in apart], "m = 2 to 11, eps = 0"),
    )


def _extreme(m: int) -> list[Any]:
    """Normalised values of one 1 and m - 1 zeros."""
    x = [sp.Integer(1), *[sp.Integer(0)] * (m - 1)]
    return [(value - _mean(x)) / sp.sqrt(_variance(x)) for value in x]


def thresholds() -> tuple[Proof, ...]:
    """gamma hat + beta is positive where hat > -beta / gamma: without beta whatever gamma > 0."""
    hat = sp.Symbol("h", real=True)
    crossing = _GAMMA * hat + _BETA
    return (
        Proof("gamma hat + beta = gamma (hat - (-beta / gamma))", crossing - _GAMMA * (hat + _BETA / _GAMMA),
              crossing - _GAMMA * hat, "gamma > 0"),
        Proof("without beta the sign is that of hat", (_GAMMA * hat) ** 2 - _GAMMA**2 * hat**2,
              crossing**2 - _GAMMA**2 * hat**2, "gamma > 0"),
    )  # fmt: skip


def feature_scaling() -> tuple[Proof, ...]:
    """Second derivatives of half the mean squared error by the weights of two features.

    Uncorrelated ones of scales s and t have the curvatures s^2 and t^2; scaled to 1 with correlation c,
    1 + c and 1 - c.
    """
    s, t, c, z = sp.symbols("s t c z")
    raw, scaled = sp.Matrix([[s**2, 0], [0, t**2]]), sp.Matrix([[1, c], [c, 1]])
    found = [(raw - z * sp.eye(2)).det() - (z - s**2) * (z - t**2)]
    mended = [(scaled - z * sp.eye(2)).det() - (z - 1 - c) * (z - 1 + c)]
    # with rate 2 / (s^2 + t^2), the best, both directions contract by (s^2 - t^2) / (s^2 + t^2)
    rate = 2 / (s**2 + t**2)
    contraction = (s**2 - t**2) / (s**2 + t**2)
    best = [1 - rate * t**2 - contraction, 1 - rate * s**2 + contraction]
    return (
        Proof("curvatures of raw features are s^2 and t^2", found, [(raw - z * sp.eye(2)).det() - (z - s**2) ** 2]),
        Proof("the best one rate contracts both by (s^2 - t^2) / (s^2 + t^2)", best, [best[0] + rate]),
        Proof(
            "curvatures of scaled features are 1 + c and 1 - c", mended, [(scaled - z * sp.eye(2)).det() - (z - 1) ** 2]
        ),
    )
