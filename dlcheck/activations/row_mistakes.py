"""What the known mistakes in softmax and log_softmax are made of: shifts, axes and gradients of rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.mistakes import Array, Gradients, Replaces, Sloped
from dlcheck.activations.reference import DefaultAxis


def axis_of(x: Array, dim: int | None, default_dim: DefaultAxis) -> Any:
    """The axis that the reference takes, seen from the shape of a maximum along it."""
    rank = {"by_rank": 0 if x.ndim in (0, 1, 3) else 1, "last": -1, "one": 1, "flattened": tuple(range(1, x.ndim))}
    return () if not x.ndim else rank[default_dim] if dim is None else dim


def shifted_by(shift: Sloped, through_shift: Sloped = lambda grad, x: grad) -> dict[str, Replaces]:
    """softmax and log_softmax that subtract another shift than the row's maximum, by name.

    ``through_shift`` adds what reaches x by way of the shift: nothing, where its share cancels.
    """

    def softmax(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
        axis = axis_of(x, dim, default_dim)
        exponentials = np.exp(x - shift(x, axis))
        return exponentials / total(exponentials, axis)

    def log_softmax(x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Array:
        axis = axis_of(x, dim, default_dim)
        shifted = x - shift(x, axis)
        return shifted - np.log(total(np.exp(shifted), axis))

    def gradient(g: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Gradients:
        s = softmax(x, dim, default_dim)
        return {"x": through_shift(s * (g - total(g * s, axis_of(x, dim, default_dim))), x)}

    def log_gradient(g: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank") -> Gradients:
        s = softmax(x, dim, default_dim)
        return {"x": through_shift(g - s * total(g, axis_of(x, dim, default_dim)), x)}

    return {
        "softmax": {"softmax": softmax, "softmax_backward": gradient},
        "log_softmax": {"log_softmax": log_softmax, "log_softmax_backward": log_gradient},
    }


def on_axis(name: str, axis: Callable[[Array], int]) -> Replaces:
    """The right function along an axis of the mistake's choice, whatever was asked for."""

    def forward(x: Array, *_: Any, **__: Any) -> Array:
        return getattr(reference, name)(x, axis(x))

    def backward(grad_output: Array, x: Array, *_: Any, **__: Any) -> Gradients:
        return getattr(reference, f"{name}_backward")(grad_output, x, axis(x))

    return {name: forward, f"{name}_backward": backward}


def over_all(name: str) -> Replaces:
    """The right function over the whole tensor as one row."""

    def forward(x: Array, *_: Any, **__: Any) -> Array:
        return getattr(reference, name)(x.ravel(), 0).reshape(x.shape)

    def backward(grad_output: Array, x: Array, *_: Any, **__: Any) -> Gradients:
        return {"x": getattr(reference, f"{name}_backward")(grad_output.ravel(), x.ravel(), 0)["x"].reshape(x.shape)}

    return {name: forward, f"{name}_backward": backward}


def row_gradient(name: str, gradient: Callable[[Array, Array, Array, Any], Array]) -> Replaces:
    """The gradient mistaken: a function of grad_output, x, softmax(x) and the axis."""

    def backward(
        grad_output: Array, x: Array, dim: int | None = None, default_dim: DefaultAxis = "by_rank"
    ) -> Gradients:
        s = reference.softmax(x, dim, default_dim=default_dim)
        return {"x": gradient(grad_output, x, s, axis_of(x, dim, default_dim))}

    return {f"{name}_backward": backward}


def total(values: Array, axis: Any) -> Array:
    """The sum, its axis kept."""
    return values.sum(axis=axis, keepdims=True)


def average(values: Array, axis: Any) -> Array:
    """The mean, its axis kept."""
    return values.mean(axis=axis, keepdims=True) if values.size else total(values, axis)


def composed(name: str, outer: str, inner: str) -> Replaces:
    """One function of the reference after another, along the same axis, in place of ``name``."""

    def forward(x: Array, *where: Any, **axis: Any) -> Array:
        return _call(outer, _call(inner, x, *where, **axis), *where, **axis)

    def backward(grad_output: Array, x: Array, *where: Any, **axis: Any) -> Gradients:
        middle = _call(inner, x, *where, **axis)
        upstream = _call(f"{outer}_backward", grad_output, middle, *where, **axis)["x"]
        return _call(f"{inner}_backward", upstream, x, *where, **axis)

    return {name: forward, f"{name}_backward": backward}


def _call(name: str, *arguments: Any, **axis: Any) -> Any:
    """A function of the reference, or the logarithm, which has no axis."""
    if name == "log":
        return np.log(arguments[0])
    if name == "log_backward":
        return {"x": arguments[0] / arguments[1]}
    return getattr(reference, name)(*arguments, **axis)
