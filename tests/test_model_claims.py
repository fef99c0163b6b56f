"""What the claims about networks rest on: proofs that reject perturbed statements, depths, searches that can fail."""

import inspect

import pytest

from dlcheck.evidence import symbolic
from dlcheck.models import claims, networks, proofs, residual

PROOFS = [
    function
    for name, function in inspect.getmembers(proofs, inspect.isfunction)
    if function.__module__ == proofs.__name__ and not name.startswith("_")
]


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_each_proof_goes_through_and_rejects_what_is_perturbed(proof):
    for lemma in proof():
        assert symbolic.is_zero(lemma.residual), lemma.says
        assert not symbolic.is_zero(lemma.perturbed), lemma.says


@pytest.mark.parametrize(
    ("network", "depth"),
    [(networks.lenet5(), 5), (networks.alexnet(), 8), (residual.resnet50(), 50), (residual.cifar_resnet(20), 20)],
    ids=["lenet5", "alexnet", "resnet50", "cifar20"],
)
def test_depth_counts_the_longest_way(network, depth):
    assert claims._depth(network) == depth


def test_gradients_come_near_their_bounds():
    share, cases = claims._worst_share(50)
    assert 0.5 < share <= 1
    assert cases >= 50
