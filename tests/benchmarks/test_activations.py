"""Each activation in PyTorch beside what a user would call instead: torch's own, or maxout as one writes it."""

import inspect

import pytest
import torch
import torch.nn.functional as F

from dlcheck.activations import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
IMAGES = {"cpu": (16, 64, 28, 28), "cuda": (64, 256, 56, 56)}
ROWS = {"cpu": (1024, 1000), "cuda": (16384, 4096)}
MAXOUT = {"cpu": (1024, 64, 4, 256), "cuda": (8192, 1024, 4, 2048)}
"""Examples, inputs, affine maps, units."""


def maxout_as_written(x, weight, bias):
    """One matrix product, then the maximum over an axis, which gives the gradient to the first of equals as ours."""
    values = F.linear(x, weight.flatten(0, 1), bias.flatten())
    return values.view(len(x), *bias.shape).max(dim=1).values


INSTEAD = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": F.prelu,
    "maxout": maxout_as_written,
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
}


def inputs(name, device):
    generator = torch.Generator(device).manual_seed(0)
    shapes = [ROWS[device] if "softmax" in name else IMAGES[device]]
    if name == "prelu":
        shapes.append(shapes[0][1:2])
    if name == "maxout":
        examples, width, pieces, units = MAXOUT[device]
        shapes = [(examples, width), (pieces, units, width), (pieces, units)]
    return [torch.randn(shape, device=device, generator=generator).requires_grad_() for shape in shapes]


def timed(name, code):
    """The function, ours without the shape checks of the tests."""
    if code == "ours":
        return inspect.unwrap(getattr(ours, name))
    return torch.compile(INSTEAD[name]) if code == "compiled" else INSTEAD[name]


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward(benchmark, name, code, device):
    function, given = timed(name, code), inputs(name, device)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            function(*given)
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward_and_backward(benchmark, name, code, device):
    function, given = timed(name, code), inputs(name, device)
    upstream = torch.ones_like(function(*given))
    benchmark.group = f"{name} forward and backward, {device}"

    def run():
        torch.autograd.grad(function(*given), given, upstream)
        finished(device)

    benchmark(run)
