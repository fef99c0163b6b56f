"""The losses: by hand, against torch's own, differences, and mistakes as people write them."""

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.losses import reference
from dlcheck.losses import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(scale=2.0, size=(2, 3, 4, 2))
SHARE = 1 / (1 + np.exp(-Y))
SOFT = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
LABELS = np.array([[0, 3], [1, -100], [2, 1]])
WEIGHT = np.array([0.5, 2.0, 3.0, 1.25])


def within(actual, expected, roundings=64):
    """Whether each number is within some roundings of float64 of the expected one."""
    allowed = numerics.roundings(np.fmax(np.abs(expected), 1.0), "float64", roundings)
    return bool(np.all(np.abs(np.asarray(actual) - expected) <= allowed))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=5)


# --- the reference ---------------------------------------------------------------------------------------------------

BY_HAND = [
    ("mse_loss", ([3.0, 4.0, 0.0], [0.0, 0.0, 0.0]), {}, 25 / 3),
    ("mse_loss", ([3.0, 4.0], [0.0, 0.0]), {"factor": 0.5, "mean_over": "batch"}, 6.25),
    ("l1_loss", ([3.0, -4.0], [1.0, 1.0]), {"reduction": "sum"}, 7.0),
    ("huber_loss", ([3.0], [0.0]), {"delta": 2.0}, 4.0),
    ("huber_loss", ([3.0], [0.0]), {"delta": 2.0, "scaling": "slope_one"}, 2.0),
    ("huber_loss", ([3.0], [0.0]), {"delta": 2.0, "scaling": "sigma"}, 3 - 0.125),
    ("huber_loss", ([3.0], [0.0]), {"delta": 2.0, "scaling": "doubled"}, 8.0),
    ("binary_cross_entropy_with_logits", ([0.0], [1.0]), {}, np.log(2)),
    ("binary_cross_entropy_with_logits", ([-1e4, 1e4], [1.0, 1.0]), {}, 5e3),
    ("cross_entropy", ([[0.0, 0.0, 0.0, 0.0]], [2]), {}, np.log(4)),
    ("cross_entropy", ([[1e4, -1e4]], [1]), {}, 2e4),
    ("nll_loss", ([[-1.0, -2.0], [-3.0, -4.0]], [0, 1]), {"weight": np.array([1.0, 3.0])}, (1 + 12) / 4),
    ("kl_div", ([[np.log(0.5), np.log(0.5)]], [[1.0, 0.0]]), {"reduction": "batchmean"}, np.log(2)),
    ("hinge_loss", ([[1.0, 0.5, 3.0]], [0]), {}, (0.5 + 3.0) / 3),
    ("hinge_loss", ([[1.0, 0.5, 3.0]], [0]), {"formula": "summed"}, 3.5),
    ("hinge_loss", ([[1.0, 0.5, 3.0]], [0]), {"formula": "maximal"}, 3.0),
    ("hinge_loss", ([[1.0, -0.5, -3.0]], [0]), {"formula": "maximal"}, 0.0),
    ("hinge_loss", ([[0.5, -2.0, -3.0]], [0]), {"formula": "maximal_with_zero"}, 0.5),
    ("hinge_loss", ([[0.5, 0.25, -3.0]], [0]), {"formula": "one_against_all"}, 0.5 + 1.25),
    ("hinge_loss", ([[0.5, 0.25, -3.0]], [0]), {"formula": "one_against_all_averaged"}, (0.5 + 1.25) / 3),
]


@pytest.mark.parametrize(("name", "inputs", "settings", "expected"), BY_HAND)
def test_values_by_hand(name, inputs, settings, expected):
    assert within(getattr(reference, name)(*map(np.array, inputs), **settings), expected)


def cases():
    """Every loss with what it takes, in each reduction."""
    for reduction in ("none", "sum", "mean"):
        for name in ("mse_loss", "l1_loss", "huber_loss"):
            yield name, {"input": X, "target": Y}, {"reduction": reduction}
        yield "huber_loss", {"input": X, "target": Y}, {"reduction": reduction, "delta": 0.5}
        weights = {"weight": np.abs(Y[0]) + 0.5, "pos_weight": np.array([0.5, 3.0])}
        for more in ({}, weights):
            inputs = {"input": X, "target": SHARE, **more}
            yield "binary_cross_entropy_with_logits", inputs, {"reduction": reduction}
        for more in ({}, {"weight": WEIGHT}):
            yield "nll_loss", {"input": X, "target": LABELS, **more}, {"reduction": reduction}
            for smoothing in (0.0, 0.25):
                for target in (LABELS, SOFT):
                    settings = {"reduction": reduction, "label_smoothing": smoothing}
                    yield "cross_entropy", {"input": X, "target": target, **more}, settings
        ignoring = {"reduction": reduction, "ignore_index": 1}
        yield "cross_entropy", {"input": X, "target": np.maximum(LABELS, 0)}, ignoring
        yield "kl_div", {"input": X, "target": Y}, {"reduction": reduction, "log_target": True}
        yield "hinge_loss", {"scores": X[..., 0], "target": LABELS[:, 0]}, {"reduction": reduction, "margin": 0.5}
    for reduction in ("none", "sum", "batchmean"):
        yield "kl_div", {"input": X, "target": np.where(SOFT > 0.5, SOFT, 0.0)}, {"reduction": reduction}


CASES = [pytest.param(*case, id=f"{index}-{case[0]}") for index, case in enumerate(cases())]


@pytest.mark.parametrize(("name", "inputs", "settings"), CASES)
def test_reference_has_the_values_and_gradients_of_torch(name, inputs, settings):
    native = F.multi_margin_loss if name == "hinge_loss" else getattr(F, name)
    first, *others = (torch.tensor(value) for value in inputs.values())
    named = dict(zip(list(inputs)[2:], others[1:], strict=True))
    wanted = ("input", "target") if name in ("mse_loss", "l1_loss", "huber_loss") else tuple(inputs)[:1]
    leaves = [tensor.requires_grad_() for tensor, _ in zip((first, *others), wanted, strict=False)]
    output = native(first, others[0], **named, **settings)
    expected = getattr(reference, name)(**inputs, **settings)
    assert within(output.detach().numpy(), expected)
    grad = RNG.normal(size=expected.shape)
    output.backward(torch.tensor(grad))
    gradients = getattr(reference, f"{name}_backward")(grad, **inputs, **settings)
    assert tuple(gradients) == wanted
    assert all(within(leaf.grad.numpy(), gradients[key]) for leaf, key in zip(leaves, wanted, strict=True))


@pytest.mark.parametrize("formula", get_args(reference.Formula))
def test_margin_gradients_are_limits_of_differences(formula):
    scores, target = np.array([[0.3, -1.2, 0.9], [-0.4, -1.3, -2.2]]), np.array([0, 1])
    found = numerics.gradient_by_differences(
        lambda s: float(reference.hinge_loss(s, target, reduction="sum", formula=formula)), scores
    )
    (gradient,) = reference.hinge_loss_backward(np.ones(()), scores, target, reduction="sum", formula=formula).values()
    assert np.all(np.abs(found - gradient) < numerics.unit_roundoff("float64") ** 0.5)


@pytest.mark.parametrize("scaling", ["slope_one", "sigma", "doubled"])
def test_scaled_huber_gradients_are_limits_of_differences(scaling):
    settings = {"reduction": "sum", "delta": 0.75, "scaling": scaling}
    found = numerics.gradient_by_differences(lambda x: float(reference.huber_loss(x, Y, **settings)), X)
    gradient = reference.huber_loss_backward(np.ones(()), X, Y, **settings)["input"]
    assert np.all(np.abs(found - gradient) < numerics.unit_roundoff("float64") ** 0.5)


def test_smooth_l1_is_huber_over_its_delta():
    expected = F.smooth_l1_loss(torch.tensor(X), torch.tensor(Y), beta=0.75).numpy()
    assert within(reference.huber_loss(X, Y, delta=0.75, scaling="slope_one"), expected)


@pytest.mark.parametrize(("mass", "spread"), [("all", [0.925, 0.025, 0.025, 0.025]), ("others", [0.9] + [0.1 / 3] * 3)])
def test_smoothed_targets(mass, spread):
    smoothed = reference.cross_entropy(X[:1, :, 0], np.array([0]), label_smoothing=0.1, smoothing_mass=mass)
    given = reference.cross_entropy(X[:1, :, 0], np.array([spread]))
    assert within(smoothed, given)


def test_smoothing_without_padding_leaves_the_ignored_class_out():
    settings = {"label_smoothing": 0.1, "ignore_index": 3, "smoothing_mass": "unpadded"}
    given = reference.cross_entropy(X[:1, :, 0], np.array([[0.9, 0.05, 0.05, 0.0]]))
    assert within(reference.cross_entropy(X[:1, :, 0], np.array([0]), **settings), given)


def test_mean_of_nothing():
    ignored = np.array([1, 1])
    x = X[:2, :, 0]
    assert np.isnan(reference.cross_entropy(x, ignored, ignore_index=1))
    assert reference.cross_entropy(x, ignored, ignore_index=1, all_ignored="zero") == 0
    assert np.isnan(reference.mse_loss(np.zeros(0), np.zeros(0)))
    assert not np.any(reference.cross_entropy_backward(np.ones(()), x, ignored, ignore_index=1)["input"])


# --- torch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(("name", "inputs", "settings"), CASES)
def test_ours_has_the_values_and_gradients_of_torch(name, inputs, settings, device):
    native = F.multi_margin_loss if name == "hinge_loss" else getattr(F, name)
    results = []
    for function in (native, getattr(ours, name)):
        first, second, *weights = (torch.tensor(value, device=device) for value in inputs.values())
        named = dict(zip(list(inputs)[2:], weights, strict=True))
        output = function(first.requires_grad_(), second, **named, **settings)
        output.backward(torch.linspace(0.5, 2.0, output.numel(), dtype=torch.float64, device=device).view(output.shape))
        results.append((output.detach().cpu().numpy(), first.grad.cpu().numpy()))
    assert all(within(mine, theirs) for theirs, mine in zip(*results, strict=True))


@pytest.mark.parametrize(("name", "inputs", "settings"), CASES)
def test_ours_is_differentiable_twice(name, inputs, settings):
    given = [torch.tensor(value) for value in inputs.values()]
    named = dict(zip(list(inputs)[2:], given[2:], strict=True))
    function = getattr(ours, name)
    assert torch.autograd.gradcheck(lambda x: function(x, given[1], **named, **settings), given[0].requires_grad_())
    assert torch.autograd.gradgradcheck(lambda x: function(x, given[1], **named, **settings), given[0])


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits", "kl_div"])
def test_targets_have_gradients_too(name):
    found = []
    for function in (getattr(F, name), getattr(ours, name)):
        target = torch.tensor(SHARE, requires_grad=True)
        function(torch.tensor(X), target, reduction="sum").backward()
        found.append(target.grad.numpy())
    assert within(found[1], found[0])


def test_a_zero_target_of_a_divergence_has_a_finite_gradient():
    target = torch.tensor([[0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    ours.kl_div(torch.tensor([[-1.0, -0.5]], dtype=torch.float64), target, reduction="sum").backward()
    assert torch.isfinite(target.grad).all()


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits", "cross_entropy"])
def test_blocks_give_what_the_whole_gives(name, monkeypatch):
    x = torch.randn(37, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 5, (37, 3)) if name == "cross_entropy" else torch.rand(37, 5, 3, dtype=torch.float64)
    found = []
    for size in (1, 64, 2**30):
        monkeypatch.setattr(ours, "_BLOCK", size)
        given = x.clone().requires_grad_()
        loss = getattr(ours, name)(given, target)
        loss.backward()
        found.append(np.append(given.grad.numpy().ravel(), loss.item()))
    assert within(found[0], found[2])
    assert within(found[1], found[2])


def test_half_precision_sums_in_float32():
    error = torch.full((4096,), 1.5, dtype=torch.float16)
    assert ours.mse_loss(error, torch.zeros_like(error)).item() == 2.25
    large = torch.full((4,), 200.0, dtype=torch.float16)
    assert ours.l1_loss(large, -large).item() == 400.0


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", [name for name, family in registry.families().items() if family == "losses"])
def test_ours_conforms_on_every_device(name, device):
    found = report(name, getattr(ours, name), device)
    assert found.conforms, str(found)


# --- bad arguments ---------------------------------------------------------------------------------------------------

TWO_BY_THREE, FIRST_TWO = np.zeros((2, 3)), np.array([0, 1])
CLASSES = "target must hold classes from 0 to 2 or ignore_index"
WRONG = [
    ("mse_loss", (TWO_BY_THREE, np.zeros((3, 2))), {}, r"target must have the input's shape \(2, 3\), not \(3, 2\)"),
    ("l1_loss", (np.zeros((2, 1)), np.zeros(2)), {}, r"target must have the input's shape \(2, 1\), not \(2,\)"),
    ("mse_loss", (np.zeros(2), np.zeros(2)), {"reduction": "avg"}, r"reduction must be .*, not 'avg'"),
    ("huber_loss", (np.zeros(2), np.zeros(2)), {"delta": 0.0}, "delta must be positive, not 0.0"),
    (
        "binary_cross_entropy_with_logits", (TWO_BY_THREE, TWO_BY_THREE), {"pos_weight": np.ones(2)},
        r"pos_weight must broadcast to the input's shape \(2, 3\), not \(2,\)",
    ),
    ("cross_entropy", (TWO_BY_THREE, np.array([0, 3])), {}, f"{CLASSES}, not 3"),
    ("cross_entropy", (TWO_BY_THREE, np.array([0, -1])), {}, f"{CLASSES}, not -1"),
    ("cross_entropy", (TWO_BY_THREE, np.arange(3)), {}, r"target must have shape \(2,\), not \(3,\)"),
    ("cross_entropy", (TWO_BY_THREE, FIRST_TWO), {"label_smoothing": 1.5}, "label_smoothing must be from 0 to 1, not"),
    ("cross_entropy", (np.zeros((2, 0)), FIRST_TWO), {}, r"input must have shape \(C,\) or \(N, C, ...\) with C > 0"),
    ("cross_entropy", (TWO_BY_THREE, FIRST_TWO), {"weight": np.ones(2)}, r"weight must have shape \(3,\), one"),
    ("nll_loss", (TWO_BY_THREE, np.array([0, 5])), {}, f"{CLASSES}, not 5"),
    ("kl_div", (TWO_BY_THREE, np.zeros((2, 1))), {}, r"target must have the input's shape \(2, 3\), not \(2, 1\)"),
    ("hinge_loss", (np.zeros(3), np.array(0)), {}, r"scores must have shape \(N, C\) with C > 0, not \(3,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "settings", "says"), WRONG)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_bad_arguments_raise_value_errors_in_the_same_words(kind, name, inputs, settings, says):
    made = np.asarray if kind == "numpy" else torch.tensor
    settings = {key: made(value) if isinstance(value, np.ndarray) else value for key, value in settings.items()}
    with pytest.raises(ValueError, match=says):
        getattr(reference if kind == "numpy" else ours, name)(*map(made, inputs), **settings)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["nll_loss", "hinge_loss"])
def test_labels_are_integers(kind, name):
    made = np.asarray if kind == "numpy" else torch.tensor
    with pytest.raises(TypeError, match="target must hold integers, not float64"):
        getattr(reference if kind == "numpy" else ours, name)(made(np.zeros((1, 2))), made(np.zeros(1)))


# --- as people write them --------------------------------------------------------------------------------------------


class MeanSquaredError:
    """A NumPy object as courses have it."""

    def forward(self, input, target):
        """The mean squared error."""
        self.error = input - target
        return np.mean(self.error**2)

    def backward(self, grad_output):
        """Its gradient."""
        return grad_output * 2 * self.error / self.error.size


class FocalFree(torch.nn.Module):
    """Cross-entropy as a module with a weight of its own."""

    def __init__(self, weight=None, reduction="mean"):
        super().__init__()
        self.weight, self.reduction = weight, reduction

    def forward(self, input, target):
        """Delegates, so that what is tried is how weights reach a module."""
        return F.cross_entropy(input, target, self.weight, reduction=self.reduction)


def test_numpy_objects_and_modules_conform():
    assert report("mse_loss", MeanSquaredError).conforms
    assert report("cross_entropy", FocalFree).conforms
    assert report("mse_loss", lambda input, target: np.mean((input - target) ** 2)).conforms


@pytest.mark.parametrize(
    ("component", "code", "axis", "option"),
    [
        ("mse_loss", lambda input, target: 0.5 * (input - target) ** 2, "scale", "half_none"),
        ("mse_loss", lambda input, target: ((input - target) ** 2).sum() / 2 / len(input), "scale", "half_batch"),
        ("huber_loss", lambda x, y, delta=1.0: F.smooth_l1_loss(x, y, beta=delta), "scaling", "slope_one"),
        ("hinge_loss", lambda scores, y: F.multi_margin_loss(scores, y) * scores.shape[1], "formula", "summed"),
        (
            "kl_div", lambda input, target: F.kl_div(input, target, reduction="batchmean"), "default_reduction",
            "batchmean",
        ),
    ],
)  # fmt: skip
def test_conventions_are_named(component, code, axis, option):
    found = report(component, code)
    assert found.conforms, str(found)
    assert found.conventions[axis] == option


def softmax_before_cross_entropy(input, target):
    """A network that ends in softmax, below a loss that takes it again."""
    return F.cross_entropy(F.softmax(input, 1), target)


def swapped_margins(scores, target, margin=1.0):
    """Violations of the wrong sign, added up over the classes."""
    violations = F.relu(margin + scores.gather(1, target[:, None]) - scores)
    return violations.scatter(1, target[:, None], 0.0).sum(1).mean()


def probabilities(input, target):
    """The formula as it stands in books."""
    p = torch.sigmoid(input)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()


@pytest.mark.parametrize(
    ("component", "code", "flag"),
    [
        ("cross_entropy", softmax_before_cross_entropy, "ce-softmax-twice"),
        ("binary_cross_entropy_with_logits", probabilities, "bce-probabilities-log-zero-times-zero"),
        ("mse_loss", lambda input, target: ((input - target) ** 2).sum(), "mse-loss-mean-is-sum"),
        ("kl_div", lambda input, target: (target * (target.log() - input)).mean(), "kl-zero-target-nan"),
        ("kl_div", lambda input, target: F.kl_div(input.log(), target), "kl-takes-probabilities"),
        ("mse_loss", lambda input, target: F.mse_loss(input, target).sqrt(), "mse-root"),
        ("binary_cross_entropy_with_logits", lambda input, target: F.binary_cross_entropy(input.sigmoid(), target),
         "bce-of-sigmoid"),
        ("binary_cross_entropy_with_logits", lambda input, target: (
            -(target * (input.sigmoid() + 1e-7).log() + (1 - target) * (1 - input.sigmoid() + 1e-7).log()).mean()),
         "bce-probability-epsilon-1e-7"),
        ("cross_entropy", lambda input, target, weight=None, ignore_index=-100: (
            F.cross_entropy(input, target, weight, ignore_index=ignore_index, reduction="sum") / len(input)),
         "ce-mean-over-length"),
        ("hinge_loss", swapped_margins, "hinge-scores-swapped"),
    ],
)  # fmt: skip
def test_mistakes_are_named(component, code, flag):
    found = report(component, code)
    assert not found.conforms
    assert found.findings[0].flag == flag, str(found)
