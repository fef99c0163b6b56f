"""Recurrent layers beside torch's own, and beside a loop over time of torch's cells, as one writes it."""

import pytest
import torch

from dlcheck.recurrent import reference
from dlcheck.recurrent import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
CLASSES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
SIZES = {"cpu": (64, 32, 128), "cuda": (256, 64, 512)}
"""Steps, sequences, features and units."""


class Loop(torch.nn.Module):
    """A cell in a loop over time."""

    def __init__(self, name, width):
        super().__init__()
        self.cell = getattr(torch.nn, f"{CLASSES[name]}Cell")(width, width)

    def forward(self, x):
        state, outputs = None, []
        for row in x.unbind():
            state = self.cell(row, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs), state


def module(name, code, device):
    width = SIZES[device][2]
    if code == "loop":
        return Loop(name, width).to(device)
    return getattr(ours if code == "ours" else torch.nn, CLASSES[name])(width, width).to(device)


def sequence(device):
    steps, batch, width = SIZES[device]
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(steps, batch, width, device=device, generator=generator, requires_grad=True)


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "loop"])
@pytest.mark.parametrize("name", CLASSES)
def test_forward(benchmark, name, code, device):
    layer, x = module(name, code, device), sequence(device)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            layer(x)
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "loop"])
@pytest.mark.parametrize("name", CLASSES)
def test_forward_and_backward(benchmark, name, code, device):
    layer, x = module(name, code, device), sequence(device)
    benchmark.group = f"{name} forward and backward, {device}"

    def run():
        output, _ = layer(x)
        torch.autograd.backward(output, torch.ones_like(output))
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead"])
@pytest.mark.parametrize("name", CLASSES)
def test_lengths(benchmark, name, code, device):
    """A batch in which half of the steps are padding."""
    layer, x = module(name, code, device), sequence(device)
    steps, batch, _ = SIZES[device]
    lengths = torch.linspace(1, steps, batch).long()
    benchmark.group = f"{name} of unequal lengths, {device}"

    def run():
        with torch.no_grad():
            if code == "ours":
                layer(x, lengths=lengths)
            else:
                packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
                torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0])
        finished(device)

    benchmark(run)


@pytest.mark.parametrize("code", ["reference", "torch float64"])
@pytest.mark.parametrize("name", CLASSES)
def test_reference(benchmark, name, code):
    layer, x = module(name, "instead", "cpu").double(), sequence("cpu").detach().double().requires_grad_()
    held = {key: value.detach().numpy() for key, value in layer.named_parameters()}
    sequences = x.detach().numpy()
    grad = {"output": torch.ones(x.shape, dtype=torch.float64).numpy()}
    benchmark.group = f"{name} reference, forward and backward, cpu"

    def run():
        output, _ = layer(x)
        torch.autograd.backward(output, torch.ones_like(output))

    if code == "reference":
        benchmark(getattr(reference, f"{name}_backward"), grad, sequences, held)
    else:
        benchmark(run)
