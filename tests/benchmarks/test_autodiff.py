"""Reverse mode over our graphs beside torch's autograd: small nodes, where bookkeeping is all, and large arrays."""

import numpy as np
import pytest
import torch

from dlcheck.autodiff import reference
from dlcheck.autodiff import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)


def chain(x):
    """A thousand numbers in a row."""
    for _ in range(500):
        x = (x * 1.001).sin()
    return x


def network(x):
    """Eight layers and a sum."""
    hidden = x
    for _ in range(8):
        hidden = (hidden @ x).tanh()
    return hidden.sum()


PROGRAMS = {"chain": (chain, ()), "network": (network, (256, 256))}


def autograd(function, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


def by_sweep(module):
    def gradient(function, x):
        output, pullback = module.vjp(function, x)
        return pullback(output * 0 + 1)[0]

    return gradient


CODES = {"ours": by_sweep(ours), "instead": autograd, "reference": by_sweep(reference), "torch float64": autograd}


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_forward_and_backward(benchmark, name, code, device):
    function, shape = PROGRAMS[name]
    benchmark.group = f"vjp forward and backward, {name}, {device}"
    if device == "cuda" and code in ("reference", "torch float64"):
        pytest.skip("float64 is timed on the CPU")
    values = np.random.default_rng(0).uniform(-0.1, 0.1, shape)
    double = code in ("reference", "torch float64")
    x = (
        values
        if code == "reference"
        else torch.tensor(values, dtype=torch.float64 if double else torch.float32).to(device)
    )

    def run():
        CODES[code](function, x)
        if device == "cuda":
            torch.cuda.synchronize()

    benchmark(run)
