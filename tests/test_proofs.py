"""Every family's proofs: each goes through, rejects what is perturbed, and is short."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import get_type_hints

import pytest

from dlcheck import registry
from dlcheck.evidence import symbolic
from dlcheck.evidence.symbolic import Proof

CALLS = 10_000_000  # about a second; the time itself swings with the machine and with what else memory holds


def lemmas() -> Iterator[object]:
    for family in registry.FAMILIES:
        if importlib.util.find_spec(name := f"dlcheck.{family}.proofs"):
            for function in vars(importlib.import_module(name)).values():
                proves = isinstance(function, FunctionType) and get_type_hints(function)["return"] == tuple[Proof, ...]
                if proves and not function.__name__.startswith("_"):
                    yield pytest.param(function, id=f"{family}-{function.__name__}")


@pytest.mark.parametrize("lemmas", list(lemmas()))
def test_proof_goes_through_and_rejects_what_is_perturbed(lemmas: Callable[[], tuple[Proof, ...]]) -> None:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for proof in lemmas():
            assert symbolic.is_zero(proof.residual), proof.says
            assert not symbolic.is_zero(proof.perturbed), proof.says
    finally:
        sys.setprofile(before)
    assert calls <= CALLS
