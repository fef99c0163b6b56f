"""Known mistakes in the activation functions that have parameters, prelu and maxout."""

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
    upstream_ignored("prelu"),
)  # fmt: skip


# --- maxout ----------------------------------------------------------------------------------------------------------


def _maxout(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(id, "maxout", says, effect, fix, replaces)


def _exchanged(first: int, second: int) -> Replaces:
    """Maxout that reads its weights with two axes exchanged, and its biases too where the axes are theirs."""

    def read(values: Array) -> Array:
        return values.swapaxes(first, second) if values.ndim > max(first, second) else values

    def forward(x: Array, weight: Array, bias: Array, **_: Any) -> Array:
        return reference.maxout(x, read(weight), read(bias))

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array, **settings: Any) -> Gradients:
        gradients = reference.maxout_backward(grad_output, x, read(weight), read(bias), **settings)
        return {"x": gradients["x"], "weight": read(gradients["weight"]), "bias": read(gradients["bias"])}

    return {"maxout": forward, "maxout_backward": backward}


def _of_values(value: Function, share: Callable[[Array, reference.Ties], Array], biased: bool = True) -> Replaces:
    """Another function of the maps' values (N, k, O), with the share of the gradient that each map receives.

    The shares may depend on the convention of ties.
    """

    def values(x: Array, weight: Array, bias: Array) -> Array:
        return np.einsum("ni,koi->nko", x, weight) + biased * np.where(biased, bias, 0)

    def forward(x: Array, weight: Array, bias: Array, **_: Any) -> Array:
        return value(values(x, weight, bias))

    def backward(
        grad_output: Array, x: Array, weight: Array, bias: Array, ties: reference.Ties = "first", **_: Any
    ) -> Gradients:
        parts = share(values(x, weight, bias), ties) * grad_output[:, None]
        grad_x, grad_weight = np.einsum("nko,koi->ni", parts, weight), np.einsum("nko,ni->koi", parts, x)
        return {"x": grad_x, "weight": grad_weight, "bias": biased * parts.sum(axis=0)}

    return {"maxout": forward, "maxout_backward": backward}


def _largest(values: Array) -> Array:
    return values.max(axis=1)


def _averaged_gradients(*names: str) -> Replaces:
    """The gradients of some parameters divided by the number of examples."""

    def backward(grad_output: Array, x: Array, *others: Array, **settings: Any) -> Gradients:
        gradients = reference.maxout_backward(grad_output, x, *others, **settings)
        return gradients | {name: gradients[name] / len(x) for name in names}

    return {"maxout_backward": backward}


def _regrouped(values: Array) -> Array:
    """Values (N, k, O) read as (N, O, k), as they lie in memory, then with the maps along axis 1 again."""
    return np.moveaxis(values.reshape(len(values), values.shape[2], values.shape[1]), 2, 1)


def _regrouped_backward(
    grad_output: Array, x: Array, weight: Array, bias: Array, ties: reference.Ties = "first", **_: Any
) -> Gradients:
    values = np.einsum("ni,koi->nko", x, weight) + bias
    shares = reference.shares(_regrouped(values), ties) * grad_output[:, None]
    parts = np.moveaxis(shares, 1, 2).reshape(values.shape)
    grad_x, grad_weight = np.einsum("nko,koi->ni", parts, weight), np.einsum("nko,ni->koi", parts, x)
    return {"x": grad_x, "weight": grad_weight, "bias": parts.sum(axis=0)}


def _but_last(values: Array) -> Array:
    return values[:, : max(values.shape[1] - 1, 1)]


MAXOUT = (
    _maxout(
        "maxout-regrouped", "k values in a row are taken for the maps of a unit", OTHER_FUNCTION,
        "view(N, k, out) before the maximum over k, not view(N, out, k)",
        {"maxout": lambda x, weight, bias, **_: _largest(_regrouped(np.einsum("ni,koi->nko", x, weight) + bias)),
         "maxout_backward": _regrouped_backward},
    ),
    _maxout(
        "maxout-last-map-left-out", "the last map is left out", "A map never learns.",
        "max over all k maps of each unit",
        _of_values(lambda v: _largest(_but_last(v)), lambda v, ties: np.pad(
            reference.shares(_but_last(v), ties), ((0, 0), (0, v.shape[1] - _but_last(v).shape[1]), (0, 0)))),
    ),
    _maxout(
        "maxout-over-units", "the maximum is over units, not over maps", OTHER_FUNCTION,
        "max over the k maps of each unit",
        _exchanged(0, 1),
    ),
    _maxout(
        "maxout-weight-transposed", "the weights are read as (k, in, out)", OTHER_FUNCTION, "x @ weight[j].T + bias[j]",
        _exchanged(1, 2),
    ),
    _maxout(
        "maxout-without-bias", "the biases are left out", "Kinks stay at the origin: |x - c| cannot be learned.",
        "x @ weight[j].T + bias[j]", _of_values(_largest, reference.shares, biased=False),
    ),
    _maxout(
        "maxout-minimum", "min stands in place of max", OTHER_FUNCTION, "max over the k maps of each unit",
        _of_values(lambda v: v.min(axis=1), lambda v, ties: reference.shares(-v, ties)),
    ),
    _maxout(
        "maxout-mean", "the maps are averaged: one affine map", "The layer is linear.",
        "max over the k maps of each unit",
        _of_values(lambda v: v.mean(axis=1), lambda v, ties: np.full_like(v, 1 / v.shape[1])),
    ),
    _maxout(
        "maxout-sum", "the maps are added: one affine map", "The layer is linear.", "max over the k maps of each unit",
        _of_values(lambda v: v.sum(axis=1), lambda v, ties: np.ones_like(v)),
    ),
    _maxout(
        "maxout-from-zero", "the running maximum starts at 0",
        "Units are rectified: negative outputs and their gradients "
        "are lost.", "start from the first map, or from -inf",
        _of_values(
            lambda v: np.maximum(_largest(v), 0), lambda v, ties: reference.shares(v, ties) * (v > 0)
        ),
    ),
    _maxout(
        "maxout-largest-magnitude", "the map of largest |value| is taken",
        OTHER_FUNCTION, "max of the values, not of |values|",
        _of_values(
            lambda v: (v * reference.shares(np.abs(v))).sum(axis=1),
            lambda v, ties: reference.shares(np.abs(v), ties),
        ),
    ),
    _maxout(
        "maxout-gradient-to-all-maps", "every map receives the gradient", "All maps learn the same and become one.",
        "only the map that gave the maximum receives it",
        {"maxout_backward": _of_values(_largest, lambda v, ties: np.ones_like(v))["maxout_backward"]},
    ),
    _maxout(
        "maxout-gradient-averaged", "the parameters' gradients are averaged", "Parameters learn too slowly.",
        "sum over the batch: the loss has its own mean", _averaged_gradients("weight", "bias"),
    ),
    *(
        _maxout(
            f"maxout-{name}-gradient-averaged", f"the gradient of the {name} alone is averaged over the batch",
            "It learns too slowly.", "sum over the batch: the loss has its own mean", _averaged_gradients(name),
        )
        for name in ("weight", "bias")
    ),
    _maxout(
        "maxout-gradient-spread", "every map receives an equal part of the gradient",
        "All maps learn the same and become one.", "only the map that gave the maximum receives it",
        {"maxout_backward": _of_values(_largest, lambda v, ties: np.full_like(v, 1 / v.shape[1]))["maxout_backward"]},
    ),
    upstream_ignored("maxout"),
)  # fmt: skip
