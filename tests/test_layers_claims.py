"""The convolutions' judged claims: each goes through, and each is able to fail."""

import numpy as np
import pytest

from dlcheck import registry
from dlcheck.conformance.oracle import Implementation, Observation, Reference
from dlcheck.judgement import Claim, Unsupported
from dlcheck.layers import claims, probes

ABOUT_CODE = [value for value in vars(claims).values() if isinstance(value, Claim) and value.component]


class Shifted(Implementation):
    """An implementation whose values and gradients are all too large by one, its outputs by a row and a column."""

    def __init__(self, right):
        self.right, self.component, self.name = right, right.component, "shifted"

    def observe(self, case):
        values = {name: value + 1 for name, value in self.right.observe(case).values.items()}
        if case.run == "forward":
            values = {name: np.pad(value, [(0, 0), (0, 0), (0, 1), (0, 1)]) for name, value in values.items()}
        return Observation(values)


@pytest.mark.parametrize("claim", ABOUT_CODE, ids=lambda claim: claim.id)
def test_claim_is_not_supported_by_a_wrong_convolution(claim):
    with pytest.raises(Unsupported):
        assert claim.judge(Shifted(Reference(registry.components()["conv2d"]))).verdict


@pytest.mark.parametrize("groups", [1, 2])
def test_the_definition_of_the_probes_by_hand(groups):
    """Two weights, one apart, over three pixels in a frame of one: two windows, two apart."""
    x = np.arange(1.0, 4.0 if groups == 1 else 7.0).reshape(1, groups, 1, 3)
    weight = np.array([10.0, 1.0] * groups).reshape(groups, 1, 1, 2)
    layer = probes.Layer(x, weight, stride=(1, 2), padding=(0, 1), groups=groups)
    assert layer.outputs == (1, 2)
    expected = [1.0, 23.0] if groups == 1 else [1.0, 23.0, 4.0, 56.0]
    assert (probes.matrix(layer) @ x.ravel()).tolist() == expected
