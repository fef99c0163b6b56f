"""Exact proofs about restricted Boltzmann machines.

With z_j = c_j + W_j v, the exponential e_j = exp(z_j) is the variable: all probabilities are rational in them.
"""

import itertools
import math

import sympy as sp

from dlcheck.evidence.symbolic import Proof

SIZES = range(1, 5)
"""Numbers of hidden units for which a proof is carried out one by one, and of visible units."""


def energy_is_affine() -> tuple[Proof, ...]:
    """-E(v, h) = b v + sum_j h_j z_j with z_j = c_j + W_j v: given v, each hidden unit has a term of its own."""
    right, wrong = [], []
    for n, m in itertools.product(SIZES, SIZES):
        v, b = sp.symbols(f"v:{n}"), sp.symbols(f"b:{n}")
        h, c, w = sp.symbols(f"h:{m}"), sp.symbols(f"c:{m}"), sp.symbols(f"w:{m}:{n}")
        bias = sum(x * y for x, y in zip(b, v, strict=True))
        negative = bias + sum(x * y for x, y in zip(c, h, strict=True))
        negative += sum(h[j] * w[j * n + i] * v[i] for j in range(m) for i in range(n))
        z = [c[j] + sum(w[j * n + i] * v[i] for i in range(n)) for j in range(m)]
        claimed = bias + sum(x * y for x, y in zip(h, z, strict=True))
        right.append(negative - claimed)
        wrong.append(negative - claimed - h[0] * h[-1] * v[0])
    about = f"{SIZES[0]} to {SIZES[-1]} visible and hidden units"
    return (Proof("-E(v, h) = b v + sum h_j (c_j + W_j v)", right, wrong, about),)


def hidden_units_are_independent() -> tuple[Proof, ...]:
    """P(h | v) is the product of P(h_j | v), and P(h_j = 1 | v) = e_j / (1 + e_j), the sigmoid of z_j."""
    marginals, joints, coupled = [], [], []
    for n in SIZES:
        e = sp.symbols(f"e:{n}", positive=True)
        states = list(itertools.product((0, 1), repeat=n))
        total = sum(_weight(e, h) for h in states)
        for j in range(n):
            marginals.append(sum(_weight(e, h) for h in states if h[j]) / total - e[j] / (1 + e[j]))
        for h in states:
            product = math.prod((x if on else 1) / (1 + x) for x, on in zip(e, h, strict=True))
            joints.append(_weight(e, h) / total - product)
            # a term between two hidden units, as in a Boltzmann machine that is not restricted
            coupled.append(_weight(e, h) * (2 if h[0] and h[-1] else 1) / total - product)
    about = f"{SIZES[0]} to {SIZES[-1]} hidden units, any number of visible ones"
    return (
        Proof("P(h_j = 1 | v) = sigmoid(c_j + W_j v)", marginals, [2 * entry + 1 for entry in marginals], about),
        Proof("P(h | v) = prod_j P(h_j | v)", joints, coupled, about),
    )


def _weight(e: tuple[sp.Symbol, ...], h: tuple[int, ...]) -> sp.Expr:
    return sp.Mul(*(x for x, on in zip(e, h, strict=True) if on))
