"""Maps of parameters, states and outputs that mistaken recurrent layers make, with their adjoints for the way back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck.recurrent.unrolling import Recurrence, active

Arrays = Mapping[str, Any]
Map = Callable[..., dict[str, Any]]


def on(kind: str, function: Callable[[Any], Any]) -> Callable[..., dict[str, Any]]:
    """A map of the parameters whose name has a part."""
    return lambda held: {name: function(value) if kind in name else value for name, value in held.items()}


def blocks(value: Any, order: tuple[int, ...]) -> Any:
    parts = np.split(value, len(order))
    return np.concatenate([parts[block] for block in order])


def reordered(*order: int) -> tuple[Any, Any]:
    """Blocks of rows taken in another order."""
    back = tuple(int(index) for index in np.argsort(order))
    return on("", lambda value: blocks(value, order)), on("", lambda value: blocks(value, back))


def interleaved(gates: int) -> tuple[Any, Any]:
    """Rows taken unit by unit instead of block by block."""

    def apart(value: Any) -> Any:
        return np.swapaxes(value.reshape(-1, gates, *value.shape[1:]), 0, 1).reshape(value.shape)

    def together(value: Any) -> Any:
        return np.swapaxes(value.reshape(gates, -1, *value.shape[1:]), 0, 1).reshape(value.shape)

    return on("", apart), on("", together)


def transposed(value: Any) -> Any:
    """Each block of a recurrent weight transposed."""
    return np.concatenate([block.T for block in np.split(value, len(value) // value.shape[1])])


def both_maps(function: Any) -> tuple[Any, Any]:
    """A map that is its own adjoint."""
    return function, function


def shared_from(layer: int) -> tuple[Map, Map]:
    """Layers above one read its parameters, where the shapes fit."""

    def source(name: str, held: Arrays) -> str:
        kind, place = name.split("_l", 1)
        number, suffix = place.removesuffix("_reverse"), "_reverse" if place.endswith("_reverse") else ""
        shared = f"{kind}_l{min(int(number), layer)}{suffix}"
        return shared if np.shape(held[shared]) == np.shape(held[name]) else name

    return (
        lambda held: {name: held[source(name, held)] for name in held},
        lambda grads: gathered(grads, lambda name: source(name, grads)),
    )


def gathered(grads: Arrays, source: Callable[[str], str]) -> dict[str, Any]:
    """The gradients of parameters that stand in for others."""
    found = {name: np.zeros_like(value) for name, value in grads.items()}
    for name, value in grads.items():
        found[source(name)] = found[source(name)] + value
    return found


def forward_weights(held: Arrays) -> dict[str, Any]:
    return {name: held[name.removesuffix("_reverse")] for name in held}


def to_forward_weights(grads: Arrays) -> dict[str, Any]:
    return gathered(grads, lambda name: name.removesuffix("_reverse"))


def output_gates_bias(value: Any) -> Any:
    """Biases whose input and forget blocks are the output gate's."""
    _, _, g, o = np.split(value, 4)
    return np.concatenate((o, o, g, o))


def to_output_gates_bias(grad: Any) -> Any:
    i, f, g, o = np.split(grad, 4)
    return np.concatenate((0 * i, 0 * f, g, i + f + o))


def zeros(value: Any) -> Any:
    return np.zeros_like(value)


def rows(function: Callable[[Any], Any]) -> Callable[..., dict[str, Any]]:
    return lambda state: {name: function(value) for name, value in state.items()}


def without_cell(state: Arrays) -> dict[str, Any]:
    return {**state, "c_0": np.zeros_like(state["c_0"])}


def without_dropout(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "dropout": 0.0}


def without_hidden(state: Arrays) -> dict[str, Any]:
    return {**state, "h_0": np.zeros_like(state["h_0"])}


def first_rows(value: Any) -> Any:
    """The first row in place of all."""
    return np.broadcast_to(value[:1], value.shape).copy()


def to_first_row(grad: Any) -> Any:
    return np.concatenate((grad.sum(0, keepdims=True), np.zeros_like(grad[1:])))


def final_exchanged(found: Arrays, x: Any, lengths: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs with the final hidden and cell states exchanged."""
    other = {"h_n": "c_n", "c_n": "h_n"}
    return {other.get(name, name): value for name, value in found.items()}


def exchanged(state: Arrays) -> dict[str, Any]:
    return {"h_0": state["c_0"], "c_0": state["h_0"]}


def halves(found: Arrays, x: Any, lengths: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs with the directions exchanged."""
    if not given.get("bidirectional") or "output" not in found:
        return dict(found)
    return {**found, "output": np.roll(found["output"], found["output"].shape[2] // 2, axis=2)}


def halves_read(held: Arrays) -> dict[str, Any]:
    """Weights of the upper layers, for inputs whose halves are exchanged."""
    deep = "weight_ih_l0_reverse" in held
    upper = [name for name in held if deep and "weight_ih" in name and "_l0" not in name]
    return {**held, **{name: np.roll(held[name], held[name].shape[1] // 2, axis=1) for name in upper}}


def states_first(found: Arrays, x: Any, lengths: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Final states whose first axis is the batch where batch_first is set."""
    turned = given.get("batch_first", False)
    return {n: value.swapaxes(0, 1) if turned and n.endswith("_n") else value for n, value in found.items()}


def padding_zeroed(found: Arrays, x: Any, lengths: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    if lengths is None or "output" not in found:
        return dict(found)
    batch_first = given.get("batch_first", False)
    moving = active(x.shape[1 if batch_first else 0], lengths)
    return {**found, "output": np.where(moving.swapaxes(0, 1) if batch_first else moving, found["output"], 0.0)}


def back_unturned(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
    """The reverse direction's outputs stay in the order of reading."""
    return replace(recurrence, write=lambda outputs, lengths: outputs)


def reads_padding(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
    """The reverse direction reads a padded batch from its end, padding and all."""
    return replace(recurrence, read=lambda x, lengths: (x[::-1], None), write=lambda outputs, lengths: outputs[::-1])
