"""The layers in PyTorch beside torch's own, and the references beside what NumPy and torch's float64 make possible."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.layers import reference
from dlcheck.layers import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SHAPES = {
    "linear": {"cpu": ((256, 1024), (1024, 1024)), "cuda": ((8192, 4096), (4096, 4096))},
    "conv2d": {"cpu": ((8, 64, 32, 32), (64, 64, 3, 3)), "cuda": ((64, 256, 56, 56), (256, 256, 3, 3))},
}
INSTEAD = {"linear": F.linear, "conv2d": lambda x, weight, bias: F.conv2d(x, weight, bias, padding=1)}
SETTINGS = {"linear": {}, "conv2d": {"padding": 1}}
CODES = ["ours", "instead", "reference", "torch float64"]
"""Compiled, what one would call instead is the same call of a library."""


def inputs(name, device, dtype):
    generator = torch.Generator(device).manual_seed(0)
    image, weight = SHAPES[name][device]
    shapes = image, weight, weight[:1]
    return [torch.randn(shape, device=device, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


def timed(name, code):
    """The function, ours without the shape checks of the tests."""
    if code == "ours":
        function = inspect.unwrap(getattr(ours, name))
        return lambda *arrays: function(*arrays, **SETTINGS[name])
    return INSTEAD[name]


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


def of_the_reference(name, backward):
    """The reference in float64 on arrays, and its gradients."""
    arrays = [tensor.detach().numpy() for tensor in inputs(name, "cpu", torch.float64)]
    forward, gradients = (
        inspect.unwrap(getattr(reference, name)),
        inspect.unwrap(getattr(reference, f"{name}_backward")),
    )
    upstream = np.ones_like(forward(*arrays, **SETTINGS[name]))

    def run():
        forward(*arrays, **SETTINGS[name])
        if backward:
            gradients(upstream, *arrays, **SETTINGS[name])

    return run


def skipped(code, device):
    if code in ("reference", "torch float64") and device == "cuda":
        pytest.skip("the reference runs on a CPU")


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SHAPES)
def test_forward(benchmark, name, code, device):
    skipped(code, device)
    benchmark.group = f"{name} forward, {device}"
    if code == "reference":
        return benchmark(of_the_reference(name, backward=False))
    given = inputs(name, device, torch.float64 if code == "torch float64" else torch.float32)
    function = timed(name, code)

    def run():
        with torch.no_grad():
            function(*given)
        finished(device)

    return benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SHAPES)
def test_forward_and_backward(benchmark, name, code, device):
    skipped(code, device)
    benchmark.group = f"{name} forward and backward, {device}"
    if code == "reference":
        return benchmark(of_the_reference(name, backward=True))
    given = inputs(name, device, torch.float64 if code == "torch float64" else torch.float32)
    function = timed(name, code)
    upstream = torch.ones_like(function(*given))

    def run():
        torch.autograd.grad(function(*given), given, upstream)
        finished(device)

    return benchmark(run)


@pytest.mark.parametrize("code", ["matrix product"])
def test_the_matrix_product_of_the_convolution(benchmark, code):
    """What the convolution cannot be faster than: one product of the filters with all windows, laid out before."""
    benchmark.group = "conv2d forward, cpu"
    (examples, channels, rows, columns), (filters, _, height, width) = SHAPES["conv2d"]["cpu"]
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((filters, channels * height * width))
    windows = rng.standard_normal((channels * height * width, examples * rows * columns))
    benchmark(lambda: weight @ windows)
