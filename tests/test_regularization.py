"""Dropout, penalties, clipping and early stopping: by hand, against torch's own, and as people write them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.regularization import reference
from dlcheck.regularization import torch as ours
from dlcheck.regularization.reference import Stopping

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
WEIGHT = np.array([[0.5, -2.0], [4.0, -0.25]])


def within(actual, expected, roundings=64):
    """Whether each number is within some roundings of float64 of the expected one."""
    allowed = numerics.roundings(np.fmax(np.abs(expected), 1.0), "float64", roundings)
    return bool(np.all(np.abs(np.asarray(actual) - expected) <= allowed))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=5)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", [name for name, family in registry.families().items() if family == "regularization"])
def test_ours_conforms_on_every_device(name, device):
    found = report(name, registry.implementation(name, "torch"), device)
    assert found.conforms, str(found)


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_dropout_keeps_the_expectation_and_its_gradient_the_mask(p):
    x = torch.full((1000, 100), 2.0, dtype=torch.float64, requires_grad=True)
    output = ours.dropout(x, p, generator=torch.Generator().manual_seed(0))
    output.backward(torch.full_like(x, 3.0))
    kept = output != 0
    # six standard deviations of a share
    assert abs(kept.double().mean().item() - (1 - p)) <= 6 * math.sqrt(p * (1 - p) / x.numel())
    assert torch.equal(output, kept.double() * (2 / (1 - p) if p < 1 else 0.0))
    assert torch.equal(x.grad, 1.5 * output)


def test_dropout_obeys_its_generator_and_returns_a_copy_outside_training():
    x = torch.ones(64)
    first, again = (ours.dropout(x, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, ours.dropout(x, generator=torch.Generator().manual_seed(8)))
    still = ours.dropout(x, training=False)
    assert torch.equal(still, x)
    assert still.data_ptr() != x.data_ptr()


def test_dropout_reads_back_what_was_dropped():
    x, rng = np.array([1.0, -2.0, 3.0]), np.random.default_rng(0)
    samples = np.stack([reference.dropout(x, 0.25, rng=rng) for _ in range(50)])
    rebuilt, drawn = reference.dropout_read(samples, x, 0.25)
    values, law = drawn["dropped"]
    assert np.array_equal(rebuilt, samples)
    assert np.array_equal(values, samples == 0)
    assert law == {0.0: 0.75, 1.0: 0.25}


def test_conventions_of_dropout_agree_in_expectation():
    x, rng = np.ones(20_000), np.random.default_rng(0)
    original = reference.dropout(x, 0.25, rng=rng, scaling="original").mean()
    outside = reference.dropout(x, 0.25, training=False, rng=rng, scaling="original").mean()
    assert abs(original - outside) < 6 * math.sqrt(0.25 * 0.75 / x.size)
    assert set(reference.dropout(x, 0.75, rng=rng, parameter="keep")) == {0.0, 1 / 0.75}


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=f"p must be a probability from 0 to 1, not {p}"):
        reference.dropout(np.ones(2), p, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=f"p must be a probability from 0 to 1, not {p}"):
        ours.dropout(torch.ones(2), p)


# --- penalties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("l1_penalty", {}, 6.75),
        ("l1_penalty", {"strength": 0.5}, 3.375),
        ("l2_penalty", {}, 20.3125 / 2),
        ("l2_penalty", {"strength": 0.5}, 20.3125 / 4),
    ],
)
def test_penalties_by_hand(name, settings, expected):
    assert within(getattr(reference, name)(WEIGHT, **settings), expected)
    assert within(getattr(ours, name)(torch.tensor(WEIGHT), **settings).item(), expected)
    differences = numerics.gradient_by_differences(lambda w: float(getattr(reference, name)(w, **settings)), WEIGHT)
    gradient = getattr(reference, f"{name}_backward")(np.ones(()), WEIGHT, **settings)["weight"]
    assert np.all(np.abs(differences - gradient) < numerics.unit_roundoff("float64") ** 0.5)


def test_l2_penalty_convention():
    assert reference.l2_penalty(WEIGHT, factor=1.0) == 2 * reference.l2_penalty(WEIGHT)


def test_penalised_minimum_of_a_quadratic():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    hessian, minimum = root @ root.T, rng.normal(size=4)
    found = reference.l2_minimum(hessian, minimum, 0.5)
    direct = np.linalg.solve(hessian + 0.5 * np.eye(4), hessian @ minimum)
    assert within(found, direct, roundings=1000)
    assert np.linalg.norm(found) < np.linalg.norm(minimum)
    assert within(reference.l2_minimum(hessian, minimum, 0.0), minimum, roundings=1000)


@pytest.mark.parametrize("name", ["l1_penalty", "l2_penalty"])
def test_penalties_refuse_negative_strength(name):
    for code, weight in ((reference, WEIGHT), (ours, torch.tensor(WEIGHT))):
        with pytest.raises(ValueError, match=r"strength must not be negative, not -1\.0"):
            getattr(code, name)(weight, -1.0)


# --- clipping --------------------------------------------------------------------------------------------------------


def parameters(*grads, device="cpu"):
    made = [torch.nn.Parameter(torch.zeros(len(grad), device=device)) for grad in grads]
    for parameter, grad in zip(made, grads, strict=True):
        parameter.grad = torch.tensor(grad, device=device)
    return made


def test_global_norm_by_hand():
    clipped, norm = reference.clip_grad_norm([np.array([3.0]), None, np.array([4.0])], 1.0, epsilon=0.0)
    assert norm == 5.0
    assert within(clipped[0], 0.6)
    assert clipped[1] is None
    assert within(clipped[2], 0.8)
    assert reference.clip_grad_norm([np.array([3.0, -4.0])], 1.0, norm_type=math.inf)[1] == 4.0


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("settings", [{}, {"norm_type": 1.0}, {"norm_type": math.inf}, {"norm_type": 3.0}])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_as_torch_does(limit, settings, device):
    grads = [3.0, -0.5, 0.125], [-2.0, 0.25]
    mine, theirs = parameters(*grads, device=device), parameters(*grads, device=device)
    norm = ours.clip_grad_norm(iter(mine), limit, **settings)
    assert torch.equal(norm, torch.nn.utils.clip_grad_norm_(theirs, limit, **settings))
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))
    ours.clip_grad_value(mine, 0.2)
    torch.nn.utils.clip_grad_value_(theirs, 0.2)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))


def test_clipping_nothing():
    assert ours.clip_grad_norm([torch.nn.Parameter(torch.ones(2))], 1.0) == 0
    assert ours.clip_grad_norm([], 1.0) == 0
    ours.clip_grad_value([torch.nn.Parameter(torch.ones(2))], 1.0)
    assert reference.clip_grad_norm([None], 1.0) == ([None], 0.0)


def test_nonfinite_norms_raise_where_asked():
    says = "the norm of the gradients must be finite, not inf"
    with pytest.raises(ValueError, match=says):
        reference.clip_grad_norm([np.array([np.inf])], 1.0, error_if_nonfinite=True)
    with pytest.raises(ValueError, match=says):
        ours.clip_grad_norm(parameters([math.inf]), 1.0, error_if_nonfinite=True)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("clip_grad_norm", (-1.0,), "max_norm must not be negative, not -1.0"),
        ("clip_grad_norm", (1.0, 0.0), "norm_type must be positive, not 0.0"),
        ("clip_grad_value", (-1.0,), "clip_value must not be negative, not -1.0"),
    ],
)
def test_clipping_refuses_in_the_same_words(name, arguments, says):
    with pytest.raises(ValueError, match=says):
        getattr(reference, name)([np.ones(2)], *arguments)
    with pytest.raises(ValueError, match=says):
        getattr(ours, name)(parameters([1.0, 1.0]), *arguments)


# --- early stopping --------------------------------------------------------------------------------------------------


def followed(values, **settings):
    """The epoch at which the reference stops, the best value and its epoch."""
    state = None
    for epoch, value in enumerate(values):
        stops, state = reference.early_stopping(value, state, **settings)
        if stops:
            return epoch, state.best, state.best_epoch
    return None, state.best, state.best_epoch


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([3.0, 2.0, 2.5, 2.25, 1.0], {"patience": 2}, (3, 2.0, 1)),
        ([3.0, 2.0, 2.5, 2.25, 1.0], {"patience": 3}, (None, 1.0, 4)),
        ([3.0, 2.0, 2.0], {"patience": 0}, (2, 2.0, 1)),
        ([3.0, 2.0, 2.0], {"patience": 1}, (2, 2.0, 1)),
        ([3.0, 2.0, 2.5, 2.5], {"patience": 1, "waits": "one_more"}, (3, 2.0, 1)),
        ([1.0, 2.0, 3.0, 2.0], {"patience": 1, "mode": "max"}, (3, 3.0, 2)),
        ([3.0, 2.5, 2.0], {"patience": 2, "min_delta": 0.5}, (None, 2.0, 2)),
        ([3.0, 2.5, 2.25, 2.0], {"patience": 2, "min_delta": 0.75}, (2, 3.0, 0)),
        ([3.0, 2.5, 2.0], {"patience": 1, "min_delta": 0.5, "reference_value": "lowest"}, (None, 2.0, 2)),
        ([math.nan, 2.0, math.nan, 1.0], {"patience": 2}, (None, 1.0, 3)),
        ([2.0, math.nan, math.nan, 1.0], {"patience": 2}, (2, 2.0, 0)),
        ([math.nan, math.nan], {"patience": 2}, (1, None, None)),
    ],
)
def test_early_stopping_by_hand(values, settings, expected):
    assert followed(values, **settings) == expected
    if not {"waits", "reference_value"} & set(settings):
        made = ours.EarlyStopping(**settings)
        stopped = next((epoch for epoch, value in enumerate(values) if made.step(torch.tensor(value))), None)
        assert (stopped, made.best, made.best_epoch) == expected


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"patience": -1}, "patience must not be negative, not -1"),
        ({"patience": 1, "min_delta": -0.5}, "min_delta must not be negative, not -0.5"),
        ({"patience": 1, "mode": "auto"}, "mode must be 'min' or 'max', not 'auto'"),
    ],
)
def test_early_stopping_refuses_in_the_same_words(settings, says):
    with pytest.raises(ValueError, match=says):
        reference.early_stopping(1.0, Stopping(), **settings)
    with pytest.raises(ValueError, match=says):
        ours.EarlyStopping(**settings)


# --- as people write them --------------------------------------------------------------------------------------------


class Dropout:
    """A NumPy object as courses have it."""

    def __init__(self, p=0.5):
        self.p, self.training = p, True

    def forward(self, x):
        """Inverted dropout."""
        if not self.training:
            return x
        self.mask = (np.random.rand(*x.shape) >= self.p) / max(1 - self.p, 1e-12)  # noqa: NPY002
        return x * self.mask

    def backward(self, grad_output):
        """The same mask."""
        return grad_output * (self.mask if self.training else 1.0)


class Patience:
    """A stopper as many projects have it."""

    def __init__(self, patience, min_delta=0.0, mode="min"):
        self.patience, self.min_delta, self.sign = patience, min_delta, 1 if mode == "min" else -1
        self.best, self.best_epoch, self.epoch, self.wait = math.inf * self.sign, 0, -1, 0

    def step(self, value):
        """True to stop."""
        self.epoch += 1
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch, self.wait = value, self.epoch, 0
            return False
        self.wait += 1
        return self.wait >= self.patience


class Forgetful(Patience):
    """The same with a counter that is never reset."""

    def step(self, value):
        """True to stop."""
        waited, stops = self.wait, super().step(value)
        self.wait = max(self.wait, waited)
        return stops


def clip_in_place(parameters, limit):
    """Clips as TensorFlow does, to the limit exactly."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.sqrt(sum((g.double() ** 2).sum() for g in grads))
    if norm > limit:
        for g in grads:
            g.mul_(limit / norm)
    return norm


def clip_each(parameters, max_norm):
    """Clips every tensor on its own."""
    parameters = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
    norms = [torch.nn.utils.clip_grad_norm_(p, max_norm) for p in parameters]
    return torch.linalg.vector_norm(torch.stack(norms))


def clip_arrays(grads, max_norm):
    """NumPy's way: a list of arrays changed in place."""
    norm = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in grads))
    for g in grads:
        g *= min(1.0, max_norm / (norm + 1e-6))
    return norm


def test_right_ones_conform():
    assert report("clip_grad_norm", clip_each).conventions["scope"] == "each"
    assert report("dropout", Dropout).conforms
    found = report("early_stopping", Patience)
    assert not [finding for finding in found.findings if "shortest" not in finding.check], str(found)
    assert report("l2_penalty", lambda weight, strength=1.0: strength * weight.pow(2).sum()).conventions == {
        "factor": "whole"
    }


def test_a_generator_is_gone_through_once():
    found = report("clip_grad_norm", clip_in_place)
    assert not found.conforms
    assert {finding.check.rsplit(".")[-1] for finding in found.findings} <= {"handed_over", "nonfinite"}


@pytest.mark.parametrize(
    ("component", "code", "flag"),
    [
        ("early_stopping", Forgetful, "early-stop-counter-not-reset"),
        ("dropout", lambda input, p=0.5, training=True: F.dropout(input, p, True), "dropout-always-on"),
        (
            "dropout", lambda input, p=0.5, training=True: F.dropout(input, p, training) * (1 - p if training else 1),
            "dropout-not-scaled",
        ),
        (
            "dropout", lambda input, p=0.5, training=True: (
                input * (torch.rand_like(input) > p) / p if training else input), "dropout-scale-by-drop-rate",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_named(component, code, flag):
    found = report(component, code)
    assert not found.conforms
    assert found.findings[0].flag == flag, str(found)


def test_clipping_of_a_list_of_arrays_is_accepted():
    def clip(grads, max_norm):
        norm = sum(float((grad**2).sum()) for grad in grads) ** 0.5
        return [grad * min(1.0, max_norm / (norm + 1e-6)) for grad in grads], norm

    assert report("clip_grad_norm", clip).conforms
