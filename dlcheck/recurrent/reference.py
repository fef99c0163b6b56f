"""Recurrent layers in NumPy, forward and backward through time, as their sources write them.

A layer is a function of a sequence and of its parameters by PyTorch's names, for layer k ``weight_ih_lk`` (G H, F),
``weight_hh_lk`` (G H, H), ``bias_ih_lk`` and ``bias_hh_lk`` (G H), with ``_reverse`` at the end for the reverse
direction; G is the number of blocks, 1, 4 or 3. ``name_backward(grad, ...)`` takes the gradients of some of the outputs
by name and returns those of x, of every parameter and, where one was given, of the state.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dlcheck.recurrent import pyramid, stack, unrolling
from dlcheck.recurrent.cells import Biases, GateActivation, Nonlinearity, Reset, Update, gru_cell, lstm_cell, rnn_cell
from dlcheck.recurrent.pyramid import OddLength
from dlcheck.recurrent.stack import Weights
from dlcheck.recurrent.unrolling import STATES, Arrangement, Dropped, PaddedOutput, Recurrence

Sequence = Float[np.ndarray, "first second F"]
Parameters = Mapping[str, Float[np.ndarray, "..."]]
State = Mapping[str, Float[np.ndarray, "L N H"]] | None
Lengths = Int[np.ndarray, "N"] | None
Arrays = dict[str, Float[np.ndarray, "..."]]
Shapes = dict[str, tuple[int, ...]]


def _require_shape(name: str, value: Any, expected: tuple[int, ...]) -> None:
    if np.shape(value) != expected:
        raise ValueError(f"{name} has shape {np.shape(value)}, expected {expected}")


def _require_lengths(lengths: Any, steps: int, batch: int) -> None:
    found = np.asarray(lengths)
    if found.dtype.kind not in "iu":
        raise TypeError(f"lengths has dtype {found.dtype}, expected integers")
    _require_shape("lengths", found, (batch,))
    if batch and not (1 <= found.min() and found.max() <= steps):
        raise ValueError(f"lengths is {found.tolist()}, expected numbers from 1 to {steps}, the steps of x")


def _require(
    shapes: Shapes, arrangement: Arrangement, x: Any, parameters: Parameters, state: State, lengths: Lengths
) -> None:
    """Refuse arguments that do not fit together."""
    if np.ndim(x) != 3 or 0 in np.shape(arrangement.time_first(np.asarray(x)))[:1]:
        raise ValueError(f"x has shape {np.shape(x)}, expected three axes and at least one step")
    steps, batch, features = np.shape(arrangement.time_first(np.asarray(x)))
    hidden = shapes["weight_hh_l0"][1]
    if features != shapes["weight_ih_l0"][1]:
        raise ValueError(f"x has {features} features, expected {shapes['weight_ih_l0'][1]}")
    if set(parameters) != set(shapes):
        odd = sorted(set(parameters) ^ set(shapes))
        raise ValueError(f"parameters differ from the expected ones by {', '.join(odd)}")
    for name, shape in shapes.items():
        _require_shape(name, parameters[name], shape)
    for name, value in (state or {}).items():
        _require_shape(name, value, (len(list(arrangement.runs())), batch, hidden))
    if lengths is not None:
        _require_lengths(lengths, steps, batch)


def _require_gradients(
    grad: Parameters, recurrence: Recurrence, arrangement: Arrangement, x: Any, parameters: Parameters
) -> None:
    hidden, runs = np.shape(parameters["weight_hh_l0"])[1], len(list(arrangement.runs()))
    rows = (runs, np.shape(arrangement.time_first(np.asarray(x)))[1], hidden)
    output = (*np.shape(x)[:2], hidden * runs // arrangement.num_layers)
    expected = {"output": output, **{f"{name}_n": rows for name in STATES[: recurrence.cell.states]}}
    for name, value in grad.items():
        if name not in expected:
            raise ValueError(f"grad has {name}, expected {' or '.join(expected)}")
        _require_shape(f"the gradient of {name}", value, expected[name])


@cache
def _shapes(
    gates: int, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool, bias: bool, biases: Biases
) -> Shapes:
    arrangement, rows = Arrangement(num_layers, bidirectional, bias), gates * hidden_size
    found: Shapes = {}
    for layer, suffix in arrangement.runs():
        below = hidden_size * (1 + bidirectional) if layer else input_size
        for name in arrangement.names(layer, suffix):
            width = (below,) if "weight_ih" in name else (hidden_size,) if "weight_hh" in name else ()
            found[name] = (rows, *width)
    return found if biases == "two" else {name: shape for name, shape in found.items() if "bias_hh" not in name}


def _sizes(parameters: Parameters) -> tuple[int, int]:
    """The number of input features and of hidden units."""
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if name not in parameters or np.ndim(parameters[name]) != 2:
            raise ValueError(f"parameters has no {name} of two axes")
    return np.shape(parameters["weight_ih_l0"])[1], np.shape(parameters["weight_hh_l0"])[1]


def outputs(
    recurrence: Recurrence,
    arrangement: Arrangement,
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
) -> Arrays:
    """What a recurrence gives in an arrangement, once the arguments are found to fit."""
    _require(_expected(recurrence, arrangement, parameters), arrangement, x, parameters, state, lengths)
    return unrolling.forward(recurrence, arrangement, x, parameters, state, lengths)


def gradients(
    recurrence: Recurrence,
    arrangement: Arrangement,
    grad: Parameters,
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
) -> Arrays:
    """What ``outputs`` gives on the way back."""
    _require(_expected(recurrence, arrangement, parameters), arrangement, x, parameters, state, lengths)
    _require_gradients(grad, recurrence, arrangement, x, parameters)
    return unrolling.backward(recurrence, arrangement, grad, x, parameters, state, lengths)


def _expected(recurrence: Recurrence, arrangement: Arrangement, parameters: Parameters) -> Shapes:
    sizes = _sizes(parameters)
    return _shapes(
        recurrence.cell.gates, *sizes, arrangement.num_layers, arrangement.bidirectional, arrangement.bias, "two"
    )


# --- simple recurrent layer ---


def rnn_parameters(
    input_size: int,
    hidden_size: int,
    *,
    nonlinearity: Nonlinearity = "tanh",
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    biases: Biases = "two",
) -> Shapes:
    """The shapes of a simple recurrent layer's parameters by name."""
    return dict(_shapes(1, input_size, hidden_size, num_layers, bidirectional, bias, biases))


def rnn(
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    nonlinearity: Nonlinearity = "tanh",
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
) -> Arrays:
    r"""Simple (Elman) recurrent layers.

    $h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})$, or relu of it. Each layer reads the whole output
    sequence of the one below; the reverse direction reads from a sequence's last step to its first, and the outputs of
    both directions are joined. Of a sequence shorter than x the state stays as it is after its last step.

    Shapes: x (T, N, F), with ``batch_first`` (N, T, F); lengths (N,); state {"h_0": (L, N, H)} with L = layers times
    directions, layers outermost; the result {"output": (T, N, D H), "h_n": (L, N, H)} with D directions.
    Conventions: ``padded_output`` is what the output holds beyond a sequence's length, zeros or the last state;
    ``dropped`` is where dropout acts, between layers, on the "outputs" of every layer or on its "inputs".
    Settings: ``dropout`` in training is 0 or 1, which leaves the upper layers zeros to read.
    Raises: ValueError for shapes that do not fit or lengths out of range, TypeError for lengths that are no integers.
    Source: Elman 1990, "Finding structure in time"; Schuster, Paliwal 1997, "Bidirectional recurrent neural networks",
    section II; Graves et al. 2013, "Speech recognition with deep recurrent neural networks", equation 11; the notes
    001, section 1.2.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return outputs(simple(nonlinearity), arrangement, x, parameters, state, lengths)


def rnn_backward(
    grad: Parameters,
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    nonlinearity: Nonlinearity = "tanh",
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
) -> Arrays:
    r"""Backpropagation through time of ``rnn``.

    With $\delta_t = \phi'(h_t) (\partial E / \partial h_t + W_{hh}^T \delta_{t+1})$: $\partial E / \partial W_{hh} =
    \sum_t \delta_t h_{t-1}^T$, $\partial E / \partial W_{ih} = \sum_t \delta_t x_t^T$, $\partial E / \partial b =
    \sum_t \delta_t$, $\partial E / \partial x_t = W_{ih}^T \delta_t$.

    Shapes and Raises as ``rnn``; grad {"output" or "h_n": their shapes}.
    Source: Werbos 1990, "Backpropagation through time", section III.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return gradients(simple(nonlinearity), arrangement, grad, x, parameters, state, lengths)


def simple(nonlinearity: Nonlinearity) -> Recurrence:
    """The recurrence of ``rnn``. Raises ValueError for an unknown nonlinearity."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
    return Recurrence(rnn_cell(nonlinearity))


# --- long short-term memory ---


def lstm_parameters(
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    biases: Biases = "two",
) -> Shapes:
    """The shapes of an LSTM's parameters by name."""
    return dict(_shapes(4, input_size, hidden_size, num_layers, bidirectional, bias, biases))


def lstm(
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
    forget_bias: float = 0.0,
    gate_activation: GateActivation = "sigmoid",
) -> Arrays:
    r"""Long short-term memory with forget gates, without peepholes.

    $i, f, o = \sigma(W x_t + b + U h_{t-1} + b')$ and $g = \tanh(\ldots)$, each with its own block of the weights, in
    the order i, f, g, o; $c_t = f c_{t-1} + i g$, $h_t = o \tanh(c_t)$.

    Shapes and Raises as ``rnn``; state {"h_0", "c_0"}, and the result has "c_n" too.
    Conventions: ``forget_bias`` is added to the forget gate's pre-activation beside the stored biases;
    ``gate_activation="hard_sigmoid"`` is clip(0.2 x + 0.5, 0, 1), "relu6" min(max(x + 3, 0), 6) / 6; ``padded_output``
    and ``dropped`` as ``rnn``.
    Source: Hochreiter, Schmidhuber 1997, "Long short-term memory"; Gers, Schmidhuber, Cummins 2000, "Learning to
    forget", section 3; Graves et al. 2013, equations 3 to 7; the notes 001, section 1.2.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return outputs(remembering(forget_bias, gate_activation), arrangement, x, parameters, state, lengths)


def lstm_backward(
    grad: Parameters,
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
    forget_bias: float = 0.0,
    gate_activation: GateActivation = "sigmoid",
) -> Arrays:
    r"""Backpropagation through time of ``lstm``.

    With $\epsilon_t = \partial E / \partial h_t$ and $\kappa_t = \partial E / \partial c_t = \epsilon_t o (1 -
    \tanh^2 c_t) + \kappa_{t+1} f_{t+1}$ the pre-activations have the gradients $\kappa_t g\, i(1 - i)$, $\kappa_t
    c_{t-1} f(1 - f)$, $\kappa_t i (1 - g^2)$, $\epsilon_t \tanh(c_t)\, o(1 - o)$, from which those of the weights
    follow as in ``rnn_backward``.

    Shapes, Conventions and Raises as ``lstm``; grad {"output", "h_n" or "c_n": their shapes}.
    Source: Graves, Schmidhuber 2005, "Framewise phoneme classification", appendix A.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return gradients(remembering(forget_bias, gate_activation), arrangement, grad, x, parameters, state, lengths)


def remembering(forget_bias: float = 0.0, gate_activation: GateActivation = "sigmoid") -> Recurrence:
    """The recurrence of ``lstm``."""
    return Recurrence(lstm_cell(forget_bias, gate_activation))


# --- gated recurrent unit ---


def gru_parameters(
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    biases: Biases = "two",
) -> Shapes:
    """The shapes of a GRU's parameters by name."""
    return dict(_shapes(3, input_size, hidden_size, num_layers, bidirectional, bias, biases))


def gru(
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
    reset: Reset = "after",
    update: Update = "keeps",
    biases: Biases = "two",
    gate_activation: GateActivation = "sigmoid",
) -> Arrays:
    r"""Gated recurrent units.

    $r, z = \sigma(W x_t + b + U h_{t-1} + b')$, $n = \tanh(W_n x_t + b_n + r (U_n h_{t-1} + b'_n))$, each with its own
    block of the weights, in the order r, z, n; $h_t = z h_{t-1} + (1 - z) n$.

    Shapes and Raises as ``rnn``.
    Conventions: ``reset="before"`` is $n = \tanh(W_n x_t + b_n + U_n (r h_{t-1}) + b'_n)$; ``update="takes"`` is $h_t =
    (1 - z) h_{t-1} + z n$; ``biases="one"`` adds both biases to the input's part, so that r does not scale $b'_n$;
    ``gate_activation``, ``padded_output`` and ``dropped`` as ``lstm``.
    Source: Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", equations 5 to 8 (reset
    before, z keeps); Chung et al. 2014, "Empirical evaluation of gated recurrent neural networks", equations 4 to 8 (z
    takes); the notes 001, section 1.2.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return outputs(gated(reset, update, biases, gate_activation), arrangement, x, parameters, state, lengths)


def gru_backward(
    grad: Parameters,
    x: Sequence,
    parameters: Parameters,
    state: State = None,
    lengths: Lengths = None,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    dropped: Dropped = "between",
    padded_output: PaddedOutput = "zeros",
    reset: Reset = "after",
    update: Update = "keeps",
    biases: Biases = "two",
    gate_activation: GateActivation = "sigmoid",
) -> Arrays:
    r"""Backpropagation through time of ``gru``.

    With $\epsilon_t = \partial E / \partial h_t$ the pre-activations of n, z and r have the gradients $\nu = \epsilon_t
    (1 - z)(1 - n^2)$, $\epsilon_t (h_{t-1} - n) z (1 - z)$ and $\nu (U_n h_{t-1} + b'_n) r (1 - r)$; the recurrent part
    of n has $\nu r$, and $\epsilon_t z$ goes straight to $h_{t-1}$.

    Shapes, Conventions and Raises as ``gru``; grad {"output" or "h_n": their shapes}.
    Source: derived from the forward equations by the chain rule.
    """
    arrangement = Arrangement(num_layers, bidirectional, bias, batch_first, padded_output, dropout, dropped)
    return gradients(gated(reset, update, biases, gate_activation), arrangement, grad, x, parameters, state, lengths)


def gated(
    reset: Reset = "after",
    update: Update = "keeps",
    biases: Biases = "two",
    gate_activation: GateActivation = "sigmoid",
) -> Recurrence:
    """The recurrence of ``gru``."""
    return Recurrence(gru_cell(reset, update, biases, gate_activation))


# --- pyramidal ---


def _levels(parameters: Parameters) -> list[Arrays]:
    """The parameters of each layer by the LSTM's own names."""
    count = sum(name.endswith(".weight_ih_l0") for name in parameters)
    prefixes = [f"layers.{level}." for level in range(count)]
    found = [{n.removeprefix(p): value for n, value in parameters.items() if n.startswith(p)} for p in prefixes]
    if not count or sum(map(len, found)) != len(parameters):
        raise ValueError(f"parameters has {', '.join(parameters)}, expected those of layers.0, layers.1, ...")
    return found


def _ready(x: Any, levels: int, odd_length: OddLength) -> Any:
    if np.ndim(x) != 3:
        raise ValueError(f"x has shape {np.shape(x)}, expected three axes (B, T, D)")
    padded = pyramid.padded(np.asarray(x), 2**levels) if odd_length == "padded" else np.asarray(x)
    if padded.shape[1] < 2**levels:
        raise ValueError(f"x has {padded.shape[1]} steps, expected at least {2**levels}, to be halved {levels} times")
    return padded


def pyramidal_rnn(x: Sequence, parameters: Parameters, *, odd_length: OddLength = "dropped") -> Arrays:
    r"""Pyramidal bidirectional LSTM: each layer halves the length of the sequence.

    $h^j_i = \mathrm{BLSTM}(h^j_{i-1}, [h^{j-1}_{2i}, h^{j-1}_{2i+1}])$: a layer joins each even step of its input with
    the next one, and reads the result in both directions.

    Shapes: x (B, T, D); parameters "layers.0.weight_ih_l0" (4 H, 2 D), "layers.1.weight_ih_l0" (4 H, 4 H) and so on, by
    the names of ``lstm`` for two directions; the result {"output": (B, T // 2^L, 2 H)}.
    Conventions: ``odd_length`` tells whether an odd last step is dropped by the layer that meets it, or the sequence
    padded with zeros to a multiple of 2^L beforehand.
    Raises: ValueError for shapes that do not fit, or fewer than 2^L steps.
    Source: Chan, Jaitly, Le, Vinyals 2016, "Listen, attend and spell", equation 5; the notes 001, section 1.2.
    """
    levels = _levels(parameters)
    output = _ready(x, len(levels), odd_length)
    for own in levels:
        joined = pyramid.joined(output, pyramid.pairs(output.shape[1]))
        output = lstm(joined, own, bidirectional=True, batch_first=True)["output"]
    return {"output": output}


def pyramidal_rnn_backward(
    grad: Parameters, x: Sequence, parameters: Parameters, *, odd_length: OddLength = "dropped"
) -> Arrays:
    """Backpropagation through time of ``pyramidal_rnn``: each layer's, then its joined steps taken apart.

    Shapes, Conventions and Raises as ``pyramidal_rnn``; grad {"output": its shape}.
    Source: derived from the forward equations by the chain rule.
    """
    levels = _levels(parameters)
    below = [_ready(x, len(levels), odd_length)]
    orders = []
    for own in levels:
        orders.append(pyramid.pairs(below[-1].shape[1]))
        joined = pyramid.joined(below[-1], orders[-1])
        below.append(lstm(joined, own, bidirectional=True, batch_first=True)["output"])
    arriving, found = np.asarray(grad["output"]), {}
    for level in reversed(range(len(levels))):
        joined = pyramid.joined(below[level], orders[level])
        gradients = lstm_backward({"output": arriving}, joined, levels[level], bidirectional=True, batch_first=True)
        arriving = pyramid.joined_back(gradients.pop("x"), orders[level], below[level].shape[1])
        found |= {f"layers.{level}.{name}": value for name, value in gradients.items()}
    return {"x": arriving[:, : np.shape(x)[1]]} | {name: found[name] for name in parameters}


# --- stack ---


def _stack_arguments(x: Any, parameters: Parameters, state: State, stack_depth: int) -> tuple[Any, Weights, Any, Any]:
    """The arrays, with the first state and stack."""
    if set(parameters) != set(Weights._fields):
        raise ValueError(f"parameters has {', '.join(parameters)}, expected {', '.join(Weights._fields)}")
    if stack_depth < 1:
        raise ValueError(f"stack_depth was {stack_depth}, expected a number of at least 1")
    weights = Weights(**{name: np.asarray(value) for name, value in parameters.items()})
    hidden = len(weights.U)
    if np.ndim(x) != 3 or weights.U.shape != (hidden, np.shape(x)[2]):
        raise ValueError(f"x has shape {np.shape(x)}, expected (B, T, {weights.U.shape[-1]})")
    shapes = {"R": (hidden, hidden), "P": (hidden, 1), "A": (3, hidden), "D": (1, hidden)}
    for name, shape in shapes.items():
        _require_shape(name, parameters[name], shape)
    batch = len(x)
    first = {"h": np.zeros((batch, hidden)), "stack": np.full((batch, stack_depth), stack.EMPTY)}
    for name, value in (state or {}).items():
        _require_shape(name, value, first[name].shape)
    return np.asarray(x), weights, *{**first, **(state or {})}.values()


def stack_rnn(x: Sequence, parameters: Parameters, state: State = None, *, stack_depth: int) -> Arrays:
    r"""Recurrent network with a stack as its memory.

    $h_t = \sigma(U x_t + R h_{t-1} + P s_{t-1}[0])$, $a_t = \mathrm{softmax}(A h_t)$ the shares of push, pop and no-op,
    $s_t[0] = a_t[0]\, \sigma(D h_t) + a_t[1]\, s_{t-1}[1] + a_t[2]\, s_{t-1}[0]$, $s_t[i] = a_t[0]\, s_{t-1}[i - 1] +
    a_t[1]\, s_{t-1}[i + 1] + a_t[2]\, s_{t-1}[i]$, where below the bottom, and in an empty stack, all is -1. The first
    state is zero and the first stack empty, unless given.

    Shapes: x (B, T, F); U (H, F), R (H, H), P (H, 1), A (3, H), D (1, H); state {"h": (B, H), "stack": (B, K)} with K =
    ``stack_depth``; the result {"h": (B, T, H), "stack": (B, T, K)}.
    Raises: ValueError for shapes that do not fit or a stack_depth below 1.
    Source: Joulin, Mikolov 2015, "Inferring algorithmic patterns with stack-augmented recurrent nets", section 3.2,
    with the no-op of its section 3.3; the notes 001, section 1.2.
    """
    x, weights, h, held = _stack_arguments(x, parameters, state, stack_depth)
    states, stacks = np.empty((*x.shape[:2], h.shape[1])), np.empty((*x.shape[:2], stack_depth))
    for t in range(x.shape[1]):
        h, held, _ = stack.step(x[:, t], h, held, weights)
        states[:, t], stacks[:, t] = h, held
    return {"h": states, "stack": stacks}


def stack_rnn_backward(
    grad: Parameters, x: Sequence, parameters: Parameters, state: State = None, *, stack_depth: int
) -> Arrays:
    r"""Backpropagation through time of ``stack_rnn``.

    With $\epsilon_t = \partial E / \partial s_t$ an action has the gradient $\sum_i \epsilon_t[i]\, m_t[i]$, $m_t$ what
    it alone would make of the stack, the pushed value $a_t[0]\, \epsilon_t[0]$, and the stack before the sum of what
    each action moved from there, besides what reaches its top through $P$.

    Shapes and Raises as ``stack_rnn``; grad {"h", "stack": their shapes, of which one may be missing}.
    Source: derived from the forward equations by the chain rule.
    """
    x, weights, h, held = _stack_arguments(x, parameters, state, stack_depth)
    tape = []
    for t in range(x.shape[1]):
        h, held, kept = stack.step(x[:, t], h, held, weights)
        tape.append(kept)
    grad_h, grad_stack, grad_x = np.zeros_like(h), np.zeros_like(held), np.empty_like(x)
    found = [np.zeros_like(weight) for weight in weights]
    for t in reversed(range(x.shape[1])):
        arriving = grad_h + grad["h"][:, t] if "h" in grad else grad_h
        above = grad_stack + grad["stack"][:, t] if "stack" in grad else grad_stack
        grad_x[:, t], grad_h, grad_stack, more = stack.step_back(arriving, above, tape[t], weights)
        found = [total + own for total, own in zip(found, more, strict=True)]
    starts = {name: value for name, value in (("h", grad_h), ("stack", grad_stack)) if name in (state or {})}
    return {"x": grad_x, **dict(zip(Weights._fields, found, strict=True)), **starts}
