"""Each loss beside what a user would call instead: torch's own, the same compiled, and the NumPy reference."""

import functools
import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.losses import reference
from dlcheck.losses import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SHAPES = {"cpu": (1024, 1000), "cuda": (16384, 4096)}
CODES = ["ours", "instead", "compiled", "reference", "torch float64"]
INSTEAD = {
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "huber_loss": F.huber_loss,
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "cross_entropy": F.cross_entropy,
    "nll_loss": F.nll_loss,
    "kl_div": functools.partial(F.kl_div, reduction="batchmean"),
    "hinge_loss": F.multi_margin_loss,
}


def inputs(name, device, dtype):
    generator = torch.Generator(device).manual_seed(0)
    shape = SHAPES[device]
    x = torch.randn(shape, device=device, dtype=dtype, generator=generator).requires_grad_()
    if name in ("cross_entropy", "nll_loss", "hinge_loss"):
        return x, torch.randint(0, shape[1], shape[:1], device=device, generator=generator)
    return x, torch.rand(shape, device=device, dtype=dtype, generator=generator)


def timed(name, code, device):
    """A function of two tensors without arguments left, and its gradient."""
    dtype = torch.float64 if code in ("reference", "torch float64") else torch.float32
    x, target = inputs(name, device, dtype)
    if code == "reference":
        given = x.detach().numpy(), target.numpy()
        value, slope = getattr(reference, name), getattr(reference, f"{name}_backward")
        return lambda: value(*given), lambda: (value(*given), slope(np.ones(()), *given))
    function = inspect.unwrap(getattr(ours, name)) if code == "ours" else INSTEAD[name]
    if code == "compiled":
        function = torch.compile(function)
    with torch.no_grad():
        function(x, target)
    return lambda: function(x, target), lambda: torch.autograd.grad(function(x, target), x)


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
