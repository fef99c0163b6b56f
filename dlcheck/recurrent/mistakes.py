"""What the known mistakes are made of: changed arguments with their adjoints, changed cells, changed ways back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dlcheck.component import faults_in
from dlcheck.recurrent import reference
from dlcheck.recurrent.cells import GATES, HARD_SLOPES, Cell, averaged, gates_back, sigmoid
from dlcheck.recurrent.unrolling import Arrangement, Recurrence

# What goes wrong, in the words of those whom it happens to.

FORGETS = "The layer sees little more than the last step, however long the sequence is."
NO_CREDIT = "What happened early gets no credit: only short dependencies are learned."
OTHER_WEIGHTS = "Weights trained elsewhere give other outputs; training from scratch hides it."
LESS = "The layer expresses less than it should, and trains worse."
OVERFITS = "Regularisation is not what was set: the network overfits, or learns from less than it should."
NOISY = "The same sequence gives another answer each time."
UNBOUNDED = "States grow without bound and overflow on long sequences."
PADDING = "Short sequences of a batch depend on how much they are padded."
BLIND = "Outputs of the second direction belong to other steps than those that they are joined to."
UNTRAINED = "Parameters are held and saved that nothing trains."
WRONG_STEP = "Gradients point elsewhere: training is slow or fails, without any error."
RESUMED = "A sequence that is read in parts differs from one that is read at once."
UNSTABLE = "Gradients grow from step to step, and training diverges on long sequences."
MIXED = "Sequences are mixed up with steps, silently where the shapes allow it."

ALL = ("rnn", "lstm", "gru")
GATED = ("lstm", "gru")
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}

Arrays = Mapping[str, Any]
Replaced = dict[str, Callable[..., Any]]
Map = Callable[..., dict[str, Any]]
Unit = Callable[..., tuple[Any, ...]]
_TINY = 1e-30
"""A complex step: the imaginary part of f(x + i h) over h is f'(x) to the last digit, for h squared vanishes."""

_ARRANGEMENT = ("num_layers", "bidirectional", "bias", "batch_first", "padded_output", "dropout", "dropped")
_RECURRENCES: dict[str, Callable[..., Recurrence]] = {
    "rnn": reference.simple,
    "lstm": reference.remembering,
    "gru": reference.gated,
}
_DEFAULT_NONLINEARITY = {"rnn": {"nonlinearity": "tanh"}}


faults = partial(faults_in, str)
"""One mistake in each of some components."""


def same(arrays: Any, *_: Any) -> Any:
    """The arrays as they are."""
    return arrays


def mapped(
    name: str,
    parameters: tuple[Map, Map] = (same, same),
    state: tuple[Map, Map] = (same, same),
    outputs: tuple[Map, Map] = (same, same),
    lengths: Callable[[Any], Any] = same,
    settings: Callable[[dict[str, Any]], dict[str, Any]] = same,
) -> Replaced:
    """The layer with linear maps on what goes in and what comes out; each map comes with its adjoint.

    A map of parameters or states is given the arrays, one of outputs the arrays, x, the lengths and the settings.
    """
    forward, backward = getattr(reference, name), getattr(reference, f"{name}_backward")

    def mistaken(x: Any, held: Arrays, start: Any = None, steps: Any = None, **given: Any) -> Any:
        start = state[0](start) if start else start
        found = forward(x, parameters[0](held), start, lengths(steps), **settings(given))
        return outputs[0](found, x, steps, given)

    def mistaken_backward(
        grad: Arrays, x: Any, held: Arrays, start: Any = None, steps: Any = None, **given: Any
    ) -> Any:
        changed = outputs[1](grad, x, steps, given)
        begun = state[0](start) if start else start
        found = backward(changed, x, parameters[0](held), begun, lengths(steps), **settings(given))
        back = parameters[1]({key: found[key] for key in held})
        return {"x": found["x"], **back, **(state[1]({key: found[key] for key in start}) if start else {})}

    return with_arguments(name, mistaken, mistaken_backward)


def with_arguments(name: str, forward: Callable[..., Any], backward: Callable[..., Any]) -> Replaced:
    """The pair as replacements that are called by the reference's argument names."""

    def called(x: Any, parameters: Any, state: Any = None, lengths: Any = None, **given: Any) -> Any:
        return forward(x, parameters, state, lengths, **given)

    def called_backward(
        grad: Any, x: Any, parameters: Any, state: Any = None, lengths: Any = None, **given: Any
    ) -> Any:
        return backward(grad, x, parameters, state, lengths, **given)

    return {name: called, f"{name}_backward": called_backward}


def where(name: str, applies: Callable[[Any, Any, dict[str, Any]], bool], mistaken: Replaced) -> Replaced:
    """The mistake in those calls alone that it applies to: a function of x, the state and the settings."""

    def chosen(key: str, x: Any, state: Any, given: dict[str, Any]) -> Callable[..., Any]:
        return mistaken[key] if applies(x, state, given) else getattr(reference, key)

    def forward(x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        return chosen(name, x, state, given)(x, parameters, state, lengths, **given)

    def backward(grad: Any, x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        return chosen(f"{name}_backward", x, state, given)(grad, x, parameters, state, lengths, **given)

    return with_arguments(name, forward, backward)


def changed(name: str, change: Callable[..., Recurrence]) -> Replaced:
    """The layer on another recurrence: ``change(recurrence, state, **conventions)``."""

    def parts(state: Any, given: dict[str, Any]) -> tuple[Recurrence, Arrangement]:
        arrangement = Arrangement(**{key: value for key, value in given.items() if key in _ARRANGEMENT})
        others = {key: value for key, value in given.items() if key not in _ARRANGEMENT}
        made = _RECURRENCES[name](**{**_DEFAULT_NONLINEARITY.get(name, {}), **others})
        return change(made, state, **others), arrangement

    def forward(x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        return reference.outputs(*parts(state, given), x, parameters, state, lengths)

    def backward(grad: Any, x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        return reference.gradients(*parts(state, given), grad, x, parameters, state, lengths)

    return with_arguments(name, forward, backward)


def stepping(name: str, unit: Unit) -> Replaced:
    """The layer with another cell, elementwise in its pre-activations.

    ``unit(given, recurrent, state, gate, **conventions)`` gives the next state; ``given`` and ``recurrent`` are the
    input's and the state's parts of the pre-activations, block by block.
    """

    def change(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
        gate = _COMPLEX_GATES[conventions.pop("gate_activation", "sigmoid")]

        def bound(given: Any, recurrent: Any, state: Any) -> tuple[Any, ...]:
            return unit(given, recurrent, state, gate, **conventions)

        return replace(recurrence, cell=differentiated(bound, recurrence.cell))

    return changed(name, change)


def back_changed(name: str, back: Callable[..., Any]) -> Replaced:
    """The layer with another way back through a step: ``back(right, grads, kept, weight_hh)``."""

    def change(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
        right = recurrence.cell.back
        cell = replace(recurrence.cell, back=lambda grads, kept, weight: back(right, grads, kept, weight))
        return replace(recurrence, cell=cell)

    return only_back(changed(name, change))


def only_back(replaced: Replaced) -> Replaced:
    """The mistaken way back alone."""
    return {name: function for name, function in replaced.items() if name.endswith("_backward")}


def differentiated(unit: Unit, cell: Cell) -> Cell:
    """A cell of an elementwise unit; its way back is by complex steps."""

    def step(given: Any, state: Any, weight: Any, bias: Any) -> Any:
        parts = np.split(given, cell.gates, axis=1), np.split(state[0] @ weight.T + bias, cell.gates, axis=1)
        return unit(*parts, state), (*parts, state)

    def back(grads: Any, kept: Any, weight: Any) -> Any:
        given, recurrent, state = (_pulled_back(unit, kept, which, grads) for which in range(3))
        blocks = np.hstack(recurrent)
        before = (state[0] + blocks @ weight, *state[1:])
        return np.hstack(given), blocks.T @ kept[2][0], blocks.sum(0), before

    return Cell(cell.gates, cell.states, step, back)


def _pulled_back(unit: Unit, kept: Any, which: int, grads: Any) -> list[Any]:
    """The gradients of one of the unit's arguments, array by array."""

    def of(index: int) -> Any:
        moved = [list(argument) for argument in kept]
        moved[which][index] = moved[which][index] + 1j * _TINY
        return sum(grad * np.imag(value) / _TINY for grad, value in zip(grads, unit(*moved), strict=True))

    return [of(index) for index in range(len(kept[which]))]


def mixed_reset(recurrence: Recurrence, state: Any, update: str = "keeps", **conventions: Any) -> Recurrence:
    """A GRU with n = tanh(W x + b + U (r h) + r b'): the reset gate before the product, its bias as after it."""
    gate, takes = GATES[conventions.get("gate_activation", "sigmoid")], update == "takes"

    def step(given: Any, state: Any, weight: Any, bias: Any) -> Any:
        (h,), size = state, state[0].shape[1]
        r, z = np.split(gate[0](given[:, : 2 * size] + h @ weight[: 2 * size].T + bias[: 2 * size]), 2, axis=1)
        n = np.tanh(given[:, 2 * size :] + (r * h) @ weight[2 * size :].T + r * bias[2 * size :])
        return (averaged(takes, z, h, n),), (h, r, z, n, bias[2 * size :])

    def back(grads: Any, kept: Any, weight: Any) -> Any:
        h, r, z, n, bias_n = kept
        size = h.shape[1]
        grad_n, grad_z, grad_h = gates_back(gate, takes, grads[0], h, z, n)
        grad_rh = grad_n @ weight[2 * size :]
        grad_rz = np.hstack(((grad_rh * h + grad_n * bias_n) * gate[1](r), grad_z))
        grad_weight = np.vstack((grad_rz.T @ h, grad_n.T @ (r * h)))
        before = grad_h + grad_rh * r + grad_rz @ weight[: 2 * size]
        return np.hstack((grad_rz, grad_n)), grad_weight, np.hstack((grad_rz, grad_n * r)).sum(0), (before,)

    return replace(recurrence, cell=Cell(3, 1, step, back))


def _hard_sigmoid(x: Any, slope: float) -> Any:
    inside = np.abs(np.real(x)) < 0.5 / slope
    return np.where(inside, slope * x + 0.5, np.real(x) > 0)


def relu(x: Any) -> Any:
    """max(x, 0) by the real part."""
    return x * (np.real(x) > 0)


_COMPLEX_GATES = {
    "sigmoid": sigmoid,
    **{name: partial(_hard_sigmoid, slope=slope) for name, slope in HARD_SLOPES.items()},
}
