"""Autoencoder, free energy, likelihood and contrastive divergence beside the same written with torch's functions."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.pretraining import reference
from dlcheck.pretraining import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SIZES = {"cpu": (256, 784, 256), "cuda": (4096, 4096, 2048)}
"""Examples, visible and hidden units."""
SMALL = {"cpu": (256, 12, 64), "cuda": (4096, 16, 256)}
"""The same for the likelihood, which sums over all visible states."""


def energy(v, w, b, c):
    return -(v @ b) - F.softplus(F.linear(v, w, c)).sum(1)


def likelihood(v, w, b, c):
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=v.device, dtype=v.dtype)] * v.shape[1])
    return -energy(v, w, b, c) - torch.logsumexp(-energy(every, w, b, c), 0)


def divergence(v, w, b, c, u, q):
    with torch.no_grad():
        start = torch.sigmoid(F.linear(v, w, c))
        end, h = v, start
        for hidden, visible in zip(u, q, strict=True):
            end = (visible < torch.sigmoid(F.linear((hidden < h).to(v), w.T, b))).to(v)
            h = torch.sigmoid(F.linear(end, w, c))
        return (start.T @ v - h.T @ end) / len(v), (v - end).mean(0), (start - h).mean(0)


INSTEAD = {
    "autoencoder": lambda x, w, c, b: torch.sigmoid(F.linear(torch.sigmoid(F.linear(x, w, c)), w.T, b)),
    "rbm_free_energy": energy,
    "rbm_log_likelihood": likelihood,
    "contrastive_divergence": divergence,
}
DIFFERENTIABLE = [name for name in INSTEAD if name != "contrastive_divergence"]


def inputs(name, device, dtype=torch.float32):
    n, visible, hidden = (SMALL if name == "rbm_log_likelihood" else SIZES)[device]
    shapes = [(n, visible), (hidden, visible), (visible,), (hidden,)]
    shapes = [shapes[i] for i in (0, 1, 3, 2)] if name == "autoencoder" else shapes
    shapes += [(2, n, hidden), (2, n, visible)] if name == "contrastive_divergence" else []
    generator = torch.Generator(device).manual_seed(0)
    return [torch.rand(shape, device=device, dtype=dtype, generator=generator) - 0.25 for shape in shapes]


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
    function, given = timed(name, code), inputs(name, device)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            function(*given)
        finished(device)

    run()
    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_forward_and_backward(benchmark, name, code, device):
    function, given = timed(name, code), [value.requires_grad_() for value in inputs(name, device)]
    upstream = torch.ones_like(function(*given))
    benchmark.group = f"{name} forward and backward, {device}"

    def run():
        torch.autograd.grad(function(*given), given, upstream)
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("code", ["reference", "torch float64"])
@pytest.mark.parametrize("name", INSTEAD)
def test_reference(benchmark, name, code):
    given = inputs(name, "cpu", torch.float64)
    benchmark.group = f"{name} reference"
    if code == "torch float64":
        benchmark(INSTEAD[name], *given)
    else:
        benchmark(inspect.unwrap(getattr(reference, name)), *map(np.asarray, given))
