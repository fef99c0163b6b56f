"""The known mistakes in unsupervised pretraining: here those in autoencoders."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.activations.reference import sigmoid
from dlcheck.component import Fault
from dlcheck.pretraining import reference
from dlcheck.pretraining.energy_faults import FREE_ENERGY, LIKELIHOOD
from dlcheck.pretraining.mistakes import (
    NO_LEARNING,
    OTHER_FUNCTION,
    Array,
    Gradients,
    Replaces,
    backward_only,
    forgotten,
    upstream_ignored,
)
from dlcheck.pretraining.sampling_faults import SAMPLING

# --- autoencoder -----------------------------------------------------------------------------------------------------


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _twice(z: Array) -> Array:
    return sigmoid(sigmoid(z))


def _exponential(z: Array) -> Array:
    return np.exp(z) / (1 + np.exp(z))


def _slope_of_twice(y: Array) -> Array:
    inner = np.log(y / (1 - y))
    return y * (1 - y) * inner * (1 - inner)


_DERIVATIVES: dict[Callable[[Array], Array], Callable[[Array], Array]] = {
    sigmoid: lambda y: y * (1 - y),
    np.tanh: lambda y: 1 - y**2,
    np.positive: np.ones_like,
    _relu: lambda y: 1.0 * (y > 0),
    _twice: _slope_of_twice,
    _exponential: lambda y: y * (1 - y),
}
"""The derivative of each activation from its output."""


def _coder(
    hidden: Callable[[Array], Array] = sigmoid, output: Callable[[Array], Array] = sigmoid,
    decode: Callable[[Array, Array | None], Array] = lambda weight, own: weight.T if own is None else own,
    slopes: tuple[bool, bool] = (True, True), forward: bool = True,
) -> Replaces:  # fmt: skip
    """An autoencoder of other activations and decoder weights; its derivatives of code and output may be left out."""

    def run(own: Array | None, linear: bool, x: Array, weight: Array, bias: Array, decoder_bias: Array) -> Any:
        code = hidden(x @ weight.T + bias)
        last = np.positive if linear else output
        return code, last, last(code @ decode(weight, own).T + decoder_bias)

    def function(*arrays: Array, decoder_weight: Array | None = None, linear_output: bool = False) -> Array:
        return run(decoder_weight, linear_output, *arrays)[2]

    def backward(
        grad_output: Array, x: Array, weight: Array, bias: Array, decoder_bias: Array, *,
        decoder_weight: Array | None = None, linear_output: bool = False,
    ) -> Gradients:  # fmt: skip
        code, last, y = run(decoder_weight, linear_output, x, weight, bias, decoder_bias)
        outer = grad_output * (_DERIVATIVES[last](y) if slopes[1] else 1)
        inner = outer @ decode(weight, decoder_weight) * (_DERIVATIVES[hidden](code) if slopes[0] else 1)
        found = {"x": inner @ weight, "weight": inner.T @ x, "bias": inner.sum(0), "decoder_bias": outer.sum(0)}
        if decoder_weight is None:
            # where the decoder is not the transpose, the weight is used the other way round
            straight = decode(weight, None) is weight
            return {**found, "weight": found["weight"] + (outer.T @ code if straight else code.T @ outer)}
        return {**found, "decoder_weight": outer.T @ code}

    gradient: Replaces = {"autoencoder_backward": backward}
    return {"autoencoder": function, **gradient} if forward else gradient


def _code(x: Array, weight: Array, bias: Array) -> Array:
    return sigmoid(x @ weight.T + bias)


def _not_transposed(weight: Array, own: Array | None) -> Array:
    """The tied weight as it is, where that fits at all."""
    tied = weight if weight.shape[0] == weight.shape[1] else weight.T
    return tied if own is None else own


def _coder_only(found: Gradients, grad_output: Array, x: Array, weight: Array, bias: Array, *others: Array,
                decoder_weight: Array | None = None, linear_output: bool = False) -> Gradients:  # fmt: skip
    """The tied weight's gradient without that of the decoder."""
    if decoder_weight is not None:
        return {}
    return {"weight": found["weight"] - _decoder_part(grad_output, x, weight, bias, *others, linear=linear_output)}


def _decoder_only(found: Gradients, grad_output: Array, x: Array, weight: Array, bias: Array, *others: Array,
                  decoder_weight: Array | None = None, linear_output: bool = False) -> Gradients:  # fmt: skip
    if decoder_weight is not None:
        return {}
    return {"weight": _decoder_part(grad_output, x, weight, bias, *others, linear=linear_output)}


def _detached(found: Gradients, grad_output: Array, *arrays: Array, **given: Any) -> Gradients:
    weight = _decoder_only(found, grad_output, *arrays, **given) or {"weight": np.zeros_like(found["weight"])}
    return {**weight, **{name: np.zeros_like(found[name]) for name in ("x", "bias")}}


def _decoder_part(grad_output: Array, x: Array, weight: Array, bias: Array, decoder_bias: Array, linear: bool) -> Array:
    output = reference.autoencoder(x, weight, bias, decoder_bias, linear_output=linear)
    outer = grad_output if linear else grad_output * output * (1 - output)
    return _code(x, weight, bias).T @ outer


def _transposed_back(grad: Array, *arrays: Array, decoder_weight: Array | None = None, **settings: Any) -> Gradients:
    """Gradients of an autoencoder whose square decoder weights are transposed before use."""
    square = decoder_weight is not None and decoder_weight.shape[0] == decoder_weight.shape[1]
    own = decoder_weight.T if square else decoder_weight  # type: ignore[union-attr]
    found = reference.autoencoder_backward(grad, *arrays, decoder_weight=own, **settings)
    return {**found, "decoder_weight": found["decoder_weight"].T} if square else found


def _auto(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(f"autoencoder-{id}", "autoencoder", says, effect, fix, replaces)


AUTOENCODER = (
    _auto(
        "decoder-not-transposed", "tied weights decode without being transposed", OTHER_FUNCTION, "V = W^T",
        _coder(decode=_not_transposed),
    ),
    _auto(
        "decoder-ignored", "the decoder's own weights are ignored", OTHER_FUNCTION, "decode with decoder_weight",
        {
            "autoencoder": lambda *arrays, decoder_weight=None, **s: reference.autoencoder(*arrays, **s),
            "autoencoder_backward": lambda *arrays, decoder_weight=None, **s: reference.autoencoder_backward(
                *arrays, **s) | ({} if decoder_weight is None else {"decoder_weight": np.zeros_like(decoder_weight)}),
        },
    ),
    _auto(
        "decoder-transposed", "the decoder's own weights are transposed", OTHER_FUNCTION, "V h with V (D, H)",
        _coder(decode=lambda weight, own: weight.T if own is None else own.T if own.T.shape == own.shape else own)
        | {"autoencoder_backward": _transposed_back},
    ),
    _auto("code-linear", "the code is not passed through the sigmoid", OTHER_FUNCTION, "h = sigmoid(W x + b)",
          _coder(hidden=np.positive)),
    _auto("code-rectified", "the code is max(0, z) in place of the sigmoid", OTHER_FUNCTION, "h = sigmoid(W x + b)",
          _coder(hidden=_relu)),
    _auto("output-rectified", "the output is max(0, z) in place of the sigmoid", OTHER_FUNCTION,
          "y = sigmoid(V h + c)", _coder(output=_relu)),
    _auto("output-tanh", "the output is tanh in place of the sigmoid", OTHER_FUNCTION, "y = sigmoid(V h + c)",
          _coder(output=np.tanh)),
    _auto("output-twice", "the output is passed through the sigmoid twice", OTHER_FUNCTION,
          "leave the sigmoid to the loss, or to the network", _coder(output=_twice)),
    _auto("overflow", "exp(z) overflows in the sigmoid", "Outputs and gradients are NaN.", "1 / (1 + exp(-|z|))",
          _coder(output=_exponential)),
    _auto("code-tanh", "the code is tanh in place of the sigmoid", OTHER_FUNCTION, "h = sigmoid(W x + b)",
          _coder(hidden=np.tanh)),
    _auto("output-always-linear", "the output is never passed through the sigmoid", OTHER_FUNCTION,
          "y = sigmoid(V h + c)", _coder(output=np.positive)),
    _auto(
        "output-always-sigmoid", "linear_output is ignored", OTHER_FUNCTION, "leave the last sigmoid out", {
            "autoencoder": lambda *arrays, linear_output=False, **given: reference.autoencoder(*arrays, **given),
            "autoencoder_backward": lambda *arrays, linear_output=False, **given: reference.autoencoder_backward(
                *arrays, **given),
        },
    ),
    _auto("bias-forgotten", "the code's bias is forgotten", OTHER_FUNCTION, "h = sigmoid(W x + b)",
          forgotten("autoencoder", "bias")),
    _auto("decoder-bias-forgotten", "the decoder's bias is forgotten", OTHER_FUNCTION, "y = sigmoid(V h + c)",
          forgotten("autoencoder", "decoder_bias")),
    _auto("tied-gradient-of-coder", "tied weights lack the decoder's gradient", NO_LEARNING,
          "add the gradients of both uses of W", backward_only("autoencoder", _coder_only)),
    _auto("tied-gradient-of-decoder", "tied weights lack the coder's gradient", NO_LEARNING,
          "add the gradients of both uses of W", backward_only("autoencoder", _decoder_only)),
    _auto("code-detached", "no gradient reaches the coder", NO_LEARNING, "no detach, no no_grad around the code",
          backward_only("autoencoder", _detached)),
    _auto("code-derivative-missing", "the gradient lacks h (1 - h)", NO_LEARNING, "multiply by h (1 - h)",
          _coder(slopes=(False, True), forward=False)),
    _auto("output-derivative-missing", "the gradient lacks y (1 - y)", NO_LEARNING, "multiply by y (1 - y)",
          _coder(slopes=(True, False), forward=False)),
    upstream_ignored("autoencoder"),
)  # fmt: skip


FAULTS: tuple[Fault, ...] = (*AUTOENCODER, *FREE_ENERGY, *LIKELIHOOD, *SAMPLING)
