"""What faults of several components share: effects, and the right functions changed in one place."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Fault
from dlcheck.pretraining import reference

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]

NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
OTHER_FUNCTION = "The network computes another function than the one that is meant."
OTHER_MODEL = "Another distribution is fitted than the one that is sampled from."
"""Effects that several faults share."""


def backward_only(name: str, change: Callable[..., Gradients]) -> Replaces:
    """The right function with gradients that ``change`` makes of the right ones, grad_output and the arguments."""
    right = getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, *arrays: Array, **settings: Any) -> Gradients:
        found = right(grad_output, *arrays, **settings)
        return {**found, **change(found, grad_output, *arrays, **settings)}

    return {f"{name}_backward": backward}


def arguments(name: str, change: Callable[..., tuple[Array, ...]]) -> Replaces:
    """The right function of changed arrays; its gradients as if they had not been changed by anything that learns."""
    right, slope = getattr(reference, name), getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, *arrays: Array, **settings: Any) -> Gradients:
        return slope(grad_output, *change(*arrays), **settings)

    return {name: lambda *arrays, **settings: right(*change(*arrays), **settings), f"{name}_backward": backward}


def forgotten(name: str, argument: str) -> Replaces:
    """The right function with zeros for one of its arrays, which then has no gradient."""
    place = list(inspect.signature(getattr(reference, name)).parameters).index(argument)
    zeroed = arguments(name, lambda *arrays: (*arrays[:place], np.zeros_like(arrays[place]), *arrays[place + 1 :]))

    def backward(*arrays: Array, **settings: Any) -> Gradients:
        found = zeroed[f"{name}_backward"](*arrays, **settings)
        return {**found, argument: np.zeros_like(found[argument])}

    return {**zeroed, f"{name}_backward": backward}


def upstream_ignored(name: str) -> Fault:
    right = getattr(reference, f"{name}_backward")
    return Fault(
        f"{name.replace('_', '-')}-upstream-ignored", name, "the upstream gradient is left out",
        "The loss has no say in what is learned.", "multiply by grad_output (the chain rule)",
        {f"{name}_backward": lambda grad, *arrays, **settings: right(np.ones_like(grad), *arrays, **settings)},
    )  # fmt: skip
