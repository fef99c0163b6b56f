"""The optimizers' judged claims: each goes through, and each is able to fail."""

import numpy as np
import pytest

from dlcheck import registry
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.targets import adapt
from dlcheck.judgement import Claim, Unsupported
from dlcheck.optimizers import claims, reference, rules

CLAIMS = [value for value in vars(claims).values() if isinstance(value, Claim)]
ABOUT_CODE = [claim for claim in CLAIMS if claim.component]


def named(claim):
    return claim.id


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
