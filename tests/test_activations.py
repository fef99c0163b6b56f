"""The activation functions: against mpmath, differences and torch's own, and mistakes as people write them."""

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.activations import reference
from dlcheck.activations import torch as ours
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.evidence.strategies import uniform

NAMES = [name for name, family in registry.families().items() if family == "activations"]
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "sigmoid_derivative": lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "tanh_derivative": lambda x: mpmath.sech(x) ** 2,
}
POINTS = np.array([-700.0, -40.0, -3.25, -1e-9, 0.0, 1e-300, 0.625, 5.0, 19.0, 40.0, 350.0])


def within(actual, expected, roundings=8):
    """Whether each number is within some roundings of float64 of the expected one."""
    allowed = numerics.roundings(np.asarray(expected, np.float64), "float64", roundings)
    return bool(np.all(np.abs(actual - expected) <= allowed))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=10)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
def test_smooth_functions_have_the_digits_of_mpmath(name):
    with mpmath.workdps(40):
        expected = np.array([float(EXACT[name](mpmath.mpf(x))) for x in POINTS])
    # exp(-2|x|) with an error of half a unit in 2|x|, which is exact, loses nothing more than exp itself
    assert within(getattr(reference, name)(POINTS), expected)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu"])
def test_derivatives_are_limits_of_differences(name):
    x = np.array([-2.0, -0.75, 0.5, 1.5])
    found = numerics.difference(getattr(reference, name), x)
    step = numerics.unit_roundoff("float64") ** 0.2
    assert np.all(np.abs(found - getattr(reference, f"{name}_derivative")(x)) < step**3)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_jacobians_are_limits_of_differences_and_give_the_gradient(name):
    x, upstream = np.array([0.5, -1.0, 2.0]), np.array([0.25, -2.0, 1.5])
    jacobian = getattr(reference, f"{name}_jacobian")(x)
    step = numerics.unit_roundoff("float64") ** 0.2
    for row in range(3):
        gradient = numerics.gradient_by_differences(lambda x, row=row: getattr(reference, name)(x, 0)[row], x)
        assert np.all(np.abs(gradient - jacobian[row]) < step**3)
    assert within(getattr(reference, f"{name}_backward")(upstream, x, 0)["x"], jacobian.T @ upstream, roundings=32)


@pytest.mark.parametrize(
    ("name", "which"), [("prelu", "x"), ("prelu", "weight"), ("maxout", "x"), ("maxout", "weight"), ("maxout", "bias")]
)
def test_gradients_of_the_learned_ones_are_limits_of_differences(name, which):
    shapes = {"x": (3, 2), "weight": (3, 4, 2) if name == "maxout" else (2,), "bias": (3, 4)}
    known = registry.components()[name].inputs
    inputs = {key: uniform(shapes[key], 3 + place) for place, key in enumerate(known)}
    forward = getattr(reference, name)
    upstream = uniform(forward(**inputs).shape, 9)
    found = numerics.gradient_by_differences(
        lambda moved: float(np.sum(upstream * forward(**{**inputs, which: moved}))), inputs[which]
    )
    step = numerics.unit_roundoff("float64") ** 0.2
    expected = getattr(reference, f"{name}_backward")(upstream, **inputs)[which]
    assert np.all(np.abs(found - expected) < step**3)


def test_saturated_derivatives_keep_their_digits():
    assert reference.sigmoid_derivative(np.array([40.0]))[0] == np.exp(-40.0)
    assert reference.tanh_derivative(np.array([20.0]))[0] == 4 * np.exp(-40.0)


# --- implementations -------------------------------------------------------------------------------------------------

MODULES = [torch.nn.Sigmoid, torch.nn.Tanh, torch.nn.ReLU, torch.nn.LeakyReLU, torch.nn.PReLU, torch.nn.Softmax]
MODULES_OF = ["sigmoid", "tanh", "relu", "leaky_relu", "prelu", "softmax"]

LACKS = {
    "relu": {"in_place"},
    "leaky_relu": {"in_place"},
    "softmax": {"asked_dtype"},
    "log_softmax": {"asked_dtype"},
}


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", NAMES)
def test_the_torch_version_conforms(name, device):
    found = report(name, getattr(ours, name), device)
    assert not found.findings
    lacking = {check.id.rpartition(".")[2] for check in found.checks if check.status != "pass"}
    assert lacking == LACKS.get(name, set())


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize(
    ("name", "code"),
    [(name, getattr(F, name)) for name in NAMES if hasattr(F, name)] + list(zip(MODULES_OF, MODULES, strict=True)),
)
def test_torchs_own_conforms_and_follows_the_first_conventions(name, code):
    found = report(name, code)
    assert found.conforms
    assert found.conventions == {c.axis: c.options[0].name for c in registry.components()[name].conventions}


CONVENTIONS = [
    ("relu", lambda x: x * (x > 0), {"gradient_at_zero": "0"}),
    ("leaky_relu", lambda x, negative_slope=0.01: x.clamp(min=0) + negative_slope * x.clamp(max=0),
     {"default_slope": "0.01", "gradient_at_zero": "sum"}),
    ("tanh", lambda x: 2 * torch.sigmoid(2 * x) - 1, {}),
    ("prelu", lambda x, weight: x.clamp(min=0) - weight.view(-1, *(1,) * (x.dim() - 2)) * F.relu(-x),
     {"gradient_at_zero": "one"}),
    ("relu", lambda x: torch.maximum(x, x.new_zeros(())), {"gradient_at_zero": "0.5"}),
    ("relu", lambda x: x.clamp(min=0), {"gradient_at_zero": "1"}),
    ("relu", lambda x: torch.where(x > 0, x, 0), {"gradient_at_zero": "0", "nan": "zero"}),
    ("leaky_relu", lambda x, negative_slope=0.3: torch.where(x >= 0, x, negative_slope * x),
     {"default_slope": "0.3", "gradient_at_zero": "one"}),
    ("leaky_relu", lambda x, negative_slope=0.2: F.relu(x) - negative_slope * F.relu(-x),
     {"default_slope": "0.2", "gradient_at_zero": "zero"}),
    ("softmax", lambda x, dim=-1: torch.softmax(x, dim), {"default_axis": "last"}),
    ("log_softmax", lambda x, dim=1: torch.log_softmax(x, dim), {"default_axis": "one"}),
    ("softmax", lambda x: torch.softmax(x.flatten(1), 1).view(x.shape), {"default_axis": "flattened"}),
    ("maxout", lambda x, weight, bias: (torch.einsum("ni,koi->nko", x, weight) + bias).amax(1), {"ties": "split"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "expected"), CONVENTIONS)
def test_other_right_ways_conform_and_are_named(name, code, expected):
    found = report(name, code)
    assert found.conforms
    assert found.conventions.items() >= expected.items()


class StraightThrough(torch.autograd.Function):
    """A ReLU whose gradient passes everywhere."""

    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        return grad


class BySignOfOutput(torch.autograd.Function):
    """A PReLU whose gradient looks at the output."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.prelu(x, weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        slopes = weight.view(-1, *(1,) * (x.dim() - 2)) if weight.numel() > 1 else weight
        parts = grad * x.clamp(max=0)
        axes = [axis for axis in range(x.dim()) if axis != 1 or weight.numel() == 1]
        summed = parts.sum(axes) if axes else parts
        return torch.where(F.prelu(x, weight) > 0, grad, slopes * grad), summed.view(weight.shape)


def naive_softmax(x, dim=1):
    e = torch.exp(x)
    return e / e.sum(dim, keepdim=True)


def softmax_of_the_batch(x, dim=1):
    e = torch.exp(x - (x.max() if x.numel() else 0))
    return e / e.sum(dim, keepdim=True)


def softmax_from_zero(x, dim=1):
    e = torch.exp(x - x.amax(dim, keepdim=True).clamp(min=0))
    return e / e.sum(dim, keepdim=True)


def pieces(x, weight, bias):
    return torch.einsum("ni,koi->nko", x, weight) + bias


def along_the_last_axis(x, weight):
    return torch.where(x > 0, x, weight * x)


MISTAKES = {
    "sigmoid-exp-overflow-nan": lambda x: torch.exp(x) / (1 + torch.exp(x)),
    "sigmoid-sign": lambda x: torch.sigmoid(-x),
    "sigmoid-sign-overflows": lambda x: 1 / (1 + torch.exp(x)),
    "sigmoid-gradient-overflow-nan": lambda x: 1 / (1 + torch.exp(-x)),
    "sigmoid-hard-sixth": lambda x: F.relu6(x + 3) / 6,
    "tanh-exp-ratio-overflow": lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1),
    "tanh-sigmoid-without-two": lambda x: 2 * torch.sigmoid(x) - 1,
    "relu-clipped-at-six": F.relu6,
    "relu-gradient-one-everywhere": StraightThrough.apply,
    "relu-leaky": F.leaky_relu,
    "relu-in-place": lambda x: F.relu(x, inplace=not x.requires_grad),
    "relu-absolute-value": torch.abs,
    "leaky-relu-maximum": lambda x, negative_slope=0.01: torch.maximum(x, negative_slope * x),
    "leaky-relu-slope-ignored": lambda x, negative_slope=0.01: F.leaky_relu(x),
    "prelu-backward-from-output": lambda x, weight: BySignOfOutput.apply(x, weight),
    "prelu-weight-along-last-axis": along_the_last_axis,
    "maxout-over-units": lambda x, weight, bias: pieces(x, weight, bias).max(2).values,
    "maxout-regrouped": lambda x, weight, bias: (
        pieces(x, weight, bias).reshape(len(x), bias.shape[1], bias.shape[0]).amax(2)
    ),
    "maxout-minimum": lambda x, weight, bias: pieces(x, weight, bias).min(1).values,
    "maxout-mean": lambda x, weight, bias: pieces(x, weight, bias).mean(1),
    "maxout-from-zero": lambda x, weight, bias: pieces(x, weight, bias).max(1).values.clamp(min=0),
    "softmax-no-max-subtraction": naive_softmax,
    "softmax-global-max": softmax_of_the_batch,
    "softmax-max-clamped-at-zero": softmax_from_zero,
    "softmax-last-axis-always": lambda x, dim=None: torch.softmax(x, -1),
    "softmax-twice": lambda x, dim=1: torch.softmax(torch.softmax(x, dim), dim),
    "log-softmax-epsilon-1e-8": lambda x, dim=1: torch.log(torch.softmax(x, dim) + 1e-8),
    "log-softmax-log-of-softmax": lambda x, dim=1: torch.log(torch.softmax(x, dim)),
    "log-softmax-without-log": lambda x, dim=1: torch.softmax(x, dim),
}


@pytest.mark.parametrize("fault", MISTAKES)
def test_mistakes_as_people_write_them_are_named(fault):
    found = report(registry.faults()[fault].component, MISTAKES[fault])
    assert not found.conforms
    assert fault in [finding.flag for finding in found.findings]


# --- our torch code --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slopes", [1, 4])
def test_prelu_has_two_derivatives(slopes):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 2, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.randn(slopes, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(ours.prelu, (x, weight))
    assert torch.autograd.gradgradcheck(ours.prelu, (x, weight))


def test_maxout_has_two_derivatives():
    generator = torch.Generator().manual_seed(0)
    shapes = (7, 3), (4, 5, 3), (4, 5)
    inputs = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    assert torch.autograd.gradcheck(ours.maxout, inputs)
    assert torch.autograd.gradgradcheck(ours.maxout, inputs)


@pytest.mark.parametrize("name", ["prelu", "maxout"])
def test_work_in_blocks_gives_what_work_in_one_piece_gives(name, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    shapes = ((50, 6, 5), (6,)) if name == "prelu" else ((50, 6), (3, 5, 6), (3, 5))
    inputs = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    found = []
    for block in (2**18, 64):
        monkeypatch.setattr(ours, "_BLOCK", block)
        output = getattr(ours, name)(*inputs)
        found.append((output.detach(), *torch.autograd.grad((output * output).sum(), inputs)))
    for whole, blocks in zip(*found, strict=True):
        size = whole.abs().max().item() * np.ones(whole.shape)
        assert np.all(np.abs((whole - blocks).numpy()) <= numerics.roundings(size, "float64", 300))


# --- arguments -------------------------------------------------------------------------------------------------------

ONES = np.ones((2, 3))
WRONG = [
    ("prelu", (ONES, np.ones(2)), {}, "weight must hold 1 slope or one for each of 3 channels, not shape (2,)"),
    ("softmax", (ONES,), {"dim": 2}, "dim must be from -2 to 1 for an input with 2 axes, not 2"),
    ("log_softmax", (ONES,), {"dim": -3}, "dim must be from -2 to 1 for an input with 2 axes, not -3"),
    ("softmax", (np.ones(()),), {"dim": 1}, "dim must be from -1 to 0 for an input with 0 axes, not 1"),
    ("softmax", (ONES,), {"dim": True}, "dim must be an integer or None, not bool"),
    ("leaky_relu", (ONES,), {"negative_slope": "steep"}, "negative_slope must be a number, not str"),
    ("maxout", (ONES, np.ones((4, 2, 2)), np.ones((4, 2))), {},
     "x and weight must have shapes (N, in) and (k, out, in) with k > 0, not (2, 3) and (4, 2, 2)"),
    ("maxout", (ONES, np.ones((4, 2, 3)), np.ones(4)), {}, "bias must have shape (k, out) = (4, 2), not (4,)"),
    ("sigmoid", (np.ones(2, np.complex128),), {}, "x must hold floating-point numbers, not complex128"),
]  # fmt: skip


@pytest.mark.parametrize("on_torch", [False, True], ids=["numpy", "torch"])
@pytest.mark.parametrize(("name", "inputs", "settings", "sentence"), WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(name, inputs, settings, sentence, on_torch):
    code = getattr(ours if on_torch else reference, name)
    with pytest.raises((ValueError, TypeError)) as refused:
        code(*(torch.from_numpy(values) if on_torch else values for values in inputs), **settings)
    assert str(refused.value) == sentence


def test_an_upstream_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"grad_output must have the output's shape \(2, 3\), not \(3, 2\)"):
        reference.relu_backward(ONES.T, ONES)


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="ties must be 'first' or 'last' or 'all' or 'split' or 'halved', not 'any'"):
        reference.maxout_backward(ONES, ONES, np.ones((2, 3, 3)), np.ones((2, 3)), ties="any")


class MaskedInPlace:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, grad):
        grad[self.x <= 0] = 0
        return grad


def rows_of_softmax(x):
    powers = np.exp(x - x.max(axis=1).reshape(-1, 1))
    return powers / powers.sum(axis=1).reshape(-1, 1)


def half_sums(input, negative_slope=0.01):
    return ((1 + negative_slope) * input + (1 - negative_slope) * input.abs()) / 2


def test_a_gradient_written_over_the_upstream_one_is_named():
    assert {finding.flag for finding in report("relu", MaskedInPlace).findings} == {"relu-gradient-in-place", None}


@pytest.mark.parametrize(("name", "code"), [("softmax", rows_of_softmax), ("leaky_relu", half_sums)])
def test_other_ways_of_writing_it_conform(name, code):
    found = report(name, code)
    assert found.conforms, str(found)
