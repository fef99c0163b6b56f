"""Known mistakes in prelu, the rectifier whose slopes are learned."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.mistakes import (
    OTHER_FUNCTION,
    Array,
    Function,
    Gradients,
    Replaces,
    Sloped,
    derivative_of_maximum,
    upstream_ignored,
)
from dlcheck.component import Fault


def _prelu(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "prelu", says, effect, fix, replaces, happened)


def _weight_gradient(mistake: Callable[[Array, Array, Array], Array]) -> Replaces:
    """The gradient of the slopes, mistaken: a function of grad_output, x and the slopes."""

    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        right = reference.prelu_backward(grad_output, x, weight, **settings)
        return {"x": right["x"], "weight": mistake(grad_output, x, weight)}

    return {"prelu_backward": backward}


def _input_gradient(mistake: Sloped) -> Replaces:
    """The derivative for x, mistaken: a function of x and of the slopes along its channels."""

    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        right = reference.prelu_backward(grad_output, x, weight, **settings)
        return {"x": grad_output * mistake(x, _along_channels(weight, x)), "weight": right["weight"]}

    return {"prelu_backward": backward}


def _along_channels(weight: Array, x: Array) -> Array:
    return weight.reshape(-1, *(1,) * (x.ndim - 2)) if weight.size != 1 else weight.reshape(())


def _summed(parts: Array, weight: Array) -> Array:
    """Sum over everything but axis 1, or over all where there is one slope."""
    return reference.prelu_backward(parts, -np.ones_like(parts), weight)["weight"] * -1


def _averaged_by_channel(grad_output: Array, x: Array, weight: Array) -> Array:
    """The mean in place of the sum, where each channel has a slope."""
    summed = _summed(grad_output * np.minimum(x, 0), weight)
    return summed * weight.size / max(x.size, 1) if weight.size > 1 else summed


def _along(axis: int) -> Replaces:
    """One slope for each index of another axis than the channels', as many as there are channels."""

    def swapped(x: Array, weight: Array) -> Array:
        return np.swapaxes(x, 1, axis) if weight.size > 1 else x

    def forward(x: Array, weight: Array, **_: Any) -> Array:
        return swapped(reference.prelu(swapped(x, weight), weight), weight)

    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        gradients = reference.prelu_backward(swapped(grad_output, weight), swapped(x, weight), weight, **settings)
        return {"x": swapped(gradients["x"], weight), "weight": gradients["weight"]}

    return {"prelu": forward, "prelu_backward": backward}


def _maximum_prelu() -> Replaces:
    def backward(grad_output: Array, x: Array, weight: Array, **_: Any) -> Gradients:
        slopes = _along_channels(weight, x)
        derivative = derivative_of_maximum(x, slopes)
        left = np.where(x < slopes * x, 1.0, 0.5 * (x == slopes * x))
        return {"x": grad_output * derivative, "weight": _summed(grad_output * left * x, weight)}

    return {"prelu": lambda x, weight, **_: np.maximum(x, _along_channels(weight, x) * x), "prelu_backward": backward}


def _positive_side() -> Replaces:
    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        gradients = reference.prelu_backward(grad_output, -x, weight, **settings)
        return {"x": gradients["x"], "weight": -gradients["weight"]}

    return {"prelu": lambda x, weight, **_: -reference.prelu(-x, weight), "prelu_backward": backward}


def _other_slope(value: Function, derivative: Function) -> Replaces:
    """A function of the slope in its place."""

    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        gradients = reference.prelu_backward(grad_output, x, value(weight), **settings)
        return {**gradients, "weight": derivative(weight) * gradients["weight"]}

    return {"prelu": lambda x, weight, **_: reference.prelu(x, value(weight)), "prelu_backward": backward}


def _on_both_sides() -> Replaces:
    def forward(x: Array, weight: Array, **_: Any) -> Array:
        return np.maximum(x, 0) + _along_channels(weight, x) * x

    def backward(grad_output: Array, x: Array, weight: Array, **_: Any) -> Gradients:
        slopes = (x > 0) + _along_channels(weight, x)
        return {"x": grad_output * slopes, "weight": _summed(grad_output * x, weight)}

    return {"prelu": forward, "prelu_backward": backward}


def _first_slope() -> Replaces:
    def backward(grad_output: Array, x: Array, weight: Array, **settings: Any) -> Gradients:
        right = reference.prelu_backward(grad_output, x, weight[:1], **settings)
        return {"x": right["x"], "weight": np.concatenate([right["weight"], np.zeros(weight.size - 1)])}

    return {"prelu": lambda x, weight, **_: reference.prelu(x, weight[:1]), "prelu_backward": backward}


SLOPE_GRADIENT = "sum of grad * min(x, 0) over all elements that share the slope"
PRELU = (
    _prelu(
        "prelu-backward-from-output", "the output's sign decides the gradient", "Slopes diverge once one is negative.",
        "a * grad where x <= 0, not where y <= 0",
        _input_gradient(lambda x, a: np.where(x * np.where(x > 0, 1, a) > 0, 1.0, a)),
        "https://github.com/apache/mxnet/pull/3277", "https://github.com/apache/mxnet/issues/2856",
    ),
    _prelu(
        "prelu-gradient-of-relu", "the input's gradient left of zero is 0", "Units die as with ReLU.",
        "a * grad where x <= 0",
        _input_gradient(lambda x, a: 1.0 * (x > 0)),
    ),
    _prelu(
        "prelu-weight-gradient-sign", "the slope's gradient has the wrong sign", "Slopes climb the loss.",
        SLOPE_GRADIENT,
        _weight_gradient(lambda g, x, a: _summed(-g * np.minimum(x, 0), a)),
    ),
    _prelu(
        "prelu-weight-gradient-unsummed", "the slope's gradient is not summed",
        "Slopes take another shape or a part of the "
        "gradient.", SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: g * np.minimum(x, 0)),
    ),
    _prelu(
        "prelu-weight-gradient-averaged", "the slope's gradient is averaged over the batch", "Slopes learn too slowly.",
        SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: _summed(g * np.minimum(x, 0), a) / (len(x) if x.ndim else 1)),
    ),
    _prelu(
        "prelu-weight-gradient-averaged-over-all", "the slope's gradient is a mean over all it serves",
        "Slopes learn too slowly.", SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: (
            _summed(g * np.minimum(x, 0), a) / max(x.size // a.size, 1))),
    ),
    _prelu(
        "prelu-weight-gradient-missing", "the slope gets no gradient", "Slopes never learn.", SLOPE_GRADIENT,
        _weight_gradient(lambda g, x, a: np.zeros_like(a)),
    ),
    _prelu(
        "prelu-slope-magnitude", "the magnitude of the slope is used", "Slopes cannot become negative.",
        "a x where x <= 0", _other_slope(np.abs, np.sign),
    ),
    _prelu(
        "prelu-weight-gradient-positive-side", "the slope's gradient is of positive x",
        "Slopes follow the wrong inputs.",
        SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: _summed(g * np.maximum(x, 0), a)),
    ),
    _prelu(
        "prelu-weight-gradient-unmasked", "the slope's gradient counts all x", "Slopes follow the wrong inputs.",
        SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: _summed(g * x, a)),
    ),
    _prelu(
        "prelu-weight-gradient-of-output", "the slope's gradient uses a x, not x", "Slopes near 0 stop learning.",
        SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: _summed(g * np.minimum(x, 0) * _along_channels(a, x), a)),
    ),
    _prelu(
        "prelu-weight-along-last-axis", "the slopes lie along the last axis", OTHER_FUNCTION,
        "one slope for each c of x[n, c]",
        _along(-1),
    ),
    _prelu(
        "prelu-weight-along-first-axis", "the slopes lie along axis 0",
        OTHER_FUNCTION, "one slope for each c of x[n, c]",
        _along(0),
    ),
    _prelu(
        "prelu-first-slope-for-all", "the first slope serves all channels", OTHER_FUNCTION,
        "one slope for each c of x[n, c]",
        _first_slope(),
    ),
    _prelu(
        "prelu-maximum", "max(x, a x) is wrong for slopes above 1", OTHER_FUNCTION, "x if x > 0 else a x",
        _maximum_prelu()
    ),
    _prelu(
        "prelu-slope-right-of-zero", "the slope is on the side of positive x", OTHER_FUNCTION, "a x where x <= 0",
        _positive_side(),
    ),
    _prelu(
        "prelu-weight-gradient-without-upstream", "the slope's gradient lacks the upstream gradient",
        "Slopes follow the inputs, not the loss.", SLOPE_GRADIENT,
        _weight_gradient(lambda g, x, a: _summed(np.minimum(x, 0), a)),
    ),
    _prelu(
        "prelu-weight-gradient-of-all-channels", "every slope gets the gradient of all channels",
        "Slopes of all channels move as one.", SLOPE_GRADIENT,
        _weight_gradient(lambda g, x, a: np.full(a.shape, np.sum(g * np.minimum(x, 0)))),
    ),
    _prelu(
        "prelu-weight-gradient-summed-over-batch", "the slope's gradient is summed over the batch alone",
        "Slopes take another shape or a part of the gradient.", SLOPE_GRADIENT, _weight_gradient(lambda g, x, a: (
            _summed(g * np.minimum(x, 0), a) if a.size == 1 else (g * np.minimum(x, 0)).sum(axis=0))),
    ),
    _prelu(
        "prelu-sign", "the slope's sign is wrong: -a x", OTHER_FUNCTION, "a x where x <= 0", _other_slope(
            lambda a: -a, lambda a: -np.ones_like(a))
    ),
    _prelu(
        "prelu-slope-clamped", "the slope is held in [0, 1]", "Slopes cannot become negative.", "a x where x <= 0",
        _other_slope(lambda a: np.clip(a, 0, 1), lambda a: 1.0 * ((a >= 0) & (a <= 1))),
    ),
    _prelu(
        "prelu-on-both-sides", "max(x, 0) + a x leaks right of zero too", OTHER_FUNCTION, "x if x > 0 else a x",
        _on_both_sides(),
    ),
    _prelu(
        "prelu-weight-gradient-averaged-by-channel", "the gradient of each channel's slope is averaged",
        "Slopes learn at another rate than all else.", SLOPE_GRADIENT, _weight_gradient(_averaged_by_channel),
    ),
    _prelu(
        "prelu-first-layer-untrained", "the slopes get no gradient where the input needs none",
        "The slopes of a network's first layer never learn.", "ask ctx.needs_input_grad for each input apart",
        {"beside_constants": lambda gradients: {name: 0 * grad for name, grad in gradients.items()}},
    ),
    upstream_ignored("prelu"),
)  # fmt: skip
