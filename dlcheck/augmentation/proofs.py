"""The augmentations' identities, decided exactly."""

import sympy as sp

from dlcheck.evidence.symbolic import Proof

DIMENSIONS = range(1, 7)
"""Numbers of inputs for which the expected squared error is expanded."""


def _mirror(width: int, offset: int = 0) -> sp.Matrix:
    """The matrix that maps a row of pixels to its mirror image, or to that rolled by an offset."""
    return sp.Matrix(width, width, lambda j, k: int((width - 1 - j + offset) % width == k))


def flip_involution() -> tuple[Proof, ...]:
    """Column j of a flipped image comes from W - 1 - j, which two flips undo."""
    width, j = sp.symbols("W j", integer=True)
    once = width - 1 - j
    sizes = range(1, 9)
    squares = [entry for n in sizes for entry in _mirror(n) ** 2 - sp.eye(n)]
    mixed = [entry for n in sizes for entry in _mirror(n) * _mirror(n, 1) - sp.eye(n)]
    return (
        Proof("W - 1 - (W - 1 - j) = j", once.subs(j, once) - j, (width - j).subs(j, once) - j, "every W and j"),
        Proof("the matrix of a flip is its own inverse", squares, mixed, f"W = {sizes[0]}, ..., {sizes[-1]}"),
    )


def _expected(square: sp.Expr, noise: tuple[sp.Symbol, ...], variance: sp.Expr) -> sp.Expr:
    """Expectation of a polynomial of degree 2 in independent variables of mean 0 and a variance."""
    polynomial = sp.Poly(square, *noise)
    moments = {0: sp.Integer(1), 1: sp.Integer(0), 2: variance}
    return sum((c * sp.prod(moments[p] for p in powers) for powers, c in polynomial.terms()), sp.Integer(0))


def noise_is_a_penalty() -> tuple[Proof, ...]:
    """Noise on the inputs of a linear model adds sigma^2 |w|^2 to its expected squared error.

    Source: Bishop, Training with noise is equivalent to Tikhonov regularization (1995), for a linear model.
    """
    y, b, sigma = sp.symbols("y b sigma")
    right, wrong = [], []
    for d in DIMENSIONS:
        w, x, n = (sp.symbols(f"{name}1:{d + 1}") for name in "wxn")
        error = y - b - sum(wi * xi for wi, xi in zip(w, x, strict=True))
        noisy = sp.expand((error - sum(wi * ni for wi, ni in zip(w, n, strict=True))) ** 2)
        gap = _expected(noisy, n, sigma**2) - error**2
        penalty = sum(wi**2 for wi in w)
        right.append(gap - sigma**2 * penalty)
        wrong.append(gap - sigma * penalty)
    a, c, g, k = sp.symbols("a c g k")
    loss = k * (c - 2 * g * a) / k + a**2 * (k * sigma**2)
    return (
        Proof(
            "E (y - b - w.(x + n))^2 = (y - b - w.x)^2 + sigma^2 |w|^2",
            right,
            wrong,
            f"d = {DIMENSIONS[0]}, ..., {DIMENSIONS[-1]} inputs; any noise of mean 0, variance sigma^2, no correlation",
        ),
        Proof(
            "summed over k examples the penalty's slope is 2 k sigma^2 w: ridge regression with lambda = k sigma^2",
            sp.diff(loss, a) + 2 * g - 2 * k * sigma**2 * a,
            sp.diff(loss, a) + 2 * g - 2 * sigma**2 * a,
            "one weight a, linear term g, any k",
        ),
    )
