"""Zero is decided exactly, and a proof that would accept a perturbed statement is none."""

import sympy as sp

from dlcheck.evidence import symbolic

x, y = sp.symbols("x y", positive=True)


def test_rational_identities_are_decided():
    assert symbolic.is_zero((x + y) ** 2 - x**2 - 2 * x * y - y**2)
    assert symbolic.is_zero(1 / x + 1 / y - (x + y) / (x * y))
    assert not symbolic.is_zero(1 / x + 1 / y - 2 / (x + y))
    assert symbolic.is_zero(sp.zeros(2, 2))


def test_a_proof_must_reject_its_perturbation():
    right = symbolic.Proof("a square", (x + 1) ** 2 - x**2 - 2 * x - 1, (x + 1) ** 2 - x**2 - 2 * x)
    blind = symbolic.Proof("nothing", x - x, y - y)
    assert symbolic.proved(right)
    assert not symbolic.proved(blind)
    assert not symbolic.proved(right, blind)
