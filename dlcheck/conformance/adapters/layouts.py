"""How recurrent layers store their parameters: pairs of maps between the model's arrays and a target's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dlcheck.conformance.implementation import Array, Misbehaviour, NotProvided

Arrays = Mapping[str, Array]
ShapeOf = Callable[[str], tuple[int, ...] | None]
"""The shape of the array that a target has under a name, or None where it has none."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One array of a target: made from the model's parameters by ``put``; ``take`` maps a gradient of it back."""

    name: str
    put: Callable[[Arrays], Array]
    take: Callable[[Array], dict[str, Array]]


def pytorch(parameters: Arrays, shape_of: ShapeOf) -> list[Stored]:
    """The model's own names; without the layer's number where a single layer is all there is.

    A target with one bias vector in place of two is given their sum, whose gradient is that of both.
    """
    stored, missing = [], []
    for name in parameters:
        spelled = _spelled(name, shape_of)
        if spelled is None:
            missing.append(name)
        else:
            stored.append(Stored(spelled, lambda given, name=name: given[name], lambda grad, name=name: {name: grad}))
    pairs = [(name, name.replace("bias_hh", "bias_ih")) for name in parameters if "bias_hh" in name]
    for second, first in pairs:
        kept = {first, second} - set(missing)
        if len(kept) == 2:
            continue
        names = [name for name in (first, second) if name in kept] or _single_names(first, shape_of)
        if not names:
            continue
        target = _spelled(names[0], shape_of) or names[0]
        stored = [entry for entry in stored if entry.name != target]
        stored.append(_sum(target, first, second))
        missing = [name for name in missing if name not in (first, second)]
    if missing:
        hint = "; for Keras' parameters fix layout=keras" if shape_of("recurrent_kernel") else ""
        raise Misbehaviour(f"it has no parameter {missing[0]}{hint}")
    return stored


def _spelled(name: str, shape_of: ShapeOf) -> str | None:
    """The model's name, the same without "_l0", or the weight of a linear layer of that name, whichever there is."""
    return next((n for n in (name, name.removesuffix("_l0"), f"{name}.weight") if shape_of(n) is not None), None)


def _single_names(first: str, shape_of: ShapeOf) -> list[str]:
    """What a target may call the one bias vector that stands for two."""
    short = first.replace("bias_ih", "bias")
    return [name for name in (short, short.removesuffix("_l0")) if shape_of(name) is not None]


def _sum(target: str, first: str, second: str) -> Stored:
    return Stored(target, lambda given: given[first] + given[second], lambda grad: {first: grad, second: grad})


def keras(parameters: Arrays, shape_of: ShapeOf) -> list[Stored]:
    """kernel (F, G H), recurrent_kernel (H, G H) and bias of one layer in one direction.

    The blocks of a GRU are in the order z, r, h, and its bias is (2, 3 H) with the reset gate after the product.
    """
    if "weight_ih_l1" in parameters or "weight_ih_l0_reverse" in parameters:
        raise NotProvided("the Keras layout has one layer and one direction")
    rows, hidden = parameters["weight_hh_l0"].shape
    order = [1, 0, 2] if rows == 3 * hidden else list(range(rows // hidden))

    def blocks(array: Array) -> Array:
        """The rows with the blocks in the other order, which is its own inverse."""
        return np.concatenate([np.split(array, len(order))[block] for block in order])

    def weight(name: str, source: str) -> Stored:
        return Stored(name, lambda given: blocks(given[source]).T, lambda grad: {source: blocks(grad.T)})

    stored = [weight("kernel", "weight_ih_l0"), weight("recurrent_kernel", "weight_hh_l0")]
    missing = [entry.name for entry in stored if shape_of(entry.name) is None]
    if missing:
        raise Misbehaviour(f"it has no parameter {missing[0]}")
    shape = shape_of("bias")
    if (shape is None) == ("bias_ih_l0" in parameters):
        raise NotProvided("it has no bias" if shape is None else "it always has a bias")
    if shape is None:
        return stored
    return [*stored, _two_rows(blocks) if len(shape) == 2 else _one_row(blocks)]


def _one_row(blocks: Callable[[Array], Array]) -> Stored:
    def take(grad: Array) -> dict[str, Array]:
        return {"bias_ih_l0": blocks(grad), "bias_hh_l0": blocks(grad)}

    return Stored("bias", lambda given: blocks(given["bias_ih_l0"] + given["bias_hh_l0"]), take)


def _two_rows(blocks: Callable[[Array], Array]) -> Stored:
    def put(given: Arrays) -> Array:
        return np.stack([blocks(given["bias_ih_l0"]), blocks(given["bias_hh_l0"])])

    return Stored("bias", put, lambda grad: {"bias_ih_l0": blocks(grad[0]), "bias_hh_l0": blocks(grad[1])})


LAYOUTS: dict[str, Callable[[Arrays, ShapeOf], list[Stored]]] = {"torch": pytorch, "keras": keras}
