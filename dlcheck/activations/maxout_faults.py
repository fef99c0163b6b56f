"""Known mistakes in maxout."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.activations import reference
from dlcheck.activations.mistakes import (
    OTHER_FUNCTION,
    SAMPLES_MIX,
    Array,
    Function,
    Gradients,
    Replaces,
    upstream_ignored,
)
from dlcheck.component import Fault


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


def _ends(values: Array) -> Array:
    """The first and the last map."""
    return values[:, :: max(values.shape[1] - 1, 1)]


def _shares_of_ends(values: Array, ties: reference.Ties) -> Array:
    shares = np.zeros_like(values)
    _ends(shares)[...] = reference.shares(_ends(values), ties)
    return shares


def _of_first(values: Array) -> Array:
    """1 for the maps that are largest for the first example."""
    largest = values[:1].argmax(axis=1)[:, None] == np.arange(values.shape[1])[:, None]
    return np.ones_like(values) * largest if len(values) else np.zeros_like(values)


def _bias_unmasked(grad_output: Array, x: Array, weight: Array, bias: Array, **settings: Any) -> Gradients:
    right = reference.maxout_backward(grad_output, x, weight, bias, **settings)
    return {**right, "bias": np.repeat(grad_output.sum(axis=0)[None], len(bias), axis=0)}


def _first_bias_after() -> Replaces:
    """The maximum of maps without biases, plus the first map's."""
    unbiased = _of_values(_largest, reference.shares, biased=False)

    def forward(x: Array, weight: Array, bias: Array, **settings: Any) -> Array:
        return unbiased["maxout"](x, weight, bias, **settings) + bias[0]

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array, **settings: Any) -> Gradients:
        found = unbiased["maxout_backward"](grad_output, x, weight, bias, **settings)
        first = np.arange(len(bias))[:, None] == 0
        return {**found, "bias": np.where(first, grad_output.sum(axis=0), 0.0)}

    return {"maxout": forward, "maxout_backward": backward}


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
    _maxout(
        "maxout-first-and-last", "only the first and the last map are compared", "Maps never learn.",
        "max over all k maps of each unit", _of_values(lambda v: _largest(_ends(v)), _shares_of_ends),
    ),
    _maxout(
        "maxout-maps-of-first-example", "the first example's largest maps serve all examples", SAMPLES_MIX,
        "the largest map of each example and unit", _of_values(
            lambda v: (v * _of_first(v)).sum(axis=1), lambda v, ties: _of_first(v)),
    ),
    _maxout(
        "maxout-bias-gradient-to-all-maps", "the biases of all maps receive the gradient",
        "Biases of maps that are off drift.", "only the map that gave the maximum receives it",
        {"maxout_backward": _bias_unmasked},
    ),
    _maxout(
        "maxout-first-bias-after-maximum", "the first map's bias is added to the maximum",
        "Kinks stay at the origin: |x - c| cannot be learned.", "x @ weight[j].T + bias[j]", _first_bias_after(),
    ),
    upstream_ignored("maxout"),
)  # fmt: skip
