"""What other tools rely on: every name that the contract promises is a component, and torch's own passes as one.

In a process of its own, as a user's code is; the suite judges the same counterparts more thoroughly in this one.
"""

import pytest

import dlcheck
from dlcheck import registry
from dlcheck.component import Counterpart
from dlcheck.conformance import targets

PROMISED = """
    sigmoid tanh relu leaky_relu prelu softmax log_softmax maxout
    linear conv2d max_pool2d avg_pool2d lp_pool2d global_avg_pool2d
    rnn lstm gru pyramidal_rnn stack_rnn
    batch_norm local_response_norm dropout
    constant_ normal_ uniform_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ orthogonal_ trunc_normal_
    mse_loss l1_loss huber_loss binary_cross_entropy_with_logits cross_entropy nll_loss kl_div hinge_loss
    sgd adagrad rmsprop adadelta adam adamw
    step_lr multistep_lr exponential_lr cosine_annealing_lr linear_warmup_lr reduce_on_plateau
    clip_grad_norm clip_grad_value early_stopping
    horizontal_flip random_crop translate rotate color_jitter pca_lighting gaussian_noise resize_shorter_side
    lenet5 alexnet vgg11 vgg13 vgg16 vgg19 nin googlenet inception_v2 inception_v3 inception_v4
    resnet18 resnet34 resnet50 resnet101 resnet152
""".split()
FIRST = {counterpart.component: counterpart for counterpart in reversed(registry.counterparts())}


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_name_is_a_component(name: str) -> None:
    assert name in registry.components()


@pytest.mark.parametrize("counterpart", FIRST.values(), ids=lambda counterpart: counterpart.name)
def test_torchs_own_is_accepted_and_conforms(counterpart: Counterpart) -> None:
    code = targets.load(counterpart.target)
    report = dlcheck.check(code, counterpart.component, settings=counterpart.settings, examples=0)
    failing = {finding.check for finding in report.findings if finding.severity == "error"}
    assert failing <= set(counterpart.known), str(report)
