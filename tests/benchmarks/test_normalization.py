"""Normalisation in PyTorch beside what a user would call instead, and in NumPy beside torch in float64."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.normalization import reference
from dlcheck.normalization import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SHAPES = {
    "batch_norm": {"cpu": (32, 64, 32, 32), "cuda": (128, 256, 56, 56)},
    "local_response_norm": {"cpu": (32, 96, 27, 27), "cuda": (256, 96, 55, 55)},
}
CODES = ["ours", "instead", "compiled", "reference", "torch float64"]


def instead(name, channels, device):
    """torch's own: a layer in training, or the function."""
    if name == "batch_norm":
        return torch.nn.BatchNorm2d(channels, device=device)
    return lambda x: F.local_response_norm(x, 5)


def code_of(name, code, channels, device):
    if code == "ours":
        layer = ours.BatchNorm(channels).to(device) if name == "batch_norm" else None
        return layer or (lambda x: inspect.unwrap(ours.local_response_norm)(x, 5))
    made = instead(name, channels, device)
    if code == "compiled":
        return torch.compile(made)
    return made.double() if code == "torch float64" and name == "batch_norm" else made


def numpy_code(name):
    if name == "batch_norm":
        return lambda x: inspect.unwrap(reference.batch_norm)(x), inspect.unwrap(reference.batch_norm_backward)
    backward = inspect.unwrap(reference.local_response_norm_backward)
    return lambda x: inspect.unwrap(reference.local_response_norm)(x, 5), lambda g, x: backward(g, x, 5)


def prepared(name, code, device):
    if device == "cuda" and code in ("reference", "torch float64"):
        pytest.skip("float64 is timed on the CPU")
    dtype = torch.float64 if code in ("reference", "torch float64") else torch.float32
    x = torch.randn(SHAPES[name][device], generator=torch.Generator().manual_seed(0), dtype=dtype).to(device)
    return x.requires_grad_(), torch.ones_like(x)


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SHAPES)
def test_forward(benchmark, name, code, device):
    x, _ = prepared(name, code, device)
    benchmark.group = f"{name} forward, {device}"
    if code == "reference":
        array = x.detach().numpy()
        benchmark(numpy_code(name)[0], array)
        return
    function = code_of(name, code, x.shape[1], device)

    def run():
        with torch.no_grad():
            function(x)
        finished(device)

    run()
    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SHAPES)
def test_forward_and_backward(benchmark, name, code, device):
    x, upstream = prepared(name, code, device)
    benchmark.group = f"{name} forward and backward, {device}"
    if code == "reference":
        forward, backward = numpy_code(name)
        array, grad = x.detach().numpy(), np.ones(x.shape)
        benchmark(lambda: (forward(array), backward(grad, array)))
        return
    function = code_of(name, code, x.shape[1], device)

    def run():
        torch.autograd.grad(function(x), x, upstream)
        finished(device)

    run()
    benchmark(run)
