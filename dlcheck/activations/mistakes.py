"""What the known mistakes in activation functions share: kinds of mistake, and what they do to training."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.activations import reference
from dlcheck.component import Fault

Array = NDArray[Any]
Gradients = dict[str, Array]
Function = Callable[[Array], Array]
Sloped = Callable[[Array, Any], Array]
"""A function of x and of one thing more, as the slope left of zero."""
Replaces = dict[str, Callable[..., Any]]
"""Mistaken functions by the name of the right one."""

NAN = "The loss is NaN from the first large input on."
NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
OTHER_FUNCTION = "The network computes another function than the one its weights were trained or initialised for."
SAMPLES_MIX = "What one example gets depends on the others in its batch."
"""Effects that several faults share."""


def elementwise(name: str, function: Function, derivative: Function) -> Replaces:
    """Another elementwise function in the place of the right one, with its own derivative."""

    def forward(x: Array, **_: Any) -> Array:
        return function(x)

    def backward(grad_output: Array, x: Array, **_: Any) -> Gradients:
        return {"x": grad_output * derivative(x)}

    return {name: forward, f"{name}_backward": backward}


def wrong_derivative(name: str, derivative: Function) -> Replaces:
    """The right function with a wrong derivative."""
    return {f"{name}_backward": lambda grad_output, x, **_: {"x": grad_output * derivative(x)}}


def upstream_ignored(name: str) -> Fault:
    """The gradient without what arrives from above, as if that were 1."""
    backward = getattr(reference, f"{name}_backward")

    def mistaken(grad_output: Array, *inputs: Array, **settings: Any) -> Gradients:
        return backward(np.ones_like(grad_output), *inputs, **settings)

    return Fault(
        f"{name.replace('_', '-')}-upstream-ignored", name, "the upstream gradient is left out",
        "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
        {f"{name}_backward": mistaken},
    )  # fmt: skip


def gradient_negated(name: str) -> Fault:
    """The gradient with the wrong sign."""
    backward = getattr(reference, f"{name}_backward")

    def mistaken(grad_output: Array, *inputs: Array, **settings: Any) -> Gradients:
        return {key: -value for key, value in backward(grad_output, *inputs, **settings).items()}

    return Fault(
        f"{name.replace('_', '-')}-gradient-negated", name, "the gradient has the wrong sign",
        "Layers below climb the loss.", "negate it", {f"{name}_backward": mistaken},
    )  # fmt: skip


def gradient_in_place(name: str) -> Fault:
    """The right gradient, written over the one that arrives."""
    backward = getattr(reference, f"{name}_backward")

    def mistaken(grad_output: Array, x: Array, **settings: Any) -> Gradients:
        grad_output[...] = backward(grad_output, x, **settings)["x"]
        return {"x": grad_output}

    return Fault(
        f"{name.replace('_', '-')}-gradient-in-place", name, "it writes its gradient over the one that arrives",
        "Whatever else the layer above feeds, a shortcut say, gets a gradient that is masked.", "copy it first",
        {f"{name}_backward": mistaken},
    )  # fmt: skip


def in_place(name: str) -> Fault:
    """The right values, written over the input."""

    def mistaken(x: Array, **settings: Any) -> Array:
        x[...] = getattr(reference, name)(x, **settings)
        return x

    return Fault(
        f"{name.replace('_', '-')}-in-place", name, "it writes its output over its input",
        "Whatever else reads the input sees the output.", "return a new array", {name: mistaken},
    )  # fmt: skip


def derivative_of_maximum(x: Array, slope: Any) -> Array:
    """Derivative of max(x, slope x) by autograd, which halves it between equal arguments."""
    return np.where(x > slope * x, 1.0, np.where(x < slope * x, slope, (1 + slope) / 2))
