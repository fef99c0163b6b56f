"""The known mistakes in layers: those of the dense layer, then those of the convolution."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.layers import reference
from dlcheck.layers.conv_faults import CONVOLUTION
from dlcheck.layers.gradient_faults import GRADIENTS
from dlcheck.layers.mistakes import (
    NO_LEARNING,
    OFF_SCALE,
    OTHER_FUNCTION,
    Array,
    Gradients,
    Replaces,
    without_gradients,
)

Map = Callable[[Array], Array]
Mistaken = Callable[[Array, Array, Array, Array], Array]
"""A gradient, from the right one, grad_output, x and the weight."""


def _linear(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(id, "linear", says, effect, fix, replaces, tuple("https://github.com/" + each for each in happened))


def _gradient(**mistakes: Mistaken) -> Replaces:
    """The right function whose gradients for some inputs are mistaken."""

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        right = reference.linear_backward(grad_output, x, weight, bias)
        wrong = {
            name: mistake(right[name], grad_output, x, weight) for name, mistake in mistakes.items() if name in right
        }
        return {**right, **wrong}

    return {"linear_backward": backward}


def _computed(weights: Map, biases: Map = lambda bias: bias) -> Replaces:
    """The layer with other weights and biases, which are their own transposes or multiples."""

    def forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
        return reference.linear(x, weights(weight), None if bias is None else biases(bias))

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        found = reference.linear_backward(grad_output, x, weights(weight), bias)
        found["weight"] = weights(found["weight"])
        return found if bias is None else {**found, "bias": biases(found["bias"])}

    return {"linear": forward, "linear_backward": backward}


def _transposed_if_square(weight: Array) -> Array:
    return weight.T if weight.shape[0] == weight.shape[1] else weight


def _flattening() -> Replaces:
    """All axes after the first as features, where there are as many; elsewhere such code fails."""

    def flat(x: Array, weight: Array) -> Array:
        return x.reshape(len(x), -1) if x.ndim > 2 and x[0].size == weight.shape[1] else x

    def forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
        return reference.linear(flat(x, weight), weight, bias)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        rows = flat(x, weight)
        found = reference.linear_backward(grad_output.reshape(*rows.shape[:-1], len(weight)), rows, weight, bias)
        return {**found, "x": found["x"].reshape(x.shape)}

    return {"linear": forward, "linear_backward": backward}


def _bias_along_examples() -> Replaces:
    """The bias added down the rows where there are as many examples as outputs."""

    def alike(x: Array, bias: Array) -> bool:
        return x.ndim == 2 and len(x) == len(bias)

    def forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
        if bias is not None and alike(x, bias):
            return reference.linear(x, weight) + bias[:, None]
        return reference.linear(x, weight, bias)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        found = reference.linear_backward(grad_output, x, weight, bias)
        return {**found, "bias": grad_output.sum(axis=1)} if bias is not None and alike(x, bias) else found

    return {"linear": forward, "linear_backward": backward}


def _bias_where(added: Callable[[Array, Array], bool]) -> Replaces:
    """The bias is added to some inputs only."""

    def forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
        return reference.linear(x, weight, bias if bias is None or added(x, bias) else None)

    def backward(grad_output: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        found = reference.linear_backward(grad_output, x, weight, bias)
        return found if bias is None or added(x, bias) else {**found, "bias": 0 * found["bias"]}

    return {"linear": forward, "linear_backward": backward}


def _ignoring_upstream() -> Replaces:
    def backward(grad_output: Array, *inputs: Array, **given: Any) -> Gradients:
        return reference.linear_backward(np.ones_like(grad_output), *inputs, **given)

    return {"linear_backward": backward}


def _collapsed(product: Callable[[Array, Array, Array], Array]) -> Mistaken:
    """An elementwise product, which has the gradient's shape where all sizes are equal."""

    def mistake(right: Array, grad: Array, x: Array, weight: Array) -> Array:
        equal = x.ndim == 2 and x.shape == weight.shape == grad.shape
        return product(grad, x, weight) if equal else right

    return mistake


def _examples(x: Array) -> int:
    return max(int(np.prod(x.shape[:-1])), 1)


def _averaged(right: Array, grad: Array, x: Array, weight: Array) -> Array:
    return right / _examples(x)


SUMS = "sum of grad over all axes but the last"
LINEAR = (
    _linear(
        "activation-in-place-overwrites-preactivation", "the input kept for backward was overwritten by an activation",
        "Weights follow the gradient of other inputs than they were applied to.",
        "let no in-place activation write to what backward reads",
        _gradient(weight=lambda right, grad, x, weight: reference.linear_backward(
            grad, 1 / (1 + np.exp(-x)), weight)["weight"]),
        "deeplearning4j/deeplearning4j/pull/364",
    ),
    _linear(
        "dense-gradient-elementwise-product", "gradients are elementwise products", NO_LEARNING,
        "grad_x = grad W, grad_W = grad^T x (matrix products)",
        _gradient(
            x=_collapsed(lambda grad, x, weight: grad.T * weight), weight=_collapsed(lambda grad, x, weight: x * grad.T)
        ),
        "apache/tvm/pull/5695",
    ),
    _linear(
        "dense-bias-not-updated-for-batch-one", "the bias gets no gradient from a single example",
        "Biases never move in training example by example.", SUMS,
        _gradient(bias=lambda right, grad, x, weight: right * (_examples(x) > 1)),
        "deeplearning4j/deeplearning4j/pull/364",
    ),
    _linear(
        "linear-weight-transposed", "the weight is not transposed: x W", OTHER_FUNCTION,
        "x W^T: weight has shape (out, in); code with (in, out) takes weight.T", _computed(_transposed_if_square),
    ),
    _linear(
        "linear-bias-ignored", "the bias is not added", "Biases never learn.", "x W^T + b",
        _computed(lambda weight: weight, lambda bias: 0 * bias),
    ),
    _linear(
        "linear-bias-subtracted", "the bias is subtracted", OTHER_FUNCTION, "x W^T + b",
        _computed(lambda weight: weight, lambda bias: -bias),
    ),
    _linear(
        "linear-bias-along-examples", "the bias is added along the axis of examples", OTHER_FUNCTION,
        "bias[None, :], one number for each output", _bias_along_examples(),
    ),
    _linear(
        "linear-extra-axes-flattened", "all axes after the first are flattened into features",
        "Sequences and images lose their axes.", "apply the layer along the last axis", _flattening(),
    ),
    _linear(
        "linear-input-gradient-transposed", "the input's gradient takes the weight transposed", NO_LEARNING,
        "grad_x = grad W", _gradient(x=lambda right, grad, x, weight: grad @ weight.T
        if weight.shape[0] == weight.shape[1] else right),
    ),
    _linear(
        "linear-weight-gradient-transposed", "the weight's gradient is transposed", NO_LEARNING,
        "grad_W = grad^T x, of shape (out, in)", _gradient(weight=lambda right, grad, x, weight: right.T),
    ),
    _linear(
        "linear-weight-gradient-negated", "the weight's gradient has the wrong sign", "Weights climb the loss.",
        "grad_W = grad^T x", _gradient(weight=lambda right, grad, x, weight: -right),
    ),
    _linear(
        "linear-input-gradient-missing", "the input's gradient is zero", "Layers below never learn.",
        "grad_x = grad W", _gradient(x=lambda right, grad, x, weight: 0 * right),
    ),
    _linear(
        "linear-weight-gradient-averaged", "the weight's gradient is divided by the number of examples", OFF_SCALE,
        "grad_W = grad^T x; the loss averages, if anything does",
        _gradient(weight=_averaged),
    ),
    _linear(
        "linear-bias-gradient-averaged", "the bias's gradient is divided by the number of examples", OFF_SCALE, SUMS,
        _gradient(bias=_averaged),
    ),
    _linear(
        "linear-gradients-averaged", "both parameters' gradients are averaged over examples",
        "Where the loss averages too, the learning rate falls with the batch size.",
        "grad_W = grad^T x; the loss averages, if anything does", _gradient(weight=_averaged, bias=_averaged),
    ),
    _linear(
        "linear-bias-gradient-of-one-example", "only the first example reaches the bias's gradient",
        "The rest of the batch teaches the biases nothing.", SUMS,
        _gradient(bias=lambda right, grad, x, weight: grad.reshape(-1, len(weight))[:1].sum(axis=0)),
    ),
    _linear(
        "linear-bias-gradient-missing", "the bias's gradient is zero", "Biases never learn.", SUMS,
        _gradient(bias=lambda right, grad, x, weight: 0 * right),
    ),
    _linear(
        "linear-bias-gradient-kept-axis", "the bias's gradient keeps an axis of length one",
        "An update turns the bias into a matrix.", SUMS,
        _gradient(bias=lambda right, grad, x, weight: right[None]),
    ),
    _linear(
        "linear-bias-gradient-over-first-axis", "the bias's gradient sums over the first axis only",
        "With more than two axes its shape is wrong, or broadcasts.", SUMS,
        _gradient(bias=lambda right, grad, x, weight: grad.sum(axis=0) if x.ndim > 2 else right),
    ),
    *(
        _linear(
            f"linear-first-layer-{slug}-untrained", f"{says} where the input needs none",
            "The first layer of a network never learns.", "ask ctx.needs_input_grad for each input apart",
            {"beside_constants": mistaken},
        )
        for slug, says, mistaken in (
            ("weight", "the weight gets no gradient", lambda grads: {**grads, "weight": 0 * grads["weight"]}),
            ("wholly", "parameters get no gradient", without_gradients),
        )
    ),
    _linear(
        "linear-bias-for-rows-only", "the bias is added to inputs of two axes only",
        "Sequences and images lose their bias.", "add the bias whatever axes come before",
        _bias_where(lambda x, bias: x.ndim == 2),
    ),
    _linear(
        "linear-single-bias-ignored", "a bias of one number is not added",
        "A layer of one output, such as a regression's last, has no offset.", "test bias is not None",
        _bias_where(lambda x, bias: len(bias) > 1),
    ),
    _linear(
        "linear-vector-as-row", "an input of one axis gets a second one", "A vector comes back as a matrix.",
        "give back as many axes as came in", {"linear": lambda x, weight, bias=None: reference.linear(
            np.atleast_2d(x), weight, bias)},
    ),
    _linear(
        "linear-upstream-ignored", "the upstream gradient is left out",
        "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
        _ignoring_upstream(),
    ),
)  # fmt: skip

FAULTS: tuple[Fault, ...] = (*LINEAR, *CONVOLUTION, *GRADIENTS)
