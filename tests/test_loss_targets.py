"""What somebody's losses may lack: the target's gradient, images, distributions, an optional array."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt


def report(component, code):
    known = registry.components()[component]
    return judge(known, adapt(known, code), examples=5)


class Squared(torch.autograd.Function):
    """Squared error that declines the target's gradient, as functions of one's own may."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return ((x - y) ** 2).mean()

    @staticmethod
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return grad * 2 * (x - y) / x.numel(), None


def squared_of_detached(input, target):
    return ((input - target.detach()) ** 2).mean()


def test_a_function_may_decline_the_gradient_of_the_target_but_not_detach_it():
    assert report("mse_loss", lambda input, target: Squared.apply(input, target)).conforms
    found = report("mse_loss", squared_of_detached)
    assert not found.conforms
    assert found.findings[0].flag == "mse-loss-target-detached"


def rows_only(input, target):
    return -torch.log_softmax(input, 1)[torch.arange(len(target)), target].mean()


def rows_of_arrays(x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    return -(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("code", [rows_only, rows_of_arrays])
def test_cross_entropy_of_rows_alone_lacks_images_and_distributions(code):
    found = report("cross_entropy", code)
    lacking = {outcome.id.rpartition(".")[2] for outcome in found.checks if outcome.status == "not_provided"}
    assert found.conforms
    assert {"images", "probabilities"} <= lacking


def positives_third(logits, labels, pos_weight=1.0):
    loss = F.softplus(-logits)
    return ((1 - labels) * (logits + loss) + pos_weight * labels * loss).mean()


def test_an_optional_array_is_told_by_its_name_wherever_it_stands():
    assert report("binary_cross_entropy_with_logits", positives_third).conforms
