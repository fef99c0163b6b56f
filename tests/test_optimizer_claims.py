"""The optimizers' proofs and judged claims: each goes through, and each is able to fail."""

import inspect
import time

import numpy as np
import pytest

from dlcheck import registry
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import symbolic
from dlcheck.judgement import Claim, Unsupported
from dlcheck.optimizers import claims, proofs, reference, rules

PROOFS = [
    function
    for name, function in inspect.getmembers(proofs, inspect.isfunction)
    if function.__module__ == proofs.__name__ and not name.startswith("_")
]
CLAIMS = [value for value in vars(claims).values() if isinstance(value, Claim)]
ABOUT_CODE = [claim for claim in CLAIMS if claim.component]


def named(claim):
    return claim.id


@pytest.mark.parametrize("lemmas", PROOFS)
def test_proof_goes_through_and_rejects_what_is_perturbed(lemmas):
    started = time.process_time()
    for proof in lemmas():
        assert symbolic.is_zero(proof.residual), proof.says
        assert not symbolic.is_zero(proof.perturbed), proof.says
    assert time.process_time() - started < 1


def implementation(component, name):
    found = registry.components()[component]
    return Reference(found) if name == "reference" else adapt(found, registry.implementation(component, name))


@pytest.mark.parametrize("name", registry.IMPLEMENTATIONS)
@pytest.mark.parametrize("claim", ABOUT_CODE, ids=named)
def test_evidence_supports_the_declared_verdict(claim, name):
    assert claim.judge(implementation(claim.component, name)).verdict == claim.verdict


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if not claim.component], ids=named)
def test_proof_supports_the_declared_verdict(claim):
    assert claim.judge().verdict == claim.verdict


class Accelerating:
    """No optimizer of the notes: step t is t lr g, whatever else is set."""

    def trajectory(self, params, steps, lr=0.1, **settings):
        moves = [-t * lr * step["grads"][0] for t, step in enumerate(steps, start=1)]
        return {"param0": params[0] + np.cumsum(moves, axis=0)}


@pytest.mark.parametrize("claim", ABOUT_CODE, ids=named)
def test_claim_is_not_supported_by_another_optimizer(claim):
    with pytest.raises(Unsupported):
        assert claim.judge(Accelerating()).verdict


def test_reference_looks_ahead_as_the_notes_do():
    param, state, settings = np.array([1.0, -0.5]), None, {"lr": 0.1, "momentum": 0.75}
    expected = rules.lookahead(param, np.sin, 10, **settings)
    ahead = []
    for _ in expected:
        param, state = reference.nesterov_lookahead(param, np.sin, state, **settings)
        ahead.append(param + settings["momentum"] * state["velocity"])
    np.testing.assert_array_equal(ahead, expected)
