"""Exact proofs about convolutions, on symbols for every pixel and weight, and about their numbers of parameters."""

from collections.abc import Callable
from itertools import product

import sympy as sp

from dlcheck.evidence.symbolic import Proof

Expr = sp.Expr
Indexed = Callable[..., Expr]
"""A symbol, or a sum of them, for each combination of indices."""

CHANNELS = ((1, 1), (2, 1), (1, 2), (2, 2))
"""Input channels and those in the middle, or output channels; more of them add terms of the same kind."""
_C, _M, _O, _K, _R = sp.symbols("C M O k r", positive=True)


def _symbols(name: str) -> Indexed:
    return lambda *indices: sp.Symbol("_".join([name, *map(str, indices)]))


def _correlated(
    x: Indexed, w: Indexed, channels: int, side: int, o: int, p: int, q: int, stride: int = 1, padding: int = 0
) -> Expr:
    """An output of the definition: sum over c, i, j of w[o, c, i, j] x[c, s p + i, s q + j]."""
    terms = (
        w(o, c, i, j) * x(c, stride * p + i - padding, stride * q + j - padding)
        for c, i, j in product(range(channels), range(side), range(side))
    )
    return sp.Add(*terms)


def shift_equivariance() -> tuple[Proof, ...]:
    """An image moved by s t pixels gives the output moved by t, at every position and for every image."""
    image, w = sp.Function("x"), _symbols("w")
    p, q, t, u, s = sp.symbols("p q t u s", integer=True)

    def outputs(side: int, rows: Expr, columns: Expr, down: Expr | int, right: Expr | int) -> Expr:
        places = product(range(side), range(side))
        return sp.Add(*(w(i, j) * image(s * rows + i - down, s * columns + j - right) for i, j in places))

    moved = [outputs(side, p, q, s * t, s * u) - outputs(side, p - t, q - u, 0, 0) for side in (1, 2, 3)]
    unscaled = [outputs(side, p, q, t, u) - outputs(side, p - t, q - u, 0, 0) for side in (1, 2, 3)]
    about = "kernels of side 1 to 3, all images, positions, shifts and strides; another kernel adds terms of this kind"
    return (Proof("y(x moved by s t) at p is y(x) at p - t", moved, unscaled, about),)


def pointwise_is_dense() -> tuple[Proof, ...]:
    """With k = 1, output o of a pixel is row o of the weight times that pixel's channels."""
    x, w = _symbols("x"), _symbols("w")
    at = list(product(range(2), range(2)))
    rows, columns, mixed = [], [], []
    for channels, filters in CHANNELS:
        for o, (p, q) in product(range(filters), at):
            found = _correlated(x, w, channels, 1, o, p, q)
            rows.append(found - sp.Add(*(w(o, c, 0, 0) * x(c, p, q) for c in range(channels))))
            columns.append(found - sp.Add(*(w(o, c, 0, 0) * x(c, q, p) for c in range(channels))))
            mixed += [(sp.diff(found, x(c, *other)), other == (p, q)) for c in range(channels) for other in at]
    elsewhere = [derivative for derivative, same in mixed if not same]
    return (
        Proof("y[o] at (p, q) = sum over c of w[o, c] x[c, p, q]", rows, columns, f"(C, O) in {CHANNELS}"),
        Proof("its derivative by other pixels is 0", elsewhere, [found for found, _ in mixed], f"(C, O) in {CHANNELS}"),
    )


def _composed_kernel(first: Indexed, second: Indexed, middle: int, flipped: bool) -> Indexed:
    """The 5x5 kernel of two 3x3 ones: their full convolution, or, flipped, their correlation."""
    sign = -1 if flipped else 1

    def entry(o: int, c: int, a: int, b: int) -> Expr:
        pairs = product(range(3), range(3), range(3), range(3))
        shift = 2 if flipped else 0
        met = [(i, j, k, m) for i, j, k, m in pairs if i + sign * k + shift == a and j + sign * m + shift == b]
        return sp.Add(*(second(o, n, i, j) * first(n, c, k, m) for n in range(middle) for i, j, k, m in met))

    return entry


def two_small_make_a_large() -> tuple[Proof, ...]:
    """Two 3x3 correlations one after the other are the 5x5 one whose kernel is the full convolution of theirs."""
    x, first, second = _symbols("x"), _symbols("v"), _symbols("w")
    right, wrong = [], []
    for channels, middle in CHANNELS[:3]:

        def between(m: int, p: int, q: int, channels: int = channels) -> Expr:
            return _correlated(x, first, channels, 3, m, p, q)

        twice = _correlated(between, second, middle, 3, 0, 0, 0)
        for flipped, residuals in ((False, right), (True, wrong)):
            kernel = _composed_kernel(first, second, middle, flipped)
            residuals.append(twice - _correlated(x, kernel, channels, 5, 0, 0, 0))
    about = f"(input, middle channels) in {CHANNELS[:3]}; every position sees its own 5x5 pixels alike"
    return (Proof("w * (v * x) = (w * v) * x", right, wrong, about),)


def bottleneck_parameters() -> tuple[Proof, ...]:
    """A 1x1 convolution to r channels before k x k to O: fewer weights where r < C O k^2 / (C + O k^2)."""
    bound = _C * _O * _K**2 / (_C + _O * _K**2)
    saved = _C * _O * _K**2 - (_C * _R + _R * _O * _K**2)
    with_biases = (_C * _O * _K**2 + _O) - (_C * _R + _R + _R * _O * _K**2 + _O)
    wrong = (_C + _O) * (bound - _R)
    return _saving("C O k^2 - r (C + O k^2)", saved, (_C + _O * _K**2) * (bound - _R), wrong), _saving(
        "with biases C O k^2 - r (C + 1 + O k^2)", with_biases, saved - _R, saved
    )


def two_small_parameters() -> tuple[Proof, ...]:
    """3x3 from C to M channels and from M to O: fewer weights than 5x5 where M < 25 C O / (9 (C + O))."""
    bound = 25 * _C * _O / (9 * (_C + _O))
    saved = 25 * _C * _O - 9 * _M * (_C + _O)
    with_biases = (25 * _C * _O + _O) - (9 * _M * _C + _M + 9 * _M * _O + _O)
    equal = with_biases.subs({_M: _C, _O: _C})
    return (
        _saving("25 C O - 9 M (C + O)", saved, 9 * (_C + _O) * (bound - _M), 9 * _C * (bound - _M)),
        _saving("with biases, M less", with_biases, saved - _M, saved),
        _saving("C = M = O: C (7 C - 1) > 0", equal, _C * (7 * _C - 1), 7 * _C**2),
    )


def _saving(says: str, saved: Expr, factored: Expr, wrong: Expr) -> Proof:
    return Proof(f"parameters saved: {says}", saved - factored, saved - wrong, "all numbers of channels, all sides k")
