"""Targets are found by name, and every accepted form is driven as its users drive it."""

import functools

import numpy as np
import pytest
import torch

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance import targets, wire
from dlcheck.conformance.adapters import calling
from dlcheck.conformance.check import judge
from dlcheck.conformance.implementation import NotProvided, Refused

ADAM = registry.components()["adam"]
PRELU = registry.components()["prelu"]
RNG = np.random.default_rng(0)
STEPS = [{"grads": [RNG.normal(size=3)]} for _ in range(3)]
TRAJECTORY = Case("trajectory", {"params": [np.ones(3)], "steps": STEPS}, {"lr": 0.1})


def test_names_lead_through_modules_and_attributes():
    assert targets.load("torch.nn:functional.relu") is torch.nn.functional.relu


@pytest.mark.parametrize(
    "target", ["torch.optim.Adam", "torch.optim:NoSuch", "nosuchpackage:f", "nofile.py:f", ":f", "torch:"]
)
def test_what_cannot_be_found_says_what_was_tried(target):
    with pytest.raises(Refused, match=r"expected path/to/file.py:name|has no 'NoSuch'|cannot be|no file"):
        targets.load(target)


def _adam_pair(lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    def init(params):
        return np.zeros_like(params), np.zeros_like(params), 0

    def update(grads, state, params):
        m, v, t = (
            betas[0] * state[0] + (1 - betas[0]) * grads,
            betas[1] * state[1] + (1 - betas[1]) * grads**2,
            state[2] + 1,
        )
        step = -lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        return step, (m, v, t)

    return init, update


def test_every_form_of_an_optimizer_gives_the_same_trajectory():
    torchs = targets.adapt(ADAM, torch.optim.Adam).observe(TRAJECTORY).values["param0"]
    pair = targets.adapt(ADAM, _adam_pair).observe(TRAJECTORY).values["param0"]
    made = targets.adapt(ADAM, _adam_pair(lr=0.1)).observe(Case("trajectory", TRAJECTORY.inputs)).values["param0"]
    assert np.array_equal(pair, made)
    assert np.abs(torchs - pair).max() <= 100 * np.finfo(float).eps


def test_settings_that_the_target_lacks_are_not_provided_unless_they_are_the_default():
    adapted = targets.adapt(ADAM, _adam_pair)
    plain = Case("trajectory", TRAJECTORY.inputs, {"lr": 0.1, "amsgrad": False})
    assert adapted.observe(plain).values["param0"].shape == (3, 3)
    with pytest.raises(NotProvided, match="does not accept amsgrad"):
        adapted.observe(Case("trajectory", TRAJECTORY.inputs, {"amsgrad": True}))


def test_fixed_keywords_reach_the_target():
    fused = targets.adapt(ADAM, torch.optim.Adam, {"fused": True}).observe(TRAJECTORY)
    plain = targets.adapt(ADAM, torch.optim.Adam).observe(TRAJECTORY)
    assert np.allclose(fused.values["param0"], plain.values["param0"])


def test_a_module_class_gets_its_parameters_and_gives_their_gradients():
    x, weight = RNG.normal(size=(4, 3)), np.array([0.5, -0.5, 2.0])
    module, function = targets.adapt(PRELU, torch.nn.PReLU), targets.adapt(PRELU, torch.nn.functional.prelu)
    for name, value in function.backward(np.ones((4, 3)), x, weight).items():
        assert np.array_equal(value, module.backward(np.ones((4, 3)), x, weight)[name])


@pytest.mark.parametrize("layout", ["contiguous", "strided", "transposed"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_layouts_keep_values_and_dtype(layout, dtype):
    values = np.arange(24.0).reshape(2, 3, 4)
    made = calling.tensor(values, dtype, layout, "cpu")
    assert calling.dtype_name(made) == dtype
    assert np.array_equal(calling.to_numpy(made, "it"), values)
    assert made.is_contiguous() == (layout == "contiguous")


def test_the_wire_carries_arrays_and_plain_values_without_pickles():
    message = {"a": np.arange(6.0).reshape(2, 3), "b": [None, True, 1, 0.1, float("nan"), (1, "x")], 3: np.array(2)}
    back = wire.decode(wire.encode(message))
    assert np.array_equal(back["a"], message["a"])
    assert back["b"][:4] == [None, True, 1, 0.1]
    assert back["b"][4] != back["b"][4]
    assert back["b"][5] == (1, "x")
    assert back[3] == 2


@pytest.mark.parametrize(
    ("component", "code"),
    [
        ("batch_norm", functools.partial(torch.nn.BatchNorm2d, eps=1e-3)),
        ("linear", functools.partial(torch.nn.Linear, bias=True)),
        ("dropout", functools.partial(torch.nn.Dropout, p=0.5)),
        ("lstm", functools.partial(torch.nn.LSTM, batch_first=True)),
    ],
)
def test_a_partial_of_a_class_is_a_class(component, code):
    known = registry.components()[component]
    assert judge(known, targets.adapt(known, code), examples=0).conforms


def test_code_that_declines_views_is_right_and_says_so():
    known = registry.components()["mse_loss"]
    code = targets.adapt(known, lambda input, target: ((input - target).view(-1) ** 2).mean())
    report = judge(known, code, examples=0)
    assert report.conforms, str(report)
    assert "it declines inputs that are views" in str(report)
