"""Identities of residual units and of joined kernels, decided exactly."""

import sympy as sp

from dlcheck.evidence.symbolic import Proof

X = sp.Symbol("x", real=True)


def _relu(value: sp.Expr) -> sp.Expr:
    return sp.Max(0, value)


def _unrolled(units: int) -> tuple[sp.Expr, list[sp.Expr]]:
    """x_L after some units with h(x) = x and f(y) = y, of opaque F_i, and what each F_i gave."""
    x, given = X, []
    for index in range(units):
        given.append(sp.Function(f"F{index}")(x))
        x = x + given[-1]
    return x, given


def forward_sum(most: int = 6) -> tuple[Proof, ...]:
    """x_L = x_l + sum of F(x_i), where both the shortcut and what follows the sum are the identity."""
    return tuple(
        Proof(
            f"{units} units add up",
            _unrolled(units)[0] - X - sum(_unrolled(units)[1]),
            _unrolled(units)[0] - X - sum(_unrolled(units)[1][1:]),
            "any functions F_i",
        )
        for units in range(1, most + 1)
    )


def backward_one_plus(most: int = 4) -> tuple[Proof, ...]:
    """dx_L/dx_l = 1 + d/dx_l of the sum of F(x_i), each x_i a function of x_l; also the product of 1 + F_i'."""
    found = []
    for units in range(1, most + 1):
        end, given = _unrolled(units)
        slope = sp.diff(end, X).doit()
        found.append(
            Proof(
                f"the slope through {units} units is 1 plus that of the sum",
                slope - 1 - sp.diff(sum(given), X).doit(),
                slope - sp.diff(sum(given), X).doit(),
                "any differentiable functions F_i",
            )
        )
    return tuple(found)


def zero_residual() -> tuple[Proof, ...]:
    """With F(x) = 0 a unit gives x: with no function after the sum always, with ReLU for x = p^2."""
    p = sp.Symbol("p", real=True)
    return (
        Proof("without a function after the sum", (X + 0) - X, (X + 1) - X, "every x"),
        Proof("with ReLU after the sum", _relu(p**2 + 0) - p**2, _relu(-(p**2) - 1) + p**2 + 1, "every x = p^2 >= 0"),
    )


def added_identity() -> tuple[Proof, ...]:
    """A layer ReLU(I x + 0) gives back what came out of a ReLU."""
    p = sp.Symbol("p", real=True)
    return (Proof("ReLU(1 x + 0) is x", _relu(1 * p**2 + 0) - p**2, _relu(2 * p**2) - p**2, "every x = p^2 >= 0"),)


def joined_kernels() -> tuple[Proof, ...]:
    """Kernels of 1, 3 and 5 with a, b and c outputs of n inputs save n (24 a + 16 b) weights of 5 x 5 throughout."""
    n, a, b, c = sp.symbols("n a b c", positive=True)
    joined = n * (a + 9 * b + 25 * c)
    return (
        Proof(
            "25 n (a + b + c) - n (a + 9 b + 25 c) = n (24 a + 16 b)",
            25 * n * (a + b + c) - joined - n * (24 * a + 16 * b),
            9 * n * (a + b + c) - joined - n * (24 * a + 16 * b),
            "all numbers of channels",
        ),
        Proof(
            "9 n (a + b + c) - n (a + 9 b + 25 c) = 8 n (a - 2 c)",
            9 * n * (a + b + c) - joined - 8 * n * (a - 2 * c),
            25 * n * (a + b + c) - joined - 8 * n * (a - 2 * c),
            "all numbers of channels",
        ),
    )


def reduction() -> tuple[Proof, ...]:
    """r channels between n and m save weights of a k x k kernel exactly where r < k^2 n m / (n + k^2 m)."""
    n, m, r, k = sp.symbols("n m r k", positive=True)
    saved = k**2 * n * m - (n * r + k**2 * r * m)
    limit = k**2 * n * m / (n + k**2 * m)
    return (
        Proof(
            "k^2 n m - (n r + k^2 r m) = (n + k^2 m) (limit - r)",
            saved - (n + k**2 * m) * (limit - r),
            saved - (n + k**2 * m) * (limit + r),
            "all numbers of channels and kernels",
        ),
    )
