"""Exact proofs about the chain rule.

The first derivative of a composition depends on no more of its parts than their values and first derivatives, so that
polynomials of second degree with free coefficients stand for all differentiable functions.
"""

from collections.abc import Sequence
from typing import Any

import sympy as sp

from dlcheck.evidence.symbolic import Proof

SIZES = ((1, 1, 1), (2, 2, 2), (3, 2, 1), (1, 2, 3))
"""Lengths of the input, of what lies between, and of the output."""

_A, _B, _X = sp.symbols("a b x")


def _quadratic(name: str, x: Sequence[Any], outputs: int) -> sp.Matrix:
    """Every polynomial of second degree in x, with a coefficient of its own for each term."""
    terms = [sp.Integer(1), *x, *(u * v for place, u in enumerate(x) for v in x[place:])]
    rows = (sp.symbols(f"{name}{row}_:{len(terms)}") for row in range(outputs))
    return sp.Matrix([sum(c * t for c, t in zip(row, terms, strict=True)) for row in rows])


def jacobian_product() -> tuple[Proof, ...]:
    """The Jacobian of g after f is that of g, at f(x), times that of f."""
    right, reversed_order, at_input = [], [], []
    for lengths in SIZES:
        x, u = sp.symbols(f"x:{lengths[0]}"), sp.symbols(f"u:{lengths[1]}")
        f, g = _quadratic("f", x, lengths[1]), _quadratic("g", u, lengths[2])
        at_f = {symbol: f[place] for place, symbol in enumerate(u)}
        whole = g.subs(at_f, simultaneous=True).jacobian(x)
        outer, inner = g.jacobian(u), f.jacobian(x)
        right += list(whole - outer.subs(at_f, simultaneous=True) * inner)
        if lengths == (2, 2, 2):
            reversed_order = list(whole - inner * outer.subs(at_f, simultaneous=True))
            at_input = list(whole - outer.subs(dict(zip(u, x, strict=True)), simultaneous=True) * inner)
    about = f"lengths {', '.join(map(str, SIZES))}; free coefficients"
    return (
        Proof("J of g after f is J_g(f(x)) J_f(x), not J_f J_g", right, reversed_order, about),
        Proof("J_g is taken at f(x), not at x", right, at_input, about),
    )


def sum_product() -> tuple[Proof, ...]:
    """de/db of e = (a + b)(b + 1) by its two paths."""
    c, d = sp.symbols("c d")
    inner = {c: _A + _B, d: _B + 1}
    by_paths = [sp.diff(c * d, node).subs(inner) * sp.diff(value, _B) for node, value in inner.items()]
    whole = sp.diff((_A + _B) * (_B + 1), _B)
    claimed = 1 * (_B + 1) + 1 * (_A + _B)
    return (
        Proof("the sum over both paths is 1 (b + 1) + 1 (a + b)", sum(by_paths) - claimed, by_paths[0] - claimed),
        Proof("that is de/db", whole - claimed, whole - (_B + 1)),
    )


def shared_variable() -> tuple[Proof, ...]:
    """dy/dx of y = x exp(x^2) by the partial derivatives of x1 exp(x2 x3); E stands for exp(x^2), the common factor."""
    x1, x2, x3 = sp.symbols("x1 x2 x3")
    apart = x1 * sp.exp(x2 * x3)
    partial = [sp.diff(apart, one).subs({x1: _X, x2: _X, x3: _X}) for one in (x1, x2, x3)]
    common = sp.exp(_X**2)
    claimed = common + 2 * _X * _X * common
    return (
        Proof(
            "the three partial derivatives add up to exp(x^2) + 2 x x exp(x^2)",
            sp.expand(sum(partial) / common - claimed / common),
            sp.expand((partial[0] + partial[1]) / common - claimed / common),
        ),
        Proof(
            "that is dy/dx",
            sp.expand(sp.diff(_X * common, _X) / common - claimed / common),
            sp.expand(sp.diff(_X * common, _X) / common - 1),
        ),
    )
