"""Pyramidal and stack RNNs: by hand, gradients by differences, beside plain torch, and what both versions refuse."""

import re

import numpy as np
import pytest
import torch

from dlcheck.evidence.numerics import difference, unit_roundoff
from dlcheck.recurrent import reference
from dlcheck.recurrent import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
RNG = np.random.default_rng(0)


def close(actual, expected, roundings=1000, dtype="float64"):
    scale = roundings * unit_roundoff(dtype)
    return np.allclose(actual, expected, rtol=scale, atol=scale)


def stack_parameters(features=3, hidden=4, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"U": (hidden, features), "R": (hidden, hidden), "P": (hidden, 1), "A": (3, hidden), "D": (1, hidden)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def pyramid_parameters(levels=2, features=3, hidden=2, seed=0):
    module = ours.PyramidalRNN(features, hidden, levels, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.normal(size=value.shape) for name, value in module.state_dict().items()}


def loaded(module, parameters):
    module.load_state_dict({name: torch.tensor(value) for name, value in parameters.items()})
    return module


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_two_steps_of_a_stack_by_hand():
    """One unit, two places, equal shares of the actions: s = (v - 1 - 1) / 3 on top of the empty stack."""
    held = {"U": [[1.0]], "R": [[2.0]], "P": [[3.0]], "A": [[0.0]] * 3, "D": [[1.0]]}
    held = {name: np.array(value) for name, value in held.items()}
    found = reference.stack_rnn(np.array([[[0.5], [0.25]]]), held, stack_depth=2)
    first = sigmoid(0.5 - 3)
    top = (sigmoid(first) - 2) / 3
    second = sigmoid(0.25 + 2 * first + 3 * top)
    assert close(found["h"][0, :, 0], [first, second])
    expected = [[top, -1.0], [(sigmoid(second) - 1 + top) / 3, (top - 2) / 3]]
    assert close(found["stack"][0], expected)


def test_one_pair_of_a_pyramid_is_an_lstm_on_both_steps():
    held, x = pyramid_parameters(levels=1), RNG.normal(size=(2, 2, 3))
    own = {name.removeprefix("layers.0."): value for name, value in held.items()}
    expected = reference.lstm(x.reshape(2, 1, 6), own, bidirectional=True, batch_first=True)["output"]
    assert (reference.pyramidal_rnn(x, held)["output"] == expected).all()


def test_a_pyramid_beside_plain_torch():
    held, x = pyramid_parameters(levels=3), RNG.normal(size=(2, 21, 3))
    y = torch.tensor(x)
    for level, width in enumerate((6, 8, 8)):
        lstm = torch.nn.LSTM(width, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
        prefix = f"layers.{level}."
        loaded(lstm, {n.removeprefix(prefix): value for n, value in held.items() if n.startswith(prefix)})
        y, _ = lstm(torch.cat((y[:, 0 : y.shape[1] // 2 * 2 : 2], y[:, 1::2][:, : y.shape[1] // 2]), 2))
    assert close(reference.pyramidal_rnn(x, held)["output"], y.detach())
    mine = loaded(ours.PyramidalRNN(3, 2, 3, dtype=torch.float64), held)
    assert close(mine(torch.tensor(x)).detach(), y.detach())


def by_difference(loss, arrays):
    """The gradient along a random direction of each array."""
    found = {}
    for name, value in arrays.items():
        direction = np.random.default_rng(len(found)).normal(size=value.shape)
        found[name] = (
            direction,
            difference(
                np.vectorize(lambda step, n=name, v=value, d=direction: loss({**arrays, n: v + step * d})), np.zeros(1)
            )[0],
        )
    return found


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("outputs", [("h",), ("stack",), ("h", "stack")])
def test_stack_gradients_are_those_of_differences(outputs, state):
    x, held = RNG.normal(size=(2, 5, 3)), stack_parameters()
    start = {"h": RNG.random((2, 4)), "stack": RNG.normal(size=(2, 3))} if state else {}
    grad = {name: RNG.normal(size=(2, 5, {"h": 4, "stack": 3}[name])) for name in outputs}
    found = reference.stack_rnn_backward(grad, x, held, start, stack_depth=3)

    def loss(arrays):
        weights = {name: arrays[name] for name in held}
        values = reference.stack_rnn(arrays["x"], weights, {n: arrays[n] for n in start}, stack_depth=3)
        return sum((grad[name] * values[name]).sum() for name in outputs)

    for name, (direction, expected) in by_difference(loss, {"x": x, **held, **start}).items():
        assert close((found[name] * direction).sum(), expected, 1e6)


@pytest.mark.parametrize("odd_length", ["dropped", "padded"])
def test_pyramid_gradients_are_those_of_differences(odd_length):
    x, held = RNG.normal(size=(2, 7, 3)), pyramid_parameters()
    shape = reference.pyramidal_rnn(x, held, odd_length=odd_length)["output"].shape
    grad = {"output": RNG.normal(size=shape)}
    found = reference.pyramidal_rnn_backward(grad, x, held, odd_length=odd_length)

    def loss(arrays):
        weights = {name: arrays[name] for name in held}
        return (grad["output"] * reference.pyramidal_rnn(arrays["x"], weights, odd_length=odd_length)["output"]).sum()

    for name, (direction, expected) in by_difference(loss, {"x": x, **held}).items():
        assert close((found[name] * direction).sum(), expected, 1e6)


def test_a_padded_pyramid_has_a_step_more():
    x, held = RNG.normal(size=(1, 5, 3)), pyramid_parameters()
    assert reference.pyramidal_rnn(x, held)["output"].shape == (1, 1, 4)
    padded = np.concatenate((x, np.zeros((1, 3, 3))), axis=1)
    expected = reference.pyramidal_rnn(padded, held)["output"]
    assert (reference.pyramidal_rnn(x, held, odd_length="padded")["output"] == expected).all()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_way_back_of_torchs_stack_is_its_own_derivative(device):
    module = loaded(ours.StackRNN(3, 4, 3, dtype=torch.float64), stack_parameters()).to(device)
    shapes = [(2, 4, 3), (2, 4), (2, 3)]
    generator = torch.Generator(device).manual_seed(0)
    given = [torch.randn(s, dtype=torch.float64, device=device, generator=generator).requires_grad_() for s in shapes]
    held = dict(module.named_parameters())

    def called(x, h, stack, *weights):
        parameters = dict(zip(held, weights, strict=True))
        return torch.func.functional_call(module, parameters, (x, {"h": h, "stack": stack}))

    assert torch.autograd.gradcheck(called, (*given, *held.values()))


def test_a_sequence_in_two_parts_is_the_whole():
    module = loaded(ours.StackRNN(3, 4, 6, dtype=torch.float64), stack_parameters())
    x = torch.tensor(RNG.normal(size=(2, 9, 3)))
    h, stack = module(x)
    first = module(x[:, :4])
    second = module(x[:, 4:], {"h": first[0][:, -1], "stack": first[1][:, -1]})
    assert torch.equal(torch.cat((first[0], second[0]), 1), h)
    assert torch.equal(torch.cat((first[1], second[1]), 1), stack)


def test_an_empty_batch_and_an_empty_sequence():
    module = ours.StackRNN(3, 4, 2)
    assert [part.shape for part in module(torch.zeros(0, 5, 3))] == [(0, 5, 4), (0, 5, 2)]
    assert [part.shape for part in module(torch.zeros(2, 0, 3))] == [(2, 0, 4), (2, 0, 2)]
    assert reference.stack_rnn(np.zeros((0, 5, 3)), stack_parameters(), stack_depth=2)["stack"].shape == (0, 5, 2)


def test_parameters_start_at_the_scale_of_their_fan_in():
    module = ours.StackRNN(400, 100, 5)
    assert set(dict(module.named_parameters())) == set("URPAD")
    assert abs(module.U.std().item() * 20 - 1) < 0.1


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5)])
def test_stack_refuses_a_sequence_of_another_shape(shape):
    message = f"^{re.escape(f'x has shape {shape}, expected (B, T, 3)')}$"
    with pytest.raises(ValueError, match=message):
        reference.stack_rnn(np.zeros(shape), stack_parameters(), stack_depth=2)
    with pytest.raises(ValueError, match=message):
        ours.StackRNN(3, 4, 2)(torch.zeros(shape))


def test_stack_refuses_no_places_and_a_state_that_does_not_fit():
    with pytest.raises(ValueError, match="stack_depth was 0, expected a number of at least 1"):
        ours.StackRNN(3, 4, 0)
    with pytest.raises(ValueError, match="stack_depth was 0, expected a number of at least 1"):
        reference.stack_rnn(np.zeros((1, 1, 3)), stack_parameters(), stack_depth=0)
    message = re.escape("stack has shape (1, 3), expected (1, 2)")
    with pytest.raises(ValueError, match=message):
        ours.StackRNN(3, 4, 2)(torch.zeros(1, 1, 3), {"stack": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match=message):
        reference.stack_rnn(np.zeros((1, 1, 3)), stack_parameters(), {"stack": np.zeros((1, 3))}, stack_depth=2)
    odd = stack_parameters() | {"A": np.zeros((2, 4))}
    with pytest.raises(ValueError, match=re.escape("A has shape (2, 4), expected (3, 4)")):
        reference.stack_rnn(np.zeros((1, 1, 3)), odd, stack_depth=2)
    with pytest.raises(ValueError, match="expected U, R, P, A, D"):
        reference.stack_rnn(np.zeros((1, 1, 3)), {"U": np.zeros((4, 3))}, stack_depth=2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3), "x has shape (4, 3), expected three axes (B, T, D)"),
        ((2, 3, 3), "x has 3 steps, expected at least 4, to be halved 2 times"),
    ],
)
def test_pyramid_refuses_sequences_that_cannot_be_halved(shape, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reference.pyramidal_rnn(np.zeros(shape), pyramid_parameters())
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ours.PyramidalRNN(3, 2, 2)(torch.zeros(shape))


def test_pyramid_refuses_parameters_of_no_layer():
    with pytest.raises(ValueError, match=r"expected those of layers\.0, layers\.1, \.\.\."):
        reference.pyramidal_rnn(np.zeros((1, 2, 3)), {"weight_ih_l0": np.zeros((8, 6))})
