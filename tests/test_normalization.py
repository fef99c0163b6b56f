"""Normalisation: known values, differences, torch's own, and mistakes and right code as people write them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.evidence.strategies import uniform
from dlcheck.normalization import reference
from dlcheck.normalization import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
BATCH = np.array([[1.0, -2.0], [3.0, 4.0]])
IMAGES = (4, 3, 2, 2)
STEP = numerics.unit_roundoff("float64") ** 0.2
"""Of the differences, whose error is of its fourth order."""


def within(actual, expected, roundings=64):
    """Whether each number is within some roundings of float64 of the expected one, at the size of the largest."""
    expected = np.asarray(expected, np.float64)
    size = np.full(expected.shape, np.abs(expected).max(initial=1.0))
    return bool(np.all(np.abs(np.asarray(actual) - expected) <= numerics.roundings(size, "float64", roundings)))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=3)


# --- batch normalisation by hand -------------------------------------------------------------------------------------


def test_a_batch_of_two_by_hand():
    output, after = reference.batch_norm(
        BATCH, np.array([2.0, 1.0]), np.array([0.5, 0.0]), reference.initial_statistics(2), eps=3.0
    )
    # means 2 and 1, biased variances 1 and 9, roots of 4 and 12
    assert within(output, [[-0.5, -3 / np.sqrt(12)], [1.5, 3 / np.sqrt(12)]])
    assert within(after.mean, [0.2, 0.1])
    assert within(after.variance, [0.9 + 0.1 * 2, 0.9 + 0.1 * 18])
    assert after.batches == 1


def test_evaluation_goes_by_the_statistics_and_leaves_them():
    given = reference.Statistics(np.array([1.0, 0.0]), np.array([4.0, 1.0]), 3)
    output, after = reference.batch_norm(BATCH, statistics=given, training=False, eps=0.0)
    assert within(output, [[0.0, -2.0], [1.0, 4.0]])
    assert after is given


@pytest.mark.parametrize(("momentum", "mean"), [(0.0, 0.0), (1.0, 2.0), (None, 2.0), (0.25, 0.5)])
def test_momentum_is_the_weight_of_the_new_batch(momentum, mean):
    found = reference.moved_statistics(reference.initial_statistics(2), BATCH, momentum=momentum)
    assert found.mean[0] == mean


def test_every_batch_weighs_the_same_without_momentum():
    batches = [uniform((5, 2), seed) for seed in range(4)]
    found = reference.averaged_statistics(batches)
    assert within(found.mean, np.mean([b.mean(0) for b in batches], axis=0))
    assert within(found.variance, np.mean([b.var(0, ddof=1) for b in batches], axis=0))


def test_population_statistics_are_those_of_all_data_at_once():
    data = uniform((24, 3, 2), 5) + 100
    parts = np.split(data, [5, 6, 17])
    found = reference.population_statistics(parts)
    assert within(found.mean, data.mean((0, 2)))
    assert within(found.variance, data.var((0, 2), ddof=1), 2**14)
    layer = ours.BatchNorm(3).double()
    ours.set_population_statistics(layer, map(torch.tensor, parts))
    assert within(layer.running_var, data.var((0, 2), ddof=1), 2**14)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("which", ["x", "weight", "bias"])
def test_gradients_are_limits_of_differences(which, training):
    inputs = {"x": uniform(IMAGES, 1), "weight": uniform((3,), 2), "bias": uniform((3,), 3)}
    held = reference.Statistics(uniform((3,), 4), np.array([0.5, 1.5, 2.5]))
    upstream = uniform(IMAGES, 5)

    def loss(value):
        output, _ = reference.batch_norm(**{**inputs, which: value}, statistics=held, training=training, eps=0.1)
        return float((output * upstream).sum())

    found = reference.batch_norm_backward(upstream, **inputs, statistics=held, training=training, eps=0.1)[which]
    assert np.all(np.abs(found - numerics.gradient_by_differences(loss, inputs[which])) < STEP**3)


@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Conv2d(2, 3, 2, bias=False)])
def test_folding_gives_one_layer_that_does_the_work_of_both(layer):
    layer, norm = layer.double(), ours.BatchNorm(3).double()
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    shape = (5, 4) if isinstance(layer, nn.Linear) else (5, 2, 4, 4)
    x = torch.tensor(uniform(shape, 7))
    function = F.linear if isinstance(layer, nn.Linear) else F.conv2d
    expected = norm.eval()(layer(x)).detach()
    assert within(function(x, *ours.folded(layer, norm)).detach(), expected)
    given = [None if t is None else t.detach().numpy() for t in (layer.weight, layer.bias, norm.weight, norm.bias)]
    found = reference.folded(*given, reference.Statistics(norm.running_mean.numpy(), norm.running_var.numpy()))
    assert within(function(x, *map(torch.tensor, found)), expected)


def test_frozen_statistics_stay_however_often_they_are_frozen():
    layer = ours.BatchNorm(2)
    layer.freeze()
    layer.freeze()
    layer(torch.tensor(BATCH, dtype=torch.float32))
    assert layer.running_mean.tolist() == [0, 0]
    layer.unfreeze()
    layer(torch.tensor(BATCH, dtype=torch.float32))
    assert layer.running_mean.tolist() == pytest.approx([0.2, 0.1])
    assert layer.num_batches_tracked == 1


def test_a_state_is_torchs_own():
    layer, native = ours.BatchNorm(3, momentum=None), nn.BatchNorm2d(3, momentum=None)
    layer(torch.randn(IMAGES, generator=torch.Generator().manual_seed(2)))
    native.load_state_dict(layer.state_dict())
    again = torch.randn(IMAGES, generator=torch.Generator().manual_seed(3))
    assert torch.equal(layer(again), native(again))
    assert torch.equal(layer.running_var, native.running_var)


@pytest.mark.parametrize(
    ("x", "settings", "says"),
    [
        (np.ones(3), {}, "at least 2 axes"),
        (np.ones((1, 3)), {}, "more than 1 value per channel in training"),
        (np.ones((1, 3, 1, 1)), {}, "more than 1 value per channel in training"),
        (np.ones((2, 3)), {"momentum": 1.5}, "momentum was 1.5, expected a number from 0 to 1 or None"),
        (np.ones((2, 3)), {"momentum": -0.1}, "momentum was -0.1, expected a number from 0 to 1 or None"),
        (np.ones((2, 3)), {"eps": -1.0}, "eps was -1.0, expected a number of at least 0"),
    ],
)
def test_bad_arguments_are_refused_in_the_same_words(x, settings, says):
    with pytest.raises(ValueError, match=says):
        reference.batch_norm(x, statistics=reference.initial_statistics(3), **settings)
    with pytest.raises(ValueError, match=says):
        ours.BatchNorm(3, **settings)(torch.tensor(x))


def test_numbers_per_channel_must_fit():
    with pytest.raises(ValueError, match=r"weight has shape \(2,\), expected \(3,\)"):
        reference.batch_norm(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match="x has 2 channels, expected 3"):
        ours.BatchNorm(3)(torch.ones(4, 2))
    with pytest.raises(ValueError, match="batches was empty"):
        reference.population_statistics([])
    with pytest.raises(ValueError, match="batches was empty"):
        reference.averaged_statistics([])
    with pytest.raises(ValueError, match="tracks no running statistics"):
        ours.folded(nn.Linear(2, 2), ours.BatchNorm(2, track_running_stats=False))
    with pytest.raises(TypeError, match="x must hold floating-point numbers"):
        ours.BatchNorm(3)(torch.ones(4, 3, dtype=torch.int64))


def test_no_example_gives_no_output_and_moves_nothing():
    start = reference.initial_statistics(3)
    output, after = reference.batch_norm(np.zeros((0, 3)), statistics=start)
    assert output.shape == (0, 3)
    assert after is start
    layer = ours.BatchNorm(3)
    assert layer(torch.zeros(0, 3)).shape == (0, 3)
    assert layer.running_var.tolist() == [1, 1, 1]


# --- local response normalisation ------------------------------------------------------------------------------------


def test_a_pixel_by_hand():
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    output = reference.local_response_norm(x, size=2, alpha=2.0, beta=1.0, k=1.0)
    # a window of two holds the channel itself and the one below
    assert within(output.ravel(), [1 / (1 + 1), 2 / (1 + 5), 3 / (1 + 13)])
    above = reference.local_response_norm(x, size=2, alpha=2.0, beta=1.0, k=1.0, even_window="above")
    assert within(above.ravel(), [1 / (1 + 5), 2 / (1 + 13), 3 / (1 + 9)])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 31])
def test_it_agrees_with_torch(size):
    x = uniform((2, 6, 3, 2), 1)
    settings = {"alpha": 0.5, "beta": 0.7, "k": 1.5}
    expected = F.local_response_norm(torch.tensor(x), size, **settings)
    assert within(reference.local_response_norm(x, size, **settings), expected)
    assert within(ours.local_response_norm(torch.tensor(x), size, **settings), expected)


@pytest.mark.parametrize("even_window", ["below", "above"])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_gradient_is_the_limit_of_differences(size, even_window):
    x, upstream = uniform((2, 5, 1, 2), 2), uniform((2, 5, 1, 2), 3)
    settings = {"size": size, "alpha": 1.5, "beta": 0.75, "k": 2.0, "even_window": even_window}

    def loss(x):
        return float((reference.local_response_norm(x, **settings) * upstream).sum())

    found = reference.local_response_norm_backward(upstream, x, **settings)["x"]
    assert np.all(np.abs(found - numerics.gradient_by_differences(loss, x)) < STEP**3)


def test_the_kernel_is_differentiable_twice():
    x = torch.tensor(uniform((2, 4, 2), 4)).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: ours.local_response_norm(x, 3, 1.0, 0.75, 2.0), x)


@pytest.mark.parametrize(
    ("shape", "size", "says"), [((2, 3), 5, "at least 3 axes"), ((2, 3, 4), 0, "size was 0, expected a whole number")]
)
def test_lrn_refuses_bad_arguments_in_the_same_words(shape, size, says):
    with pytest.raises(ValueError, match=says):
        reference.local_response_norm(np.ones(shape), size)
    with pytest.raises(ValueError, match=says):
        ours.local_response_norm(torch.ones(shape), size)


# --- as other people write them --------------------------------------------------------------------------------------


class OldWeight(nn.Module):
    """In Keras' manner: momentum weighs the old value, the variance is biased, one value is no error."""

    def __init__(self, num_features, eps=1e-3, momentum=0.99):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        axes, wide = [0, *range(2, x.ndim)], [-1] + [1] * (x.ndim - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(axes), x.var(axes, correction=0)
            with torch.no_grad():
                self.running_mean.mul_(self.momentum).add_((1 - self.momentum) * mean)
                self.running_var.mul_(self.momentum).add_((1 - self.momentum) * var)
        scale = self.weight / (var + self.eps).sqrt()
        return x * scale.view(wide) + (self.bias - mean * scale).view(wide)


def test_another_convention_conforms_and_is_named():
    found = report("batch_norm", OldWeight)
    assert found.conforms, str(found)
    assert found.conventions == {
        "momentum": "old_0.99", "running_variance": "biased", "default_eps": "1e-3", "one_value": "bias",
    }  # fmt: skip


class Detached(nn.BatchNorm1d):
    """Statistics that autograd does not see."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            super().forward(x)
            axes = [0, *range(2, x.ndim)]
            mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        shape = [-1] + [1] * (x.ndim - 2)
        return (x - mean) / (var + self.eps).sqrt() * self.weight.view(shape) + self.bias.view(shape)


def never_evaluates(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    return nn.functional.batch_norm(x, running_mean, running_var, weight, bias, True, momentum, eps)


class FrozenTwice(nn.BatchNorm2d):
    """The helper that backs up the zero that it wrote itself."""

    def freeze(self):
        self.backup, self.momentum = self.momentum, 0.0

    def unfreeze(self):
        self.momentum = self.backup


class Inverted(OldWeight):
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__(num_features, eps, momentum)


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        (Detached, "bn-backward-statistics-detached"),
        (FrozenTwice, "bn-freeze-backup-overwritten"),
        (never_evaluates, "bn-training-always"),
        (Inverted, "bn-momentum-meaning-inverted"),
    ],
)
def test_mistakes_are_named(code, flag):
    found = report("batch_norm", code)
    assert not found.conforms
    assert found.findings[0].flag == flag


class Attached(OldWeight):
    """A running mean that autograd follows back to every batch."""

    def forward(self, x):
        y = super().forward(x)
        if self.training:
            self.running_mean = self.running_mean + 0 * x.mean()
        return y


def test_running_statistics_that_keep_the_graph_are_a_mistake():
    found = report("batch_norm", Attached)
    assert not found.conforms
    assert "they keep the graph of every batch" in str(found)


def test_the_operator_of_torch_which_scales_before_it_takes_off_the_mean_conforms():
    def layer(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        return torch.batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, False)

    found = report("batch_norm", layer)
    assert found.conforms, str(found)
    assert found.conventions["one_value"] == "bias"


class NumpyLayer:
    """Plain NumPy with forward, backward, train and eval; no options."""

    def __init__(self, num_features):
        self.weight, self.bias = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)
        self.training = True

    def train(self):
        self.training = True

    def eval(self):
        self.training = False

    def forward(self, x):
        self.axes, wide = (0, *range(2, x.ndim)), (-1,) + (1,) * (x.ndim - 2)
        self.m = x.size // x.shape[1]
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(self.axes), x.var(self.axes)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean
            self.running_var = 0.9 * self.running_var + 0.1 * var * self.m / max(self.m - 1, 1)
        self.std = np.sqrt(var + 1e-5).reshape(wide)
        self.hat, self.wide = (x - mean.reshape(wide)) / self.std, wide
        return self.hat * self.weight.reshape(wide) + self.bias.reshape(wide)

    def backward(self, grad):
        self.grads = {"weight": (grad * self.hat).sum(self.axes), "bias": grad.sum(self.axes)}
        through = grad * self.weight.reshape(self.wide)
        if self.training:
            shared = self.hat * (through * self.hat).sum(self.axes, keepdims=True)
            through = through - (through.sum(self.axes, keepdims=True) + shared) / self.m
        return through / self.std


def test_a_numpy_layer_without_options_conforms():
    found = report("batch_norm", NumpyLayer)
    assert found.conforms, str(found)
    assert sum(check.status == "pass" for check in found.checks) >= 5


def test_alexnets_own_convention_conforms():
    def layer(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
        padded = F.pad(x * x, [0, 0] * (x.ndim - 2) + [size // 2, (size - 1) // 2])
        return x / (k + alpha * sum(padded[:, i : i + x.shape[1]] for i in range(size))) ** beta

    found = report("local_response_norm", layer)
    assert found.conforms, str(found)
    assert (found.conventions["alpha_scale"], found.conventions["defaults"]) == ("whole", "alexnet")


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", ["batch_norm", "local_response_norm"])
def test_ours_conforms(name, device):
    found = report(name, registry.implementation(name, "torch"), device)
    assert found.conforms, str(found)
