"""What the claims about networks rest on: depths and searches that can fail."""

import pytest

from dlcheck.models import claims, networks, residual


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
