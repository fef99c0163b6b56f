"""What the proofs share on sympy: exact decisions that an expression is zero, and the rejection of perturbed ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from dlcheck.judgement import Evidence

Residual = sp.Basic | sp.MatrixBase | Iterable[sp.Basic]


@dataclass(frozen=True, slots=True)
class Proof:
    """An identity as a residual that must vanish identically, and a perturbed residual that must not.

    ``about`` says in words for which sizes or symbols the identity was decided.
    """

    says: str
    residual: Residual
    perturbed: Residual
    about: str = ""


def is_zero(residual: Residual) -> bool:
    """Decide exactly whether every entry is identically zero, by expansion and by bringing to one fraction.

    Entries must be rational in their generators (exponentials, logarithms and roots count as generators), which is
    what makes the decision exact: choose the variables so.
    """
    if isinstance(residual, sp.MatrixBase):
        residual = residual.flat()
    entries = residual if isinstance(residual, Iterable) else [residual]
    return all(_is_zero(sp.sympify(entry)) for entry in entries)


def _is_zero(entry: Any) -> bool:
    if entry == 0 or sp.expand(entry) == 0:
        return True
    numerator, _ = sp.fraction(sp.together(entry))
    return sp.expand(numerator) == 0 or sp.cancel(entry) == 0


def proved(*proofs: Proof) -> bool:
    """Whether every proof goes through and every perturbed statement is rejected."""
    return all(is_zero(proof.residual) and not is_zero(proof.perturbed) for proof in proofs)


def evidence(*proofs: Proof, tied: str = "") -> Evidence:
    """Evidence of kind proof for a judgement; ``tied`` says how the formula was tied to the code."""
    size = {proof.says: proof.about or "all symbols" for proof in proofs}
    how = "exact decision by sympy that the residual is zero; a perturbed statement is rejected for each"
    return Evidence("proof", f"{how}; {tied}" if tied else how, size)
