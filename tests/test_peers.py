"""Other people's implementations, judged as a user would judge them: right, and their conventions named."""

import importlib.util
from typing import Any

import pytest

import dlcheck

TORCH = {"epsilon": "outside_sqrt", "weight_decay": "coupled"}
OPTAX_ADAGRAD = {"epsilon": "inside_sqrt", "default_initial_accumulator_value": "0.1", "default_eps": "1e-7"}


def conventions_of(target: str, component: str, settings: dict[str, Any]) -> dict[str, str]:
    """The conventions that a conforming target follows."""
    report = dlcheck.check(target, component, settings=settings, examples=5)
    assert report.conforms, str(report)
    return dict(report.conventions)


@pytest.mark.parametrize(
    ("target", "component", "settings", "followed"),
    [
        ("torch.optim:SGD", "sgd", {}, {"velocity": "outside", "weight_decay": "coupled"}),
        ("torch.optim:SGD", "sgd", {"momentum": 0.9}, {"velocity": "outside", "dampening": "undamped_first"}),
        ("torch.optim:SGD", "sgd", {"momentum": 0.9, "nesterov": True}, {"velocity": "outside"}),
        ("torch.optim:Adagrad", "adagrad", {}, {**TORCH, "default_initial_accumulator_value": "0"}),
        ("torch.optim:RMSprop", "rmsprop", {}, {**TORCH, "initial": "zero", "default_alpha": "0.99"}),
        ("torch.optim:Adadelta", "adadelta", {}, {"default_rho": "0.9", "weight_decay": "coupled"}),
        ("torch.optim:Adam", "adam", {}, {**TORCH, "bias_correction": "on", "amsgrad": "raw"}),
        ("torch.optim:Adam", "adam", {"amsgrad": True}, {"amsgrad": "raw"}),
        ("torch.optim:AdamW", "adamw", {}, {"epsilon": "outside_sqrt", "weight_decay": "scaled_by_lr"}),
        ("torch.nn.functional:softmax", "softmax", {}, {}),
        ("torch.nn:PReLU", "prelu", {}, {}),
        ("torch.nn.init:kaiming_uniform_", "kaiming_uniform_", {}, {}),
    ],
)
def test_torch(target: str, component: str, settings: dict[str, Any], followed: dict[str, str]) -> None:
    found = conventions_of(target, component, settings)
    assert {axis: found.get(axis) for axis in followed} == followed


@pytest.mark.peers
@pytest.mark.skipif(not importlib.util.find_spec("optax"), reason="optax is not installed")
@pytest.mark.parametrize(
    ("component", "settings", "followed"),
    [
        ("sgd", {}, {}),
        ("sgd", {"momentum": 0.9}, {}),
        ("sgd", {"momentum": 0.9, "nesterov": True}, {}),
        ("adam", {}, {"epsilon": "outside_sqrt", "bias_correction": "on", "default_eps": "1e-8"}),
        ("adam", {"nesterov": False, "eps_root": 0.0}, {"epsilon": "outside_sqrt"}),
        ("adamw", {}, {"weight_decay": "scaled_by_lr", "default_weight_decay": "0.0001"}),
        ("adagrad", {}, OPTAX_ADAGRAD),
        ("rmsprop", {}, {"epsilon": "inside_sqrt", "initial": "zero", "default_alpha": "0.9"}),
        ("rmsprop", {"eps_in_sqrt": False}, {"epsilon": "outside_sqrt"}),
        ("adadelta", {}, {"weight_decay": "coupled", "default_rho": "0.9"}),
    ],
)
def test_optax(component: str, settings: dict[str, Any], followed: dict[str, str]) -> None:
    found = conventions_of(f"optax:{component}", component, settings)
    assert {axis: found.get(axis) for axis in followed} == followed
