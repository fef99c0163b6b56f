"""The known mistakes in unsupervised pretraining."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.activations.reference import sigmoid
from dlcheck.component import Fault
from dlcheck.pretraining import reference
from dlcheck.pretraining.reference import Machine
from dlcheck.pretraining.sampling_faults import SAMPLING

Array = NDArray[Any]
Gradients = dict[str, Array]
Replaces = dict[str, Callable[..., Any]]

NO_LEARNING = "The gradient is wrong at every step; training stalls or settles on worse weights."
OTHER_FUNCTION = "The network computes another function than the one that is meant."
OTHER_MODEL = "Another distribution is fitted than the one that is sampled from."
"""Effects that several faults share."""


def _backward_only(name: str, change: Callable[..., Gradients]) -> Replaces:
    """The right function with gradients that ``change`` makes of the right ones, grad_output and the arguments."""
    right = getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, *arrays: Array, **settings: Any) -> Gradients:
        found = right(grad_output, *arrays, **settings)
        return {**found, **change(found, grad_output, *arrays, **settings)}

    return {f"{name}_backward": backward}


def _arguments(name: str, change: Callable[..., tuple[Array, ...]]) -> Replaces:
    """The right function of changed arrays; its gradients as if they had not been changed by anything that learns."""
    right, slope = getattr(reference, name), getattr(reference, f"{name}_backward")

    def backward(grad_output: Array, *arrays: Array, **settings: Any) -> Gradients:
        return slope(grad_output, *change(*arrays), **settings)

    return {name: lambda *arrays, **settings: right(*change(*arrays), **settings), f"{name}_backward": backward}


def _upstream_ignored(name: str) -> Fault:
    right = getattr(reference, f"{name}_backward")
    return Fault(
        f"{name.replace('_', '-')}-upstream-ignored", name, "the upstream gradient is left out",
        "The loss has no say in what is learned.", "multiply by grad_output (the chain rule)",
        {f"{name}_backward": lambda grad, *arrays, **settings: right(np.ones_like(grad), *arrays, **settings)},
    )  # fmt: skip


# --- autoencoder -----------------------------------------------------------------------------------------------------

_DERIVATIVES: dict[Callable[[Array], Array], Callable[[Array], Array]] = {
    sigmoid: lambda y: y * (1 - y),
    np.tanh: lambda y: 1 - y**2,
    np.positive: np.ones_like,
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
          _arguments("autoencoder", lambda x, w, b, c: (x, w, np.zeros_like(b), c))),
    _auto("decoder-bias-forgotten", "the decoder's bias is forgotten", OTHER_FUNCTION, "y = sigmoid(V h + c)",
          _arguments("autoencoder", lambda x, w, b, c: (x, w, b, np.zeros_like(c)))),
    _auto("tied-gradient-of-coder", "tied weights lack the decoder's gradient", NO_LEARNING,
          "add the gradients of both uses of W", _backward_only("autoencoder", _coder_only)),
    _auto("tied-gradient-of-decoder", "tied weights lack the coder's gradient", NO_LEARNING,
          "add the gradients of both uses of W", _backward_only("autoencoder", _decoder_only)),
    _auto("code-derivative-missing", "the gradient lacks h (1 - h)", NO_LEARNING, "multiply by h (1 - h)",
          _coder(slopes=(False, True), forward=False)),
    _auto("output-derivative-missing", "the gradient lacks y (1 - y)", NO_LEARNING, "multiply by y (1 - y)",
          _coder(slopes=(True, False), forward=False)),
    _upstream_ignored("autoencoder"),
)  # fmt: skip


# --- free energy and likelihood --------------------------------------------------------------------------------------


def _energy(
    hidden: Callable[[Array], Array], slope: Callable[[Array], Array], sign: float = -1.0, visible: float = -1.0
) -> Replaces:
    """Another function of the hidden units' inputs, its derivative, and the signs of both terms."""

    def function(v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Array:
        return visible * v @ visible_bias + sign * hidden(v @ weight.T + hidden_bias).sum(1)

    def backward(grad_output: Array, v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Gradients:
        part = sign * grad_output[:, None] * slope(v @ weight.T + hidden_bias)
        return {
            "v": visible * grad_output[:, None] * visible_bias + part @ weight,
            "weight": part.T @ v,
            "visible_bias": visible * grad_output @ v,
            "hidden_bias": part.sum(0),
        }

    return {"rbm_free_energy": function, "rbm_free_energy_backward": backward}


def _softplus(z: Array) -> Array:
    return np.logaddexp(0, z)


def _transposed(v: Array, weight: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (v, weight.T if weight.shape[0] == weight.shape[1] else weight, b, c)


def _transposing(name: str) -> Replaces:
    """Square weights used the other way round, with the gradient that belongs to it."""
    found = _arguments(name, _transposed)

    def backward(grad_output: Array, v: Array, weight: Array, *biases: Array) -> Gradients:
        gradients = found[f"{name}_backward"](grad_output, v, weight, *biases)
        square = weight.shape[0] == weight.shape[1]
        return {**gradients, "weight": gradients["weight"].T} if square else gradients

    return {**found, f"{name}_backward": backward}


def _of(component: str, id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(f"{component.replace('_', '-')}-{id}", component, says, effect, fix, replaces)


def _free(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return _of("rbm_free_energy", id, says, effect, fix, replaces)


FREE_ENERGY = (
    _free("negated", "it is the negative of the free energy", "Training climbs where it should descend.",
          "F = -b v - sum softplus", _energy(_softplus, sigmoid, 1.0, 1.0)),
    _free("hidden-sign", "the hidden term has the wrong sign", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, 1.0)),
    _free("visible-sign", "the visible bias has the wrong sign", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, -1.0, 1.0)),
    _free("softplus-missing", "the hidden inputs are added without softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(np.positive, np.ones_like)),
    _free("rectified", "max(0, z) stands for softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0))),
    _free("sigmoid", "sigmoid stands for softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)))),
    _free("log-missing", "1 + exp(z) is added without its logarithm", OTHER_MODEL, "log(1 + exp(z))",
          _energy(lambda z: 1 + np.exp(z), np.exp)),
    _free("overflow", "exp(z) overflows", "Free energies are infinite, gradients NaN.", "logaddexp(0, z)",
          _energy(lambda z: np.log(1 + np.exp(z)), lambda z: np.exp(z) / (1 + np.exp(z)))),
    _free("visible-bias-forgotten", "the visible bias is forgotten", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, -1.0, 0.0)),
    _free("hidden-bias-forgotten", "the hidden bias is forgotten", OTHER_MODEL, "z = W v + c",
          _arguments("rbm_free_energy", lambda v, w, b, c: (v, w, b, np.zeros_like(c)))),
    _free("weight-transposed", "the weight is transposed", OTHER_MODEL, "z = W v + c with W (H, D)",
          _transposing("rbm_free_energy")),
    _free("batch-mean", "the energies of the examples are averaged", "Energies of single examples are lost.",
          "one energy for each example", {
              "rbm_free_energy": lambda *arrays: reference.rbm_free_energy(*arrays).mean(keepdims=True),
              "rbm_free_energy_backward": lambda grad, *arrays: reference.rbm_free_energy_backward(
                  np.full_like(grad, grad.mean() / max(len(grad), 1)), *arrays),
          }),
    _free("input-gradient-without-bias", "the gradient of v lacks the visible bias", NO_LEARNING, "-b - W^T p",
          _backward_only("rbm_free_energy", lambda found, grad, v, w, b, c: {"v": found["v"] + grad[:, None] * b})),
    _upstream_ignored("rbm_free_energy"),
)  # fmt: skip


def _likelihood_of(log_partition: Callable[[Machine, int], float], share: Callable[[Machine], float]) -> Replaces:
    """The likelihood with another log-partition function of machine and examples, and a share of its gradient."""

    def backward(grad_output: Array, *arrays: Array) -> Gradients:
        data = reference.rbm_free_energy_backward(grad_output, *arrays)
        full = reference.rbm_log_likelihood_backward(grad_output, *arrays)
        part = share(Machine(*arrays[1:]))
        return {"v": full["v"], **{k: -data[k] + part * (full[k] + data[k]) for k in data if k != "v"}}

    return {
        "rbm_log_likelihood": lambda v, *machine: (
            -reference.rbm_free_energy(v, *machine) - log_partition(Machine(*machine), len(v))
        ),
        "rbm_log_likelihood_backward": backward,
    }


def _without_empty_state(machine: Machine, examples: int) -> float:
    """The log-partition function that leaves out the visible vector of zeros."""
    return float(
        np.logaddexp.reduce(-reference.rbm_free_energy(reference.states(machine.weight.shape[1])[1:], *machine))
    )


def _gradient_without_empty(grad_output: Array, *arrays: Array) -> Gradients:
    machine = Machine(*arrays[1:])
    every = reference.states(machine.weight.shape[1])[1:]
    share = np.exp(-reference.rbm_free_energy(every, *machine) - _without_empty_state(machine, 0)) * grad_output.sum()
    data, model = (
        reference.rbm_free_energy_backward(g, x, *machine) for g, x in ((grad_output, arrays[0]), (share, every))
    )
    return {"v": -data["v"], **{name: model[name] - data[name] for name in data if name != "v"}}


def _exponentiated(*arrays: Array) -> Array:
    energies = -reference.rbm_free_energy(reference.states(arrays[1].shape[1]), *arrays[1:])
    return -reference.rbm_free_energy(*arrays) - np.log(np.exp(energies).sum())


def _exponentiated_back(grad_output: Array, *arrays: Array) -> Gradients:
    factor = 1.0 if np.isfinite(_exponentiated(*arrays)).all() else np.nan
    found = reference.rbm_log_likelihood_backward(grad_output, *arrays)
    return {name: value if name == "v" else value * factor for name, value in found.items()}


def _expected_once(grad_output: Array, *arrays: Array) -> Gradients:
    once = _likelihood_of(lambda machine, examples: 0.0, lambda machine: 1 / len(grad_output))
    return once["rbm_log_likelihood_backward"](grad_output, *arrays)


def _like(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return _of("rbm_log_likelihood", id, says, effect, fix, replaces)


LIKELIHOOD = (
    _like("unnormalised", "the partition function is left out", "All energies fall without bound.", "subtract log Z",
          _likelihood_of(lambda machine, n: 0.0, lambda machine: 0.0)),
    _like("empty-state-missing", "the partition function lacks the vector of zeros", OTHER_MODEL,
          "sum over all 2^D vectors",
          _likelihood_of(_without_empty_state, lambda machine: 1.0)
          | {"rbm_log_likelihood_backward": _gradient_without_empty}),
    _like("negative-phase-missing", "the gradient lacks the model's expectation", "Weights grow without bound.",
          "subtract what the model expects", {"rbm_log_likelihood_backward": _likelihood_of(
              lambda machine, n: 0.0, lambda machine: 0.0)["rbm_log_likelihood_backward"]}),
    _like("negative-phase-averaged", "the model's expectation is counted once, not per example",
          NO_LEARNING, "subtract it for every example", {"rbm_log_likelihood_backward": _expected_once}),
    _like("negated", "it is the negative log-likelihood", "Training climbs where it should descend.", "-F - log Z", {
        "rbm_log_likelihood": lambda *arrays: -reference.rbm_log_likelihood(*arrays),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(-grad, *arrays),
    }),
    _like("probability", "the logarithm is left out", "Probabilities of larger machines underflow.", "-F - log Z", {
        "rbm_log_likelihood": lambda *arrays: np.exp(reference.rbm_log_likelihood(*arrays)),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(
            grad * np.exp(reference.rbm_log_likelihood(*arrays)), *arrays),
    }),
    _like("base-two", "the logarithm is to base 2", OTHER_FUNCTION, "the natural logarithm", {
        "rbm_log_likelihood": lambda *arrays: reference.rbm_log_likelihood(*arrays) / np.log(2),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(
            grad / np.log(2), *arrays),
    }),
    _like("overflow", "the partition function overflows", "The likelihood is -inf, its gradient NaN.",
          "logsumexp of the energies", {
              "rbm_log_likelihood": _exponentiated,
              "rbm_log_likelihood_backward": _exponentiated_back,
          }),
    _like("hidden-bias-forgotten", "the hidden bias is forgotten", OTHER_MODEL, "z = W v + c",
          _arguments("rbm_log_likelihood", lambda v, w, b, c: (v, w, b, np.zeros_like(c)))),
    _like("weight-transposed", "the weight is transposed", OTHER_MODEL, "z = W v + c with W (H, D)",
          _transposing("rbm_log_likelihood")),
    _upstream_ignored("rbm_log_likelihood"),
)  # fmt: skip

FAULTS: tuple[Fault, ...] = (*AUTOENCODER, *FREE_ENERGY, *LIKELIHOOD, *SAMPLING)
