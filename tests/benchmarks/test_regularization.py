"""Dropout, penalties and clipping beside what a user would call instead, and the NumPy reference."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.regularization import reference
from dlcheck.regularization import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SHAPES = {"cpu": (1024, 1000), "cuda": (16384, 4096)}
TENSORS = {"cpu": [(512, 512)] * 8 + [(512,)] * 40, "cuda": [(2048, 2048)] * 16 + [(2048,)] * 160}
CODES = ["ours", "instead", "compiled", "reference", "torch float64"]
INSTEAD = {
    "dropout": F.dropout,
    "l1_penalty": lambda weight: weight.abs().sum(),
    "l2_penalty": lambda weight: 0.5 * weight.square().sum(),
}
CLIPPING = {
    "clip_grad_norm": torch.nn.utils.clip_grad_norm_,
    "clip_grad_value": torch.nn.utils.clip_grad_value_,
}


def timed(name, code, device):
    """The function alone, and with its gradient."""
    dtype = torch.float64 if code in ("reference", "torch float64") else torch.float32
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(SHAPES[device], device=device, dtype=dtype, generator=generator).requires_grad_()
    if code == "reference":
        return _timed_reference(name, x.detach().numpy())
    function = inspect.unwrap(getattr(ours, name)) if code == "ours" else INSTEAD[name]
    if code == "compiled":
        function = torch.compile(function)
    upstream = torch.ones_like(function(x))
    return lambda: function(x), lambda: torch.autograd.grad(function(x), x, upstream)


def _timed_reference(name, x):
    value, slope = getattr(reference, name), getattr(reference, f"{name}_backward")
    if name == "dropout":
        rng = np.random.default_rng(0)
        return lambda: value(x, rng=rng), lambda: slope(x, value(x, rng=rng), x)
    return lambda: value(x), lambda: (value(x), slope(np.ones(()), x))


def unless_impossible(code, device):
    if code == "reference" and device == "cuda":
        pytest.skip("NumPy has no CUDA device")


def run(benchmark, function, device):
    def call():
        function()
        if device == "cuda":
            torch.cuda.synchronize()

    benchmark(call)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", INSTEAD)
def test_forward(benchmark, name, code, device):
    unless_impossible(code, device)
    benchmark.group = f"{name} forward, {device}"
    forward, _ = timed(name, code, device)
    with torch.no_grad():
        run(benchmark, forward, device)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", INSTEAD)
def test_forward_and_backward(benchmark, name, code, device):
    unless_impossible(code, device)
    benchmark.group = f"{name} forward and backward, {device}"
    _, both = timed(name, code, device)
    run(benchmark, both, device)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "reference"])
@pytest.mark.parametrize("name", CLIPPING)
def test_clipping(benchmark, name, code, device):
    unless_impossible(code, device)
    benchmark.group = f"{name}, {device}"
    generator = torch.Generator(device).manual_seed(0)
    params = [torch.nn.Parameter(torch.zeros(shape, device=device)) for shape in TENSORS[device]]
    for param in params:
        param.grad = torch.randn(param.shape, device=device, generator=generator)
    function = CLIPPING[name] if code == "instead" else getattr(ours if code == "ours" else reference, name)
    given = [param.grad.numpy() for param in params] if code == "reference" else params
    run(benchmark, lambda: function(given, 1.0), device)
