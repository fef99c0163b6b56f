"""Pyramidal and stack RNNs beside what one would write instead: a plain loop over time."""

import numpy as np
import pytest
import torch
from torch.nn.functional import linear

from dlcheck.recurrent import reference
from dlcheck.recurrent import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SIZES = {"stack_rnn": (8, 32, 32), "pyramidal_rnn": (32, 64, 2)}
"""Features, units; places of the stack, layers of the pyramid."""
STEPS, BATCH = 64, 16
CODES = ["ours", "instead"]
"""Not compiled: that takes minutes for a loop, which it unrolls."""


class StackLoop(ours.StackRNN):
    """The formulas as they stand."""

    def forward(self, x):
        h, stack = x.new_zeros(len(x), len(self.U)), x.new_full((len(x), self.stack_depth), -1.0)
        bottom, states, stacks = x.new_full((len(x), 1), -1.0), [], []
        for row in x.unbind(1):
            h = torch.sigmoid(linear(row, self.U) + linear(h, self.R) + linear(stack[:, :1], self.P))
            push, pop, still = torch.softmax(linear(h, self.A), 1).split(1, 1)
            pushed = torch.cat((torch.sigmoid(linear(h, self.D)), stack[:, :-1]), 1)
            stack = push * pushed + pop * torch.cat((stack[:, 1:], bottom), 1) + still * stack
            states.append(h)
            stacks.append(stack)
        return torch.stack(states, 1), torch.stack(stacks, 1)


class PyramidLoop(torch.nn.Module):
    """Cells of torch in a loop over time, in each direction."""

    def __init__(self, features, hidden, levels):
        super().__init__()
        widths = [2 * features] + [4 * hidden] * (levels - 1)
        self.cells = torch.nn.ModuleList(torch.nn.LSTMCell(width, hidden) for width in widths for _ in range(2))

    def forward(self, x):
        for forwards, backwards in zip(self.cells[::2], self.cells[1::2], strict=True):
            x = x[:, : x.shape[1] // 2 * 2].reshape(len(x), x.shape[1] // 2, -1)
            reverse = self.scanned(backwards, x.flip(1)).flip(1)
            x = torch.cat((self.scanned(forwards, x), reverse), 2)
        return x

    def scanned(self, cell, x):
        state, outputs = None, []
        for row in x.unbind(1):
            state = cell(row, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)


def module(name, code, device):
    classes = {"stack_rnn": (ours.StackRNN, StackLoop), "pyramidal_rnn": (ours.PyramidalRNN, PyramidLoop)}
    return classes[name][code == "instead"](*SIZES[name]).to(device)


def sequence(name, device):
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(BATCH, STEPS, SIZES[name][0], device=device, generator=generator, requires_grad=True)


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SIZES)
def test_forward(benchmark, name, code, device):
    layer, x = module(name, code, device), sequence(name, device)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            layer(x)
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", SIZES)
def test_forward_and_backward(benchmark, name, code, device):
    layer, x = module(name, code, device), sequence(name, device)
    benchmark.group = f"{name} forward and backward, {device}"

    def run():
        outputs = layer(x)
        torch.autograd.backward(outputs, torch.ones_like(outputs) if name == "pyramidal_rnn" else
                                [torch.ones_like(output) for output in outputs])  # fmt: skip
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("code", ["reference", "torch float64"])
@pytest.mark.parametrize("name", SIZES)
def test_reference(benchmark, name, code):
    layer, x = module(name, "ours", "cpu").double(), sequence(name, "cpu").double()
    held = {key: value.detach().numpy() for key, value in layer.named_parameters()}
    settings = {"stack_depth": SIZES[name][2]} if name == "stack_rnn" else {}
    benchmark.group = f"{name} reference, cpu"

    def run():
        with torch.no_grad():
            layer(x)

    if code == "reference":
        benchmark(getattr(reference, name), np.asarray(x.detach()), held, **settings)
    else:
        benchmark(run)
