"""The activations' judged claims: each goes through, and each is able to fail."""

import pytest

from dlcheck import registry
from dlcheck.activations import claims
from dlcheck.conformance.oracle import Implementation, Observation, Reference
from dlcheck.conformance.targets import adapt
from dlcheck.judgement import Claim, Unsupported

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


class Shifted(Implementation):
    """An implementation whose values and gradients are all too large by one."""

    def __init__(self, right):
        self.right, self.component, self.name = right, right.component, "shifted"

    def observe(self, case):
        return Observation({name: value + 1 for name, value in self.right.observe(case).values.items()})


@pytest.mark.parametrize("claim", ABOUT_CODE, ids=named)
def test_claim_is_not_supported_by_a_wrong_function(claim):
    with pytest.raises(Unsupported):
        assert claim.judge(Shifted(implementation(claim.component, "reference"))).verdict
