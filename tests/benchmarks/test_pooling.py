"""Each pooling beside what a user would call instead, plain and compiled, and the NumPy reference beside torch."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.pooling import reference
from dlcheck.pooling import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
IMAGES = {"cpu": (16, 64, 28, 28), "cuda": (64, 256, 56, 56)}
SETTINGS = {
    "max_pool2d": {"kernel_size": 3, "stride": 2},
    "avg_pool2d": {"kernel_size": 3, "stride": 2},
    "lp_pool2d": {"norm_type": 2, "kernel_size": 3, "stride": 2},
    "global_avg_pool2d": {},
}
INSTEAD = {
    "max_pool2d": F.max_pool2d,
    "avg_pool2d": F.avg_pool2d,
    "lp_pool2d": F.lp_pool2d,
    "global_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
}


def images(device, dtype=torch.float32):
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(IMAGES[device], device=device, dtype=dtype, generator=generator)


def timed(name, code):
    """The function, ours without the shape checks of the tests."""
    if code == "compiled":
        return torch.compile(INSTEAD[name])
    return inspect.unwrap(getattr(ours, name)) if code == "ours" else INSTEAD[name]


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward(benchmark, name, code, device):
    function, x = timed(name, code), images(device)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            function(x, **SETTINGS[name])
        finished(device)

    run()
    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward_and_backward(benchmark, name, code, device):
    function, x = timed(name, code), images(device).requires_grad_()
    upstream = torch.ones_like(function(x, **SETTINGS[name]))
    benchmark.group = f"{name} forward and backward, {device}"

    def run():
        torch.autograd.grad(function(x, **SETTINGS[name]), x, upstream)
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("code", ["reference", "torch float64"])
@pytest.mark.parametrize("name", INSTEAD)
def test_reference(benchmark, name, code):
    x = images("cpu", torch.float64)
    benchmark.group = f"{name} reference"
    if code == "torch float64":
        benchmark(INSTEAD[name], x, **SETTINGS[name])
    else:
        benchmark(inspect.unwrap(getattr(reference, name)), np.asarray(x), **SETTINGS[name])
