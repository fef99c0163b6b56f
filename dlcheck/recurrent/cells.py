"""One time step of each recurrent layer, and the way back through it, derived by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Batch = Float[np.ndarray, "N H"]
Blocks = Float[np.ndarray, "N GH"]
Recurrent = Float[np.ndarray, "GH H"]
Bias = Float[np.ndarray, "GH"]
State = tuple[Batch, ...]
"""What a step hands to the next: h, and for an LSTM c."""
Nonlinearity = Literal["tanh", "relu"]
GateActivation = Literal["sigmoid", "hard_sigmoid", "relu6"]
Reset = Literal["after", "before"]
Update = Literal["keeps", "takes"]
Biases = Literal["two", "one"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell whose weights have ``gates`` blocks of H rows and whose state has ``states`` arrays.

    ``step(given, state, weight_hh, bias_hh)`` gives the next state, whose first array is the output, and what the way
    back needs; ``given`` is the input's part of the pre-activations, W_ih x_t + b_ih. ``back(grads, kept, weight_hh)``
    gives, from the gradients of the next state, those of ``given``, weight_hh, bias_hh and the state before.
    """

    gates: int
    states: int
    step: Callable[..., tuple[State, Any]]
    back: Callable[..., tuple[Blocks, Recurrent, Bias, State]]


def blocks(rows: Blocks, count: int) -> list[Batch]:
    """The blocks of pre-activations, as views."""
    size = rows.shape[1] // count
    return [rows[:, start : start + size] for start in range(0, rows.shape[1], size)]


def sigmoid(x: Batch) -> Batch:
    """Logistic function as (1 + tanh(x / 2)) / 2, which cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


HARD_SLOPES = {"hard_sigmoid": 0.2, "relu6": 1 / 6}
"""The slopes of piecewise linear stand-ins of the logistic function, which go through (0, 1/2) up to 0 and 1."""


def hard_sigmoid(x: Batch, slope: float) -> Batch:
    """A line of that slope through (0, 1/2), between 0 and 1."""
    return np.clip(slope * x + 0.5, 0.0, 1.0)


def hard_sigmoid_back(y: Batch, slope: float) -> Batch:
    """Its derivative as a function of the output."""
    return slope * ((y > 0) & (y < 1))


GATES = {
    "sigmoid": (sigmoid, lambda y: y * (1 - y)),
    **{
        name: (partial(hard_sigmoid, slope=slope), partial(hard_sigmoid_back, slope=slope))
        for name, slope in HARD_SLOPES.items()
    },
}
"""Activations of gates with their derivatives as functions of the output."""

NONLINEARITIES = {
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "relu": (lambda x: np.maximum(x, 0.0), lambda y: 1.0 * (y > 0)),
}
"""Activations of a simple recurrent layer with their derivatives as functions of the output."""


def _rnn_step(activation: Any, given: Blocks, state: State, weight: Recurrent, bias: Bias) -> tuple[State, Any]:
    after = activation[0](given + state[0] @ weight.T + bias)
    return (after,), (state[0], after)


def _rnn_back(activation: Any, grads: State, kept: Any, weight: Recurrent) -> tuple[Blocks, Recurrent, Bias, State]:
    h, after = kept
    grad = grads[0] * activation[1](after)
    return grad, grad.T @ h, grad.sum(0), (grad @ weight,)


def rnn_cell(nonlinearity: Nonlinearity) -> Cell:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it."""
    activation = NONLINEARITIES[nonlinearity]
    return Cell(1, 1, partial(_rnn_step, activation), partial(_rnn_back, activation))


def _lstm_step(
    gate: Any, forget_bias: float, given: Blocks, state: State, weight: Recurrent, bias: Bias
) -> tuple[State, Any]:
    h, c = state
    i, f, g, o = blocks(given + (h @ weight.T + bias), 4)
    i, f, g, o = gate[0](i), gate[0](f + forget_bias), np.tanh(g), gate[0](o)
    after = f * c + i * g
    squashed = np.tanh(after)
    return (o * squashed, after), (h, c, i, f, g, o, squashed)


def _lstm_back(gate: Any, grads: State, kept: Any, weight: Recurrent) -> tuple[Blocks, Recurrent, Bias, State]:
    h, c, i, f, g, o, squashed = kept
    slope = gate[1]
    grad_c = grads[1] + grads[0] * o * (1 - squashed * squashed)
    parts = (grad_c * g * slope(i), grad_c * c * slope(f), grad_c * i * (1 - g * g), grads[0] * squashed * slope(o))
    grad = np.hstack(parts)
    return grad, grad.T @ h, grad.sum(0), (grad @ weight, grad_c * f)


def lstm_cell(forget_bias: float, gate_activation: GateActivation) -> Cell:
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t), with the gates i, f, o and the candidate g in the order i, f, g, o."""
    gate = GATES[gate_activation]
    return Cell(4, 2, partial(_lstm_step, gate, forget_bias), partial(_lstm_back, gate))


def averaged(takes: bool, z: Batch, old: Batch, new: Batch) -> Batch:
    """The gated average of the old state and the new one."""
    return old + z * (new - old) if takes else new + z * (old - new)


def _gru_step(
    gate: Any, takes: bool, one_bias: bool, given: Blocks, state: State, weight: Recurrent, bias: Bias
) -> tuple[State, Any]:
    (h,) = state
    given, recurrent = (given + bias, h @ weight.T) if one_bias else (given, h @ weight.T + bias)
    (given_r, given_z, given_n), (from_r, from_z, from_n) = blocks(given, 3), blocks(recurrent, 3)
    r, z = gate[0](given_r + from_r), gate[0](given_z + from_z)
    n = np.tanh(given_n + r * from_n)
    return (averaged(takes, z, h, n),), (h, r, z, n, from_n)


def gates_back(gate: Any, takes: bool, grad: Batch, h: Batch, z: Batch, n: Batch) -> tuple[Batch, Batch, Batch]:
    """Gradients of the candidate's and the update gate's pre-activations, and of the old state in the average."""
    kept, change = (1 - z, n - h) if takes else (z, h - n)
    return grad * (1 - kept) * (1 - n * n), grad * change * gate[1](z), grad * kept


def _gru_back(
    gate: Any, takes: bool, one_bias: bool, grads: State, kept: Any, weight: Recurrent
) -> tuple[Blocks, Recurrent, Bias, State]:
    h, r, z, n, from_n = kept
    grad_n, grad_z, grad_h = gates_back(gate, takes, grads[0], h, z, n)
    grad_r = grad_n * from_n * gate[1](r)
    given, recurrent = np.hstack((grad_r, grad_z, grad_n)), np.hstack((grad_r, grad_z, grad_n * r))
    bias = (given if one_bias else recurrent).sum(0)
    return given, recurrent.T @ h, bias, (grad_h + recurrent @ weight,)


def _gru_before_step(
    gate: Any, takes: bool, given: Blocks, state: State, weight: Recurrent, bias: Bias
) -> tuple[State, Any]:
    (h,) = state
    size = h.shape[1]
    given_rz, given_n = np.split(given + bias, [2 * size], axis=1)
    r, z = np.split(gate[0](given_rz + h @ weight[: 2 * size].T), 2, axis=1)
    n = np.tanh(given_n + (r * h) @ weight[2 * size :].T)
    return (averaged(takes, z, h, n),), (h, r, z, n)


def _gru_before_back(
    gate: Any, takes: bool, grads: State, kept: Any, weight: Recurrent
) -> tuple[Blocks, Recurrent, Bias, State]:
    h, r, z, n = kept
    size = h.shape[1]
    grad_n, grad_z, grad_h = gates_back(gate, takes, grads[0], h, z, n)
    grad_reset = grad_n @ weight[2 * size :]
    grad_rz = np.hstack((grad_reset * h * gate[1](r), grad_z))
    grad_weight = np.vstack((grad_rz.T @ h, grad_n.T @ (r * h)))
    grad = np.hstack((grad_rz, grad_n))
    return grad, grad_weight, grad.sum(0), (grad_h + grad_reset * r + grad_rz @ weight[: 2 * size],)


def gru_cell(reset: Reset, update: Update, biases: Biases, gate_activation: GateActivation) -> Cell:
    """h_t = z h_{t-1} + (1 - z) n with the gates r, z and the candidate n in this order.

    n = tanh(W x_t + b + r (U h_{t-1} + b')) with the reset gate after the recurrent product, tanh(W x_t + b + U (r
    h_{t-1}) + b') before it.
    """
    gate, takes = GATES[gate_activation], update == "takes"
    if reset == "before":
        return Cell(3, 1, partial(_gru_before_step, gate, takes), partial(_gru_before_back, gate, takes))
    one = biases == "one"
    return Cell(3, 1, partial(_gru_step, gate, takes, one), partial(_gru_back, gate, takes, one))
