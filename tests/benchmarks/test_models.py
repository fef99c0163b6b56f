"""Networks built from a declaration beside the plain modules that a user would write; NumPy beside torch in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from dlcheck.models import reference
from dlcheck.models import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
BATCH = {"lenet5": {"cpu": 64, "cuda": 4096}, "alexnet": {"cpu": 4, "cuda": 256}}


def lenet5():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def alexnet():
    """With torch's own response normalisation."""
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True)),
        *(nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True), nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True)),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout()),
        nn.Linear(4096, 1000),
    )


INSTEAD = {"lenet5": lenet5, "alexnet": alexnet}


def made(name, code, device):
    module = (getattr(ours, name) if code == "ours" else INSTEAD[name])().to(device).eval()
    return torch.compile(module) if code == "compiled" else module


def images(name, device):
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(BATCH[name][device], *getattr(reference, name)().image, device=device, generator=generator)


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward(benchmark, name, code, device):
    benchmark.group = f"{name} forward, {device}"
    module, x = made(name, code, device), images(name, device)

    def run():
        with torch.no_grad():
            module(x)
        finished(device)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward_and_backward(benchmark, name, code, device):
    benchmark.group = f"{name} forward and backward, {device}"
    module, x = made(name, code, device), images(name, device)

    def run():
        module(x).sum().backward()
        finished(device)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("code", ["reference", "torch float64"])
def test_lenet5_in_float64(benchmark, code):
    benchmark.group = "lenet5 forward and backward, float64"
    declared = reference.lenet5()
    parameters = reference.initial(declared, np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((16, *declared.image))
    upstream = np.ones((16, 10))
    module, tensor = ours.Model(declared).double(), torch.tensor(x)

    def run():
        if code == "reference":
            reference.backward(declared, parameters, x, [upstream])
        else:
            module(tensor).sum().backward()

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", INSTEAD)
def test_what_users_write_is_the_same_network(name):
    plain, module = INSTEAD[name]().eval(), getattr(ours, name)().eval()
    plain.load_state_dict(module.state_dict())
    x = images(name, "cpu")[:1]
    with torch.no_grad():
        torch.testing.assert_close(module(x), plain(x))
